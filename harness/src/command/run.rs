//! `assize run`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::num::{NonZeroU32, NonZeroUsize};

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use assize_core::outcome::Report;

use super::select::{Selected, Selection, judge, select};
use super::{FAILED, USAGE};
use crate::board::{self, Board, locked};
use crate::history::{History, Keys};
use crate::interrupt;
use crate::pool::Pool;
use crate::progress::Progress;
use crate::report::{self, Counts, Started, Word};
use crate::runner::{Cell, Keep, Kernel, Which, scratch, session};
use crate::suite::{Case, Done, State, Way};

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    selection: Selection,
    /// How many scenarios run at once; as many as there are processors if nothing is said. With more than one, those
    /// that took longest the last time begin first.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// In another order: the same for the same number. One is chosen, and printed, if none is given.
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option)]
    shuffle: Option<Option<u64>>,
    /// Begin no more once one has failed.
    #[arg(long)]
    fail_fast: bool,
    /// Only those that failed in their last run; all, if none of the selected did.
    #[arg(long)]
    last_failed: bool,
    /// Run each N times, and say how often it failed. Once is enough to fail.
    #[arg(long, value_name = "N")]
    stress: Option<NonZeroU32>,
    /// Whose artefacts are kept, beneath `target/assize`: what it wrote, its verdicts, its work folder.
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t)]
    keep: Which,
    /// Say of each run which controls were in force.
    #[arg(long, short)]
    verbose: bool,
}

/// A test that is to be run, once or several times.
struct Job {
    case: Case,
    /// By which it is remembered.
    key: String,
    started: Started,
    tally: Mutex<Tally>,
}

/// What came of its runs.
#[derive(Default)]
struct Tally {
    runs: u32,
    failed: u32,
    /// The report of the first that failed.
    failure: Option<String>,
    controls: Report,
    /// The cells of a sweep.
    cells: Vec<Cell>,
}

/// What all workers share.
struct Crew {
    pool: Pool<Arc<Job>>,
    board: Mutex<Board>,
    progress: Progress,
    keep: Keep,
    /// How often each is run.
    runs: u32,
    stress: bool,
    fail_fast: bool,
    verbose: bool,
    colour: bool,
}

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let (selected, mut filtered_out) = match judge().and_then(|judge| select(&args.selection, &judge)) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let executable = std::env::current_exe().unwrap_or_default();
    let by_cargo = std::env::var_os("CARGO").is_some();
    let mut keys = BTreeMap::new();
    let job = |Selected { path, case }: Selected| Job {
        key: keys.entry(path.clone()).or_insert_with(|| Keys::beneath(&path)).of(&case.name),
        case,
        started: Started::by_command(&executable, by_cargo, path),
        tally: Mutex::default(),
    };
    let mut jobs: Vec<_> = selected.into_iter().map(job).map(Arc::new).collect();
    let keep = Keep::near(&std::env::current_dir().unwrap_or_default()).of(args.keep);
    let history = History::near(&keep);
    if args.last_failed {
        if keep.folder().is_none() {
            eprintln!("error: --last-failed: nothing is remembered here, where no folder `target` is");
            return ExitCode::from(USAGE);
        }
        filtered_out += only_last_failed(&mut jobs, &history);
    }
    let threads =
        args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    arrange(&mut jobs, args.shuffle, threads, &history);

    let _kept = scratch::keep();
    let colour = report::coloured(&io::stdout());
    let runs = args.stress.map_or(1, NonZeroU32::get);
    let tasks = (0..runs).flat_map(|nth| {
        // Nothing changes what the host lacks.
        let again = move |job: &&Arc<Job>| nth == 0 || !matches!(job.case.state, State::Lacking(_));
        jobs.iter().filter(again).map(|job| job.case.task(Arc::clone(job)))
    });
    let counts = Counts { filtered_out, ..Counts::default() };
    let progress = Progress::of(jobs.len());
    let board = Board::new(jobs.len(), counts, history, progress.clone());
    let crew = Arc::new(Crew {
        pool: Pool::new(tasks, threads),
        board: Mutex::new(board),
        progress,
        keep,
        runs,
        stress: args.stress.is_some(),
        fail_fast: args.fail_fast,
        verbose: args.verbose,
        colour,
    });
    let jobs: Arc<[_]> = jobs.into();
    interrupt::at_end({
        let (crew, jobs) = (Arc::clone(&crew), Arc::clone(&jobs));
        move |signal| {
            crew.progress.clear();
            crew.say_of_rest(&jobs);
            let _ = io::stdout().write_all(locked(&crew.board).interrupted(signal).as_bytes());
        }
    });
    let most = usize::try_from(runs).unwrap_or(usize::MAX).saturating_mul(jobs.len());
    crew.work_with(threads.min(most));
    crew.say_of_rest(&jobs);
    interrupt::no_more();
    crew.progress.clear();
    let mut board = locked(&crew.board);
    board.history.write();
    board.counts.not_run = board.total - board.done;
    // Nobody is left to be told that stdout is closed.
    let _ = write!(io::stdout(), "{}", board.counts.render(board.since.elapsed(), colour));
    if board.counts.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Leaves those that failed in their last run; all, if there are none. Returns how many are left out.
fn only_last_failed(jobs: &mut Vec<Arc<Job>>, history: &History) -> usize {
    let all = jobs.len();
    let failed = jobs.iter().filter(|job| history.failed(&job.key)).count();
    if failed == 0 {
        let _ = writeln!(io::stdout(), "last failed: none of these, so all are run");
        return 0;
    }
    let _ = writeln!(io::stdout(), "last failed: {failed} of {all}");
    jobs.retain(|job| history.failed(&job.key));
    all - failed
}

/// In the order in which they are to begin.
#[allow(clippy::option_option)]
fn arrange(jobs: &mut [Arc<Job>], shuffle: Option<Option<u64>>, threads: usize, history: &History) {
    if let Some(seed) = shuffle {
        // Short enough to be typed.
        let seed = seed.unwrap_or_else(|| session::random() % 1_000_000);
        let _ = writeln!(io::stdout(), "shuffled: --shuffle={seed} is this order");
        jobs.sort_by_cached_key(|job| place(seed, &job.case.name));
    } else if threads > 1 {
        history.longest_first(jobs, |job| &job.key);
    }
}

/// Where a test stands in a shuffled run.
fn place(seed: u64, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, name).hash(&mut hasher);
    hasher.finish()
}

impl Crew {
    fn work_with(&self, threads: usize) {
        std::thread::scope(|scope| {
            for nth in 0..threads {
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
        while let Some((job, turn)) = self.pool.next() {
            if let State::Lacking(why) = &job.case.state {
                drop(turn);
                self.say(&mut locked(&self.board), &job, &Came::Ignored(why));
                continue;
            }
            let way = Way { engine: &Kernel, keep: &self.keep, started: &job.started, colour: self.colour };
            let (done, running) = board::run(&self.board, &job.case, &job.key, turn, way);
            let mut tally = job.tally.lock().unwrap_or_else(PoisonError::into_inner);
            if done.failure.is_some() && self.fail_fast {
                self.pool.stop();
            }
            tally.take(done);
            let mut board = locked(&self.board);
            board.end(running);
            if tally.runs == self.runs {
                self.say(&mut board, &job, &Came::Done(&tally));
            }
        }
    }

    /// What is known of tests that were not run as often as was asked for.
    fn say_of_rest(&self, jobs: &[Arc<Job>]) {
        for job in jobs {
            let tally = job.tally.lock().unwrap_or_else(PoisonError::into_inner);
            if tally.runs < self.runs && tally.failed > 0 {
                self.say(&mut locked(&self.board), job, &Came::Done(&tally));
            }
        }
    }

    fn say(&self, board: &mut Board, job: &Job, came: &Came<'_>) {
        let name = &job.case.name;
        board.done += 1;
        let counts = &mut board.counts;
        let (word, rest) = match came {
            Came::Done(tally) => {
                counts.unavailable.extend(report::unavailable(&tally.controls));
                let controls = if self.verbose {
                    report::cells(&tally.cells) + &report::controls(&tally.controls)
                } else {
                    String::new()
                };
                match &tally.failure {
                    None => {
                        counts.passed += 1;
                        (Word::Ok, controls)
                    }
                    Some(text) => {
                        counts.failed.push(name.clone());
                        (Word::Failed, format!("\n{text}{controls}\n"))
                    }
                }
            }
            Came::Ignored(why) => {
                counts.ignored.push((name.clone(), (*why).to_owned()));
                (Word::Ignored, String::new())
            }
        };
        let often = match came {
            Came::Done(Tally { runs, failed, .. }) if self.stress => {
                format!(" ({failed} of {runs} runs failed)")
            }
            _ => String::new(),
        };
        self.progress.beside(|| {
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "{name} ... {}{often}", word.render(self.colour));
            let _ = write!(out, "{rest}");
            let _ = out.flush();
        });
    }
}

enum Came<'a> {
    Done(&'a Tally),
    Ignored(&'a str),
}

impl Tally {
    fn take(&mut self, done: Done) {
        self.runs += 1;
        self.failed += u32::from(done.failure.is_some());
        if self.failure.is_none() {
            self.failure = done.failure;
            self.controls = done.controls;
            self.cells = done.cells;
        }
    }
}
