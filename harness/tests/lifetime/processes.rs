//! Guests as the host's table of processes shows them.
// Each test target uses a part of it.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a killed process may take to be gone, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A number of seconds that only the guests of this test sleep.
pub(crate) fn mark(test: &str) -> String {
    let name: u32 = test.bytes().map(u32::from).sum();
    format!("{}.{}", 80_000 + name, std::process::id())
}

/// Processes with `mark` among their arguments.
pub(crate) fn marked(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(command) = fs::read(entry.path().join("cmdline")) else { continue };
        let words: Vec<_> = command.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        if words.iter().any(|word| word.contains(mark)) && !words[0].contains("assize") {
            found.push(format!("{}: {}", entry.file_name().display(), words.join(" ")));
        }
    }
    found
}

pub(crate) fn wait_until(what: &str, done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "in vain: {what}");
        sleep(Duration::from_millis(10));
    }
}

pub(crate) fn nobody(mark: &str, when: &str) {
    let since = Instant::now();
    while !marked(mark).is_empty() {
        assert!(since.elapsed() < PATIENCE, "{when}: still there: {:#?}", marked(mark));
        sleep(Duration::from_millis(10));
    }
}

/// A command that can be asked to end, also where the tests themselves were started to ignore that, as a shell starts what it
/// puts into the background.
pub(crate) fn asked(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP,INT,QUIT,TERM").arg(program);
    command
}

pub(crate) fn assize(folder: &Path) -> Command {
    let mut command = asked(env!("CARGO_BIN_EXE_assize"));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
