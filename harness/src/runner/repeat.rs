//! Whether two runs of a scenario were the same.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use assize_core::Event;
use assize_core::capability::envelope;
use assize_core::outcome::{ControlState, Report};
use assize_core::trace::{Arg, Body, BytesText, Grounds, Place};

use super::Take;
use crate::matcher::{self, Finding, Observation};
use crate::scenario::Scenario;
use crate::scenario::place::YamlPath;

/// From here up a result can only be an address, which differs from run to run.
const LEAST_ADDRESS: i64 = 1 << 32;

/// How a finding begins that shows a difference between verdict logs.
pub(super) const LOG: &str = "the verdict log";

/// The first thing in which a run differs from the first one.
pub(super) fn diverges(scenario: &Scenario, one: &Take, two: &Take, nth: u32) -> Option<Finding> {
    let (first, other) = (&one.seen, &two.seen);
    let wrong = |title: String, mut notes: Vec<String>| {
        notes.extend(uncontrolled(&one.controls));
        if scenario.deterministic.is_none() {
            notes.push(
                "to make clock, random numbers and what else is controlled the same: `deterministic: true`"
                    .to_owned(),
            );
        }
        let label = "each run must be like the first".to_owned();
        Some(Finding { title, at: YamlPath::from(["repeat"]), label, notes, related: None })
    };
    if first.end != other.end {
        let notes = vec![format!("run 1: {:?}", first.end), format!("run {nth}: {:?}", other.end)];
        return wrong(format!("run {nth} ended otherwise than run 1"), notes);
    }
    if let Some((one, two)) = first_difference(first, other, one.controls.is_serial()) {
        let place = one.or(two).map_or(0, |event| event.seq);
        let notes =
            vec![format!("run 1: {}", shown(one, first)), format!("run {nth}: {}", shown(two, other))];
        return wrong(format!("{LOG} of run {nth} differs from run 1 at event {place}"), notes);
    }
    let streams = [("stdout", &first.stdout, &other.stdout), ("stderr", &first.stderr, &other.stderr)];
    for (name, one, two) in streams {
        let (one, two) = (first.text(one), other.text(two));
        if one != two {
            let notes = told(&one, &two, nth);
            return wrong(format!("{name} of run {nth} differs from run 1"), notes);
        }
    }
    // What the expectation names may lie outside of the work folder.
    if let Some((path, _)) = first.files.iter().find(|(path, seen)| other.files.get(*path) != Some(seen))
        && path.starts_with('/')
    {
        return wrong(format!("{path} of run {nth} differs from run 1"), Vec::new());
    }
    let (path, left, right) = one.left.as_ref()?.difference(two.left.as_ref()?)?;
    let mut notes = vec![format!("run 1 left {left}"), format!("run {nth} left {right}")];
    let text = |take: &Take| take.left.as_ref()?.text(take.work.path(), path);
    if let (Some(left), Some(right)) = (text(one), text(two))
        && left != right
    {
        notes.extend(told(&first.text(left.as_bytes()), &other.text(right.as_bytes()), nth));
    }
    wrong(format!("{} of run {nth} differs from run 1", path.display()), notes)
}

/// In what two texts differ.
fn told(one: &str, two: &str, nth: u32) -> Vec<String> {
    let mut notes = vec![format!("difference (- run 1, + run {nth}):\n{}", matcher::difference(one, two))];
    let sorted = |text| -> Vec<&str> {
        let mut lines: Vec<_> = str::split_inclusive(text, '\n').collect();
        lines.sort_unstable();
        lines
    };
    if sorted(one) == sorted(two) {
        notes.push(
            "these are the same lines in another order: what differs is who wrote first, and no log has writes unless \
             `verdicts` names them"
                .to_owned(),
        );
    }
    notes
}

/// What may have made the difference: what is not held still in these runs.
fn uncontrolled(report: &Report) -> Option<String> {
    let of = |name: &str| report.controls.iter().find(|control| control.name == name);
    let loose: Vec<String> = envelope::controls()
        .filter_map(|name| match of(name) {
            Some(control) => match &control.state {
                ControlState::Unavailable(_) => Some(format!("{name} ({control})")),
                ControlState::LeftOut => Some(format!("{name} (left out)")),
                ControlState::Proven(_) | ControlState::InForce(_) if control.seen.is_empty() => None,
                ControlState::Proven(_) | ControlState::InForce(_) => {
                    Some(format!("{name} ({})", control.seen.join(", ")))
                }
                ControlState::NotAsked => Some(name.to_owned()),
            },
            None => Some(name.to_owned()),
        })
        .collect();
    (!loose.is_empty()).then(|| {
        let loose = loose.join(", ");
        format!("not controlled in these runs: {loose}; nor what Assize's envelope lists as not controlled")
    })
}

/// The first event in which two runs differ, side by side.
pub(super) fn parting(one: &Take, two: &Take) -> Option<String> {
    let serial = one.controls.is_serial();
    let (one, two) = (&one.seen, &two.seen);
    let (first, second) = first_difference(one, two, serial)?;
    let place = first.or(second).map_or(0, |event| event.seq);
    Some(format!(
        "two more runs, of which more was seen, part at event {place}:\n1: {}\n2: {}",
        shown(first, one),
        shown(second, two)
    ))
}

/// The first event that one run has elsewhere than the other, side by side, where each guest did the same in both. Only where guests
/// run one at a time: otherwise the order among them is the scheduler's affair.
pub(super) fn reordered(one: &Take, two: &Take) -> Option<String> {
    if !one.controls.is_serial() {
        return None;
    }
    let (one, two) = (&one.seen, &two.seen);
    let of = |run: &'_ Observation| {
        let events = run.events.iter().filter(|event| !is_bookkeeping(&event.body, true));
        events.map(|event| (guest(&event.body).cloned(), neutral(&event.body, run))).collect::<Vec<_>>()
    };
    let (first, second) = (of(one), of(two));
    let nth = (0..first.len().max(second.len())).find(|nth| first.get(*nth) != second.get(*nth))?;
    let event = |run: &'_ Observation| {
        let mut events = run.events.iter().filter(|event| !is_bookkeeping(&event.body, true));
        shown(events.nth(nth), run)
    };
    Some(format!(
        "two more runs, of which more was seen, made the same calls, and guests had their turns in another order from here \
         on:\n1: {}\n2: {}",
        event(one),
        event(two)
    ))
}

fn shown(event: Option<&Event>, run: &Observation) -> String {
    event.map_or_else(|| "nothing more of this guest".to_owned(), |event| run.text(show(event).as_bytes()))
}

/// The first event of each run in which they differ.
///
/// Each guest's events are compared in their own order: which of two guests comes first is the scheduler's affair.
fn first_difference<'a>(
    first: &'a Observation,
    other: &'a Observation,
    serial: bool,
) -> Option<(Option<&'a Event>, Option<&'a Event>)> {
    let (one, two) = (by_guest(first, serial), by_guest(other, serial));
    let guests: BTreeSet<&Option<Place>> = one.keys().chain(two.keys()).collect();
    let differing = guests.into_iter().filter_map(|guest| {
        let list = |run: &Guests<'a>| run.get(guest).cloned().unwrap_or_default();
        let (one, two) = (list(&one), list(&two));
        let differs = |nth: &usize| {
            let body = |event: Option<&&Event>, run| event.map(|event| neutral(&event.body, run));
            body(one.get(*nth), first) != body(two.get(*nth), other)
        };
        let nth = (0..one.len().max(two.len())).find(differs)?;
        Some((one.get(nth).copied(), two.get(nth).copied()))
    });
    let earliest = |event: &Option<&Event>| event.map_or(u64::MAX, |event| event.seq);
    differing.min_by_key(|(one, two)| earliest(one).min(earliest(two)))
}

type Guests<'a> = BTreeMap<Option<Place>, Vec<&'a Event>>;

fn by_guest(run: &Observation, serial: bool) -> Guests<'_> {
    let mut guests = Guests::new();
    for event in run.events.iter().filter(|event| !is_bookkeeping(&event.body, serial)) {
        guests.entry(guest(&event.body).cloned()).or_default().push(event);
    }
    guests
}

/// Whose event it is, where guests are followed.
fn guest(body: &Body) -> Option<&Place> {
    match body {
        Body::Verdict(verdict) => verdict.place.as_ref(),
        Body::Start { place, .. } | Body::Exec { place, .. } | Body::Exit { place, .. } => Some(place),
        Body::Dropped { .. } | Body::Note { .. } => None,
    }
}

/// Whether how often a call is made is the scheduler's affair, and decides nothing: a guest asks whether a child has ended, or
/// reads a clock while it waits for another guest. The latter is the same in every run where guests run one at a time.
fn is_bookkeeping(body: &Body, serial: bool) -> bool {
    match body {
        Body::Verdict(verdict) => match verdict.grounds {
            Grounds::Noted => true,
            Grounds::Time => !serial,
            _ => false,
        },
        _ => false,
    }
}

/// An event without what differs from run to run whatever a guest does: the host's numbers for processes, addresses in
/// memory, and the work folder's name.
fn neutral(body: &Body, run: &Observation) -> Body {
    let mut body = body.clone();
    let named = |text: &mut BytesText| *text = BytesText(run.text(&text.0).into_bytes());
    match &mut body {
        Body::Verdict(verdict) => {
            verdict.pid = 0;
            verdict.target.iter_mut().chain(verdict.exe.iter_mut()).for_each(named);
            verdict.target.iter_mut().for_each(unnumbered);
            verdict.result = verdict.result.map(|result| result.min(LEAST_ADDRESS));
            for (_, arg) in &mut verdict.args.0 {
                match arg {
                    Arg::Pointer(address) => *address = (*address).min(1),
                    Arg::Path(text) | Arg::Text(text) => named(text),
                    _ => {}
                }
            }
        }
        Body::Start { pid, .. } | Body::Exit { pid, .. } => *pid = 0,
        Body::Exec { pid, exe, .. } => {
            *pid = 0;
            named(exe);
        }
        Body::Dropped { .. } | Body::Note { .. } => {}
    }
    body
}

/// `/proc/self` leads to a folder that is called by the host's number for the process.
fn unnumbered(target: &mut BytesText) {
    let Some(rest) = target.0.strip_prefix(b"/proc/") else { return };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 0 {
        target.0 = [b"/proc/[PID]", &rest[digits..]].concat();
    }
}

fn show(event: &Event) -> String {
    let what = match &event.body {
        Body::Verdict(verdict) => match &verdict.place {
            Some(place) => format!("{place}: {verdict}"),
            None => verdict.to_string(),
        },
        Body::Start { place, .. } => format!("{place} started"),
        Body::Exec { place, exe, .. } => format!("{place} now runs {exe}"),
        Body::Exit { place, how: Some(how), .. } => format!("{place} ended: {how}"),
        Body::Exit { place, how: None, .. } => format!("{place} ended"),
        Body::Dropped { count } => format!("{count} events were lost"),
        Body::Note { text } => text.clone(),
    };
    format!("#{} {what}", event.seq)
}
