//! Asks the handlers that were given to the run.
//!
//! Each call gets a thread of the runtime's blocking pool, outside of the guests' confinement: a handler that sleeps or
//! blocks delays its own caller and nobody else.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::answer::{Asked, let_run, settle};
use super::call::Call;
use super::perform::Job;
use crate::capability::Answer;
use crate::handler::HandlerCtx;
use crate::plan::Ask;
use crate::trace::{Grounds, Origin};
use crate::{Errno, NotifAction};

/// Asks `handlers` in their order; then the call is performed, or runs.
pub(super) fn ask(call: Call, handlers: Arc<[usize]>, perform: Option<Ask>) {
    let run = Arc::clone(&call.run);
    let runtime = run.runtime.clone();
    // Not from here: a thread that this one starts would be confined like it, and serve others later.
    runtime.spawn(async move {
        let Ok(notif_fd) = run.listener().map(|listener| listener.as_fd().as_raw_fd()) else { return };
        let cx = HandlerCtx { notif: call.notif, notif_fd };
        let asked = Arc::new(AtomicUsize::new(0));
        let task = tokio::task::spawn_blocking({
            let (run, asked) = (Arc::clone(&run), Arc::clone(&asked));
            move || {
                tokio::runtime::Handle::current().block_on(async {
                    for index in handlers.iter().copied() {
                        asked.store(index, Ordering::Release);
                        let Some(handler) = run.handlers.get(index) else { continue };
                        let action = tokio::select! {
                            action = handler.handle(&cx) => action,
                            () = run.wait_ended() => return NotifAction::Hold,
                        };
                        if !matches!(action, NotifAction::Continue) {
                            return action;
                        }
                    }
                    NotifAction::Continue
                })
            }
        });
        let action = task.await;
        let index = asked.load(Ordering::Acquire);
        let by_handler = Asked { by: Origin::Handler(index), grounds: Grounds::Emulated };
        match action {
            Ok(NotifAction::Continue) => go_on(call, perform),
            Ok(action) => settle(call, Answer::Done(action), by_handler),
            Err(_) => {
                run.note(format!("handler {index} panicked on {}", call.syscall()));
                let by = Origin::Supervisor(format!("handler {index} panicked").into());
                settle(call, Answer::errno(Errno::EIO), Asked { by, grounds: Grounds::Emulated });
            }
        }
    });
}

/// All have let it pass.
fn go_on(call: Call, perform: Option<Ask>) {
    let Some(ask) = perform else { return let_run(call) };
    let run = Arc::clone(&call.run);
    // The call goes to a thread of the guests' domain. Without one it must not run unperformed.
    if let Some(performer) = run.performer.get() {
        let _ = performer.send(Job { call, ask });
    } else {
        let by = Origin::Supervisor("nobody can perform the call".into());
        settle(call, Answer::errno(Errno::EIO), Asked { by, grounds: Grounds::Pinned });
    }
}
