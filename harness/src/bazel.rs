//! What Bazel says to a test, by variables: its "test encyclopedia". Both entries, the test target and `assize run`, hear
//! it; whoever runs tests without Bazel sets none of them.
//!
//! | variable | effect |
//! | --- | --- |
//! | `TEST_TOTAL_SHARDS`, `TEST_SHARD_INDEX` | only the scenarios of that part are run; see [`Shard`] |
//! | `TEST_SHARD_STATUS_FILE` | is touched, by which Bazel knows that parts are heard of |
//! | `TESTBRIDGE_TEST_ONLY` | `--test_filter`: only those whose name contains it |
//! | `TEST_TMPDIR` | where temporary folders lie |
//! | `XML_OUTPUT_FILE` | where a report is written as JUnit's |
#![forbid(unsafe_code)]

use std::env::{self, VarError};
use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::shard::Shard;

const TOTAL: &str = "TEST_TOTAL_SHARDS";
const INDEX: &str = "TEST_SHARD_INDEX";
const STATUS: &str = "TEST_SHARD_STATUS_FILE";
const ONLY: &str = "TESTBRIDGE_TEST_ONLY";
const TEMPORARY: &str = "TEST_TMPDIR";
const REPORT: &str = "XML_OUTPUT_FILE";

/// What Bazel says that nobody could act on.
#[derive(Debug, thiserror::Error)]
pub enum BazelError {
    /// The numbers do not name a part.
    #[error("{TOTAL} is {total:?} and {INDEX} is {index:?}: they should be a number, and one less than it")]
    Shard {
        /// How many parts there are.
        total: String,
        /// Which it is, from 0.
        index: String,
    },
    /// The file by which Bazel knows that parts are heard of could not be made.
    #[error("{STATUS}: {}: {error}", path.display())]
    Status {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What is asked for is not text, so no test has such a name.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
}

/// The part of the tests that Bazel wants from this process; it is told that it will get it.
///
/// # Errors
/// [`BazelError`].
pub fn shard() -> Result<Option<Shard>, BazelError> {
    let Some(total) = text(TOTAL)? else { return Ok(None) };
    let index = text(INDEX)?.unwrap_or_default();
    let shard = match (index.parse(), total.parse()) {
        (Ok(index), Ok(total)) => Shard::from_zero(index, total),
        _ => None,
    };
    let shard = shard.ok_or(BazelError::Shard { total, index })?;
    if let Some(path) = path(STATUS) {
        let touched = File::options().create(true).append(true).open(&path);
        let touched = touched.and_then(|file| file.set_modified(std::time::SystemTime::now()));
        touched.map_err(|error| BazelError::Status { path, error })?;
    }
    Ok(Some(shard))
}

/// The only tests that Bazel wants: those whose name contains this.
///
/// # Errors
/// [`BazelError::NotText`].
pub fn only() -> Result<Option<String>, BazelError> {
    text(ONLY)
}

/// Where Bazel wants temporary folders.
#[must_use]
pub fn temporary() -> Option<PathBuf> {
    path(TEMPORARY)
}

/// Where Bazel wants a report as JUnit's.
#[must_use]
pub fn report() -> Option<PathBuf> {
    path(REPORT)
}

fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn text(name: &'static str) -> Result<Option<String>, BazelError> {
    match env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(BazelError::NotText(name)),
    }
}
