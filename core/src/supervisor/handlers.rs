//! Asks the handlers that were given to the run.
//!
//! Each call gets a thread of the runtime's blocking pool, outside of the guests' confinement: a handler that sleeps or
//! blocks delays its own caller and nobody else.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::Run;
use super::answer::{Asked, let_run, refuse_injection, settle};
use super::call::Call;
use super::perform::Job;
use crate::capability::Answer;
use crate::handler::HandlerCtx;
use crate::plan::Ask;
use crate::trace::{Grounds, Origin};
use crate::{Errno, NotifAction};

/// Asks `handlers` in their order; then the call is performed, or runs.
pub(super) fn ask(call: Call, handlers: Arc<[usize]>) {
    let run = Arc::clone(&call.run);
    let runtime = run.runtime.clone();
    // Not from here: a thread that this one starts would be confined like it, and serve others later.
    runtime.spawn(async move {
        tokio::task::spawn_blocking(move || {
            let Ok(notif_fd) = run.listener().map(|listener| listener.as_fd().as_raw_fd()) else { return };
            let cx = HandlerCtx { notif: call.notif, notif_fd };
            let mut asked = 0;
            let answered = catch_unwind(AssertUnwindSafe(|| {
                let action = Handle::current().block_on(ask_each(&run, &handlers, &cx, &mut asked));
                let name = run.handlers.get(asked).and_then(|handler| handler.name());
                (action, name.map_or(Origin::Handler(asked), Origin::Named))
            }));
            match answered {
                Ok((Some(action), by)) => answer(call, action, Asked { by, grounds: Grounds::Emulated }),
                // The run is over.
                Ok((None, _)) => {}
                Err(_) => {
                    run.note(format!("handler {asked} panicked on {}", call.syscall()));
                    let by = Origin::Supervisor(format!("handler {asked} panicked").into());
                    settle(call, Answer::errno(Errno::EIO), Asked { by, grounds: Grounds::Emulated });
                }
            }
        });
    });
}

/// The first answer that is not [`NotifAction::Continue`]. `None`: the run ended first.
async fn ask_each(run: &Run, handlers: &[usize], cx: &HandlerCtx, asked: &mut usize) -> Option<NotifAction> {
    for index in handlers.iter().copied() {
        *asked = index;
        let Some(handler) = run.handlers.get(index) else { continue };
        let action = tokio::select! {
            action = handler.handle(cx) => action,
            () = run.wait_ended() => return None,
        };
        if !matches!(action, NotifAction::Continue) {
            return Some(action);
        }
    }
    Some(NotifAction::Continue)
}

/// Gives a handler's answer. A call that may go on is performed where its path was judged: what was judged, and nothing
/// else, is then used.
pub(super) fn answer(call: Call, action: NotifAction, asked: Asked) {
    match action {
        NotifAction::Continue => go_on(call),
        NotifAction::InjectFd { srcfd, targetfd } if performs(&call).is_some() => {
            let Ok(listener) = call.run.listener() else { return };
            match listener.inject_at(call.notif.id, srcfd, targetfd) {
                Ok(_) => go_on(call),
                Err(why) => refuse_injection(call, why, asked),
            }
        }
        // It is open until the guest has its copy.
        NotifAction::InjectOwnedFd { srcfd, targetfd } => {
            answer(call, NotifAction::InjectFd { srcfd: srcfd.as_raw_fd(), targetfd }, asked);
        }
        action => settle(call, Answer::Done(action), asked),
    }
}

fn performs(call: &Call) -> Option<Ask> {
    call.run.plan.entry(call.syscall()).and_then(|entry| entry.perform.clone())
}

/// All have let it pass.
fn go_on(call: Call) {
    let Some(ask) = performs(&call) else { return let_run(call) };
    let run = Arc::clone(&call.run);
    // The call goes to a thread of the guests' domain. Without one it must not run unperformed.
    let job = match run.performer.get() {
        Some(performer) => match performer.send(Job { call, ask }) {
            Ok(()) => return,
            Err(unsent) => unsent.0,
        },
        None => Job { call, ask },
    };
    let by = Origin::Supervisor("nobody can perform the call".into());
    settle(job.call, Answer::errno(Errno::EIO), Asked { by, grounds: Grounds::Pinned });
}
