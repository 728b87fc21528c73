//! `assize run`, `list` and `check`.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Instant;

use super::Selection;
use crate::report::{self, Counts, Started, Word};
use crate::runner::{Keep, Kernel, Which, scratch};
use crate::suite::{self, Case, Done, Judge, State, Way};

/// As libtest: some test failed.
const FAILED: u8 = 101;
/// As nextest: no test to run.
const NO_TESTS: u8 = 4;

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
    let colour = report::coloured(&io::stdout());
    let executable = std::env::current_exe().unwrap_or_default();
    let by_cargo = std::env::var_os("CARGO").is_some();
    let keep = Keep::near(&std::env::current_dir().unwrap_or_default()).of(args.keep);
    let _kept = scratch::keep();
    let start = Instant::now();
    let mut counts = Counts { filtered_out, ..Counts::default() };
    let total = selected.len();
    let threads =
        args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let queue: Mutex<VecDeque<Selected>> = Mutex::new(selected.into());
    let (sender, results) = mpsc::channel();
    let work = |sender: mpsc::Sender<(String, Came)>| {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(Selected { path, case }) = next else { break };
            let started = Started::by_command(&executable, by_cargo, path);
            let way = Way { engine: &Kernel, keep: &keep, started: &started, colour };
            let result = match &case.state {
                State::Lacking(why) => Came::Ignored(why.clone()),
                _ => Came::Done(case.run(way)),
            };
            if sender.send((case.name, result)).is_err() {
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
        for (name, came) in results {
            say(&name, came, &mut counts, args.verbose, colour);
        }
    });
    // Nobody is left to be told that stdout is closed.
    let _ = write!(io::stdout(), "{}", counts.render(start.elapsed(), colour));
    if counts.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Where a test stands in a shuffled run.
fn place(seed: u64, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, name).hash(&mut hasher);
    hasher.finish()
}

enum Came {
    Done(Done),
    Ignored(String),
}

fn say(name: &str, came: Came, counts: &mut Counts, verbose: bool, colour: bool) {
    let mut out = io::stdout().lock();
    let (word, rest) = match came {
        Came::Done(Done { failure, controls, cells }) => {
            counts.unavailable.extend(report::unavailable(&controls));
            let controls =
                if verbose { report::cells(&cells) + &report::controls(&controls) } else { String::new() };
            match failure {
                None => {
                    counts.passed += 1;
                    (Word::Ok, controls)
                }
                Some(text) => {
                    counts.failed.push(name.to_owned());
                    (Word::Failed, format!("\n{text}{controls}\n"))
                }
            }
        }
        Came::Ignored(why) => {
            counts.ignored.push((name.to_owned(), why));
            (Word::Ignored, String::new())
        }
    };
    let _ = writeln!(out, "{name} ... {}", word.render(colour));
    let _ = write!(out, "{rest}");
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

pub(super) fn check(paths: &[PathBuf]) -> ExitCode {
    let judge = match super::judge() {
        Ok(judge) => judge,
        Err(code) => return code,
    };
    let colour = report::coloured(&io::stderr());
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
