//! Variables of the environment that say yes or no.
//!
//! Nobody should wait for what doesn't come: what is neither ends the run, and is no silent no.
#![forbid(unsafe_code)]

use std::env;

/// A variable that says neither yes nor no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is `{value}`: it should be 1, or 0 for no")]
pub(crate) struct NeitherError {
    name: &'static str,
    value: String,
}

/// Whether a variable says yes: `1`. No is `0`, empty, or that it isn't set.
///
/// # Errors
/// [`NeitherError`] for whatever else it says.
pub(crate) fn says_yes(name: &'static str) -> Result<bool, NeitherError> {
    let Some(value) = env::var_os(name) else { return Ok(false) };
    match value.to_str() {
        Some("1") => Ok(true),
        Some("" | "0") => Ok(false),
        _ => Err(NeitherError { name, value: value.to_string_lossy().into_owned() }),
    }
}
