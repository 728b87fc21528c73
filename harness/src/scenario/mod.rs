//! Scenarios: the typed form of a YAML file, where each part of it stands, and loading.
//!
//! Nothing here runs a scenario, judges a host or compares an outcome.
#![forbid(unsafe_code)]

pub mod action;
pub mod calls;
mod deserialize;
pub mod deterministic;
pub mod each;
pub mod expect;
mod fault;
pub mod files;
pub mod load;
pub mod model;
pub mod place;
pub mod policy;
pub mod policy_file;
pub mod quantity;
pub mod template;
mod tree;

pub use action::Action;
pub use load::{discover, load, load_named};
pub use model::{Scenario, TestName};
pub use place::{SourceMap, Span, Step, YamlPath};
