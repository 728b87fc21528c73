//! Tests of lines, filters and summaries over made-up verdicts.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use assize_core::trace::{BytesText, Origin};

use super::*;
use crate::matcher::sample::{events, open};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shown(bodies: Vec<Body>, filters: &[&str], summary: bool) -> String {
    let filters: Vec<Filter> = filters.iter().map(|text| text.parse().unwrap()).collect();
    let out = Shared::default();
    let mut lines = Lines::new(Box::new(out.clone()), Filters::new(&filters), "/w".into());
    if summary {
        lines = lines.only(Summary::default());
    }
    for mut event in events(bodies) {
        event.took = Some(Duration::from_micros(20));
        assert!(lines.take(&event));
    }
    assert!(lines.close());
    let bytes = out.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn some() -> Vec<Body> {
    let rule = Origin::Rule { capability: "fs".into(), rule: "a denied file".into() };
    vec![
        open("/etc/passwd", "O_RDONLY", Action::Allow, Origin::Kernel),
        open("/etc/shadow", "O_RDONLY", Action::Deny(Errno::EACCES), rule),
        open("/w/a", "O_RDONLY", Action::Deny(Errno::EACCES), Origin::Landlock),
    ]
}

#[test]
fn a_call_reads_as_in_strace() {
    let text = shown(some(), &[], false);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY"), "{text}");
    assert!(lines[0].ends_with("   by kernel"), "{text}");
    assert!(lines[1].ends_with(" = -1 EACCES (Permission denied)   deny by fs"), "{text}");
    assert!(lines[2].ends_with(" = -1 EACCES (Permission denied)   deny by landlock"), "{text}");
}

#[test]
fn several_guests_are_told_apart() {
    let place = Place::root();
    let (exe, child) = (BytesText(b"/bin/x".to_vec()), place.child(0));
    let text = shown(
        vec![
            Body::Start { pid: 7, place: place.clone() },
            Body::Exec { pid: 7, place: place.clone(), exe },
            Body::Start { pid: 8, place: child.clone() },
            Body::Exit { pid: 8, place: child, how: Some(Exit::Signal(9)) },
            Body::Exit { pid: 7, place, how: Some(Exit::Code(3)) },
        ],
        &[],
        false,
    );
    assert_eq!(
        text,
        "+++ executed /bin/x +++\n[pid 8] +++ started, as /0/0 +++\n[pid 8] +++ killed by SIGKILL +++\n\
         [pid 7] +++ exited with 3 +++\n"
    );
}

#[test]
fn any_of_each_kind_passes() {
    let count = |filters: &[&str]| shown(some(), filters, false).lines().count();
    assert_eq!(count(&["openat"]), 3);
    assert_eq!(count(&["family(rename)"]), 0);
    assert_eq!(count(&["deny"]), 2);
    assert_eq!(count(&["deny", "/etc/*"]), 1);
    assert_eq!(count(&["allow", "deny", "openat", "creat"]), 3);
    assert_eq!(count(&["$WORK/*"]), 1);
    assert_eq!(count(&["verdict=kill"]), 0);
    assert!(matches!("kill".parse(), Ok(Filter::Call(_))));
    for (wrong, says) in [("openatt", "did you mean `openat`?"), ("denyy", "`deny`"), ("path=[", "glob")] {
        let error = wrong.parse::<Filter>().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_summary_counts() {
    let text = shown(some(), &[], true);
    let row: Vec<_> =
        text.lines().find(|line| line.ends_with("openat")).unwrap().split_whitespace().collect();
    assert_eq!(row, ["100.00", "0.000060", "20", "3", "2", "2", "openat"]);
    assert!(Filters::default().is_empty() && Filters::default().calls().is_none());
}
