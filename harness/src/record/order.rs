//! Another order of what runs at once: whoever writes first is held up, so that those who do not wait for it come before it.
//!
//! It changes nothing that a guest reads or writes.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assize_core::handler::HandlerFuture;
use assize_core::syscall::family;
use assize_core::{Handler, HandlerCtx, NotifAction};

use crate::runner::Handlers;

/// So many take turns: the first is held up the longest, the last not at all.
const TURNS: usize = 4;
/// How much longer than the next, at least: a fourth of what the command takes, for on a busy machine all comes later.
const LEAST_STEP: Duration = Duration::from_millis(20);
const LONGEST_STEP: Duration = Duration::from_millis(150);
/// No more are held up: a command of a thousand steps would take long.
const MOST_HELD: usize = 40;

/// Handlers for whatever writes, in a command that took so long before.
pub(super) fn held_up(took: Duration) -> Handlers {
    let step = (took / 4).clamp(LEAST_STEP, LONGEST_STEP);
    let seen: Arc<Mutex<BTreeSet<u32>>> = Arc::default();
    let calls = family::WRITE.syscalls();
    calls
        .map(|call| {
            let handler = HeldUp { seen: Arc::clone(&seen), step };
            (i64::from(call.number()), Box::new(handler) as Box<dyn Handler>)
        })
        .collect()
}

/// Holds up the first write of each guest.
struct HeldUp {
    /// Who has written, by thread.
    seen: Arc<Mutex<BTreeSet<u32>>>,
    step: Duration,
}

impl Handler for HeldUp {
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = seen.len();
        let action = if !seen.insert(cx.notif.pid) || nth >= MOST_HELD {
            NotifAction::Continue
        } else {
            match u32::try_from(TURNS - 1 - nth % TURNS) {
                Ok(turns @ 1..) => NotifAction::after(self.step * turns, NotifAction::Continue),
                _ => NotifAction::Continue,
            }
        };
        Box::pin(std::future::ready(action))
    }

    fn name(&self) -> Option<Cow<'static, str>> {
        Some("another order".into())
    }
}
