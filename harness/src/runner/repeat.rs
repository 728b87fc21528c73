//! Whether two runs of a scenario were the same.
#![forbid(unsafe_code)]

use assize_core::Event;
use assize_core::trace::{Arg, Body, BytesText};

use crate::matcher::{Finding, Observation};
use crate::scenario::place::YamlPath;

/// From here up a result can only be an address, which differs from run to run.
const LEAST_ADDRESS: i64 = 1 << 32;

/// The first thing in which a run differs from the first one.
pub(super) fn diverges(first: &Observation, other: &Observation, nth: u32) -> Option<Finding> {
    let wrong = |title: String, notes: Vec<String>| {
        let label = "each run must be like the first".to_owned();
        Some(Finding { title, at: YamlPath::from(["repeat"]), label, notes, related: None })
    };
    if first.end != other.end {
        let notes = vec![format!("run 1: {:?}", first.end), format!("run {nth}: {:?}", other.end)];
        return wrong(format!("run {nth} ended otherwise than run 1"), notes);
    }
    let (events, others) = (comparable(first), comparable(other));
    let places = 0..events.len().max(others.len());
    if let Some(place) = places.into_iter().find(|place| events.get(*place) != others.get(*place)) {
        let shown = |run: &Observation| run.events.get(place).map_or_else(|| "nothing more".to_owned(), show);
        let notes = vec![format!("run 1: {}", shown(first)), format!("run {nth}: {}", shown(other))];
        return wrong(format!("run {nth} differs from run 1 in event {}", place + 1), notes);
    }
    let streams = [("stdout", &first.stdout, &other.stdout), ("stderr", &first.stderr, &other.stderr)];
    for (name, one, two) in streams {
        let (one, two) = (first.text(one), other.text(two));
        if one != two {
            let diff = similar::TextDiff::from_lines(&one, &two).unified_diff().context_radius(1).to_string();
            let short: Vec<&str> = diff.lines().take(20).collect();
            let notes = vec![format!("difference (- run 1, + run {nth}):\n{}", short.join("\n"))];
            return wrong(format!("{name} of run {nth} differs from run 1"), notes);
        }
    }
    let file = first.files.iter().find(|(path, seen)| other.files.get(*path) != Some(seen));
    file.and_then(|(path, _)| wrong(format!("{path} of run {nth} differs from run 1"), Vec::new()))
}

/// The events without what differs from run to run whatever a guest does: the host's numbers for processes, addresses
/// in memory, and the work folder's name.
fn comparable(run: &Observation) -> Vec<Body> {
    run.events.iter().map(|event| neutral(&event.body, run)).collect()
}

fn neutral(body: &Body, run: &Observation) -> Body {
    let mut body = body.clone();
    let named = |text: &mut BytesText| *text = BytesText(run.text(&text.0).into_bytes());
    match &mut body {
        Body::Verdict(verdict) => {
            verdict.pid = 0;
            verdict.target.iter_mut().chain(verdict.exe.iter_mut()).for_each(named);
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

fn show(event: &Event) -> String {
    let what = match &event.body {
        Body::Verdict(verdict) => verdict.to_string(),
        Body::Start { place, .. } => format!("{place} started"),
        Body::Exec { place, exe, .. } => format!("{place} now runs {exe}"),
        Body::Exit { place, how: Some(how), .. } => format!("{place} ended: {how}"),
        Body::Exit { place, how: None, .. } => format!("{place} ended"),
        Body::Dropped { count } => format!("{count} events were lost"),
        Body::Note { text } => text.clone(),
    };
    format!("#{} {what}", event.seq)
}
