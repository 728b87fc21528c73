//! The envelope: every known source of nondeterminism, and what is done about it.
//!
//! Data alone: what it claims is shown by the scenario that each line names.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt;

/// A source of nondeterminism.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// What differs from run to run, left to itself.
    pub what: &'static str,
    /// What is done about it.
    pub hold: Hold,
    /// Which control does it, by its name in the report.
    pub by: Option<&'static str>,
    /// How, and within which limits.
    pub how: &'static str,
    /// The scenario that shows it, beneath `scenarios`.
    pub shown_by: Option<&'static str>,
}

/// What is done about a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The kernel is told to do it in one way.
    Controlled,
    /// The answer is made up.
    Emulated,
    /// Runs are given different ones on purpose, to find who depends on it.
    Varied,
    /// Nothing.
    NotControlled,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Controlled => "controlled",
            Self::Emulated => "emulated",
            Self::Varied => "varied",
            Self::NotControlled => "not controlled",
        })
    }
}

/// The names of all controls that hold something still.
pub fn controls() -> impl Iterator<Item = &'static str> {
    let names: BTreeSet<_> = ENVELOPE.iter().filter_map(|source| source.by).collect();
    names.into_iter()
}

const fn held(
    what: &'static str,
    hold: Hold,
    by: &'static str,
    how: &'static str,
    shown_by: &'static str,
) -> Source {
    Source { what, hold, by: Some(by), how, shown_by: Some(shown_by) }
}

const fn loose(what: &'static str, how: &'static str) -> Source {
    Source { what, hold: Hold::NotControlled, by: None, how, shown_by: None }
}

/// Every known source.
pub const ENVELOPE: &[Source] = &[
    held(
        "getrandom, getentropy",
        Hold::Emulated,
        "random",
        "a stream for each process, by the seed and its place in the tree",
        "random/a-seed-fixes-every-door-of-randomness.yaml",
    ),
    held(
        "/dev/urandom, /dev/random",
        Hold::Emulated,
        "random",
        "a stream for each open, from a character device",
        "random/the-random-device-stays-a-device.yaml",
    ),
    held(
        "/proc/sys/kernel/random/uuid",
        Hold::Emulated,
        "random",
        "a UUID for each open",
        "random/each-uuid-of-the-kernel-is-a-new-one.yaml",
    ),
    held(
        "AT_RANDOM: stack protectors, pointer guards, hash seeds of programs",
        Hold::Controlled,
        "random",
        "sixteen bytes of the seed at each exec",
        "random/other-programs-draw-the-same.yaml",
    ),
    held(
        "the vDSO's getrandom",
        Hold::Controlled,
        "random",
        "switched off: libc then makes the call",
        "random/other-programs-draw-the-same.yaml",
    ),
    held(
        "the host's name",
        Hold::Emulated,
        "hostname",
        "uname and the files that hold it",
        "hostname/deterministic-runs-have-one-name.yaml",
    ),
    held(
        "every clock that the kernel reads, by call or by the vDSO, and the order of time in a tree of processes",
        Hold::Emulated,
        "clock",
        "each process has its own time, which a child takes from its parent and a parent from the children it waits for",
        "corpus/what-interpreters-make-is-the-same.yaml",
    ),
    held(
        "the order of folders",
        Hold::Emulated,
        "directories",
        "listed by the bytes of the names",
        "corpus/what-interpreters-make-is-the-same.yaml",
    ),
    held(
        "processors, memory, load, the kernel's release",
        Hold::Emulated,
        "machine",
        "one processor, 4 GiB and a fixed release, unless the scenario says otherwise",
        "corpus/what-a-script-asks-is-the-same.yaml",
    ),
    held(
        "addresses",
        Hold::Controlled,
        "addresses",
        "no randomised layout; the stack's strings have one length",
        "corpus/what-a-script-asks-is-the-same.yaml",
    ),
    held(
        "limits, niceness, locale, time zone",
        Hold::Controlled,
        "environment",
        "the same whoever runs it",
        "environment/limits-are-the-same-for-every-caller.yaml",
    ),
    loose("rdrand, rdseed", "instructions of the processor, which no policy reaches"),
    loose("cpuid", "an instruction of the processor; Linux can trap it on some processors alone"),
    loose(
        "the order in which guests that share something run",
        "held only by `schedule: serial`, where the host gives real-time priority",
    ),
];
