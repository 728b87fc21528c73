//! Scenarios run by a stand-in for the sandbox.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use assize_core::command::Program;
use assize_core::outcome::{Control, ControlState, End};
use assize_core::trace::{Action as Answer, Grounds, Origin};
use assize_core::trace::{Arg, Args, Body, Exit, Memory, Place, Sink};

use super::*;
use crate::matcher::sample::{denied, events, verdict};

/// Stands in for the sandbox.
struct Fake<F>(F);

impl<F: Fn(&Policy, &Path, &mut Memory) -> Outcome + Send + Sync> Engine for Fake<F> {
    fn run(
        &self,
        policy: Policy,
        command: Command,
        handlers: Handlers,
        mut log: Memory,
    ) -> Result<Outcome, RunError> {
        assert!(handlers.is_empty());
        assert!(matches!(command.program, Program::Path(_)));
        Ok(self.0(&policy, command.cwd.as_deref().unwrap(), &mut log))
    }
}

fn ended(code: u8, stdout: &str) -> Outcome {
    Outcome {
        end: End::Exit(Exit::Code(code)),
        why: None,
        stdout: stdout.into(),
        stderr: Vec::new(),
        report: Report::default(),
        took: Duration::ZERO,
        peak: None,
    }
}

fn scenario(yaml: &str) -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.yaml");
    fs::write(&file, yaml).unwrap();
    let mut all = crate::scenario::load(folder.path(), &file).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Runs it; the folder holds what was kept.
fn judged(
    yaml: &str,
    fake: impl Fn(&Policy, &Path, &mut Memory) -> Outcome + Send + Sync,
) -> (Ran, tempfile::TempDir) {
    let kept = tempfile::tempdir().unwrap();
    let ran = run(&scenario(yaml), &Fake(fake), &Keep::beneath(kept.path().to_owned())).unwrap();
    (ran, kept)
}

#[test]
fn a_run_has_a_fresh_folder_which_is_gone_afterwards() {
    let yaml = "files: { in/a: text, b: { text: x, mode: 0600 } }\nrun: [x]\nexpect: { files: { out: made, in/a: text, gone: absent } }\n";
    let seen = Mutex::new(Vec::new());
    let (ran, kept) = judged(yaml, |policy, work, _| {
        assert_eq!(fs::read(work.join("in/a")).unwrap(), b"text");
        assert_eq!(fs::metadata(work.join("b")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(policy.limits.timeout, Some(DEFAULT_TIMEOUT));
        fs::write(work.join("out"), "made").unwrap();
        // What a guest locks must not stay behind.
        fs::create_dir_all(work.join("locked/deep")).unwrap();
        fs::set_permissions(work.join("locked"), fs::Permissions::from_mode(0o000)).unwrap();
        seen.lock().unwrap().push(work.to_owned());
        ended(0, "")
    });
    assert!(ran.findings.is_empty(), "{:#?}", ran.findings);
    assert!(!seen.lock().unwrap()[0].exists());
    assert_eq!((ran.kept, fs::read_dir(kept.path()).unwrap().count()), (None, 0), "a pass keeps nothing");
}

#[test]
fn what_is_put_into_a_copy_follows_no_link_of_it() {
    let (beside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(beside.path().join("copied")).unwrap();
    symlink(outside.path(), beside.path().join("copied/folder")).unwrap();
    symlink(outside.path().join("x"), beside.path().join("copied/file")).unwrap();
    let made = |inner: &str| {
        let yaml = format!("files: {{ a: {{ from: copied }}, a/{inner}: text }}\nrun: [x]\n");
        let file = beside.path().join("x.yaml");
        fs::write(&file, yaml).unwrap();
        let scenario = crate::scenario::load(beside.path(), &file).unwrap().remove(0);
        let kept = Keep::beneath(beside.path().join("kept"));
        run(&scenario, &Fake(|_: &Policy, _: &Path, _: &mut Memory| ended(0, "")), &kept)
    };
    let error = made("folder/x").unwrap_err();
    assert!(error.to_string().contains("a/folder is no folder"), "{error}");
    assert!(made("file").unwrap().findings.is_empty());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn changes_are_those_of_the_run() {
    let yaml = "files: { a: x, b: x, c/d: x, e: x }\nrun: [x]\nexpect:\n  changes:\n    \
                added: { new/deep/f: y }\n    modified: [a]\n    deleted: [c/d]\n";
    let (ran, _) = judged(yaml, |_, work, _| {
        fs::create_dir_all(work.join("new/deep")).unwrap();
        fs::write(work.join("new/deep/f"), "y").unwrap();
        fs::write(work.join("a"), "z").unwrap();
        // The same as before is no change.
        fs::write(work.join("b"), "x").unwrap();
        fs::remove_dir_all(work.join("c")).unwrap();
        ended(0, "")
    });
    assert!(ran.findings.is_empty(), "{:#?}", ran.findings);
    let (ran, _) = judged(yaml, |_, work, _| {
        fs::create_dir_all(work.join("new/other")).unwrap();
        fs::set_permissions(work.join("e"), fs::Permissions::from_mode(0o600)).unwrap();
        ended(0, "")
    });
    let titles: Vec<&str> = ran.findings.iter().map(|finding| finding.title.as_str()).collect();
    let missing = ["new/deep/f was not added", "a was not modified", "c/d was not deleted"];
    assert_eq!(titles[..3], missing);
    assert_eq!(
        ran.findings[3].notes[..3],
        [
            "added: new, a folder, mode 0755",
            "added: new/other, a folder, mode 0755",
            "modified: e, 1 bytes, mode 0600"
        ]
    );
}

#[test]
fn a_failed_run_keeps_its_artefacts() {
    let (ran, kept) = judged("run: [x]\nexpect: { stdout: a }\n", |_, work, log| {
        fs::write(work.join("out"), "made").unwrap();
        events(vec![denied("/etc/passwd")]).iter().for_each(|event| assert!(log.take(event)));
        ended(0, "b")
    });
    assert_eq!(ran.findings.len(), 1);
    let folder = ran.kept.unwrap();
    assert_eq!(folder, kept.path().join("x"));
    assert_eq!(fs::read(folder.join("stdout")).unwrap(), b"b");
    assert_eq!(fs::read(folder.join("work/out")).unwrap(), b"made");
    assert!(fs::read_to_string(folder.join("verdicts.jsonl")).unwrap().contains("/etc/passwd"));
}

#[test]
fn a_link_out_of_the_work_folder_is_not_followed() {
    let (ran, _kept) = judged(
        "run: [x]\nexpect: { files: { out/passwd: present, link: { contains: root } } }\n",
        |_, work, _| {
            symlink("/etc", work.join("out")).unwrap();
            symlink("/etc/passwd", work.join("link")).unwrap();
            ended(0, "")
        },
    );
    let titles: Vec<_> = ran.findings.iter().map(|finding| finding.title.as_str()).collect();
    assert_eq!(
        titles,
        ["link is a symbolic link", "out/passwd can't be looked at: its folder leads out of the work folder"]
    );
}

#[test]
fn an_unexpected_end_is_run_once_more_to_name_the_denial() {
    let (ran, _kept) = judged("run: [x]\n", |policy, _, log| {
        if policy.observe.denials {
            events(vec![denied("/srv/data")]).iter().for_each(|event| assert!(log.take(event)));
        }
        ended(1, "")
    });
    let notes = ran.findings[0].notes.join("\n");
    assert!(notes.contains("denied meanwhile") && notes.contains("read: [$SYSTEM, /srv/data]"), "{notes}");
    assert!(notes.contains("seen in a second run"), "{notes}");
}

#[test]
fn nothing_is_run_again_without_need_or_with_a_trace() {
    let runs = |yaml: &str, end: End, denies: bool| {
        let count = AtomicUsize::new(0);
        let (ran, _kept) = judged(yaml, |_, _, log| {
            count.fetch_add(1, Ordering::Relaxed);
            if denies {
                events(vec![denied("/etc/passwd")]).iter().for_each(|event| assert!(log.take(event)));
            }
            Outcome { end, ..ended(1, "") }
        });
        let told =
            ran.findings.iter().flat_map(|finding| &finding.notes).any(|note| note.contains("second run"));
        let count = count.load(Ordering::Relaxed);
        assert_eq!(told, count == 2, "{:#?}", ran.findings);
        count
    };
    let (failed, late) = (End::Exit(Exit::Code(1)), End::TimedOut(Duration::from_secs(1)));
    assert_eq!(runs("run: [x]\n", failed, false), 2);
    assert_eq!(runs("run: [x]\n", late, false), 1);
    // The first run says enough.
    assert_eq!(runs("run: [x]\n", failed, true), 1);
    let granting = |what: &str| format!("policy: {{ fs: {{ write: [$WORK/a, {what}] }} }}\nrun: [x]\n");
    assert_eq!(runs(&granting("/dev/null"), failed, false), 2);
    assert_eq!(runs(&granting("/var"), failed, false), 1);
    assert_eq!(runs(&granting("$WORK/../x"), failed, false), 1);
    assert_eq!(runs("without: [fs]\nrun: [x]\n", failed, false), 1);
}

/// Runs of a guest that asks for something as many times as it pleases.
fn asked_more_and_more_often(grounds: Grounds, serial: bool) -> bool {
    let count = AtomicUsize::new(0);
    let (ran, _kept) = judged("run: [x]\nrepeat: 2\n", |_, _, log| {
        let times = 1 + count.fetch_add(1, Ordering::Relaxed);
        let mut ask = verdict("clock_gettime", Args(Vec::new()), Answer::Emulate(0), Origin::Kernel, 0);
        if let Body::Verdict(verdict) = &mut ask {
            verdict.grounds = grounds;
        }
        events(vec![ask; times]).iter().for_each(|event| assert!(log.take(event)));
        let mut outcome = ended(0, "");
        if serial {
            let state = ControlState::InForce(String::new());
            outcome.report.controls.push(Control::new("schedule", state));
        }
        outcome
    });
    ran.findings.is_empty()
}

#[test]
fn how_often_a_guest_looks_is_compared_where_that_is_not_the_schedulers_affair() {
    assert!(asked_more_and_more_often(Grounds::Time, false));
    assert!(!asked_more_and_more_often(Grounds::Time, true));
    assert!(asked_more_and_more_often(Grounds::Noted, false));
    assert!(asked_more_and_more_often(Grounds::Noted, true));
    assert!(!asked_more_and_more_often(Grounds::Emulated, false));
    assert!(!asked_more_and_more_often(Grounds::NotSecurity, false));
}

fn repeated(fake: impl Fn(usize) -> (Body, String) + Send + Sync) -> Ran {
    let count = AtomicUsize::new(0);
    let (ran, _kept) = judged("run: [x]\nrepeat: 3\n", |_, work, log| {
        let (body, stdout) = fake(count.fetch_add(1, Ordering::Relaxed));
        events(vec![denied("/a"), body]).iter().for_each(|event| assert!(log.take(event)));
        ended(0, &stdout.replace("WORK", work.to_str().unwrap()))
    });
    ran
}

#[test]
fn repeated_runs_differ_in_numbers_of_the_host_only() {
    let ran = repeated(|nth| {
        let address = 0x7000_0000_0000 + nth as u64 * 4096;
        let args = Args(vec![("addr", Arg::Pointer(address))]);
        let mut body = verdict("mmap", args, Answer::Allow, Origin::Kernel, address.cast_signed());
        if let Body::Verdict(verdict) = &mut body {
            verdict.pid = 100 + nth as u32;
        }
        (body, "in WORK".to_owned())
    });
    assert!(ran.findings.is_empty(), "{:#?}", ran.findings);
}

#[test]
fn the_first_event_that_differs_is_shown_of_both_runs() {
    let ran = repeated(|nth| (denied(if nth < 2 { "/b" } else { "/c" }), String::new()));
    let [finding] = ran.findings.as_slice() else { panic!("{:#?}", ran.findings) };
    assert_eq!(
        (finding.title.as_str(), finding.at.to_string().as_str()),
        ("the verdict log of run 3 differs from run 1 at event 2", "repeat")
    );
    assert!(finding.notes[0].contains("\"/b\"") && finding.notes[1].contains("\"/c\""), "{finding:#?}");
}

#[test]
fn a_named_file_outside_of_the_work_folder_is_compared_too() {
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("file");
    let yaml = format!("run: [x]\nrepeat: 2\nexpect: {{ files: {{ {}: present }} }}\n", file.display());
    let count = AtomicUsize::new(0);
    let (ran, _kept) = judged(&yaml, |_, _, _| {
        fs::write(&file, count.fetch_add(1, Ordering::Relaxed).to_string()).unwrap();
        ended(0, "")
    });
    let titles: Vec<_> = ran.findings.iter().map(|finding| finding.title.clone()).collect();
    assert_eq!(titles, [format!("{} of run 2 differs from run 1", file.display())]);
}

#[test]
fn outputs_that_differ_are_shown() {
    let ran = repeated(|nth| (denied("/b"), format!("run {nth}\n")));
    assert_eq!(ran.findings[0].title, "stdout of run 2 differs from run 1");
    assert!(ran.findings[0].notes[0].contains("-run 0\n+run 1"), "{:#?}", ran.findings);
}

/// What is said of runs that differ, of which the nth has events of these guests in this order, and these outputs.
fn parted(serial: bool, fake: impl Fn(usize) -> (Vec<u32>, &'static str) + Send + Sync) -> Vec<String> {
    let count = AtomicUsize::new(0);
    let (ran, _kept) = judged("run: [x]\nrepeat: 2\n", |_, work, log| {
        let nth = count.fetch_add(1, Ordering::Relaxed);
        let (guests, text) = fake(nth);
        // The first two are judged by what they left alone.
        let of = |nth: &u32| {
            let Body::Verdict(mut verdict) = denied(&format!("/{nth}")) else { unreachable!() };
            verdict.place = Some(Place::root().child(*nth));
            Body::Verdict(verdict)
        };
        let seen = if nth < 2 { Vec::new() } else { guests.iter().map(of).collect() };
        events(seen).iter().for_each(|event| assert!(log.take(event)));
        fs::write(work.join("out"), text).unwrap();
        let mut outcome = ended(0, "");
        if serial {
            let state = ControlState::InForce(String::new());
            outcome.report.controls.push(Control::new("schedule", state));
        }
        outcome
    });
    assert_eq!(ran.findings.len(), 1, "{:#?}", ran.findings);
    ran.findings[0].notes.clone()
}

#[test]
fn where_guests_came_in_another_order_that_is_said() {
    let said = |notes: &[String], words: &str| notes.iter().any(|note| note.contains(words));
    let order =
        |nth: usize| if nth.is_multiple_of(2) { (vec![1, 2], "a\nb\n") } else { (vec![2, 1], "b\na\n") };
    let notes = parted(true, order);
    assert!(said(&notes, "difference (- run 1, + run 2)"), "{notes:#?}");
    assert!(said(&notes, "the same lines in another order"), "{notes:#?}");
    assert!(said(&notes, "guests had their turns in another order from here on:\n1: #1 /0/1"), "{notes:#?}");
    // Where nothing orders guests, that says nothing.
    let notes = parted(false, order);
    assert!(said(&notes, "differ all the same") && !said(&notes, "in another order from here"), "{notes:#?}");
    // Nor is it said where only the outputs differ, or other lines.
    let notes = parted(true, |nth| (vec![1, 2], if nth.is_multiple_of(2) { "a\n" } else { "b\n" }));
    assert!(said(&notes, "differ all the same") && !said(&notes, "the same lines"), "{notes:#?}");
    // A difference that does not come back is no riddle of the calls.
    let notes = parted(true, |nth| (vec![1, 2], if nth == 1 { "a\n" } else { "b\n" }));
    assert!(said(&notes, "came out alike"), "{notes:#?}");
}
