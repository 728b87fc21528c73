//! Second runs: of a scenario that has failed, where more is watched.
//!
//! Nothing is run again that could change other files than those of its work folder, nor where a second run has nothing to add;
//! and a report says of each that there was one. What a scenario does on a network, a second run does again.
#![forbid(unsafe_code)]

use std::path::Path;

use assize_core::outcome::End;

use super::{Engine, Look, Take, observe, repeat, take};
use crate::lexical::plain;
use crate::matcher::{self, Finding, List, Observation};
use crate::scenario::Scenario;
use crate::scenario::place::YamlPath;
use crate::scenario::policy::SINKS;

/// What stands before that which the first run didn't show.
const SECOND: &str = "seen in a second run, of which more was watched:";

/// What is said of two further runs whose verdict logs are the same, and not what they left.
const SAME_CALLS: &str = "made the same calls, with the same verdicts, and differ all the same: by what the log does not show, \
                          such as the order of writes, or what a clock said";

/// What is said of two further runs that are the same.
const ALIKE: &str = "came out alike: what made the difference is not there in every run";

/// What nobody expected of a run is nearly always a denial: one more run, with denials made visible, names it. What was seen of that
/// run, if there was one.
pub(super) fn explain(
    scenario: &Scenario,
    engine: &dyn Engine,
    first: &Take,
    findings: &mut [Finding],
) -> Option<Observation> {
    let others = [YamlPath::from(["expect", "verdicts"]), YamlPath::from(["outside"])];
    let of_others = |finding: &Finding| others.iter().any(|part| finding.at.0.starts_with(&part.0));
    let explained = |finding: &Finding| finding.notes.iter().any(|note| note.starts_with(matcher::MEANWHILE));
    if findings.iter().all(of_others)
        || findings.iter().any(explained)
        || first.seen.why.is_some()
        || observe(scenario, None).denials
        || !may_follow(scenario, first)
    {
        return None;
    }
    // The scenario has failed already: a second run that fails to start has nothing to add.
    let again = take(scenario, engine, Look::Denials, &[]).ok();
    let mut more = false;
    let same_end = again.as_ref().filter(|again| again.seen.end == first.seen.end);
    if let Some(again) = same_end {
        let explained = matcher::judge(&scenario.expect, &again.seen);
        for finding in findings.iter_mut().filter(|finding| !of_others(finding)) {
            more |= add(finding, &explained);
        }
    }
    if more {
        return again.map(|again| again.seen);
    }
    let told = match (&again, same_end) {
        (None, _) => "a second run, of which more was to be watched, could not be made",
        (Some(_), None) => "a second run, of which more was watched, ended otherwise",
        (Some(_), Some(_)) => "a second run, of which more was watched, showed no more",
    };
    if let Some(finding) = findings.iter_mut().find(|finding| !of_others(finding)) {
        finding.notes.push(told.to_owned());
    }
    again.map(|again| again.seen)
}

/// Takes over what the second run says of the same thing; whether it says more.
fn add(finding: &mut Finding, explained: &[Finding]) -> bool {
    let end = YamlPath::from(["expect", "exit"]);
    // The end is the same, but what the command was doing meanwhile need not be.
    let same =
        |other: &&Finding| other.at == finding.at && (other.title == finding.title || finding.at == end);
    let Some(other) = explained.iter().find(same) else { return false };
    if other.notes == finding.notes {
        return false;
    }
    // The same thing went wrong, and there is more to say of it.
    let told: Vec<_> = finding.notes.iter().filter(|note| *note != matcher::UNSEEN).collect();
    let alike = other.notes.iter().zip(&told).take_while(|(one, two)| one == *two).count();
    if finding.at != end && alike < told.len() || other.notes.len() == alike {
        return false;
    }
    finding.notes.clone_from(&other.notes);
    finding.notes.insert(alike, SECOND.to_owned());
    true
}

/// Where two runs part, told by two more of which more is seen: outputs say only that they did.
pub(super) fn part(scenario: &Scenario, engine: &dyn Engine, first: &Take, other: &Take) -> Option<String> {
    if !may_follow(scenario, first) || !may_follow(scenario, other) {
        return None;
    }
    let two = || {
        let mut one = take(scenario, engine, Look::Everything, &[]).ok()?;
        one.work.move_aside().ok()?;
        Some((one, take(scenario, engine, Look::Everything, &[]).ok()?))
    };
    Some(match two() {
        Some((one, two)) => {
            repeat::parting(&one, &two).or_else(|| repeat::reordered(&one, &two)).unwrap_or_else(|| {
                let differ = repeat::diverges(scenario, &one, &two, 2).is_some();
                let came = if differ { SAME_CALLS } else { ALIKE };
                format!("two more runs, of which more was seen, {came}")
            })
        }
        None => "two more runs, of which more was to be seen, could not be made".to_owned(),
    })
}

/// Whether a further run takes no longer than one may wait, and can change nothing but its own work folder.
fn may_follow(scenario: &Scenario, before: &Take) -> bool {
    let ended = !matches!(before.seen.end, End::TimedOut(_) | End::Cancelled);
    let guarded = !scenario.without.iter().any(|name| name == "fs" || name == "guard");
    // By what the paths lead to: what lies in a work folder may be a link.
    let work = &before.seen.work;
    let real = work.parent().and_then(|parent| Some(parent.canonicalize().ok()?.join(work.file_name()?)));
    let inside = |path: &Path| {
        path.starts_with(real.as_ref().unwrap_or(work)) || SINKS.iter().any(|sink| path == Path::new(sink))
    };
    let written = before.seen.granted.paths.iter().filter(|granted| granted.list == List::Write);
    // Steps outside of the sandbox may change whatever they like.
    ended
        && guarded
        && scenario.outside.is_empty()
        && written.into_iter().all(|granted| inside(&plain(&granted.real)))
}
