//! Made-up observations, and what the matcher finds in them.
#![forbid(unsafe_code)]

use std::time::Duration;

use assize_core::outcome::{Control, ControlState, End};
use assize_core::trace::{Action, Arg, Args, Body, BytesText, Exit, Known, Origin};
use assize_core::{Errno, Syscall};

use super::sample::{allowed, denied, events, open, quiet, verdict};
use super::*;
use crate::attempt::{Answered, AttemptFinding, WantedVerdict};

fn expect(yaml: &str) -> Expectation {
    crate::scenario::expect::form::read(yaml).unwrap()
}

fn findings(yaml: &str, seen: &Observation) -> Vec<Finding> {
    judge(&expect(yaml), seen)
}

fn only(yaml: &str, seen: &Observation) -> Finding {
    let mut all = findings(yaml, seen);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn seeing(bodies: Vec<Body>) -> Observation {
    Observation { events: events(bodies), ..quiet() }
}

#[test]
fn without_expectation_a_run_must_exit_with_0() {
    assert!(findings("{}", &quiet()).is_empty());
    let mut seen = quiet();
    seen.end = End::Exit(Exit::Code(2));
    seen.stderr = b"cannot open /tmp/w1/x\n".to_vec();
    let finding = only("{}", &seen);
    assert_eq!(finding.title, "the command ended with exit code 2");
    assert_eq!(finding.at.to_string(), "expect.exit");
    assert!(finding.notes[0].contains("cannot open [WORK]/x"), "{finding:?}");
    assert!(findings("exit: [1, 2]", &seen).is_empty());
}

#[test]
fn a_timeout_is_never_any_end() {
    let seen = Observation { end: End::TimedOut(Duration::from_secs(1)), ..quiet() };
    assert!(only("exit: any", &seen).title.contains("killed by the time limit of 1s"));
    assert!(findings("exit: timeout", &seen).is_empty());
}

#[test]
fn an_end_that_nobody_expected_names_the_denial_behind_it() {
    let mut seen = seeing(vec![denied("/etc/passwd"), denied("/listed")]);
    seen.end = End::Exit(Exit::Code(1));
    let finding = only("verdicts: { sees: [{ call: openat, path: /listed }] }", &seen);
    let notes = finding.notes.join("\n");
    assert!(notes.contains("denied meanwhile: #1 openat(AT_FDCWD, \"/etc/passwd\""), "{notes}");
    assert!(
        notes.contains("policy: { fs: { read: [$SYSTEM, /etc/passwd], write: [$WORK] } }")
            && !notes.contains("#2"),
        "{notes}"
    );
}

#[test]
fn texts_are_compared_with_elision_and_redaction() {
    let seen = Observation { stdout: b"rows: 1\ntook 12 ms\nin /tmp/w1/x\n".to_vec(), ..quiet() };
    assert!(findings("stdout: |\n  rows: 1\n  took [..] ms\n  in [WORK]/x\n", &seen).is_empty());
    assert!(findings("stdout: \"rows: 1\\n...\"", &seen).is_empty());
    let finding = only("stdout: |\n  rows: 2\n  took [..] ms\n  in [WORK]/x\n", &seen);
    assert_eq!(finding.at.to_string(), "expect.stdout");
    assert!(finding.notes[0].contains("-rows: 2\n+rows: 1\n took [..] ms"), "{finding:?}");
}

#[test]
fn every_test_of_a_text_can_pass_and_fail() {
    let seen = Observation { stdout: b"alpha\nbeta\n".to_vec(), ..quiet() };
    for (good, bad, at) in [
        ("{ equals: \"alpha\\nbeta\\n\" }", "{ equals: \"alpha\\n[..]\\n\" }", "equals"),
        ("{ contains: pha }", "{ contains: phi }", "contains"),
        ("{ matches: '^beta$' }", "{ matches: '^eta' }", "matches"),
        ("{ glob: 'alpha*beta' }", "{ glob: 'alpha' }", "glob"),
        ("{ lines: { unordered: [be[..], alpha] } }", "{ lines: { unordered: [alpha] } }", "lines.unordered"),
        ("{ not: { contains: phi } }", "{ not: { contains: pha } }", "not"),
        ("{ any-of: [x, { contains: a }] }", "{ any-of: [x, y] }", "any-of"),
        (
            "{ all-of: [{ contains: a }, { contains: b }] }",
            "{ all-of: [{ contains: a }, { contains: z }] }",
            "all-of[1].contains",
        ),
        ("{ empty: false }", "{ empty: true }", "empty"),
    ] {
        let (good, bad) = (format!("stdout: {good}"), format!("stdout: {bad}"));
        // `[..]` in a YAML list of plain words would be a list: the pattern is quoted where it matters.
        let good = good.replace("be[..]", "'be[..]'");
        assert!(findings(&good, &seen).is_empty(), "{good}");
        assert_eq!(only(&bad, &seen).at.to_string(), format!("expect.stdout.{at}"), "{bad}");
    }
}

#[test]
fn files_are_judged_by_presence_content_and_mode() {
    let mut seen = quiet();
    let file = FileSeen::File { bytes: b"total: 3\n".to_vec(), mode: 0o644 };
    seen.files.insert("out".into(), file);
    seen.files.insert("dir".into(), FileSeen::Other { kind: "a folder".into(), mode: 0o755 });
    seen.files.insert("gone".into(), FileSeen::Absent);
    seen.files.insert("locked".into(), FileSeen::Unreadable("EACCES".into()));
    assert!(
        findings("files: { out: { matches: 'total: \\d', mode: 0644 }, dir: present, gone: absent }", &seen)
            .is_empty()
    );
    for (yaml, title, at) in [
        ("{ out: absent }", "out is there", "expect.files.out"),
        ("{ gone: present }", "gone is not there", "expect.files.gone"),
        ("{ gone: text }", "gone is not there", "expect.files.gone"),
        ("{ dir: text }", "dir is a folder", "expect.files.dir"),
        ("{ locked: text }", "locked can't be looked at: EACCES", "expect.files.locked"),
        ("{ out: { mode: 0600 } }", "the mode of out is 0644", "expect.files.out.mode"),
        ("{ out: 'total: 4' }", "out is not what was expected", "expect.files.out"),
    ] {
        let finding = only(&format!("files: {yaml}"), &seen);
        assert_eq!((finding.title.as_str(), finding.at.to_string().as_str()), (title, at));
    }
}

#[test]
fn a_pattern_that_nothing_matches_shows_the_nearest() {
    let seen = seeing(vec![denied("/etc/passwd"), allowed("/etc/shadow"), allowed("/x")]);
    let finding = only("verdicts: { sees: [{ call: openat, path: /etc/shadow, verdict: deny }] }", &seen);
    assert_eq!(finding.at.to_string(), "expect.verdicts.sees[0]");
    let notes = finding.notes.join("\n");
    assert!(
        notes.contains("nearest: #2") && notes.contains("differs in `verdict`: deny is wanted"),
        "{notes}"
    );

    let finding = only("verdicts: { sees: [{ call: connect }] }", &seen);
    assert!(finding.notes[0].contains("connect was never called"), "{finding:?}");
    let finding = only("verdicts: { sees: [{ call: connect }] }", &quiet());
    assert_eq!(finding.notes, ["no verdict was seen at all"]);
}

#[test]
fn a_pattern_that_wants_an_open_says_what_would_allow_it() {
    let seen = seeing(vec![denied("/tmp/w1/x")]);
    let finding = only("verdicts: { sees: [{ call: openat, path: $WORK/x, verdict: allow }] }", &seen);
    assert!(finding.notes.iter().any(|note| note.contains("fs: { read: [$SYSTEM, $WORK], ")), "{finding:?}");
}

#[test]
fn every_key_of_a_pattern_tells_verdicts_apart() {
    let mut body = open(
        "conf/x",
        "O_WRONLY|O_CREAT",
        Action::Deny(Errno::EROFS),
        Origin::Rule { capability: "fs".into(), rule: "no".into() },
    );
    if let Body::Verdict(verdict) = &mut body {
        verdict.target = Some(BytesText(b"/tmp/w1/conf/x".to_vec()));
    }
    let to = Args(vec![("sockfd", Arg::Fd(3)), ("addr", Arg::Address("10.1.2.3:443".into()))]);
    let seen = seeing(vec![body, verdict("connect", to, Action::Allow, Origin::Handler(0), 0)]);
    for (good, bad) in [
        ("call: openat", "call: open"),
        ("path: conf/*", "path: conf"),
        ("path: $WORK/conf/x", "path: $WORK/x"),
        ("to: 10.0.0.0/8", "to: 11.0.0.0/8"),
        ("flags: O_CREAT", "flags: O_EXCL"),
        ("args: { dirfd: -100, flags: O_WRONLY* }", "args: { dirfd: 3 }"),
        ("args: { path: conf/x }", "args: { path: conf }"),
        ("verdict: deny", "verdict: kill"),
        ("errno: EROFS", "errno: EACCES"),
        ("by: fs", "by: landlock"),
        ("by: handler", "by: kernel"),
        ("pid: /0", "pid: /0/1"),
        ("exe: '*/python3'", "exe: /bin/sh"),
        ("result: -EROFS", "result: EPERM"),
        ("result: '>= 0'", "result: '> 0'"),
        ("known: performed", "known: predicted"),
        ("times: 2", "times: 3"),
        ("times: 1..2", "times: '> 2'"),
    ] {
        let yaml = |key: &str| format!("verdicts: {{ sees: [{{ {key} }}] }}");
        assert!(findings(&yaml(good), &seen).is_empty(), "{good}: {:#?}", findings(&yaml(good), &seen));
        assert_eq!(findings(&yaml(bad), &seen).len(), 1, "{bad}");
    }
}

#[test]
fn order_is_kept() {
    let seen = seeing(vec![allowed("/b"), allowed("/a"), allowed("/c")]);
    let yaml = |paths: [&str; 2]| {
        format!(
            "verdicts: {{ order: [{{ call: openat, path: {} }}, {{ call: openat, path: {} }}] }}",
            paths[0], paths[1]
        )
    };
    assert!(findings(&yaml(["/a", "/c"]), &seen).is_empty());
    assert_eq!(findings(&yaml(["/a", "/a"]), &seen).len(), 1, "one verdict does not stand for two");
    let finding = only(&yaml(["/a", "/b"]), &seen);
    assert_eq!(
        (finding.at.to_string().as_str(), finding.label.as_str()),
        ("expect.verdicts.order[1]", "seen, but earlier")
    );
    assert!(finding.notes.iter().any(|note| note.contains("seen before that: #1")), "{finding:?}");
}

#[test]
fn never_shows_what_was_seen() {
    let seen = seeing(vec![allowed("/a"), allowed("/a"), allowed("/a"), allowed("/a")]);
    let finding = only("verdicts: { never: [{ call: openat, path: /a }] }", &seen);
    assert_eq!(finding.at.to_string(), "expect.verdicts.never[0]");
    assert_eq!(finding.notes.len(), 4);
    assert!(findings("verdicts: { never: [{ call: openat, path: /b }] }", &seen).is_empty());
}

#[test]
fn exhaustive_lists_what_no_pattern_lists() {
    let seen =
        seeing(vec![denied("/etc/passwd"), denied("/etc/passwd"), denied("/etc/shadow"), allowed("/x")]);
    let sees = "sees: [{ call: openat, path: /etc/shadow, verdict: deny }]";
    let finding = only(&format!("verdicts: {{ {sees}, exhaustive: deny }}"), &seen);
    assert_eq!(
        finding.title,
        "openat(\"/etc/passwd\") was denied (EACCES), and `exhaustive: deny` does not list it"
    );
    assert_eq!(finding.at.to_string(), "expect.verdicts.sees");
    assert!(finding.notes.iter().any(|note| note == "and 1 more like it"), "{finding:?}");
    let related = finding.related.unwrap();
    assert_eq!(
        (related.at.to_string().as_str(), related.says.as_str()),
        ("expect.verdicts.sees[0]", "differs in `path`")
    );
    assert_eq!(findings(&format!("verdicts: {{ {sees}, exhaustive: all }}"), &seen).len(), 2);
    assert_eq!(
        only("verdicts: { exhaustive: deny }", &seeing(vec![denied("/a")])).at.to_string(),
        "expect.verdicts.exhaustive"
    );
}

#[test]
fn a_log_with_gaps_proves_nothing() {
    let seen = seeing(vec![allowed("/a"), Body::Dropped { count: 2 }]);
    assert!(only("verdicts: { never: [{ call: connect }] }", &seen).title.starts_with("2 events were lost"));
    assert!(findings("{}", &seen).is_empty());
}

#[test]
fn attempts_need_their_verdicts_too() {
    let openat = Syscall::named("openat").unwrap();
    let wanted = |nth| WantedVerdict {
        call: openat,
        actions: &["deny"],
        path: YamlPath::from(["attempt"]).index(nth).key("expect"),
    };
    let mut seen = seeing(vec![denied("/a"), allowed("/b")]);
    seen.wanted = vec![wanted(0)];
    assert!(findings("{}", &seen).is_empty());
    seen.wanted.push(wanted(1));
    assert_eq!(only("{}", &seen).at.to_string(), "attempt[1].expect");
    // What the result already shows to be wrong is not said twice.
    let answered = Some(Answered { call: openat, result: -13, nth: 0, of: 1, denial: false, whole: true });
    seen.attempts.push(AttemptFinding {
        title: "wrong".into(),
        path: wanted(1).path,
        label: "here".into(),
        notes: Vec::new(),
        answered,
    });
    let finding = only("{}", &seen);
    assert_eq!(finding.title, "wrong");
    let notes = finding.notes.join("\n");
    assert!(notes.starts_with("seen: #1 openat") && notes.contains("fs: { read: [$SYSTEM, /a], "), "{notes}");
    // Which of two it was is not known.
    seen.events.extend(events(vec![denied("/c")]));
    assert!(only("{}", &seen).notes.is_empty());
}

#[test]
fn a_wrong_file_after_a_good_end_names_the_denial_once() {
    let mut seen = seeing(vec![denied("/etc/passwd")]);
    seen.stderr = b"cc: no space\n".to_vec();
    let all = findings("{ stdout: x, files: { a: present } }", &seen);
    assert_eq!(all.len(), 2, "{all:#?}");
    let notes = all[1].notes.join("\n");
    assert!(notes.contains("cc: no space") && notes.contains("denied meanwhile: #1"), "{notes}");
    assert!(!all[0].notes.join("\n").contains("denied"), "{all:#?}");
    // A run that leaves nothing wrong behind is not explained.
    assert!(findings("{ files: { a: absent } }", &seen).is_empty());
}

#[test]
fn what_is_said_of_controls_is_compared() {
    let state = ControlState::Unavailable("no such thing in /tmp/w1/x".to_owned());
    let seen = Observation { controls: vec![Control::new("pids", state)], ..quiet() };
    let titles = |yaml: &str| -> Vec<String> {
        findings(yaml, &seen).into_iter().map(|finding| finding.title).collect()
    };
    assert_eq!(titles("controls: { pids: 'NOT available here: no such thing in [WORK]/x' }"), [""; 0]);
    assert_eq!(
        titles("controls: { pids: in force, clock: in force }"),
        ["there is no control `clock`", "what is said of `pids` is not what was expected"]
    );
}

#[test]
fn an_error_that_nobody_saw_is_no_absence_of_one() {
    let mut unseen = allowed("/x");
    if let Body::Verdict(verdict) = &mut unseen {
        (verdict.known, verdict.result) = (Known::Unknown, None);
    }
    let notes = |body: Body| {
        only("verdicts: { sees: [{ call: openat, path: /x, errno: EIO }] }", &seeing(vec![body]))
            .notes
            .join("\n")
    };
    let (unseen, seen) = (notes(unseen), notes(allowed("/x")));
    assert!(unseen.contains("unknown was seen") && !unseen.contains("no error"), "{unseen}");
    assert!(seen.contains("no error was seen"), "{seen}");
}
