//! What a reader sees of a scenario that fails: real runs, their whole reports.
//!
//! The files in `tests/reports` hold cases: a title after `====`, the scenario, and after `----` what is shown.
//! `ASSIZE_GENERATE=1 cargo test --test reports` writes what is shown now; read the difference before you keep it.
#![forbid(unsafe_code)]
// A test may unwrap, and so may what only tests call.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use regex::Regex;

/// What differs from host to host and from run to run, and what stands for it here.
const VARYING: &[(&str, &str)] = &[
    (r"#\d+", "#N"),
    (r"(/[A-Za-z0-9._-]+)+/assize-[0-9.]+/[A-Za-z0-9]{6,}\b", "[WORK]"),
    (r"in (/usr)?/bin/(ba|da)?sh", "in /bin/sh"),
    (r"in (/usr)?/bin/", "in /bin/"),
    (r"0x[0-9a-f]{6,}", "0xADDRESS"),
    (r"finished in \d+\.\d+s", "finished in 0.00s"),
    (r"the run took \d+\.\d+ s", "the run took 0.000 s"),
    (r"of \d+ verdicts", "of N verdicts"),
    (r"had [0-9.]+ [KM]iB \(\d+ bytes\)", "had 0.0 KiB (0 bytes)"),
    (r"which ran \S+/", "which ran /bin/"),
    (r"/bin/sh: (\d|line \d):", "sh:"),
    (r"(?m)^(    [-+])\d{1,9}$", "${1}NUMBER"),
    (r"kept: \S*/target/", "kept: target/"),
];

fn shown(yaml: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("case.yaml"), yaml).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_assize"))
        .args(["run", "case.yaml"])
        .args(more)
        .current_dir(folder.path())
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO")
        .env_remove("GITHUB_ACTIONS")
        .env_remove("ASSIZE_ALLOW_OUTSIDE")
        .env("CARGO_TARGET_DIR", folder.path().join("target"))
        .output()
        .unwrap();
    let mut text = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
    for (varying, plain) in VARYING {
        text = Regex::new(varying).unwrap().replace_all(&text, *plain).into_owned();
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

#[test]
fn each_failure_is_shown_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    let update = std::env::var_os("ASSIZE_GENERATE").is_some();
    let mut wrong = String::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let more: &[&str] = if path.ends_with("outside.txt") { &["--allow-outside"] } else { &[] };
        let mut written = String::new();
        for case in text.split("==== ").skip(1) {
            count += 1;
            let (title, rest) = case.split_once('\n').unwrap();
            let (yaml, before) = rest.split_once("----\n").unwrap_or((rest, ""));
            let now = shown(yaml, more);
            if !update && now != before.trim_end() {
                write!(wrong, "\n{title} ({})\nwritten:\n{before}\nshown:\n{now}\n", path.display()).unwrap();
            }
            write!(written, "==== {title}\n{yaml}----\n{now}\n\n").unwrap();
        }
        if update {
            std::fs::write(&path, written).unwrap();
        }
    }
    assert!(count >= 15, "only {count} cases");
    assert!(wrong.is_empty(), "{wrong}");
}
