//! `exhaustive`: verdicts that no pattern lists.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use assize_core::Verdict;
use assize_core::trace::Action;

use super::verdict::{differences, distance, keys, matches};
use super::{Finding, Observation, Related, advice, inject, shown, verdicts, why};
use crate::scenario::expect::{Exhaustive, Verdicts};
use crate::scenario::place::YamlPath;

/// More of them say nothing new: they are counted.
const MOST: usize = 5;

/// The verdicts that no pattern lists, like ones put together.
pub(super) fn judge(wanted: &Verdicts, seen: &Observation, at: &YamlPath) -> Vec<Finding> {
    let word = match wanted.exhaustive {
        None => return Vec::new(),
        Some(Exhaustive::Deny) => "exhaustive: deny",
        Some(Exhaustive::All) => "exhaustive: all",
    };
    let mut groups: Vec<(u64, &Verdict, usize)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (seq, verdict) in unlisted(wanted, seen) {
        // A guest can make as many kinds of them as it likes.
        let place = *known.entry(kind(verdict)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((.., count)) => *count += 1,
            None => groups.push((seq, verdict, 1)),
        }
    }
    let patterns = wanted.listed().count();
    let (here, label) = match patterns {
        0 => (at.key("exhaustive"), "no pattern lists anything".to_owned()),
        1 => (
            at.key(if wanted.sees.is_empty() { "order" } else { "sees" }),
            "1 pattern, it does not match".to_owned(),
        ),
        _ => (
            at.key(if wanted.sees.is_empty() { "order" } else { "sees" }),
            format!("{patterns} patterns, none matches"),
        ),
    };
    let mut findings: Vec<Finding> = Vec::new();
    for (seq, verdict, count) in groups.iter().take(MOST) {
        let title =
            format!("{} was {}, and `{word}` does not list it", short(verdict), participle(verdict.action));
        let mut finding = Finding::new(title, here.clone(), &label);
        finding = finding.note(format!("seen: {}", shown(*seq, verdict)));
        if *count > 1 {
            finding = finding.note(format!("and {} more like it", count - 1));
        }
        finding = finding.notes(why::denied(verdict, seen));
        finding.related = nearest_pattern(wanted, verdict, seen, at);
        findings.push(finding);
    }
    if let Some(last) = findings.last_mut() {
        last.notes.extend(advice::to_allow(groups.iter().map(|(_, verdict, _)| *verdict), seen));
    }
    if let Some(last) = findings.last_mut().filter(|_| groups.len() > MOST) {
        last.notes.push(format!("{} more kinds of verdicts are not listed either", groups.len() - MOST));
    }
    findings
}

/// The verdicts that must be listed and that no pattern lists.
pub(super) fn unlisted<'a>(
    wanted: &'a Verdicts,
    seen: &'a Observation,
) -> impl Iterator<Item = (u64, &'a Verdict)> {
    verdicts(&seen.events).filter(move |(_, verdict)| {
        // What the scenario itself injects, it has said already.
        let concerned = !inject::has_made(&verdict.by)
            && match wanted.exhaustive {
                None => false,
                Some(Exhaustive::Deny) => matches!(verdict.action, Action::Deny(_)),
                Some(Exhaustive::All) => true,
            };
        concerned && !wanted.listed().any(|(.., pattern)| matches(pattern, verdict, seen))
    })
}

/// What verdicts that are alike have in common.
pub(super) fn kind(verdict: &Verdict) -> String {
    let paths: Vec<_> = verdict.args.paths().collect();
    format!("{} {:?} {:?} {:?} {paths:?}", verdict.call, verdict.action, verdict.by, verdict.target)
}

/// `openat("/etc/passwd")`.
fn short(verdict: &Verdict) -> String {
    let paths: Vec<String> = verdict.args.paths().map(|path| format!("{path:?}")).collect();
    if paths.is_empty() {
        format!("{}({})", verdict.call, verdict.args)
    } else {
        format!("{}({})", verdict.call, paths.join(", "))
    }
}

fn participle(action: Action) -> String {
    match action {
        Action::Allow => "allowed".to_owned(),
        Action::Deny(errno) => format!("denied ({errno})"),
        Action::Emulate(_) => "emulated".to_owned(),
        Action::Inject => "answered with a descriptor".to_owned(),
        Action::Hold => "held".to_owned(),
        Action::Defer => "deferred".to_owned(),
        Action::Kill(signal) => format!("answered with signal {signal}"),
    }
}

fn nearest_pattern(
    wanted: &Verdicts,
    verdict: &Verdict,
    seen: &Observation,
    at: &YamlPath,
) -> Option<Related> {
    let scored = wanted.listed().map(|(list, nth, pattern)| (differences(pattern, verdict, seen), list, nth));
    let (differences, list, nth) = scored.min_by_key(|(differences, ..)| distance(differences))?;
    // A pattern for another call is no help.
    if differences.iter().any(|difference| difference.key == "call") {
        return None;
    }
    let says = format!("differs in {}", keys(&differences));
    Some(Related { what: "nearest pattern", at: at.key(list).index(nth), says })
}
