//! From findings to text for a person.
//!
//! It shows and never judges. Nothing is printed here: whoever asked decides where it goes.
#![forbid(unsafe_code)]

mod again;
mod summary;

use std::io::IsTerminal;
use std::path::Path;

pub use again::Started;
use assize_core::outcome::{Control, ControlState, Report};
pub use summary::{Counts, Word};

use crate::bless;
use crate::diagnostic::Diagnostic;
use crate::matcher::Finding;
use crate::runner::{self, Cell, Ran, RunnerError};
use crate::scenario::Scenario;
use crate::scenario::place::{Step, YamlPath};

/// Whether what is written to this stream is coloured: on a terminal, unless `NO_COLOR` asks otherwise.
#[must_use]
pub fn coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What is wrong with a run, each finding at the line that wanted it.
#[must_use]
pub fn failure(scenario: &Scenario, ran: &Ran, started: &Started, colour: bool) -> String {
    let mut diagnostics: Vec<Diagnostic> =
        ran.findings.iter().map(|finding| placed(scenario, finding)).collect();
    if let Some(last) = diagnostics.last_mut() {
        if scenario.deterministic.is_some() {
            last.notes.extend(footer(&ran.controls).lines().map(str::to_owned));
        }
        if ran.seen.as_ref().is_some_and(|seen| bless::would(scenario, seen)) {
            last.notes.push(format!("to accept it: {}", started.accept(&scenario.test.to_string())));
        }
        last.notes.push(format!("to run it again: {}", started.again(&scenario.test.to_string())));
        if let Some(kept) = &ran.kept {
            let kept = shown(kept).display();
            last.notes.push(format!("kept: {kept}/ (stdout, stderr, verdicts.jsonl, work/)"));
        }
    }
    render(&diagnostics, colour)
}

/// Why a scenario could not be run.
#[must_use]
pub fn broken(scenario: &Scenario, error: &RunnerError, started: &Started, colour: bool) -> String {
    let at = present(scenario, &error.at(scenario));
    let diagnostic = scenario
        .diagnostic(error.to_string(), &at, "asked for here")
        .note(format!("to run it again: {}", started.again(&scenario.test.to_string())));
    render(&[diagnostic], colour)
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

fn placed(scenario: &Scenario, finding: &Finding) -> Diagnostic {
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
fn shown(path: &Path) -> &Path {
    let Ok(here) = std::env::current_dir() else { return path };
    let workspace = here.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    let from = |folder: &Path| path.strip_prefix(folder).ok();
    workspace.and_then(from).or_else(|| from(&here)).unwrap_or(path)
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
    let line = |cell: &Cell| format!("  {}  {}\n", cell.name, if cell.passed { "ok" } else { "FAILED" });
    cells.iter().map(line).collect()
}

/// In a few lines, which controls were in force, which were not asked for, and which this host can't give.
pub fn footer(report: &Report) -> String {
    let named = |wanted: fn(&Control) -> Option<String>| {
        let named = |control: &Control| wanted(control).map(|more| format!("{}{more}", control.name));
        report.controls.iter().filter_map(named).collect::<Vec<_>>().join(", ")
    };
    let lines = [
        ("in force", named(|control| plain(control.state.holds()))),
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
    if control.seen.is_empty() { why.to_owned() } else { format!("{why}; {}", control.seen.join(", ")) }
}

/// The controls that were asked for where possible, and that this host can't give: told without being asked.
pub fn unavailable(report: &Report) -> impl Iterator<Item = String> {
    report.controls.iter().filter_map(|control| match &control.state {
        ControlState::Unavailable(why) => Some(format!("{} is not available here: {why}", control.name)),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
