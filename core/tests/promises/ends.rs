//! Why a command ended as it did: what is known is said, and nothing else is.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use assize_core::outcome::{Activity, End, Sender, Why};
use assize_core::policy::Isolation;
use assize_core::syscall::Sysno;
use assize_core::trace::{Arg, Exit};
use assize_core::{Command, NotifAction, Outcome, Policy, Remote, Sandbox};

use crate::support::*;

/// With namespaces and without, whose guests are numbered differently.
fn followed() -> [Policy; 2] {
    [Isolation::Auto, Isolation::Off].map(|isolation| {
        let mut policy = policy();
        policy.isolation = isolation;
        policy.observe.processes = true;
        policy
    })
}

/// What came of a script that has no end, given so much time.
fn late(millis: u64, script: &str) -> Outcome {
    let outcome = Sandbox::new(within(millis, policy()), sh(script)).run_blocking().unwrap();
    assert_eq!(outcome.end, End::TimedOut(Duration::from_millis(millis)));
    outcome
}

/// The same, with enough time for it to come where it stays, on a machine that is busy too: more, if `there` is not yet so.
fn settled(script: &str, there: impl Fn(&Outcome) -> bool) -> Outcome {
    for millis in [400, 2_000, 10_000] {
        let outcome = late(millis, script);
        if there(&outcome) {
            return outcome;
        }
    }
    late(30_000, script)
}

fn words(outcome: &Outcome) -> String {
    outcome.why.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn what_a_command_was_doing_when_its_time_was_up_is_known() {
    for (script, wanted) in [
        ("exec sleep 60", "sleep was in clock_nanosleep"),
        ("sleep 60; exit 0", "sleep was in clock_nanosleep"),
        ("(sh -c 'sleep 60; exit 0'; exit 0); exit 0", "sleep was in clock_nanosleep"),
        ("while :; do :; done", "sh was running"),
        ("kill -STOP $$", "sh was stopped by a signal"),
        (
            "exec python3 -I -S -c 'import os; r, w = os.pipe(); os.dup2(r, 0); os.read(0, 9)'",
            "python3 was in read(0)",
        ),
    ] {
        let outcome = settled(script, |outcome| words(outcome) == wanted);
        assert_eq!(words(&outcome), wanted, "{script}");
    }
    let sleeps = settled("exec sleep 60", |outcome| words(outcome).starts_with("sleep was in clock"));
    let Some(Why::Doing(doing)) = sleeps.why else { panic!() };
    let Activity::Call { call, args } = doing.activity else { panic!() };
    assert_eq!((doing.program.as_bytes(), call.sysno()), (b"sleep".as_slice(), Sysno::clock_nanosleep));
    assert!(matches!(args.0[0].1, Arg::Int(_) | Arg::Flags(..)), "{args:?}");
}

#[test]
fn a_call_that_waits_for_its_answer_is_what_it_was_doing() {
    let hold = always(|| NotifAction::Hold);
    let outcome = handled(within(2_000, policy()), sh("exec sync"), vec![(number(Sysno::sync), hold)]);
    assert_eq!(words(&outcome), "sync was in sync");
}

#[test]
fn who_sent_a_signal_is_known_where_guests_are_followed() {
    for policy in followed() {
        for (script, wanted) in [
            ("kill -TERM $$", Some(Sender::Itself)),
            (
                "python3 -I -S -c 'import os, time; os.kill(os.getppid(), 15); time.sleep(60)' & wait",
                Some(Sender::Guest),
            ),
            ("exec python3 -I -S -c 'import os; os.abort()'", Some(Sender::Itself)),
            ("exec python3 -I -S -c 'import ctypes; ctypes.string_at(1)'", Some(Sender::Kernel)),
            (
                "exec python3 -I -S -c 'import signal; signal.setitimer(0, 0.05); signal.pause()'",
                Some(Sender::Kernel),
            ),
            // Nobody is shown who sends this one.
            ("kill -KILL $$", None),
        ] {
            let outcome = Sandbox::new(policy.clone(), sh(script)).run_blocking().unwrap();
            assert!(matches!(outcome.end, End::Exit(Exit::Signal(_))), "{script}: {:?}", outcome.end);
            assert_eq!(outcome.why, wanted.map(Why::Sent), "{script}");
        }
        // An end by itself needs no reason, whatever signals came before it.
        let outcome = Sandbox::new(policy, sh("trap : TERM; kill -TERM $$; exit 3")).run_blocking().unwrap();
        exited(&outcome, 3);
        assert_eq!(outcome.why, None);
    }
    let outcome = Sandbox::new(policy(), sh("kill -TERM $$")).run_blocking().unwrap();
    assert_eq!((outcome.end, outcome.why), (End::Exit(Exit::Signal(15)), None), "nobody looked");
}

#[test]
fn a_signal_from_outside_is_passed_on_and_known() {
    for policy in followed() {
        let remote = Remote::new().unwrap();
        let marker = marker("outside");
        let sandbox = Sandbox::new(policy, Command::new("/bin/sh").args(["-c", "sleep 60; exit 0", &marker]))
            .remote(&remote);
        let sender = std::thread::spawn({
            let remote = remote.clone();
            move || {
                // Before that it is not yet the command.
                while processes_with(&marker).is_empty() {
                    std::thread::yield_now();
                }
                assert!(remote.has_command() && remote.signal(libc::SIGTERM));
            }
        });
        let outcome = sandbox.run_blocking().unwrap();
        sender.join().unwrap();
        assert_eq!(outcome.end, End::Exit(Exit::Signal(libc::SIGTERM)));
        assert_eq!(outcome.why, Some(Why::Sent(Sender::Outside)));
        assert!(!remote.signal(libc::SIGTERM) && !remote.has_command(), "it is gone");
    }
}

#[test]
fn runs_that_are_given_up_end_at_once_and_so_do_those_to_come() {
    let remote = Remote::new().unwrap();
    let marker = marker("given-up");
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let sandbox =
                Sandbox::new(policy(), sh("setsid sleep 60 & sleep 60").args([&marker])).remote(&remote);
            std::thread::spawn(move || sandbox.run_blocking().unwrap().end)
        })
        .collect();
    while processes_with(&marker).len() < 3 {
        std::thread::yield_now();
    }
    assert!(!remote.is_cancelled());
    remote.cancel();
    assert!(remote.is_cancelled());
    for run in runs {
        assert_eq!(run.join().unwrap(), End::Cancelled);
    }
    assert!(processes_with(&marker).is_empty());
    let late = Sandbox::new(policy(), Command::new("/bin/sleep").args(["60"])).remote(&remote);
    assert_eq!(late.run_blocking().unwrap().end, End::Cancelled);
}

#[test]
fn a_handler_that_kills_is_named() {
    for mut policy in followed() {
        policy.observe.processes = false;
        let kill = |cx: &assize_core::HandlerCtx| {
            let pgid = group_of(cx.notif.pid);
            std::future::ready(NotifAction::Kill { sig: libc::SIGKILL, pgid })
        };
        let handlers: Handlers = vec![(number(Sysno::sync), Box::new(kill))];
        let outcome = handled(policy, sh("sync; exit 0"), handlers);
        assert_eq!(outcome.end, End::Exit(Exit::Signal(libc::SIGKILL)));
        assert_eq!(words(&outcome), "a handler sent the signal, in its answer to sync");
    }
}

#[test]
fn the_filter_and_a_denied_program_are_named() {
    let gate = "import ctypes, mmap\n\
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n\
        page.write(bytes.fromhex('b814000000cd80c3'))\n\
        ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()";
    for mut policy in followed() {
        let outcome = Sandbox::new(policy.clone(), python(gate)).run_blocking().unwrap();
        assert_eq!((outcome.end, outcome.why), (End::Exit(Exit::Signal(libc::SIGSYS)), Some(Why::Filter)));
        // The same signal, which a guest sent.
        let outcome = Sandbox::new(policy.clone(), sh("kill -SYS $$")).run_blocking().unwrap();
        assert_eq!(outcome.end, End::Exit(Exit::Signal(libc::SIGSYS)));
        assert_eq!(outcome.why, Some(Why::Sent(Sender::Itself)));
        // The kernel itself opens the interpreter that a script names.
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        std::fs::write(&script, "#!/usr/bin/yes\n").unwrap();
        assize_core::command::wait_for_writers(&script, Duration::from_secs(60)).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        policy.fs.read.push(folder.path().into());
        policy.fs.deny.push("/usr/bin/yes".into());
        let command = sh(&format!("exec {}", script.display()));
        let outcome = Sandbox::new(policy, command).run_blocking().unwrap();
        assert_eq!((outcome.end, outcome.why), (End::Exit(Exit::Signal(9)), Some(Why::Denied)));
    }
}
