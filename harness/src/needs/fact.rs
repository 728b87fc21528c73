//! What a host can be asked for.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use super::NeedError;
use crate::scenario::nearest;

/// Something that a host has or lacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// `landlock`: the version of its interface.
    Landlock,
    /// `kernel`: its version.
    Kernel,
    /// `userns`: an ordinary process may make a user and a pid namespace.
    Userns,
    /// `own-proc`: an ordinary process may mount a procfs in namespaces of its own.
    OwnProc,
    /// `seccomp`: filters, and a supervisor that answers for them.
    Seccomp,
    /// `realtime`: the process may give threads real-time priorities.
    Realtime,
    /// `root`: the tests run as user 0.
    Root,
    /// `x86_64`, `aarch64`: the machine.
    Machine(&'static str),
    /// A program in the guest's `PATH`: one that is known by its bare name, or any as `program(NAME)` or
    /// `program(/its/path)`.
    Program(String),
}

/// Facts with a name of their own, and what each is for.
pub(super) const NAMED: &[(&str, Fact, &str)] = &[
    ("landlock", Fact::Landlock, "policy.fs: which files a guest may use"),
    ("seccomp", Fact::Seccomp, "every rule over a system call"),
    ("userns", Fact::Userns, "isolation: no guest outlives its run"),
    ("own-proc", Fact::OwnProc, "fs.proc: own, deterministic.pids: /proc shows the guests alone"),
    ("kernel", Fact::Kernel, "6.13 is the oldest that the supervisor runs on"),
    ("realtime", Fact::Realtime, "deterministic.schedule: serial"),
    ("root", Fact::Root, "as root a guest passes the permissions that a test may rely on"),
    ("x86_64", Fact::Machine("x86_64"), "the machine that filters and the prober are written for"),
    ("aarch64", Fact::Machine("aarch64"), "not supported yet"),
];

/// Programs that need no `program(...)` around them: what scenarios are commonly written with.
pub(super) const PROGRAMS: &[&str] = &[
    "sh", "bash", "busybox", "cat", "env", "git", "tar", "make", "cc", "gcc", "clang", "go", "cargo",
    "rustc", "python3", "perl", "ruby", "node", "java", "curl", "openssl", "strace", "setsid", "unshare",
];

/// Every bare name, with what it is for.
pub(super) fn told() -> impl Iterator<Item = (&'static str, &'static str)> {
    let programs = PROGRAMS.iter().map(|name| (*name, "a program that guests find"));
    NAMED.iter().map(|(name, _, told)| (*name, *told)).chain(programs)
}

impl Fact {
    /// Every bare name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|(name, ..)| *name).chain(PROGRAMS.iter().copied())
    }

    /// Whether it can be compared with a version.
    #[must_use]
    pub fn has_version(&self) -> bool {
        matches!(self, Self::Landlock | Self::Kernel)
    }
}

impl FromStr for Fact {
    type Err = NeedError;

    fn from_str(text: &str) -> Result<Self, NeedError> {
        if let Some((_, fact, _)) = NAMED.iter().find(|(name, ..)| *name == text) {
            return Ok(fact.clone());
        }
        if PROGRAMS.contains(&text) {
            return Ok(Self::Program(text.to_owned()));
        }
        let unknown = |name: &str| NeedError::Unknown {
            name: name.chars().take(40).collect(),
            near: nearest(name, Self::names()),
        };
        match text.strip_prefix("program(").and_then(|rest| rest.strip_suffix(')')) {
            Some(name)
                if !name.is_empty()
                    && (name.starts_with('/') || !name.contains('/'))
                    && !name.contains('\0') =>
            {
                Ok(Self::Program(name.to_owned()))
            }
            Some(_) => Err(unknown(text)),
            None => Err(unknown(text)),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(name) if PROGRAMS.contains(&name.as_str()) => f.write_str(name),
            Self::Program(name) => write!(f, "program({name})"),
            named => {
                f.write_str(NAMED.iter().find(|(_, fact, _)| fact == named).map_or("", |(name, ..)| name))
            }
        }
    }
}

/// A version of two numbers: `6`, `6.13`. What is not written is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

impl FromStr for Version {
    type Err = NeedError;

    fn from_str(text: &str) -> Result<Self, NeedError> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(NeedError::Version(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            0 => write!(f, "{}", self.major),
            minor => write!(f, "{}.{minor}", self.major),
        }
    }
}
