//! A guest's memory, for handlers.
#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use crate::Errno;
use crate::sys::{memory, seccomp};

/// Why a guest's memory could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The guest died, or the call was answered or interrupted meanwhile: whatever was read may belong to another.
    #[error("the guest's call is gone")]
    Gone,
    /// The address is not mapped, or not so.
    #[error("{errno} at {address:#x} in the guest")]
    Fault {
        /// Where.
        address: u64,
        /// Usually `EFAULT`.
        errno: Errno,
    },
    /// No terminating zero within the limit.
    #[error("no end of the string at {address:#x} within {limit} bytes")]
    Unterminated {
        /// Where it starts.
        address: u64,
        /// How far was looked.
        limit: usize,
    },
}

impl MemoryError {
    /// What the kernel would answer to a call with such a pointer.
    #[must_use]
    pub fn errno(self) -> Errno {
        match self {
            Self::Gone => Errno::ESRCH,
            Self::Fault { errno, .. } => errno,
            Self::Unterminated { .. } => Errno::ENAMETOOLONG,
        }
    }
}

/// Reads exactly `len` bytes at `addr` in the guest `pid` (`man 2 process_vm_readv`).
///
/// That the call still waits is checked before and after, so the bytes are those of the guest that asked.
///
/// # Errors
/// [`MemoryError`]; also if the guest died during the read.
pub fn read_child_mem(
    notif_fd: RawFd,
    id: u64,
    pid: u32,
    addr: u64,
    len: usize,
) -> Result<Vec<u8>, MemoryError> {
    while_waiting(notif_fd, id, || {
        // A guest names the length: memory is taken as it is read, not as it is asked for.
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let start = bytes.len();
            bytes.resize(len.min(start + (1 << 20)), 0);
            let at = addr.wrapping_add(start as u64);
            let fault = |errno| MemoryError::Fault { address: addr, errno };
            if memory::read(pid, at, &mut bytes[start..]).map_err(fault)? < bytes.len() - start {
                return Err(fault(Errno::EFAULT));
            }
        }
        Ok(bytes)
    })
}

/// Reads the string at `addr`, without its terminating zero: at most `max_len` bytes with it.
///
/// Strings of a guest are bytes: a path need not be UTF-8. Nothing past the page of the terminating zero is needed.
///
/// # Errors
/// [`MemoryError`].
pub fn read_child_cstr(
    notif_fd: RawFd,
    id: u64,
    pid: u32,
    addr: u64,
    max_len: usize,
) -> Result<Vec<u8>, MemoryError> {
    while_waiting(notif_fd, id, || cstr(pid, addr, max_len))
}

/// Writes `bytes` at `addr` in the guest `pid`, where the guest itself could write.
///
/// # Errors
/// [`MemoryError`]; a part may then have been written.
pub fn write_child_mem(
    notif_fd: RawFd,
    id: u64,
    pid: u32,
    addr: u64,
    bytes: &[u8],
) -> Result<(), MemoryError> {
    while_waiting(notif_fd, id, || {
        let fault = |errno| MemoryError::Fault { address: addr, errno };
        let written = memory::write(pid, addr, bytes).map_err(fault)?;
        if written < bytes.len() { Err(fault(Errno::EFAULT)) } else { Ok(()) }
    })
}

fn while_waiting<T>(
    notif_fd: RawFd,
    id: u64,
    work: impl FnOnce() -> Result<T, MemoryError>,
) -> Result<T, MemoryError> {
    if !seccomp::is_waiting(notif_fd, id) {
        return Err(MemoryError::Gone);
    }
    let result = work();
    if seccomp::is_waiting(notif_fd, id) { result } else { Err(MemoryError::Gone) }
}

/// The string at `address`, page by page, so that a string at the end of the last mapped page is whole.
pub(crate) fn cstr(pid: u32, address: u64, limit: usize) -> Result<Vec<u8>, MemoryError> {
    let mut text = Vec::new();
    while text.len() < limit {
        let start = text.len();
        // Most paths are short: one small read first.
        let piece = if start == 0 { 256 } else { 4096 }.min(limit - start);
        text.resize(start + piece, 0);
        let at = address.wrapping_add(start as u64);
        let got = memory::read(pid, at, &mut text[start..])
            .map_err(|errno| MemoryError::Fault { address, errno })?;
        if let Some(end) = text[start..start + got].iter().position(|byte| *byte == 0) {
            text.truncate(start + end);
            return Ok(text);
        }
        if got < piece {
            return Err(MemoryError::Fault { address, errno: Errno::EFAULT });
        }
    }
    Err(MemoryError::Unterminated { address, limit })
}

/// Duplicates descriptor `fd` of the guest thread `pid`, which needn't be its process's leader (`man 2 pidfd_getfd`).
///
/// # Errors
/// [`DupError`].
pub fn dup_child_fd(notif_fd: RawFd, id: u64, pid: u32, fd: RawFd) -> Result<std::os::fd::OwnedFd, DupError> {
    let copy = while_waiting(notif_fd, id, || Ok(crate::guest::process::get_fd(pid, fd)));
    copy.map_err(|_| DupError::Gone)?.map_err(|errno| DupError::Refused { fd, errno })
}

/// Why a guest's descriptor could not be duplicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DupError {
    /// The guest died, or the call was answered or interrupted meanwhile.
    #[error("the guest's call is gone")]
    Gone,
    /// The kernel refused.
    #[error("descriptor {fd} of the guest can't be duplicated: {errno}")]
    Refused {
        /// Its number in the guest.
        fd: RawFd,
        /// `EBADF`: it is not open. `EPERM`: the guest is not dumpable.
        errno: Errno,
    },
}
