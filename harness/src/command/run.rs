//! `assize run`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use super::crew::{Crew, How, Job, say};
use super::reports::Reports;
use super::select::{Consent, Selected, Selection, host, select};
use super::{FAILED, UNWRITTEN, USAGE};
use crate::board::Board;
use crate::history::{History, Keys};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::{Colour, Counts, Format, Printer, Started};
use crate::runner::{Keep, Which, scratch, session};

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    consent: Consent,
    /// How many scenarios run at once; as many as there are processors if nothing is said. With more than one, those
    /// that took longest the last time begin first.
    #[arg(long, short, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    jobs: Option<NonZeroUsize>,
    /// In another order: the same for the same number. One is chosen, and printed, if none is given.
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option)]
    shuffle: Option<Option<u64>>,
    /// Begin no more once one has failed.
    #[arg(long)]
    fail_fast: bool,
    /// Only those that failed in their last run; all, if none of the selected did. That is remembered beside the artefacts that
    /// are kept.
    #[arg(long)]
    last_failed: bool,
    /// Run each N times, and say how often it failed. Once is enough to fail.
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU32>)]
    stress: Option<NonZeroU32>,
    /// Whose artefacts are kept: what it wrote, its verdicts, its work folder. They lie beneath `target/assize` of the Cargo project
    /// around the current folder; elsewhere beneath XDG_STATE_HOME/assize (`~/.local/state/assize`), a folder for each project.
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

/// Reads a number of which none would be too few.
fn at_least_one<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| "write a number from 1 up".to_owned())
}

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let (selected, mut filtered_out) = match host().and_then(|host| select(&args.selection, &host)) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let engine = match args.consent.engine() {
        Ok(engine) => engine,
        Err(code) => return code,
    };
    if let Err(error) = args.reports.check() {
        eprintln!("error: {error}");
        return ExitCode::from(USAGE);
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let by_cargo = std::env::var_os("CARGO").is_some();
    let mut keys = BTreeMap::new();
    let job = |Selected { path, case }: Selected| {
        let key = keys.entry(path.clone()).or_insert_with(|| Keys::beneath(&path)).of(&case.name);
        Job::new(case, key, Started::by_command(&executable, by_cargo, path))
    };
    let mut jobs: Vec<_> = selected.into_iter().map(job).collect();
    let keep = Keep::near(&std::env::current_dir().unwrap_or_default()).of(args.keep);
    let history = History::near(&keep);
    if args.last_failed {
        if keep.folder().is_none() {
            eprintln!(
                "error: --last-failed: nothing is remembered where there is neither Cargo's folder `target`, nor a folder of \
                 the user's own state that can be made (XDG_STATE_HOME, or beneath HOME)"
            );
            return ExitCode::from(USAGE);
        }
        let (left_out, told) = only_last_failed(&mut jobs, &history);
        filtered_out += left_out;
        // What a program reads has no place for it.
        if args.format == Format::Pretty { say(&told) } else { eprint!("{told}") }
    }
    let threads =
        args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    // Short enough to be typed.
    let shuffled = args.shuffle.map(|seed| seed.unwrap_or_else(|| session::random() % 1_000_000));
    match shuffled {
        Some(seed) => jobs.sort_by_cached_key(|job| place(seed, &job.case.name)),
        None if threads > 1 => history.longest_first(&mut jobs, |job| &job.key),
        None => {}
    }

    let _kept = scratch::keep();
    let colour = args.color.applies(&io::stdout());
    let counts = Counts { filtered_out, ..Counts::default() };
    // A program that reads a terminal's output is told nothing that is not for it.
    let progress = if args.format == Format::Pretty { Progress::of(jobs.len()) } else { Progress::none() };
    let mut board = Board::new(counts, history, progress.clone());
    board.shuffled = shuffled;
    let how = How {
        runs: args.stress,
        fail_fast: args.fail_fast,
        format: args.format,
        github: args.reports.github(),
        logs: args.reports.logs(),
        engine,
    };
    let printer = Printer::new(args.format, colour, args.verbose, jobs.len(), shuffled);
    let crew = Arc::new(Crew::new(jobs, threads, board, printer, progress, keep, how));
    interrupt::at_end({
        let (crew, reports) = (Arc::clone(&crew), args.reports.clone());
        move |signal| {
            let end = crew.end(Some(signal));
            reports.write(&end.run);
            Box::new(move || crew.show(&end))
        }
    });
    crew.work_with(threads);
    // Whoever is asked to end meanwhile ends when all reports are written.
    let (end, written) = interrupt::living(|| {
        interrupt::no_more();
        let end = crew.end(None);
        let written = args.reports.write(&end.run);
        (end, written)
    });
    crew.show(&end);
    match (end.counts.failed.is_empty(), written) {
        (false, _) => ExitCode::from(FAILED),
        (true, false) => ExitCode::from(UNWRITTEN),
        (true, true) => ExitCode::SUCCESS,
    }
}

/// Leaves those that failed in their last run; all, if there are none. Returns how many are left out, and what is to be
/// said of it.
fn only_last_failed(jobs: &mut Vec<Job>, history: &History) -> (usize, String) {
    let all = jobs.len();
    let failed = jobs.iter().filter(|job| history.failed(&job.key)).count();
    if failed == 0 {
        return (0, "last failed: none of these, so all are run\n".to_owned());
    }
    jobs.retain(|job| history.failed(&job.key));
    (all - failed, format!("last failed: {failed} of {all}\n"))
}

/// Where a test stands in a shuffled run.
fn place(seed: u64, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, name).hash(&mut hasher);
    hasher.finish()
}
