//! A guest's process: its numbers, its end, its descriptors. Reads no file, since a confined supervisor can't.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, statat};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::pinned::identity;
use crate::Errno;
use crate::sys::pidfd;

/// The thread that made a call, and its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guest {
    /// The thread, as the supervisor's pid namespace numbers it.
    pub tid: u32,
    /// Its process (its thread group's leader).
    pub tgid: u32,
}

impl Guest {
    /// The guest that this thread belongs to. Two kernel calls and a close; worth keeping per thread.
    ///
    /// # Errors
    /// As [`open`] and [`info`].
    pub fn of(tid: u32) -> Result<Self, Errno> {
        let info = info(open(tid)?)?;
        Ok(Self { tid, tgid: info.tgid })
    }
}

/// What is known of a process or thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its number; a thread's own, if the descriptor is for a thread. 0 once it was reaped.
    pub pid: u32,
    /// Its thread group. 0 once it was reaped.
    pub tgid: u32,
    /// Its parent. 0 once it was reaped, or if the parent is outside of the supervisor's pid namespace.
    pub ppid: u32,
    /// Its wait status (`man 2 wait`), once it was reaped: Linux 6.15 and later.
    pub exit: Option<i32>,
}

/// A descriptor for the thread `tid`, which needn't be its process's leader. Needs Linux 6.9.
///
/// # Errors
/// `ESRCH`: there is no such thread (any more). `EINVAL`: an older kernel.
pub fn open(tid: u32) -> Result<OwnedFd, Errno> {
    let pid = i32::try_from(tid).ok().and_then(Pid::from_raw).ok_or(Errno::ESRCH)?;
    Ok(pidfd_open(pid, PidfdFlags::from_bits_retain(pidfd::PIDFD_THREAD))?)
}

/// What is known of the process or thread behind a pidfd. One kernel call. Needs Linux 6.13.
///
/// # Errors
/// `ESRCH`: it was reaped, and this kernel doesn't keep its status. `ENOTTY`: an older kernel.
pub fn info(pidfd: impl AsFd) -> Result<ProcessInfo, Errno> {
    let info = pidfd::info(pidfd, pidfd::INFO_PID | pidfd::INFO_EXIT)?;
    let exit = (info.mask & pidfd::INFO_EXIT != 0).then_some(info.exit_code);
    Ok(ProcessInfo { pid: info.pid, tgid: info.tgid, ppid: info.ppid, exit })
}

/// Whether the thread `tid` belongs to a process beneath `ancestor`, as far as can be seen: an orphan belongs to whoever
/// took it in.
#[must_use]
pub fn descends(tid: u32, ancestor: u32) -> bool {
    // Nobody's parents are so many; a loop can only be made of numbers that were given anew meanwhile.
    const MOST: usize = 4096;
    let mut at = tid;
    for _ in 0..MOST {
        let Ok(info) = open(at).and_then(info) else { return false };
        if info.ppid == ancestor {
            return true;
        }
        if info.ppid == 0 {
            return false;
        }
        at = info.ppid;
    }
    false
}

/// A duplicate of the descriptor `fd` of the thread `tid`, which needn't be its process's leader.
///
/// # Errors
/// `EBADF`: it has no such descriptor. `ESRCH`: it is gone. `EPERM`: it is not dumpable, or not in the caller's
/// Landlock domain.
pub fn get_fd(tid: u32, fd: i32) -> Result<OwnedFd, Errno> {
    // Many calls of one guest follow each other. A pidfd stands for its thread alone, even if the number is given to another.
    thread_local! {
        static LAST: RefCell<Option<(u32, OwnedFd)>> = const { RefCell::new(None) };
    }
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    LAST.with_borrow_mut(|last| {
        if let Some((known, pidfd)) = last
            && *known == tid
        {
            match pidfd_getfd(&*pidfd, fd, PidfdGetfdFlags::empty()) {
                Err(rustix::io::Errno::SRCH) => {}
                found => return Ok(found?),
            }
        }
        let pidfd = open(tid)?;
        let found = pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty());
        *last = Some((tid, pidfd));
        Ok(found?)
    })
}

/// Whether the thread `tid` is in the caller's own user namespace, where ids mean the same. Two kernel calls.
///
/// # Errors
/// `ENOENT`: it is gone. `EACCES`: it is not dumpable, or not in the caller's Landlock domain.
pub fn shares_user_namespace(tid: u32) -> Result<bool, Errno> {
    let namespace = |of: &str| statat(CWD, format!("/proc/{of}/ns/user"), AtFlags::empty());
    Ok(identity(&namespace(&tid.to_string())?) == identity(&namespace("thread-self")?))
}
