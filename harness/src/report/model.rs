//! A finished run as data: the one thing that every report is made of.
//!
//! It holds what was found and seen. It judges nothing, formats nothing and reads no file.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use assize_core::outcome::Report;
use assize_core::trace::Event;

use crate::diagnostic::Diagnostic;
use crate::runner::Cell;

/// More of an output is not held: its end explains most. The whole of it lies in the kept artefacts.
const MOST_OUTPUT: usize = 32 << 10;
/// More events of one scenario are not held.
const MOST_EVENTS: usize = 100_000;
/// More events of all scenarios together are not held: some hundreds of megabytes.
const MOST_EVENTS_OF_ALL: usize = 1_000_000;

/// A finished run.
#[derive(Debug)]
pub struct Run {
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Its scenarios.
    pub tested: Vec<Tested>,
    /// How many scenarios were left out by filters.
    pub filtered_out: usize,
    /// The number by which they were put into another order, if they were.
    pub shuffled: Option<u64>,
    /// The signal that interrupted it, if one did.
    pub interrupted: Option<i32>,
}

/// What came of one scenario. Of one that was run several times: of the first run that failed, or else of the first.
#[derive(Debug, Clone)]
pub struct Tested {
    /// Its name: `dir/file.yaml::name[axis=value]`.
    pub name: String,
    /// Where it stands.
    pub origin: Origin,
    /// What became of it.
    pub outcome: Outcome,
    /// What is wrong, each thing at the line that wanted it. Empty exactly where nothing failed.
    pub findings: Vec<Diagnostic>,
    /// Which controls were in force, where it came to a run.
    pub controls: Report,
    /// The cells of a sweep, in the order in which they were run.
    pub cells: Vec<Cell>,
    /// How often it was run, where that was asked for.
    pub repeated: Option<Repeated>,
    /// Whether it asked for a deterministic run.
    pub deterministic: bool,
    /// When it began, from the beginning of the whole run.
    pub after: Duration,
    /// How long it took, with every repetition that it asks for itself.
    pub took: Duration,
    /// What was seen of it.
    pub seen: Seen,
    /// The command that takes what was seen for what is expected, where it would.
    pub accept: Option<String>,
    /// The command that runs it again, where it can be run.
    pub again: Option<String>,
    /// Where its artefacts lie, if any were kept.
    pub kept: Option<PathBuf>,
}

/// Where a scenario stands.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its file, as it was opened.
    pub file: PathBuf,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The promise that it tests.
    pub about: Option<String>,
    /// The file's text; empty if it could not be read.
    pub source: Arc<str>,
}

/// What became of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// Something was not as expected.
    Failed,
    /// It could not be loaded or could not be run: nothing is known of what it tests.
    Broken,
    /// The host lacks what it needs: what.
    Ignored(String),
    /// It ran when the whole run was interrupted.
    GivenUp,
    /// It was not run, or less often than was asked for: the whole run ended before.
    NotRun,
}

/// How often a scenario was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated {
    /// How often, to its end.
    pub runs: u32,
    /// In how many of these it failed.
    pub failed: u32,
}

impl fmt::Display for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} runs failed", self.failed, self.runs)
    }
}

impl Outcome {
    /// The word for it: `passed`, `failed`, `broken`, `ignored`, `given-up`, `not-run`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Broken => "broken",
            Self::Ignored(_) => "ignored",
            Self::GivenUp => "given-up",
            Self::NotRun => "not-run",
        }
    }

    /// Whether the whole run fails by it.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed | Self::Broken)
    }
}

/// What was seen of a scenario's run, as far as it is held.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What it wrote to descriptor 1.
    pub stdout: Output,
    /// And to descriptor 2.
    pub stderr: Output,
    /// Its verdict log, where a report wants it.
    pub log: Log,
}

/// What a command wrote: all of it, or its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many bytes before these are not held.
    pub left_out: usize,
}

impl From<Vec<u8>> for Output {
    fn from(mut bytes: Vec<u8>) -> Self {
        let left_out = bytes.len().saturating_sub(MOST_OUTPUT);
        bytes.drain(..left_out);
        Self { bytes, left_out }
    }
}

/// A verdict log: all of it, or its beginning.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The events.
    pub events: Vec<Event>,
    /// How many events after these are not held.
    pub left_out: usize,
}

/// How many more events the reports of a run hold.
#[derive(Debug)]
pub struct Room(AtomicUsize);

impl Default for Room {
    fn default() -> Self {
        Self(AtomicUsize::new(MOST_EVENTS_OF_ALL))
    }
}

impl Room {
    /// As many of these events as there is room for.
    #[must_use]
    pub fn take(&self, mut events: Vec<Event>) -> Log {
        let asked = events.len().min(MOST_EVENTS);
        let rest = |room: usize| Some(room.saturating_sub(asked));
        let room = match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest) {
            Ok(room) | Err(room) => room,
        };
        let left_out = events.len() - asked.min(room);
        events.truncate(asked.min(room));
        Log { events, left_out }
    }
}

/// How many scenarios came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Could not be loaded or run.
    pub broken: usize,
    /// Ignored.
    pub ignored: usize,
    /// Ran when the whole run was interrupted.
    pub given_up: usize,
    /// Not run.
    pub not_run: usize,
}

impl Run {
    /// How many scenarios came out how.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for tested in &self.tested {
            match tested.outcome {
                Outcome::Passed => tally.passed += 1,
                Outcome::Failed => tally.failed += 1,
                Outcome::Broken => tally.broken += 1,
                Outcome::Ignored(_) => tally.ignored += 1,
                Outcome::GivenUp => tally.given_up += 1,
                Outcome::NotRun => tally.not_run += 1,
            }
        }
        tally
    }

    /// Puts its scenarios into the order of their names, so that a report does not depend on who was first.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.tested.sort_by(|one, two| one.name.cmp(&two.name));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::sample::{allowed, events};

    #[test]
    fn what_is_not_held_is_counted() {
        let output = Output::from([vec![b'a'; 10], vec![b'b'; MOST_OUTPUT]].concat());
        assert_eq!((output.left_out, output.bytes.len(), output.bytes[0]), (10, MOST_OUTPUT, b'b'));
        let room = Room(AtomicUsize::new(3));
        let log = |count| room.take(events(vec![allowed("/x"); count]));
        let held = |log: Log| (log.events.len(), log.left_out);
        assert_eq!(held(log(2)), (2, 0));
        assert_eq!(held(log(4)), (1, 3));
        assert_eq!(held(log(1)), (0, 1));
    }
}
