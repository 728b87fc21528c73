//! Bounds on the most that guests have at once which every run keeps, or none.
#![forbid(unsafe_code)]

use super::{Lint, Warning};
use crate::scenario::Scenario;
use crate::scenario::expect::{Expectation, Range};
use crate::scenario::place::YamlPath;

/// The command is a process, and has a page of memory at least.
const LEAST: [(&str, i64, &str); 2] = [
    ("processes", 1, "the command is one of them"),
    ("memory", 4096, "a size without a unit is a number of bytes"),
];

pub(super) fn look(scenario: &Scenario, found: &mut Vec<Warning>) {
    let under_failure = scenario.sweep.as_ref().and_then(|sweep| sweep.expect.as_ref());
    let all = [
        (Some(&scenario.expect), YamlPath::from(["expect"])),
        (under_failure, YamlPath::from(["sweep", "expect"])),
    ];
    for (expect, at) in all {
        if let Some(expect) = expect {
            expectation(expect, &at.key("peak"), scenario, found);
        }
    }
}

fn expectation(expect: &Expectation, at: &YamlPath, scenario: &Scenario, found: &mut Vec<Warning>) {
    let Some(peak) = &expect.peak else { return };
    if scenario.without.contains("peak") {
        let warning = Warning::new(Lint::NeverSeen, at.clone(), "`peak` is left out, so nothing is measured");
        found.push(warning.help("`without:` leaves it out"));
        return;
    }
    let memory = peak.memory.as_ref().map(|sizes| sizes.bytes());
    for (key, least, why) in LEAST {
        let wanted = if key == "memory" { memory } else { peak.processes };
        if let Some(wanted) = wanted {
            found.extend(bounds(wanted, least, why, &at.key(key)));
        }
    }
}

fn bounds(wanted: Range, least: i64, why: &str, at: &YamlPath) -> Option<Warning> {
    if wanted.most < least {
        let title = format!("no run has so little: {least} is the least");
        return Some(Warning::new(Lint::NeverSeen, at.clone(), title).help(why));
    }
    (wanted.least <= least && wanted.most == i64::MAX).then(|| {
        let title = "every run has so much, so it holds of all of them";
        let warning = Warning::new(Lint::MatchesAnything, at.clone(), title);
        warning.help("say what is wanted, or leave it out: measuring it costs each process something")
    })
}
