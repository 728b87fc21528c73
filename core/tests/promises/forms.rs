//! The ways to run a sandbox, and to give a run up.

use std::io::Read;
use std::time::{Duration, Instant};

use assize_core::outcome::End;
use assize_core::policy::Isolation;
use assize_core::prober::Script;
use assize_core::syscall::Sysno;
use assize_core::trace::Exit;
use assize_core::{Handler, HandlerCtx, NotifAction, Sandbox};

use crate::support::*;

const HELLO: &str = "echo out; echo err >&2; exit 7";

fn hello() -> Sandbox {
    Sandbox::new(policy(), sh(HELLO))
}

fn greeted(outcome: &assize_core::Outcome) {
    exited(outcome, 7);
    assert_eq!((outcome.stdout.as_slice(), outcome.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
}

#[test]
fn it_runs_on_a_runtime_of_one_thread() {
    greeted(&block_on(hello().run()).unwrap());
}

#[test]
fn it_runs_on_a_runtime_without_any_driver() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    greeted(&runtime.block_on(hello().run()).unwrap());
}

#[test]
fn it_runs_on_a_runtime_of_many_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(async { tokio::spawn(hello().run()).await.unwrap() });
    greeted(&outcome.unwrap());
}

#[test]
fn it_runs_without_a_runtime() {
    greeted(&hello().run_blocking().unwrap());
}

#[test]
fn it_blocks_a_runtime_that_is_blocked() {
    block_on(async { greeted(&hello().run_blocking().unwrap()) });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        tokio::spawn(async { greeted(&hello().run_blocking().unwrap()) }).await.unwrap();
    });
}

#[test]
fn it_runs_within_a_handler_of_another_run() {
    let handler = |_: &HandlerCtx| async {
        let outcome = hello().run().await.unwrap();
        NotifAction::ReturnValue(outcome.stdout.len() as i64)
    };
    let mut script = Script::default();
    call(&mut script, Sysno::getppid, &[]);
    let handlers: Handlers = vec![(number(Sysno::getppid), Box::new(handler))];
    assert_eq!(probe(bare(), script, handlers).result(0), 4);
}

#[test]
fn many_run_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let runs: Vec<_> = (0..64_i64)
            .map(|nth| {
                tokio::spawn(async move {
                    let handler =
                        move |_: &HandlerCtx| std::future::ready(NotifAction::Errno(nth as i32 + 200));
                    let mut policy = policy();
                    policy.seed = Some(nth.cast_unsigned());
                    policy.observe.processes = nth % 2 == 0;
                    let script = "import os\n\
                                  try: os.fsync(1)\n\
                                  except OSError as error: print(error.errno)";
                    let sandbox = Sandbox::new(policy, python(script));
                    sandbox.run_with_handlers([(number(Sysno::fsync), handler)]).await
                })
            })
            .collect();
        for (nth, run) in runs.into_iter().enumerate() {
            let outcome = run.await.unwrap().unwrap();
            exited(&outcome, 0);
            assert_eq!(stdout(&outcome), format!("{}\n", nth + 200));
        }
    });
}

#[test]
fn dropping_the_future_kills_the_guests() {
    for isolation in [Isolation::Auto, Isolation::Off] {
        let marker = marker("dropped");
        let mut policy = policy();
        policy.isolation = isolation;
        let command = sh("sleep 60 & (setsid sleep 61 &) ; sleep 62; :").args([&marker]);
        block_on(async {
            let mut run = Box::pin(Sandbox::new(policy, command).run());
            loop {
                tokio::select! {
                    outcome = &mut run => panic!("it ended: {outcome:?}"),
                    () = tokio::time::sleep(Duration::from_millis(10)) => {}
                }
                if !processes_with(&marker).is_empty() {
                    break;
                }
            }
        });
        assert!(gone_within(&marker, Duration::from_secs(5)), "{isolation:?}");
    }
}

#[test]
fn a_future_that_is_dropped_at_once_leaves_nobody() {
    let marker = marker("unborn");
    for _ in 0..20 {
        block_on(async {
            let run = Sandbox::new(policy(), sh("sleep 60; :").args([&marker])).run();
            let _ = tokio::time::timeout(Duration::from_micros(500), run).await;
        });
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(gone_within(&marker, Duration::from_secs(5)));
}

#[test]
fn a_sandbox_that_is_never_awaited_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = policy();
    policy.fs.write.push(folder.path().into());
    drop(Sandbox::new(policy, sh("touch started").cwd(folder.path())).run());
    std::thread::sleep(Duration::from_millis(100));
    assert!(!folder.path().join("started").exists());
}

/// Runs one of the `child_` tests below as a process of its own.
fn child(name: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads", "1"]);
    command
}

#[test]
#[ignore = "a part of run_interactive_uses_the_callers_own_descriptors"]
fn child_interactive() {
    let outcome = Sandbox::new(policy(), sh(HELLO)).run_interactive_blocking().unwrap();
    exited(&outcome, 7);
    assert!(outcome.stdout.is_empty() && outcome.stderr.is_empty());
    // In the caller's own process group, which no handler may kill.
    let handler = |cx: &HandlerCtx| {
        let pgid = group_of(cx.notif.pid);
        assert_eq!(pgid, group_of(std::process::id()));
        std::future::ready(NotifAction::Kill { sig: libc::SIGKILL, pgid })
    };
    let mut command = sh("read line; echo in $line; sync; echo survived");
    command.stdin = assize_core::Stdin::Inherit;
    let handlers = [(number(Sysno::sync), handler)];
    let sandbox = Sandbox::new(policy(), command);
    let outcome = block_on(sandbox.run_interactive_with_handlers(handlers)).unwrap();
    exited(&outcome, 0);
    exited(&block_on(hello().run_interactive()).unwrap(), 7);
}

#[test]
fn run_interactive_uses_the_callers_own_descriptors() {
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    let mut child = child("forms::child_interactive")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"line\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("out\nin line\nsurvived\nout\n"), "{text}");
    assert!(errors.contains("err\n"), "{errors}");
}

#[test]
#[ignore = "a part of a_supervisor_may_belong_to_a_session_and_a_group_that_it_cannot_see"]
fn child_of_another_session() {
    assert_eq!(group_of(std::process::id()), 0, "this is to run in a pid namespace of its own");
    let mut policy = policy();
    policy.fs.write.push("/dev".into());
    policy.fs.deny.push("/etc/shadow".into());
    let (outcome, _) = traced(policy, sh("cat /dev/tty || echo none"), Vec::new());
    assert_eq!(stdout(&outcome), "none\n");
    let kill = |cx: &HandlerCtx| {
        std::future::ready(NotifAction::Kill { sig: libc::SIGTERM, pgid: group_of(cx.notif.pid) })
    };
    let outcome =
        handled(self::policy(), sh("sync; echo not reached"), vec![(number(Sysno::sync), Box::new(kill))]);
    assert_eq!(outcome.end, End::Exit(Exit::Signal(libc::SIGTERM)));
}

#[test]
fn a_supervisor_may_belong_to_a_session_and_a_group_that_it_cannot_see() {
    // As under a container's init, or a CI runner's: the kernel numbers both 0.
    let child = child("forms::child_of_another_session");
    let mut apart = std::process::Command::new("unshare");
    apart.args(["--user", "--map-current-user", "--pid", "--mount-proc", "--fork"]);
    let output = apart.arg(child.get_program()).args(child.get_args()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "a part of a_supervisor_that_is_killed_takes_its_guests_with_it"]
fn child_to_be_killed() {
    let Ok(marker) = std::env::var("ASSIZE_TEST_MARKER") else { return };
    let mut policy = policy();
    policy.isolation =
        if std::env::var("ASSIZE_TEST_OFF").is_ok() { Isolation::Off } else { Isolation::Require };
    policy.own_proc = std::env::var("ASSIZE_TEST_OWN_PROC").is_ok();
    // What follows guests ties their lives to the supervisor's too.
    policy.observe.processes = policy.isolation == Isolation::Off;
    policy.limits.timeout = Some(Duration::from_secs(60));
    let script = "import os, sys, time\n\
                  for _ in range(2):\n\
                  \x20   if os.fork() == 0:\n\
                  \x20       os.setsid()\n\
                  \x20       if os.fork() == 0: time.sleep(60)\n\
                  \x20       os._exit(0)\n\
                  os.write(1, b'ready\\n')\n\
                  time.sleep(60)";
    let mut command = python(script).args([&marker]);
    command.stdin = assize_core::Stdin::Inherit;
    let _ = Sandbox::new(policy, command).run_interactive_blocking();
}

/// A process that does not outlive a test, although the test fails.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may be gone, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_supervisor_that_is_killed_takes_its_guests_with_it() {
    for variant in ["ASSIZE_TEST_PLAIN", "ASSIZE_TEST_OFF", "ASSIZE_TEST_OWN_PROC"] {
        let marker = marker("orphans");
        let mut child = child("forms::child_to_be_killed");
        child.env("ASSIZE_TEST_MARKER", &marker).env(variant, "1").stdout(std::process::Stdio::piped());
        let mut child = Killed(child.spawn().unwrap());
        let child = &mut child.0;
        let mut text = Vec::new();
        let mut from = child.stdout.take().unwrap();
        while !text.ends_with(b"ready\n") {
            let mut byte = [0];
            assert_eq!(from.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&text));
            text.push(byte[0]);
        }
        // The command and its two daemons; their parents may still be on their way out.
        let since = Instant::now();
        while processes_with(&marker).len() != 3 {
            assert!(since.elapsed() < Duration::from_secs(10), "{:?}", processes_with(&marker));
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(gone_within(&marker, Duration::from_secs(5)), "{variant}");
    }
}

#[test]
fn the_end_is_told_as_it_was() {
    let signal = |signal| End::Exit(Exit::Signal(signal));
    let code = |code| End::Exit(Exit::Code(code));
    for isolation in [Isolation::Auto, Isolation::Off] {
        for (script, end) in [
            ("exit 0", code(0)),
            ("exit 1", code(1)),
            ("exit 255", code(255)),
            ("kill -KILL $$", signal(libc::SIGKILL)),
            ("kill -TERM $$", signal(libc::SIGTERM)),
            ("kill -SEGV $$", signal(libc::SIGSEGV)),
            ("kill -PIPE $$", signal(libc::SIGPIPE)),
            ("(exit 9) & wait $!", code(9)),
            ("(kill -KILL $$)", signal(libc::SIGKILL)),
        ] {
            let mut policy = policy();
            policy.isolation = isolation;
            let outcome = Sandbox::new(policy, sh(script)).run_blocking().unwrap();
            assert_eq!(outcome.end, end, "{script}, {isolation:?}");
        }
    }
}

#[test]
fn the_time_is_from_the_start_of_the_command_to_its_end() {
    let since = Instant::now();
    let outcome = Sandbox::new(policy(), sh("sleep 0.2")).run_blocking().unwrap();
    assert!(outcome.took >= Duration::from_millis(200) && outcome.took <= since.elapsed());
}

#[test]
fn handlers_of_one_type_need_no_box() {
    fn refuse(_: &HandlerCtx) -> std::future::Ready<NotifAction> {
        std::future::ready(NotifAction::Errno(libc::EXDEV))
    }
    let handlers = [libc::SYS_sync, libc::SYS_fsync].map(|call| (call, refuse));
    let outcome = block_on(hello().run_with_handlers(handlers)).unwrap();
    greeted(&outcome);
    let none: Vec<(i64, Box<dyn Handler>)> = Vec::new();
    greeted(&block_on(hello().run_with_handlers(none)).unwrap());
}
