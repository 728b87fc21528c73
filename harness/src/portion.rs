//! Which of the tests that are found are wanted of this process, as whoever started it says: a shard, and Bazel's filter.
//!
//! That nothing is left is no mistake here, unlike a filter of a person's own that hits nothing: another machine has it.
#![forbid(unsafe_code)]

use std::env::{self, VarError};

use crate::bazel::{self, BazelError};
use crate::shard::{self, Shard, ShardError};

/// What is wanted of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Portion {
    shard: Option<Shard>,
    only: Option<String>,
}

/// Why nobody knows what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum PortionError {
    /// What `ASSIZE_SHARD` says is none.
    #[error("ASSIZE_SHARD: {0}")]
    Shard(#[from] ShardError),
    /// What Bazel says can't be followed.
    #[error(transparent)]
    Bazel(#[from] BazelError),
    /// Two parts are asked for.
    #[error(
        "Bazel asks for the shard {bazel}, and {other} is asked for as well: only one of them can be had"
    )]
    Two {
        /// Bazel's.
        bazel: Shard,
        /// The other.
        other: Shard,
    },
}

impl Portion {
    /// What the environment says; the shard of a command line goes before that of `ASSIZE_SHARD`.
    ///
    /// # Errors
    /// [`PortionError`].
    pub fn from_env(chosen: Option<Shard>) -> Result<Self, PortionError> {
        let own = match (chosen, env::var(shard::VARIABLE)) {
            (Some(shard), _) => Some(shard),
            (None, Ok(text)) if !text.is_empty() => Some(text.parse()?),
            (None, Ok(_) | Err(VarError::NotPresent)) => None,
            (None, Err(VarError::NotUnicode(text))) => Some(text.to_string_lossy().parse()?),
        };
        let shard = match (bazel::shard()?, own) {
            (Some(bazel), Some(other)) => return Err(PortionError::Two { bazel, other }),
            (one, other) => one.or(other),
        };
        Ok(Self { shard, only: bazel::only()? })
    }

    /// Whether the test of this name belongs to it.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
            && self.shard.is_none_or(|shard| shard.holds(name))
    }
}
