//! Attempts: system calls that the prober makes, and the verdict that each must meet.
//!
//! It writes the prober's script and reads its results. It never runs it, and it never sees the verdict log: what to
//! look for there, it says.
#![forbid(unsafe_code)]

use std::path::Path;

use assize_core::prober::{Run, Script};
use assize_core::{Errno, Syscall};

use crate::scenario::place::YamlPath;

/// One item of `attempt`.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What must come.
    pub expect: Wanted,
}

/// What must come of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `deny`: it fails with `EPERM` or `EACCES`; `deny ERRNO`: with this. The verdict log must say that it was denied.
    Deny(Option<Errno>),
    /// `allow` and `ok`: it succeeds.
    Allow,
    /// `emulate`: it succeeds, and the verdict log says `emulate` or `inject`.
    Emulate,
    /// A bare errno: it fails with it; nothing is said of who decided.
    Fails(Errno),
    /// A number: it returns it.
    Returns(i64),
}

/// Attempts that were made into a script.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The script.
    pub script: Script,
}

/// One call of an attempt, as it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// The call.
    pub call: Syscall,
    /// Which item of `attempt`, from 0.
    pub item: usize,
    /// What it returned: a value or a negated error number. `None`: it was never made.
    pub result: Option<i64>,
    /// What was read from the descriptor that it returned, where `read` asked for that.
    pub read: Option<Vec<u8>>,
}

/// An attempt that did not come out as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFinding {
    /// What is wrong, in one line.
    pub title: String,
    /// Where it was wanted: `attempt[2].expect`.
    pub path: YamlPath,
    /// What came, for the label.
    pub label: String,
}

/// A verdict that must stand in the log for an attempt to be what was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedVerdict {
    /// The call.
    pub call: Syscall,
    /// One of these words of [`assize_core::trace::Action::word`].
    pub actions: &'static [&'static str],
    /// Where it was wanted: `attempt[2].expect`.
    pub path: YamlPath,
}

/// An attempt that can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AttemptError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub path: YamlPath,
}

/// Makes a script of attempts.
///
/// # Errors
/// An argument that the call doesn't have, or that can't be encoded.
pub fn compile(attempts: &[Attempt], work: &Path) -> Result<Compiled, AttemptError> {
    let _ = (attempts, work);
    Ok(Compiled { script: Script::default() })
}

impl Compiled {
    /// What came of each call, after the run.
    ///
    /// # Errors
    /// What reading the script's memory gives.
    pub fn came(&self, run: &Run) -> std::io::Result<Vec<Came>> {
        let _ = run;
        Ok(Vec::new())
    }

    /// What did not come out as wanted.
    #[must_use]
    pub fn judge(&self, came: &[Came]) -> Vec<AttemptFinding> {
        let _ = came;
        Vec::new()
    }

    /// What must also stand in the verdict log.
    #[must_use]
    pub fn verdicts(&self) -> Vec<WantedVerdict> {
        Vec::new()
    }
}
