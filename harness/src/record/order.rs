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
use tokio::sync::watch;

use crate::runner::Handlers;

/// How long one waits for another, at least and at most: as long as the whole command took before, for on a busy machine all
/// comes later.
const LEAST: Duration = Duration::from_millis(60);
const MOST: Duration = Duration::from_millis(1500);
/// When the other has come, it needs this to be done.
const BEHIND: Duration = Duration::from_millis(30);
/// So long is waited in vain in all: a command of a thousand steps would take long.
const IN_VAIN: Duration = Duration::from_secs(3);

/// Handlers for whatever writes, in a command that took so long before.
pub(super) fn held_up(took: Duration) -> Handlers {
    let seen = Seen { writers: BTreeSet::new(), left: IN_VAIN };
    let held = HeldUp {
        seen: Arc::new(Mutex::new(seen)),
        came: watch::Sender::new(0),
        wait: (took * 2).clamp(LEAST, MOST),
    };
    let calls = family::WRITE.syscalls();
    calls.map(|call| (i64::from(call.number()), Box::new(held.clone()) as Box<dyn Handler>)).collect()
}

/// Holds up the first write of every second guest until the next one has written.
#[derive(Clone)]
struct HeldUp {
    seen: Arc<Mutex<Seen>>,
    /// How many have come.
    came: watch::Sender<usize>,
    wait: Duration,
}

struct Seen {
    /// Who has written, by thread.
    writers: BTreeSet<u32>,
    /// How long may still be waited in vain.
    left: Duration,
}

impl HeldUp {
    fn answer(&self, tid: u32) -> NotifAction {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = seen.writers.len();
        if !seen.writers.insert(tid) {
            return NotifAction::Continue;
        }
        self.came.send_replace(nth + 1);
        let wait = self.wait.min(seen.left);
        if nth % 2 == 1 || wait.is_zero() {
            return NotifAction::Continue;
        }
        let (mut came, seen) = (self.came.subscribe(), Arc::clone(&self.seen));
        NotifAction::defer(async move {
            let other = tokio::time::timeout(wait, came.wait_for(|came| *came > nth + 1)).await.is_ok();
            if other {
                tokio::time::sleep(BEHIND).await;
            } else {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.left = seen.left.saturating_sub(wait);
            }
            NotifAction::Continue
        })
    }
}

impl Handler for HeldUp {
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a> {
        Box::pin(std::future::ready(self.answer(cx.notif.pid)))
    }

    fn name(&self) -> Option<Cow<'static, str>> {
        Some("another order".into())
    }
}
