//! Needs: what a scenario asks of the host, and whether this host has it.
//!
//! Nothing here runs a scenario. A probe looks; it never changes the host.
#![forbid(unsafe_code)]

mod fact;
mod host;
mod never;
mod require;

use std::fmt;
use std::str::FromStr;

pub use fact::{Fact, Version};
pub use host::{Host, Judgement, Row, table};
pub use never::never_met;
pub use require::{RequireError, Required, VARIABLE, required};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error};

use crate::schema::shape::{self, Shape, Shaped};

/// What a scenario asks of the host: `landlock >= 6`, `not root`, `python3`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Need {
    fact: Fact,
    negated: bool,
    version: Option<(Order, Version)>,
}

impl Shape for Need {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        let bare = fact::told().filter(|(name, _)| *name != Fact::Kernel.to_string());
        let (bare, told): (Vec<&str>, Vec<&str>) = bare.unzip();
        let plain = shape::told(bare.iter().copied().zip(told));
        let not = shape::words(bare.iter().map(|name| format!("not {name}")));
        let versioned = Fact::names().filter(|name| name.parse().is_ok_and(|fact: Fact| fact.has_version()));
        let versioned = shape::alternatives(versioned);
        let orders = shape::alternatives(Order::ALL.iter().map(|(symbol, _)| *symbol));
        let version = format!(r"^\s*({versioned})\s*({orders})\s*[0-9]+(\.[0-9]+)?\s*$");
        let program = r"^\s*(not\s+)?program\((/.*|[^/]+)\)\s*$";
        shape::any_of([plain, not, shape::text_like(&version), shape::text_like(program)])
    }
}

/// How a version must stand to the one that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AtLeast,
    MoreThan,
    AtMost,
    LessThan,
    Equal,
}

impl Order {
    const ALL: &'static [(&'static str, Self)] = &[
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("==", Self::Equal),
        (">", Self::MoreThan),
        ("<", Self::LessThan),
        ("=", Self::Equal),
    ];

    fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(_, order)| *order == self).map_or("", |(symbol, _)| symbol)
    }

    fn holds(self, has: Version, wanted: Version) -> bool {
        match self {
            Self::AtLeast => has >= wanted,
            Self::MoreThan => has > wanted,
            Self::AtMost => has <= wanted,
            Self::LessThan => has < wanted,
            Self::Equal => has == wanted,
        }
    }
}

/// A text that is no need.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NeedError {
    /// Nothing is called so.
    #[error(
        "{name:?} is nothing that a host can be asked for{}\nknown: {}\nfor a program write `program({name})`",
        near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default(),
        Fact::names().collect::<Vec<_>>().join(", ")
    )]
    Unknown {
        /// The name.
        name: String,
        /// One that is like it.
        near: Option<&'static str>,
    },
    /// A version of what has none.
    #[error("`{0}` has no version to compare")]
    NoVersion(Fact),
    /// It has a version, and none is written.
    #[error("`{0}` is compared with a version, as in `{0} >= 6`")]
    VersionMissing(Fact),
    /// Not a version.
    #[error("{0:?} is not a version, such as `6` or `6.13`")]
    Version(String),
    /// `not landlock >= 6`.
    #[error("`not` does not go with a comparison: turn the comparison around")]
    NotCompared,
}

impl FromStr for Need {
    type Err = NeedError;

    fn from_str(text: &str) -> Result<Self, NeedError> {
        let text = text.trim();
        let (negated, text) = match text.strip_prefix("not ") {
            Some(rest) => (true, rest.trim()),
            None => (false, text),
        };
        let (name, version) = match text.find(['<', '>', '=']) {
            Some(at) if !text.starts_with("program(") => {
                let (name, rest) = text.split_at(at);
                let found =
                    Order::ALL.iter().find_map(|(symbol, order)| Some((rest.strip_prefix(symbol)?, *order)));
                let (version, order) = found.ok_or_else(|| NeedError::Version(rest.to_owned()))?;
                (name.trim(), Some((order, version.trim().parse()?)))
            }
            _ => (text, None),
        };
        let fact: Fact = name.parse()?;
        match version {
            Some(_) if negated => Err(NeedError::NotCompared),
            Some(_) if !fact.has_version() => Err(NeedError::NoVersion(fact)),
            // `not landlock` is a host without it; `landlock` alone one with any.
            None if fact == Fact::Kernel => Err(NeedError::VersionMissing(fact)),
            version => Ok(Self { fact, negated, version }),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_str("not ")?;
        }
        write!(f, "{}", self.fact)?;
        match self.version {
            Some((order, version)) => write!(f, " {} {version}", order.symbol()),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Need {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(text: &str) -> Result<Need, NeedError> {
        text.parse()
    }

    #[test]
    fn needs_read_as_they_are_written() {
        for text in
            ["landlock >= 6", "userns", "not root", "python3", "kernel >= 6.13", "x86_64", "program(my-tool)"]
        {
            assert_eq!(need(text).unwrap().to_string(), text);
        }
        assert_eq!(need(" landlock>=6 ").unwrap().to_string(), "landlock >= 6");
        assert_eq!(need("kernel==6.1").unwrap().to_string(), "kernel == 6.1");
    }

    #[test]
    fn what_is_no_need_is_said() {
        assert!(matches!(need("landlok >= 6"), Err(NeedError::Unknown { near: Some("landlock"), .. })));
        assert!(matches!(need("root >= 6"), Err(NeedError::NoVersion(Fact::Root))));
        assert!(matches!(need("kernel"), Err(NeedError::VersionMissing(Fact::Kernel))));
        assert!(matches!(need("landlock >= six"), Err(NeedError::Version(_))));
        assert!(matches!(need("landlock >="), Err(NeedError::Version(_))));
        assert!(matches!(need("landlock => 6"), Err(NeedError::Version(_))));
        assert!(matches!(need("not landlock >= 6"), Err(NeedError::NotCompared)));
        assert!(matches!(need("program(../x)"), Err(NeedError::Unknown { .. })));
        assert!(matches!(need(""), Err(NeedError::Unknown { near: None, .. })));
    }
}
