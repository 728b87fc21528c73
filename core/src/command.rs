//! What to run: a program, its arguments, where it starts, and what it reads. Starts nothing.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What to run.
#[derive(Debug)]
pub struct Command {
    /// The program. One without a slash is looked for in the policy's `PATH`, or in `/usr/bin:/bin`.
    pub program: Program,
    /// Its arguments, without the program's own name.
    pub args: Vec<OsString>,
    /// The folder that it starts in; `None`: the caller's.
    pub cwd: Option<PathBuf>,
    /// What it reads from descriptor 0.
    pub stdin: Stdin,
    /// Further descriptors that it inherits, as 3, 4, ... It gets no others.
    pub inherit: Vec<OwnedFd>,
}

/// A program.
#[derive(Debug)]
pub enum Program {
    /// By name or path.
    Path(OsString),
    /// By a descriptor, such as a sealed memfd; `name` becomes `argv[0]`.
    Image {
        /// The program's bytes.
        image: OwnedFd,
        /// What it is called.
        name: OsString,
    },
}

/// What a command reads from descriptor 0.
#[derive(Debug, Default)]
pub enum Stdin {
    /// Nothing.
    #[default]
    Null,
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the caller reads.
    Inherit,
}

impl Command {
    /// This program, without arguments, in the caller's folder, reading nothing.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: Program::Path(program.as_ref().to_owned()),
            args: Vec::new(),
            cwd: None,
            stdin: Stdin::Null,
            inherit: Vec::new(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Starts it in this folder.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Feeds it.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }
}
