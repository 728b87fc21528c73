//! Runs from outside: giving them up, and passing a signal on to their commands. Decides nothing.
#![forbid(unsafe_code)]

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::Errno;

/// A hold on every run that was given a clone of it.
#[derive(Debug, Clone)]
pub struct Remote(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Readable, at its end, once the runs are given up.
    given_up: PipeReader,
    line: Mutex<Option<PipeWriter>>,
    commands: Mutex<Vec<Arc<OwnedFd>>>,
}

impl Remote {
    /// One that holds nothing yet.
    ///
    /// # Errors
    /// What `pipe(2)` gives.
    pub fn new() -> io::Result<Self> {
        let (given_up, line) = io::pipe()?;
        let line = Mutex::new(Some(line));
        Ok(Self(Arc::new(Inner { given_up, line, commands: Mutex::default() })))
    }

    /// Gives the runs up, those to come too: every guest is killed, and the outcome is
    /// [`End::Cancelled`](crate::outcome::End::Cancelled).
    pub fn cancel(&self) {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether they were given up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Sends a signal to each command, not to the processes that it started. Whether there was one to send it to.
    pub fn signal(&self, signal: i32) -> bool {
        let Some(signal) = Signal::from_named_raw(signal) else { return false };
        let commands = self.0.commands.lock().unwrap_or_else(PoisonError::into_inner).clone();
        commands.iter().filter(|command| pidfd_send_signal(command, signal).is_ok()).count() > 0
    }

    /// Whether a command runs, or is about to.
    #[must_use]
    pub fn has_command(&self) -> bool {
        !self.0.commands.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn given_up(&self) -> BorrowedFd<'_> {
        self.0.given_up.as_fd()
    }

    /// Takes a command that stands ready into the hold, for as long as what is returned lives.
    pub(crate) fn hold(&self, command: u32) -> Result<Held, Errno> {
        let pid = i32::try_from(command).ok().and_then(Pid::from_raw).ok_or(Errno::ESRCH)?;
        let pidfd = Arc::new(pidfd_open(pid, PidfdFlags::empty())?);
        self.0.commands.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&pidfd));
        Ok(Held { remote: self.clone(), pidfd })
    }
}

/// A command that is held.
pub(crate) struct Held {
    remote: Remote,
    pidfd: Arc<OwnedFd>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut commands = self.remote.0.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.retain(|command| !Arc::ptr_eq(command, &self.pidfd));
    }
}
