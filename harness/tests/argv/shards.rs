//! Scenarios that several machines share, each of which runs exactly once: by `--shard`, `ASSIZE_SHARD`, Bazel's variables
//! and nextest's partitions.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{ROOT, Said, assize, said, target_with};

/// Of so many machines.
const MACHINES: [u64; 4] = [1, 2, 3, 7];

/// Some that run, one that is ignored, one that can't be loaded; and their names.
fn shared() -> (TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put("cells.yaml", "each: { word: [one, two, three, four, five] }\nshell: echo ${word}\n");
    for name in ["a", "b", "c", "d"] {
        put(&format!("{name}.yaml"), "run: [\"true\"]\n");
    }
    put("lacking.yaml", "needs: [landlock >= 99]\nrun: [\"true\"]\n");
    fs::create_dir(folder.path().join("sub")).unwrap();
    put("sub/bad.yaml", "rnu: [\"true\"]\n");
    let all = assize(folder.path(), &["list", "."]);
    let names: Vec<_> =
        all.stdout.lines().map(|line| line.split(" (ign").next().unwrap_or(line).to_owned()).collect();
    let mut names = names;
    names.sort();
    assert_eq!(names.len(), 11, "{names:?}");
    (folder, names)
}

/// How often each is said to have come to something.
fn seen<'a>(outputs: impl IntoIterator<Item = &'a Said>) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for said in outputs {
        for line in said.stdout.lines() {
            let line = line.strip_prefix("test ").unwrap_or(line);
            if let Some((name, "ok" | "FAILED" | "ignored")) = line.split_once(" ... ") {
                *seen.entry(name.trim_end().to_owned()).or_default() += 1;
            }
        }
    }
    seen
}

fn once(names: &[String]) -> BTreeMap<String, usize> {
    names.iter().map(|name| (name.clone(), 1)).collect()
}

pub(crate) fn each_runs_once_by_option() {
    let (folder, names) = shared();
    for of in MACHINES {
        let shards = (1..=of).map(|nth| format!("{nth}/{of}"));
        let (mut runs, mut lists) = (Vec::new(), Vec::new());
        for shard in shards {
            let run = assize(folder.path(), &["run", ".", "--shard", &shard]);
            let has_bad = run.stdout.contains("sub/bad.yaml::(load) ... FAILED");
            assert_eq!(run.code, if has_bad { 101 } else { 0 }, "a shard without any passes: {}", run.stderr);
            runs.push(run);
            let list = assize(folder.path(), &["list", ".", "--shard", &shard]).stdout;
            lists.extend(list.lines().map(|line| line.split(" (ign").next().unwrap_or(line).to_owned()));
        }
        assert_eq!(seen(&runs), once(&names), "{of}");
        lists.sort();
        assert_eq!(lists, names, "{of}");
    }
}

pub(crate) fn each_runs_once_by_variable() {
    let (folder, names) = shared();
    for of in MACHINES {
        let shards: Vec<_> = (1..=of).map(|nth| format!("{nth}/{of}")).collect();
        let by = |shard: &String| target_with(folder.path(), &[], &[("ASSIZE_SHARD", shard)]);
        assert_eq!(seen(&shards.iter().map(by).collect::<Vec<_>>()), once(&names), "{of}");
    }
    for bad in ["0/2", "3/2", "x"] {
        let refused = target_with(folder.path(), &[], &[("ASSIZE_SHARD", bad)]);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{}", refused.stderr);
        assert!(refused.stderr.contains("is no shard: write K/N"), "{}", refused.stderr);
        assert_eq!(assize(folder.path(), &["run", ".", "--shard", bad]).code, 2);
    }
}

pub(crate) fn a_new_scenario_moves_no_other() {
    let (folder, _) = shared();
    let list = || {
        let of = |nth: u32| assize(folder.path(), &["list", ".", "--shard", &format!("{nth}/3")]).stdout;
        [1, 2, 3].map(of)
    };
    let before = list();
    fs::write(folder.path().join("0-new.yaml"), "run: [\"true\"]\n").unwrap();
    let without: [String; 3] = list().map(|list| {
        list.lines().filter(|line| !line.starts_with("0-new")).map(|line| format!("{line}\n")).collect()
    });
    assert_eq!(before, without);
}

/// The variables, as Bazel's test encyclopedia has them. Bazel itself is not needed.
pub(crate) fn each_runs_once_by_bazel() {
    let (folder, names) = shared();
    let tmp = tempfile::tempdir().unwrap();
    for of in MACHINES {
        let (mut targets, mut commands) = (Vec::new(), Vec::new());
        for nth in 0..of {
            let status = tmp.path().join(format!("status-{nth}-{of}"));
            let (nth, of) = (nth.to_string(), of.to_string());
            let variables = [
                ("TEST_TOTAL_SHARDS", of.as_str()),
                ("TEST_SHARD_INDEX", &nth),
                ("TEST_SHARD_STATUS_FILE", status.to_str().unwrap()),
                ("TEST_TMPDIR", tmp.path().to_str().unwrap()),
                // What is not Bazel's can't be used beneath it.
                ("TMPDIR", "/nowhere"),
            ];
            targets.push(target_with(folder.path(), &[], &variables));
            assert!(status.is_file(), "Bazel is told that its shards are heard of");
            fs::remove_file(&status).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
            command.args(["run", "."]).envs(variables).current_dir(folder.path());
            commands.push(said(command));
            assert!(status.is_file());
        }
        assert_eq!(seen(&targets), once(&names), "{of}");
        assert_eq!(seen(&commands), once(&names), "{of}");
    }
    let filtered = target_with(folder.path(), &[], &[("TESTBRIDGE_TEST_ONLY", "cells")]);
    assert!(
        filtered.stdout.contains("5 passed") && filtered.stdout.contains("6 filtered"),
        "{}",
        filtered.stdout
    );
    let both = [("TEST_TOTAL_SHARDS", "2"), ("TEST_SHARD_INDEX", "0"), ("ASSIZE_SHARD", "1/3")];
    for (variables, wanted) in [
        (&both[..], "only one of them can be had"),
        (&[("TEST_TOTAL_SHARDS", "2"), ("TEST_SHARD_INDEX", "2")], "TEST_SHARD_INDEX is \"2\""),
        (&both[..1], "TEST_SHARD_INDEX is \"\""),
    ] {
        let refused = target_with(folder.path(), &[], variables);
        assert_eq!(refused.code, 2, "{}", refused.stdout);
        assert!(refused.stderr.contains(wanted), "{}", refused.stderr);
    }
    let status =
        [("TEST_TOTAL_SHARDS", "1"), ("TEST_SHARD_INDEX", "0"), ("TEST_SHARD_STATUS_FILE", "/nowhere/x")];
    let refused = target_with(folder.path(), &[], &status);
    assert!(
        refused.code == 2 && refused.stderr.contains("TEST_SHARD_STATUS_FILE: /nowhere/x"),
        "{}",
        refused.stderr
    );
}

fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.arg("-r").arg(from).arg(to);
    assert_eq!(said(command).code, 0);
}

/// A crate whose test target is this program, as nextest knows one that was built before.
pub(super) struct Built {
    pub(super) crate_folder: TempDir,
    metadata: TempDir,
}

impl Built {
    /// Over the scenarios in this folder of the crate.
    pub(super) fn new() -> Self {
        let built =
            Self { crate_folder: tempfile::tempdir().unwrap(), metadata: tempfile::tempdir().unwrap() };
        let root = built.crate_folder.path();
        fs::create_dir_all(root.join("tests")).unwrap();
        fs::create_dir_all(root.join("target/debug/deps")).unwrap();
        fs::write(root.join("tests/scenarios.rs"), "fn main() {}\n").unwrap();
        let manifest = "[package]\nname = \"own\"\nedition = \"2024\"\n[[test]]\nname = \"scenarios\"\nharness = false\n[workspace]\n";
        fs::write(root.join("Cargo.toml"), manifest).unwrap();
        let executable = root.join("target/debug/deps/scenarios-0123456789abcdef");
        let own = std::env::current_exe().unwrap();
        fs::hard_link(&own, &executable).or_else(|_| fs::copy(&own, &executable).map(|_| ())).unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["metadata", "--format-version=1", "--offline"]).current_dir(root);
        let metadata = said(cargo);
        assert_eq!(metadata.code, 0, "{}", metadata.stderr);
        let json: serde_json::Value = serde_json::from_str(&metadata.stdout).unwrap();
        let binaries = serde_json::json!({
            "rust-build-meta": {
                "target-directory": root.join("target"),
                "base-output-directories": ["debug"],
                "non-test-binaries": {},
                "linked-paths": [],
            },
            "rust-binaries": { "own::scenarios": {
                "binary-id": "own::scenarios",
                "binary-name": "scenarios",
                "package-id": json["packages"][0]["id"],
                "kind": "test",
                "binary-path": executable,
                "build-platform": "target",
            } },
        });
        fs::write(built.metadata.path().join("cargo.json"), metadata.stdout).unwrap();
        fs::write(built.metadata.path().join("binaries.json"), binaries.to_string()).unwrap();
        built
    }

    /// That is still to be built, as an archive always is: a wrapper around this program, which takes a moment.
    pub(super) fn wrapping() -> Self {
        let built = Self::new();
        let wrapper = format!(
            "use std::os::unix::process::CommandExt;\nfn main() {{\n    let mut args = std::env::args_os();\n    \
             let mut own = std::process::Command::new({:?});\n    own.arg0(args.next().unwrap()).args(args);\n    \
             panic!(\"{{}}\", own.exec());\n}}\n",
            std::env::current_exe().unwrap()
        );
        fs::write(built.crate_folder.path().join("tests/scenarios.rs"), wrapper).unwrap();
        built
    }

    /// nextest, with these arguments, over the crate.
    pub(super) fn nextest(&self, args: &[&str]) -> Said {
        let mut command = nextest(self.crate_folder.path());
        command.args(args);
        for (option, file) in [("--cargo-metadata", "cargo.json"), ("--binaries-metadata", "binaries.json")] {
            command.arg(option).arg(self.metadata.path().join(file));
        }
        said(command)
    }
}

/// nextest in this folder, whose own words are plain.
pub(super) fn nextest(folder: &Path) -> Command {
    let mut command = Command::new("cargo-nextest");
    command.arg("nextest").env(ROOT, "scenarios").env("CARGO_TERM_COLOR", "never").current_dir(folder);
    command
}

pub(super) const PLAINLY: [&str; 6] =
    ["--no-fail-fast", "--status-level=all", "--final-status-level=none", "--no-tests=pass", "-j", "4"];

/// Each test and what nextest says of it, as often as it does.
pub(super) fn reported(said: &Said) -> Vec<(String, String)> {
    let lines = said.stderr.lines().filter_map(|line| {
        let (word, rest) = line.trim_start().split_once(' ')?;
        let (_, name) = rest.split_once("own::scenarios ")?;
        matches!(word, "PASS" | "FAIL" | "SKIP").then(|| (word.to_owned(), name.to_owned()))
    });
    lines.collect()
}

pub(crate) fn each_runs_once_by_nextest() {
    let (folder, names) = shared();
    let built = Built::new();
    copy(folder.path(), &built.crate_folder.path().join("scenarios"));
    for of in MACHINES {
        for how in ["count", "hash", "slice"] {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for nth in 1..=of {
                let partition = format!("--partition={how}:{nth}/{of}");
                let run = built.nextest(&[&["run", &partition][..], &PLAINLY].concat());
                assert!(matches!(run.code, 0 | 100), "{how} {of}: {}", run.stderr);
                for (word, name) in reported(&run) {
                    assert!(
                        of > 1 || (word == "SKIP") == (name == "lacking.yaml::lacking"),
                        "{}",
                        run.stderr
                    );
                    // What is not of this part is skipped as well.
                    if word != "SKIP" {
                        assert_eq!(word == "FAIL", name == "sub/bad.yaml::(load)", "{}", run.stderr);
                        *seen.entry(name).or_default() += 1;
                    }
                }
            }
            let all: Vec<_> = names.iter().filter(|name| !name.starts_with("lacking")).cloned().collect();
            assert_eq!(seen, once(&all), "{how} {of}");
        }
    }
}

pub(crate) fn an_archive_of_nextest_runs_elsewhere() {
    let (folder, names) = shared();
    let made = Built::wrapping();
    let root = made.crate_folder.path();
    copy(folder.path(), &root.join("scenarios"));
    let elsewhere = tempfile::tempdir().unwrap();
    let archive = elsewhere.path().join("archive.tar.zst");
    let mut command = nextest(root);
    command.args(["archive", "--offline", "--archive-file", archive.to_str().unwrap()]);
    let said_of_it = said(command);
    assert_eq!(said_of_it.code, 0, "{}", said_of_it.stderr);
    // The sources come to lie elsewhere, and nothing is left where they were.
    let sources = elsewhere.path().join("sources");
    fs::remove_dir_all(root.join("target")).unwrap();
    copy(root, &sources);
    drop(made);
    let mut command = nextest(&sources);
    command.args(["run", "--archive-file", archive.to_str().unwrap(), "--workspace-remap"]);
    command.arg(&sources).args(PLAINLY);
    let run = said(command);
    assert_eq!(run.code, 100, "{}", run.stderr);
    let mut seen: Vec<_> = reported(&run).into_iter().map(|(_, name)| name).collect();
    seen.sort();
    assert_eq!(seen, names, "{}", run.stderr);
    let words: Vec<_> = reported(&run).into_iter().map(|(word, _)| word).collect();
    assert_eq!(words.iter().filter(|word| *word == "PASS").count(), 9, "{}", run.stderr);
}
