//! `peak`: the most that guests may have at once.
#![forbid(unsafe_code)]

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::Range;
use super::sizes::Sizes;

/// The most that guests have at once, also of those that are killed. It is a promise that somebody has made, so nobody but a
/// person ever writes it: memory differs from run to run and from host to host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    default,
    remote = "Self",
    expecting = "a map of the most that guests have at once: `memory`, `processes`"
)]
#[schemars(rename = "Peak", transform = says_something)]
pub struct PeakPattern {
    /// The largest resident set (`VmHWM`) that one of the guests' processes had: `<= 64 MiB`. It is never the same to the byte.
    pub memory: Option<Sizes>,
    /// How many processes lived at once, the command among them; threads are none. `4`, `<= 4`, `2..4`.
    pub processes: Option<Range>,
}

fn says_something(schema: &mut Schema) {
    schema.insert("minProperties".to_owned(), 1.into());
}

impl<'de> Deserialize<'de> for PeakPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let peak = Self::deserialize(deserializer)?;
        if peak == Self::default() {
            return Err(D::Error::custom(
                "`peak` says nothing: `memory`, `processes` or both say what it may be",
            ));
        }
        Ok(peak)
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::read;
    use super::*;

    #[test]
    fn each_part_may_stand_alone() {
        let both: PeakPattern = read("memory: \"<= 64 MiB\"\nprocesses: 4").unwrap();
        assert_eq!(both.processes, Some(Range { least: 4, most: 4 }));
        assert!(both.memory.unwrap().holds(64 << 20));
        assert!(read::<PeakPattern>("processes: \"< 5\"").unwrap().memory.is_none());
        assert!(read::<PeakPattern>("{}").unwrap_err().contains("says nothing"));
    }
}
