//! What is known of a test run while it goes on: what runs, and what came of the others; at its end, all of it.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use crate::history::History;
use crate::pool::{PlaceError, Turn};
use crate::progress::Progress;
use crate::report::{Counts, Outcome, Repeated, Run, Tested};
use crate::suite::{Case, Way};

/// What is known. Tests are known by their number.
#[derive(Debug)]
pub(crate) struct Board {
    /// Of which nothing more will be known.
    done: BTreeSet<usize>,
    /// What came of them, in numbers.
    pub(crate) counts: Counts,
    /// When it all began.
    pub(crate) since: Instant,
    began: SystemTime,
    /// By which number tests were put into another order.
    pub(crate) shuffled: Option<u64>,
    /// What is remembered for the next time.
    history: History,
    /// Where it is shown.
    progress: Progress,
    /// Whether anybody wants more of them than numbers.
    pub(crate) holds: bool,
    tested: Vec<Arc<Tested>>,
    running: BTreeMap<u64, Running>,
    next: u64,
}

/// One run that goes on.
#[derive(Debug)]
struct Running {
    test: usize,
    name: String,
    since: Instant,
}

impl Board {
    /// Before anything runs.
    pub(crate) fn new(counts: Counts, history: History, progress: Progress) -> Self {
        Self {
            done: BTreeSet::new(),
            counts,
            since: Instant::now(),
            began: SystemTime::now(),
            shuffled: None,
            history,
            progress,
            holds: true,
            tested: Vec::new(),
            running: BTreeMap::new(),
            next: 0,
        }
    }

    /// How many tests are done.
    pub(crate) fn done(&self) -> usize {
        self.done.len()
    }

    /// A run has ended, which [`run`] has begun.
    pub(crate) fn ended(&mut self, running: u64) {
        self.running.remove(&running);
        self.progress.show(self);
    }

    /// Whether this one is.
    pub(crate) fn is_done(&self, test: usize) -> bool {
        self.done.contains(&test)
    }

    /// What came of a test. What is said of it later is not heard.
    pub(crate) fn came(&mut self, test: usize, tested: Arc<Tested>) {
        if self.done.insert(test) {
            self.counts.add(&tested);
            if self.holds {
                self.tested.push(tested);
            }
        }
    }

    /// A test that is not done at the end.
    pub(crate) fn leave(&mut self, test: usize, case: &Case, way: Way<'_>, repeated: Option<Repeated>) {
        let running = self.running.values().find(|running| running.test == test);
        let tested = match running {
            Some(Running { since, .. }) => Tested {
                after: since.saturating_duration_since(self.since),
                took: since.elapsed(),
                ..case.left(way, Outcome::GivenUp)
            },
            None => case.left(way, Outcome::NotRun),
        };
        let repeated = repeated.filter(|repeated| repeated.runs > 0);
        self.came(test, Arc::new(Tested { repeated, ..tested }));
    }

    /// What runs, the longest first.
    pub(crate) fn running(&self) -> impl Iterator<Item = &str> {
        self.running.values().map(|running| running.name.as_str())
    }

    /// The end, by a signal perhaps. What is to be remembered is written down.
    pub(crate) fn end(&mut self, signal: Option<i32>) -> Run {
        self.counts.interrupted = signal;
        self.history.write();
        let run = Run {
            began: self.began,
            took: self.since.elapsed(),
            tested: std::mem::take(&mut self.tested).into_iter().map(Arc::unwrap_or_clone).collect(),
            filtered_out: self.counts.filtered_out,
            shuffled: self.shuffled,
            interrupted: signal,
        };
        run.in_order()
    }

    fn begin(&mut self, test: usize, name: &str) -> u64 {
        self.next += 1;
        self.running.insert(self.next, Running { test, name: name.to_owned(), since: Instant::now() });
        self.progress.show(self);
        self.next
    }
}

/// Runs a test in its turn, and remembers how long it took. Its end is for the caller to say, with what came of it: in
/// between nobody may find it neither running nor done. Whoever keeps the turn until then says it before the next one's.
pub(crate) fn run<T>(
    board: &Mutex<Board>,
    test: usize,
    case: &Case,
    key: &str,
    turn: Result<&Turn<'_, T>, &PlaceError>,
    way: Way<'_>,
) -> (Tested, u64) {
    let running = locked(board).begin(test, &case.name);
    let since = Instant::now();
    let tested = match turn {
        // A fault of ours is that of one test.
        Ok(_) => catch_unwind(AssertUnwindSafe(|| case.run(way)))
            .unwrap_or_else(|_| case.broken(way, "the harness panicked: see stderr")),
        Err(error) => case.broken(way, &format!("the scenario can't have its turn: {error}")),
    };
    let took = since.elapsed();
    locked(board).history.note(key, took, tested.outcome.is_failure());
    (tested, running)
}

/// What is known, even after a panic.
pub(crate) fn locked(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
