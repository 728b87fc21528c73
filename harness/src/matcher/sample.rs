//! Made-up observations, for tests.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use assize_core::outcome::End;
use assize_core::trace::{Action, Arg, Args, Body, BytesText, Event, Exit, Grounds, Known, Origin};
use assize_core::{Errno, Syscall, Verdict};

use super::{Granted, Observation};

/// A good end, and nothing else.
pub(crate) fn quiet() -> Observation {
    Observation {
        end: End::Exit(Exit::Code(0)),
        why: None,
        stdout: Vec::new(),
        stderr: Vec::new(),
        files: BTreeMap::new(),
        changes: None,
        took: Duration::ZERO,
        peak: None,
        events: Vec::new(),
        controls: Vec::new(),
        work: "/tmp/w1".into(),
        granted: Granted::default(),
        attempts: Vec::new(),
        wanted: Vec::new(),
        injected: Vec::new(),
    }
}

/// These events, numbered.
pub(crate) fn events(bodies: Vec<Body>) -> Vec<Event> {
    let numbered = bodies.into_iter().zip(1..);
    numbered.map(|(body, seq)| Event { seq, at: Duration::from_millis(seq), took: None, body }).collect()
}

/// An open of `path` that was answered so.
pub(crate) fn open(path: &str, flags: &str, action: Action, by: Origin) -> Body {
    let result = match action {
        Action::Deny(errno) => -i64::from(errno.value()),
        Action::Emulate(value) => value,
        _ => 3,
    };
    let args = vec![
        ("dirfd", Arg::Fd(-100)),
        ("path", Arg::Path(BytesText(path.as_bytes().to_vec()))),
        ("flags", Arg::Flags(0, flags.to_owned())),
    ];
    verdict("openat", Args(args), action, by, result)
}

/// Any verdict.
pub(crate) fn verdict(call: &str, args: Args, action: Action, by: Origin, result: i64) -> Body {
    Body::Verdict(Box::new(Verdict {
        call: Syscall::named(call).unwrap(),
        args,
        target: None,
        action,
        by,
        grounds: Grounds::Pinned,
        result: Some(result),
        known: Known::Performed,
        pid: 100,
        place: "/0".parse().ok(),
        exe: Some(BytesText(b"/usr/bin/python3".to_vec())),
    }))
}

/// Denied by Landlock.
pub(crate) fn denied(path: &str) -> Body {
    open(path, "O_RDONLY|O_CLOEXEC", Action::Deny(Errno::EACCES), Origin::Landlock)
}

/// Allowed.
pub(crate) fn allowed(path: &str) -> Body {
    open(path, "O_RDONLY|O_CLOEXEC", Action::Allow, Origin::Landlock)
}
