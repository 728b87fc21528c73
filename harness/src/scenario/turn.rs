//! What a scenario takes of a test run while it runs: so many of the jobs, and the turn of its group.
#![forbid(unsafe_code)]

use std::fmt;
use std::num::NonZeroUsize;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, Unexpected};

use crate::schema::shape::{self, Shape, Shaped};

/// More jobs nobody has.
const MOST_JOBS: u64 = 4096;

/// How many jobs a scenario takes; capped where there are fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Cost(pub NonZeroUsize);

impl Shape for Cost {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::whole(1, MOST_JOBS.cast_signed())
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self(NonZeroUsize::MIN)
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let cost = usize::try_from(number).ok().filter(|_| number <= MOST_JOBS).and_then(NonZeroUsize::new);
        cost.map(Self).ok_or_else(|| {
            D::Error::invalid_value(Unexpected::Unsigned(number), &"a number of jobs from 1 to 4096")
        })
    }
}

/// The name of a group, of which one at a time runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct GroupName(String);

impl Shape for GroupName {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::scalar_like(r"^[A-Za-z0-9._-]{1,64}$")
    }
}

impl GroupName {
    /// The name; it can be part of a file's.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for GroupName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=64).contains(&text.len()) || !text.chars().all(plain) {
            let expected = &"the name of a group: at most 64 letters, digits, `.`, `_` and `-`";
            return Err(D::Error::invalid_value(Unexpected::Str(&text), expected));
        }
        Ok(Self(text))
    }
}
