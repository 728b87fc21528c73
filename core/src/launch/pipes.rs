//! The keeper's ends of the pipes: what the guests write is taken, what they are to read is fed.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, read, write};
use rustix::pipe::{PipeFlags, pipe_with};

/// How much is taken or fed at once.
const PIECE: usize = 1 << 16;
/// The room for the first that is taken.
const LITTLE: usize = 4096;
/// How often in a turn. Who writes without end must not keep the others waiting; what a pipe can hold is less.
const PIECES: usize = 64;
/// How much is captured of one stream: a guest that writes without end must not take the supervisor's memory.
pub(super) const MOST: usize = 256 << 20;

/// What the guests write, until nobody can write any more.
#[derive(Default)]
pub(super) struct Capture {
    from: Option<OwnedFd>,
    pub(super) bytes: Vec<u8>,
    /// Whether more was written than is captured.
    pub(super) overflows: bool,
}

/// What the guests are to read.
#[derive(Default)]
pub(super) struct Feed {
    to: Option<OwnedFd>,
    bytes: Vec<u8>,
    done: usize,
}

/// A pipe: the end to read from and the end to write to.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    pipe_with(PipeFlags::CLOEXEC)
}

impl Capture {
    /// A capture, and the end for the guests.
    pub(super) fn new() -> Result<(Self, OwnedFd), Errno> {
        let (from, to) = pipe()?;
        fcntl_setfl(&from, OFlags::NONBLOCK)?;
        Ok((Self { from: Some(from), ..Self::default() }, to))
    }

    fn take(&mut self) {
        let Some(from) = &self.from else { return };
        for _ in 0..PIECES {
            // Most commands write little: as much room as there is text so far, and no memory that stays empty.
            self.bytes.reserve(self.bytes.len().clamp(LITTLE, PIECE));
            let got = read(from, spare_capacity(&mut self.bytes));
            if self.bytes.len() > MOST {
                self.overflows = true;
                self.from = None;
                return;
            }
            match got {
                Ok(1..) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Ok(_) | Err(_) => {
                    self.from = None;
                    return;
                }
            }
        }
    }
}

impl Feed {
    /// A feed, and the end for the guests.
    pub(super) fn new(bytes: Vec<u8>) -> Result<(Self, OwnedFd), Errno> {
        let (from, to) = pipe()?;
        fcntl_setfl(&to, OFlags::NONBLOCK)?;
        let mut feed = Self { to: Some(to), bytes, done: 0 };
        feed.give();
        Ok((feed, from))
    }

    fn give(&mut self) {
        while let Some(to) = &self.to {
            match self.bytes.get(self.done..).filter(|rest| !rest.is_empty()) {
                None => self.to = None,
                Some(rest) => match write_quietly(to.as_fd(), &rest[..rest.len().min(PIECE)]) {
                    Ok(given) => self.done += given,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return,
                    // Nobody reads it any more.
                    Err(_) => self.to = None,
                },
            }
        }
    }
}

/// The keeper's thread has SIGPIPE blocked, so a write that nobody reads is an error and no more.
fn write_quietly(to: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    write(to, bytes)
}

/// Waits until something can be moved, one of `others` is readable, or the time is up, and moves what can be.
/// Which of `others` are readable.
pub(super) fn pump(
    captures: &mut [&mut Capture],
    feed: &mut Feed,
    others: &[Option<BorrowedFd<'_>>],
    time: Option<&Timespec>,
) -> Vec<bool> {
    let mut polled = Vec::new();
    for capture in captures.iter() {
        if let Some(from) = &capture.from {
            polled.push(PollFd::new(from, PollFlags::IN));
        }
    }
    if let Some(to) = &feed.to {
        polled.push(PollFd::new(to, PollFlags::OUT));
    }
    let first = polled.len();
    polled.extend(others.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
    let any = matches!(poll(&mut polled, time), Ok(1..));
    let mut readable =
        polled[first..].iter().map(|fd| any && !fd.revents().is_empty()).collect::<Vec<_>>().into_iter();
    let readable = others.iter().map(|other| other.is_some() && readable.next().unwrap_or(false)).collect();
    drop(polled);
    for capture in captures {
        capture.take();
    }
    feed.give();
    readable
}
