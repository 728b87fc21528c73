//! Whatever a command writes, judging it against any expectation ends soon, with findings that can be shown.
//!
//! The input: what stands under `expect:`, a line of `====`, and what the command wrote.
#![no_main]
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use assize_core::outcome::End;
use assize_core::syscall::decode;
use assize_core::trace::{Action, Body, BytesText, Event, Exit, Grounds, Known, Origin};
use assize_core::{Errno, Peak, Syscall, Verdict};
use assize_harness::fuzzing;
use assize_harness::matcher::{FileSeen, Observation, judge};
use libfuzzer_sys::fuzz_target;

const BETWEEN: &[u8] = b"\n====\n";

fuzz_target!(|input: &[u8]| {
    let Some(at) = input.windows(BETWEEN.len()).position(|window| window == BETWEEN) else { return };
    let (expect, wrote) = (&input[..at], &input[at + BETWEEN.len()..]);
    let indented: Vec<u8> =
        expect.split(|byte| *byte == b'\n').flat_map(|line| [b"  ", line, b"\n"].concat()).collect();
    let Ok(scenarios) = fuzzing::scenarios([b"run: [x]\nexpect:\n", &indented[..]].concat()) else { return };
    let Some(scenario) = scenarios.first() else { return };
    let seen = Observation {
        why: None,
        end: match wrote.first() {
            Some(byte) if byte % 4 == 1 => End::Exit(Exit::Signal(9)),
            Some(byte) if byte % 4 == 2 => End::TimedOut(Duration::from_secs(1)),
            Some(byte) if byte % 4 == 3 => End::Exit(Exit::Code(*byte)),
            _ => End::Exit(Exit::Code(0)),
        },
        stdout: wrote.to_vec(),
        stderr: wrote.to_vec(),
        files: files(scenario.expect.files.keys(), wrote),
        events: events(wrote),
        work: "/tmp/w1".into(),
        attempts: Vec::new(),
        wanted: Vec::new(),
        injected: Vec::new(),
        changes: None,
        took: Duration::ZERO,
        peak: wrote.get(1).map(|byte| Peak {
            processes: u64::from(*byte),
            memory: wrote.get(2).map(|byte| u64::from(*byte) << 16),
            ..Peak::default()
        }),
        controls: Vec::new(),
        granted: Default::default(),
    };
    let findings = judge(&scenario.expect, &seen);
    assert_eq!(findings, judge(&scenario.expect, &seen));
    for finding in findings {
        assert!(!finding.title.is_empty());
        assert!(scenario.span(&finding.at).is_some());
    }
});

fn files<'a>(paths: impl Iterator<Item = &'a String>, wrote: &[u8]) -> BTreeMap<String, FileSeen> {
    let seen = |place: usize| match (place + wrote.len()) % 4 {
        0 => FileSeen::Absent,
        1 => FileSeen::Other { kind: "a folder".to_owned(), mode: 0o755 },
        2 => FileSeen::Unreadable("EACCES".to_owned()),
        _ => FileSeen::File { bytes: wrote.to_vec(), mode: 0o644 },
    };
    paths.enumerate().map(|(place, path)| (path.clone(), seen(place))).collect()
}

/// A verdict for each eight bytes.
fn events(wrote: &[u8]) -> Vec<Event> {
    struct Wrote<'a>(&'a [u8]);
    impl decode::Memory for Wrote<'_> {
        fn cstr(&mut self, address: u64) -> Option<Vec<u8>> {
            let from = usize::try_from(address).ok()? % self.0.len().max(1);
            Some(self.0.get(from..)?.iter().copied().take(20).take_while(|byte| *byte != 0).collect())
        }
        fn bytes(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
            let from = usize::try_from(address).ok()? % self.0.len().max(1);
            self.0.get(from..from + len).map(<[u8]>::to_vec)
        }
    }
    let verdict = |chunk: &[u8]| {
        let call = Syscall::checked(i64::from(chunk[0]) + i64::from(chunk[1] & 1) * 256).ok()?;
        let registers = [chunk[2], chunk[3], chunk[4], chunk[5], chunk[6], chunk[7]].map(u64::from);
        let action = match chunk[2] % 4 {
            0 => Action::Allow,
            1 => Action::Deny(Errno::new(chunk[3].into())),
            2 => Action::Emulate(chunk[4].into()),
            _ => Action::Deny(Errno::EACCES),
        };
        let by = match chunk[3] % 3 {
            0 => Origin::Landlock,
            1 => Origin::Kernel,
            _ => Origin::Rule { capability: "guard".into(), rule: "x".into() },
        };
        Some(Body::Verdict(Box::new(Verdict {
            call,
            args: decode::decode(call, &registers, &mut Wrote(wrote)),
            target: Some(BytesText(chunk.to_vec())),
            action,
            by,
            grounds: Grounds::Pinned,
            result: Some(i64::from(chunk[5]) - 128),
            known: Known::Performed,
            pid: 7,
            place: format!("/{}", chunk[6]).parse().ok(),
            exe: None,
        })))
    };
    let bodies = wrote.chunks_exact(8).take(200).filter_map(verdict).zip(1..);
    bodies.map(|(body, seq)| Event { seq, at: Duration::from_millis(seq), took: None, body }).collect()
}
