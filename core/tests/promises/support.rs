//! What the tests share: policies, guests, and a way to run them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assize_core::outcome::End;
use assize_core::prober::{self, Script, Value};
use assize_core::syscall::Sysno;
use assize_core::trace::{Body, Event, Exit, Memory, Verdict};
use assize_core::{Command, Handler, HandlerCtx, NotifAction, Outcome, Policy, RunError, Sandbox, Syscall};

pub(crate) type Handlers = Vec<(i64, Box<dyn Handler>)>;

/// May read and execute the system's programs, and gives up after twenty seconds.
pub(crate) fn policy() -> Policy {
    let mut policy = bare();
    for path in ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc"] {
        if Path::new(path).exists() {
            policy.fs.read.push(path.into());
        }
    }
    policy.fs.write.push("/dev/null".into());
    policy.env.insert("LC_ALL".into(), "C.UTF-8".into());
    policy
}

/// May read no file at all: enough for a script of the prober.
pub(crate) fn bare() -> Policy {
    let mut policy = Policy::default();
    policy.limits.timeout = Some(Duration::from_secs(20));
    policy
}

pub(crate) fn within(millis: u64, mut policy: Policy) -> Policy {
    policy.limits.timeout = Some(Duration::from_millis(millis));
    policy
}

pub(crate) fn sh(script: &str) -> Command {
    Command::new("/bin/sh").args(["-c", script])
}

pub(crate) fn python(script: &str) -> Command {
    Command::new("/usr/bin/python3").args(["-I", "-S", "-c", script])
}

/// Waits for a future on a runtime of one thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn handled(policy: Policy, command: Command, handlers: Handlers) -> Outcome {
    block_on(Sandbox::new(policy, command).run_with_handlers(handlers)).unwrap()
}

/// As [`handled`], with the events.
pub(crate) fn traced(policy: Policy, command: Command, handlers: Handlers) -> (Outcome, Vec<Event>) {
    let (result, events) = traced_result(policy, command, handlers);
    (result.unwrap(), events)
}

pub(crate) fn traced_result(
    policy: Policy,
    command: Command,
    handlers: Handlers,
) -> (Result<Outcome, RunError>, Vec<Event>) {
    let memory = Memory::default();
    let sandbox = Sandbox::new(policy, command).trace(memory.clone());
    let result = block_on(sandbox.run_with_handlers(handlers));
    (result, memory.drain())
}

/// A handler that always gives the same kind of answer.
pub(crate) fn always(answer: impl Fn() -> NotifAction + Send + Sync + 'static) -> Box<dyn Handler> {
    Box::new(move |_: &HandlerCtx| std::future::ready(answer()))
}

pub(crate) fn number(call: Sysno) -> i64 {
    i64::from(call.id())
}

/// A script's end and its results.
pub(crate) struct Probed {
    pub(crate) outcome: Outcome,
    pub(crate) results: Vec<Option<i64>>,
    pub(crate) run: prober::Run,
    pub(crate) events: Vec<Event>,
}

impl Probed {
    /// What the call at this place returned.
    pub(crate) fn result(&self, place: usize) -> i64 {
        self.results[place].unwrap_or_else(|| panic!("call {place} never returned: {:?}", self.outcome))
    }
}

pub(crate) fn probe(policy: Policy, script: Script, handlers: Handlers) -> Probed {
    let (command, run) = script.build().unwrap();
    let (outcome, events) = traced(policy, command, handlers);
    Probed { results: run.results().unwrap(), outcome, run, events }
}

/// Adds a call with numbers, data and results as arguments, and zeros after them.
pub(crate) fn call(script: &mut Script, call: Sysno, args: &[Value]) -> usize {
    let mut all = [Value::Number(0); 6];
    all[..args.len()].copy_from_slice(args);
    script.call(Syscall::of(call), all)
}

/// A number as an argument.
pub(crate) fn n(value: i64) -> Value {
    Value::Number(value.cast_unsigned())
}

pub(crate) fn exited(outcome: &Outcome, code: u8) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        outcome.end,
        End::Exit(Exit::Code(code)),
        "{:?}\nstdout: {}\nstderr: {}",
        outcome.why.as_ref().map(ToString::to_string),
        text(&outcome.stdout),
        text(&outcome.stderr)
    );
}

pub(crate) fn stdout(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

pub(crate) fn verdicts(events: &[Event]) -> Vec<&Verdict> {
    events
        .iter()
        .filter_map(|event| match &event.body {
            Body::Verdict(verdict) => Some(&**verdict),
            _ => None,
        })
        .collect()
}

pub(crate) fn notes(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match &event.body {
            Body::Note { text } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// What handlers have seen, for a test to look at.
#[derive(Clone)]
pub(crate) struct Seen<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Seen<T> {
    pub(crate) fn push(&self, value: T) {
        self.0.lock().unwrap().push(value);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}

/// The processes whose command line contains `marker`.
pub(crate) fn processes_with(marker: &str) -> Vec<u32> {
    let own = std::process::id();
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != own && line.windows(marker.len()).any(|window| window == marker.as_bytes())
    })
    .collect()
}

/// Waits at most `time` until no process has `marker` in its command line.
pub(crate) fn gone_within(marker: &str, time: Duration) -> bool {
    let since = std::time::Instant::now();
    loop {
        let left = processes_with(marker);
        if left.is_empty() {
            return true;
        }
        if since.elapsed() > time {
            eprintln!("still there: {left:?}");
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A text that no other process has in its command line.
pub(crate) fn marker(name: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("assize-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The process group of a process: 0 where its leader is out of this process's sight, as when a container's init
/// started these tests.
pub(crate) fn group_of(pid: u32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(2).unwrap().parse().unwrap()
}
