//! From what was seen of a run to the values that would have to stand in the file.
//!
//! Every finding becomes a change, or a reason for which there is none.
#![forbid(unsafe_code)]

use assize_core::Errno;
use assize_core::outcome::End;
use assize_core::trace::{Action as Answer, Exit};

use super::{Also, Why};
use crate::attempt::Wanted;
use crate::matcher::{self, FileSeen, Finding, Observation, accept};
use crate::scenario::expect::{
    ExitPattern, Exits, FilePattern, Mode, Range, Redactions, Signal, TextPattern, TextTest,
};
use crate::scenario::place::{Step, YamlPath};
use crate::scenario::{Action, Scenario};

/// A value of the file, and what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it stands.
    pub at: YamlPath,
    /// What is to stand there.
    pub to: To,
}

/// What is to stand at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// A text.
    Text(String),
    /// A word or a number.
    Word(String),
    /// Further items of a list.
    More(Vec<String>),
}

/// Why a value is not changed, and where it stands.
pub(super) type Refused = (YamlPath, Why);

/// What would have to change for a run like this to be as expected; nothing, if it is.
pub(super) fn changes(scenario: &Scenario, seen: &Observation, also: &Also) -> Result<Vec<Change>, Refused> {
    let mut changes: Vec<Change> = Vec::new();
    for finding in matcher::judge(&scenario.expect, seen) {
        for change in of(scenario, seen, also, &finding).map_err(|why| (finding.at.clone(), why))? {
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
    }
    // A pattern that is brought to what was seen may list what was not listed.
    let sees = YamlPath::from(["expect", "verdicts", "sees"]);
    let is_pattern = |change: &Change| change.at != sees && change.at.0.starts_with(&sees.0);
    if changes.iter().any(is_pattern) {
        changes.retain(|change| change.at != sees);
    }
    Ok(changes)
}

fn of(scenario: &Scenario, seen: &Observation, also: &Also, finding: &Finding) -> Result<Vec<Change>, Why> {
    let expect = &scenario.expect;
    let steps: Vec<Option<&str>> = finding
        .at
        .0
        .iter()
        .map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    match steps.as_slice() {
        [Some("expect"), Some("exit")] => exit(expect.exit.as_ref(), seen, also, &finding.at),
        [Some("expect"), Some(name @ ("stdout" | "stderr")), ..] => {
            let (pattern, bytes) = match *name {
                "stdout" => (&expect.stdout, &seen.stdout),
                _ => (&expect.stderr, &seen.stderr),
            };
            let pattern = pattern.as_ref().ok_or_else(|| no_value(finding))?;
            Ok(vec![text(pattern, bytes, seen, finding, &expect.redact)?])
        }
        [Some("expect"), Some("files"), Some(name), ..] => {
            let pattern = expect.files.get(*name).ok_or_else(|| no_value(finding))?;
            Ok(vec![file(pattern, seen.files.get(*name), seen, finding, &expect.redact)?])
        }
        [Some("expect"), Some("verdicts"), Some("sees"), None] => sees(scenario, seen, also, finding),
        [Some("expect"), Some("verdicts"), Some("sees" | "order" | "exhaustive")] => {
            let lines = accept::missing(&expect.verdicts, seen).ok_or(Why::NoText)?;
            let at = YamlPath::from(["expect", "verdicts", "sees"]);
            Ok(vec![Change { at, to: To::More(lines) }])
        }
        [Some("attempt"), None, Some("expect")] => attempt(scenario, seen, also, finding),
        _ => Err(no_value(finding)),
    }
}

fn no_value(finding: &Finding) -> Why {
    Why::NotAValue { title: finding.title.clone(), notes: finding.notes.clone() }
}

fn exit(wanted: Option<&Exits>, seen: &Observation, also: &Also, at: &YamlPath) -> Result<Vec<Change>, Why> {
    let to = match seen.end {
        End::Exit(Exit::Code(code)) => code.to_string(),
        End::Exit(Exit::Signal(signal)) if also.signals => Signal(signal).to_string(),
        End::Exit(Exit::Signal(signal)) => return Err(Why::Signal(Signal(signal).to_string())),
        End::TimedOut(_) | End::Cancelled => return Err(Why::TimeUp),
    };
    let at = match wanted.map(|wanted| wanted.0.as_slice()) {
        None => return Err(Why::NoExit(to)),
        Some([ExitPattern::Code(_) | ExitPattern::Signal(_) | ExitPattern::Timeout | ExitPattern::Any]) => {
            at.clone()
        }
        Some(_) => return Err(Why::SeveralEnds(to)),
    };
    Ok(vec![Change { at, to: To::Word(to) }])
}

fn readable(bytes: &[u8]) -> Result<&[u8], Why> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(Why::NoText),
    }
}

fn text(
    pattern: &TextPattern,
    bytes: &[u8],
    seen: &Observation,
    finding: &Finding,
    names: &Redactions,
) -> Result<Change, Why> {
    let now = || readable(bytes).map(|bytes| seen.text(bytes));
    let to = match pattern {
        TextPattern::Whole(expected) => accept::text(expected, &now()?, names).ok_or(Why::TooLong)?,
        TextPattern::Tests(tests) => exact(tests, finding).and_then(|()| now())?,
    };
    Ok(Change { at: finding.at.clone(), to: To::Text(to) })
}

/// Of the longer form only `equals` says what a text is; the rest says something of it, and what that is to be nobody
/// can tell from what was seen.
fn exact(tests: &[TextTest], finding: &Finding) -> Result<(), Why> {
    let equals = matches!(finding.at.0.last(), Some(Step::Key(key)) if key == "equals");
    let own = tests.iter().any(|test| matches!(test, TextTest::Equals(_)));
    // Beneath `not` and the like it is another's.
    let nested = finding.at.0.iter().any(|step| matches!(step, Step::Index(_)))
        || finding.at.0.iter().any(|step| matches!(step, Step::Key(key) if key == "not"));
    if equals && own && !nested { Ok(()) } else { Err(no_value(finding)) }
}

fn file(
    pattern: &FilePattern,
    there: Option<&FileSeen>,
    seen: &Observation,
    finding: &Finding,
    names: &Redactions,
) -> Result<Change, Why> {
    let Some(FileSeen::File { bytes, mode }) = there else { return Err(no_value(finding)) };
    match pattern {
        FilePattern::Absent | FilePattern::Present => Err(no_value(finding)),
        FilePattern::Text(pattern) => text(pattern, bytes, seen, finding, names),
        FilePattern::Is { tests, .. } => {
            if matches!(finding.at.0.last(), Some(Step::Key(key)) if key == "mode") {
                return Ok(Change { at: finding.at.clone(), to: To::Word(Mode(*mode).to_string()) });
            }
            exact(tests, finding)?;
            let now = seen.text(readable(bytes)?);
            Ok(Change { at: finding.at.clone(), to: To::Text(now) })
        }
    }
}

fn sees(scenario: &Scenario, seen: &Observation, also: &Also, finding: &Finding) -> Result<Vec<Change>, Why> {
    let nth = match finding.at.0.last() {
        Some(Step::Index(nth)) => *nth,
        _ => return Err(no_value(finding)),
    };
    let pattern = scenario.expect.verdicts.sees.get(nth).ok_or_else(|| no_value(finding))?;
    let values = accept::pattern(pattern, seen, also.allowed)
        .map_err(|reason| Why::Pattern { reason: reason.to_string(), notes: finding.notes.clone() })?;
    let change = |(key, value): (String, String)| {
        let at = match key.strip_prefix("args.") {
            Some(name) => finding.at.key("args").key(name),
            None => finding.at.key(&key),
        };
        let to = match key.as_str() {
            "times" => bound(pattern.times, &value),
            _ => value,
        };
        Change { at, to: To::Word(to) }
    };
    Ok(values.into_iter().map(change).collect())
}

/// A range with one bound keeps its form.
fn bound(range: Option<Range>, count: &str) -> String {
    match range {
        Some(Range { least, most: i64::MAX }) if least > i64::MIN => format!(">= {count}"),
        Some(Range { least: i64::MIN, .. }) => format!("<= {count}"),
        _ => count.to_owned(),
    }
}

fn attempt(
    scenario: &Scenario,
    seen: &Observation,
    also: &Also,
    finding: &Finding,
) -> Result<Vec<Change>, Why> {
    let (Action::Attempt(attempts), Some(Step::Index(nth))) = (&scenario.action, finding.at.0.get(1)) else {
        return Err(no_value(finding));
    };
    let wanted = attempts.get(*nth).map(|attempt| attempt.expect).ok_or_else(|| no_value(finding))?;
    let mut found: Option<String> = None;
    for came in seen.attempts.iter().filter(|came| came.path == finding.at) {
        let answered = came.answered.filter(|answered| answered.whole);
        let answered = answered.ok_or_else(|| no_value(finding))?;
        let denied = matcher::answer(answered, seen)
            .is_some_and(|(_, verdict)| matches!(verdict.action, Answer::Deny(_)));
        let failed = i32::try_from(-answered.result).ok().filter(|value| (1..=4095).contains(value));
        let value = match failed.map(Errno::new) {
            Some(errno) if denied => format!("deny {errno}"),
            Some(errno) => errno.to_string(),
            None if matches!(wanted, Wanted::Returns(_)) => answered.result.to_string(),
            None => "allow".to_owned(),
        };
        match wanted {
            Wanted::Deny(_) | Wanted::Emulate if !denied && !also.allowed => {
                return Err(Why::NotDenied(value));
            }
            // Whoever wrote an errno wanted that the call has no effect.
            Wanted::Fails(_) if failed.is_none() && !also.allowed => return Err(Why::NotFailed(value)),
            _ => {}
        }
        if found.as_ref().is_some_and(|found| *found != value) {
            return Err(no_value(finding));
        }
        found = Some(value);
    }
    let to = found.ok_or_else(|| no_value(finding))?;
    Ok(vec![Change { at: finding.at.clone(), to: To::Word(to) }])
}
