//! Gives the answer, and says so.
//!
//! An answer that can't be given becomes an errno, never a call that runs unjudged.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::call::Call;
use super::{Run, handlers};
use crate::capability::{Answer, Performed};
use crate::guest::Opened;
use crate::handler::Deferred;
use crate::outcome::Why;
use crate::sys::group;
use crate::sys::seccomp::{Listener, Reply};
use crate::syscall::family;
use crate::trace::{Action, Body, Grounds, Known, Origin, Verdict};
use crate::{Errno, NotifAction};

/// How many answers of a run may be pending.
const PENDING: usize = 64;
/// How long a deferred answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the end of a run waits for a callback that is under way.
const CALLBACK: Duration = Duration::from_secs(1);

/// Who was asked, and why what it says is sound.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) by: Origin,
    pub(super) grounds: Grounds,
}

/// What the guest got.
struct Given {
    action: Action,
    result: Option<i64>,
    known: Known,
}

/// One of the places for pending answers; free again when dropped.
pub(super) struct Slot(Arc<Run>);

impl Slot {
    pub(super) fn take(run: &Arc<Run>) -> Option<Self> {
        let taken = run.pending.fetch_update(Ordering::AcqRel, Ordering::Acquire, |pending| {
            (pending < PENDING).then_some(pending + 1)
        });
        taken.is_ok().then(|| Self(Arc::clone(run)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A callback that is to be called before the run is over; over when dropped.
struct Calling<'a>(&'a Run);

impl<'a> Calling<'a> {
    fn start(run: &'a Run) -> Self {
        run.calling.send_modify(|calling| *calling += 1);
        Self(run)
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.0.calling.send_modify(|calling| *calling -= 1);
    }
}

impl Run {
    /// Waits until all callbacks have been called, but not for one that takes its time.
    pub(crate) fn wait_called(&self) {
        let mut calling = self.calling.subscribe();
        if *calling.borrow() == 0 {
            return;
        }
        self.runtime.block_on(async {
            // Either way it is over.
            let _ = tokio::time::timeout(CALLBACK, calling.wait_for(|calling| *calling == 0)).await;
        });
    }
}

/// Lets the kernel run the call, which judges it by itself.
pub(super) fn let_run(call: Call) {
    let asked = Asked { by: Origin::Kernel, grounds: Grounds::Landlock };
    settle(call, Answer::Done(NotifAction::Continue), asked);
}

/// The call runs, and nobody wanted to see it.
pub(super) fn pass(call: &Call) {
    if let Ok(listener) = call.run.listener() {
        go_on(listener, call.notif.id);
    }
}

/// Gives the answer and records the verdict.
pub(super) fn settle(mut call: Call, answer: Answer, asked: Asked) {
    // Decoded while the guest still stands still.
    let draft = call.draft();
    let run = Arc::clone(&call.run);
    let Ok(listener) = run.listener() else { return };
    let (answer, on_success) = match answer {
        Answer::Done(NotifAction::Defer(later)) => return defer(call, draft, later, asked),
        Answer::Done(NotifAction::InjectFdSendTracked { srcfd, newfd_flags, on_success }) => {
            (Answer::Done(NotifAction::InjectFdSend { srcfd, newfd_flags }), Some(on_success))
        }
        answer => (answer, None),
    };
    // Whoever waits for the run will find that its callbacks were called.
    let _calling = on_success.is_some().then(|| Calling::start(&run));
    // The guest goes on with the answer: whatever it does next, or its end, comes after this in the trace.
    let held = draft.is_some().then(|| run.hold()).flatten();
    let (given, asked) = match answer {
        Answer::Pass => (go_on(listener, call.notif.id), asked),
        Answer::Done(action) => act(&call, listener, action, asked),
        Answer::Performed(performed) => perform(listener, call.notif.id, performed, asked),
    };
    let told = on_success.filter(|_| given.action == Action::Inject).zip(given.result);
    if let (Some(draft), Some(held)) = (draft, held) {
        held.record_after(draft.verdict(given, asked), call.received);
    }
    if let Some((on_success, number)) = told
        && catch_unwind(AssertUnwindSafe(|| on_success(number as i32))).is_err()
    {
        run.note(format!("a handler's on_success for {} panicked", call.syscall()));
    }
}

fn go_on(listener: &Listener, id: u64) -> Given {
    let _ = listener.reply(id, Reply::Continue);
    Given { action: Action::Allow, result: None, known: Known::Unknown }
}

fn errno(listener: &Listener, id: u64, errno: Errno) -> Given {
    let value = -i64::from(errno.value());
    let _ = listener.reply(id, Reply::Value(value));
    Given { action: Action::Deny(errno), result: Some(value), known: Known::Performed }
}

fn injected(listener: &Listener, id: u64, fd: &impl AsFd, cloexec: bool) -> Result<i32, Errno> {
    listener.inject_and_reply(id, fd.as_fd(), cloexec)
}

/// An injection that fails is a denial, never a call that runs. What the guest's own limits refuse, it is told.
fn not_injected(listener: &Listener, id: u64, why: Errno, asked: Asked) -> (Given, Asked) {
    let told = if why == Errno::EMFILE { Errno::EMFILE } else { Errno::EACCES };
    let by = match why {
        Errno::EMFILE => Origin::Kernel,
        why => Origin::Supervisor(format!("the descriptor could not be injected: {why}").into()),
    };
    (errno(listener, id, told), Asked { by, ..asked })
}

/// As [`not_injected`], for whoever tried by himself.
pub(super) fn refuse_injection(mut call: Call, why: Errno, asked: Asked) {
    let draft = call.draft();
    let Ok(listener) = call.run.listener() else { return };
    let held = call.run.hold();
    let (given, asked) = not_injected(listener, call.notif.id, why, asked);
    if let (Some(draft), Some(held)) = (draft, held) {
        held.record_after(draft.verdict(given, asked), call.received);
    }
}

fn perform(listener: &Listener, id: u64, performed: Performed, asked: Asked) -> (Given, Asked) {
    let known = Known::Performed;
    match performed {
        Performed::Opened(Opened::File(fd), cloexec) => match injected(listener, id, &fd, cloexec) {
            Ok(number) => (Given { action: Action::Allow, result: Some(number.into()), known }, asked),
            Err(why) => not_injected(listener, id, why, asked),
        },
        // The guest gets a descriptor that gives access to no content; what it leads to is judged when it is used.
        Performed::Opened(Opened::Path, _) => (go_on(listener, id), asked),
        // These were dealt with before: a call that was not is refused.
        Performed::Opened(Opened::MayBlock(_) | Opened::Again, _) | Performed::Waiting(_) => {
            (errno(listener, id, Errno::EAGAIN), asked)
        }
        Performed::Value(value) => {
            let _ = listener.reply(id, Reply::Value(value));
            (Given { action: Action::Allow, result: Some(value), known }, asked)
        }
        Performed::Failed { errno: why, by_landlock: true } => {
            (errno(listener, id, why), Asked { by: Origin::Landlock, ..asked })
        }
        Performed::Failed { errno: why, by_landlock: false } => {
            let given = Given { action: Action::Allow, ..errno(listener, id, why) };
            (given, Asked { by: Origin::Kernel, ..asked })
        }
    }
}

fn act(call: &Call, listener: &Listener, action: NotifAction, asked: Asked) -> (Given, Asked) {
    let id = call.notif.id;
    match action {
        NotifAction::Continue => (go_on(listener, id), asked),
        NotifAction::Errno(value) => (errno(listener, id, Errno::new(value)), asked),
        NotifAction::ReturnValue(value) => {
            let _ = listener.reply(id, Reply::Value(value));
            (Given { action: Action::Emulate(value), result: Some(value), known: Known::Performed }, asked)
        }
        NotifAction::InjectFd { srcfd, targetfd } => match listener.inject_at(id, srcfd, targetfd) {
            Ok(_) => (Given { action: Action::Inject, ..go_on(listener, id) }, asked),
            Err(why) => not_injected(listener, id, why, asked),
        },
        NotifAction::InjectFdSend { srcfd, newfd_flags } => {
            match injected(listener, id, &srcfd, newfd_flags & libc::O_CLOEXEC as u32 != 0) {
                Ok(number) => (
                    Given { action: Action::Inject, result: Some(number.into()), known: Known::Performed },
                    asked,
                ),
                Err(why) => not_injected(listener, id, why, asked),
            }
        }
        NotifAction::Hold => (Given { action: Action::Hold, result: None, known: Known::Performed }, asked),
        NotifAction::Kill { sig, pgid } => {
            let may = call.run.processes_in_group(call.notif.pid, pgid);
            if may && call.run.is_command_in_group(pgid) {
                call.run.sends(sig, Why::Handler(call.syscall()));
            }
            let sent = may && kill_group(pgid, sig);
            let given = errno(listener, id, Errno::EPERM);
            if sent {
                (Given { action: Action::Kill(sig), ..given }, asked)
            } else {
                let by = Origin::Supervisor(format!("{pgid} is no process group of a guest").into());
                (given, Asked { by, ..asked })
            }
        }
        // Dealt with before.
        NotifAction::Defer(_)
        | NotifAction::InjectOwnedFd { .. }
        | NotifAction::InjectFdSendTracked { .. } => (errno(listener, id, Errno::EIO), asked),
    }
}

fn kill_group(pgid: i32, signal: i32) -> bool {
    let signal = rustix::process::Signal::from_named_raw(signal);
    match (rustix::process::Pid::from_raw(pgid), signal) {
        (Some(group), Some(signal)) => rustix::process::kill_process_group(group, signal).is_ok(),
        _ => false,
    }
}

/// Answers later, and goes on meanwhile.
fn defer(call: Call, draft: Option<Box<Draft>>, later: Deferred, asked: Asked) {
    let run = Arc::clone(&call.run);
    let refused = if family::EXEC.contains(call.syscall()) || family::CLONE.contains(call.syscall()) {
        // Whoever waits in the middle of these holds more than itself.
        Some((Errno::EPERM, "an exec or the creation of a process can't be deferred"))
    } else {
        None
    };
    let slot = if refused.is_none() { Slot::take(&run) } else { None };
    let refused = refused.or_else(|| slot.is_none().then_some((Errno::EAGAIN, "64 answers are pending")));
    let Deferred { later, refused: told } = later;
    if let Some((errno, why)) = refused {
        if let Some(told) = told
            && catch_unwind(AssertUnwindSafe(|| told(errno))).is_err()
        {
            run.note(format!("what a handler wants to be told of {} panicked", call.syscall()));
        }
        return settle(call, Answer::errno(errno), Asked { by: Origin::Supervisor(why.into()), ..asked });
    }
    if let Some(draft) = draft {
        let given = Given { action: Action::Defer, result: None, known: Known::Performed };
        run.record(|| draft.verdict(given, asked.clone()));
    }
    let runtime = run.runtime.clone();
    // Whoever has the answer, or has lost patience, takes the call.
    let call = Arc::new(Mutex::new(Some(call)));
    let take = |call: &Mutex<Option<Call>>| call.lock().unwrap_or_else(PoisonError::into_inner).take();
    let grounds = asked.grounds;
    let late = move |call: Call, why: &'static str| {
        settle(call, Answer::errno(Errno::EIO), Asked { by: Origin::Supervisor(why.into()), grounds });
    };
    runtime.spawn(async move {
        let _slot = slot;
        // On a thread of its own: one that blocks must not keep the others waiting.
        let answered = tokio::task::spawn_blocking({
            let (run, call) = (Arc::clone(&run), Arc::clone(&call));
            move || {
                let wait = async {
                    tokio::select! {
                        action = tokio::time::timeout(PATIENCE, later) => action.ok(),
                        () = run.wait_ended() => None,
                    }
                };
                let action =
                    catch_unwind(AssertUnwindSafe(|| tokio::runtime::Handle::current().block_on(wait)));
                if let Ok(None) = action {
                    return;
                }
                let Some(call) = take(&call) else { return };
                match action {
                    Ok(None) => {}
                    Ok(Some(NotifAction::Defer(_))) => late(call, "a deferred answer was deferred again"),
                    Ok(Some(action)) => handlers::answer(call, action, asked),
                    Err(_) => {
                        run.note(format!("a deferred answer to {} panicked", call.syscall()));
                        late(call, "a deferred answer panicked");
                    }
                }
            }
        });
        tokio::select! {
            _ = tokio::time::timeout(PATIENCE, answered) => {}
            () = run.wait_ended() => return,
        }
        if let Some(call) = take(&call) {
            late(call, "a deferred answer took more than 30 s");
        }
    });
}

/// A verdict, but for the answer.
pub(super) struct Draft {
    verdict: Verdict,
}

impl Draft {
    fn verdict(mut self, given: Given, asked: Asked) -> Body {
        self.verdict.action = given.action;
        self.verdict.result = given.result;
        self.verdict.known = given.known;
        self.verdict.by = asked.by;
        self.verdict.grounds = asked.grounds;
        Body::Verdict(Box::new(self.verdict))
    }
}

impl Call {
    /// Whether somebody listens. The supervisor's own probes are nobody's business.
    pub(super) fn is_shown(&self) -> bool {
        self.run.recorder.is_some() && !self.run.is_probing()
    }

    /// What there is to say of this call, if anybody listens.
    fn draft(&mut self) -> Option<Box<Draft>> {
        if !self.is_shown() {
            return None;
        }
        let args = self.args();
        let (place, exe) = match self.run.processes().of(self.notif.pid) {
            Some((_, process)) => (Some(process.place.clone()), process.exe.clone()),
            None => (None, None),
        };
        Some(Box::new(Draft {
            verdict: Verdict {
                call: self.syscall(),
                args,
                target: self.target.take(),
                action: Action::Allow,
                by: Origin::Kernel,
                grounds: Grounds::NotSecurity,
                result: None,
                known: Known::Unknown,
                pid: self.notif.pid,
                place,
                exe,
            },
        }))
    }
}

impl Run {
    fn is_command_in_group(&self, pgid: i32) -> bool {
        let command = self.processes().command();
        command.is_some_and(|command| group::group_of(command) == Ok(pgid))
    }

    /// Whether `pgid` is a process group of guests: the caller's own, or one that a known guest is in. The supervisor's
    /// own is not, although the guests of an interactive run are in it.
    fn processes_in_group(&self, caller: u32, pgid: i32) -> bool {
        if group::own_group() == pgid {
            return false;
        }
        let in_group = |pid: u32| group::group_of(pid) == Ok(pgid);
        in_group(caller) || self.processes().pids().any(in_group)
    }
}
