//! No guest outlives its run: seen in the host's own table of processes, whoever ends first and however.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "lifetime/processes.rs"]
mod processes;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use processes::*;

const ISOLATION: [&str; 2] = ["auto", "off"];

/// What guests do to stay; `MARK` is how long they sleep, which nobody else on this machine does.
const HIDING: [&str; 7] = [
    "sleep MARK",
    "setsid sleep MARK & setsid sh -c 'trap \"\" TERM HUP; sleep MARK; sleep MARK' & sleep MARK",
    "(setsid sh -c '(setsid sleep MARK &) ; exit' &); sleep MARK",
    "nohup sleep MARK > /dev/null 2>&1 & trap '' TERM HUP INT; while :; do sleep MARK; done",
    "sleep MARK & kill -STOP $!; (setsid sh -c 'kill -STOP $$; sleep MARK' &); sleep MARK",
    // More and more.
    "left=60; spread() { left=$((left / 2)); test $left -gt 0 || exec sleep MARK; spread & spread & wait; }; spread",
    // Subreapers (36), and daemons beneath them that let go of their death signal (1).
    "python3 -c '
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.prctl(36, 1, 0, 0, 0)
if os.fork() == 0:
    os.setsid()
    libc.prctl(36, 1, 0, 0, 0)
    for _ in range(2):
        if os.fork() == 0:
            libc.prctl(1, 0, 0, 0, 0)
            if os.fork(): os._exit(0)
            break
time.sleep(MARK)'",
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
        for (nth, hiding) in HIDING.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let mark = mark(&format!("ended {isolation} {nth}"));
            let hiding = hiding.replace("MARK", &mark);
            let script = format!("(\n{hiding}\n) > /dev/null 2>&1 &\nsleep 0.2\nexit 0");
            scenario(folder.path(), isolation, "5m", &script);
            let since = Instant::now();
            assert!(run(folder.path()).wait().unwrap().success(), "{isolation}: {hiding}");
            assert_eq!(marked(&mark), [""; 0], "{isolation}: {hiding}");
            assert!(since.elapsed() < Duration::from_secs(40), "the run waited for those who stayed");
        }
    }
}

#[test]
fn when_the_harness_is_killed_nobody_is_left() {
    for isolation in ISOLATION {
        for (nth, hiding) in HIDING.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let mark = mark(&format!("killed {isolation} {nth}"));
            scenario(folder.path(), isolation, "5m", &hiding.replace("MARK", &mark));
            let mut harness = run(folder.path());
            wait_until("to see a guest", || !marked(&mark).is_empty());
            sleep(Duration::from_millis(100));
            harness.kill().unwrap();
            harness.wait().unwrap();
            nobody(&mark, &format!("{isolation}: {hiding}"));
        }
    }
}

/// Each process makes another and ends, so that none is there when it is looked for.
#[test]
fn a_tree_that_grows_while_the_harness_is_killed_dies() {
    for isolation in ISOLATION {
        let folder = tempfile::tempdir().unwrap();
        let mark = mark(&format!("grows {isolation}"));
        let script = format!(
            "chain() {{ chain & }}; for i in 1 2 3; do setsid sh -c 'chain() {{ chain & }}; chain; : {mark}' & done\nsleep {mark}"
        );
        scenario(folder.path(), isolation, "5m", &script);
        let mut harness = run(folder.path());
        wait_until("to see guests", || marked(&mark).len() >= 2);
        sleep(Duration::from_millis(50));
        harness.kill().unwrap();
        harness.wait().unwrap();
        nobody(&mark, isolation);
    }
}

/// A command in a user namespace of its own in which no further one can be made: what `assize` finds there is a host
/// without namespaces. `None`: this host itself gives none.
fn without_namespaces(folder: &Path, args: &str) -> Option<Command> {
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces || exit 99";
    let words = |then: &str| {
        let mut command = Command::new("unshare");
        // What the host must have, it has; these processes have not.
        command.env_remove("ASSIZE_REQUIRE");
        let script = format!("{forbid}; {then}");
        command.args(["--user", "--map-root-user", "sh", "-c", &script]).current_dir(folder);
        command.stdin(Stdio::null());
        command
    };
    if !words("exit 0").status().unwrap().success() {
        eprintln!("ignored: this host gives no user namespace");
        return None;
    }
    Some(words(&format!("exec {} {args}", env!("CARGO_BIN_EXE_assize"))))
}

#[test]
fn where_no_namespace_is_to_be_had_nobody_is_left_either() {
    for (nth, hiding) in HIDING.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let mark = mark(&format!("none {nth}"));
        let script = hiding.replace("MARK", &mark);
        scenario(folder.path(), "auto", "300ms", &script);
        let Some(mut run) = without_namespaces(folder.path(), "run scenario.yaml") else { return };
        let out = run.output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && text.contains("isolation is not available here"), "{text}");
        assert_eq!(marked(&mark), [""; 0], "when the time is up: {hiding}");
        scenario(folder.path(), "auto", "5m", &script);
        let mut harness = without_namespaces(folder.path(), "run scenario.yaml").unwrap().spawn().unwrap();
        wait_until("to see a guest", || !marked(&mark).is_empty());
        sleep(Duration::from_millis(100));
        harness.kill().unwrap();
        harness.wait().unwrap();
        nobody(&mark, &format!("when the harness is killed: {hiding}"));
    }
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), "require", "5m", "exit 0");
    let Some(mut run) = without_namespaces(folder.path(), "run scenario.yaml") else { return };
    let out = run.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(!out.status.success() && text.contains("requires a user and a pid namespace"), "{text}");
}

/// What is not promised: a policy that allows `ptrace` keeps Assize from following the guests, and then nothing but a
/// pid namespace ends daemons when the supervisor is killed. The time limit does, as ever.
#[test]
fn guests_that_may_trace_outlive_a_supervisor_that_is_killed_without_a_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let mark = mark("traces");
    let policy = |isolation: &str, timeout: &str| {
        format!(
            "policy: {{ isolation: \"{isolation}\", syscalls: {{ allow: [ptrace] }}, limits: {{ timeout: {timeout} }} }}\nshell: setsid sleep {mark} & sleep {mark}\nexpect: {{ exit: timeout }}\n"
        )
    };
    let killed = |isolation: &str| {
        fs::write(folder.path().join("scenario.yaml"), policy(isolation, "5m")).unwrap();
        let mut harness = run(folder.path());
        wait_until("to see both", || marked(&mark).len() >= 2);
        sleep(Duration::from_millis(100));
        harness.kill().unwrap();
        harness.wait().unwrap();
    };
    killed("auto");
    nobody(&mark, "with a pid namespace");
    killed("off");
    wait_until("the command's own end", || {
        marked(&mark).iter().filter(|guest| guest.contains("sh")).count() == 0
    });
    let left = marked(&mark);
    for guest in &left {
        let pid =
            guest.split(':').next().and_then(|pid| pid.parse().ok()).and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL).unwrap();
    }
    assert!(!left.is_empty(), "it is promised after all: say so in the README");
    nobody(&mark, "after this test");
    fs::write(folder.path().join("scenario.yaml"), policy("off", "300ms")).unwrap();
    assert!(run(folder.path()).wait().unwrap().success());
    assert_eq!(marked(&mark), [""; 0], "when the time is up");
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
