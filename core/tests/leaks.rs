//! Runs leave nothing behind in the process that made them. A process of its own: it counts all that it has.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use assize_core::policy::Isolation;
use assize_core::{Command, HandlerCtx, NotifAction, Policy, RunError, Sandbox};

fn policy(nth: u32) -> Policy {
    let mut policy = Policy::default();
    for path in ["/usr", "/bin", "/lib", "/lib64", "/etc"] {
        if std::path::Path::new(path).exists() {
            policy.fs.read.push(path.into());
        }
    }
    policy.fs.read.push("/dev/urandom".into());
    policy.limits.timeout = Some(Duration::from_secs(20));
    policy.isolation = if nth.is_multiple_of(3) { Isolation::Off } else { Isolation::Auto };
    policy.observe.processes = nth.is_multiple_of(2);
    policy.seed = (nth.is_multiple_of(4)).then_some(1);
    policy
}

fn one(nth: u32) {
    let fifo = tempfile::tempdir().unwrap();
    let folder = fifo.path();
    let handler = |_: &HandlerCtx| {
        std::future::ready(NotifAction::defer(async { NotifAction::inject_bytes(b"x").unwrap() }))
    };
    let command = match nth % 5 {
        0 => Command::new("/no/such/program"),
        1 => Command::new("/bin/sh").args(["-c", "sleep 60 & sync; exit 0"]),
        // A FIFO that nobody opens: its reader is killed with the run, or alone.
        4 if nth.is_multiple_of(2) => Command::new("/bin/sh")
            .args(["-c", "mkfifo f; (read x < f) & (timeout -s KILL 0.02 cat f); exit 0"])
            .cwd(folder),
        2 => Command::new("/bin/sh").args(["-c", "head -c 3 /dev/urandom; exit 0"]),
        _ => Command::new("/bin/sh").args(["-c", "sync; exit 0"]),
    };
    let mut policy = policy(nth);
    policy.fs.write.push(folder.into());
    policy.fs.write.push("/dev/null".into());
    policy.observe.denials = nth.is_multiple_of(2);
    let sandbox = Sandbox::new(policy, command);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let run = sandbox.run_with_handlers([(libc::SYS_sync, handler)]);
        if nth.is_multiple_of(7) {
            // Given up in the middle.
            let _ = tokio::time::timeout(Duration::from_millis(2), run).await;
            return;
        }
        match run.await {
            Ok(_) => assert_ne!(nth % 5, 0),
            Err(RunError::Launch(_)) => assert_eq!(nth % 5, 0),
            Err(other) => panic!("{other}"),
        }
    });
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// The threads that belong to runs: those of the shared runtime stay for a while.
fn threads() -> Vec<String> {
    let names = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name != "assize-runtime").collect()
}

fn settled(what: impl Fn() -> bool) -> bool {
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        what()
    })
}

#[test]
fn two_hundred_runs_leave_no_descriptor_no_thread_and_no_child() {
    for nth in 0..20 {
        one(nth);
    }
    std::thread::sleep(Duration::from_millis(500));
    let (descriptors, before) = (count("/proc/self/fd"), threads());
    for nth in 0..200 {
        one(nth);
    }
    assert!(
        settled(|| threads().len() <= before.len()),
        "threads before: {before:?}, after: {:?}",
        threads()
    );
    let list = || -> Vec<_> {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
            .collect()
    };
    assert!(settled(|| count("/proc/self/fd") <= descriptors), "before: {descriptors}, after: {:?}", list());
    let children = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
        lists.collect::<String>()
    };
    assert!(settled(|| children().trim().is_empty()), "children: {}", children());
}
