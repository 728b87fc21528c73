//! Many guests at once, that come and go while others ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use assize_core::outcome::End;
use assize_core::syscall::Sysno;
use assize_core::trace::{Body, Memory};
use assize_core::{Handler, HandlerCtx, NotifAction, Policy, Sandbox};

use crate::support::*;

fn everything() -> Policy {
    let mut policy = policy();
    policy.seed = Some(3);
    policy.hostname = Some("box".into());
    policy.observe.denials = true;
    policy.observe.processes = true;
    policy.fs.deny.push("/etc/shadow".into());
    policy.fs.read.push("/dev/urandom".into());
    policy
}

const FLOOD: &str = "import os, signal, sys, threading, time\n\
    def calls(turns):\n\
    \x20   for _ in range(turns):\n\
    \x20       os.getrandom(8)\n\
    \x20       os.uname()\n\
    \x20       os.close(os.open('/etc/passwd', os.O_RDONLY))\n\
    \x20       try: os.open('/etc/shadow', os.O_RDONLY)\n\
    \x20       except OSError: pass\n\
    \x20       try: os.fsync(1)\n\
    \x20       except OSError: pass\n\
    pids = []\n\
    for nth in range(8):\n\
    \x20   pid = os.fork()\n\
    \x20   if pid == 0:\n\
    \x20       threads = [threading.Thread(target=calls, args=(40,), daemon=True) for _ in range(3)]\n\
    \x20       [thread.start() for thread in threads]\n\
    \x20       if nth % 4 == 1: os._exit(1)\n\
    \x20       if nth % 4 == 2: os.kill(os.getpid(), signal.SIGKILL)\n\
    \x20       if nth % 4 == 3: os.execv('/bin/sh', ['sh', '-c', 'exec cat /etc/passwd > /dev/null'])\n\
    \x20       [thread.join() for thread in threads]\n\
    \x20       os._exit(0)\n\
    \x20   pids.append(pid)\n\
    print(sorted(os.waitpid(pid, 0)[1] for pid in pids))";

#[test]
fn guests_that_flood_and_guests_that_die_are_all_served() {
    for deferred in [false, true] {
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        let handler = move |_: &HandlerCtx| {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::ready(if deferred {
                NotifAction::defer(async { NotifAction::Errno(libc::EXDEV) })
            } else {
                NotifAction::Errno(libc::EXDEV)
            })
        };
        let handlers: Handlers = vec![(number(Sysno::fsync), Box::new(handler) as Box<dyn Handler>)];
        let (outcome, events) = traced(everything(), python(FLOOD), handlers);
        exited(&outcome, 0);
        assert_eq!(stdout(&outcome), "[0, 0, 0, 0, 9, 9, 256, 256]\n");
        assert!(asked.load(Ordering::Relaxed) >= 2 * 3 * 40);
        let count = |wanted: fn(&Body) -> bool| events.iter().filter(|event| wanted(&event.body)).count();
        assert_eq!(count(|body| matches!(body, Body::Start { .. })), 9);
        assert_eq!(count(|body| matches!(body, Body::Exit { .. })), 9);
        assert!(events.iter().map(|event| event.seq).eq(1..=events.len() as u64));
    }
}

#[test]
fn guests_that_are_killed_in_the_middle_leave_nothing() {
    for millis in (5..100).step_by(5) {
        let marker = marker("flood");
        let memory = Memory::default();
        let handler = |_: &HandlerCtx| async {
            tokio::time::sleep(Duration::from_millis(3)).await;
            NotifAction::Continue
        };
        let command = python(FLOOD).args([&marker]);
        let sandbox = Sandbox::new(within(millis, everything()), command).trace(memory.clone());
        let outcome = block_on(sandbox.run_with_handlers([(number(Sysno::fsync), handler)])).unwrap();
        assert!(matches!(outcome.end, End::TimedOut(_)), "{:?}", outcome.end);
        assert!(processes_with(&marker).is_empty());
        let events = memory.drain();
        let starts = events.iter().filter(|event| matches!(event.body, Body::Start { .. })).count();
        let exits = events.iter().filter(|event| matches!(event.body, Body::Exit { .. })).count();
        assert_eq!(starts, exits, "{millis} ms: {events:#?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_whatever_else_happens() {
    let script = "for i in 1 2 3; do (od -An -N8 -tx1 /dev/urandom > /dev/null; \
                  python3 -I -S -c 'import os; print(os.getrandom(8).hex())') ; done";
    let outcome = || stdout(&handled(everything(), sh(script), vec![]));
    let first = outcome();
    assert_eq!(first.lines().count(), 3);
    for _ in 0..3 {
        assert_eq!(outcome(), first);
    }
}

/// Each run that ends sends a signal to this process. An injection that it interrupted would give the guest a zero.
#[test]
fn signals_to_the_supervisor_disturb_no_answer() {
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let others: Vec<_> = (0..2)
        .map(|_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    exited(&Sandbox::new(policy(), sh("exit 0")).run_blocking().unwrap(), 0);
                }
            })
        })
        .collect();
    for deferred in [false, true] {
        let inject = move |_: &HandlerCtx| {
            let bytes = || NotifAction::inject_bytes(b"injected").unwrap();
            std::future::ready(if deferred { NotifAction::defer(async move { bytes() }) } else { bytes() })
        };
        let mut policy = policy();
        policy.limits.timeout = Some(Duration::from_secs(60));
        let script = "import os\n\
                      for _ in range(3000):\n\
                      \x20   fd = os.dup(1)\n\
                      \x20   if os.read(fd, 64) != b'injected': print('fd', fd); break\n\
                      \x20   os.close(fd)\n\
                      print('end')";
        let handler = move |cx: &HandlerCtx| {
            let is_dup = cx.notif.data.args[1] == libc::F_DUPFD_CLOEXEC as u64;
            let answer = is_dup.then(|| inject(cx));
            async move {
                match answer {
                    Some(answer) => answer.await,
                    None => NotifAction::Continue,
                }
            }
        };
        let handlers: Handlers = vec![(number(Sysno::fcntl), Box::new(handler))];
        let outcome = handled(policy, python(script), handlers);
        exited(&outcome, 0);
        assert_eq!(stdout(&outcome), "end\n");
    }
    over.store(true, Ordering::Relaxed);
    for other in others {
        other.join().unwrap();
    }
}
