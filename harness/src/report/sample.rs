//! A made-up run with one scenario of each outcome, and whatever a guest could write to do harm.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use assize_core::Errno;
use assize_core::outcome::{Control, ControlState, Report};
use assize_core::trace::{Action, Body, BytesText, Exit, Origin as By};

use super::{Log, Origin, Outcome, Output, Repeated, Run, Seen, Tested};
use crate::diagnostic::Diagnostic;
use crate::matcher::sample::{denied, events, open};
use crate::runner::Cell;
use crate::scenario::place::Span;

/// What a guest may write.
pub(crate) const HOSTILE: &[u8] =
    b"</script><script>alert(1)</script>]]>&amp;\"'\x00\x1b[2J\x07\xff\xfe\xe2\x80\xaeevil\xef\xbf\xbf\r\n::error::x\n";

/// A scenario of which nothing is known but this.
pub(crate) fn tested(name: &str, outcome: Outcome) -> Tested {
    let source = Arc::from("about: it reads\nrun: [cat, x]\n# a third\n# a fourth\n");
    Tested {
        name: name.to_owned(),
        origin: Origin { file: "scenarios/a.yaml".into(), line: 1, about: Some("it reads".into()), source },
        outcome,
        findings: Vec::new(),
        controls: Report::default(),
        cells: Vec::new(),
        repeated: None,
        deterministic: false,
        after: Duration::from_millis(250),
        took: Duration::from_millis(1500),
        seen: Seen::default(),
        accept: None,
        again: Some("assize run scenarios".to_owned()),
        kept: None,
    }
}

/// One scenario of each outcome.
pub(crate) fn run() -> Run {
    let hostile = String::from_utf8_lossy(HOSTILE).into_owned();
    let span = |line, start| Span { start, end: start + 3, line, column: 1, file: 0 };
    let mut failed = tested(&format!("a.yaml::{hostile}"), Outcome::Failed);
    let finding = Diagnostic::new(format!("a title {hostile}"), "scenarios/a.yaml")
        .at(Arc::clone(&failed.origin.source), Some(span(2, 16)), format!("a label {hostile}"))
        .note(format!("difference (- expected, + seen):\n-one\n+{hostile}"))
        .help("a help");
    failed.findings = vec![Diagnostic { others: vec![(span(1, 0), "another".into())], ..finding }];
    failed.seen.stdout = Output { bytes: HOSTILE.to_vec(), left_out: 7 };
    failed.seen.stderr = Output { bytes: b"Permission denied\n".to_vec(), left_out: 1 };
    let (pid, place) = (100, "/0".parse().unwrap());
    let exe = BytesText(HOSTILE.to_vec());
    failed.seen.log = Log {
        events: events(vec![
            Body::Start { pid, place },
            Body::Exec { pid, place: "/0".parse().unwrap(), exe },
            denied("/etc/</script>"),
            open(&hostile, "O_RDONLY", Action::Deny(Errno::EACCES), By::Landlock),
            Body::Note { text: hostile.clone() },
            Body::Exit { pid, place: "/0".parse().unwrap(), how: Some(Exit::Code(1)) },
        ]),
        left_out: 3,
    };
    failed.controls.controls = vec![
        Control::new("fs", ControlState::Proven(hostile.clone())),
        Control::new("random", ControlState::NotAsked),
    ];
    failed.cells = vec![
        Cell { name: "[open#1=EIO]".into(), passed: true },
        Cell { name: hostile.clone(), passed: false },
    ];
    failed.repeated = Some(Repeated { runs: 5, failed: 2 });
    failed.kept = Some("target/assize/a".into());
    let mut broken = tested("b.yaml::(load)", Outcome::Broken);
    broken.findings = vec![Diagnostic::new("unknown key `rnu`", "scenarios/b.yaml")];
    Run {
        began: SystemTime::UNIX_EPOCH + Duration::from_millis(946_684_800_123),
        took: Duration::from_secs(2),
        tested: vec![
            failed,
            broken,
            tested("c.yaml::c", Outcome::Ignored("no landlock".into())),
            tested("d.yaml::d", Outcome::Passed),
            tested("e.yaml::e", Outcome::GivenUp),
            tested("f.yaml::f", Outcome::NotRun),
        ],
        filtered_out: 5,
        shuffled: Some(7),
        interrupted: Some(15),
    }
}
