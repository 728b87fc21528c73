//! Another order of what runs at once: whoever writes is held up until somebody younger has written, so that those who do not
//! wait for each other write in the reverse order of their birth.
//!
//! It changes nothing that a guest reads or writes.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use assize_core::handler::HandlerFuture;
use assize_core::syscall::family;
use assize_core::{Handler, HandlerCtx, NotifAction};
use tokio::sync::watch;

use crate::runner::Handlers;

/// How long one waits for another, at least and at most: as long as the whole command took before, for on a busy machine all
/// comes later.
const LEAST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_millis(1500);
/// When the other has come, it needs this to be done.
const BEHIND: Duration = Duration::from_millis(30);
/// So long is waited in vain in all: a command of a thousand steps would take long.
const IN_VAIN: Duration = Duration::from_secs(3);

/// Handlers for whatever writes, in a command that took so long before.
pub(super) fn held_up(took: Duration) -> Handlers {
    let seen = Seen { left: IN_VAIN, ..Seen::default() };
    let held = HeldUp { seen: watch::Sender::new(seen), wait: (took * 2).clamp(LEAST, MOST) };
    let calls = family::WRITE.syscalls();
    calls.map(|call| (i64::from(call.number()), Box::new(held.clone()) as Box<dyn Handler>)).collect()
}

/// Holds up the first write of each guest.
#[derive(Clone)]
struct HeldUp {
    seen: watch::Sender<Seen>,
    wait: Duration,
}

/// What is known of the guests, by the numbers of their threads: a younger one has a higher one.
#[derive(Default)]
struct Seen {
    /// Who wants to write, or has written.
    writers: BTreeSet<u32>,
    /// Who of these is held up.
    held: BTreeSet<u32>,
    /// The youngest who has written.
    youngest: u32,
    /// How long may still be waited in vain.
    left: Duration,
}

impl Seen {
    /// Whether somebody older waits for this one.
    fn awaits(&self, tid: u32) -> bool {
        self.held.first().is_some_and(|oldest| *oldest < tid)
    }

    fn gone_on(&mut self, tid: u32) {
        self.held.remove(&tid);
        self.youngest = self.youngest.max(tid);
    }
}

impl HeldUp {
    fn answer(&self, tid: u32) -> NotifAction {
        let mut wait = self.wait;
        self.seen.send_modify(|seen| {
            let first = seen.writers.insert(tid);
            wait = wait.min(seen.left);
            if !first || seen.awaits(tid) || wait.is_zero() {
                wait = Duration::ZERO;
                seen.gone_on(tid);
            } else {
                seen.held.insert(tid);
            }
        });
        if wait.is_zero() {
            return NotifAction::Continue;
        }
        let held = self.seen.clone();
        NotifAction::defer(async move {
            let mut seen = held.subscribe();
            let behind = {
                let come = seen.wait_for(|seen| seen.youngest > tid || seen.awaits(tid));
                let came = tokio::time::timeout(wait, come).await.ok().and_then(Result::ok);
                came.map(|seen| seen.youngest > tid)
            };
            if behind == Some(true) {
                tokio::time::sleep(BEHIND).await;
            }
            held.send_modify(|seen| {
                seen.gone_on(tid);
                if behind.is_none() {
                    seen.left = seen.left.saturating_sub(wait);
                }
            });
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
