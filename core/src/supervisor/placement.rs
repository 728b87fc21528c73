//! On which processor a guest goes on that was answered: a hint to the scheduler, and no more.
//!
//! Mostly where it has asked, which is where the worker is, since it was woken there. But a guest whose call was there before the
//! worker came to it has asked on another processor, which may have nothing to do since: were it woken here, guests that could
//! run at once would take turns on one processor until the kernel sees that another is idle.
#![forbid(unsafe_code)]

use rustix::thread::sched_getaffinity;

use super::Run;
use crate::Errno;
use crate::sys::seccomp::{Listener, Notif};

/// Receives calls, and says for each where its guest goes on.
pub(super) struct Placement {
    /// Whether guests may run at once.
    spreads: bool,
    /// Who asked last.
    last: u32,
    /// Whether that was somebody else than the one before: then it is worth a kernel call to look for a third.
    alternates: bool,
    /// What the kernel was told last.
    here: bool,
}

impl Placement {
    pub(super) fn new(run: &Run) -> Self {
        let spreads =
            !run.is_serial() && sched_getaffinity(None).is_ok_and(|processors| processors.count() > 1);
        Self { spreads, last: 0, alternates: false, here: true }
    }

    /// As [`Listener::receive`].
    pub(super) fn receive(&mut self, listener: &Listener) -> Result<Notif, Errno> {
        let here = !(self.spreads && self.alternates && listener.has_next());
        if here != self.here && listener.wake_here(here).is_ok() {
            self.here = here;
        }
        let notif = listener.receive()?;
        self.alternates = notif.pid != self.last;
        self.last = notif.pid;
        Ok(notif)
    }
}
