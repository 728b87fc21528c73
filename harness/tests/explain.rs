//! `assize explain`: what is told of a scenario is what its run does.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Exit code, stdout and stderr of `assize explain`.
fn explain(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
    let out = command.arg("explain").args(args).current_dir(folder).output().unwrap();
    (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

const SCENARIO: &str = "\
name: first
about: it is told
policy:
  fs: { read: [$SYSTEM], write: [$WORK], deny: [/etc/shadow] }
  syscalls: { deny: [symlink] }
deterministic: { seed: 1, clock: real }
run: [cat, /etc/shadow]
expect:
  exit: 1
  verdicts:
    sees:
      - { call: openat, path: /etc/shadow, verdict: deny }
      - { call: getppid }
    exhaustive: deny
---
name: second
run: [cat]
";

#[test]
fn a_scenario_is_told_part_by_part() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.yaml"), SCENARIO).unwrap();
    let (code, text, said) = explain(folder.path(), &["s.yaml::first"]);
    assert_eq!(code, Some(0), "{said}");
    let has = |line: &str| assert!(text.contains(line), "{line}\n{text}");
    has("s.yaml::first\n  it is told\n");
    has("  write  $WORK\n");
    has("  deny   /etc/shadow, by whatever name it is reached\n");
    // Who denies: the filter or, for whoever looks, the supervisor, by the same rule.
    has("deny: denied by the policy");
    has("guard: ");
    has("fs: ");
    has("  sees, line 12: openat");
    has("  sees, line 13: getppid; for it getppid is seen in passing, not runs unseen\n");
    has("  exhaustive, line 14: every denial, and every open");
    has("refused by the supervisor, not fails in the filter");
    has("must be seen by a probe: ");
    has("performed");
    assert!(!text.contains("jeq") && !text.contains("::second"), "{text}");
}

#[test]
fn what_it_takes_to_measure_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.yaml"), "run: [\"true\"]\nexpect:\n  peak: { processes: 1 }\n").unwrap();
    let (code, text, said) = explain(folder.path(), &["s.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "  peak, line 3: ",
        "followed by ptrace",
        "for it execve, execveat are seen in passing, not runs unseen\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    fs::write(folder.path().join("s.yaml"), "run: [\"true\"]\n").unwrap();
    assert!(!explain(folder.path(), &["s.yaml"]).1.contains("peak"));
}

#[test]
fn the_filter_is_told_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.yaml"), SCENARIO).unwrap();
    let (code, text, said) = explain(folder.path(), &["--bpf", "s.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    let of_each = text.split("the filter in BPF: ").skip(1);
    let programs: Vec<&str> = of_each.filter_map(|part| part.split("\ns.yaml::").next()).collect();
    assert_eq!(programs.len(), 2, "one for each scenario: {text}");
    let length: usize = programs[0].split(' ').next().unwrap().parse().unwrap();
    // Of the first every denial is to be seen: what the filter denies, nobody would see.
    assert!(!programs[0].contains("EPERM") && programs[1].contains("; it fails with EPERM"), "{text}");
    assert!(programs[0].contains(&format!("\n{:5}: ret ", length - 1)), "{}", programs[0]);
    assert!(programs[0].contains("; the architecture") && programs[0].contains("; the supervisor is asked"));
}

#[test]
fn what_is_no_scenario_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.yaml"), SCENARIO).unwrap();
    fs::write(folder.path().join("bad.yaml"), "rnu: [x]\n").unwrap();
    let (code, _, said) = explain(folder.path(), &["s.yaml::third"]);
    assert!(code == Some(1) && said.contains("s.yaml::second"), "{said}");
    let (code, _, said) = explain(folder.path(), &["bad.yaml"]);
    assert!(code == Some(1) && said.contains("did you mean `run`?"), "{said}");
}
