//! What reads foreign bytes and has no other way in: for `ci/fuzz`, and for nobody else.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::scenario::policy_file::{self, PolicyFile};
use crate::scenario::{Scenario, load};
use crate::trial::arguments::Shim;

/// A scenario file with this content.
///
/// # Errors
/// As [`load::load`].
pub fn scenarios(content: Vec<u8>) -> Result<Vec<Scenario>, Vec<Diagnostic>> {
    load::load_bytes(Path::new("/fuzz"), Path::new("/fuzz/case.yaml"), content)
}

/// A policy file with this content.
///
/// # Errors
/// As [`policy_file::load`].
pub fn policy(content: Vec<u8>) -> Result<PolicyFile, Vec<Diagnostic>> {
    policy_file::load_bytes(Path::new("/fuzz/policy.yaml"), content)
}

/// The filters of a test target's arguments, and what is left of these for libtest-mimic; or what is wrong with them.
///
/// # Errors
/// What a user would be told.
pub fn arguments(
    args: impl IntoIterator<Item = OsString>,
    threads: Option<&str>,
) -> Result<(Vec<String>, Vec<OsString>), String> {
    let shim = Shim::parse(args, threads).map_err(|error| error.to_string())?;
    let rest = shim.rest(Path::new("fuzz"));
    Ok((shim.filters, rest))
}
