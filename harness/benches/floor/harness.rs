//! What the harness adds to the commands that its scenarios run.

use std::path::Path;
use std::process::{Command, Stdio};

use assize_harness::needs::Host;
use assize_harness::suite;

use crate::measure::{Row, Table, Target, milliseconds};

const SCENARIOS: usize = 1000;

fn scenarios(folder: &Path, count: usize) {
    for nth in 0..count {
        let text = format!("about: the {nth}th command succeeds\nrun: [/bin/true]\n");
        std::fs::write(folder.join(format!("{nth:04}.yaml")), text).unwrap();
    }
}

fn assize(words: &[&str], folder: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
    let output = command.args(words).arg(folder).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// As many threads as the harness has, each starting one command after the other.
fn bare() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..SCENARIOS / threads {
                    assert!(
                        Command::new("/bin/true").stdin(Stdio::null()).output().unwrap().status.success()
                    );
                }
            });
        }
    });
}

pub(crate) fn rows(table: &mut Table) {
    let thousand = tempfile::tempdir().unwrap();
    scenarios(thousand.path(), SCENARIOS);
    let one = tempfile::tempdir().unwrap();
    scenarios(one.path(), 1);
    let (thousand, one) = (thousand.path(), one.path());
    table.row(Row {
        name: "1,000 trivial scenarios, against the bare commands",
        unit: "ms",
        rounds: 5,
        ways: vec![
            ("bare", Box::new(|| milliseconds(bare))),
            ("Assize", Box::new(|| milliseconds(|| assize(&["run"], thousand)))),
        ],
        target: Target::Times(1.5),
    });
    table.row(Row {
        name: "listing 1,000 files",
        unit: "ms",
        rounds: 9,
        ways: vec![("Assize", Box::new(|| milliseconds(|| assize(&["list"], thousand))))],
        target: Target::Most(200.0),
    });
    let host = Host::probe();
    let judge = &host;
    let find = |folder: &Path| {
        let found = suite::named(folder, "0000.yaml::0000", judge);
        assert!(found.is_some());
    };
    table.row(Row {
        name: "`--exact` of one of 1,000 files, against one of one",
        unit: "ms",
        rounds: 200,
        ways: vec![
            ("of one", Box::new(move || milliseconds(|| find(one)))),
            ("of 1,000", Box::new(move || milliseconds(|| find(thousand)))),
        ],
        target: Target::Times(1.1),
    });
}
