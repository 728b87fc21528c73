//! What is known of a test run while it goes on: what runs, and what came of the others. Whoever is interrupted shows it.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::history::History;
use crate::pool::{PlaceError, Turn};
use crate::progress::Progress;
use crate::report::Counts;
use crate::suite::{Case, Done, Way};

/// What is known.
#[derive(Debug)]
pub(crate) struct Board {
    /// How many tests there are.
    pub(crate) total: usize,
    /// How many of them are done.
    pub(crate) done: usize,
    /// What came of them.
    pub(crate) counts: Counts,
    /// When it all began.
    pub(crate) since: Instant,
    /// What is remembered for the next time.
    pub(crate) history: History,
    /// Where it is shown.
    progress: Progress,
    running: BTreeMap<u64, String>,
    next: u64,
}

/// One run that goes on.
#[derive(Debug)]
pub(crate) struct Running(u64);

impl Board {
    /// Before anything runs.
    pub(crate) fn new(total: usize, counts: Counts, history: History, progress: Progress) -> Self {
        let running = BTreeMap::new();
        Self { total, done: 0, counts, since: Instant::now(), history, progress, running, next: 0 }
    }

    /// A test begins.
    pub(crate) fn begin(&mut self, name: &str) -> Running {
        self.next += 1;
        self.running.insert(self.next, name.to_owned());
        self.progress.show(self);
        Running(self.next)
    }

    /// It has ended.
    pub(crate) fn end(&mut self, running: Running) {
        let Running(number) = running;
        self.running.remove(&number);
        self.progress.show(self);
    }

    /// What runs, the longest first.
    pub(crate) fn running(&self) -> impl Iterator<Item = &str> {
        self.running.values().map(String::as_str)
    }

    /// The end of a run that did not run to its end: what runs is given up, and the rest has not begun.
    pub(crate) fn interrupted(&mut self, signal: i32) -> String {
        // Under stress, one of which several runs go on may have failed in another.
        let names: BTreeSet<_> = self.running().map(str::to_owned).collect();
        self.counts.given_up = names.into_iter().filter(|name| !self.counts.failed.contains(name)).collect();
        self.counts.not_run = self.total.saturating_sub(self.done + self.counts.given_up.len());
        self.counts.interrupted = Some(signal);
        self.history.write();
        self.counts.render(self.since.elapsed(), false)
    }
}

/// Runs a test in its turn, and remembers how long it took. Its end is for the caller to say, with what came of it: in
/// between nobody may find it neither running nor done.
pub(crate) fn run<T>(
    board: &Mutex<Board>,
    case: &Case,
    key: &str,
    turn: Result<Turn<'_, T>, PlaceError>,
    way: Way<'_>,
) -> (Done, Running) {
    let running = locked(board).begin(&case.name);
    let since = Instant::now();
    let done = match &turn {
        // A fault of ours is that of one test.
        Ok(_) => catch_unwind(AssertUnwindSafe(|| case.run(way)))
            .unwrap_or_else(|_| Done::failed("error: the harness panicked: see stderr\n".to_owned())),
        Err(error) => Done::failed(format!("error: the scenario can't have its turn: {error}\n")),
    };
    let took = since.elapsed();
    drop(turn);
    locked(board).history.note(key, took, done.failure.is_some());
    (done, running)
}

/// What is known, even after a panic.
pub(crate) fn locked(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
