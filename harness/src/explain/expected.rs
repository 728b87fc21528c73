//! What each part of an expectation makes visible, and what that costs the calls that it names.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;

use assize_core::plan::Way;
use assize_core::syscall::family;
use assize_core::{Plan, Syscall};

use crate::scenario::Scenario;
use crate::scenario::expect::VerdictPattern;
use crate::scenario::place::YamlPath;

/// The plan of the run, and the one that there would be if nobody looked.
pub(super) fn write(text: &mut String, scenario: &Scenario, plan: &Plan, bare: &Plan) -> std::fmt::Result {
    let verdicts = &scenario.expect.verdicts;
    let at = YamlPath::from(["expect", "verdicts"]);
    let lists = [("sees", &verdicts.sees), ("order", &verdicts.order), ("never", &verdicts.never)];
    writeln!(text, "\nexpectations")?;
    let mut any = false;
    for (list, patterns) in lists {
        for (nth, pattern) in patterns.iter().enumerate() {
            any = true;
            let line = scenario.span(&at.key(list).index(nth)).map_or(0, |span| span.line);
            writeln!(text, "  {list}, line {line}: {}", looks(pattern, plan, bare))?;
        }
    }
    if verdicts.exhaustive.is_some() {
        any = true;
        let line = scenario.key_span(&at.key("exhaustive")).map_or(0, |span| span.line);
        let (changed, _) = differences(Syscall::all(), plan, bare);
        writeln!(text, "  exhaustive, line {line}: every denial, and every open{}", changes(&changed))?;
    }
    if scenario.expect.peak.is_some() {
        let line = scenario.key_span(&YamlPath::from(["expect", "peak"])).map_or(0, |span| span.line);
        let (changed, _) = differences(family::EXEC.syscalls(), plan, bare);
        writeln!(
            text,
            "  peak, line {line}: births, execs and ends of processes, and the memory of each; {FOLLOWED}{}",
            changes(&changed)
        )?;
    }
    if !any {
        writeln!(text, "  none over verdicts: nothing is made visible for them")?;
    }
    Ok(())
}

fn looks(pattern: &VerdictPattern, plan: &Plan, bare: &Plan) -> String {
    match &pattern.call {
        None => "any call that is seen anyway, and every denial".to_owned(),
        Some(call) => {
            let (changed, same) = differences(call.calls().iter().copied(), plan, bare);
            let same: Vec<_> =
                same.iter().map(|(way, calls)| format!("{} {}", names(calls), way.words())).collect();
            let kept =
                if same.is_empty() { String::new() } else { format!("; as ever: {}", same.join("; ")) };
            format!("{call}{}{kept}", changes(&changed))
        }
    }
}

/// What it costs to measure.
const FOLLOWED: &str = "guests are followed by ptrace, and each thread stops when it is born and when it ends: some 150 µs a process, and as much an exec";

type Changed = BTreeMap<(Way, Way), Vec<Syscall>>;

/// The calls that go another way because somebody looks, and those that don't.
fn differences(
    calls: impl Iterator<Item = Syscall>,
    plan: &Plan,
    bare: &Plan,
) -> (Changed, BTreeMap<Way, Vec<Syscall>>) {
    let (mut changed, mut same) = (Changed::new(), BTreeMap::<_, Vec<_>>::new());
    for call in calls {
        match (bare.way(call), plan.way(call)) {
            (before, now) if before == now => same.entry(now).or_default().push(call),
            (before, now) => changed.entry((before, now)).or_default().push(call),
        }
    }
    (changed, same)
}

fn changes(changed: &Changed) -> String {
    let told = changed.iter().map(|((before, now), calls)| {
        format!("; for it {} {}, not {}", names(calls), now.words(), before.words())
    });
    told.collect()
}

fn names(calls: &[Syscall]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<_> = calls.iter().take(SHOWN).map(|call| call.name()).collect();
    let more = calls.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let verb = if calls.len() == 1 { "is" } else { "are" };
    format!("{}{more} {verb}", shown.join(", "))
}
