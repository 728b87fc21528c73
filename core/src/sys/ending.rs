//! Signals that ask this process to end: taken by one thread, so that there is time to tidy up, and given their effect
//! after all.

use std::io;
use std::mem::zeroed;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

/// Those that a person or a service manager sends, and that a process can take.
const ASKING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The signals that this process was not started to ignore, blocked: they wait until they are taken.
#[derive(Debug)]
pub struct Endings {
    set: libc::sigset_t,
}

/// A signal that asked this process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Which.
    pub signal: i32,
    /// The kernel sent it, as it does to everybody in the terminal's foreground when a person types Ctrl-C or hangs up.
    pub by_kernel: bool,
}

/// Blocks SIGHUP, SIGINT, SIGQUIT and SIGTERM for the calling thread and for all that it starts. To be called before
/// any other thread is: one that doesn't block them ends the process as before.
///
/// What this process was started to ignore, as by `nohup`, it goes on ignoring.
#[must_use]
pub fn block() -> Endings {
    // SAFETY: the set and the action live on this stack and are filled before they are read.
    unsafe {
        let mut set = zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        for signal in ASKING {
            let mut action = zeroed::<libc::sigaction>();
            let asked = libc::sigaction(signal, ptr::null(), &raw mut action);
            if asked == 0 && action.sa_sigaction != libc::SIG_IGN {
                libc::sigaddset(&raw mut set, signal);
            }
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
        Endings { set }
    }
}

impl Endings {
    /// Waits for the next one.
    #[must_use]
    pub fn wait(&self) -> Ending {
        loop {
            // SAFETY: the set is ours and initialised; the information is written to this stack.
            let (signal, code) = unsafe {
                let mut info = zeroed::<libc::siginfo_t>();
                (libc::sigwaitinfo(&raw const self.set, &raw mut info), info.si_code)
            };
            if signal > 0 {
                return Ending { signal, by_kernel: code == libc::SI_KERNEL };
            }
        }
    }
}

/// Has what `command` starts take the signals that [`block`] holds back here: a child inherits what is blocked, and could not be asked
/// to end. And has it killed when the thread that starts it is gone; that thread so waits for it.
pub fn unblock_in(command: &mut Command) {
    let parent = std::process::id();
    let unblock = move || {
        // SAFETY: the set lives on this stack and is filled before it is read; all of these calls may be made between
        // fork and exec.
        let left_alone = unsafe {
            let mut set = zeroed::<libc::sigset_t>();
            libc::sigemptyset(&raw mut set);
            for signal in ASKING {
                libc::sigaddset(&raw mut set, signal);
            }
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::getppid().cast_unsigned() != parent
        };
        if left_alone { Err(io::Error::from_raw_os_error(libc::ESRCH)) } else { Ok(()) }
    };
    // SAFETY: it takes no memory and no lock.
    unsafe {
        command.pre_exec(unblock);
    }
}

/// Ends this process by `signal`, so that whoever waits for it sees that.
pub fn end_by(signal: i32) -> ! {
    // SAFETY: the set and the action live on this stack and are filled before they are read; the default action runs
    // no code of ours.
    unsafe {
        let mut action = zeroed::<libc::sigaction>();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
        let mut set = zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
        libc::raise(signal);
        // The first process of a pid namespace is not ended by a signal.
        libc::_exit(signal.saturating_add(128))
    }
}
