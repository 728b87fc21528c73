//! `assize trace`: what is shown of a command, and what becomes of its end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Exit code, stdout and stderr of `assize trace` in this folder.
fn trace(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_assize"))
        .arg("trace")
        .args(args)
        .current_dir(folder)
        .env("ASSIZE_TRACE_TEST", "mine")
        .output()
        .unwrap();
    (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in.txt"), "text\n").unwrap();
    folder
}

fn has(text: &str, line: impl Fn(&str) -> bool) {
    assert!(text.lines().any(line), "{text}");
}

#[test]
fn every_call_is_a_line_with_its_verdict() {
    let folder = folder();
    let (code, out, seen) = trace(folder.path(), &["--", "cat", "in.txt"]);
    assert_eq!((code, out.as_str()), (Some(0), "text\n"), "{seen}");
    has(&seen, |line| line.starts_with("openat(AT_FDCWD, \"in.txt\", O_RDONLY) = 3   by "));
    has(&seen, |line| line.starts_with("write(1, 0x") && line.ends_with(", 5) = ?   by kernel"));
    has(&seen, |line| line == "+++ exited with 0 +++");
    // One guest needs no number.
    assert!(!seen.contains("[pid "), "{seen}");
}

#[test]
fn only_what_was_asked_for_is_shown_and_the_end_is_passed_on() {
    let folder = folder();
    let script = "cat in.txt; : > made; exit 7";
    let (code, _, seen) =
        trace(folder.path(), &["--filter", "deny", "--filter", "family(open)", "--", "sh", "-c", script]);
    assert_eq!(code, Some(2), "what the shell makes of a redirection that fails: {seen}");
    let denied: Vec<_> = seen.lines().filter(|line| line.contains(" = ")).collect();
    let [only] = denied.as_slice() else { panic!("{seen}") };
    assert!(
        only.contains("\"made\"") && only.ends_with("EACCES (Permission denied)   deny by landlock"),
        "{only}"
    );
    let (code, _, seen) = trace(folder.path(), &["--filter", "/nowhere/*", "--", "sh", "-c", "exit 7"]);
    assert_eq!((code, seen.as_str()), (Some(7), ""));
}

#[test]
fn what_is_granted_depends_on_the_policy() {
    let folder = folder();
    let script = ["--", "sh", "-c", "echo $ASSIZE_TRACE_TEST > made; cat made"];
    let with = |args: &[&str]| trace(folder.path(), &[args, &script[..]].concat());
    fs::write(folder.path().join("p.yaml"), "policy: { fs: { read: [$SYSTEM], write: [$WORK] } }\n").unwrap();
    assert_eq!(with(&["--filter", "/nowhere"]).0, Some(1));
    assert_eq!(with(&["--filter", "/nowhere", "--policy", "p.yaml"]).1, "\n");
    assert_eq!(with(&["--filter", "/nowhere", "--open"]).1, "mine\n");
    assert_eq!(with(&["--open", "--policy", "p.yaml"]).0, Some(2));
    let (_, date, _) = trace(folder.path(), &["--deterministic", "-f", "/nowhere", "--", "date", "+%Y"]);
    assert_eq!(date, "2000\n");
}

#[test]
fn a_summary_goes_where_it_is_told() {
    let folder = folder();
    let (code, _, seen) =
        trace(folder.path(), &["--summary", "-o", "seen.txt", "--", "cat", "in.txt", "none"]);
    assert_eq!(code, Some(1), "{seen}");
    assert!(!seen.contains("syscall"), "{seen}");
    let seen = fs::read_to_string(folder.path().join("seen.txt")).unwrap();
    let row = seen.lines().find(|line| line.ends_with("  exit_group")).unwrap();
    assert_eq!(row.split_whitespace().skip(3).collect::<Vec<_>>(), ["1", "0", "0", "exit_group"]);
    assert!(!seen.contains("in.txt"), "{seen}");
}

#[test]
fn a_word_that_filters_nothing_is_refused() {
    let folder = folder();
    let (code, _, said) = trace(folder.path(), &["--filter", "opennat", "--", "true"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("did you mean `openat`?"), "{said}");
}
