//! Scenarios: the typed form of a YAML file, where each part of it stands, and loading.
//!
//! Nothing here runs a scenario, judges a host or compares an outcome.
#![forbid(unsafe_code)]

pub mod action;
pub mod calls;
mod collect;
mod deserialize;
pub mod deterministic;
mod document;
mod each;
pub mod expect;
mod extends;
mod fault;
pub mod files;
pub mod handlers;
pub mod inject;
pub mod load;
pub mod model;
pub mod outside;
pub mod place;
pub mod policy;
pub mod policy_file;
pub mod quantity;
mod shared;
pub mod sweep;
pub mod template;
mod tree;
pub mod turn;

pub use action::Action;
pub(crate) use document::schema as scenario_schema;
pub(crate) use extends::is_in_project;
pub(crate) use fault::nearest;
pub use load::{discover, load, load_named};
pub use model::{Scenario, TestName};
pub use place::{SourceMap, Span, Step, YamlPath};
pub use shared::unused_parts;

/// Attempts from a YAML list alone.
#[cfg(test)]
pub(crate) fn attempts(yaml: &str) -> Result<Vec<crate::attempt::Attempt>, String> {
    let source = tree::parse(yaml).map_err(|fault| fault.to_string())?;
    let document = source.documents.first().ok_or("no document")?;
    deserialize::typed(document).map_err(|fault| fault.to_string())
}
