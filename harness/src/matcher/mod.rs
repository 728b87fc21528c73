//! From what was expected and what was seen to what is wrong. Pure: it reads no file and runs nothing.
//!
//! A [`Finding`] points at the line that wanted something, and says what was seen instead.
#![forbid(unsafe_code)]

pub(crate) mod accept;
mod advice;
mod changes;
mod diff;
mod end;
mod exhaustive;
mod file;
mod granted;
pub(crate) mod inject;
mod json;
mod lacking;
mod line;
mod lines;
mod observation;
mod peak;
mod text;
mod verdict;
mod why;

use assize_core::Verdict;
use assize_core::trace::{Body, Event};
pub(crate) use end::{MEANWHILE, UNSEEN};
pub use granted::{DeniedCalls, Granted, GrantedPath, List};
pub use observation::{Changes, FileSeen, Injected, Observation};
pub(crate) use verdict::asks_for;
pub(crate) use why::to_execute;

use crate::attempt::Answered;
use crate::scenario::expect::{Expectation, Redactions, TextPattern};
use crate::scenario::place::YamlPath;

/// One thing that is not as it was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong, in one line.
    pub title: String,
    /// What wanted it.
    pub at: YamlPath,
    /// What stands under the marked piece.
    pub label: String,
    /// What was seen, what comes nearest, what would mend it: each may have several lines.
    pub notes: Vec<String>,
    /// Another piece of the file that a reader should look at.
    pub related: Option<Related>,
}

/// A piece of the file that a reader should look at: `nearest pattern: line 25, differs in path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// What it is: `nearest pattern`.
    pub what: &'static str,
    /// Where.
    pub at: YamlPath,
    /// What is to be seen there.
    pub says: String,
}

impl Finding {
    fn new(title: impl Into<String>, at: YamlPath, label: impl Into<String>) -> Self {
        Self { title: title.into(), at, label: label.into(), notes: Vec::new(), related: None }
    }

    fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    fn notes(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(texts);
        self
    }
}

/// Everything that is not as it was expected, the end of the command first: it often explains the rest.
#[must_use]
pub fn judge(expect: &Expectation, seen: &Observation) -> Vec<Finding> {
    let root = YamlPath::from(["expect"]);
    let mut findings: Vec<Finding> = end::judge(expect, seen).into_iter().collect();
    let streams = [("stdout", &expect.stdout, &seen.stdout), ("stderr", &expect.stderr, &seen.stderr)];
    for (name, pattern, bytes) in streams {
        if let Some(pattern) = pattern {
            findings.extend(text::judge(pattern, &seen.text(bytes), name, &root.key(name), &expect.redact));
        }
    }
    for (path, pattern) in &expect.files {
        findings.extend(file::judge(pattern, path, seen, &root.key("files").key(path), &expect.redact));
    }
    if let Some(changes) = &expect.changes {
        findings.extend(changes::judge(changes, seen, &root.key("changes"), &expect.redact));
    }
    // Once: with the end, if that is wrong too, or with the last of what the command left behind.
    let end = findings.iter().position(|finding| finding.at == root.key("exit"));
    let explained = match end {
        Some(place) => findings.get_mut(place),
        None => findings.last_mut(),
    };
    if let Some(finding) = explained {
        finding.notes.extend(end::meanwhile(expect, seen, end.is_some()));
    }
    findings.extend(verdict::judge(&expect.verdicts, seen, &root.key("verdicts")));
    for (name, pattern) in &expect.controls {
        findings.extend(control(name, pattern, seen, &root.key("controls").key(name), &expect.redact));
    }
    findings.extend(exhaustive::judge(&expect.verdicts, seen, &root.key("verdicts")));
    findings.extend(seen.injected.iter().filter_map(|injected| inject::judge(injected, seen)));
    findings.extend(attempts(seen));
    if let Some(wanted) = &expect.peak {
        findings.extend(peak::judge(wanted, seen, &root.key("peak")));
    }
    if let Some(takes) = expect.takes.as_ref().filter(|takes| !takes.holds(seen.took)) {
        let title = format!("the run took {:.3} s", seen.took.as_secs_f64());
        findings.push(Finding::new(title, root.key("takes"), format!("{takes} is wanted")));
    }
    findings
}

/// What is wrong with what the report says of a control.
fn control(
    name: &str,
    pattern: &TextPattern,
    seen: &Observation,
    at: &YamlPath,
    names: &Redactions,
) -> Vec<Finding> {
    match seen.controls.iter().find(|control| control.name == name) {
        Some(control) => {
            let says = seen.text(control.to_string().as_bytes());
            text::judge(pattern, &says, &format!("what is said of `{name}`"), at, names)
        }
        None => {
            let known: Vec<_> = seen.controls.iter().map(|control| control.name.as_str()).collect();
            let finding = Finding::new(format!("there is no control `{name}`"), at.clone(), "wanted here");
            vec![finding.note(format!("controls: {}", known.join(", ")))]
        }
    }
}

/// What to take away (`-`) and what to add (`+`) to come from one text to another.
pub(crate) fn difference(one: &str, two: &str) -> String {
    diff::diff(one, two, None)
}

/// The verdicts among events, each with its place in the run.
fn verdicts(events: &[Event]) -> impl Iterator<Item = (u64, &Verdict)> + Clone {
    events.iter().filter_map(|event| match &event.body {
        Body::Verdict(verdict) => Some((event.seq, &**verdict)),
        _ => None,
    })
}

/// A verdict as a line of a report.
fn shown(seq: u64, verdict: &Verdict) -> String {
    format!("#{seq} {verdict}")
}

/// The verdict on a call of an attempt, if it can be told from those on others.
pub(crate) fn answer(answered: Answered, seen: &Observation) -> Option<(u64, &Verdict)> {
    let fits = |(_, verdict): &(u64, &Verdict)| {
        verdict.call == answered.call && verdict.result.is_none_or(|result| result == answered.result)
    };
    let all: Vec<_> = verdicts(&seen.events).filter(fits).collect();
    // As many verdicts as calls: each has its own.
    if all.len() == answered.of { all.get(answered.nth).copied() } else { None }
}

fn attempts(seen: &Observation) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut denied: Vec<&Verdict> = Vec::new();
    let mut last_denied = None;
    for attempt in &seen.attempts {
        let mut finding = Finding::new(&attempt.title, attempt.path.clone(), &attempt.label);
        finding.notes.clone_from(&attempt.notes);
        if let Some(answered) = attempt.answered
            && let Some((seq, verdict)) = answer(answered, seen)
        {
            finding.notes.push(format!("seen: {}", shown(seq, verdict)));
            if !answered.denial {
                finding.notes.extend(why::denied(verdict, seen));
                denied.push(verdict);
                last_denied = Some(findings.len());
            }
        }
        findings.push(finding);
    }
    // One line for all: several that begin with the same key could not stand beside each other.
    if let Some(last) = last_denied.and_then(|last| findings.get_mut(last)) {
        last.notes.extend(advice::to_allow(denied, seen));
    }
    let mut rest: Vec<(u64, &Verdict)> = verdicts(&seen.events).collect();
    for wanted in &seen.wanted {
        let fits = |verdict: &Verdict| {
            verdict.call == wanted.call && wanted.actions.contains(&verdict.action.word())
        };
        if let Some(place) = rest.iter().position(|(_, verdict)| fits(verdict)) {
            // Attempts are made in the file's order, so that one verdict does not answer for two of them.
            rest.drain(..=place);
            continue;
        }
        if findings.iter().any(|finding| finding.at == wanted.path) {
            continue;
        }
        let words = wanted.actions.join(" or ");
        let title = format!("the verdict log does not say `{words}` for {}", wanted.call);
        let of_call = verdicts(&seen.events).filter(|(_, verdict)| verdict.call == wanted.call);
        let finding = Finding::new(title, wanted.path.clone(), "wanted here");
        findings.push(
            finding.notes(of_call.take(3).map(|(seq, verdict)| format!("seen: {}", shown(seq, verdict)))),
        );
    }
    findings
}

/// Whether a line is like this pattern alone.
pub(crate) fn line_fits(pattern: &str, line: &str) -> bool {
    line::Line::alone(pattern, crate::scenario::expect::Redactions::none())
        .fits(line, &line::Captured::new())
        .is_some()
}

/// A text whose lines stand for themselves alone.
pub(crate) fn escaped(text: &str) -> String {
    let names = crate::scenario::expect::Redactions::default();
    let lines = text.split_inclusive('\n').map(|line| {
        let body = line.strip_suffix('\n').unwrap_or(line);
        line::escaped(body, &names, &std::collections::BTreeSet::new())
            + line.get(body.len()..).unwrap_or_default()
    });
    lines.collect()
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
