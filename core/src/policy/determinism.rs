//! What is made the same in every run: the clock, the machine, the schedule.
#![forbid(unsafe_code)]

use std::time::Duration;

use serde::Serialize;

/// The time that the guests see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// `CLOCK_REALTIME` when the run begins.
    pub start: Timestamp,
    /// How it goes on from there.
    pub mode: ClockMode,
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
}

/// How a clock goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockMode {
    /// It stands, but for what is slept.
    Frozen,
    /// Each reading moves it on.
    Logical {
        /// By so much.
        step: Duration,
    },
    /// As the real one, from exactly the start.
    Offset,
}

/// An order of the names in a folder, by their bytes; `.` and `..` come first in each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The lowest first.
    #[default]
    Sorted,
    /// The highest first: a run in this order and one in the other show whether the order of a folder matters.
    Reversed,
}

/// What the guests see of the machine; of what is `None` they see the real one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// How many processors, from 1 to 1024.
    pub cpus: Option<u32>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// The kernel.
    pub kernel: Option<Kernel>,
}

/// How the kernel names itself: at most 64 bytes each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
}

/// What `rdtsc` gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tsc {
    /// The processor's own counter.
    #[default]
    Real,
    /// A counter of the supervisor's. Each reading takes a signal.
    Emulate,
}

/// In which order guests run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// As the kernel pleases.
    #[default]
    Any,
    /// One at a time, on one processor, and none is interrupted for another.
    Serial,
}
