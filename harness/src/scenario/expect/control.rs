//! The name of a control, as a report has it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use assize_core::outcome::control_names;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error};

use super::TextPattern;
use super::form::FormError;
use crate::schema::shape::{self, Shape, Shaped};

/// The name of a control.
#[derive(PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub(super) struct ControlName(String);

impl Shape for ControlName {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(&format!("^({})$", shape::alternatives(control_names())))
    }
}

impl<'de> Deserialize<'de> for ControlName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if control_names().any(|known| known == name) {
            return Ok(Self(name));
        }
        Err(D::Error::custom(FormError::unknown("the control", &name, control_names())))
    }
}

/// Reads the map of `controls`.
pub(super) fn by_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, TextPattern>, D::Error> {
    let controls = BTreeMap::<ControlName, TextPattern>::deserialize(deserializer)?;
    Ok(controls.into_iter().map(|(name, pattern)| (name.0, pattern)).collect())
}
