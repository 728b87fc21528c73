//! How often, or how much: `3`, `">= 1"`, `"2..4"`.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::form::{FormError, from_scalar};
use crate::schema::shape::{self, Shape, Shaped};

/// Numbers from one to another, both included. `3` is one number, `2..4` is 2, 3 and 4, `>= 1` has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Range {
    /// The smallest.
    pub least: i64,
    /// The greatest.
    pub most: i64,
}

impl Shape for Range {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        let text = shape::text_like(r"^\s*((>=?|<=?)?\s*-?[0-9]+|-?[0-9]+\s*\.\.\s*-?[0-9]+)\s*$");
        shape::any_of([shape::whole(i64::MIN, i64::MAX), text])
    }
}

impl Range {
    /// At least once: what a pattern means that says nothing else.
    pub const SOME: Self = Self { least: 1, most: i64::MAX };

    /// Reads a range whose numbers are written as `number` reads them: the one grammar of all ranges.
    pub(super) fn read(text: &str, number: impl Fn(&str) -> Option<i64>) -> Option<Self> {
        let number = |text: &str| number(text.trim());
        let text = text.trim();
        let (least, most) = if let Some(rest) = text.strip_prefix(">=") {
            (number(rest)?, i64::MAX)
        } else if let Some(rest) = text.strip_prefix("<=") {
            (i64::MIN, number(rest)?)
        } else if let Some(rest) = text.strip_prefix('>') {
            (number(rest)?.checked_add(1)?, i64::MAX)
        } else if let Some(rest) = text.strip_prefix('<') {
            (i64::MIN, number(rest)?.checked_sub(1)?)
        } else if let Some((from, to)) = text.split_once("..") {
            (number(from)?, number(to)?)
        } else {
            let only = number(text)?;
            (only, only)
        };
        (least <= most).then_some(Self { least, most })
    }

    /// Whether it holds this number.
    #[must_use]
    pub fn holds(self, number: i64) -> bool {
        (self.least..=self.most).contains(&number)
    }
}

const WANTED: &str = "a number or a range, such as `3`, `>= 1`, `< 5` or `2..4` (both ends included)";

impl FromStr for Range {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        Self::read(text, |number| number.parse().ok()).ok_or_else(|| FormError::shape(text, WANTED))
    }
}

from_scalar!(Range, "a number or a range, such as `3`, `>= 1` or `2..4`");

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "{least}"),
            (least, i64::MAX) => write!(f, ">= {least}"),
            (i64::MIN, most) => write!(f, "<= {most}"),
            (least, most) => write!(f, "{least}..{most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_shown() {
        for (text, least, most, shown) in [
            ("3", 3, 3, "3"),
            (">= 1", 1, i64::MAX, ">= 1"),
            (">1", 2, i64::MAX, ">= 2"),
            ("<= 4", i64::MIN, 4, "<= 4"),
            ("< 4", i64::MIN, 3, "<= 3"),
            ("2..4", 2, 4, "2..4"),
            ("-2..-1", -2, -1, "-2..-1"),
        ] {
            let range: Range = text.parse().unwrap();
            assert_eq!((range.least, range.most, range.to_string().as_str()), (least, most, shown), "{text}");
        }
        assert!(Range { least: 2, most: 4 }.holds(4) && !Range { least: 2, most: 4 }.holds(5));
        for wrong in ["", "often", "4..2", ">", "1.5"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
    }
}
