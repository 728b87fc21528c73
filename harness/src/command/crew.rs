//! Who runs the scenarios of `assize run`: as many workers as there are jobs, what each test came to, and the end.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::board::{self, Board, locked};
use crate::pool::Pool;
use crate::progress::Progress;
use crate::report::{Counts, Format, Outcome, Printer, Repeated, Room, Run, Started, Tested, github};
use crate::runner::{Keep, Named};
use crate::suite::{Case, State, Way};

/// A test that is to be run, once or several times.
pub(super) struct Job {
    pub(super) case: Case,
    /// By which it is remembered.
    pub(super) key: String,
    started: Started,
    tally: Mutex<Tally>,
}

/// What came of its runs.
#[derive(Default)]
struct Tally {
    begun: bool,
    runs: u32,
    failed: u32,
    /// The first that failed, or else the first.
    shown: Option<Tested>,
}

/// How they are run, and what is wanted of them.
pub(super) struct How {
    /// How often each is run, where that was asked for.
    pub(super) runs: Option<NonZeroU32>,
    /// Whether none begins once one has failed.
    pub(super) fail_fast: bool,
    /// What is printed.
    pub(super) format: Format,
    /// Whether GitHub's annotations are.
    pub(super) github: bool,
    /// Room for verdict logs, if a report shows them.
    pub(super) logs: Option<Room>,
    /// What runs commands.
    pub(super) engine: Named,
}

/// What all workers share.
pub(super) struct Crew {
    jobs: Vec<Arc<Job>>,
    pool: Pool<(usize, Arc<Job>)>,
    board: Mutex<Board>,
    printer: Mutex<Printer>,
    progress: Progress,
    keep: Keep,
    how: How,
    /// A guest's output is shown in every format but JSON's as lines of their own.
    fence: Option<github::Fence>,
    since: Instant,
}

/// A run that is over.
pub(super) struct End {
    pub(super) run: Run,
    pub(super) counts: Counts,
    /// Who failed, and was not run as often as was asked for: nobody has said so yet.
    late: Vec<String>,
}

impl Job {
    pub(super) fn new(case: Case, key: String, started: Started) -> Self {
        Self { case, key, started, tally: Mutex::default() }
    }
}

impl Tally {
    fn take(&mut self, tested: Tested) {
        self.runs += 1;
        self.failed += u32::from(tested.outcome.is_failure());
        let better = |shown: &Tested| tested.outcome.is_failure() && !shown.outcome.is_failure();
        if self.shown.as_ref().is_none_or(better) {
            self.shown = Some(tested);
        }
    }

    fn repeated(&self) -> Repeated {
        Repeated { runs: self.runs, failed: self.failed }
    }
}

impl Crew {
    pub(super) fn new(
        jobs: Vec<Job>,
        threads: usize,
        board: Board,
        printer: Printer,
        progress: Progress,
        keep: Keep,
        how: How,
    ) -> Self {
        let jobs: Vec<_> = jobs.into_iter().map(Arc::new).collect();
        let runs = how.runs.map_or(1, NonZeroU32::get);
        let tasks = (0..runs).flat_map(|round| {
            // Nothing changes what the host lacks.
            let again = move |job: &Job| round == 0 || !matches!(job.case.state, State::Lacking(_));
            let jobs = jobs.iter().enumerate().filter(move |(_, job)| again(job));
            jobs.map(|(nth, job)| job.case.task((nth, Arc::clone(job))))
        });
        let fence = (how.github && how.format != Format::Json).then(github::Fence::new);
        let pool = Pool::new(tasks, threads);
        let (since, board, printer) = (board.since, Mutex::new(board), Mutex::new(printer));
        Self { jobs, pool, board, printer, progress, keep, how, fence, since }
    }

    fn runs(&self) -> u32 {
        self.how.runs.map_or(1, NonZeroU32::get)
    }

    fn way<'a>(&'a self, job: &'a Job) -> Way<'a> {
        let (keep, logs) = (&self.keep, self.how.logs.as_ref());
        Way { engine: &self.how.engine, keep, started: &job.started, began: self.since, logs }
    }

    /// Runs them all, and says what comes of each.
    pub(super) fn work_with(&self, threads: usize) {
        let most = usize::try_from(self.runs()).unwrap_or(usize::MAX).saturating_mul(self.jobs.len());
        say(&self.fence.as_ref().map(github::Fence::begin).unwrap_or_default());
        self.print(|printer| printer.begin());
        std::thread::scope(|scope| {
            for nth in 0..threads.min(most) {
                if std::thread::Builder::new().spawn_scoped(scope, || self.work()).is_err() {
                    // The others do it, or this one, where none can be made.
                    if nth == 0 {
                        self.work();
                    }
                    break;
                }
            }
        });
    }

    fn work(&self) {
        while let Some(((nth, job), turn)) = self.pool.next() {
            let way = self.way(&job);
            let first = !std::mem::replace(&mut tally(&job).begun, true);
            if first {
                self.print(|printer| printer.started(&job.case.name));
            }
            if let Some(tested) = job.case.skipped(way) {
                drop(turn);
                self.came(nth, tested, None);
                continue;
            }
            let (tested, running) = board::run(&self.board, nth, &job.case, &job.key, turn.as_ref(), way);
            // Nothing begins while the failure is still being written.
            if tested.outcome.is_failure() && self.how.fail_fast {
                self.pool.stop();
            }
            let mut tally = tally(&job);
            tally.take(tested);
            let shown = if tally.runs == self.runs() { self.shown(&mut tally) } else { None };
            drop(tally);
            match shown {
                Some(tested) => self.came(nth, tested, Some(running)),
                None => locked(&self.board).ended(running),
            }
            drop(turn);
        }
    }

    /// What is reported of a test that was run, however often.
    fn shown(&self, tally: &mut Tally) -> Option<Tested> {
        let repeated = self.how.runs.map(|_| tally.repeated());
        tally.shown.take().map(|tested| Tested { repeated, ..tested })
    }

    /// Something is known of a test, and said.
    fn came(&self, nth: usize, tested: Tested, running: Option<u64>) {
        let tested = Arc::new(tested);
        let mut board = locked(&self.board);
        if let Some(running) = running {
            board.ended(running);
        }
        // Whoever does not read what is printed keeps nothing from being reported.
        board.came(nth, Arc::clone(&tested));
        drop(board);
        self.tell(&tested);
    }

    fn tell(&self, tested: &Tested) {
        if let (Outcome::Ignored(why), Format::Terse) = (&tested.outcome, self.how.format) {
            // A sign has no place for the reason.
            eprintln!("ignored: {}: {why}", tested.name);
        }
        self.print(|printer| printer.ended(tested));
    }

    fn print(&self, text: impl FnOnce(&mut Printer) -> String) {
        let mut printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        let text = text(&mut printer);
        if !text.is_empty() {
            self.progress.beside(|| say(&text));
        }
    }

    /// The end, by a signal perhaps: what is known of every test. Prints nothing.
    pub(super) fn end(&self, signal: Option<i32>) -> End {
        let mut late = Vec::new();
        for (nth, job) in self.jobs.iter().enumerate() {
            let mut tally = tally(job);
            let mut board = locked(&self.board);
            if board.is_done(nth) {
                continue;
            }
            if tally.failed > 0
                && let Some(tested) = self.shown(&mut tally)
            {
                late.push(tested.name.clone());
                board.came(nth, Arc::new(tested));
            } else {
                let repeated = self.how.runs.map(|_| tally.repeated());
                board.leave(nth, &job.case, self.way(job), repeated);
            }
        }
        let mut board = locked(&self.board);
        let run = board.end(signal);
        End { run, counts: board.counts.clone(), late }
    }

    /// Shows it.
    pub(super) fn show(&self, end: &End) {
        self.progress.clear();
        for tested in end.run.tested.iter().filter(|tested| end.late.contains(&tested.name)) {
            self.tell(tested);
        }
        self.print(|printer| printer.end(&end.counts, end.run.took));
        say(&self.fence.as_ref().map(github::Fence::end).unwrap_or_default());
        if self.how.github {
            let annotations = github::annotations(&end.run);
            // JSON lines are for a program, which knows no annotations.
            if self.how.format == Format::Json { eprint!("{annotations}") } else { say(&annotations) }
        }
    }
}

fn tally(job: &Job) -> std::sync::MutexGuard<'_, Tally> {
    job.tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints at once. Where stdout is closed, nobody is left to be told.
pub(super) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
