//! Answers that come later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use assize_core::outcome::End;
use assize_core::prober::Script;
use assize_core::syscall::Sysno;
use assize_core::trace::{Action, Origin};
use assize_core::{Errno, Handler, HandlerCtx, NotifAction};

use crate::support::*;

fn one_call() -> Script {
    let mut script = Script::default();
    call(&mut script, Sysno::getppid, &[]);
    script
}

fn deferred(later: impl Fn() -> NotifAction + Send + Sync + Clone + 'static) -> Box<dyn Handler> {
    always(move || {
        let later = later.clone();
        NotifAction::defer(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            later()
        })
    })
}

#[test]
fn a_deferred_answer_is_what_the_guest_gets() {
    let since = Instant::now();
    let handler = deferred(|| NotifAction::ReturnValue(77));
    let probed = probe(bare(), one_call(), vec![(number(Sysno::getppid), handler)]);
    assert_eq!(probed.result(0), 77);
    assert!(since.elapsed() >= Duration::from_millis(50));
    let actions: Vec<_> = verdicts(&probed.events).iter().map(|verdict| verdict.action).collect();
    assert_eq!(actions, [Action::Defer, Action::Emulate(77)]);
    assert!(verdicts(&probed.events).iter().all(|verdict| verdict.by == Origin::Handler(0)));
}

#[test]
fn every_kind_of_answer_may_be_deferred() {
    let run = |handler| probe(bare(), one_call(), vec![(number(Sysno::getppid), handler)]);
    assert_eq!(run(deferred(|| NotifAction::Errno(libc::ENOENT))).result(0), -2);
    assert!(run(deferred(|| NotifAction::Continue)).result(0) >= 0);
    assert_eq!(run(deferred(|| NotifAction::inject_bytes(b"x").unwrap())).result(0), 3);
}

#[test]
fn a_deferral_of_a_deferral_is_an_error() {
    let handler = deferred(|| NotifAction::defer(async { NotifAction::ReturnValue(1) }));
    let probed = probe(bare(), one_call(), vec![(number(Sysno::getppid), handler)]);
    assert_eq!(probed.result(0), -i64::from(libc::EIO));
}

#[test]
fn a_deferred_answer_that_panics_is_an_error() {
    let handler = deferred(|| std::panic::resume_unwind(Box::new("on purpose")));
    let probed = probe(bare(), one_call(), vec![(number(Sysno::getppid), handler)]);
    assert_eq!(probed.result(0), -i64::from(libc::EIO));
    assert!(notes(&probed.events).iter().any(|note| note.contains("panicked")));
}

#[test]
fn exec_and_the_creation_of_processes_cannot_be_deferred() {
    let defer = || always(|| NotifAction::defer(async { NotifAction::Continue }));
    let creators = [Sysno::clone, Sysno::fork, Sysno::vfork];
    for sysno in creators {
        let mut script = Script::default();
        call(&mut script, sysno, &[n(i64::from(libc::SIGCHLD))]);
        let probed = probe(bare(), script, vec![(number(sysno), defer())]);
        assert_eq!(probed.result(0), -i64::from(libc::EPERM), "{sysno}");
        let verdict = verdicts(&probed.events)[0];
        assert_eq!(verdict.action, Action::Deny(Errno::EPERM));
        assert!(matches!(verdict.by, Origin::Supervisor(_)));
    }
    for sysno in [Sysno::execve, Sysno::execveat] {
        let mut script = Script::default();
        let path = script.bytes(b"/bin/true\0");
        let data = assize_core::prober::Value::Data(path);
        let args = if sysno == Sysno::execve { vec![data] } else { vec![n(-100), data] };
        call(&mut script, sysno, &args);
        let probed = probe(policy(), script, vec![(number(sysno), defer())]);
        assert_eq!(probed.result(0), -i64::from(libc::EPERM), "{sysno}");
    }
}

#[test]
fn other_calls_are_answered_meanwhile() {
    let handler = always(|| {
        NotifAction::defer(async {
            tokio::time::sleep(Duration::from_millis(800)).await;
            NotifAction::Continue
        })
    });
    let quick = always(|| NotifAction::Continue);
    let handlers = vec![(number(Sysno::sync), handler), (number(Sysno::uname), quick)];
    let outcome = handled(policy(), sh("(sync; echo slow) & uname -s; wait"), handlers);
    assert_eq!(stdout(&outcome), "Linux\nslow\n");
    exited(&outcome, 0);
}

/// So many threads call `fsync` at once, and print what each got; then one more calls.
const CROWD: &str = "import os, threading, time\n\
    def call():\n\
    \x20   try: os.fsync(1); print('ok')\n\
    \x20   except OSError as error: print(error.errno)\n\
    threads = [threading.Thread(target=call) for _ in range(64)]\n\
    [thread.start() for thread in threads]\n\
    while not os.access('/etc', os.R_OK): time.sleep(0.01)\n\
    print('more'); call(); print('first')\n\
    os.sync()\n\
    [thread.join() for thread in threads]\n\
    call()";

#[test]
fn sixty_four_answers_may_be_pending_and_one_more_is_refused() {
    let pending = Arc::new(AtomicUsize::new(0));
    let (release, released) = tokio::sync::watch::channel(false);
    let defer = {
        let pending = Arc::clone(&pending);
        always(move || {
            let (pending, mut released) = (Arc::clone(&pending), released.clone());
            NotifAction::defer(async move {
                pending.fetch_add(1, Ordering::SeqCst);
                let _ = released.wait_for(|released| *released).await;
                pending.fetch_sub(1, Ordering::SeqCst);
                NotifAction::Errno(libc::EXDEV)
            })
        })
    };
    // The guest asks by `access` whether all wait, and says by `sync` that they may go on.
    let all_wait = always(move || match pending.load(Ordering::SeqCst) {
        64.. => NotifAction::ReturnValue(0),
        _ => NotifAction::Errno(libc::EAGAIN),
    });
    let go = always(move || {
        release.send_replace(true);
        NotifAction::ReturnValue(0)
    });
    let handlers =
        vec![(number(Sysno::fsync), defer), (number(Sysno::access), all_wait), (number(Sysno::sync), go)];
    let outcome = handled(policy(), python(CROWD), handlers);
    exited(&outcome, 0);
    let text = stdout(&outcome);
    let refused = format!("more\n{}\nfirst\n", libc::EAGAIN);
    assert!(text.starts_with(&refused), "{text}");
    // Those that waited got their answer, and then there is room again.
    assert_eq!(text.matches("18\n").count(), 65, "{text}");
}

#[test]
fn a_guest_that_dies_while_its_answer_is_pending_disturbs_nobody() {
    let handler = always(|| {
        NotifAction::defer(async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            NotifAction::inject_bytes(b"late").unwrap()
        })
    });
    let script = "(timeout -s KILL 0.1 sync; echo $?) ; sync; echo end";
    let outcome = handled(policy(), sh(script), vec![(number(Sysno::sync), handler)]);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "137\nend\n");
}

#[test]
fn a_run_that_ends_does_not_wait_for_pending_answers() {
    let handler = always(|| {
        NotifAction::defer(async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            NotifAction::Continue
        })
    });
    let since = Instant::now();
    let outcome = handled(within(300, policy()), sh("sync"), vec![(number(Sysno::sync), handler)]);
    assert!(matches!(outcome.end, End::TimedOut(_)));
    assert!(since.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_deferred_continue_is_performed_where_the_path_was_judged() {
    // The path changes while the answer is pending. What was judged is opened, not what the name leads to then.
    let folder = tempfile::tempdir().unwrap();
    for file in ["open", "secret"] {
        std::fs::write(folder.path().join(file), file).unwrap();
    }
    let name = folder.path().join("name");
    std::os::unix::fs::symlink("open", &name).unwrap();
    let mut policy = policy();
    policy.fs.read.push(folder.path().into());
    policy.fs.deny.push(folder.path().join("secret"));
    let exchange = Arc::new(folder.path().to_path_buf());
    let handler = move |cx: &HandlerCtx| {
        let address = cx.notif.data.args[1];
        let path =
            assize_core::handler::read_child_cstr(cx.notif_fd, cx.notif.id, cx.notif.pid, address, 4096);
        let exchange = Arc::clone(&exchange);
        async move {
            if !path.is_ok_and(|path| path.ends_with(b"/name")) {
                return NotifAction::Continue;
            }
            NotifAction::defer(async move {
                std::os::unix::fs::symlink("secret", exchange.join("new")).unwrap();
                std::fs::rename(exchange.join("new"), exchange.join("name")).unwrap();
                NotifAction::Continue
            })
        }
    };
    let script = format!("cat {}", name.display());
    let handlers: Handlers = vec![(number(Sysno::openat), Box::new(handler))];
    let outcome = handled(policy, sh(&script), handlers);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "open");
}

/// Takes as long as the patience that it is about.
#[test]
#[ignore = "takes 30 seconds: run it with --ignored"]
fn a_deferred_answer_has_thirty_seconds() {
    for blocking in [false, true] {
        let handler = always(move || {
            NotifAction::defer(async move {
                if blocking {
                    std::thread::sleep(Duration::from_secs(90));
                }
                std::future::pending().await
            })
        });
        let since = Instant::now();
        let policy = within(90_000, bare());
        let probed = probe(policy, one_call(), vec![(number(Sysno::getppid), handler)]);
        assert_eq!(probed.result(0), -i64::from(libc::EIO));
        assert!((29..60).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    }
}

/// Each is pending for a while, so that many are at once; more than the run has places for are refused, and told so.
#[test]
fn ten_thousand_deferred_answers_are_all_given() {
    let given = Arc::new(AtomicUsize::new(0));
    let defer = {
        let given = Arc::clone(&given);
        Box::new(move |cx: &HandlerCtx| {
            let (given, asked) = (Arc::clone(&given), cx.notif.data.args[0].cast_signed());
            std::future::ready(NotifAction::defer(async move {
                tokio::task::yield_now().await;
                given.fetch_add(1, Ordering::SeqCst);
                NotifAction::ReturnValue(asked)
            }))
        })
    };
    let script = "import ctypes, threading\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        wrong = []\n\
        def calls(nth):\n\
        \x20   for turn in range(1250):\n\
        \x20       asked = nth * 10000 + turn\n\
        \x20       if libc.syscall(146, asked) != asked: wrong.append(asked)\n\
        threads = [threading.Thread(target=calls, args=(nth,)) for nth in range(8)]\n\
        [thread.start() for thread in threads]\n\
        [thread.join() for thread in threads]\n\
        print(wrong)";
    let policy = within(120_000, policy());
    let outcome = handled(policy, python(script), vec![(number(Sysno::sched_get_priority_max), defer)]);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "[]\n");
    assert_eq!(given.load(Ordering::SeqCst), 10_000);
}

#[test]
fn an_answer_that_never_comes_does_not_keep_the_run_nor_those_after_it() {
    for deferred in [false, true] {
        // Its thread is lost for good, as that of a handler which waits for a lock that nobody gives back.
        let never = move |_: &HandlerCtx| {
            let wait = || loop {
                std::thread::park();
            };
            if !deferred {
                wait();
            }
            std::future::ready(NotifAction::defer(async move { wait() }))
        };
        for limit in [300, 301] {
            let handlers: Handlers = vec![(number(Sysno::sync), Box::new(never))];
            let outcome = handled(within(limit, policy()), sh("sync & sync"), handlers);
            assert_eq!(outcome.end, End::TimedOut(Duration::from_millis(limit)));
        }
        let handlers: Handlers = vec![(number(Sysno::sync), Box::new(never))];
        exited(&handled(policy(), sh("sync & sleep 0.1; exit 4"), handlers), 4);
    }
}
