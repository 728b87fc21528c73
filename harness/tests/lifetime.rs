//! No guest outlives its run: seen in the host's own table of processes, whoever ends first and however.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "lifetime/processes.rs"]
mod processes;

use std::fs;
use std::path::Path;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use processes::*;

const ISOLATION: [&str; 2] = ["auto", "off"];

/// What guests do to stay; `MARK` is how long they sleep, which nobody else on this machine does.
const HIDING: [&str; 5] = [
    "sleep MARK",
    "setsid sleep MARK & setsid sh -c 'trap \"\" TERM HUP; sleep MARK; sleep MARK' & sleep MARK",
    "(setsid sh -c '(setsid sleep MARK &) ; exit' &); sleep MARK",
    "nohup sleep MARK > /dev/null 2>&1 & trap '' TERM HUP INT; while :; do sleep MARK; done",
    "sleep MARK & kill -STOP $!; (setsid sh -c 'kill -STOP $$; sleep MARK' &); sleep MARK",
];

fn scenario(folder: &Path, isolation: &str, timeout: &str, script: &str) {
    let indented = script.replace('\n', "\n  ");
    let text = format!(
        "policy: {{ isolation: \"{isolation}\", limits: {{ timeout: {timeout} }} }}\nshell: |\n  {indented}\nexpect: {{ exit: [timeout, 0] }}\n"
    );
    fs::write(folder.join("scenario.yaml"), text).unwrap();
}

fn run(folder: &Path) -> Child {
    assize(folder).args(["run", "scenario.yaml"]).spawn().unwrap()
}

#[test]
fn the_table_of_processes_would_show_a_guest() {
    let folder = tempfile::tempdir().unwrap();
    let mark = mark("would show");
    scenario(folder.path(), "auto", "5s", &format!("sleep {mark}"));
    let mut harness = run(folder.path());
    wait_until("to see a guest", || !marked(&mark).is_empty());
    assert!(harness.wait().unwrap().success());
    nobody(&mark, "after the run");
}

#[test]
fn when_the_time_is_up_nobody_is_left() {
    for isolation in ISOLATION {
        for (nth, hiding) in HIDING.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let mark = mark(&format!("time {isolation} {nth}"));
            scenario(folder.path(), isolation, "300ms", &hiding.replace("MARK", &mark));
            assert!(run(folder.path()).wait().unwrap().success(), "{isolation}: {hiding}");
            // The run itself has waited for every one of them.
            assert_eq!(marked(&mark), [""; 0], "{isolation}: {hiding}");
        }
    }
}

#[test]
fn when_the_command_ends_nobody_is_left() {
    for isolation in ISOLATION {
        let folder = tempfile::tempdir().unwrap();
        let mark = mark(&format!("end {isolation}"));
        let script = format!(
            "setsid sleep {mark} > /dev/null 2>&1 &\n(setsid sh -c '(setsid sleep {mark} &) ; exit' &)\nsleep 0.1\nexit 0"
        );
        scenario(folder.path(), isolation, "60s", &script);
        let since = Instant::now();
        assert!(run(folder.path()).wait().unwrap().success(), "{isolation}");
        assert_eq!(marked(&mark), [""; 0], "{isolation}");
        assert!(since.elapsed() < Duration::from_secs(40), "the run waited for those who stayed");
    }
}

#[test]
fn when_the_harness_is_killed_nobody_is_left() {
    for isolation in ISOLATION {
        for (nth, hiding) in HIDING.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let mark = mark(&format!("killed {isolation} {nth}"));
            scenario(folder.path(), isolation, "60s", &hiding.replace("MARK", &mark));
            let mut harness = run(folder.path());
            wait_until("to see a guest", || !marked(&mark).is_empty());
            sleep(Duration::from_millis(100));
            harness.kill().unwrap();
            harness.wait().unwrap();
            nobody(&mark, &format!("{isolation}: {hiding}"));
        }
    }
}

#[test]
fn when_exec_is_killed_nobody_is_left() {
    for isolation in ISOLATION {
        let folder = tempfile::tempdir().unwrap();
        let mark = mark(&format!("exec {isolation}"));
        let policy = format!("policy: {{ isolation: \"{isolation}\" }}\n");
        fs::write(folder.path().join("policy.yaml"), policy).unwrap();
        let script = format!("setsid sleep {mark} & (setsid sleep {mark} &); sleep {mark}");
        let mut harness = assize(folder.path())
            .args(["exec", "--policy", "policy.yaml", "--", "sh", "-c", &script])
            .spawn()
            .unwrap();
        wait_until("to see a guest", || marked(&mark).len() >= 3);
        harness.kill().unwrap();
        harness.wait().unwrap();
        nobody(&mark, isolation);
    }
}
