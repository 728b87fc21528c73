//! Every answer that a handler may give reaches a real guest as promised.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assize_core::handler::content_memfd;
use assize_core::outcome::End;
use assize_core::prober::{Script, Value};
use assize_core::syscall::Sysno;
use assize_core::trace::{Action, Exit, Known, Origin};
use assize_core::{Errno, Handler, HandlerCtx, NotifAction};

use crate::support::*;

const GETPPID: i64 = Sysno::getppid as i64;

/// One `getppid` under this handler.
fn answered(answer: impl Fn() -> NotifAction + Send + Sync + 'static) -> Probed {
    let mut script = Script::default();
    call(&mut script, Sysno::getppid, &[]);
    probe(bare(), script, vec![(GETPPID, always(answer))])
}

#[test]
fn continue_lets_the_call_run() {
    let mut script = Script::default();
    call(&mut script, Sysno::getppid, &[]);
    let without = probe(bare(), script, vec![]).result(0);
    let probed = answered(|| NotifAction::Continue);
    assert_eq!(probed.result(0), without);
    exited(&probed.outcome, 0);
    let verdict = verdicts(&probed.events)[0];
    assert_eq!((verdict.action, verdict.result, verdict.known), (Action::Allow, None, Known::Unknown));
}

#[test]
fn errno_fails_the_call() {
    let probed = answered(|| NotifAction::Errno(libc::EXDEV));
    assert_eq!(probed.result(0), -i64::from(libc::EXDEV));
    let verdict = verdicts(&probed.events)[0];
    assert_eq!(verdict.action, Action::Deny(Errno::EXDEV));
    assert_eq!((&verdict.by, verdict.result), (&Origin::Handler(0), Some(-18)));
}

#[test]
fn an_errno_that_is_none_still_fails_the_call() {
    for wrong in [0, -1, 4096, i32::MAX, i32::MIN] {
        assert_eq!(answered(move || NotifAction::Errno(wrong)).result(0), -5, "Errno({wrong})");
    }
}

#[test]
fn return_value_is_what_the_guest_gets() {
    for value in [0, 1, 4242, i64::from(i32::MAX), 1 << 40, i64::MAX, -4096, i64::MIN] {
        let probed = answered(move || NotifAction::ReturnValue(value));
        assert_eq!(probed.result(0), value);
        assert_eq!(verdicts(&probed.events)[0].action, Action::Emulate(value));
    }
}

/// A script that opens something by `openat`, and reads it.
fn open_and_read(script: &mut Script) -> (usize, usize) {
    let path = script.bytes(b"/no/such/file\0");
    let buffer = script.buffer(64);
    let at = n(i64::from(libc::AT_FDCWD));
    let opened = call(script, Sysno::openat, &[at, Value::Data(path), n(0)]);
    call(script, Sysno::read, &[Value::Result(opened), Value::Data(buffer), n(64)]);
    (opened, buffer)
}

const OPENAT: i64 = Sysno::openat as i64;

#[test]
fn inject_bytes_gives_a_sealed_rewound_close_on_exec_file() {
    let mut script = Script::default();
    let (opened, buffer) = open_and_read(&mut script);
    let fd = Value::Result(opened);
    let flags = call(&mut script, Sysno::fcntl, &[fd, n(i64::from(libc::F_GETFD))]);
    let seals = call(&mut script, Sysno::fcntl, &[fd, n(i64::from(libc::F_GET_SEALS))]);
    let write = call(&mut script, Sysno::write, &[fd, Value::Data(buffer), n(1)]);
    let shrink = call(&mut script, Sysno::ftruncate, &[fd, n(0)]);
    let more = call(&mut script, Sysno::fcntl, &[fd, n(i64::from(libc::F_ADD_SEALS)), n(1)]);
    let handler = always(|| NotifAction::inject_bytes(b"made up").unwrap());
    let probed = probe(bare(), script, vec![(OPENAT, handler)]);
    assert_eq!(probed.result(1), 7);
    assert_eq!(probed.run.data(buffer, 7).unwrap(), b"made up");
    assert_eq!(probed.result(flags), i64::from(libc::FD_CLOEXEC));
    let all = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    assert_eq!(probed.result(seals), i64::from(all));
    for refused in [write, shrink, more] {
        assert_eq!(probed.result(refused), -i64::from(libc::EPERM));
    }
    let verdict = verdicts(&probed.events)[0];
    assert_eq!((verdict.action, verdict.result), (Action::Inject, Some(probed.result(opened))));
}

#[test]
fn content_memfd_is_at_its_beginning_whatever_its_length() {
    for len in [0, 1, 4096, 100_000] {
        let content = vec![b'x'; len];
        let mut file = std::fs::File::from(content_memfd(&content).unwrap());
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut read).unwrap();
        assert_eq!(read, content);
        let flags = rustix::io::fcntl_getfd(&file).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn inject_fd_send_is_not_close_on_exec_unless_asked_for() {
    for (newfd_flags, wanted) in [(0, 0), (libc::O_CLOEXEC as u32, i64::from(libc::FD_CLOEXEC))] {
        let mut script = Script::default();
        let (opened, _) = open_and_read(&mut script);
        let flags = call(&mut script, Sysno::fcntl, &[Value::Result(opened), n(i64::from(libc::F_GETFD))]);
        let handler =
            always(move || NotifAction::InjectFdSend { srcfd: content_memfd(b"x").unwrap(), newfd_flags });
        let probed = probe(bare(), script, vec![(OPENAT, handler)]);
        assert_eq!(probed.result(flags), wanted);
    }
}

#[test]
fn inject_fd_send_tracked_tells_the_guests_number() {
    let seen = Seen::default();
    let mut script = Script::default();
    let (first, _) = open_and_read(&mut script);
    let (second, _) = open_and_read(&mut script);
    let handler = always({
        let seen = seen.clone();
        move || NotifAction::InjectFdSendTracked {
            srcfd: content_memfd(b"x").unwrap(),
            newfd_flags: 0,
            on_success: Box::new({
                let seen = seen.clone();
                move |number| seen.push(i64::from(number))
            }),
        }
    });
    let probed = probe(bare(), script, vec![(OPENAT, handler)]);
    let numbers = [probed.result(first), probed.result(second)];
    assert_eq!(seen.all(), numbers);
    // The lowest free ones: 0, 1 and 2 are taken.
    assert_eq!(numbers, [3, 4]);
}

#[test]
fn a_callback_that_panics_takes_nothing_with_it() {
    let mut script = Script::default();
    let (opened, _) = open_and_read(&mut script);
    let after = call(&mut script, Sysno::getpid, &[]);
    let handler = always(|| NotifAction::InjectFdSendTracked {
        srcfd: content_memfd(b"x").unwrap(),
        newfd_flags: 0,
        // A panic that nobody reports: printing where it came from takes seconds on a busy machine.
        on_success: Box::new(|_| std::panic::resume_unwind(Box::new("on purpose"))),
    });
    let probed = probe(bare(), script, vec![(OPENAT, handler)]);
    assert_eq!(probed.result(opened), 3);
    assert!(probed.result(after) > 0);
    assert_eq!(verdicts(&probed.events)[0].action, Action::Inject);
    assert!(notes(&probed.events).iter().any(|note| note.contains("panicked")), "{:?}", probed.events);
}

#[test]
fn inject_fd_puts_a_copy_at_the_number_and_runs_the_call() {
    let file: Arc<OwnedFd> = Arc::new(content_memfd(b"at seventy-seven").unwrap());
    for target in [77, 0, 2] {
        let mut script = Script::default();
        let buffer = script.buffer(64);
        let ran = call(&mut script, Sysno::getppid, &[]);
        let read = call(&mut script, Sysno::pread64, &[n(target), Value::Data(buffer), n(64), n(0)]);
        let handler = always({
            let file = Arc::clone(&file);
            move || NotifAction::InjectFd { srcfd: file.as_raw_fd(), targetfd: target as i32 }
        });
        let probed = probe(bare(), script, vec![(GETPPID, handler)]);
        assert!(probed.result(ran) >= 0);
        assert_eq!(probed.result(read), 16);
        assert_eq!(probed.run.data(buffer, 16).unwrap(), b"at seventy-seven");
        assert_eq!(verdicts(&probed.events)[0].action, Action::Inject);
    }
}

#[test]
fn an_injection_that_fails_is_a_denial_and_never_runs_the_call() {
    // A descriptor that is not one, and a target that no table has.
    for (srcfd, targetfd) in [(9999, 5), (-1, 5), (0, -1), (0, i32::MAX)] {
        let probed = answered(move || NotifAction::InjectFd { srcfd, targetfd });
        assert_eq!(probed.result(0), -i64::from(libc::EACCES), "{srcfd} as {targetfd}");
        assert_eq!(verdicts(&probed.events)[0].action, Action::Deny(Errno::EACCES));
    }
    // The guest's own limit: it may have no further descriptor.
    for tracked in [false, true] {
        let mut script = Script::default();
        let limit = script.bytes(&[3_u64.to_le_bytes(), 3_u64.to_le_bytes()].concat());
        call(
            &mut script,
            Sysno::prlimit64,
            &[n(0), n(i64::from(libc::RLIMIT_NOFILE)), Value::Data(limit), n(0)],
        );
        let (opened, _) = open_and_read(&mut script);
        let seen = Seen::<i32>::default();
        let handler = always({
            let seen = seen.clone();
            move || {
                let srcfd = content_memfd(b"x").unwrap();
                let seen = seen.clone();
                if tracked {
                    let on_success = Box::new(move |number| seen.push(number));
                    NotifAction::InjectFdSendTracked { srcfd, newfd_flags: 0, on_success }
                } else {
                    NotifAction::InjectFdSend { srcfd, newfd_flags: 0 }
                }
            }
        });
        let probed = probe(bare(), script, vec![(OPENAT, handler)]);
        assert_eq!(probed.result(0), 0);
        assert_eq!(probed.result(opened), -i64::from(libc::EMFILE));
        assert!(seen.all().is_empty(), "told of a number that there is not");
    }
}

#[test]
fn hold_keeps_its_caller_waiting_and_nobody_else() {
    let policy = within(700, policy());
    let command = sh("sync & echo before; uname -s; wait; echo after");
    let since = Instant::now();
    let (outcome, events) = traced(policy, command, vec![(Sysno::sync as i64, always(|| NotifAction::Hold))]);
    assert_eq!(outcome.end, End::TimedOut(Duration::from_millis(700)));
    assert_eq!(stdout(&outcome), "before\nLinux\n");
    assert!(since.elapsed() < Duration::from_secs(40));
    let held = verdicts(&events).into_iter().find(|verdict| verdict.action == Action::Hold).unwrap();
    assert_eq!(held.call.name(), "sync");
}

/// Kills the caller's own process group.
fn kill_own_group(cx: &HandlerCtx) -> std::future::Ready<NotifAction> {
    std::future::ready(NotifAction::Kill { sig: libc::SIGTERM, pgid: group_of(cx.notif.pid) })
}

#[test]
fn kill_sends_a_signal_to_the_guests_group() {
    let handlers: Handlers = vec![(Sysno::sync as i64, Box::new(kill_own_group))];
    let (outcome, events) = traced(policy(), sh("sync; echo not reached"), handlers);
    assert_eq!(outcome.end, End::Exit(Exit::Signal(libc::SIGTERM)));
    assert_eq!(stdout(&outcome), "");
    assert!(verdicts(&events).iter().any(|verdict| verdict.action == Action::Kill(libc::SIGTERM)));
}

#[test]
fn kill_fails_the_call_of_a_caller_that_survives() {
    let handlers: Handlers = vec![(Sysno::fsync as i64, Box::new(kill_own_group))];
    let script = "import os, signal\n\
                  signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                  try: os.fsync(1)\n\
                  except OSError as error: print(error.errno)";
    let outcome = handled(policy(), python(script), handlers);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "1\n");
}

#[test]
fn kill_is_refused_for_groups_that_are_not_the_guests() {
    use std::os::unix::process::CommandExt;
    let mut other = std::process::Command::new("/bin/sleep").arg("60").process_group(0).spawn().unwrap();
    let own = group_of(std::process::id());
    for pgid in [other.id().cast_signed(), own, 0, -1, 1, i32::MAX, i32::MIN] {
        let probed = answered(move || NotifAction::Kill { sig: libc::SIGKILL, pgid });
        exited(&probed.outcome, 0);
        assert_eq!(probed.result(0), -i64::from(libc::EPERM), "{pgid}");
        let verdict = verdicts(&probed.events)[0];
        assert_eq!(verdict.action, Action::Deny(Errno::EPERM));
        assert!(matches!(verdict.by, Origin::Supervisor(_)), "{:?}", verdict.by);
    }
    assert!(other.try_wait().unwrap().is_none(), "a process that is no guest was killed");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn kill_with_a_signal_that_does_not_exist_is_refused() {
    let handler =
        |cx: &HandlerCtx| std::future::ready(NotifAction::Kill { sig: 9999, pgid: group_of(cx.notif.pid) });
    let mut script = Script::default();
    call(&mut script, Sysno::getppid, &[]);
    let handlers: Handlers = vec![(GETPPID, Box::new(handler) as Box<dyn Handler>)];
    let probed = probe(bare(), script, handlers);
    assert_eq!(probed.result(0), -i64::from(libc::EPERM));
    exited(&probed.outcome, 0);
}
