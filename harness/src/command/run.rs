//! `assize run`, `list` and `check`.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Instant, SystemTime};

use super::Selection;
use super::reports::Reports;
use crate::report::{self, Colour, Counts, Format, Outcome, Printer, Run, Started, Tested, github};
use crate::runner::{Keep, Kernel, Which, scratch};
use crate::suite::{self, Case, Judge, State, Way};

/// As libtest: some test failed.
const FAILED: u8 = 101;
/// As nextest: no test to run.
const NO_TESTS: u8 = 4;
/// All passed, but a report could not be written.
const UNWRITTEN: u8 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    selection: Selection,
    /// How many scenarios run at once; as many as there are processors if nothing is said.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// In another order: the same for the same number.
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
    /// Whose artefacts are kept, beneath `target/assize`: what it wrote, its verdicts, its work folder.
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t)]
    keep: Which,
    /// Say of each run which controls were in force.
    #[arg(long, short)]
    verbose: bool,
    /// What is printed.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    format: Format,
    /// Whether it is coloured. `auto`: on a terminal, unless NO_COLOR, CLICOLOR_FORCE or TERM say otherwise.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    color: Colour,
    #[command(flatten)]
    reports: Reports,
}

/// A selected test, and the path that it was found under.
struct Selected {
    path: PathBuf,
    case: Case,
}

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let judge = match super::judge() {
        Ok(judge) => judge,
        Err(code) => return code,
    };
    let (mut selected, filtered_out) = match select(&args.selection, &judge) {
        Ok(found) => found,
        Err(code) => return code,
    };
    if let Some(seed) = args.shuffle {
        selected.sort_by_cached_key(|selected| place(seed, &selected.case.name));
    }
    if let Err(error) = args.reports.check() {
        eprintln!("error: {error}");
        return ExitCode::from(super::USAGE);
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let by_cargo = std::env::var_os("CARGO").is_some();
    let keep = Keep::near(&std::env::current_dir().unwrap_or_default()).of(args.keep);
    let logs = args.reports.logs();
    let _kept = scratch::keep();
    let (began, start) = (SystemTime::now(), Instant::now());
    let mut counts = Counts { filtered_out, ..Counts::default() };
    let total = selected.len();
    let threads =
        args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let colour = args.color.applies(&io::stdout());
    let mut printer = Printer::new(args.format, colour, args.verbose, total);
    // A guest's output is shown in every format but JSON's as lines of their own.
    let fence = (args.reports.github() && args.format != Format::Json).then(github::Fence::new);
    say(&fence.as_ref().map(github::Fence::begin).unwrap_or_default());
    say(&printer.begin());
    let mut tested = Vec::with_capacity(total);
    let queue: Mutex<VecDeque<Selected>> = Mutex::new(selected.into());
    let (sender, results) = mpsc::channel();
    let work = |sender: mpsc::Sender<Came>| {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(Selected { path, case }) = next else { break };
            let started = Started::by_command(&executable, by_cargo, path);
            let way =
                Way { engine: &Kernel, keep: &keep, started: &started, began: start, logs: logs.as_ref() };
            if sender.send(Came::Started(case.name.clone())).is_err() {
                break;
            }
            let done = case.skipped(way).unwrap_or_else(|| case.run(way));
            if sender.send(Came::Done(Box::new(done))).is_err() {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        for nth in 0..threads.min(total) {
            let (own, work) = (sender.clone(), &work);
            if std::thread::Builder::new().spawn_scoped(scope, move || work(own)).is_err() {
                // The others do it, or this one, where none can be made.
                if nth == 0 {
                    work(sender.clone());
                }
                break;
            }
        }
        drop(sender);
        for came in results {
            match came {
                Came::Started(name) => say(&printer.started(&name)),
                Came::Done(done) => {
                    counts.add(&done);
                    if let (Outcome::Ignored(why), Format::Terse) = (&done.outcome, args.format) {
                        // A sign has no place for the reason.
                        eprintln!("ignored: {}: {why}", done.name);
                    }
                    say(&printer.ended(&done));
                    tested.push(*done);
                }
            }
        }
    });
    let took = start.elapsed();
    say(&printer.end(&counts, took));
    say(&fence.as_ref().map(github::Fence::end).unwrap_or_default());
    let run = Run { began, took, tested, filtered_out }.in_order();
    if args.reports.github() {
        let annotations = github::annotations(&run);
        // JSON lines are for a program, which knows no annotations.
        if args.format == Format::Json { eprint!("{annotations}") } else { say(&annotations) }
    }
    let written = args.reports.write(&run);
    match (counts.failed.is_empty(), written) {
        (false, _) => ExitCode::from(FAILED),
        (true, false) => ExitCode::from(UNWRITTEN),
        (true, true) => ExitCode::SUCCESS,
    }
}

/// Where a test stands in a shuffled run.
fn place(seed: u64, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, name).hash(&mut hasher);
    hasher.finish()
}

enum Came {
    Started(String),
    Done(Box<Tested>),
}

/// Prints at once. Where stdout is closed, nobody is left to be told.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

pub(super) fn list(selection: &Selection) -> ExitCode {
    let judge = match super::judge() {
        Ok(judge) => judge,
        Err(code) => return code,
    };
    let (selected, _) = match select(selection, &judge) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let mut out = io::stdout().lock();
    for Selected { case, .. } in &selected {
        let written = match &case.state {
            State::Lacking(why) => writeln!(out, "{} (ignored: {why})", case.name),
            State::Ready(_) | State::Claimed(_) | State::Broken(_) => writeln!(out, "{}", case.name),
        };
        if written.is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// The tests that are asked for, and how many are not. A selection without any is an error: what was meant to be run
/// was not.
fn select(selection: &Selection, judge: &Judge) -> Result<(Vec<Selected>, usize), ExitCode> {
    let mut selected = Vec::new();
    let mut left_out = 0;
    for path in &selection.paths {
        let found = if selection.exact.is_empty() {
            suite::all(path, judge).map_err(|error| unreadable(path, &error))?
        } else {
            selection.exact.iter().filter_map(|name| suite::named(path, name, judge)).collect()
        };
        for case in found {
            let hit = |text: &String| case.name.contains(text.as_str());
            let wanted = selection.filter.is_empty() || selection.filter.iter().any(hit);
            if wanted && !selection.skip.iter().any(hit) {
                selected.push(Selected { path: path.clone(), case });
            } else {
                left_out += 1;
            }
        }
    }
    if selected.is_empty() {
        let paths: Vec<String> = selection.paths.iter().map(|path| path.display().to_string()).collect();
        let left_out = match left_out {
            // Where a name is asked for, nothing else is looked at.
            0 => String::new(),
            1 => " (1 was left out)".to_owned(),
            several => format!(" ({several} were left out)"),
        };
        eprintln!("error: no scenario of {} matches{left_out}", paths.join(", "));
        return Err(ExitCode::from(NO_TESTS));
    }
    Ok((selected, left_out))
}

fn unreadable(path: &Path, error: &io::Error) -> ExitCode {
    eprintln!("error: {}: {error}", path.display());
    ExitCode::from(super::USAGE)
}

pub(super) fn check(paths: &[PathBuf], color: Colour) -> ExitCode {
    let judge = match super::judge() {
        Ok(judge) => judge,
        Err(code) => return code,
    };
    let colour = color.applies(&io::stderr());
    let (mut good, mut wrong) = (0_usize, 0_usize);
    for path in paths {
        let cases = match suite::all(path, &judge) {
            Ok(cases) => cases,
            Err(error) => return unreadable(path, &error),
        };
        for case in cases {
            if let State::Broken(diagnostics) = &case.state {
                wrong += diagnostics.len();
                eprintln!("{}", report::render(diagnostics, colour));
            } else {
                good += 1;
            }
        }
    }
    let errors = if wrong == 1 { "1 error".to_owned() } else { format!("{wrong} errors") };
    let scenarios = if good == 1 { "1 scenario".to_owned() } else { format!("{good} scenarios") };
    eprintln!("{scenarios} can be loaded; {errors}");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
