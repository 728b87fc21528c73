//! What a scenario says twice.
#![forbid(unsafe_code)]

use super::{Lint, Warning};
use crate::scenario::Scenario;
use crate::scenario::place::YamlPath;

/// Lists of words in which each is one.
const WORDS: &[&[&str]] = &[&["without"], &["sweep", "calls"], &["sweep", "errno"]];

pub(super) fn look(scenario: &Scenario, found: &mut Vec<Warning>) {
    let verdicts = &scenario.expect.verdicts;
    // In `order` what comes twice must be seen twice.
    for (list, patterns) in [("sees", &verdicts.sees), ("never", &verdicts.never)] {
        let at = YamlPath::from(["expect", "verdicts", list]);
        let said = patterns.iter().enumerate().map(|(nth, pattern)| (at.index(nth), format!("{pattern:?}")));
        twice(said, found);
    }
    for list in WORDS {
        let at = list.iter().fold(YamlPath::root(), |at, key| at.key(*key));
        let texts = scenario.source.texts(scenario.document).into_iter();
        let within = |path: &YamlPath| path.0.len() == at.0.len() + 1 && path.0.starts_with(&at.0);
        twice(texts.filter(|(path, _)| within(path)).map(|(path, text)| (path, text.to_owned())), found);
    }
    // What a shared part says may stand anywhere.
    if !scenario.source.extends() {
        let of_both =
            scenario.env.iter().filter(|(name, value)| scenario.policy.env.get(name) == Some(value));
        found.extend(of_both.map(|(name, _)| {
            warning(YamlPath::from(["env", &name.0]), YamlPath::from(["policy", "env", &name.0]))
        }));
    }
}

fn twice(said: impl Iterator<Item = (YamlPath, String)>, found: &mut Vec<Warning>) {
    let mut first: Vec<(YamlPath, String)> = Vec::new();
    for (at, text) in said {
        match first.iter().find(|(_, other)| *other == text) {
            Some((other, _)) => found.push(warning(at, other.clone())),
            None => first.push((at, text)),
        }
    }
}

fn warning(at: YamlPath, first: YamlPath) -> Warning {
    Warning::new(Lint::SaidTwice, at, "this is said twice").other(first, "here already").help("leave one out")
}
