//! Scenarios as the tests of a Cargo test target. The only file that knows libtest-mimic.
//!
//! It speaks libtest's language, as `cargo test` and `cargo nextest` use it: on stdout stands nothing but that.
#![forbid(unsafe_code)]

pub(crate) mod arguments;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use libtest_mimic::{ColorSetting, Failed, Trial};

use self::arguments::Shim;
use crate::interrupt;
use crate::needs::{Host, Required};
use crate::report::{self, Colour, Run, Started, Tested};
use crate::runner::{Keep, Kernel, scratch};
use crate::suite::{self, Case, Judge, State, Way};

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
    let required = match Required::from_env() {
        Ok(required) => required,
        Err(error) => {
            eprintln!("error: ASSIZE_REQUIRE: {error}");
            return ExitCode::from(2);
        }
    };
    let judge = Judge { host: Host::probe(), required };
    let root = beneath_the_crate(root.as_ref());
    let cases = if arguments.exact && !shim.filters.is_empty() {
        Ok(shim.filters.iter().filter_map(|name| suite::named(&root, name, &judge)).collect())
    } else {
        suite::all(&root, &judge)
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
    // libtest-mimic knows one filter. Several are applied here; one is left to it, so that it counts what it leaves out.
    match shim.filters.as_slice() {
        [one] => arguments.filter = Some(one.clone()),
        [] => {}
        several => {
            cases.retain(|case| several.iter().any(|filter| hits(&case.name, filter, arguments.exact)))
        }
    }
    let common = Arc::new(Common {
        keep: Keep::near(&std::env::current_dir().unwrap_or_default()),
        started: Started::by_cargo(&executable),
        colour: coloured(&arguments),
        began: Instant::now(),
        said: Mutex::default(),
        junit: report::junit::by_environment().filter(|_| !arguments.list),
        tested: Mutex::default(),
    });
    if !arguments.list {
        for case in ignored(&cases, &arguments, &shim.filters) {
            common.ignored(case);
        }
    }
    // libtest-mimic starts as many threads as it is told, however few tests there are.
    arguments.test_threads = arguments.test_threads.map(|threads| threads.min(cases.len().max(1)));
    let _kept = scratch::keep();
    let trials = cases.into_iter().map(|case| trial(case, &common)).collect();
    let began = SystemTime::now();
    let conclusion = libtest_mimic::run(&arguments, trials);
    match common.write(began, conclusion.num_filtered_out) {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(101)
        }
    }
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

struct Common {
    keep: Keep,
    started: Started,
    colour: bool,
    began: Instant,
    /// What this host can't give, as far as it was said.
    said: Mutex<BTreeSet<String>>,
    /// Where a report is wanted by whoever runs this.
    junit: Option<PathBuf>,
    /// What came of the tests, for that report.
    tested: Mutex<Vec<Tested>>,
}

impl Common {
    fn way(&self) -> Way<'_> {
        Way { engine: &Kernel, keep: &self.keep, started: &self.started, began: self.began, logs: None }
    }

    /// libtest has no place for the reason of a skip, and stdout is the protocol's.
    fn ignored(&self, case: &Case) {
        if let State::Lacking(why) = &case.state {
            eprintln!("ignored: {}: {why}", case.name);
        }
        if let Some(tested) = case.skipped(self.way()) {
            self.came(tested);
        }
    }

    fn came(&self, tested: Tested) {
        if self.junit.is_some() {
            self.tested.lock().unwrap_or_else(PoisonError::into_inner).push(tested);
        }
    }

    fn write(&self, began: SystemTime, filtered_out: u64) -> Result<(), report::ReportError> {
        let Some(path) = &self.junit else { return Ok(()) };
        let tested = std::mem::take(&mut *self.tested.lock().unwrap_or_else(PoisonError::into_inner));
        let filtered_out = usize::try_from(filtered_out).unwrap_or(usize::MAX);
        let run = Run { began, took: self.began.elapsed(), tested, filtered_out }.in_order();
        report::write(path, |out| report::junit::write(&run, out))
    }
}

fn trial(case: Case, common: &Arc<Common>) -> Trial {
    let ignored = matches!(case.state, State::Lacking(_));
    let common = Arc::clone(common);
    let name = case.name.clone();
    let test = move || {
        let done = case.run(common.way());
        // Once is enough: it is the host's.
        let mut said = common.said.lock().unwrap_or_else(PoisonError::into_inner);
        for what in
            report::unavailable(&done.controls).filter(|what| !said.contains(what)).collect::<Vec<_>>()
        {
            eprintln!("{what}");
            said.insert(what);
        }
        drop(said);
        let failure = done.failure(common.colour);
        common.came(done);
        failure.map_or(Ok(()), |report| Err(Failed::from(report)))
    };
    Trial::test(name, test).with_ignored_flag(ignored)
}

/// A test's name, and whether a filter hits it.
fn hits(name: &str, filter: &str, exact: bool) -> bool {
    if exact { name == filter } else { name.contains(filter) }
}

/// The tests that are asked for, and that the host can't run.
fn ignored<'a>(
    cases: &'a [Case],
    arguments: &'a libtest_mimic::Arguments,
    filters: &'a [String],
) -> impl Iterator<Item = &'a Case> {
    cases.iter().filter(move |case| {
        let hit = |by: &[String]| by.iter().any(|filter| hits(&case.name, filter, arguments.exact));
        let run = arguments.ignored || arguments.include_ignored;
        !run && (filters.is_empty() || hit(filters)) && !hit(&arguments.skip)
    })
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
