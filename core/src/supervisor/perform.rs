//! Performs calls on their guest's behalf, in the guests' own Landlock domain, and never lets one that waits delay
//! another.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::Run;
use super::answer::{Asked, settle};
use super::attribute::Attributing;
use super::call::Call;
use super::process_status::ProcessStatus;
use super::request::Pin;
use crate::Errno;
use crate::capability::{Answer, Performed};
use crate::guest::pinned::path_of;
use crate::guest::{Found, OpenRequest, Opened, Refusal, process, view};
use crate::plan::Ask;
use crate::sys::{pidfd, thread};
use crate::trace::{BytesText, Origin};

/// A call that all handlers have let pass, to be performed by a thread of the domain.
pub(crate) struct Job {
    pub(super) call: Call,
    pub(super) ask: Ask,
}

/// How often an open may find that somebody else has just created, or removed, its file.
const TURNS: usize = 16;

impl Call {
    /// Opens what was pinned.
    pub(crate) fn perform_open(&mut self) -> Answer {
        // What nobody has pinned, nobody has judged.
        if self.pin.is_none()
            && let Some(answer) = self.open_at_once()
        {
            return answer;
        }
        for _ in 0..TURNS {
            self.pinned();
            let (request, found) = match self.pin.take() {
                Some(Pin::Open(request, found)) => (request, found),
                Some(Pin::Failed(errno)) => return failed(errno.into()),
                _ => return Answer::Pass,
            };
            let umask = match self.umask_for(&request, &found) {
                Ok(umask) => umask,
                Err(errno) => return failed(errno.into()),
            };
            if !self.still_waits() {
                return failed(Errno::ESRCH.into());
            }
            // The kernel takes the descriptor before it looks at the path. What would be seen of an open that comes to
            // nothing must not happen.
            let leaves_a_trace =
                matches!(found, Found::Missing { .. }) || request.flags & libc::O_TRUNC as u64 != 0;
            if leaves_a_trace && self.has_no_descriptor_left() {
                return failed(Errno::EMFILE.into());
            }
            let cloexec = request.flags & libc::O_CLOEXEC as u64 != 0;
            let folder = self.note_folder(&found);
            match request.perform(found, umask) {
                Ok(Opened::Again) => {
                    self.pin_again();
                    // What is there now was not judged yet.
                    if let Some(refused) = self.judge_again() {
                        return refused;
                    }
                }
                // Such a call runs in the kernel. Flags that lie in memory could be others by then, and give content.
                Ok(Opened::Path) if self.flags_in_memory() => return Answer::errno(Errno::ENOSYS),
                Ok(opened) => {
                    if let Opened::File(fd) = &opened {
                        self.note_open(fd, folder, request.flags);
                        self.brings(fd, request.flags);
                    }
                    return Answer::Performed(Performed::Opened(opened, cloexec));
                }
                Err(refusal) => return failed(refusal),
            }
        }
        failed(Errno::EAGAIN.into())
    }

    /// Whether the guest's table of descriptors is full. Three kernel calls where the last number is free, as it nearly
    /// always is. A guest that can't be asked is taken for one that has room.
    fn has_no_descriptor_left(&self) -> bool {
        let tid = self.notif.pid;
        let Ok(limit) = pidfd::descriptor_limit(tid) else { return false };
        let Some(last) = limit.checked_sub(1) else { return true };
        if i32::try_from(last).is_err() || process::get_fd(tid, last as i32).is_err() {
            return false;
        }
        // A program may have put one there and left others free: they are counted by a thread that may list them.
        let counted = self.run.errand(move || {
            let numbers = std::fs::read_dir(format!("/proc/{tid}/fd")).ok()?;
            let number = |name: std::ffi::OsString| name.to_str()?.parse::<u64>().ok();
            Some(
                numbers
                    .flatten()
                    .filter_map(|entry| number(entry.file_name()))
                    .filter(|fd| *fd < limit)
                    .count(),
            )
        });
        matches!(counted, Ok(Some(count)) if count as u64 >= limit)
    }

    fn open_at_once(&mut self) -> Option<Answer> {
        let request = self.open_request().ok()?;
        if !self.still_waits() {
            return Some(failed(Errno::ESRCH.into()));
        }
        let fd = request.at_once()?;
        self.brings(&fd, request.flags);
        if self.is_shown() {
            self.target = path_of(&fd).ok().map(BytesText);
        }
        let cloexec = request.flags & libc::O_CLOEXEC as u64 != 0;
        Some(Answer::Performed(Performed::Opened(Opened::File(fd), cloexec)))
    }

    /// Changes names or lengths of what was pinned.
    pub(crate) fn perform_change(&mut self) -> Answer {
        for _ in 0..TURNS {
            self.pinned();
            if !self.still_waits() {
                return failed(Errno::ESRCH.into());
            }
            match self.pin.take() {
                Some(Pin::Change(prepared)) if prepared.may_block() => {
                    self.note_change(&prepared);
                    return Answer::Performed(Performed::Waiting(prepared));
                }
                Some(Pin::Change(prepared)) => match prepared.perform() {
                    Ok(changed) => {
                        if changed.rebound {
                            self.run.note(format!("{} met another file than was judged", self.syscall()));
                        }
                        self.note_change(&prepared);
                        return Answer::Performed(Performed::Value(0));
                    }
                    // Another guest's change came between. What is there now was not judged yet.
                    Err(Refusal { errno: Errno::EAGAIN, .. }) => {
                        self.pin_again();
                        if let Some(refused) = self.judge_again() {
                            return refused;
                        }
                    }
                    Err(refusal) => return failed(refusal),
                },
                Some(Pin::Failed(errno)) => return failed(errno.into()),
                _ => return Answer::Pass,
            }
        }
        failed(Errno::EAGAIN.into())
    }

    /// Changes or reads attributes of what was pinned.
    pub(crate) fn perform_attribute(&mut self) -> Answer {
        self.pinned();
        if !self.still_waits() {
            return failed(Errno::ESRCH.into());
        }
        let Attributing { work, room } = match self.pin.take() {
            Some(Pin::Attributes(attributing)) => attributing,
            Some(Pin::Nothing) => return Answer::Performed(Performed::Value(0)),
            Some(Pin::Failed(errno)) => return failed(errno.into()),
            _ => return Answer::Pass,
        };
        let told = work.perform();
        if told.is_ok() {
            self.note_attribute(work.file(), work.work());
        }
        let told = told.and_then(|told| self.write(room, &told.bytes).map(|()| told.value));
        match told {
            Ok(value) => Answer::Performed(Performed::Value(value)),
            Err(errno) => failed(errno.into()),
        }
    }

    /// Whether what was resolved was this guest's: its number may have been given to another meanwhile.
    pub(super) fn still_waits(&self) -> bool {
        self.run.listener().is_ok_and(|listener| listener.is_waiting(self.notif.id))
    }

    /// The guest's umask, if a file may be created.
    fn umask_for(&mut self, request: &OpenRequest, found: &Found) -> Result<u32, Errno> {
        let creates = matches!(found, Found::Missing { .. })
            || request.flags & libc::O_TMPFILE as u64 == libc::O_TMPFILE as u64;
        if creates { self.umask() } else { Ok(crate::launch::UMASK) }
    }

    /// The guest's umask.
    pub(crate) fn umask(&mut self) -> Result<u32, Errno> {
        if !self.run.umask_changed.load(Ordering::Acquire) {
            return Ok(crate::launch::UMASK);
        }
        let tid = self.notif.pid;
        self.run.errand(move || {
            let status = ProcessStatus::of(tid).map_err(|error| Errno::of(&error))?;
            u32::from_str_radix(status.field("Umask").ok_or(Errno::EIO)?, 8).map_err(|_| Errno::EIO)
        })?
    }

    /// A guest changes its umask: from now on it must be asked for.
    pub(crate) fn umask_changes(&self) {
        self.run.umask_changed.store(true, Ordering::Release);
    }

    fn judge_again(&mut self) -> Option<Answer> {
        let run = Arc::clone(&self.run);
        run.plan.judge(self).map(|(_, answer)| answer)
    }
}

fn failed(refusal: Refusal) -> Answer {
    Answer::Performed(Performed::Failed { errno: refusal.errno, by_landlock: refusal.by_landlock })
}

/// Performs a call and answers it.
pub(super) fn perform(mut call: Call, ask: &Ask) {
    let run = Arc::clone(&call.run);
    let answer = run.plan.ask(ask, &mut call);
    let asked = Asked { by: ask.origin(), grounds: ask.grounds };
    match answer {
        Answer::Performed(Performed::Opened(Opened::MayBlock(blocking), cloexec)) => {
            elsewhere(call, asked, move || match blocking.open() {
                Ok(fd) => Answer::Performed(Performed::Opened(Opened::File(fd), cloexec)),
                Err(refusal) => failed(refusal),
            });
        }
        Answer::Performed(Performed::Waiting(prepared)) => {
            elsewhere(call, asked, move || match prepared.perform() {
                Ok(_) => Answer::Performed(Performed::Value(0)),
                Err(refusal) => failed(refusal),
            });
        }
        answer => settle(call, answer, asked),
    }
}

/// Serves threads that stand outside of the domain. Call it from the worker: the new thread inherits the domain.
pub(super) fn start_performer(run: &Run) -> Result<(), Errno> {
    let (give, take) = mpsc::channel::<Job>();
    let view = view::current();
    std::thread::Builder::new()
        .name("assize-perform".to_owned())
        .spawn(move || {
            // Its umask must not be the worker's.
            if thread::unshare_fs().is_err() {
                return;
            }
            if let Some(view) = view {
                view::enter(view);
            }
            for job in take {
                perform(job.call, &job.ask);
            }
        })
        .map_err(|error| Errno::of(&error))?;
    let _ = run.performer.set(give);
    Ok(())
}

/// Carries a call out on a thread of its own, which inherits the domain, and gives it up when the guest is gone.
fn elsewhere(call: Call, asked: Asked, carry_out: impl FnOnce() -> Answer + Send + 'static) {
    let run = Arc::clone(&call.run);
    let Some(slot) = super::answer::Slot::take(&run) else {
        let full = Asked { by: Origin::Supervisor("64 answers are pending".into()), ..asked };
        return settle(call, Answer::errno(Errno::EAGAIN), full);
    };
    let id = call.notif.id;
    let guest = call.notif.pid;
    let done = Arc::new(AtomicBool::new(false));
    let (told, ready) = mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new().name("assize-open".to_owned()).stack_size(256 << 10).spawn({
        let done = Arc::clone(&done);
        move || {
            let _slot = slot;
            let _ = told.send(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
            let answer = thread::interruptible(carry_out);
            done.store(true, Ordering::Release);
            settle(call, answer, asked);
        }
    });
    if spawned.is_err() {
        // The call went with the thread that was not made: its guest gets an error, not silence.
        if let Ok(listener) = run.listener() {
            let _ = listener.reply(id, crate::sys::seccomp::Reply::Value(-i64::from(Errno::EAGAIN.value())));
        }
        return;
    }
    let Ok(tid) = ready.recv() else { return };
    run.runtime.spawn({
        let run = Arc::clone(&run);
        async move {
            while !done.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let waits = run.listener().is_ok_and(|listener| listener.is_waiting(id));
                let over = !waits || run.has_ended() || is_dying(guest);
                if over && !done.load(Ordering::Acquire) {
                    thread::interrupt(tid);
                }
            }
        }
    });
}

/// Signals that end no process by themselves: SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH.
const HARMLESS: u64 = signal_bit(libc::SIGCHLD)
    | signal_bit(libc::SIGCONT)
    | signal_bit(libc::SIGSTOP)
    | signal_bit(libc::SIGTSTP)
    | signal_bit(libc::SIGTTIN)
    | signal_bit(libc::SIGTTOU)
    | signal_bit(libc::SIGURG)
    | signal_bit(libc::SIGWINCH);

const fn signal_bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Whether a signal waits for this thread that will end its process. A thread that is traced does not leave its wait
/// for it: the kernel wakes it only for SIGKILL.
fn is_dying(tid: u32) -> bool {
    let Ok(status) = ProcessStatus::of(tid) else { return false };
    let set = |name: &str| status.field(name).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
    let pending = set("SigPnd") | set("ShdPnd");
    pending & !(set("SigBlk") | set("SigIgn") | set("SigCgt") | HARMLESS) != 0
}
