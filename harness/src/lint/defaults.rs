//! Keys that say what holds anyway, and scenarios that expect nothing.
//!
//! That a command must exit with code 0 may be said: it is a promise of its own.
#![forbid(unsafe_code)]

use super::{Lint, Warning};
use crate::scenario::Scenario;
use crate::scenario::expect::{ExitPattern, Expectation, Range};
use crate::scenario::place::YamlPath;
use crate::scenario::policy::{IsolationSpec, PolicyPath, ProcSpec, default_env};
use crate::scenario::turn::Cost;

pub(super) fn look(scenario: &Scenario, found: &mut Vec<Warning>) {
    // What a shared part says may have to be taken back.
    let extends = scenario.source.extends();
    let mut repeated = |holds: bool, at: YamlPath, what: &str| {
        if holds && !extends && scenario.says(&at) {
            let title = format!("{what} is what holds anyway");
            found.push(Warning::new(Lint::RepeatsDefault, at, title).help("leave it out"));
        }
    };
    let policy = YamlPath::from(["policy"]);
    repeated(scenario.repeat == 1, YamlPath::from(["repeat"]), "one run");
    repeated(scenario.cost == Cost::default(), YamlPath::from(["cost"]), "one job");
    repeated(scenario.deterministic.is_none(), YamlPath::from(["deterministic"]), "`false`");
    repeated(scenario.policy.isolation == IsolationSpec::default(), policy.key("isolation"), "`auto`");
    if let Some(fs) = &scenario.policy.fs {
        let at = policy.key("fs");
        repeated(fs.proc == ProcSpec::default(), at.key("proc"), "the host's `/proc`");
        let work = |path: &PolicyPath| matches!(path, PolicyPath::Path(path) if path.as_str() == "$WORK");
        let plain = fs.exec.is_none() && fs.deny.is_empty() && fs.proc == ProcSpec::default();
        let read = fs.read == [PolicyPath::System];
        let write = matches!(fs.write.as_slice(), [only] if work(only));
        repeated(plain && read && write, at, "to read the system and write the work folder");
    }
    for (key, env) in [(policy.key("env"), &scenario.policy.env), (YamlPath::from(["env"]), &scenario.env)] {
        // One may well take back what the other says.
        for (name, value) in env.iter().filter(|(name, _)| {
            !(scenario.env.contains_key(*name) && scenario.policy.env.contains_key(*name))
        }) {
            let same = default_env().any(|(known, default)| known == name.0 && default == *value);
            repeated(same, key.key(&name.0), &format!("this value of {}", name.0));
        }
    }
    for (nth, injection) in scenario.inject.iter().enumerate() {
        let at = YamlPath::from(["inject"]).index(nth);
        repeated(injection.due.every == 1, at.key("every"), "every call");
        repeated(injection.due.after == 0, at.key("after"), "after none");
        repeated(injection.times == Range::SOME, at.key("times"), "at least once");
    }
    for (nth, pattern) in scenario.expect.verdicts.sees.iter().enumerate() {
        let at = YamlPath::from(["expect", "verdicts", "sees"]).index(nth).key("times");
        repeated(pattern.times == Some(Range::SOME), at, "at least once");
    }
    let exit = YamlPath::from(["expect", "exit"]);
    if nothing(&scenario.expect)
        && scenario.inject.is_empty()
        && scenario.repeat == 1
        && scenario.sweep.is_none()
    {
        let title = "nothing is expected: any end will do, and nothing else is looked at";
        let warning = Warning::new(Lint::ExpectsNothing, exit, title);
        found.push(warning.help("say what the command must leave, write or be refused"));
    }
}

/// Whether every run but one that takes too long is as wanted.
fn nothing(expect: &Expectation) -> bool {
    let Expectation { exit, stdout, stderr, files, changes, verdicts, controls, peak, takes, redact: _ } =
        expect;
    let any = exit.as_ref().is_some_and(|exits| exits.0.contains(&ExitPattern::Any));
    let texts = stdout.is_none() && stderr.is_none() && files.is_empty() && controls.is_empty();
    let listed = verdicts.patterns().next().is_none() && verdicts.exhaustive.is_none();
    any && texts && listed && changes.is_none() && peak.is_none() && takes.is_none()
}
