//! Keys and names that have no effect where they stand.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;

use assize_core::plan::Explained;
use assize_core::{Plan, Policy, Syscall};

use super::{Lint, Warning};
use crate::scenario::place::{Step, YamlPath};
use crate::scenario::{Action, Scenario};

pub(super) fn look(scenario: &Scenario, work: &Path, found: &mut Vec<Warning>) {
    if matches!(scenario.action, Action::Attempt(_)) && scenario.stdin.is_some() {
        let title = "an attempt reads no input";
        found.push(Warning::new(Lint::NoEffect, YamlPath::from(["stdin"]), title).help("leave it out"));
    }
    allowed(scenario, work, found);
    // What a shared part says may have to be taken back, or be of use to others.
    if scenario.source.extends() {
        return;
    }
    let mut empty = |empty: bool, at: YamlPath, title: &str| {
        if empty && scenario.says(&at) {
            found.push(Warning::new(Lint::NoEffect, at, title).help("leave it out"));
        }
    };
    let verdicts = &scenario.expect.verdicts;
    let nothing = verdicts.patterns().next().is_none() && verdicts.exhaustive.is_none();
    empty(nothing, YamlPath::from(["expect", "verdicts"]), "`verdicts` expects nothing");
    empty(scenario.inject.is_empty(), YamlPath::from(["inject"]), "`inject` has no injection");
    names(scenario, found);
}

/// Names under `redact` that no expected text has.
fn names(scenario: &Scenario, found: &mut Vec<Warning>) {
    let expected =
        |at: &YamlPath| at.0.iter().take(2).any(|step| matches!(step, Step::Key(key) if key == "expect"));
    let texts: Vec<_> = scenario.source.texts(scenario.document);
    let texts: Vec<&str> = texts.iter().filter(|(at, _)| expected(at)).map(|(_, text)| *text).collect();
    for name in scenario.expect.redact.names() {
        let at = YamlPath::from(["redact", name]);
        let used = [format!("[{name}]"), format!("={name}]")];
        if scenario.says(&at) && !texts.iter().any(|text| used.iter().any(|used| text.contains(used))) {
            let title = format!("no expected text has `[{name}]`");
            found.push(Warning::new(Lint::NoEffect, at, title).help("leave it out, or expect it somewhere"));
        }
    }
}

/// Calls that `syscalls.allow` names, and that nobody denies without it.
fn allowed(scenario: &Scenario, work: &Path, found: &mut Vec<Warning>) {
    if scenario.policy.syscalls.allow.is_empty() {
        return;
    }
    let mut policy = Policy { without: Default::default(), ..scenario.policy(work) };
    let Ok(with) = Plan::of(&policy) else { return };
    policy.syscalls.allow.clear();
    let Ok(without) = Plan::of(&policy) else { return };
    let by_call = |plan: &Plan| -> BTreeMap<Syscall, Explained> {
        plan.explain().into_iter().map(|explained| (explained.call, explained)).collect()
    };
    let (with, without) = (by_call(&with), by_call(&without));
    let same = |call: &Syscall| {
        let said = |plan: &BTreeMap<Syscall, Explained>| {
            plan.get(call).map(|this| (this.way, this.filter.clone(), this.asked.clone()))
        };
        said(&with) == said(&without)
    };
    for (nth, calls) in scenario.policy.syscalls.allow.iter().enumerate() {
        if calls.calls().iter().all(same) {
            let at = YamlPath::from(["policy", "syscalls", "allow"]).index(nth);
            let title = format!("{calls} is allowed without this: nothing denies it");
            found.push(Warning::new(Lint::UnusedRule, at, title).help("leave it out"));
        }
    }
}
