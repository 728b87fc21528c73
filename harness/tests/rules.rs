//! Every rule is seen firing in some shipped scenario, or stands with a reason in `ci/rules-not-yet-seen.txt`.
//!
//! It runs the scenarios once more, with everything made visible that the filter would decide by itself. Whether they
//! pass is no matter here: that is for the target `scenarios`.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use assize_core::capability::ALL;
use assize_core::trace::{Body, Memory, Origin};
use assize_core::{Command, Outcome, Policy, RunError, Sandbox};
use assize_harness::needs::Host;
use assize_harness::report::Started;
use assize_harness::runner::{Engine, Handlers, Keep};
use assize_harness::suite::{self, State, Way};

const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/rules-not-yet-seen.txt");
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios");

/// What a verdict says of its rule: the capability, the call, what the rule is for.
type Fired = BTreeSet<(String, String, String)>;

/// The sandbox, with all denials visible and an ear on the verdicts.
#[derive(Default)]
struct Listening(Mutex<Fired>);

impl Engine for Listening {
    fn run(
        &self,
        mut policy: Policy,
        command: Command,
        handlers: Handlers,
        log: Memory,
    ) -> Result<Outcome, RunError> {
        policy.observe.denials = true;
        let denied = ALL.iter().flat_map(|declared| (declared.rules)()).filter(|rule| rule.grounds.is_none());
        for rule in denied {
            policy
                .observe
                .calls
                .extend(rule.spellings.iter().flat_map(|name| assize_core::Syscall::named(name)));
        }
        let heard = Memory::default();
        let sandbox = Sandbox::new(policy, command).trace(log).trace(heard.clone());
        let outcome = sandbox.run_blocking_with_handlers(handlers);
        let mut fired = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in heard.drain() {
            if let Body::Verdict(verdict) = event.body
                && let Origin::Rule { capability, rule } = verdict.by
            {
                fired.insert((capability.into(), verdict.call.name().into(), rule.into()));
            }
        }
        outcome
    }
}

#[test]
fn every_rule_is_seen_or_excused() {
    let host = Host::probe();
    let cases = suite::all(Path::new(SCENARIOS), &host).expect("the scenarios can be read");
    let engine = Listening::default();
    let keep = Keep::beneath(Path::new(env!("CARGO_TARGET_TMPDIR")).join("rules"));
    let started = Started::Cargo("scenarios".to_owned());
    let mut lacking = Vec::new();
    for case in &cases {
        match &case.state {
            // For every kind of user there are scenarios that only the other can run.
            State::Lacking(why) if why.starts_with("needs root") || why.starts_with("needs not root") => {}
            State::Lacking(why) => lacking.push(format!("{}: {why}", case.name)),
            _ => {
                let _ = case.run(Way {
                    engine: &engine,
                    keep: &keep,
                    started: &started,
                    began: Instant::now(),
                    logs: None,
                });
            }
        }
    }
    let fired = engine.0.into_inner().unwrap_or_else(PoisonError::into_inner);

    let mut rules = BTreeMap::new();
    for declared in ALL {
        for rule in (declared.rules)() {
            let seen = fired.iter().any(|(capability, call, doc)| {
                // What the policy lists has no spellings of its own.
                let spelt = rule.spellings.is_empty() || rule.spellings.contains(&call.as_str());
                capability == declared.name && doc == rule.doc && spelt
            });
            rules.insert(format!("{}/{}: {}", declared.name, rule.calls, rule.doc), seen);
        }
        for (path, _) in (declared.files)() {
            let seen = fired.iter().any(|(capability, _, rule)| capability == declared.name && rule == path);
            rules.insert(format!("{}/file: {path}", declared.name), seen);
        }
    }
    let text = std::fs::read_to_string(LIST).expect("the list can be read");
    let excused: BTreeMap<&str, &str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" — "))
        .collect();
    if std::env::var_os("ASSIZE_GENERATE").is_some_and(|value| value == "1") {
        bless(&text, &rules, &excused);
        return;
    }

    let mut wrong = Vec::new();
    for (rule, seen) in &rules {
        match (seen, excused.contains_key(rule.as_str())) {
            (true, true) => wrong.push(format!("{rule}: is seen, and excused")),
            (false, false) if lacking.is_empty() => wrong.push(format!("{rule}: no scenario makes it fire")),
            (false, false) => eprintln!("{rule}: not seen; this host can't run {}", lacking.join(", ")),
            _ => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "ci/rules-not-yet-seen.txt does not fit; ASSIZE_GENERATE=1 writes it:\n  {}",
        wrong.join("\n  ")
    );
}

/// Keeps the reasons. A rule without one gets none: the tidy test then asks for it.
fn bless(text: &str, rules: &BTreeMap<String, bool>, excused: &BTreeMap<&str, &str>) {
    let mut list: String =
        text.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    for (rule, _) in rules.iter().filter(|(_, seen)| !**seen) {
        list.push_str(&format!("{rule} — {}\n", excused.get(rule.as_str()).copied().unwrap_or("why?")));
    }
    std::fs::write(LIST, list).expect("the list can be written");
}
