//! Which scenarios a command is about, and `assize list`.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{NO_TESTS, USAGE};
use crate::needs::{self, Host};
use crate::portion::Portion;
use crate::runner::{Named, outside};
use crate::shard::Shard;
use crate::suite::{self, Case, State};
use crate::yes_no::says_yes;

/// Where scenarios lie, if nothing is said.
const SCENARIOS: &str = "scenarios";

/// Which scenarios.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Folders of scenarios, or single files.
    #[arg(default_value = SCENARIOS)]
    pub(super) paths: Vec<PathBuf>,
    /// Only those whose name contains TEXT (may be given several times: any of them).
    #[arg(long, short, value_name = "TEXT")]
    filter: Vec<String>,
    /// Not those whose name contains TEXT.
    #[arg(long, value_name = "TEXT")]
    skip: Vec<String>,
    /// Only the one of this name. Opens no other file.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["filter", "skip"])]
    exact: Vec<String>,
    /// Only the K-th of N parts, for N machines that share the scenarios; a name alone tells its part, so a new scenario
    /// moves no other. ASSIZE_SHARD says the same.
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
}

/// What is allowed besides what the sandbox confines.
#[derive(Debug, clap::Args)]
pub(super) struct Consent {
    /// Let scenarios run the steps of `outside:`, which no sandbox confines. ASSIZE_ALLOW_OUTSIDE=1 says the same; without it such
    /// a scenario fails.
    #[arg(long)]
    allow_outside: bool,
}

impl Consent {
    /// What runs commands so; says on stderr if nobody knows whether the environment allows it.
    pub(super) fn engine(&self) -> Result<Named, ExitCode> {
        match says_yes(outside::VARIABLE) {
            Ok(_) => Ok(Named::default().outside(self.allow_outside)),
            Err(error) => {
                eprintln!("error: {error}");
                Err(ExitCode::from(USAGE))
            }
        }
    }
}

/// A selected test, and the path that it was found under.
pub(super) struct Selected {
    pub(super) path: PathBuf,
    pub(super) case: Case,
}

/// The host; says on stderr what it lacks that it must have.
pub(super) fn host() -> Result<Host, ExitCode> {
    let host = Host::probe();
    match needs::required(&host) {
        Ok(()) => Ok(host),
        Err(error) => {
            eprintln!("error: {error}");
            Err(ExitCode::from(USAGE))
        }
    }
}

pub(super) fn list(selection: &Selection) -> ExitCode {
    match host().and_then(|host| select(selection, &host)) {
        Ok((selected, _)) => {
            let mut out = io::stdout().lock();
            for Selected { case, .. } in &selected {
                let written = match &case.state {
                    State::Lacking(why) => writeln!(out, "{} (ignored: {why})", case.name),
                    State::Ready(_) | State::Broken(_) => writeln!(out, "{}", case.name),
                };
                if written.is_err() {
                    break;
                }
            }
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// The tests that are asked for, and how many are not. A selection without any is an error: what was meant to be run
/// was not. That a shard has none of them is not.
pub(super) fn select(selection: &Selection, host: &Host) -> Result<(Vec<Selected>, usize), ExitCode> {
    let portion = Portion::from_env(selection.shard).map_err(|error| {
        eprintln!("error: {error}");
        ExitCode::from(USAGE)
    })?;
    let mut selected = Vec::new();
    let mut left_out = 0;
    let mut elsewhere = 0;
    for path in &selection.paths {
        let found = if selection.exact.is_empty() {
            suite::all(path, host).map_err(|error| unreadable(path, &error))?
        } else {
            selection.exact.iter().filter_map(|name| suite::named(path, name, host)).collect()
        };
        for case in found {
            let hit = |text: &String| case.name.contains(text.as_str());
            let wanted = selection.filter.is_empty() || selection.filter.iter().any(hit);
            if !wanted || selection.skip.iter().any(hit) {
                left_out += 1;
            } else if portion.holds(&case.name) {
                selected.push(Selected { path: path.clone(), case });
            } else {
                elsewhere += 1;
            }
        }
    }
    if selected.is_empty() && elsewhere == 0 {
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
    Ok((selected, left_out + elsewhere))
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> ExitCode {
    let shown = path.display();
    let missing = error.kind() == io::ErrorKind::NotFound;
    if missing && path == Path::new(SCENARIOS) {
        eprintln!("error: {shown}: {error}");
        eprintln!(
            "help: name the folder of scenarios, or a file, as in `assize run NAME.yaml`; `assize record -- CMD` writes one"
        );
    } else if missing && path.components().count() == 1 {
        // Who knows libtest takes what stands there for a filter.
        eprintln!("error: there is no file or folder `{shown}`; to select by name: `-f {shown}`");
    } else {
        eprintln!("error: {shown}: {error}");
    }
    ExitCode::from(USAGE)
}
