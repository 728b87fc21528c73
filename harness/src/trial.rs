//! Scenarios as the tests of a Cargo test target. The only file that knows libtest-mimic.
//!
//! It speaks libtest's language, as `cargo test` and `cargo nextest` use it: on stdout stands nothing but that.
#![forbid(unsafe_code)]

pub(crate) mod arguments;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use libtest_mimic::{ColorSetting, Failed, FormatSetting, Trial};

use self::arguments::Shim;
use crate::bazel;
use crate::bless;
use crate::board::{self, Board, locked};
use crate::history::{History, Keys};
use crate::interrupt;
use crate::needs::{self, Host};
use crate::pool::Pool;
use crate::portion::Portion;
use crate::progress::Progress;
use crate::report::{self, Colour, Counts, Run, Started};
use crate::runner::{Engine, Keep, Kernel, outside, scratch};
use crate::suite::{self, Case, State, Way};
use crate::yes_no::says_yes;

/// Runs every scenario beneath `root` as a test; relative to the crate's own folder.
///
/// The whole of a test target, which its manifest gives `harness = false`:
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     assize_harness::main("scenarios")
/// }
/// ```
pub fn main(root: impl AsRef<Path>) -> ExitCode {
    run(root.as_ref(), Arc::new(Kernel))
}

/// The same, by this engine.
pub(crate) fn run(root: &Path, engine: Arc<dyn Engine>) -> ExitCode {
    interrupt::watch();
    let threads = std::env::var("RUST_TEST_THREADS").ok();
    let shim = match Shim::parse(std::env::args_os().skip(1), threads.as_deref()) {
        Ok(shim) => shim,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let executable = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    // Help and unknown options end the process here, as libtest-mimic does it.
    let mut arguments = libtest_mimic::Arguments::from_iter(shim.rest(&executable));
    let host = Host::probe();
    if let Err(error) = needs::required(&host) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let portion = match Portion::from_env(None) {
        Ok(portion) => portion,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let blessing = match says_yes(bless::VARIABLE).and_then(|yes| says_yes(outside::VARIABLE).map(|_| yes)) {
        Ok(blessing) => blessing,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let root = beneath_the_crate(root);
    if blessing && !arguments.list {
        bless::before_tests(
            &root,
            &|name| asked(name, &shim, &arguments) && portion.holds(name),
            &*engine,
            &host,
        );
    }
    let cases = if arguments.exact && !shim.filters.is_empty() {
        let names: BTreeSet<_> = shim.filters.iter().collect();
        Ok(names.into_iter().filter_map(|name| suite::named(&root, name, &host)).collect())
    } else {
        suite::all(&root, &host)
    };
    let mut cases = match cases {
        Ok(cases) if cases.is_empty() && !arguments.exact => {
            eprintln!("error: no scenario lies beneath {}", root.display());
            return ExitCode::from(101);
        }
        Ok(cases) => cases,
        Err(error) => {
            eprintln!("error: {}: {error}", root.display());
            return ExitCode::from(101);
        }
    };
    // libtest sorts by name, where the files' order may be another.
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    let wanted = |case: &Case| asked(&case.name, &shim, &arguments) && portion.holds(&case.name);
    let left_out: Vec<_> = cases.iter().filter(|case| !wanted(case)).map(|case| case.name.clone()).collect();
    if !arguments.list {
        say_why_ignored(&cases, &arguments, wanted);
    }
    // libtest-mimic knows one filter, and no shard: it is told each name that is left out, and counts them.
    arguments = libtest_mimic::Arguments { filter: None, skip: left_out, exact: true, ..arguments };
    if arguments.list {
        return list(&arguments, cases);
    }
    let crew = Arc::new(Crew::new(cases, engine, &root, &executable, &arguments));
    // libtest-mimic starts as many threads as it is told, however few tests there are.
    arguments.test_threads = Some(crew.threads.min(crew.jobs.len()).max(1));
    let _kept = scratch::keep();
    interrupt::at_end({
        let crew = Arc::clone(&crew);
        move |signal| {
            let run = crew.end(Some(signal));
            crew.write(&run);
            // stdout is the protocol's, and in the midst of a line perhaps.
            Box::new(move || eprint!("\n{}", crew.known(&run)))
        }
    });
    crew.start();
    let conclusion = libtest_mimic::run(&arguments, crew.trials());
    // Whoever is asked to end meanwhile ends when the report is written.
    let written = interrupt::living(|| {
        interrupt::no_more();
        crew.write(&crew.end(None))
    });
    if written { conclusion.exit_code() } else { ExitCode::from(101) }
}

/// Whether the filters want a test.
fn asked(name: &str, shim: &Shim, arguments: &libtest_mimic::Arguments) -> bool {
    let hit = |filter: &String| hits(name, filter, arguments.exact);
    (shim.filters.is_empty() || shim.filters.iter().any(hit)) && !arguments.skip.iter().any(hit)
}

fn list(arguments: &libtest_mimic::Arguments, cases: Vec<Case>) -> ExitCode {
    let trials: Vec<_> = cases.iter().map(|case| trial(case, || Ok(()))).collect();
    let listed = trials.iter().filter(|trial| !arguments.is_filtered_out(trial)).count();
    let code = libtest_mimic::run(arguments, trials).exit_code();
    // libtest-mimic leaves it away.
    if !arguments.quiet && matches!(arguments.format, None | Some(FormatSetting::Pretty)) {
        let s = if listed == 1 { "" } else { "s" };
        // Whoever closed stdout has seen enough.
        let _ = writeln!(std::io::stdout(), "\n{listed} test{s}, 0 benchmarks");
    }
    code
}

/// As libtest-mimic colours its own lines.
fn coloured(arguments: &libtest_mimic::Arguments) -> bool {
    match arguments.color {
        Some(ColorSetting::Always) => true,
        Some(ColorSetting::Never) => false,
        Some(ColorSetting::Auto) | None => {
            arguments.logfile.is_none() && Colour::Auto.applies(&std::io::stdout())
        }
    }
}

/// Runs the tests, as many at once as there are threads, and in the order that is best; libtest-mimic's own threads only
/// wait for what comes of theirs. So one that waits for its group keeps nobody from running.
struct Crew {
    threads: usize,
    engine: Arc<dyn Engine>,
    /// Which of the tests are to be run.
    asked: BTreeSet<usize>,
    jobs: Vec<Arc<Job>>,
    pool: Pool<(usize, Arc<Job>)>,
    board: Mutex<Board>,
    keep: Keep,
    started: Started,
    colour: bool,
    began: Instant,
    /// Where whoever started this wants a report.
    report: Option<PathBuf>,
    known: Mutex<Known>,
}

/// What was found out so far.
#[derive(Default)]
struct Known {
    /// What this host can't give, as far as it was said.
    said: BTreeSet<String>,
    /// The reports of failures: libtest-mimic shows them at the end, which may never come.
    failures: String,
}

/// A test, and what came of it.
struct Job {
    case: Case,
    key: String,
    came: Mutex<Option<Result<(), Failed>>>,
    changed: Condvar,
}

impl Crew {
    fn new(
        cases: Vec<Case>,
        engine: Arc<dyn Engine>,
        root: &Path,
        executable: &Path,
        arguments: &libtest_mimic::Arguments,
    ) -> Self {
        let keep = Keep::near(&std::env::current_dir().unwrap_or_default());
        // nextest orders, and remembers, by itself.
        let history =
            if std::env::var_os("NEXTEST").is_some() { History::default() } else { History::near(&keep) };
        let threads = arguments.test_threads;
        let threads =
            threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        let keys = Keys::beneath(root);
        let job = |case: Case| Job {
            key: keys.of(&case.name),
            case,
            came: Mutex::default(),
            changed: Condvar::new(),
        };
        let mut jobs: Vec<_> = cases.into_iter().map(job).map(Arc::new).collect();
        if threads > 1 {
            history.longest_first(&mut jobs, |job| &job.key);
        }
        // Whatever else is not run: libtest-mimic would wait for no other.
        let (mut run, mut asked, mut ignored, mut left_out) = (Vec::new(), BTreeSet::new(), Vec::new(), 0);
        for (nth, job) in jobs.iter().enumerate() {
            let test = trial(&job.case, || Ok(()));
            if arguments.is_filtered_out(&test) {
                left_out += 1;
            } else if arguments.is_ignored(&test) {
                ignored.push(nth);
            } else {
                asked.insert(nth);
                run.push(job.case.task((nth, Arc::clone(job))));
            }
        }
        let counts = Counts { filtered_out: left_out, ..Counts::default() };
        let report = bazel::report();
        let mut board = Board::new(counts, history, Progress::none());
        board.holds = report.is_some();
        let crew = Self {
            threads,
            engine,
            asked,
            began: board.since,
            board: Mutex::new(board),
            pool: Pool::new(run, threads).among_others(),
            jobs,
            keep,
            started: Started::by_cargo(executable),
            colour: coloured(arguments),
            report,
            known: Mutex::default(),
        };
        for nth in ignored {
            if let Some(tested) = crew.jobs.get(nth).and_then(|job| job.case.skipped(crew.way())) {
                locked(&crew.board).came(nth, Arc::new(tested));
            }
        }
        crew
    }

    fn way(&self) -> Way<'_> {
        Way { engine: &*self.engine, keep: &self.keep, started: &self.started, began: self.began, logs: None }
    }

    fn trials(&self) -> Vec<Trial> {
        let wait = |job: &Arc<Job>| {
            let job = Arc::clone(job);
            move || job.wait()
        };
        self.jobs.iter().map(|job| trial(&job.case, wait(job))).collect()
    }

    /// Begins.
    fn start(self: &Arc<Self>) {
        for nth in 0..self.threads.min(self.asked.len()) {
            let crew = Arc::clone(self);
            if std::thread::Builder::new().spawn(move || crew.work()).is_err() {
                // The others do it, or this one, where none can be made.
                if nth == 0 {
                    self.work();
                }
                break;
            }
        }
    }

    fn work(&self) {
        while let Some(((nth, job), turn)) = self.pool.next() {
            let (tested, running) =
                board::run(&self.board, nth, &job.case, &job.key, turn.as_ref(), self.way());
            let failure = tested.failure(self.colour);
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            // Once is enough: it is the host's.
            for what in report::unavailable(&tested.controls) {
                if !known.said.contains(&what) {
                    eprintln!("{what}");
                    known.said.insert(what);
                }
            }
            if let Some(report) = &failure {
                known.failures.push_str(&format!("---- {} ----\n{report}\n", job.case.name));
            }
            drop(known);
            let mut board = locked(&self.board);
            board.ended(running);
            board.came(nth, Arc::new(tested));
            drop(board);
            job.is(failure.map_or(Ok(()), |report| Err(Failed::from(report))));
            drop(turn);
        }
    }

    /// The end, by a signal perhaps: what is known of every test that was to be run.
    fn end(&self, signal: Option<i32>) -> Run {
        for (nth, job) in self.jobs.iter().enumerate() {
            let mut board = locked(&self.board);
            if self.asked.contains(&nth) && !board.is_done(nth) {
                board.leave(nth, &job.case, self.way(), None);
            }
        }
        locked(&self.board).end(signal)
    }

    /// Writes the report that is wanted, if one is. An error is told on stderr; whether there was none.
    fn write(&self, run: &Run) -> bool {
        let Some(path) = &self.report else { return true };
        match report::write(path, |out| report::junit::write(run, out)) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("error: {error}");
                false
            }
        }
    }

    /// What is known at the end.
    fn known(&self, run: &Run) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{}{}", known.failures, locked(&self.board).counts.render(run.took, false))
    }
}

impl Job {
    fn is(&self, came: Result<(), Failed>) {
        *self.came.lock().unwrap_or_else(PoisonError::into_inner) = Some(came);
        self.changed.notify_all();
    }

    fn wait(&self) -> Result<(), Failed> {
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match came.take() {
                Some(came) => return came,
                None => came = self.changed.wait(came).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn trial(case: &Case, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(case.name.clone(), test).with_ignored_flag(is_ignored(case))
}

fn is_ignored(case: &Case) -> bool {
    matches!(case.state, State::Lacking(_))
}

/// A test's name, and whether a filter hits it.
fn hits(name: &str, filter: &str, exact: bool) -> bool {
    if exact { name == filter } else { name.contains(filter) }
}

/// libtest-mimic has no place for the reason of a skip, and stdout is the protocol's.
fn say_why_ignored(cases: &[Case], arguments: &libtest_mimic::Arguments, wanted: impl Fn(&Case) -> bool) {
    if arguments.ignored || arguments.include_ignored {
        return;
    }
    for case in cases.iter().filter(|case| wanted(case)) {
        if let State::Lacking(why) = &case.state {
            eprintln!("ignored: {}: {why}", case.name);
        }
    }
}

/// Cargo and nextest both name the crate's folder; an executable that is started by hand has only the caller's.
fn beneath_the_crate(root: &Path) -> PathBuf {
    let root = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(folder) => Path::new(&folder).join(root),
        None => root.to_owned(),
    };
    // `core/../scenarios` reads worse than `scenarios` in every report.
    root.canonicalize().unwrap_or(root)
}
