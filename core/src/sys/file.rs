//! Calls on files that have no other safe wrapper.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::Errno;
use crate::syscall::Sysno;

/// `truncate(2)`.
pub(crate) fn truncate(path: &CStr, length: i64) -> Result<(), Errno> {
    // SAFETY: `path` ends in a zero and outlives the call.
    let done = unsafe { libc::truncate(path.as_ptr(), length) };
    if done < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(()) }
}

/// `file_setattr(2)`, of Linux 6.17: `attr` holds a `struct file_attr` of whatever size.
pub(crate) fn set_inode_flags(path: &CStr, attr: &[u8]) -> Result<(), Errno> {
    const FILE_SETATTR: libc::c_long = 469;
    // SAFETY: `path` ends in a zero; the kernel reads `attr.len()` bytes of `attr`, and both outlive the call.
    let done =
        unsafe { libc::syscall(FILE_SETATTR, libc::AT_FDCWD, path.as_ptr(), attr.as_ptr(), attr.len(), 0) };
    if done < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(()) }
}

/// Whether `openat2` takes these flags: the kernel checks them before it looks at the path, so an empty path asks
/// for nothing but the check.
pub(crate) fn check_open_how(flags: u64, mode: u64, resolve: u64) -> Result<(), Errno> {
    let how = [flags, mode, resolve];
    // SAFETY: `how` has the layout and the size of `struct open_how`, the path is static and ends in a zero.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, c"".as_ptr(), how.as_ptr(), size_of_val(&how))
    };
    let errno = Errno::of(&std::io::Error::last_os_error());
    // An empty path never opens, so there is no descriptor to close.
    if fd >= 0 || errno == Errno::ENOENT { Ok(()) } else { Err(errno) }
}

/// Whether a file lies in memory up to there (`cachestat(2)`, Linux 6.5). Also `false` where that isn't told.
pub(crate) fn is_in_memory(file: BorrowedFd<'_>, end: u64) -> bool {
    const PAGE: u64 = 4096;
    let range = [0, end];
    // Pages in memory, dirty, being written, and two counts of those that were there.
    let mut stat = [0_u64; 5];
    // SAFETY: the kernel reads a range of two numbers and writes five, and both live for the call.
    let done = unsafe {
        libc::syscall(Sysno::cachestat.id().into(), file.as_raw_fd(), range.as_ptr(), stat.as_mut_ptr(), 0)
    };
    done == 0 && stat[0] >= end.div_ceil(PAGE)
}

/// Takes a read lease on a file, so that whoever opens it to write must wait. It ends with the file's last descriptor.
///
/// # Errors
/// `EAGAIN` while anybody has it open to write (`man 2 fcntl`, "Leases").
pub(crate) fn lease(file: &File) -> Result<(), Errno> {
    const F_SETSIG: i32 = 10;
    // SIGIO, which tells of a lease that is to be broken, would end the process; SIGURG ends nothing.
    // SAFETY: all arguments are numbers.
    let done = unsafe {
        libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG);
        libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK)
    };
    if done < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(()) }
}
