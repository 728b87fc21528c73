//! Guests that are killed at every stage of a call: nobody hangs, nobody gets another's answer, and the supervisor keeps
//! nothing of theirs. A process of its own: it counts its descriptors.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use assize_core::outcome::End;
use assize_core::policy::Isolation;
use assize_core::trace::Exit;
use assize_core::{Command, HandlerCtx, NotifAction, Outcome, Policy, Sandbox};

/// Children make calls of every kind without end, and are killed at random, most of them in the midst of one. Each
/// checks that what it gets is the answer to what it asked, and says before each call which it will make.
const KILLED: &str = r#"
import ctypes, mmap, os, random, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
stage = mmap.mmap(-1, 4096)
killed = [0] * 8
wrong = open('wrong', 'wb', buffering=0)
def child(seed):
    draw = random.Random(seed)
    while True:
        at = draw.randrange(1, 6)
        name = b'%d' % draw.randrange(8)
        stage[0] = at
        if at < 3:
            # The handlers give back what they are asked, the second of them later.
            asked = draw.randrange(1 << 20)
            result = libc.syscall(145 + at, asked)
            if result != asked: wrong.write(b'asked %d, got %d of %d\n' % (asked, result, at))
        elif at == 3:
            fd = libc.syscall(257, -100, name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            if fd < 3 or os.write(fd, name) != 1: wrong.write(b'open gave %d\n' % fd)
            else: os.close(fd)
        elif at == 4:
            for _ in range(5): libc.syscall(82, name, b'%d' % draw.randrange(8))
        else:
            # So fast that one alone would hardly ever be hit.
            for _ in range(30):
                if len(os.getrandom(16)) != 16: wrong.write(b'getrandom\n')
draw = random.Random(int(sys.argv[1]))
for nth in range(int(sys.argv[2])):
    stage[0] = 0
    pid = os.fork()
    if pid == 0:
        try: child(nth)
        finally: os._exit(1)
    # It must have begun; then busy, not asleep: a sleep ends where the clock ticks.
    while stage[0] == 0: os.sched_yield()
    for _ in range(draw.randrange(20000)): pass
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    killed[stage[0]] += 1
    if status != 9: wrong.write(b'status %d\n' % status)
    # Whoever comes after is answered as ever.
    if libc.syscall(146, nth) != nth: wrong.write(b'parent\n')
print(os.path.getsize('wrong'), *killed)
"#;

fn policy(folder: &std::path::Path, nth: u32) -> Policy {
    let mut policy = Policy::default();
    for path in ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc"] {
        if std::path::Path::new(path).exists() {
            policy.fs.read.push(path.into());
        }
    }
    policy.fs.write.push(folder.into());
    policy.limits.timeout = Some(Duration::from_secs(120));
    policy.seed = nth.is_multiple_of(2).then_some(1);
    policy.observe.denials = nth.is_multiple_of(2);
    policy.fs.deny = if nth < 2 { vec!["/etc/shadow".into()] } else { Vec::new() };
    policy.isolation = if nth == 3 { Isolation::Off } else { Isolation::Auto };
    policy
}

fn run(nth: u32, count: u32) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    // What is asked stands in the register; the second handler takes its time.
    let at_once = |cx: &HandlerCtx| {
        let asked = cx.notif.data.args[0] as i64;
        std::future::ready(NotifAction::ReturnValue(asked))
    };
    let later = |cx: &HandlerCtx| {
        let asked = cx.notif.data.args[0] as i64;
        std::future::ready(NotifAction::defer(async move {
            tokio::task::yield_now().await;
            NotifAction::ReturnValue(asked)
        }))
    };
    let command = Command::new("/usr/bin/python3")
        .args(["-I", "-S", "-c", KILLED, &nth.to_string(), &count.to_string()])
        .cwd(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handlers: Vec<(i64, Box<dyn assize_core::Handler>)> = vec![
        (libc::SYS_sched_get_priority_max, Box::new(at_once)),
        (libc::SYS_sched_get_priority_min, Box::new(later)),
    ];
    let outcome = runtime
        .block_on(Sandbox::new(policy(folder.path(), nth), command).run_with_handlers(handlers))
        .unwrap();
    let wrong = std::fs::read_to_string(folder.path().join("wrong")).unwrap();
    assert!(
        wrong.is_empty(),
        "run {nth}: {} lines: {}",
        wrong.lines().count(),
        &wrong[..wrong.len().min(500)]
    );
    outcome
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn two_thousand_guests_that_are_killed_disturb_nobody() {
    run(0, 5);
    let before = descriptors();
    let mut at = [0; 5];
    for nth in 0..4 {
        let outcome = run(nth, 500);
        assert_eq!(outcome.end, End::Exit(Exit::Code(0)), "{}", String::from_utf8_lossy(&outcome.stderr));
        let text = String::from_utf8(outcome.stdout).unwrap();
        let counts: Vec<u32> = text.split_whitespace().map(|count| count.parse().unwrap()).collect();
        for (kind, count) in counts[2..].iter().enumerate().take(5) {
            at[kind] += count;
        }
    }
    // Two handlers, an open, a rename, a draw.
    assert!(at.iter().all(|count| *count > 0), "killed in each kind of call: {at:?}");
    println!("killed in each kind of call: {at:?}");
    let settled = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        descriptors() <= before
    });
    assert!(settled, "{before} descriptors before, {} after", descriptors());
}
