//! The public extension API: answer a guest's system calls with your own code.
//!
//! A handler is asked after every builtin rule has let the call pass, and before the call is performed. It runs on a
//! thread of its own, outside the guest's confinement, so a slow handler delays nobody but its own caller.
#![forbid(unsafe_code)]

mod action;
mod memory;

use std::borrow::Cow;
use std::future::Future;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;

pub use action::{Deferred, NotifAction, OnInject, OnRefused, content_memfd};
pub(crate) use memory::cstr as memory_cstr;
pub use memory::{DupError, MemoryError, dup_child_fd, read_child_cstr, read_child_mem, write_child_mem};

pub use crate::sys::seccomp::{Notif, NotifData};
use crate::syscall::decode;
use crate::trace::Args;
use crate::{Syscall, SyscallError};

/// What a handler gets to see of a call.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct HandlerCtx {
    /// The notification, as the kernel gave it (`man 2 seccomp_unotify`).
    pub notif: Notif,
    /// The listener that it came from. For [`read_child_mem`] and its kin; not to be closed or answered on.
    pub notif_fd: RawFd,
}

impl HandlerCtx {
    /// The call's arguments as its verdict will show them, read from the guest's memory: to look at, and not to decide
    /// on what a guest may do, since another of its threads can change that memory afterwards. A pointer that can't be
    /// read stays one.
    ///
    /// # Errors
    /// The number is no system call's.
    pub fn args(&self) -> Result<(Syscall, Args), SyscallError> {
        let call = Syscall::checked(i64::from(self.notif.data.nr))?;
        Ok((call, decode::decode(call, &self.notif.data.args, &mut OfCaller(self))))
    }
}

/// The memory of whoever made a call.
struct OfCaller<'a>(&'a HandlerCtx);

impl decode::Memory for OfCaller<'_> {
    fn cstr(&mut self, address: u64) -> Option<Vec<u8>> {
        let HandlerCtx { notif, notif_fd } = self.0;
        read_child_cstr(*notif_fd, notif.id, notif.pid, address, 4096).ok()
    }

    fn bytes(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
        let HandlerCtx { notif, notif_fd } = self.0;
        read_child_mem(*notif_fd, notif.id, notif.pid, address, len).ok()
    }
}

/// The future of a handler's answer.
pub type HandlerFuture<'a> = Pin<Box<dyn Future<Output = NotifAction> + Send + 'a>>;

/// Answers calls.
///
/// Closures `Fn(&HandlerCtx) -> impl Future<Output = NotifAction>` are handlers, and so are `Box<dyn Handler>` and
/// `Arc<dyn Handler>`. A panic fails that one call with `EIO`, and is reported.
pub trait Handler: Send + Sync + 'static {
    /// Answers one call. [`NotifAction::Continue`] passes it on to the next handler, or lets it run.
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a>;

    /// What verdicts call it ([`Origin::Named`](crate::trace::Origin::Named)). Without a name: its place in the list of
    /// the run's handlers.
    fn name(&self) -> Option<Cow<'static, str>> {
        None
    }
}

impl<F, Fut> Handler for F
where
    F: Fn(&HandlerCtx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = NotifAction> + Send + 'static,
{
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a> {
        Box::pin(self(cx))
    }
}

impl Handler for Box<dyn Handler> {
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a> {
        (**self).handle(cx)
    }

    fn name(&self) -> Option<Cow<'static, str>> {
        (**self).name()
    }
}

impl Handler for Arc<dyn Handler> {
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a> {
        (**self).handle(cx)
    }

    fn name(&self) -> Option<Cow<'static, str>> {
        (**self).name()
    }
}

/// Why a handler was refused, before anything was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// What it was to be attached to is not a syscall.
    #[error("a handler can't be attached: {0}")]
    InvalidSyscall(#[from] SyscallError),
    /// The policy denies the call: a handler could only weaken that.
    #[error("a handler can't be attached to {syscall}: it is denied by {by}")]
    OnDenySyscall {
        /// The call.
        syscall: Syscall,
        /// The rule that denies it.
        by: String,
    },
}
