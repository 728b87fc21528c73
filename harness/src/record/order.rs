//! Another order of what runs at once: whoever writes is held up until somebody younger has written, so that those who do not
//! wait for each other write in the reverse order of their birth.
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
    let seen = Seen { writers: BTreeSet::new(), held: BTreeSet::new(), left: IN_VAIN };
    let held = HeldUp {
        seen: Arc::new(Mutex::new(seen)),
        youngest: watch::Sender::new(0),
        wait: (took * 2).clamp(LEAST, MOST),
    };
    let calls = family::WRITE.syscalls();
    calls.map(|call| (i64::from(call.number()), Box::new(held.clone()) as Box<dyn Handler>)).collect()
}

/// Holds up the first write of each guest.
#[derive(Clone)]
struct HeldUp {
    seen: Arc<Mutex<Seen>>,
    /// The youngest who has written, by its number.
    youngest: watch::Sender<u32>,
    wait: Duration,
}

struct Seen {
    /// Who wants to write, or has written, by thread.
    writers: BTreeSet<u32>,
    /// Who of these is held up.
    held: BTreeSet<u32>,
    /// How long may still be waited in vain.
    left: Duration,
}

impl HeldUp {
    fn answer(&self, tid: u32) -> NotifAction {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.wait.min(seen.left);
        let first = seen.writers.insert(tid);
        // An older one waits for it, and would not wait for longer than it.
        let awaited = seen.held.range(..tid).next().is_some();
        if !first || awaited || wait.is_zero() {
            self.gone_on(tid);
            return NotifAction::Continue;
        }
        seen.held.insert(tid);
        let held = self.clone();
        NotifAction::defer(async move {
            let mut youngest = held.youngest.subscribe();
            if tokio::time::timeout(wait, youngest.wait_for(|youngest| *youngest > tid)).await.is_ok() {
                tokio::time::sleep(BEHIND).await;
            } else {
                let mut seen = held.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.left = seen.left.saturating_sub(wait);
            }
            held.seen.lock().unwrap_or_else(PoisonError::into_inner).held.remove(&tid);
            held.gone_on(tid);
            NotifAction::Continue
        })
    }

    /// This one writes now.
    fn gone_on(&self, tid: u32) {
        self.youngest.send_if_modified(|youngest| {
            let younger = tid > *youngest;
            *youngest = tid.max(*youngest);
            younger
        });
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
