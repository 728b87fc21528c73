//! Events: verdicts, and what happens to the guests themselves.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{BytesText, Verdict};

/// The version of the event format, written with every event. It grows when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// One thing that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its place in the run, from 1 up, without gaps. [`Body::Dropped`] has the place of the first event that was lost.
    pub seq: u64,
    /// Time since the start of the run.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// Of a verdict: how long its guest waited for the answer, from when the call was received. What the kernel then took to
    /// run the call is not in it. `None` where nobody measured.
    #[serde(skip)]
    pub took: Option<Duration>,
    /// What happened.
    pub body: Body,
}

fn seconds<S: Serializer>(at: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(at.as_secs_f64())
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// A call was decided.
    Verdict(Box<Verdict>),
    /// A guest was born.
    Start {
        /// As the host numbers it.
        pid: u32,
        /// Its place in the tree.
        place: Place,
    },
    /// A guest now runs another program.
    Exec {
        /// As the host numbers it.
        pid: u32,
        /// Its place in the tree.
        place: Place,
        /// The program.
        exe: BytesText,
    },
    /// A guest ended.
    Exit {
        /// As the host numbers it.
        pid: u32,
        /// Its place in the tree.
        place: Place,
        /// How, where the kernel tells.
        how: Option<Exit>,
    },
    /// Events were lost here, because the sink could not take them.
    Dropped {
        /// How many.
        count: u64,
    },
    /// Something that a person should know: a handler that panicked, a limit that was reached.
    Note {
        /// In words.
        text: String,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// It exited with this code.
    Code(u8),
    /// A signal killed it.
    Signal(i32),
}

impl Exit {
    /// From a wait status (`man 2 wait`).
    #[must_use]
    pub fn from_wait_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal(libc::WTERMSIG(status))
        } else {
            Self::Code(u8::try_from(libc::WEXITSTATUS(status) & 0xff).unwrap_or(u8::MAX))
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// A process's place in the tree of guests: `/0` is the command itself, `/0/1` its second child.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Arc<[u32]>);

/// So that a place is found by its steps, without being made.
impl std::borrow::Borrow<[u32]> for Place {
    fn borrow(&self) -> &[u32] {
        &self.0
    }
}

impl Place {
    /// The command itself.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from([0]))
    }

    /// The place of whoever makes the probes: no guest has it.
    pub(crate) fn probe() -> Self {
        Self(Arc::default())
    }

    /// The `nth` child of this process, counted from 0 by order of creation.
    #[must_use]
    pub fn child(&self, nth: u32) -> Self {
        Self(self.0.iter().copied().chain([nth]).collect())
    }

    /// The process that made this one; `None`: no guest did.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, steps) = self.0.split_last()?;
        (!steps.is_empty()).then(|| Self(steps.into()))
    }

    /// The steps from the root.
    #[must_use]
    pub fn steps(&self) -> &[u32] {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{step}"))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is not a place such as `/0/1`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a place in the tree of guests, such as `/0` or `/0/1`")]
pub struct PlaceError(String);

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let steps = text
            .strip_prefix('/')
            .and_then(|rest| rest.split('/').map(|step| step.parse().ok()).collect::<Option<Vec<u32>>>());
        steps.map(|steps| Self(steps.into())).ok_or_else(|| PlaceError(text.to_owned()))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
