//! How a run ended, and which controls were in force. Data only.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::trace::{Arg, Args, BytesText, Exit, Place};
use crate::{Syscall, capability};

/// How a run ended, and what was in force.
#[derive(Debug)]
pub struct Outcome {
    /// How the command itself ended.
    pub end: End,
    /// Why so, as far as that is known.
    pub why: Option<Why>,
    /// What it and its children wrote to descriptor 1, where that was captured.
    pub stdout: Vec<u8>,
    /// And to descriptor 2.
    pub stderr: Vec<u8>,
    /// Which controls were in force.
    pub report: Report,
    /// From the start of the command to its end.
    pub took: Duration,
    /// The most that guests had at once, where that was to be measured ([`Observe::peak`](crate::policy::Observe::peak)).
    pub peak: Option<Peak>,
}

/// The most that the guests of a run had at once, also of those that were killed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Peak {
    /// Processes that lived at once, the command among them. A process lives from its birth until it is a zombie; its threads
    /// are none, and who shares memory but is no thread is one (`CLONE_VM` without `CLONE_THREAD`, `man 2 clone`).
    pub processes: u64,
    /// The largest resident set that one of the processes had at any time, in bytes: `VmHWM` of `man 5 proc_pid_status`, of each
    /// program that it executed. Pages that processes share count in each. `None`: it is not known, since the command was killed
    /// in the very moment in which it ended by itself, or where `/proc` shows it to nobody.
    pub memory: Option<u64>,
    /// That process's place in the tree.
    pub place: Option<Place>,
    /// And the program that it ran then.
    pub exe: Option<BytesText>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// By itself, or by a signal.
    Exit(Exit),
    /// Killed with all its children when its time was up.
    TimedOut(Duration),
    /// Killed because the caller gave the run up.
    Cancelled,
}

/// Why a command ended as it did. What is not known is not claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Why {
    /// Its time was up, or the run was given up: this is what it was doing.
    Doing(Doing),
    /// A handler sent the signal, in its answer to this call.
    Handler(Syscall),
    /// It executed a denied program, and was killed before that ran.
    Denied,
    /// The filter, which so ends whoever makes a call of another architecture. Known in runs whose guests are followed.
    Filter,
    /// Somebody sent the signal. Known in runs whose guests are followed, and for signals that can be caught.
    Sent(Sender),
}

/// Who sent a signal (`man 2 sigaction`, `si_code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sender {
    /// The command sent it to itself, as `abort` does.
    Itself,
    /// Another guest.
    Guest,
    /// A process that is no guest.
    Outside,
    /// The kernel: for a fault, or because a timer ran out.
    Kernel,
}

/// What a process was doing: the command or, where that only waited for a child, the innermost one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doing {
    /// The program's name, as the kernel keeps it: at most 15 bytes.
    pub program: BytesText,
    /// And what its first thread was doing.
    pub activity: Activity,
}

/// What a thread was doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// It ran, or could have.
    Running,
    /// It waited in this call.
    Call {
        /// Which.
        call: Syscall,
        /// With these arguments.
        args: Args,
    },
    /// A signal had stopped it.
    Stopped,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doing(doing) => doing.fmt(f),
            Self::Handler(call) => write!(f, "a handler sent the signal, in its answer to {call}"),
            Self::Denied => f.write_str("it executed a denied program, and was killed before that ran"),
            Self::Filter => f.write_str("the filter killed it, for a call of another architecture"),
            Self::Sent(Sender::Itself) => f.write_str("it sent the signal to itself"),
            Self::Sent(Sender::Guest) => f.write_str("another guest sent the signal"),
            Self::Sent(Sender::Outside) => f.write_str("a process that is no guest sent the signal"),
            Self::Sent(Sender::Kernel) => {
                f.write_str("the kernel sent the signal: a fault, or a timer that ran out")
            }
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.activity {
            Activity::Running => write!(f, "{} was running", self.program),
            Activity::Stopped => write!(f, "{} was stopped by a signal", self.program),
            Activity::Call { call, args } => {
                write!(f, "{} was in {call}", self.program)?;
                // What it waited for. Numbers and pointers say nothing of that.
                let says = |arg: &&Arg| matches!(arg, Arg::Fd(_) | Arg::Path(_) | Arg::Address(_));
                let told: Vec<_> =
                    args.0.iter().map(|(_, arg)| arg).filter(says).map(Arg::to_string).collect();
                if told.is_empty() { Ok(()) } else { write!(f, "({})", told.join(", ")) }
            }
        }
    }
}

/// The control that is a user and a pid namespace.
pub(crate) const ISOLATION: &str = "isolation";
/// The control that is a limit of time.
pub(crate) const TIMEOUT: &str = "timeout";

/// What controls are called: a run's report has one of each name.
pub fn control_names() -> impl Iterator<Item = &'static str> {
    let capabilities = crate::capability::ALL.iter().map(|declared| declared.name);
    capabilities.chain([ISOLATION, TIMEOUT])
}

/// Which controls were in force in a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// A line per control.
    pub controls: Vec<Control>,
    /// Events that a sink could not take; at least one if a sink could not keep what it took.
    pub events_lost: u64,
}

impl Report {
    /// Whether the guests ran one at a time, each until it waited.
    #[must_use]
    pub fn is_serial(&self) -> bool {
        let serial = |control: &&Control| control.name == capability::SCHEDULE;
        self.controls.iter().find(serial).is_some_and(Control::holds_throughout)
    }
}

impl ControlState {
    /// Whether it was in force.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Self::Proven(_) | Self::InForce(_))
    }
}

impl fmt::Display for ControlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proven(saw) => write!(f, "proven: {saw}"),
            Self::InForce(how) if how.is_empty() => f.write_str("in force"),
            Self::InForce(how) => write!(f, "in force: {how}"),
            Self::NotAsked => f.write_str("not asked for"),
            Self::LeftOut => f.write_str("left out by `without`"),
            Self::Unavailable(why) => write!(f, "NOT available here: {why}"),
        }
    }
}

/// A control, and whether it was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Control {
    /// What it is called: `fs`, `random`, `isolation`, ...
    pub name: String,
    /// Whether it was.
    pub state: ControlState,
    /// What of this run it is about, where it can't be had: who asked the processor itself, say. Where it was in force: when it was
    /// not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<String>,
}

impl Control {
    /// A control of which there is no more to say.
    #[must_use]
    pub fn new(name: impl Into<String>, state: ControlState) -> Self {
        Self { name: name.into(), state, seen: Vec::new() }
    }

    /// Whether it was in force for the whole run.
    #[must_use]
    pub fn holds_throughout(&self) -> bool {
        self.state.holds() && self.seen.is_empty()
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        if self.seen.is_empty() { Ok(()) } else { write!(f, "; {}", self.seen.join(", ")) }
    }
}

/// Whether a control was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlState {
    /// Asked for, and shown by a probe inside the sandbox to be in force: what the probe saw.
    Proven(String),
    /// Asked for and set up; no probe can show it.
    InForce(String),
    /// Not asked for.
    NotAsked,
    /// Left out by `without`.
    LeftOut,
    /// This host cannot give it, and the policy allowed that: why.
    Unavailable(String),
}
