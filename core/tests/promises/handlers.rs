//! Who may be a handler, who is asked first, and what becomes of one that misbehaves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use assize_core::handler::HandlerFuture;
use assize_core::plan::PlanError;
use assize_core::prober::{Script, Value};
use assize_core::syscall::{Sysno, family};
use assize_core::trace::{Action, Origin};
use assize_core::{
    Errno, Handler, HandlerCtx, HandlerError, NotifAction, RunError, Sandbox, Syscall, SyscallError,
};

use crate::support::*;

fn one_call(sysno: Sysno) -> Script {
    let mut script = Script::default();
    call(&mut script, sysno, &[]);
    script
}

/// A handler with a state of its own.
struct Counting {
    count: AtomicUsize,
}

impl Handler for Counting {
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a> {
        Box::pin(async move {
            assert_eq!(cx.notif.data.nr, Sysno::getppid as i32);
            tokio::task::yield_now().await;
            let before = self.count.fetch_add(1, Ordering::Relaxed);
            NotifAction::ReturnValue(1000 + before as i64)
        })
    }
}

#[test]
fn a_struct_a_box_an_arc_and_a_closure_are_handlers() {
    let getppid = number(Sysno::getppid);
    let run = |handler: Box<dyn Handler>| probe(bare(), one_call(Sysno::getppid), vec![(getppid, handler)]);

    let counting = || Counting { count: AtomicUsize::new(0) };
    assert_eq!(run(Box::new(counting())).result(0), 1000);
    let boxed: Box<dyn Handler> = Box::new(counting());
    assert_eq!(run(Box::new(boxed)).result(0), 1000);
    let shared: Arc<dyn Handler> = Arc::new(counting());
    assert_eq!(run(Box::new(Arc::clone(&shared))).result(0), 1000);
    assert_eq!(run(Box::new(shared)).result(0), 1001, "the state is shared");
    let closure = |cx: &HandlerCtx| {
        let nr = cx.notif.data.nr;
        async move { NotifAction::ReturnValue(i64::from(nr)) }
    };
    assert_eq!(run(Box::new(closure)).result(0), getppid);

    // Without a box, as an array of one type.
    let (command, made) = one_call(Sysno::getppid).build().unwrap();
    let sandbox = Sandbox::new(bare(), command);
    let outcome = block_on(sandbox.run_with_handlers([(libc::SYS_getppid, closure)])).unwrap();
    exited(&outcome, 0);
    assert_eq!(made.results().unwrap(), [Some(getppid)]);
}

#[test]
fn a_handler_sees_the_call() {
    let seen = Seen::default();
    let handler = {
        let seen = seen.clone();
        move |cx: &HandlerCtx| {
            seen.push((cx.notif.data, cx.notif.pid));
            std::future::ready(NotifAction::Continue)
        }
    };
    let mut script = Script::default();
    let args = [1, 2, 3, 4, 5, u64::MAX];
    script.call(Syscall::of(Sysno::getppid), args.map(Value::Number));
    probe(bare(), script, vec![(number(Sysno::getppid), Box::new(handler) as Box<dyn Handler>)]);
    let (data, pid) = seen.all()[0];
    assert_eq!((data.nr, data.args), (110, args));
    assert_eq!(data.arch, 0xc000_003e, "AUDIT_ARCH_X86_64");
    assert!(pid > 1 && data.instruction_pointer > 0);
}

#[test]
fn the_first_answer_that_is_not_continue_wins() {
    let seen = Seen::default();
    let handler = |name: u32, answer: Option<i64>| -> Box<dyn Handler> {
        let seen = seen.clone();
        always(move || {
            seen.push(name);
            answer.map_or(NotifAction::Continue, NotifAction::ReturnValue)
        })
    };
    let getppid = number(Sysno::getppid);
    let handlers = vec![
        (getppid, handler(0, None)),
        (number(Sysno::getuid), handler(1, Some(1))),
        (getppid, handler(2, None)),
        (getppid, handler(3, Some(33))),
        (getppid, handler(4, Some(44))),
    ];
    let probed = probe(bare(), one_call(Sysno::getppid), handlers);
    assert_eq!(probed.result(0), 33);
    assert_eq!(seen.all(), [0, 2, 3]);
    assert_eq!(verdicts(&probed.events)[0].by, Origin::Handler(3));
}

/// Looks at the call as its verdict shows it, and answers by a name of its own.
struct Called;

impl Handler for Called {
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a> {
        let (call, args) = cx.args().unwrap();
        assert_eq!((call.name(), args.to_string().as_str()), ("mkdir", "\"/x/y\", 0o700"));
        Box::pin(std::future::ready(NotifAction::after(Duration::from_millis(1), NotifAction::Errno(5))))
    }

    fn name(&self) -> Option<std::borrow::Cow<'static, str>> {
        Some("called".into())
    }
}

#[test]
fn a_handler_with_a_name_is_called_by_it() {
    let mut script = Script::default();
    let path = script.bytes(b"/x/y\0");
    call(&mut script, Sysno::mkdir, &[Value::Data(path), n(0o700)]);
    let boxed: Box<dyn Handler> = Box::new(Called);
    let probed = probe(bare(), script, vec![(number(Sysno::mkdir), Box::new(boxed) as Box<dyn Handler>)]);
    assert_eq!(probed.result(0), -5);
    let verdicts = verdicts(&probed.events);
    let said: Vec<_> = verdicts.iter().map(|verdict| (verdict.action, verdict.by.to_string())).collect();
    let called = || "called".to_owned();
    assert_eq!(said, [(Action::Defer, called()), (Action::Deny(Errno::EIO), called())]);
}

#[test]
fn builtin_rules_answer_before_handlers() {
    let asked = Seen::<u32>::default();
    let handler = || {
        let asked = asked.clone();
        always(move || {
            asked.push(1);
            NotifAction::ReturnValue(-1)
        })
    };
    let mut policy = bare();
    policy.seed = Some(7);
    policy.hostname = Some("box".into());
    let mut script = Script::default();
    let buffer = script.buffer(512);
    call(&mut script, Sysno::getrandom, &[Value::Data(buffer), n(8), n(0)]);
    call(&mut script, Sysno::uname, &[Value::Data(buffer)]);
    // A denial that depends on an argument comes first too.
    call(&mut script, Sysno::ioctl, &[n(0), n(libc::TIOCSTI as i64), Value::Data(buffer)]);
    call(&mut script, Sysno::ioctl, &[n(0), n(libc::TIOCGWINSZ as i64), Value::Data(buffer)]);
    let calls = [Sysno::getrandom, Sysno::uname, Sysno::ioctl];
    let probed = probe(policy, script, calls.map(|call| (number(call), handler())).into());
    assert_eq!(probed.result(0), 8);
    assert_eq!(probed.result(1), 0);
    assert_eq!(probed.result(2), -1);
    assert_eq!(asked.all(), [1], "only for the last call");
    assert_eq!(probed.result(3), -1);
}

#[test]
fn a_handler_on_a_denied_call_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("started");
    for observed in [false, true] {
        let refused = |call: Sysno, policy: assize_core::Policy| {
            let mut policy = policy;
            policy.observe.denials = observed;
            policy.fs.write.push(folder.path().into());
            let script = format!("echo > {}", trace.display());
            let (result, _) =
                traced_result(policy, sh(&script), vec![(number(call), always(|| NotifAction::Continue))]);
            match result {
                Err(RunError::Handler(HandlerError::OnDenySyscall { syscall, by })) => {
                    assert_eq!(syscall, Syscall::of(call));
                    by
                }
                other => panic!("{call}, observed: {observed}: {other:?}"),
            }
        };
        for sysno in [Sysno::ptrace, Sysno::bpf, Sysno::mount, Sysno::io_uring_setup, Sysno::clone3] {
            assert!(refused(sysno, policy()).starts_with("guard"));
        }
        let mut denying = policy();
        denying.syscalls.deny = BTreeSet::from([Syscall::of(Sysno::socket), Syscall::of(Sysno::execve)]);
        for sysno in [Sysno::socket, Sysno::execve] {
            let by = refused(sysno, denying.clone());
            assert!(by.contains("policy"), "{by}");
        }
        assert!(!trace.exists(), "the command was started");
        // Allowed by name, it may have one.
        let mut allowing = bare();
        allowing.syscalls.allow.insert(Syscall::of(Sysno::kcmp));
        allowing.observe.denials = observed;
        let handlers = vec![(number(Sysno::kcmp), always(|| NotifAction::ReturnValue(9)))];
        assert_eq!(probe(allowing, one_call(Sysno::kcmp), handlers).result(0), 9);
    }
}

#[test]
fn what_is_no_syscall_is_refused() {
    let refused = |number: i64| {
        let (result, _) =
            traced_result(policy(), sh("exit 0"), vec![(number, always(|| NotifAction::Continue))]);
        match result {
            Err(RunError::Handler(HandlerError::InvalidSyscall(error))) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(-1), SyscallError::Negative(-1));
    assert_eq!(refused(i64::MIN), SyscallError::Negative(i64::MIN));
    assert_eq!(refused(99_999), SyscallError::UnknownForArch(99_999));
    assert_eq!(refused(i64::MAX), SyscallError::UnknownForArch(i64::MAX));
    // A hole in the table, and the x32 numbers.
    assert_eq!(refused(400), SyscallError::UnknownForArch(400));
    assert_eq!(refused(0x4000_0000), SyscallError::UnknownForArch(0x4000_0000));
}

#[test]
fn a_panic_fails_that_call_and_no_other() {
    let calls = AtomicUsize::new(0);
    let handler = move |_: &HandlerCtx| {
        let nth = calls.fetch_add(1, Ordering::Relaxed);
        async move {
            assert!(nth != 1, "on purpose");
            NotifAction::ReturnValue(nth as i64)
        }
    };
    let mut script = Script::default();
    for _ in 0..3 {
        call(&mut script, Sysno::getppid, &[]);
    }
    let after = always(|| NotifAction::ReturnValue(99));
    let getppid = number(Sysno::getppid);
    let probed = probe(bare(), script, vec![(getppid, Box::new(handler)), (getppid, after)]);
    assert_eq!(probed.results, [Some(0), Some(-i64::from(libc::EIO)), Some(2)]);
    let notes = notes(&probed.events);
    assert!(notes.iter().any(|note| note.contains("handler 0 panicked on getppid")), "{notes:?}");
    let verdict = verdicts(&probed.events)[1];
    assert_eq!(verdict.action, Action::Deny(Errno::EIO));
    assert!(matches!(verdict.by, Origin::Supervisor(_)));
}

#[test]
fn a_panic_before_there_is_a_future_is_the_same() {
    let handler = |cx: &HandlerCtx| {
        assert!(cx.notif.data.nr < 0, "on purpose");
        std::future::ready(NotifAction::Continue)
    };
    let handlers: Handlers = vec![(number(Sysno::getppid), Box::new(handler))];
    let probed = probe(bare(), one_call(Sysno::getppid), handlers);
    assert_eq!(probed.result(0), -i64::from(libc::EIO));
}

/// A guest whose second process draws random bytes and opens files while its first waits for a handler.
fn others_meanwhile(handlers: Handlers) {
    let mut policy = policy();
    policy.seed = Some(1);
    policy.observe.denials = true;
    let script = "import os, time\n\
                  pid = os.fork()\n\
                  if pid == 0:\n\
                  \x20   try: os.fsync(1)\n\
                  \x20   except OSError: pass\n\
                  \x20   os._exit(0)\n\
                  time.sleep(0.2)\n\
                  for _ in range(20):\n\
                  \x20   os.getrandom(16)\n\
                  \x20   os.close(os.open('/etc/passwd', os.O_RDONLY))\n\
                  with open('/dev/urandom', 'rb') as device: device.read(8)\n\
                  print(os.waitpid(pid, os.WNOHANG)[0] == 0)\n\
                  os.waitpid(pid, 0)";
    policy.fs.read.push("/dev/urandom".into());
    let outcome = handled(policy, python(script), handlers);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "True\n", "the other was not answered before the slow one");
}

#[test]
fn a_handler_that_blocks_its_thread_delays_nobody_else() {
    let handler = |_: &HandlerCtx| {
        std::thread::sleep(Duration::from_millis(3000));
        std::future::ready(NotifAction::Continue)
    };
    others_meanwhile(vec![(number(Sysno::fsync), Box::new(handler))]);
}

#[test]
fn a_deferred_answer_that_blocks_its_thread_delays_nobody_else() {
    let handler = always(|| {
        NotifAction::defer(async {
            std::thread::sleep(Duration::from_millis(3000));
            NotifAction::Continue
        })
    });
    others_meanwhile(vec![(number(Sysno::fsync), handler)]);
}

#[test]
fn many_handlers_that_block_delay_nobody_else() {
    // More than the runtime has threads for its own work.
    let handler = always(|| {
        NotifAction::defer(async {
            std::thread::sleep(Duration::from_millis(3000));
            NotifAction::Errno(libc::EXDEV)
        })
    });
    let mut policy = policy();
    policy.seed = Some(1);
    let script = "import os, threading, time\n\
                  def call():\n\
                  \x20   try: os.fsync(1)\n\
                  \x20   except OSError: pass\n\
                  threads = [threading.Thread(target=call) for _ in range(16)]\n\
                  [thread.start() for thread in threads]\n\
                  time.sleep(0.3)\n\
                  os.getrandom(16)\n\
                  with open('/dev/urandom', 'rb', 0) as device: device.read(8)\n\
                  print(all(thread.is_alive() for thread in threads))\n\
                  [thread.join() for thread in threads]";
    policy.fs.read.push("/dev/urandom".into());
    let outcome = handled(policy, python(script), vec![(number(Sysno::fsync), handler)]);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "True\n", "the others were not answered before the slow ones");
}

#[test]
fn a_fifo_that_nobody_writes_to_delays_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = policy();
    policy.seed = Some(1);
    policy.observe.denials = true;
    policy.fs.write.push(folder.path().into());
    let script = "mkfifo fifo; (read line < fifo; echo got $line) & sleep 0.1; \
                  cat /etc/hostname > /dev/null; echo others; echo text > fifo; wait";
    // Within the policy's time.
    let outcome = handled(policy, sh(script).cwd(folder.path()), vec![]);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "others\ngot text\n");
}

#[test]
fn a_fifo_that_is_never_opened_ends_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = within(400, policy());
    policy.observe.denials = true;
    policy.fs.write.push(folder.path().into());
    let since = Instant::now();
    let outcome = handled(policy, sh("mkfifo fifo; read line < fifo").cwd(folder.path()), vec![]);
    assert!(matches!(outcome.end, assize_core::outcome::End::TimedOut(_)));
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
}

#[test]
fn a_handler_on_every_call_changes_nothing() {
    let denied: BTreeSet<Syscall> = Syscall::all()
        .filter(|call| {
            let handlers = vec![(i64::from(call.number()), always(|| NotifAction::Continue))];
            let (command, _) = Script::default().build().unwrap();
            let sandbox = Sandbox::new(bare(), command);
            // Whether it is refused shows before anything is awaited.
            let mut run = Box::pin(sandbox.run_with_handlers(handlers));
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            matches!(
                Future::poll(run.as_mut(), &mut cx),
                std::task::Poll::Ready(Err(RunError::Handler(HandlerError::OnDenySyscall { .. })
                    | RunError::Plan(PlanError::Unfiltered(_))))
            )
        })
        .collect();
    assert!(family::PTRACE.syscalls().all(|call| denied.contains(&call)));
    let handlers: Handlers = Syscall::all()
        .filter(|call| !denied.contains(call))
        .map(|call| (i64::from(call.number()), always(|| NotifAction::Continue)))
        .collect();
    let count = handlers.len();
    let script = "import os, subprocess, threading\n\
                  thread = threading.Thread(target=lambda: print('thread'))\n\
                  thread.start(); thread.join()\n\
                  print(subprocess.run(['/bin/sh', '-c', 'echo child; exit 3'], stdout=subprocess.PIPE))";
    let outcome = handled(policy(), python(script), handlers);
    exited(&outcome, 0);
    assert_eq!(
        stdout(&outcome),
        "thread\nCompletedProcess(args=['/bin/sh', '-c', 'echo child; exit 3'], returncode=3, stdout=b'child\\n')\n",
    );
    assert!(count > 250, "{count}");
}
