//! How much: `"<= 64 MiB"`, `"1 MiB..2 MiB"`.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Range;
use super::form::{FormError, from_scalar};
use crate::scenario::quantity::{SIZE, Size};
use crate::schema::shape::{self, Shape, Shaped};

/// Sizes from one to another, written as numbers are ([`Range`]); one size alone is none, since what is measured so is never the
/// same to the byte.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Sizes {
    text: String,
    bytes: Range,
}

impl Shape for Sizes {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(&format!(r"^\s*((>=?|<=?)\s*{SIZE}|{SIZE}\s*\.\.\s*{SIZE})\s*$"))
    }
}

const WANTED: &str = "a range of sizes, such as `<= 64 MiB`, `> 100 kB` or `1 MiB..2 MiB`";

impl FromStr for Sizes {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let size = |text: &str| i64::try_from(text.parse::<Size>().ok()?.0).ok();
        let bytes = Range::read(text, size).filter(|bytes| bytes.least < bytes.most);
        let bytes = bytes.ok_or_else(|| FormError::shape(text, WANTED))?;
        Ok(Self { text: text.trim().to_owned(), bytes })
    }
}

from_scalar!(Sizes, WANTED);

impl Sizes {
    /// Whether it holds so many bytes.
    #[must_use]
    pub fn holds(&self, bytes: u64) -> bool {
        self.bytes.holds(i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    /// The same in bytes.
    #[must_use]
    pub fn bytes(&self) -> Range {
        self.bytes
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_lie_in_ranges() {
        let holds = |text: &str, bytes| text.parse::<Sizes>().unwrap().holds(bytes);
        assert!(holds("<= 64 MiB", 64 << 20) && !holds("<= 64 MiB", (64 << 20) + 1));
        assert!(holds("< 64 kB", 63_999) && !holds("< 64 kB", 64_000));
        assert!(holds(">= 1 GiB", 1 << 30) && !holds(">= 1 GiB", (1 << 30) - 1));
        assert!(holds("> 100", 101) && !holds("> 100", 100) && holds("> 100", u64::MAX));
        assert!(holds("1.5 MiB..2 MB", 1_600_000) && !holds("1.5 MiB..2 MB", 2_000_001));
        for wrong in
            ["64 MiB", "", "<", "<= much", "2 MiB..1 MiB", "-1..5", "1 MiB..1 MiB", "<= 64 MiBs", "<= 99 EiB"]
        {
            assert!(wrong.parse::<Sizes>().is_err(), "{wrong}");
        }
        assert_eq!(" <= 64 MiB".parse::<Sizes>().unwrap().to_string(), "<= 64 MiB");
    }
}
