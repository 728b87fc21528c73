//! What was asked for: typed data, checked when a plan is made from it. No runtime state, no decisions.
#![forbid(unsafe_code)]

mod determinism;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub use determinism::{Clock, ClockMode, Kernel, Machine, Order, Schedule, Timestamp, Tsc};

use crate::Syscall;

/// What a guest may do, and what it is to believe about the machine.
///
/// The default grants no file at all, denies what every guest is denied, and controls nothing else.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Policy {
    /// Files.
    pub fs: FsPolicy,
    /// System calls.
    pub syscalls: SyscallPolicy,
    /// Limits of the whole tree of guests.
    pub limits: Limits,
    /// The guest's whole environment: nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    /// The host's name as the guest sees it; `None` leaves the real one.
    pub hostname: Option<String>,
    /// Seeds everything random that the guest can ask the kernel for; `None` leaves the real randomness.
    pub seed: Option<u64>,
    /// The time that the guests see; `None` leaves the real one.
    pub clock: Option<Clock>,
    /// Whether what `stat` tells of files is the same in every run: numbers, times, sizes of folders.
    pub metadata: bool,
    /// In which order folders are listed; `None` leaves that of the file system.
    pub directories: Option<Order>,
    /// The machine as the guests see it; `None` leaves the real one.
    pub machine: Option<Machine>,
    /// Whether programs start with the same limits and the same niceness whoever runs them.
    pub fixed_environment: bool,
    /// Whether programs lie at the same addresses in every run.
    pub fixed_addresses: bool,
    /// Whether `/proc` shows the guests alone, by the numbers that they have among themselves.
    pub own_proc: bool,
    /// Whether the report names programs that ask the processor itself, by `rdrand` and its kin.
    pub named_instructions: bool,
    /// What `rdtsc` gives.
    pub tsc: Tsc,
    /// In which order guests run.
    pub schedule: Schedule,
    /// Controls, by their names in the report, without which the run fails where this host can't give them.
    pub required: BTreeSet<String>,
    /// Whether the guests get a user and a pid namespace.
    pub isolation: Isolation,
    /// What to make visible that would otherwise be decided without an event.
    pub observe: Observe,
    /// Capabilities (by [`NAME`](crate::capability::Capability::NAME)) that are left out although the policy asks
    /// for them. For the twin of an attack, which must succeed once its defence is off.
    pub without: BTreeSet<String>,
}

/// Which files a guest may use. Granted by Landlock: a folder grants everything beneath it.
///
/// A path that doesn't exist is an error when the plan is made, unless it stands in `deny`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FsPolicy {
    /// May be read and listed.
    pub read: Vec<PathBuf>,
    /// May be read, written, created and removed.
    pub write: Vec<PathBuf>,
    /// May be executed; `None`: whatever may be read.
    pub exec: Option<Vec<PathBuf>>,
    /// May not be opened, executed, truncated, renamed, linked or removed, although a grant covers it: by whatever
    /// name. A folder denies everything beneath it.
    pub deny: Vec<PathBuf>,
}

/// System calls denied or allowed by name, on top of what every guest is denied.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SyscallPolicy {
    /// Answered `EPERM`.
    pub deny: BTreeSet<Syscall>,
    /// Lifts the denial that every guest has by default.
    pub allow: BTreeSet<Syscall>,
}

/// Limits of the whole tree of guests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Wall-clock time from the start; then every guest is killed.
    pub timeout: Option<Duration>,
}

/// Whether the guests get a user and a pid namespace of their own, under a small init.
///
/// In them no guest outlives the run, daemons included, even if the supervisor is killed. A policy that allows System V IPC
/// or POSIX message queues gives them an IPC namespace besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Where the host allows; the report says which it was.
    #[default]
    Auto,
    /// Or the run fails.
    Require,
    /// Not even where the host allows.
    Off,
}

/// What to make visible that would otherwise be decided inside the kernel without an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Observe {
    /// Every use of these calls becomes a verdict.
    pub calls: BTreeSet<Syscall>,
    /// These calls are seen in passing: they run in the kernel, and cost a third of what it takes to perform them. Their
    /// result is not known then, and a guest that changes the memory of its path in between shows another path than it
    /// uses. Calls that a rule judges by their path are performed all the same.
    pub in_passing: bool,
    /// Every denial by a rule becomes a verdict, and so does every open (whose denial is Landlock's).
    pub denials: bool,
    /// Readings of a clock of the guests' own become verdicts: they are made by calls, which otherwise only those are that
    /// the guest makes itself. So they are where one of these calls is named, here or by a handler.
    pub readings: bool,
    /// Start, exec and exit of each guest become events, and each verdict names its guest's place in the tree.
    pub processes: bool,
    /// The most that guests have at once is measured: [`Outcome::peak`](crate::Outcome::peak).
    pub peak: bool,
}
