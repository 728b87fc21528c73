//! Cells of a matrix that are the same test.
#![forbid(unsafe_code)]

use super::{Lint, Warning};
use crate::scenario::Scenario;
use crate::scenario::place::YamlPath;

/// Each cell that does what one before it does.
pub(super) fn cells<'a>(cells: &[&'a Scenario]) -> Vec<(&'a Scenario, Warning)> {
    let mut seen: Vec<(String, &Scenario)> = Vec::new();
    let mut found = Vec::new();
    for cell in cells {
        let does = does(cell);
        match seen.iter().find(|(other, _)| *other == does) {
            Some((_, first)) => {
                let title = format!("{} is the same test as {}", named(cell), named(first));
                let warning = Warning::new(Lint::SameCell, YamlPath::from(["each"]), title);
                found.push((*cell, warning.help("their values differ in the way they are written alone")));
            }
            None => seen.push((does, cell)),
        }
    }
    found
}

fn named(cell: &Scenario) -> String {
    let values: Vec<_> = cell.test.cell.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    format!("[{}]", values.join(","))
}

/// All that a scenario does and wants, but for what it is called.
fn does(scenario: &Scenario) -> String {
    let Scenario {
        test: _,
        file: _,
        source: _,
        document: _,
        about: _,
        needs,
        policy,
        deterministic,
        files,
        env,
        stdin,
        action,
        outside,
        inject,
        handlers,
        sweep,
        repeat,
        cost,
        group,
        without,
        expect,
    } = scenario;
    let given = (needs, policy, deterministic, files, env, stdin, action, outside);
    format!("{given:?} {:?}", (inject, handlers, sweep, repeat, cost, group, without, expect))
}
