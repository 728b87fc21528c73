//! From a plan to a confined child, and from its end to an outcome.
//!
//! One unconfined thread per run, the keeper, prepares the descriptors, starts the worker, does for it what its
//! confinement forbids, moves what is captured, keeps the time, and sees to it that nobody is left. It answers no call.
#![forbid(unsafe_code)]

mod doing;
mod keeper;
mod pipes;
mod program;
pub mod standing;
mod tree;
mod turns;

pub(crate) use keeper::{Keeper, Stdio};
pub(crate) use tree::{forbids_namespaces, forbids_own_proc};

use crate::Errno;
use crate::sys::clone::{Failure, Step};

/// The umask that a guest starts with.
pub(crate) const UMASK: u32 = 0o022;

/// The hard and the soft `RLIMIT_CORE` of guests, in bytes. So small, no file is written; and this one value, by which the
/// kernel knows its own handlers when they crash, also keeps it from starting the host's handler (`coredump_pipe` in
/// `fs/coredump.c`), which 0 does not. A `core_pattern` with `@` (a socket, Linux 6.16) asks for no limit.
pub(crate) const CORE_LIMIT: u64 = 1;

/// Why a command couldn't be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The program could not be executed.
    #[error("{program:?} could not be executed: {errno}{}", hint(*.errno))]
    Exec {
        /// The program.
        program: String,
        /// Why.
        errno: Errno,
    },
    /// The folder to start in can't be entered.
    #[error("the folder {folder:?} can't be entered: {errno}")]
    Folder {
        /// The folder.
        folder: std::path::PathBuf,
        /// Why.
        errno: Errno,
    },
    /// An argument or a variable contains a zero byte.
    #[error("{what} contains a zero byte")]
    Zero {
        /// Which.
        what: &'static str,
    },
    /// Another step failed.
    #[error("the command could not be started, when {step}: {errno}")]
    Step {
        /// Which.
        step: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The policy requires namespaces and this host doesn't give them.
    #[error("the policy requires a user and a pid namespace, which this host does not give: {errno}")]
    NoNamespaces {
        /// What `clone` or the id maps gave.
        errno: Errno,
    },
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EACCES => {
            " (does the policy grant it, its interpreter and their folders for reading and execution?)"
        }
        Errno::ENOENT => " (it, or the interpreter that it names, does not exist)",
        _ => "",
    }
}

impl From<Failure> for LaunchError {
    fn from(failure: Failure) -> Self {
        match failure.step {
            Step::Exec => Self::Exec { program: String::new(), errno: failure.errno },
            step => Self::Step { step: step.words(), errno: failure.errno },
        }
    }
}
