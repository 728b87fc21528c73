//! From a finished run ([`Run`]) to what is shown of it: text for a person, and files for programs.
//!
//! It shows and never judges. Nothing is printed here: whoever asked decides where it goes.
#![forbid(unsafe_code)]

mod again;
mod colour;
mod file;
mod format;
pub mod github;
pub mod html;
pub mod junit;
pub mod lines;
mod model;
pub mod perfetto;
mod summary;
mod text;

use std::path::Path;
use std::time::SystemTime;

pub use again::Started;
use assize_core::outcome::{Control, ControlState, Report};
pub use colour::Colour;
pub use file::{ReportError, can_write, write};
pub use format::{Format, Printer};
pub use model::{Log, Origin, Outcome, Output, Repeated, Room, Run, Seen, Tally, Tested};
pub use summary::{Counts, Word};

use crate::diagnostic::Diagnostic;
use crate::matcher::Finding;
use crate::runner::{self, Cell, RunnerError};
use crate::scenario::Scenario;
use crate::scenario::place::{Step, YamlPath};

impl Tested {
    /// What is wrong with it, for a person; `None`: nothing.
    #[must_use]
    pub fn failure(&self, colour: bool) -> Option<String> {
        let mut diagnostics = self.findings.clone();
        let last = diagnostics.last_mut()?;
        if self.deterministic {
            last.notes.extend(footer(&self.controls).lines().map(str::to_owned));
        }
        last.notes.extend(self.accept.iter().map(|accept| format!("to accept it: {accept}")));
        last.notes.extend(self.again.iter().map(|again| format!("to run it again: {again}")));
        if let Some(kept) = &self.kept {
            last.notes.push(format!("kept: {}/ (stdout, stderr, verdicts.jsonl, work/)", kept.display()));
        }
        Some(render(&diagnostics, colour))
    }
}

/// Each finding at the line that wanted it.
#[must_use]
pub fn placed(scenario: &Scenario, findings: &[Finding]) -> Vec<Diagnostic> {
    findings.iter().map(|finding| place(scenario, finding)).collect()
}

/// Why a scenario could not be run.
#[must_use]
pub fn broken(scenario: &Scenario, error: &RunnerError) -> Vec<Diagnostic> {
    if let RunnerError::Outside { error, findings } = error {
        let error = error.iter().flat_map(|error| broken(scenario, error));
        return error.chain(placed(scenario, findings)).collect();
    }
    let at = present(scenario, &error.at(scenario));
    let mut diagnostic = scenario.diagnostic(error.to_string(), &at, "asked for here");
    if let RunnerError::NotExecuted { why, .. } = error {
        diagnostic.notes.clone_from(why);
    }
    if let RunnerError::NotGranted { help, .. } = error {
        diagnostic.help.extend(help.clone());
    }
    vec![diagnostic]
}

/// Diagnostics one below the other.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let here = |diagnostic: &Diagnostic| Diagnostic {
        file: shown(&diagnostic.file).to_owned(),
        ..diagnostic.clone()
    };
    diagnostics.iter().map(|diagnostic| here(diagnostic).render(colour)).collect::<Vec<_>>().join("\n")
}

fn place(scenario: &Scenario, finding: &Finding) -> Diagnostic {
    let at = present(scenario, &finding.at);
    let mut diagnostic = scenario.diagnostic(&finding.title, &at, &finding.label);
    diagnostic.notes.clone_from(&finding.notes);
    if let Some(related) = &finding.related
        && let Some(span) = scenario.key_span(&related.at)
    {
        let says = format!("{}: {}", related.what, related.says);
        if diagnostic.span.is_some_and(|own| own.file == span.file) {
            diagnostic.others.push((span, says));
        } else {
            diagnostic.notes.push(format!("{says} ({})", scenario.line(&related.at)));
        }
    }
    diagnostic
}

/// The path itself, or what a reader should look at where the file does not have it: the part around it. Where that
/// would be all of `expect`, or the whole file: what is run.
fn present(scenario: &Scenario, at: &YamlPath) -> YamlPath {
    let mut at = at.clone();
    let mut around = at.clone();
    while let Some(Step::Key(_)) = around.0.pop() {
        // Where a part is missing, its place is that of the part around it.
        if scenario.key_span(&at) != scenario.key_span(&around) {
            return at;
        }
        at.clone_from(&around);
        if at.0.len() < 2 && (at.0.is_empty() || at == YamlPath::from(["expect"])) {
            return runner::action(scenario);
        }
    }
    at
}

/// A path as a reader would write it: from the current folder or, as Cargo runs tests in their crate's folder, from
/// that of the workspace.
pub(crate) fn shown(path: &Path) -> &Path {
    let Ok(here) = std::env::current_dir() else { return path };
    let workspace = here.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    // Of the current folder itself nothing would be left.
    let named = |rest: &&Path| !rest.as_os_str().is_empty();
    let from = |folder: &Path| path.strip_prefix(folder).ok().filter(named);
    let plain = || path.strip_prefix(".").ok().filter(named);
    workspace.and_then(from).or_else(|| from(&here)).or_else(plain).unwrap_or(path)
}

/// The controls of a run, a line each: what was in force, and what was not.
#[must_use]
pub fn controls(report: &Report) -> String {
    let asked: Vec<_> =
        report.controls.iter().filter(|control| control.state != ControlState::NotAsked).collect();
    let width = asked.iter().map(|control| control.name.len()).max().unwrap_or(0);
    let line = |control: &&Control| format!("  {:width$}  {}\n", control.name, control);
    let mut text: String = asked.iter().map(line).collect();
    if report.events_lost > 0 {
        text.push_str(&format!("  {} events were lost\n", report.events_lost));
    }
    text
}

/// The cells of a sweep, a line each.
#[must_use]
pub fn cells(cells: &[Cell]) -> String {
    cells.iter().map(|cell| format!("  {}  {}\n", cell.name, came(cell))).collect()
}

/// What became of a cell, in a word.
fn came(cell: &Cell) -> &'static str {
    if cell.passed { "ok" } else { "FAILED" }
}

/// A control's state as a word, and what is said of it.
#[must_use]
pub fn standing(control: &Control) -> (&'static str, String) {
    let (word, says) = match &control.state {
        ControlState::Proven(saw) => ("proven", saw.as_str()),
        ControlState::InForce(how) => ("in-force", how.as_str()),
        ControlState::NotAsked => ("not-asked", ""),
        ControlState::LeftOut => ("left-out", ""),
        ControlState::Unavailable(why) => ("unavailable", why.as_str()),
    };
    (word, with_seen(says, control))
}

/// A time as RFC 3339 writes it, in UTC, to the millisecond.
fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// In a few lines, which controls were in force, which were not asked for, and which this host can't give.
pub fn footer(report: &Report) -> String {
    let named = |wanted: fn(&Control) -> Option<String>| {
        let named = |control: &Control| wanted(control).map(|more| format!("{}{more}", control.name));
        report.controls.iter().filter_map(named).collect::<Vec<_>>().join(", ")
    };
    let lines = [
        ("in force", named(|control| plain(control.holds_throughout()))),
        (
            "in force, but not throughout",
            named(|control| {
                let some = control.state.holds() && !control.seen.is_empty();
                some.then(|| format!(" ({})", control.seen.join(", ")))
            }),
        ),
        ("not asked for", named(|control| plain(control.state == ControlState::NotAsked))),
        ("left out", named(|control| plain(control.state == ControlState::LeftOut))),
        (
            "not available here",
            named(|control| match &control.state {
                ControlState::Unavailable(why) => Some(format!(" ({})", with_seen(why, control))),
                _ => None,
            }),
        ),
    ];
    let lines = lines.iter().filter(|(_, names)| !names.is_empty());
    lines.map(|(what, names)| format!("controls {what}: {names}\n")).collect()
}

fn plain(holds: bool) -> Option<String> {
    holds.then(String::new)
}

/// A reason, and what of the run it is about.
fn with_seen(why: &str, control: &Control) -> String {
    let why = Some(why.to_owned()).filter(|why| !why.is_empty());
    why.into_iter()
        .chain((!control.seen.is_empty()).then(|| control.seen.join(", ")))
        .collect::<Vec<_>>()
        .join("; ")
}

/// The controls that were asked for where possible, and that this host can't give, or that were not in force for the whole run: told
/// without being asked.
pub fn unavailable(report: &Report) -> impl Iterator<Item = String> {
    report.controls.iter().filter_map(|control| match &control.state {
        ControlState::Unavailable(why) => Some(format!("{} is not available here: {why}", control.name)),
        state if state.holds() && !control.seen.is_empty() => {
            Some(format!("{} was not in force throughout: {}", control.name, control.seen.join(", ")))
        }
        _ => None,
    })
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
