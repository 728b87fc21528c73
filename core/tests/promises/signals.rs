//! Signals to guests that are in the midst of calls which the supervisor answers: each call has one result, and its
//! effect once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use assize_core::syscall::Sysno;
use assize_core::{HandlerCtx, NotifAction, Policy};

use crate::support::*;

/// Raw calls, which no library makes again, in a storm of signals; says how each ended.
///
/// The first argument says where the signals come from, the second whether calls are to be restarted. Every operation
/// can tell a call that was made twice, or not at all, from one that was made once.
const STORM: &str = r#"
import ctypes, mmap, os, signal, sys
source, restart = sys.argv[1], sys.argv[2] == 'restart'
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
TURNS = int(sys.argv[3])
eintr = {}
progress = mmap.mmap(-1, 4096)
OVER = 1

def call(name, number, *args):
    progress[0] = (progress[0] + 1) % 256
    while True:
        result = libc.syscall(ctypes.c_long(number), *args)
        if result >= 0: return result
        errno = ctypes.get_errno()
        if errno != 4: return -errno
        eintr[name] = eintr.get(name, 0) + 1

class Action(ctypes.Structure):
    _fields_ = [('handler', ctypes.c_void_p), ('mask', ctypes.c_ulong * 16), ('flags', ctypes.c_int),
                ('restorer', ctypes.c_void_p)]

class Stack(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t)]

SA_RESTART, SA_ONSTACK = 0x10000000, 0x08000000
storm = {'timer': signal.SIGALRM, 'sibling': signal.SIGUSR1, 'urgent': signal.SIGURG}.get(source)
came = [0]
def note(*_): came[0] += 1
if storm:
    # As Go's runtime does it: on a stack of its own.
    memory = ctypes.create_string_buffer(1 << 16)
    stack = Stack(ctypes.addressof(memory), 0, 1 << 16)
    assert libc.sigaltstack(ctypes.byref(stack), None) == 0
    signal.signal(storm, note)
    action = Action()
    libc.sigaction(int(storm), None, ctypes.byref(action))
    action.flags |= SA_ONSTACK
    action.flags = action.flags | SA_RESTART if restart else action.flags & ~SA_RESTART
    assert libc.sigaction(int(storm), ctypes.byref(action), None) == 0
if source == 'timer':
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
elif source != 'quiet':
    me = os.getpid()
    sender = os.fork()
    if sender == 0:
        libc.prctl(1, 9)
        turn = 0
        while not progress[OVER]:
            if source == 'stop':
                os.kill(me, signal.SIGSTOP)
                os.kill(me, signal.SIGCONT)
                # Who is stopped again before he ran gets nowhere.
                seen = progress[0]
                while progress[0] == seen and not progress[OVER]: os.sched_yield()
                turn += 1
                for _ in range(turn * 7919 % 3000): pass
            else:
                # tgkill, as to one thread of several. On a busy machine the one who is hit must get on, too.
                libc.syscall(234, me, me, int(storm))
                for _ in range(300): pass
        os._exit(0)

buffer = ctypes.create_string_buffer(16)
drawn = b''
wrong = []
for turn in range(TURNS):
    # Each draw moves the stream on.
    if call('getrandom', 318, buffer, 16, 0) != 16: wrong.append('getrandom')
    drawn += buffer.raw
    # A file that is made twice exists the second time.
    name = f'{turn % 7}'.encode()
    fd = call('open', 257, -100, name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    if fd < 3: wrong.append(f'open: {fd}')
    elif os.write(fd, name) != 1: wrong.append('write')
    os.close(fd)
    # And one that is renamed or removed twice is not there.
    for what, number, *args in (('rename', 82, name, b'other'), ('unlink', 87, b'other')):
        result = call(what, number, *args)
        if result: wrong.append(f'{what}: {result}')
    # A handler's own count, at once and deferred.
    for what, number, at in (('handler', 110, turn), ('deferred', 111, turn)):
        result = call(what, number)
        if result != at: wrong.append(f'{what}: {result} and not {at}')
if source == 'timer': signal.setitimer(signal.ITIMER_REAL, 0)
elif source != 'quiet':
    # Killed between a stop and its continuation, the sender would leave us stopped for good.
    progress[OVER] = 1
    os.waitpid(sender, 0)
print(drawn.hex())
print(wrong)
print(sorted(eintr))
print(came[0] > 0)
"#;

/// How often each operation is done in a storm.
const TURNS: i64 = 100;

struct Storm {
    drawn: String,
    wrong: String,
    interrupted: String,
    came: bool,
    asked: [i64; 2],
}

fn storm(source: &str, restart: &str, change: impl Fn(&mut Policy)) -> Storm {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = policy();
    policy.limits.timeout = Some(Duration::from_secs(120));
    policy.seed = Some(5);
    policy.fs.write.push(folder.path().into());
    policy.fs.deny.push("/etc/shadow".into());
    change(&mut policy);
    let counts = [Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0))];
    let [at_once, later] = counts.clone();
    let at_once = always(move || NotifAction::ReturnValue(at_once.fetch_add(1, Ordering::SeqCst)));
    let later = Box::new(move |_: &HandlerCtx| {
        let value = later.fetch_add(1, Ordering::SeqCst);
        std::future::ready(NotifAction::defer(async move {
            tokio::task::yield_now().await;
            NotifAction::ReturnValue(value)
        }))
    });
    let handlers: Handlers = vec![(number(Sysno::getppid), at_once), (number(Sysno::getpgrp), later)];
    let command = python(STORM).args([source, restart, &TURNS.to_string()]).cwd(folder.path());
    let outcome = handled(policy, command, handlers);
    exited(&outcome, 0);
    let text = stdout(&outcome);
    let mut lines = text.lines().map(str::to_owned);
    let mut line = || lines.next().unwrap();
    Storm {
        drawn: line(),
        wrong: line(),
        interrupted: line(),
        came: line() == "True",
        asked: counts.map(|count| count.load(Ordering::SeqCst)),
    }
}

fn whole(storm: &Storm, quiet: &Storm, what: &str) {
    assert_eq!(storm.wrong, "[]", "{what}");
    assert_eq!(storm.drawn, quiet.drawn, "{what}: each draw once, and whole");
    assert_eq!(storm.asked, [TURNS, TURNS], "{what}: each handler asked once for a call");
}

#[test]
fn a_storm_of_signals_makes_no_call_twice_and_none_half() {
    let quiet = storm("quiet", "-", |_| {});
    whole(&quiet, &quiet, "quiet");
    for source in ["timer", "sibling", "urgent"] {
        let restarted = storm(source, "restart", |_| {});
        whole(&restarted, &quiet, source);
        assert_eq!(restarted.interrupted, "[]", "{source}: calls that are to be restarted are");
        let interrupted = storm(source, "interrupt", |_| {});
        // A signal that comes before the supervisor has seen the call comes before the call, where that waits for nothing:
        // with a seed guests are followed. A call of which nothing is known may give EINTR, and then nothing has happened.
        whole(&interrupted, &quiet, source);
        let by = &interrupted.interrupted;
        assert!(["[]", "['deferred']"].contains(&&**by), "{source}: EINTR of {by}");
        assert!(restarted.came && interrupted.came, "there was no storm from {source}");
    }
}

#[test]
fn a_guest_that_is_stopped_and_continued_notices_nothing() {
    let quiet = storm("quiet", "-", |_| {});
    for followed in [false, true] {
        let stopped = storm("stop", "-", |policy| policy.observe.processes = followed);
        whole(&stopped, &quiet, "stopped");
        assert_eq!(stopped.interrupted, "[]");
    }
}
