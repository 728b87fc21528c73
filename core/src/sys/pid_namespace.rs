//! Numbers of processes from one pid namespace to another (`man 2 ioctl_nsfs`; Linux 6.11).

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::Errno;

/// `_IOR(0xb7, nr, int)`.
const fn request(nr: libc::c_ulong) -> libc::c_ulong {
    0x8004_b700 | nr
}

/// `NS_GET_PID_FROM_PIDNS`.
const TID_FROM: libc::c_ulong = request(6);
/// `NS_GET_TGID_FROM_PIDNS`.
const TGID_FROM: libc::c_ulong = request(7);
/// `NS_GET_PID_IN_PIDNS`.
const TID_IN: libc::c_ulong = request(8);
/// `NS_GET_TGID_IN_PIDNS`.
const TGID_IN: libc::c_ulong = request(9);

/// What the process of the caller's thread `tid` is called in `namespace`.
///
/// # Errors
/// `ESRCH`: there is none, or it is not in there.
pub(crate) fn tgid_in(namespace: BorrowedFd<'_>, tid: u32) -> Result<u32, Errno> {
    translated(namespace, TGID_IN, tid)
}

/// What the caller's thread `tid` is called in `namespace`.
///
/// # Errors
/// `ESRCH`: there is none, or it is not in there.
pub(crate) fn tid_in(namespace: BorrowedFd<'_>, tid: u32) -> Result<u32, Errno> {
    translated(namespace, TID_IN, tid)
}

/// What the caller calls the thread that is called `tid` in `namespace`.
///
/// # Errors
/// `ESRCH`: there is none.
pub(crate) fn tid_from(namespace: BorrowedFd<'_>, tid: u32) -> Result<u32, Errno> {
    translated(namespace, TID_FROM, tid)
}

/// What the caller calls the process of the thread that is called `tid` in `namespace`.
///
/// # Errors
/// `ESRCH`: there is none.
pub(crate) fn tgid_from(namespace: BorrowedFd<'_>, tid: u32) -> Result<u32, Errno> {
    translated(namespace, TGID_FROM, tid)
}

fn translated(namespace: BorrowedFd<'_>, request: libc::c_ulong, number: u32) -> Result<u32, Errno> {
    // SAFETY: these requests take a number and no pointer.
    let found = unsafe { libc::ioctl(namespace.as_raw_fd(), request, libc::c_ulong::from(number)) };
    match u32::try_from(found) {
        Ok(0) => Err(Errno::ESRCH),
        Ok(number) => Ok(number),
        Err(_) => Err(Errno::of(&std::io::Error::last_os_error())),
    }
}
