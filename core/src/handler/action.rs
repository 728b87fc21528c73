//! What a handler may answer.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::pin::Pin;
use std::time::Duration;

use crate::{Errno, sys};

/// Told the number that an injected descriptor got in the guest.
pub type OnInject = Box<dyn FnOnce(RawFd) + Send>;

/// Told why an answer that was to come later was refused.
pub type OnRefused = Box<dyn FnOnce(Errno) + Send>;

/// An answer that comes later.
pub struct Deferred {
    pub(crate) later: Pin<Box<dyn Future<Output = NotifAction> + Send>>,
    pub(crate) refused: Option<OnRefused>,
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deferred")
    }
}

/// The answer to one call.
#[non_exhaustive]
pub enum NotifAction {
    /// Not mine: ask the next, or let it run.
    Continue,
    /// The call fails with this error number, positive as in `libc`.
    Errno(i32),
    /// A copy of `srcfd` appears in the guest as `targetfd` (replacing what was there); then the call runs.
    InjectFd {
        /// The supervisor's descriptor; it stays open here.
        srcfd: RawFd,
        /// The number in the guest.
        targetfd: RawFd,
    },
    /// The same, of a descriptor that is closed here afterwards.
    InjectOwnedFd {
        /// The supervisor's descriptor.
        srcfd: OwnedFd,
        /// The number in the guest.
        targetfd: RawFd,
    },
    /// The call returns a copy of `srcfd`, at the guest's lowest free number. One step, so nothing can leak
    /// between the injection and the answer (`SECCOMP_ADDFD_FLAG_SEND`).
    InjectFdSend {
        /// The supervisor's descriptor; closed here afterwards.
        srcfd: OwnedFd,
        /// `O_CLOEXEC` or 0.
        newfd_flags: u32,
    },
    /// The same, and tells which number it got.
    InjectFdSendTracked {
        /// The supervisor's descriptor; closed here afterwards.
        srcfd: OwnedFd,
        /// `O_CLOEXEC` or 0.
        newfd_flags: u32,
        /// Called once, if the injection succeeded.
        on_success: OnInject,
    },
    /// The call returns this value without having run.
    ReturnValue(i64),
    /// The call is never answered: its caller waits until the run ends.
    Hold,
    /// A signal goes to a process group; the call itself fails with `EPERM` if its caller survives.
    Kill {
        /// The signal's number.
        sig: i32,
        /// The group, as the host numbers it. Only groups of guests can be hit.
        pgid: i32,
    },
    /// The answer comes later; other calls go on. At most 64 such answers may be pending in a sandbox (one more
    /// fails with `EAGAIN`), each for 30 seconds (then `EIO`); an answer that itself is a `Defer` fails with `EIO`.
    /// Refused with `EPERM` for exec and for the creation of processes.
    Defer(Deferred),
}

impl NotifAction {
    /// An answer that comes later.
    pub fn defer(later: impl Future<Output = Self> + Send + 'static) -> Self {
        Self::Defer(Deferred { later: Box::pin(later), refused: None })
    }

    /// The same answer. If it is to come later and that is refused, `told` is called with the reason, once and at once.
    #[must_use]
    pub fn when_refused(self, told: impl FnOnce(Errno) + Send + 'static) -> Self {
        match self {
            Self::Defer(deferred) => Self::Defer(Deferred { refused: Some(Box::new(told)), ..deferred }),
            other => other,
        }
    }

    /// This answer, so much later.
    #[must_use]
    pub fn after(delay: Duration, answer: Self) -> Self {
        Self::defer(async move {
            tokio::time::sleep(delay).await;
            answer
        })
    }

    /// A descriptor from which the guest reads `content`, as the result of the call.
    ///
    /// # Errors
    /// As [`content_memfd`].
    pub fn inject_bytes(content: &[u8]) -> io::Result<Self> {
        Ok(Self::InjectFdSend { srcfd: content_memfd(content)?, newfd_flags: libc::O_CLOEXEC as u32 })
    }
}

impl fmt::Debug for NotifAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("Continue"),
            Self::Errno(errno) => write!(f, "Errno({})", crate::Errno::new(*errno)),
            Self::InjectFd { srcfd, targetfd } => write!(f, "InjectFd({srcfd} as {targetfd})"),
            Self::InjectOwnedFd { srcfd, targetfd } => write!(f, "InjectOwnedFd({srcfd:?} as {targetfd})"),
            Self::InjectFdSend { srcfd, .. } => write!(f, "InjectFdSend({srcfd:?})"),
            Self::InjectFdSendTracked { srcfd, .. } => write!(f, "InjectFdSendTracked({srcfd:?})"),
            Self::ReturnValue(value) => write!(f, "ReturnValue({value})"),
            Self::Hold => f.write_str("Hold"),
            Self::Kill { sig, pgid } => write!(f, "Kill({sig} to {pgid})"),
            Self::Defer(_) => f.write_str("Defer"),
        }
    }
}

/// A memfd that holds `content`: sealed against every change, at its beginning, close-on-exec.
///
/// # Errors
/// What `memfd_create`, `write` or `F_ADD_SEALS` gives: no descriptor or no memory is left.
pub fn content_memfd(content: &[u8]) -> io::Result<OwnedFd> {
    sys::memfd::sealed(c"assize-content", content)
}
