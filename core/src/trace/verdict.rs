//! The verdict: what was answered to one call, by whom, and why that is sound.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use super::{Args, BytesText, Place};
use crate::{Errno, Syscall};

/// What was answered to one call of one guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The call.
    pub call: Syscall,
    /// Its arguments, decoded.
    pub args: Args,
    /// The file that its path led to, as the kernel names it, where a path was resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<BytesText>,
    /// What was answered.
    pub action: Action,
    /// Who decided.
    pub by: Origin,
    /// Why the answer is sound.
    pub grounds: Grounds,
    /// What the guest got: a value, or a negated error number. `None` if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<i64>,
    /// How far `result` is known.
    pub known: Known,
    /// The thread that asked, as the host numbers it.
    pub pid: u32,
    /// The place in the tree of the process that asked, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The program it was running, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<BytesText>,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The call ran: in the kernel, or performed on the guest's behalf.
    Allow,
    /// The call failed by decision of a rule, a handler or Landlock.
    Deny(Errno),
    /// The call did not run; the guest got this value.
    Emulate(i64),
    /// The call did not run; the guest got a descriptor that was made for it.
    Inject,
    /// The call is not answered while the run lasts.
    Hold,
    /// The answer comes later, in a verdict of its own.
    Defer,
    /// A signal was sent instead of an answer.
    Kill(i32),
}

impl Action {
    /// The word for it in a scenario: `allow`, `deny`, `emulate`, `inject`, `hold`, `defer`, `kill`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny(_) => "deny",
            Self::Emulate(_) => "emulate",
            Self::Inject => "inject",
            Self::Hold => "hold",
            Self::Defer => "defer",
            Self::Kill(_) => "kill",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny(errno) => write!(f, "deny {errno}"),
            Self::Emulate(value) => write!(f, "emulate {value}"),
            Self::Kill(signal) => write!(f, "kill {signal}"),
            other => f.write_str(other.word()),
        }
    }
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A rule of a capability.
    Rule {
        /// The capability's name.
        capability: Cow<'static, str>,
        /// What the rule says of itself.
        rule: Cow<'static, str>,
    },
    /// A handler that was given to the run, by its place in the list.
    Handler(usize),
    /// A handler that has a name: what it calls itself.
    Named(Cow<'static, str>),
    /// Landlock: the kernel refused what the policy doesn't grant.
    Landlock,
    /// The kernel, by its ordinary rules (permissions, missing files, ...).
    Kernel,
    /// The supervisor itself: a limit was reached, or an answer could not be given.
    Supervisor(Cow<'static, str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { capability, rule } => write!(f, "{capability} ({rule})"),
            Self::Handler(place) => write!(f, "handler {place}"),
            Self::Named(name) => f.write_str(name),
            Self::Landlock => f.write_str("landlock"),
            Self::Kernel => f.write_str("kernel"),
            Self::Supervisor(why) => write!(f, "supervisor ({why})"),
        }
    }
}

/// Why the answer is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grounds {
    /// The call never reached the kernel.
    Emulated,
    /// Only registers were looked at, which no other thread can change.
    Registers,
    /// The kernel itself judges the call, under Landlock.
    Landlock,
    /// The object was pinned, judged, and then used through the pin.
    Pinned,
    /// Nothing depends on it but what is shown.
    NotSecurity,
    /// The call never reached the kernel, and the answer is the guests' time: how often a guest asks for it may depend on when
    /// other guests run.
    Time,
    /// The call was only noted, and ran as it was: what it waits for decides how often it is made.
    Noted,
}

/// How far a result is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// Made by the supervisor, or performed by it on the guest's behalf.
    Performed,
    /// Read from the guest, stopped at the end of the call.
    Stopped,
    /// What the filter or the kernel gives for such a call, not seen itself.
    Predicted,
    /// The kernel ran the call and nobody looked.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.call, self.args)?;
        match self.result {
            Some(value @ -4095..=-1) => write!(f, " = -1 {}", Errno::new((-value) as i32))?,
            Some(value) => write!(f, " = {value}")?,
            None => f.write_str(" = ?")?,
        }
        write!(f, "   {} by {}", self.action.word(), self.by)?;
        if let Some(target) = &self.target
            && self.args.paths().all(|path| path != target)
        {
            write!(f, ", on {target:?}")?;
        }
        if let Some(exe) = &self.exe {
            write!(f, ", in {exe}")?;
        }
        Ok(())
    }
}
