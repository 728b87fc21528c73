//! What the trace says, and that it says all of it, in order.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use assize_core::trace::{Action, Body, Event, Exit, JsonLines, Known, Memory, Origin, Sink};
use assize_core::{Errno, NotifAction, Policy, RunError, Sandbox};

use crate::support::*;

fn observing() -> Policy {
    let mut policy = policy();
    policy.observe.processes = true;
    policy.observe.denials = true;
    policy
}

const FAMILY: &str = "import os\n\
    def child(work):\n\
    \x20   pid = os.fork()\n\
    \x20   if pid == 0: work(); os._exit(len(os.listdir('/usr')) > 0)\n\
    \x20   os.waitpid(pid, 0)\n\
    child(lambda: child(lambda: child(lambda: None)))\n\
    child(lambda: os.kill(os.getpid(), 15))\n\
    os.execv('/bin/sh', ['sh', '-c', '/bin/true; exit 4'])";

#[test]
fn places_are_given_in_order_of_creation_and_lives_are_complete() {
    for _ in 0..5 {
        let (outcome, events) = traced(observing(), python(FAMILY), vec![]);
        exited(&outcome, 4);
        assert_eq!(outcome.report.events_lost, 0);
        let mut lives: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in &events {
            let (place, what) = match &event.body {
                Body::Start { place, .. } => (place, "start".to_owned()),
                Body::Exec { place, exe, .. } => (place, exe.to_string()),
                Body::Exit { place, how, .. } => (place, how.unwrap().to_string()),
                Body::Verdict(verdict) => {
                    let place = verdict.place.as_ref().unwrap();
                    let life = &lives[&place.to_string()];
                    assert_ne!(life.last().unwrap(), "exit code 0", "a call after the end");
                    continue;
                }
                _ => continue,
            };
            lives.entry(place.to_string()).or_default().push(what);
        }
        let places: Vec<_> = lives.keys().map(String::as_str).collect();
        assert_eq!(places, ["/0", "/0/0", "/0/0/0", "/0/0/0/0", "/0/1", "/0/2"]);
        assert!(lives["/0"][1].contains("python"), "{:?}", lives["/0"]);
        assert!(lives["/0"][2].ends_with("sh"), "{:?}", lives["/0"]);
        assert_eq!(lives["/0"][3..], ["exit code 4"]);
        assert_eq!(lives["/0/0/0/0"], ["start", "exit code 1"]);
        assert_eq!(lives["/0/1"], ["start", "signal 15"]);
        assert_eq!(lives["/0/2"], ["start", "/usr/bin/true", "exit code 0"]);
    }
}

#[test]
fn a_thread_that_executes_a_program_keeps_its_processs_place() {
    let script = "import os, threading\n\
                  threading.Thread(target=lambda: os.execv('/bin/sh', ['sh', '-c', 'cat /no/such; exit 2'])).start()\n\
                  threading.Event().wait()";
    let (outcome, events) = traced(observing(), python(script), vec![]);
    exited(&outcome, 2);
    let last = verdicts(&events).into_iter().rfind(|verdict| verdict.place.is_some()).unwrap();
    assert_eq!(last.place.as_ref().unwrap().to_string(), "/0/0");
    let exits = events.iter().filter(|event| matches!(event.body, Body::Exit { .. })).count();
    assert_eq!(exits, 2);
}

#[test]
fn numbers_have_no_gaps_and_times_never_go_back() {
    let command = sh("for i in 1 2 3 4 5 6; do cat /etc/passwd /no/such > /dev/null & done; wait");
    let (_, events) = traced(observing(), command, vec![]);
    let numbers: Vec<_> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    assert!(events.is_sorted_by_key(|event| event.at));
    assert!(events.len() > 50);
}

/// The handler's own verdict comes before whatever its guest did with the answer.
#[test]
fn a_verdict_comes_before_what_its_guest_did_next() {
    let script = "import os\n\
                  for _ in range(100):\n\
                  \x20   try: os.fsync(1)\n\
                  \x20   except OSError: pass\n\
                  \x20   try: os.open('/no/such', 0)\n\
                  \x20   except OSError: pass";
    let fsync = libc::SYS_fsync;
    let handlers: Handlers = vec![(fsync, always(|| NotifAction::Errno(libc::EXDEV)))];
    let (outcome, events) = traced(observing(), python(script), handlers);
    exited(&outcome, 0);
    let names: Vec<_> = verdicts(&events)
        .iter()
        .filter(|verdict| {
            verdict.call.name() == "fsync" || verdict.args.paths().any(|path| path.as_bytes() == b"/no/such")
        })
        .map(|verdict| verdict.call.name())
        .collect();
    assert_eq!(names, ["fsync", "openat"].repeat(100));
    assert!(matches!(events.last().unwrap().body, Body::Exit { how: Some(Exit::Code(0)), .. }));
}

#[test]
fn a_performed_open_has_the_kernels_own_result() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("granted"), "x").unwrap();
    std::fs::write(folder.path().join("denied"), "x").unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("outside"), "x").unwrap();
    let mut policy = observing();
    policy.fs.read.push(folder.path().into());
    policy.fs.deny.push(folder.path().join("denied"));
    let script = format!(
        "import os, sys\n\
         for path in sys.argv[1:]:\n\
         \x20   try: print(os.open(path, os.O_RDONLY))\n\
         \x20   except OSError as error: print(-error.errno)\n\
         try: os.open('{}', os.O_WRONLY)\n\
         except OSError as error: print(-error.errno)",
        folder.path().join("granted").display()
    );
    let names = ["granted", "missing", "denied"].map(|name| folder.path().join(name));
    let command = python(&script).args(&names).args([outside.path().join("outside")]);
    let (outcome, events) = traced(policy, command, vec![]);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "3\n-2\n-13\n-13\n-13\n");
    let of = |name: &str| {
        let ends = |verdict: &&&assize_core::Verdict| {
            verdict.args.paths().any(|path| path.as_bytes().ends_with(name.as_bytes()))
        };
        let all = verdicts(&events);
        let found: Vec<_> = all.iter().filter(ends).map(|verdict| (*verdict).clone()).collect();
        found
    };
    let granted = of("granted");
    assert_eq!(
        (granted[0].action, granted[0].result, granted[0].known),
        (Action::Allow, Some(3), Known::Performed)
    );
    assert_eq!(granted[0].target.as_ref().unwrap().as_bytes(), names[0].as_os_str().as_encoded_bytes());
    // For writing it is not granted: that was Landlock.
    assert_eq!((granted[1].action, &granted[1].by), (Action::Deny(Errno::EACCES), &Origin::Landlock));
    let missing = &of("missing")[0];
    assert_eq!((missing.action, missing.result, &missing.by), (Action::Allow, Some(-2), &Origin::Kernel));
    let denied = &of("denied")[0];
    assert_eq!((denied.action, denied.result), (Action::Deny(Errno::EACCES), Some(-13)));
    assert!(matches!(&denied.by, Origin::Rule { capability, .. } if capability == "fs"), "{denied:?}");
    let outside = &of("outside")[0];
    assert_eq!((outside.action, &outside.by), (Action::Deny(Errno::EACCES), &Origin::Landlock));
}

#[test]
fn what_memory_cannot_hold_is_owned_up_to() {
    for limit in [0, 1, 5] {
        let memory = Memory::new(limit);
        let all = Memory::default();
        let sandbox = Sandbox::new(observing(), sh("cat /etc/passwd > /dev/null"))
            .trace(memory.clone())
            .trace(all.clone());
        let outcome = sandbox.run_blocking().unwrap();
        let (kept, all) = (memory.drain(), all.drain());
        let lost = (all.len() - limit) as u64;
        assert_eq!(outcome.report.events_lost, lost);
        assert_eq!(kept.len(), limit + 1);
        assert_eq!(kept[..limit], all[..limit]);
        // In the place of the first one that was lost.
        assert_eq!((kept[limit].seq, &kept[limit].body), (limit as u64 + 1, &Body::Dropped { count: lost }));
        // The other sink has lost nothing.
        assert!(all.iter().map(|event| event.seq).eq(1..=all.len() as u64));
    }
}

/// Takes every event but those whose number is a multiple of three, at the first offer.
struct Forgetful(Arc<Mutex<Vec<Event>>>);

impl Sink for Forgetful {
    fn take(&mut self, event: &Event) -> bool {
        let takes = matches!(event.body, Body::Dropped { .. }) || !event.seq.is_multiple_of(3);
        if takes {
            self.0.lock().unwrap().push(event.clone());
        }
        takes
    }
}

#[test]
fn a_loss_stands_where_it_happened() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sandbox =
        Sandbox::new(observing(), sh("cat /etc/passwd > /dev/null")).trace(Forgetful(Arc::clone(&events)));
    let outcome = sandbox.run_blocking().unwrap();
    let events = events.lock().unwrap();
    let lost = events.iter().filter(|event| matches!(event.body, Body::Dropped { count: 1 })).count();
    assert_eq!(lost as u64, outcome.report.events_lost);
    assert!(events.iter().map(|event| event.seq).eq(1..=events.len() as u64), "{events:?}");
}

/// A writer that several can look at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_line_of_json_is_an_event() {
    let (lines, memory) = (Shared::default(), Memory::default());
    let script = "import os\nfor name in [b'/tmp/\\xff', b'/tmp/\\n\"', '/tmp/\\u00fc'.encode()]:\n\
                  \x20   try: os.open(name, 0)\n\
                  \x20   except OSError: pass";
    let sandbox =
        Sandbox::new(observing(), python(script)).trace(JsonLines::new(lines.clone())).trace(memory.clone());
    sandbox.run_blocking().unwrap();
    let bytes = lines.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events = memory.drain();
    assert_eq!(lines.len(), events.len());
    for (line, event) in lines.iter().zip(&events) {
        assert_eq!(line["v"], assize_core::trace::SCHEMA_VERSION);
        assert_eq!(line["seq"], event.seq);
        assert_eq!(line["event"], serde_json::to_value(&event.body).unwrap());
        assert!(line["t"].is_f64());
    }
    let paths: Vec<_> =
        lines.iter().filter_map(|line| line["event"]["verdict"]["args"]["path"]["path"].as_str()).collect();
    for path in ["/tmp/\\xff", "/tmp/\\n\"", "/tmp/ü"] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
}

#[test]
fn a_writer_that_fails_loses_events_and_no_run() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(libc::ENOSPC))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let command = sh("for i in 1 2 3 4 5; do cat /etc/passwd > /dev/null; done; exit 3");
    let outcome = Sandbox::new(observing(), command).trace(JsonLines::new(Full)).run_blocking().unwrap();
    exited(&outcome, 3);
    assert!(outcome.report.events_lost > 0);
}

#[test]
fn a_sink_that_panics_fails_the_run() {
    struct Broken;
    impl Sink for Broken {
        fn take(&mut self, event: &Event) -> bool {
            assert!(!matches!(event.body, Body::Verdict(_)), "on purpose");
            true
        }
    }
    let marker = marker("broken");
    let sandbox =
        Sandbox::new(observing(), sh("sleep 60 & cat /etc/passwd; sleep 60").args([&marker])).trace(Broken);
    assert!(matches!(sandbox.run_blocking(), Err(RunError::Supervisor { .. })));
    assert!(processes_with(&marker).is_empty());
}

#[test]
fn a_run_that_is_not_followed_still_has_verdicts() {
    let mut policy = policy();
    policy.observe.calls.insert(assize_core::Syscall::named("getppid").unwrap());
    let (_, events) = traced(policy, python("import os; os.getppid()"), vec![]);
    let verdict = verdicts(&events)[0];
    assert_eq!((verdict.call.name(), verdict.action), ("getppid", Action::Allow));
    assert_eq!(verdict.place.as_ref().unwrap().to_string(), "/0");
}

#[test]
fn what_is_seen_in_passing_runs_in_the_kernel_and_says_so() {
    let calls = assize_core::syscall::family::OPEN.syscalls();
    let mut policy = policy();
    policy.observe.calls.extend(calls);
    policy.observe.in_passing = true;
    let opens = |policy: &Policy| {
        let (outcome, events) =
            traced(policy.clone(), sh("read line < /etc/passwd; echo $line > /dev/null"), vec![]);
        exited(&outcome, 0);
        let opens = verdicts(&events)
            .into_iter()
            .filter(|verdict| format!("{:?}", verdict.args).contains("/etc/passwd"));
        opens.map(|verdict| (verdict.action, verdict.result.is_some(), verdict.known)).collect::<Vec<_>>()
    };
    assert_eq!(opens(&policy), [(Action::Allow, false, Known::Unknown)]);
    // What a rule judges by its path is performed all the same.
    policy.fs.deny.push("/etc/shadow".into());
    assert_eq!(opens(&policy), [(Action::Allow, true, Known::Performed)]);
}
