//! When and where a thread of any process runs.

use crate::Errno;

/// The highest priority that a run uses. An ordinary user needs as high a limit (`RLIMIT_RTPRIO`).
pub(crate) const HIGHEST: i32 = 3;

/// Gives a thread a real-time priority, by which it runs until it waits (`man 7 sched`, `SCHED_FIFO`).
pub(crate) fn first_in_first_out(tid: u32, priority: i32) -> Result<(), Errno> {
    set(tid, libc::SCHED_FIFO, priority)
}

/// Gives a thread the ordinary one.
pub(crate) fn ordinary(tid: u32) -> Result<(), Errno> {
    set(tid, libc::SCHED_OTHER, 0)
}

fn set(tid: u32, policy: i32, priority: i32) -> Result<(), Errno> {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: the structure lives on this stack and is read only.
    let result = unsafe { libc::sched_setscheduler(tid.cast_signed(), policy, &raw const param) };
    if result < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(()) }
}
