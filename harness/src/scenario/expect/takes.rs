//! `takes`: how long a run may take, by the wall clock.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::form::{FormError, from_scalar};
use crate::scenario::quantity::{TIME, Time};
use crate::schema::shape::{self, Shape, Shaped};

/// How long a run may take. It is a promise that somebody has made, so nobody but a person ever writes it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Takes {
    text: String,
    least: Duration,
    most: Duration,
}

impl Shape for Takes {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(&format!(r"^([<>]\s*{TIME}|{TIME}\s*\.\.\s*{TIME})\s*$"))
    }
}

const WANTED: &str = "a range of times, such as `< 5s`, `> 100ms` or `1s..5s`";

impl FromStr for Takes {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let wrong = || FormError::shape(text, WANTED);
        let time = |text: &str| text.trim().parse::<Time>().map(|time| time.0).map_err(|_| wrong());
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (time(least)?, time(most)?),
            None => match (text.strip_prefix('<'), text.strip_prefix('>')) {
                (Some(most), _) => (Duration::ZERO, time(most)?),
                (_, Some(least)) => (time(least)?, Duration::MAX),
                _ => return Err(wrong()),
            },
        };
        if least > most { Err(wrong()) } else { Ok(Self { text: text.to_owned(), least, most }) }
    }
}

from_scalar!(Takes, WANTED);

impl Takes {
    /// What it takes at least.
    pub(crate) fn least(&self) -> Duration {
        self.least
    }

    /// Whether it holds this time.
    #[must_use]
    pub fn holds(&self, took: Duration) -> bool {
        (self.least..=self.most).contains(&took)
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
        assert!(holds("1s..2s", 1500) && !holds("1s..2s", 2500) && !holds("1s..2s", 500));
        for wrong in ["5s", "", "< 5", "2s..1s", "<", "fast"] {
            assert!(wrong.parse::<Takes>().is_err(), "{wrong}");
        }
    }
}
