//! What a scenario expects to observe.
#![forbid(unsafe_code)]

use serde::Deserialize;

/// What a scenario expects.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {}
