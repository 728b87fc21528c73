//! What to run: a program, its arguments, where it starts, and what it reads. Starts nothing.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::Errno;

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

/// Waits until nobody has a file open to write any more: until then nobody can execute it (`ETXTBSY`, `man 2 execve`).
///
/// Who wrote it has closed it, but a child that another thread of the process was just starting may hold a copy of the
/// descriptor until its own exec. So for a program that was just written, this comes before the first run.
///
/// It waits `patience` at most. Where the file system can't tell (`man 2 fcntl`, `F_SETLEASE`), or the file is another
/// user's, it doesn't wait.
///
/// # Errors
/// Whatever opening the file says; [`io::ErrorKind::ExecutableFileBusy`] where it is still open to be written.
pub fn wait_for_writers(file: &Path, patience: Duration) -> io::Result<()> {
    let file = File::open(file)?;
    let since = Instant::now();
    while crate::sys::file::lease(&file) == Err(Errno::EAGAIN) {
        if since.elapsed() >= patience {
            return Err(io::ErrorKind::ExecutableFileBusy.into());
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}
