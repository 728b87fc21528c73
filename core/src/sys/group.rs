//! Sessions and process groups, as numbers.
//!
//! 0 is a number like another here: it is how the kernel names a session or a group whose leader stands outside of the
//! caller's pid namespace (`man 7 pid_namespaces`), and a supervisor that a container's init started is in such a one.

use crate::Errno;

/// The session of a process, or 0 if it comes from outside (`man 2 getsid`).
///
/// # Errors
/// `ESRCH`: there is no such process.
pub(crate) fn session_of(pid: u32) -> Result<i32, Errno> {
    // SAFETY: no memory is involved.
    number(unsafe { libc::getsid(pid.cast_signed()) })
}

/// The caller's own session, or 0 if it comes from outside.
pub(crate) fn own_session() -> i32 {
    // SAFETY: no memory is involved. For the caller itself this can't fail.
    unsafe { libc::getsid(0) }
}

/// The process group of a process, or 0 if it comes from outside (`man 2 getpgid`).
///
/// # Errors
/// `ESRCH`: there is no such process.
pub(crate) fn group_of(pid: u32) -> Result<i32, Errno> {
    // SAFETY: no memory is involved.
    number(unsafe { libc::getpgid(pid.cast_signed()) })
}

/// The caller's own process group, or 0 if it comes from outside.
pub(crate) fn own_group() -> i32 {
    // SAFETY: no memory is involved, and getpgrp(2) can't fail.
    unsafe { libc::getpgrp() }
}

fn number(result: i32) -> Result<i32, Errno> {
    if result < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(result) }
}
