//! Reports as a person reads them.
#![forbid(unsafe_code)]

use std::fs;
use std::sync::Arc;

use assize_core::outcome::Control;

use super::*;
use crate::matcher::{Finding, Related};

fn scenario(yaml: &str) -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaks.yaml");
    fs::write(&file, yaml).unwrap();
    let mut scenario = crate::scenario::load(folder.path(), &file).unwrap().remove(0);
    scenario.file = "scenarios/report/leaks.yaml".into();
    assert!(Arc::strong_count(scenario.source.text()) > 0);
    scenario
}

const YAML: &str = "\
about: it reads nothing else
run: [cat, x]
expect:
  verdicts:
    sees:
      - { call: openat, path: /etc/shadow }
    exhaustive: all
";

fn finding() -> Finding {
    let verdicts = YamlPath::from(["expect", "verdicts", "sees"]);
    Finding {
        title: "openat(\"/etc/passwd\") was allowed, and `exhaustive: all` does not list it".into(),
        at: verdicts.clone(),
        label: "1 pattern, it does not match".into(),
        notes: vec!["seen: #41 openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3".into()],
        related: Some(Related {
            what: "nearest pattern",
            at: verdicts.index(0),
            says: "differs in `path`".into(),
        }),
    }
}

fn tested(yaml: &str, finding: &Finding, started: &Started, kept: Option<std::path::PathBuf>) -> Tested {
    let scenario = scenario(yaml);
    let findings = placed(&scenario, std::slice::from_ref(finding));
    let again = Some(started.again(&scenario.test.to_string()));
    Tested { findings, again, kept, ..sample::tested("leaks.yaml::leaks", Outcome::Failed) }
}

#[test]
fn a_failure_shows_the_line_that_wanted_it_and_how_to_run_it_again() {
    let kept = Some("target/assize/report-leaks".into());
    let tested = tested(YAML, &finding(), &Started::Cargo("scenarios".into()), kept);
    let text = tested.failure(false).unwrap();
    for wanted in [
        "error: openat(\"/etc/passwd\") was allowed, and `exhaustive: all` does not list it\n",
        "--> scenarios/report/leaks.yaml:5:5\n",
        "5 |     sees:\n",
        "^^^^ 1 pattern, it does not match\n",
        "nearest pattern: differs in `path`\n",
        "= seen: #41 openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3\n",
        "= to run it again: cargo test --test scenarios -- --exact 'leaks.yaml::leaks'\n",
        "= kept: target/assize/report-leaks/ (stdout, stderr, verdicts.jsonl, work/)\n",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    assert!(!text.contains('\x1b'));
    assert!(tested.failure(true).unwrap().contains('\x1b'));
}

#[test]
fn what_the_file_does_not_say_is_shown_at_what_is_run() {
    let mut finding = finding();
    finding.at = YamlPath::from(["expect", "exit"]);
    let text = tested(YAML, &finding, &Started::Command("scenarios".into()), None).failure(false).unwrap();
    assert!(text.contains("leaks.yaml:2:1\n") && text.contains("2 | run: [cat, x]\n"), "{text}");
}

#[test]
fn a_run_that_did_not_take_place_says_why() {
    let text = render(&broken(&scenario(YAML), &RunnerError::NoProgram), false);
    assert!(text.contains("error: `run` names no program") && text.contains("asked for here"), "{text}");
}

#[test]
fn controls_say_what_was_in_force_and_what_was_not() {
    let control = |name: &str, state| Control::new(name, state);
    let text = controls(&Report {
        controls: vec![
            control("fs", ControlState::Proven("a denied open was denied".into())),
            control("random", ControlState::NotAsked),
            control("isolation", ControlState::Unavailable("no user namespaces".into())),
        ],
        events_lost: 0,
    });
    assert_eq!(
        text,
        "  fs         proven: a denied open was denied\n  isolation  NOT available here: no user namespaces\n"
    );
}
