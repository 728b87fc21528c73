//! Calls by name: `openat`, or every spelling of an operation: `family(open)`.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use assize_core::Syscall;
use assize_core::syscall::family::{ALL, Family};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error};

use super::fault::nearest;
use crate::schema::shape::{self, Shape, Shaped};

/// One call, or every spelling of one operation.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Calls {
    text: String,
    calls: Vec<Syscall>,
}

/// A text that names no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallsError {
    /// No syscall has this name.
    #[error("{name:?} is not a syscall of x86_64{}", meant(.near.as_deref()))]
    Syscall {
        /// The name.
        name: String,
        /// One that is like it.
        near: Option<String>,
    },
    /// No filter is asked about it.
    #[error("{0} can't be denied: the kernel asks no filter about it")]
    Unfiltered(Syscall),
    /// No family has this name.
    #[error("there is no family {name:?}{}", meant_or_all(.near.as_deref()))]
    Family {
        /// The name.
        name: String,
        /// One that is like it.
        near: Option<String>,
    },
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// The list is long: it is for those whom nothing else helps.
fn meant_or_all(near: Option<&str>) -> String {
    match near {
        Some(_) => meant(near),
        None => format!("\nfamilies: {}", families().collect::<Vec<_>>().join(", ")),
    }
}

impl Calls {
    /// The calls.
    #[must_use]
    pub fn calls(&self) -> &[Syscall] {
        &self.calls
    }

    /// Whether it was written as a family.
    #[must_use]
    pub fn is_family(&self) -> bool {
        self.text.starts_with("family(")
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Calls {
    type Err = CallsError;

    fn from_str(text: &str) -> Result<Self, CallsError> {
        let short = |name: &str| name.chars().take(40).collect::<String>();
        if let Some(name) = text.strip_prefix("family(").and_then(|rest| rest.strip_suffix(')')) {
            let calls = family(name).ok_or_else(|| CallsError::Family {
                name: short(name),
                near: nearest(name, families()).map(str::to_owned),
            })?;
            return Ok(Self { text: text.to_owned(), calls });
        }
        let call = Syscall::named(text).map_err(|_| CallsError::Syscall {
            name: short(text),
            near: nearest(text, Syscall::all().map(Syscall::name)).map(str::to_owned),
        })?;
        Ok(Self { text: text.to_owned(), calls: vec![call] })
    }
}

impl Shape for Calls {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        let written: Vec<String> = families().map(written).collect();
        let families =
            shape::told(written.iter().map(String::as_str).zip(ALL.iter().map(|family| family.doc)));
        shape::any_of([families, shape::words(Syscall::all().map(Syscall::name))])
    }
}

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Reads calls that are to be denied.
pub(super) fn deniable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Calls>, D::Error> {
    struct Deniable(Calls);
    impl<'de> Deserialize<'de> for Deniable {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let calls = Calls::deserialize(deserializer)?;
            match calls.calls().iter().find(|call| !call.is_filtered()) {
                Some(call) => Err(D::Error::custom(CallsError::Unfiltered(*call))),
                None => Ok(Self(calls)),
            }
        }
    }
    let calls = Vec::<Deniable>::deserialize(deserializer)?;
    Ok(calls.into_iter().map(|calls| calls.0).collect())
}

/// Every spelling of an operation.
fn family(name: &str) -> Option<Vec<Syscall>> {
    Family::named(name).map(|family| family.syscalls().collect())
}

/// A family as it is written.
fn written(name: &str) -> String {
    format!("family({name})")
}

/// The names of families, as they are written, each with its calls.
pub(super) fn written_families() -> impl Iterator<Item = String> {
    families().map(written)
}

/// The names of all families.
fn families() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|family| family.name)
}
