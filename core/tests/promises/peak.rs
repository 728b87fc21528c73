//! The most that guests have at once: how many they are, and how much memory one of them has.

use assize_core::outcome::End;
use assize_core::plan::PlanError;
use assize_core::policy::{Clock, ClockMode, Isolation, Schedule, Timestamp};
use assize_core::prober::Script;
use assize_core::syscall::{Sysno, family};
use assize_core::trace::Place;
use assize_core::{Command, Peak, Policy, RunError, Sandbox};

use crate::support::*;

const MIB: u64 = 1 << 20;

/// What changes how guests are made, followed and killed.
fn every_way(policy: &Policy) -> Vec<Policy> {
    let measured = |isolation| {
        let mut policy = Policy { isolation, ..policy.clone() };
        policy.observe.peak = true;
        policy
    };
    let mut ways = Vec::new();
    for isolation in [Isolation::Auto, Isolation::Off] {
        ways.push(measured(isolation));
        let start = Timestamp { seconds: 981_173_106, nanoseconds: 0 };
        let clock =
            Some(Clock { start, mode: ClockMode::Logical { step: std::time::Duration::from_micros(1) } });
        ways.push(Policy { clock, seed: Some(1), own_proc: true, ..measured(isolation) });
        ways.push(Policy { schedule: Schedule::Serial, ..measured(isolation) });
    }
    ways
}

fn peak_of(policy: Policy, command: Command) -> Peak {
    let outcome = Sandbox::new(policy, command).run_blocking().unwrap();
    exited(&outcome, 0);
    outcome.peak.unwrap()
}

/// Whether this many processes of a script in Python live at once, whatever the way.
fn live_at_once(script: &str, processes: u64) {
    for policy in every_way(&policy()) {
        let peak = peak_of(policy.clone(), python(script));
        assert_eq!(peak.processes, processes, "{script}\n{policy:?}");
    }
}

/// What so takes 96 MiB and gives them back.
const FILL: &str = "import os, signal, threading\n\
    def fill(): return b'x' * (96 << 20)\n";

/// Whether some process of a script in Python has had 96 MiB, and none much more, whatever the way.
fn has_had_96_mib(script: &str) {
    for policy in every_way(&policy()) {
        let memory = peak_of(policy.clone(), python(&format!("{FILL}{script}"))).memory.unwrap();
        assert!((96 * MIB..136 * MIB).contains(&memory), "{memory} bytes: {script}\n{policy:?}");
    }
}

#[test]
fn nothing_is_measured_unless_it_is_asked_for() {
    let outcome = Sandbox::new(policy(), sh("exit 0")).run_blocking().unwrap();
    assert_eq!(outcome.peak, None);
}

/// The first guest's process begins with the memory of whoever made it, and the kernel accounts that to it.
#[test]
fn the_callers_own_memory_is_not_the_guests() {
    let ballast = vec![1_u8; (64 * MIB) as usize];
    for policy in every_way(&bare()) {
        let mut script = Script::default();
        call(&mut script, Sysno::getppid, &[]);
        let peak = probe(policy.clone(), script, Vec::new()).outcome.peak.unwrap();
        assert_eq!(peak.processes, 1);
        assert!((1..2 * MIB).contains(&peak.memory.unwrap()), "{peak:?}: {policy:?}");
    }
    assert_eq!(std::hint::black_box(&ballast)[4096], 1);
}

#[test]
fn processes_that_live_at_once_are_counted() {
    live_at_once("pass", 1);
    // Each waits until all are there.
    let together = "import os\n\
        r, w = os.pipe()\n\
        ready, go = os.pipe()\n\
        for nth in range(6):\n\
        \x20   if os.fork() == 0:\n\
        \x20       os.write(go, b'.')\n\
        \x20       os.close(w)\n\
        \x20       os.read(r, 1)\n\
        \x20       os._exit(0)\n\
        for nth in range(6): os.read(ready, 1)\n\
        os.close(w)\n\
        for nth in range(6): os.wait()";
    live_at_once(together, 7);
}

#[test]
fn one_that_was_waited_for_lives_no_more() {
    let in_turn = "import os\n\
        for nth in range(200):\n\
        \x20   if os.fork() == 0: os._exit(0)\n\
        \x20   os.wait()";
    live_at_once(in_turn, 2);
}

#[test]
fn a_zombie_does_not_live() {
    // The parent knows that it has ended, and leaves it there.
    let zombies = "import os\n\
        for nth in range(5):\n\
        \x20   child = os.fork()\n\
        \x20   if child == 0: os._exit(0)\n\
        \x20   os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)";
    live_at_once(zombies, 2);
}

#[test]
fn threads_are_no_processes() {
    let threads = "import threading\n\
        all = threading.Barrier(9)\n\
        threads = [threading.Thread(target=all.wait) for nth in range(8)]\n\
        for thread in threads: thread.start()\n\
        all.wait()\n\
        for thread in threads: thread.join()";
    live_at_once(threads, 1);
}

#[test]
fn however_a_process_is_made_it_is_counted() {
    let spawned = "import os\n\
        os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)";
    live_at_once(spawned, 2);
    let forked_by_vfork = "import subprocess\n\
        subprocess.run(['/bin/true'], check=True)";
    live_at_once(forked_by_vfork, 2);
    // It shares the memory of whoever made it, and is no thread: CLONE_VM | SIGCHLD. It runs libc's own pause.
    let shares_memory = "import ctypes, os, signal\n\
        libc = ctypes.CDLL(None)\n\
        stack = ctypes.create_string_buffer(65536)\n\
        top = ctypes.c_void_p((ctypes.addressof(stack) + 65536) & ~15)\n\
        child = libc.clone(libc.pause, top, 0x100 | signal.SIGCHLD, None)\n\
        assert child > 0\n\
        os.kill(child, signal.SIGKILL)\n\
        os.waitpid(child, 0)";
    live_at_once(shares_memory, 2);
    let double = "import os, signal\n\
        r, w = os.pipe()\n\
        if os.fork() == 0:\n\
        \x20   if os.fork() == 0:\n\
        \x20       os.close(r)\n\
        \x20       os.write(w, b'.')\n\
        \x20       os.closerange(0, 3)\n\
        \x20       signal.pause()\n\
        \x20   os._exit(0)\n\
        os.wait()\n\
        os.read(r, 1)\n\
        os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)";
    // Never all four: whoever is in between is waited for before the last is made.
    for policy in every_way(&policy()) {
        assert_eq!(peak_of(policy, python(double)).processes, 3);
    }
}

#[test]
fn memory_that_was_given_back_counts() {
    has_had_96_mib("fill()");
}

#[test]
fn a_childs_memory_counts_and_two_are_not_added_up() {
    has_had_96_mib(
        "for nth in range(2):\n\
         \x20   if os.fork() == 0:\n\
         \x20       fill()\n\
         \x20       os._exit(0)\n\
         os.wait()\n\
         os.wait()",
    );
}

#[test]
fn whose_memory_it_was_is_known() {
    let mut policy = policy();
    policy.observe.peak = true;
    let script =
        format!("{FILL}if os.fork() == 0:\n    fill()\n    os.execv('/bin/true', ['true'])\nos.wait()");
    let peak = peak_of(policy, python(&script));
    assert_eq!(peak.place.unwrap(), Place::root().child(0));
    // The one that had it, not the one that it then executed.
    assert!(peak.exe.unwrap().to_string().contains("python"));
}

#[test]
fn memory_that_an_exec_replaces_counts() {
    has_had_96_mib("fill()\nos.execv('/bin/true', ['true'])");
    has_had_96_mib("if os.fork() == 0:\n    fill()\n    os.execv('/bin/true', ['true'])\nos.wait()");
}

#[test]
fn memory_that_the_exec_of_another_thread_replaces_counts() {
    let by_thread = "fill()\n\
        threading.Thread(target=os.execv, args=('/bin/true', ['true'])).start()\n\
        signal.pause()";
    has_had_96_mib(by_thread);
}

#[test]
fn memory_of_whoever_is_killed_counts() {
    has_had_96_mib("if os.fork() == 0:\n    fill()\n    os.kill(os.getpid(), 9)\nos.wait()");
    // With everybody, when the command has ended; its parent is gone.
    has_had_96_mib(
        "r, w = os.pipe()\n\
         if os.fork() == 0:\n\
         \x20   if os.fork(): os._exit(0)\n\
         \x20   os.setsid()\n\
         \x20   os.closerange(0, 3)\n\
         \x20   fill()\n\
         \x20   os.write(w, b'.')\n\
         \x20   signal.pause()\n\
         os.wait()\n\
         os.read(r, 1)",
    );
}

#[test]
fn a_run_whose_time_is_up_is_measured() {
    let script = format!("{FILL}fill()\nos.fork()\nos.write(1, b'.')\nsignal.pause()");
    for policy in every_way(&policy()) {
        // Where the host is busy, it comes less far.
        let limits = [500, 4_000, 30_000];
        let outcomes = limits.map(|limit| within(limit, policy.clone())).into_iter().map(|policy| {
            let outcome = Sandbox::new(policy, python(&script)).run_blocking().unwrap();
            assert!(matches!(outcome.end, End::TimedOut(_)), "{:?}", outcome.end);
            outcome
        });
        let outcome = outcomes.into_iter().find(|outcome| stdout(outcome) == "..").unwrap();
        let peak = outcome.peak.unwrap();
        assert_eq!(peak.processes, 2);
        assert!(peak.memory.unwrap() >= 96 * MIB, "{peak:?}");
    }
}

/// Whoever is killed while he is about to end doesn't stop once more: what the kernel accounts tells then.
#[test]
fn processes_that_are_killed_on_their_way_out_are_measured() {
    let racing = "import os\n\
        for nth in range(300):\n\
        \x20   child = os.fork()\n\
        \x20   if child == 0: os._exit(0)\n\
        \x20   os.kill(child, 9)\n\
        \x20   os.waitpid(child, 0)";
    for policy in every_way(&policy()) {
        let peak = peak_of(policy, python(racing));
        assert_eq!(peak.processes, 2);
        assert!(peak.memory.is_some());
    }
}

#[test]
fn no_guest_hides_a_process() {
    let untraced = i64::from(libc::CLONE_UNTRACED | libc::SIGCHLD);
    for mut policy in every_way(&bare()) {
        policy.syscalls.allow.extend(family::CLONE.syscalls().filter(|call| !family::CLONE3.contains(*call)));
        let mut script = Script::default();
        let made = call(&mut script, Sysno::clone, &[n(untraced)]);
        let probed = probe(policy.clone(), script, Vec::new());
        assert_eq!(probed.result(made), -i64::from(libc::EPERM), "{policy:?}");
        // What lies in memory no filter sees.
        policy.syscalls.allow.extend(family::CLONE3.syscalls());
        let refused = Sandbox::new(policy, sh("exit 0")).run_blocking().unwrap_err();
        assert!(matches!(refused, RunError::Plan(PlanError::Start { capability: "peak", .. })), "{refused}");
    }
}

#[test]
fn whoever_measures_sees_no_more_calls() {
    let mut policy = policy();
    policy.observe.peak = true;
    let (outcome, events) = traced(policy, sh("/bin/true; exec /bin/true"), Vec::new());
    assert_eq!(outcome.peak.unwrap().processes, 2);
    assert!(verdicts(&events).is_empty(), "{:?}", verdicts(&events));
}
