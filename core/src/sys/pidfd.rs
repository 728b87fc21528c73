//! What a pidfd tells of its process (`man 2 pidfd_open`, `linux/pidfd.h`).

use std::os::fd::{AsFd, AsRawFd};

use crate::Errno;

/// `struct pidfd_info`, in its first published size.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PidfdInfo {
    pub(crate) mask: u64,
    pub(crate) cgroupid: u64,
    pub(crate) pid: u32,
    pub(crate) tgid: u32,
    pub(crate) ppid: u32,
    pub(crate) ruid: u32,
    pub(crate) rgid: u32,
    pub(crate) euid: u32,
    pub(crate) egid: u32,
    pub(crate) suid: u32,
    pub(crate) sgid: u32,
    pub(crate) fsuid: u32,
    pub(crate) fsgid: u32,
    pub(crate) exit_code: i32,
}

/// `PIDFD_INFO_PID`.
pub(crate) const INFO_PID: u64 = 1 << 0;
/// `PIDFD_INFO_EXIT`.
pub(crate) const INFO_EXIT: u64 = 1 << 3;
/// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`; the kernel takes the size from the number.
const PIDFD_GET_INFO: libc::c_ulong = 0xc000_ff0b | ((size_of::<PidfdInfo>() as libc::c_ulong) << 16);
/// `PIDFD_THREAD`: one thread instead of a process, by the number of any thread.
pub(crate) const PIDFD_THREAD: u32 = libc::O_EXCL as u32;

/// `PIDFD_GET_INFO` with `mask` asked for. What was given stands in the answer's own mask.
pub(crate) fn info(pidfd: impl AsFd, mask: u64) -> Result<PidfdInfo, Errno> {
    let mut info = PidfdInfo { mask, ..PidfdInfo::default() };
    // SAFETY: the request's size field is that of `info`, a plain struct that lives and is writable for the call.
    let done = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    if done < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(info) }
}

/// How many descriptors the process of this thread may have: its soft limit (`man 2 prlimit`).
pub(crate) fn descriptor_limit(tid: u32) -> Result<u64, Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new limit is given; the old one is written to a live struct.
    let done =
        unsafe { libc::prlimit64(tid.cast_signed(), libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit) };
    if done < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(limit.rlim_cur) }
}
