//! Nobody outlives a run.

use std::time::{Duration, Instant};

use assize_core::outcome::{Control, ControlState, End};
use assize_core::policy::{Clock, ClockMode, Isolation, Timestamp};
use assize_core::{Policy, Sandbox};

use crate::support::*;

/// Whether guests are followed by ptrace, and whether they have namespaces, changes how they are found and killed.
fn every_way() -> Vec<Policy> {
    let mut ways = Vec::new();
    for isolation in [Isolation::Auto, Isolation::Off] {
        for followed in [false, true] {
            let mut policy = policy();
            policy.isolation = isolation;
            policy.observe.processes = followed;
            ways.push(policy);
        }
    }
    ways
}

/// Makes daemons, each in a session of its own and with a parent that is gone, and goes on.
const DAEMONS: &str = "import os, signal, sys, time\n\
    def daemon(stubborn):\n\
    \x20   if os.fork(): os.wait(); return\n\
    \x20   os.setsid()\n\
    \x20   if os.fork(): os._exit(0)\n\
    \x20   if stubborn:\n\
    \x20       for number in range(1, 65):\n\
    \x20           try: signal.signal(number, signal.SIG_IGN)\n\
    \x20           except (OSError, ValueError): pass\n\
    \x20   os.closerange(0, 3)\n\
    \x20   os.chdir('/')\n\
    \x20   while True: time.sleep(60)\n\
    for nth in range(4): daemon(nth % 2)\n\
    os.write(1, b'ready')\n";

#[test]
fn daemons_die_with_the_command() {
    for policy in every_way() {
        let marker = marker("daemon");
        let script = format!("{DAEMONS}sys.exit(6)");
        let outcome = Sandbox::new(policy.clone(), python(&script).args([&marker])).run_blocking().unwrap();
        exited(&outcome, 6);
        assert_eq!(stdout(&outcome), "ready");
        // Not soon: by the time that the run is over.
        assert!(processes_with(&marker).is_empty(), "{:?}", policy.isolation);
    }
}

#[test]
fn daemons_die_when_the_time_is_up() {
    for policy in every_way() {
        let marker = marker("late");
        let policy = within(1500, policy);
        let script = format!("{DAEMONS}time.sleep(60)");
        let since = Instant::now();
        let outcome = Sandbox::new(policy.clone(), python(&script).args([&marker])).run_blocking().unwrap();
        assert_eq!(outcome.end, End::TimedOut(Duration::from_millis(1500)));
        assert_eq!(stdout(&outcome), "ready");
        assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
        assert!(processes_with(&marker).is_empty(), "{:?}", policy.isolation);
    }
}

#[test]
fn a_tree_that_grows_while_it_is_killed_dies() {
    for policy in every_way() {
        let marker = marker("growing");
        // Each process makes another and ends: there are never more than a few.
        let script = "import os, time\n\
                      for _ in range(3):\n\
                      \x20   if os.fork() == 0:\n\
                      \x20       os.setsid()\n\
                      \x20       while os.fork() == 0: time.sleep(0.001)\n\
                      \x20       os._exit(0)\n\
                      time.sleep(60)";
        let policy = within(500, policy);
        let outcome = Sandbox::new(policy.clone(), python(script).args([&marker])).run_blocking().unwrap();
        assert!(matches!(outcome.end, End::TimedOut(_)));
        assert!(processes_with(&marker).is_empty(), "{:?}", policy.isolation);
    }
}

#[test]
fn stopped_guests_die_when_the_time_is_up() {
    for policy in every_way() {
        let marker = marker("stopped");
        let policy = within(500, policy);
        let command = sh("sleep 60 & kill -STOP $!; kill -STOP $$; :").args([&marker]);
        let since = Instant::now();
        let outcome = Sandbox::new(policy, command).run_blocking().unwrap();
        assert!(matches!(outcome.end, End::TimedOut(_)));
        assert!(since.elapsed() < Duration::from_secs(40));
        assert!(processes_with(&marker).is_empty());
    }
}

#[test]
fn signals_and_job_control_work_while_guests_are_followed() {
    let mut policy = policy();
    policy.observe.processes = true;
    let script = "import os, signal, time\n\
                  seen = []\n\
                  signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))\n\
                  os.kill(os.getpid(), signal.SIGUSR1)\n\
                  child = os.fork()\n\
                  if child == 0:\n\
                  \x20   signal.signal(signal.SIGTERM, lambda *_: os._exit(5))\n\
                  \x20   while True: time.sleep(0.01)\n\
                  time.sleep(0.1)\n\
                  os.kill(child, signal.SIGSTOP)\n\
                  stopped = os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])\n\
                  os.kill(child, signal.SIGTERM)\n\
                  time.sleep(0.1)\n\
                  still = os.waitpid(child, os.WNOHANG)[0] == 0\n\
                  os.kill(child, signal.SIGCONT)\n\
                  code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n\
                  print(seen, stopped, still, code)";
    let outcome = Sandbox::new(policy, python(script)).run_blocking().unwrap();
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "[1] True True 5\n");
}

#[test]
fn a_guest_can_signal_no_process_that_is_none() {
    let mut other = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
    for policy in every_way() {
        let script = format!("kill -KILL {} 2> /dev/null; echo $?", other.id());
        let outcome = Sandbox::new(policy, sh(&script)).run_blocking().unwrap();
        assert_eq!(stdout(&outcome), "1\n");
        assert!(other.try_wait().unwrap().is_none(), "a process that is no guest was killed");
    }
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn the_report_says_what_was_in_force() {
    let mut policy = policy();
    policy.isolation = Isolation::Require;
    policy.without.insert("hostname".into());
    let outcome = Sandbox::new(policy.clone(), sh("exit 0")).run_blocking().unwrap();
    let state = |name: &str| {
        let control = outcome.report.controls.iter().find(|control: &&Control| control.name == name);
        control.unwrap_or_else(|| panic!("{name}")).state.clone()
    };
    assert!(matches!(state("isolation"), ControlState::Proven(_)));
    assert!(matches!(state("timeout"), ControlState::InForce(_)));
    assert!(matches!(state("guard"), ControlState::Proven(_)));
    assert!(matches!(state("fs"), ControlState::Proven(_)));
    assert_eq!(state("hostname"), ControlState::LeftOut);
    assert_eq!(state("random"), ControlState::NotAsked);
    policy.isolation = Isolation::Off;
    let outcome = Sandbox::new(policy, sh("exit 0")).run_blocking().unwrap();
    let isolation = outcome.report.controls.iter().find(|control| control.name == "isolation").unwrap();
    assert_eq!(isolation.state, ControlState::NotAsked);
}

/// Has many threads and descriptors, and sleeps again and again while a timer may be set that is a closed descriptor.
const CROWD: &str = "import ctypes, os, threading, time\n\
    libc = ctypes.CDLL(None)\n\
    threading.stack_size(65536)\n\
    never = threading.Event()\n\
    for nth in range(400): threading.Thread(target=never.wait, daemon=True).start()\n\
    for nth in range(900): os.open('/dev/null', os.O_RDONLY)\n\
    setting = (ctypes.c_long * 4)(1000, 0, 1000, 0)\n\
    while True:\n\
    \x20   timer = libc.timerfd_create(1, 0)\n\
    \x20   libc.timerfd_settime(timer, 0, setting, None)\n\
    \x20   os.close(timer)\n\
    \x20   time.sleep(1000)\n";

#[test]
fn no_number_of_threads_and_descriptors_makes_a_run_outlive_its_time_limit() {
    const LIMIT: u64 = 1000;
    // To start and to kill so many takes some time by itself.
    const LATE: Duration = Duration::from_millis(LIMIT + 1000);
    let mut policy = within(LIMIT, policy());
    policy.clock =
        Some(Clock { start: Timestamp { seconds: 981_173_106, nanoseconds: 0 }, mode: ClockMode::Frozen });
    let ends_in_time = |_| {
        let began = Instant::now();
        let outcome = Sandbox::new(policy.clone(), python(CROWD)).run_blocking().unwrap();
        assert!(matches!(outcome.end, End::TimedOut(_)), "{outcome:?}");
        began.elapsed() < LATE
    };
    // One of several may come late, where the host is busy.
    assert!((0..3).any(ends_in_time));
}
