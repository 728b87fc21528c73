//! What one call costs its caller.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assize_core::floor::{self, Answer};
use assize_core::syscall::Sysno;
use assize_core::trace::Memory;
use assize_core::{Policy, Sandbox, Syscall};

use crate::measure::{Row, Table, Target};
use crate::start::{largest, system};

const ROUNDS: usize = 9;

pub(crate) fn executable() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A policy under which this executable runs as a guest.
fn guests() -> Policy {
    let mut policy = system();
    policy.fs.read.push(executable());
    policy
}

pub(crate) fn figure(output: &[u8]) -> f64 {
    let text = String::from_utf8_lossy(output);
    text.trim().parse::<f64>().unwrap_or_else(|_| panic!("a guest said {text:?}")) / 1e3
}

fn bare(words: &[&str]) -> f64 {
    let mut command = Command::new(executable());
    figure(&command.arg("guest").args(words).stdin(Stdio::null()).output().unwrap().stdout)
}

fn raw(words: &[&str], answers: &[(Sysno, Answer)], policy: &Policy) -> f64 {
    let mut command = Command::new(executable());
    command.arg("guest").args(words);
    figure(&floor::run(command, answers, &policy.fs).unwrap())
}

pub(crate) fn boxed(words: &[&str], policy: &Policy, trace: bool) -> f64 {
    let command = assize_core::Command::new(executable()).args(["guest"]).args(words);
    let mut sandbox = Sandbox::new(policy.clone(), command);
    if trace {
        sandbox = sandbox.trace(Memory::default());
    }
    let outcome = sandbox.run_blocking().unwrap();
    assert!(outcome.stderr.is_empty(), "{}", String::from_utf8_lossy(&outcome.stderr));
    figure(&outcome.stdout)
}

pub(crate) fn seeded() -> Policy {
    Policy { seed: Some(42), ..guests() }
}

pub(crate) fn rows(table: &mut Table) {
    let words = ["getrandom", "20000"];
    table.row(Row {
        name: "a call answered in place: getrandom, seeded",
        unit: "µs",
        rounds: ROUNDS,
        ways: vec![
            ("bare", Box::new(move || bare(&words))),
            ("floor", Box::new(move || raw(&words, &[(Sysno::getrandom, Answer::Fill)], &guests()))),
            ("Assize", Box::new(move || boxed(&words, &seeded(), false))),
        ],
        target: Target::Times(1.15),
    });

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "content").unwrap();
    let path = file.display().to_string();
    opens(table, folder.path(), &path);

    let words = ["getppid", "1000000"];
    table.row(Row {
        name: "a call not asked for, under the largest filter",
        unit: "µs",
        rounds: ROUNDS,
        ways: vec![
            ("bare", Box::new(move || bare(&words))),
            ("any filter", Box::new(move || raw(&words, &[(Sysno::sync, Answer::Continue)], &guests()))),
            ("Assize", {
                let mut policy = largest();
                policy.fs.read.push(executable());
                Box::new(move || boxed(&words, &policy, false))
            }),
        ],
        target: Target::Times(1.05),
    });

    let words = ["getrandom", "1000"];
    table.row(Row {
        name: "64 sandboxes at once: a call of all, against one alone",
        unit: "µs",
        rounds: 3,
        ways: vec![
            ("one", Box::new(move || boxed(&["getrandom", "20000"], &seeded(), false))),
            ("64", Box::new(move || at_once(64, &words))),
        ],
        target: Target::Times(2.0),
    });
}

/// The mean of a call's time, as each of so many guests saw it, by the number of guests.
fn at_once(count: usize, words: &[&str]) -> f64 {
    let policy = seeded();
    let figures: Vec<f64> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..count).map(|_| scope.spawn(|| boxed(words, &policy, false))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    figures.iter().sum::<f64>() / (count * count) as f64
}

fn opens(table: &Table, folder: &Path, path: &str) {
    let words = ["open", "20000", path];
    let mut observed = guests();
    observed.fs.read.push(folder.to_owned());
    let opened = &observed.clone();
    let mut denied = observed.clone();
    denied.fs.deny.push(folder.join("another"));
    observed.observe.calls.insert(Syscall::of(Sysno::openat));
    let mut passing = observed.clone();
    passing.observe.in_passing = true;
    table.row(Row {
        name: "open+close: verdict only",
        unit: "µs",
        rounds: ROUNDS,
        ways: vec![
            ("bare", Box::new(move || bare(&words))),
            ("floor", Box::new(move || raw(&words, &[(Sysno::openat, Answer::Continue)], opened))),
            ("Assize", Box::new(move || boxed(&words, &passing, false))),
        ],
        target: Target::Times(1.15),
    });
    table.row(Row {
        name: "open+close: performed on behalf",
        unit: "µs",
        rounds: ROUNDS,
        ways: vec![
            ("bare", Box::new(move || bare(&words))),
            ("floor", Box::new(move || raw(&words, &[(Sysno::openat, Answer::Open)], opened))),
            ("Assize", Box::new(move || boxed(&words, &denied, false))),
        ],
        target: Target::Times(1.25),
    });
    table.row(Row {
        name: "open+close: performed on behalf, its verdict kept",
        unit: "µs",
        rounds: ROUNDS,
        ways: vec![
            ("bare", Box::new(move || bare(&words))),
            ("floor", Box::new(move || raw(&words, &[(Sysno::openat, Answer::Open)], opened))),
            ("Assize", Box::new(move || boxed(&words, &observed, true))),
        ],
        target: Target::None,
    });
}
