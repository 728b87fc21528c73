//! Quantities with a unit: `10s`, `200ms`, `256 MiB`.
#![forbid(unsafe_code)]

use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error};

use crate::schema::shape::{self, Shape, Shaped};

/// A time: a number and `ms`, `s`, `m` or `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Time(pub Duration);

/// What a time looks like.
pub(super) const TIME: &str = r"[0-9.]+\s*(ms|s|m|h)";

impl Shape for Time {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(&format!(r"^(?![0.]+\s*[a-z]){TIME}$"))
    }
}

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It is no time.
    #[error("{0:?} is not a time: write a number and its unit, as in `200ms`, `10s`, `2m`, `1h`")]
    Time(String),
    /// It is zero or more than a year.
    #[error("{0:?} is out of range: a time is more than 0 and at most a year")]
    Range(String),
    /// It is no size.
    #[error("{0:?} is not a size: write a number of bytes, or one with its unit, as in `64 KiB`")]
    Size(String),
}

impl FromStr for Time {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError::Time(text.chars().take(40).collect());
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let seconds_each = match text.get(digits.len()..) {
            Some("ms") => 0.001,
            Some("s") => 1.0,
            Some("m") => 60.0,
            Some("h") => 3600.0,
            _ => return Err(error()),
        };
        let number = digits.trim();
        if !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err(error());
        }
        let seconds = number.parse::<f64>().map_err(|_| error())? * seconds_each;
        if !(0.001..=366.0 * 86_400.0).contains(&seconds) {
            return Err(QuantityError::Range(text.chars().take(40).collect()));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A number of bytes: `4096`, `64 KiB`, `1 MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Size(pub u64);

/// What a size looks like.
pub(super) const SIZE: &str = r"[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpPeE]([iI]?[bB]?)|[bB])?";

impl Shape for Size {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        let with_unit = shape::text_like(&format!(r"^\s*{SIZE}\s*$"));
        shape::any_of([shape::whole(0, i64::MAX), with_unit])
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let size: Result<bytesize::ByteSize, String> = text.parse();
        size.map(|size| Self(size.as_u64())).map_err(|_| QuantityError::Size(text.chars().take(40).collect()))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let time = |text: &str| text.parse::<Time>().map(|time| time.0);
        assert_eq!(time("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(time("1.5 s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "10", "s", "-1s", "1e9s", "10 parsecs", "infs", "nans", "1..2s", "ßs"] {
            assert!(matches!(time(bad), Err(QuantityError::Time(_))), "{bad}");
        }
        for far in ["0s", "0.0001ms", "99999999999999999999999h"] {
            assert!(matches!(time(far), Err(QuantityError::Range(_))), "{far}");
        }
    }

    #[test]
    fn sizes_may_have_a_unit() {
        assert_eq!("4096".parse(), Ok(Size(4096)));
        assert_eq!("64 KiB".parse(), Ok(Size(65536)));
        assert_eq!("1MB".parse(), Ok(Size(1_000_000)));
        assert!("many".parse::<Size>().is_err());
    }
}
