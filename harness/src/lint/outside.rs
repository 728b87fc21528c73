//! Scripts that do nothing, and lists of steps outside of the sandbox without any.
#![forbid(unsafe_code)]

use super::{Lint, Warning};
use crate::scenario::outside::Does;
use crate::scenario::place::YamlPath;
use crate::scenario::{Action, Scenario};

pub(super) fn look(scenario: &Scenario, found: &mut Vec<Warning>) {
    if matches!(&scenario.action, Action::Shell(script) if is_blank(script)) {
        let help = "say what is run: `run: [\"true\"]` does nothing, and says so";
        let at = YamlPath::from(["shell"]);
        found.push(Warning::new(Lint::RunsNothing, at, "the script has no command").help(help));
    }
    let at = YamlPath::from(["outside"]);
    let mut nothing = |at: YamlPath, title: &str| {
        found.push(Warning::new(Lint::RunsNothing, at, title).help("leave it out"));
    };
    // What a shared part says may have to be taken back.
    let says = |at: &YamlPath| scenario.says(at) && !scenario.source.extends();
    if scenario.outside.is_empty() && says(&at) {
        return nothing(at, "`outside` has no step");
    }
    for (list, steps) in scenario.outside.lists() {
        let at = at.key(list);
        if steps.is_empty() && says(&at) {
            nothing(at.clone(), &format!("`{list}` has no step"));
        }
        for (nth, step) in steps.iter().enumerate() {
            if matches!(&step.does, Does::Shell(script) if is_blank(script)) {
                nothing(at.index(nth).key("shell"), "the script has no command");
            }
        }
    }
}

fn is_blank(script: &str) -> bool {
    script.lines().map(str::trim_start).all(|line| line.is_empty() || line.starts_with('#'))
}
