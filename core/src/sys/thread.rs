//! What one thread can do to itself alone.

use crate::Errno;

/// The calling thread's number.
pub(crate) fn id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// Gives the calling thread its own working folder and umask (`man 2 unshare`, `CLONE_FS`).
pub(crate) fn unshare_fs() -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::unshare(libc::CLONE_FS) })
}

/// `man 2 prctl`, `PR_SET_NO_NEW_PRIVS`, for the calling thread and what it clones.
pub(crate) fn no_new_privs() -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Gives up every capability(7) of the calling thread, for good: a program that it starts as root gets none either.
pub(crate) fn drop_capabilities() -> Result<(), Errno> {
    // Without CAP_SETPCAP this fails, and then there is no root whose exec would regain any.
    // SAFETY: no memory is involved.
    let _ = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, super::clone::SECUREBITS, 0, 0, 0) };
    let header = super::clone::CapHeader::own();
    let none = [0_u32; 6];
    // SAFETY: both pointers lead to what capset(2) reads for version 3: a header and two data elements.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) } as i32)
}

/// Blocks every signal for the calling thread, but for those that a fault of its own raises.
///
/// What a run's threads wait for is not to be interrupted by what is meant for the process.
pub(crate) fn block_signals() {
    // SAFETY: the set lives on this stack and is filled before it is read.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT] {
            libc::sigdelset(&raw mut all, fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}

/// Whether nobody in this process is told of the ends of children by SIGCHLD, as far as the calling thread knows: it has no
/// handler, and the thread doesn't block it, as all must for `signalfd` and `sigwait`.
pub(crate) fn drops_sigchld() -> bool {
    // SAFETY: the mask is written to a live set, and no new one given; the set is filled before it is read.
    let blocked = unsafe {
        let mut mask = std::mem::zeroed::<libc::sigset_t>();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask);
        libc::sigismember(&raw const mask, libc::SIGCHLD) == 1
    };
    !blocked && action(libc::SIGCHLD).is_some_and(|action| action.sa_sigaction == libc::SIG_DFL)
}

/// Lets the kernel drop the SIGCHLD by which it tells the calling thread of each stop of whom it traces. Blocked, it would be
/// kept for the process, and wake another thread, often on another processor, to no purpose. Only where the process
/// [drops it](drops_sigchld) anyway.
pub(crate) fn drop_signals_of_stops() {
    change_mask(libc::SIG_UNBLOCK, libc::SIGCHLD);
}

fn change_mask(how: i32, signal: i32) {
    // SAFETY: the set lives on this stack and is filled before it is read.
    unsafe {
        let mut only = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, signal);
        libc::pthread_sigmask(how, &raw const only, std::ptr::null_mut());
    }
}

/// What this process does with a signal; `None`: libc keeps it to itself.
fn action(signal: i32) -> Option<libc::sigaction> {
    // SAFETY: the old action is written to a live struct; no new one is given.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        (libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0).then_some(action)
    }
}

/// Lets [`interrupt`] interrupt the calling thread while it does `work`, and only then.
pub(crate) fn interruptible<T>(work: impl FnOnce() -> T) -> T {
    prepare_interruption();
    change_mask(libc::SIG_UNBLOCK, INTERRUPTION);
    let result = work();
    change_mask(libc::SIG_BLOCK, INTERRUPTION);
    result
}

/// Whether the signal of [`interrupt`] still interrupts: nobody else has taken it meanwhile.
pub(crate) fn can_be_interrupted() -> bool {
    prepare_interruption();
    action(INTERRUPTION).is_some_and(|action| {
        action.sa_sigaction == nothing as *const () as usize && action.sa_flags & libc::SA_RESTART == 0
    })
}

/// The signal of [`interrupt`], and of an alarm. Nothing happens where it is not handled. A realtime signal would have to be queued, and
/// could not be sent when the user's queue is full.
pub(super) const INTERRUPTION: i32 = libc::SIGURG;

/// The signals that this process ignores, or may ignore: they would stay ignored across exec.
pub(crate) fn ignored_signals() -> Vec<i32> {
    (1..=libc::SIGRTMAX())
        .filter(|signal| {
            // libc keeps these to itself and doesn't tell.
            if (32..libc::SIGRTMIN()).contains(signal) {
                return true;
            }
            action(*signal).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN)
        })
        .collect()
}

/// Interrupts a blocking call of another thread of this process, if that is [`interruptible`].
pub(crate) fn interrupt(tid: u32) {
    // SAFETY: no memory is involved; a thread that is gone gives ESRCH.
    let _ = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, INTERRUPTION) };
}

extern "C" fn nothing(_: i32) {}

fn prepare_interruption() {
    static HANDLER: std::sync::Once = std::sync::Once::new();
    HANDLER.call_once(|| {
        // SAFETY: the handler does nothing, which is async-signal-safe; without SA_RESTART the call returns EINTR.
        unsafe {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            action.sa_sigaction = nothing as *const () as usize;
            libc::sigaction(INTERRUPTION, &raw const action, std::ptr::null_mut());
        }
    });
}

fn check(result: i32) -> Result<(), Errno> {
    if result < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(()) }
}
