//! What reads foreign bytes and has no other way in: for `ci/fuzz`, and for nobody else.
#![forbid(unsafe_code)]

use crate::guest::mounts;
use crate::handler::{MemoryError, memory_cstr};
pub use crate::plan::meaning::{Meaning, Meanings};
use crate::supervisor::exec;

/// The string at an address of a process.
///
/// # Errors
/// [`MemoryError`].
pub fn cstr(pid: u32, address: u64, limit: usize) -> Result<Vec<u8>, MemoryError> {
    memory_cstr(pid, address, limit)
}

/// The further names of a path under a table of mounts.
#[must_use]
pub fn aliases(table: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    mounts::aliases(&mounts::parse(table), path)
}

/// How many files a table of mappings names.
#[must_use]
pub fn mapped(table: &[u8]) -> usize {
    exec::mapped(table).len()
}
