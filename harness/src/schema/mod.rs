//! The JSON schema of scenarios, for editors that complete and check them: derived from the types that read them.
//!
//! It is draft-07, which such editors know. It never reads a scenario, and where it can't say what the reading says, it allows more.
#![forbid(unsafe_code)]

mod finish;
pub(crate) mod shape;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::scenario::{policy_file, scenario_schema};

/// What a schema is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A scenario.
    #[default]
    Scenario,
    /// A part that scenarios share by `extends`: as a scenario, of which anything may be missing.
    Part,
    /// A policy in a file of its own, as `assize exec --policy` takes it.
    Policy,
}

/// The schema.
#[must_use]
pub fn schema(kind: Kind) -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let (schema, title) = match kind {
        Kind::Scenario | Kind::Part => (scenario_schema(&mut generator), "Assize: a scenario, version 1"),
        Kind::Policy => (policy_file::schema(&mut generator), "Assize: a policy, version 1"),
    };
    let mut schema = Value::from(schema);
    if let (Kind::Part, Some(map)) = (kind, schema.as_object_mut()) {
        map.remove("anyOf");
        if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("name");
        }
    }
    finish::finish(&mut schema);
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), json!(title));
    }
    schema
}

/// The schema as the text of a file.
#[must_use]
pub fn text(kind: Kind) -> String {
    format!("{:#}\n", schema(kind))
}
