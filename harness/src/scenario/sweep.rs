//! `sweep`: each occurrence of a call fails once, in a run of its own.
//!
//! How often a call occurs is known only once the scenario has run. So a sweep is one test, whatever it finds: its
//! cells are named in its report (`[family(open)#3=EIO]`), and not in lists of tests. The names are stable, as they
//! count occurrences.
#![forbid(unsafe_code)]

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::calls::Calls;
use super::expect::{ErrnoName, Expectation, Glob, VerdictPattern};

/// How many runs a sweep may take if it says nothing else.
const MOST: u64 = 200;

/// A sweep.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    remote = "Self",
    expecting = "a sweep, such as `{ calls: [family(open)], errno: [EIO] }`"
)]
#[schemars(rename = "Sweep")]
pub struct Sweep {
    /// Calls whose occurrences fail, one after the other: of each item on its own, every spelling of a family together.
    #[schemars(length(min = 1))]
    pub calls: Vec<Calls>,
    /// Of these calls only those on such a path.
    #[serde(default)]
    pub path: Option<Glob>,
    /// What they fail with: each in a run of its own.
    #[schemars(length(min = 1))]
    pub errno: Vec<ErrnoName>,
    /// How many runs it may take. More is a failure, so that nothing is left out in silence.
    #[serde(default = "most")]
    pub most: u64,
    /// What is expected of each run in which a call fails. Without it: what the scenario expects if none does.
    #[serde(default)]
    pub expect: Option<Expectation>,
}

fn most() -> u64 {
    MOST
}

impl<'de> Deserialize<'de> for Sweep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sweep = Self::deserialize(deserializer)?;
        if sweep.calls.is_empty() || sweep.errno.is_empty() {
            return Err(D::Error::custom("a sweep needs a call and an errno: else it tests nothing"));
        }
        sweep.patterns().map_err(D::Error::custom)?;
        Ok(sweep)
    }
}

impl Sweep {
    /// What is counted, and then fails: one pattern for each of `calls`.
    ///
    /// # Errors
    /// Of a call that no filter is asked about.
    pub fn patterns(&self) -> Result<Vec<VerdictPattern>, super::expect::FormError> {
        let of = |call: &Calls| {
            VerdictPattern::of_calls(call.clone(), self.path.clone(), None, None, Default::default())
        };
        self.calls.iter().map(of).collect()
    }
}
