//! `takes`: how long a run may take, by the wall clock.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Range;
use super::form::{FormError, from_scalar};
use crate::scenario::quantity::{TIME, Time};
use crate::schema::shape::{self, Shape, Shaped};

/// How long a run may take, written as numbers are ([`Range`]); one time alone is none, since no run takes it to the nanosecond. It
/// is a promise that somebody has made, so nobody but a person ever writes it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Takes {
    text: String,
    nanoseconds: Range,
}

impl Shape for Takes {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(&format!(r"^\s*((>=?|<=?)\s*{TIME}|{TIME}\s*\.\.\s*{TIME})\s*$"))
    }
}

const WANTED: &str = "a range of times, such as `< 5s`, `>= 100ms` or `1s..5s`";

impl FromStr for Takes {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let time = |text: &str| i64::try_from(text.parse::<Time>().ok()?.0.as_nanos()).ok();
        let nanoseconds = Range::read(text, time).filter(|times| times.least < times.most);
        let nanoseconds = nanoseconds.ok_or_else(|| FormError::shape(text, WANTED))?;
        Ok(Self { text: text.trim().to_owned(), nanoseconds })
    }
}

from_scalar!(Takes, WANTED);

impl Takes {
    /// What it takes at least.
    pub(crate) fn least(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanoseconds.least).unwrap_or(0))
    }

    /// Whether it holds this time.
    #[must_use]
    pub fn holds(&self, took: Duration) -> bool {
        self.nanoseconds.holds(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_in_ranges() {
        let holds = |text: &str, ms| text.parse::<Takes>().unwrap().holds(Duration::from_millis(ms));
        assert!(holds("< 5s", 4999) && !holds("< 5s", 5001));
        assert!(holds("> 100ms", 101) && !holds("> 100ms", 99));
        assert!(holds("<= 5s", 5000) && !holds("< 5s", 5000) && holds(">= 5s", 5000) && !holds("> 5s", 5000));
        assert_eq!("> 1s".parse::<Takes>().unwrap().least(), Duration::from_nanos(1_000_000_001));
        assert_eq!("< 1s".parse::<Takes>().unwrap().least(), Duration::ZERO);
        assert!(holds("1s..2s", 1500) && !holds("1s..2s", 2500) && !holds("1s..2s", 500));
        for wrong in ["5s", "", "< 5", "2s..1s", "1s..1s", "<", "fast", "> -1s"] {
            assert!(wrong.parse::<Takes>().is_err(), "{wrong}");
        }
    }
}
