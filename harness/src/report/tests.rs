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

#[test]
fn a_failure_shows_the_line_that_wanted_it_and_how_to_run_it_again() {
    let kept = Some(std::env::current_dir().unwrap().parent().unwrap().join("target/assize/report-leaks"));
    let ran =
        Ran { findings: vec![finding()], controls: Report::default(), kept, cells: Vec::new(), seen: None };
    let text = failure(&scenario(YAML), &ran, &Started::Cargo("scenarios".into()), false);
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
    assert!(failure(&scenario(YAML), &ran, &Started::Cargo("x".into()), true).contains('\x1b'));
}

#[test]
fn what_the_file_does_not_say_is_shown_at_what_is_run() {
    let mut finding = finding();
    finding.at = YamlPath::from(["expect", "exit"]);
    let ran = Ran {
        findings: vec![finding],
        controls: Report::default(),
        kept: None,
        cells: Vec::new(),
        seen: None,
    };
    let text = failure(&scenario(YAML), &ran, &Started::Command("scenarios".into()), false);
    assert!(text.contains("leaks.yaml:2:1\n") && text.contains("2 | run: [cat, x]\n"), "{text}");
}

#[test]
fn a_run_that_did_not_take_place_says_why() {
    let text = broken(&scenario(YAML), &RunnerError::NoProgram, &Started::Command("scenarios".into()), false);
    assert!(
        text.contains("error: `run` names no program") && text.contains("assize run scenarios --exact"),
        "{text}"
    );
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
