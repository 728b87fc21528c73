//! `redact`: names for what differs from run to run.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error};

use super::Pattern;
use crate::schema::shape::{self, Shape, Shaped};

/// Names that stand, as `[NAME]` in a line of an expected text, for what a regular expression matches. `[PID]` is always
/// one: the number of a process.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(with = "BTreeMap<Name, Pattern>")]
pub struct Redactions(BTreeMap<String, Pattern>);

/// The number of a process.
const PID: &str = "PID";
/// The work folder: texts say it themselves.
const WORK: &str = "WORK";

static A_PID: LazyLock<Option<Pattern>> = LazyLock::new(|| "[1-9][0-9]*".parse().ok());

impl Redactions {
    /// None but those that are always there.
    #[must_use]
    pub fn none() -> &'static Self {
        static NONE: Redactions = Redactions(BTreeMap::new());
        &NONE
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).chain([PID])
    }

    /// What a name stands for.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Pattern> {
        if name == PID { A_PID.as_ref() } else { self.0.get(name) }
    }
}

/// Whether this can be a name: capital letters, digits and `_`, beginning with a letter.
pub(crate) fn is_redaction_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_ascii_uppercase())
        && name.len() <= 64
        && letters.all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

#[derive(PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(rename = "RedactionName", with = "Shaped<Self>")]
struct Name(String);

impl Shape for Name {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(&format!("^(?!({PID}|{WORK})$)[A-Z][A-Z0-9_]{{0,63}}$"))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if [PID, WORK].contains(&name.as_str()) {
            return Err(D::Error::custom(format_args!("`[{name}]` has a meaning already")));
        }
        if !is_redaction_name(&name) {
            return Err(D::Error::custom(format_args!(
                "`{}` can't be a name here\na name has capital letters, digits and `_`, and begins with a letter",
                name.chars().take(40).collect::<String>()
            )));
        }
        Ok(Self(name))
    }
}

impl<'de> Deserialize<'de> for Redactions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = BTreeMap::<Name, Pattern>::deserialize(deserializer)?;
        Ok(Self(named.into_iter().map(|(name, pattern)| (name.0, pattern)).collect()))
    }
}
