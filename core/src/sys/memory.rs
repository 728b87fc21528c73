//! Another process's memory (`man 2 process_vm_readv`).

use crate::Errno;

const PAGE: u64 = 4096;

/// Reads at most `buffer.len()` bytes at `address` in process `pid`: as many as are mapped without a gap.
///
/// One page per piece, so that a read that runs into an unmapped page gives what lies before it.
pub(crate) fn read(pid: u32, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    transfer(pid, address, buffer.as_mut_ptr(), buffer.len(), libc::process_vm_readv)
}

/// Writes at most `bytes.len()` bytes at `address` in process `pid`, where that process could write itself.
pub(crate) fn write(pid: u32, address: u64, bytes: &[u8]) -> Result<usize, Errno> {
    transfer(pid, address, bytes.as_ptr().cast_mut(), bytes.len(), libc::process_vm_writev)
}

type Transfer = unsafe extern "C" fn(
    libc::pid_t,
    *const libc::iovec,
    libc::c_ulong,
    *const libc::iovec,
    libc::c_ulong,
    libc::c_ulong,
) -> libc::ssize_t;

fn transfer(pid: u32, address: u64, local: *mut u8, len: usize, call: Transfer) -> Result<usize, Errno> {
    const PIECES: usize = 64;
    let mut done = 0_usize;
    while done < len {
        let mut remote = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; PIECES];
        let mut pieces = 0;
        let mut planned = 0_usize;
        while pieces < PIECES && done + planned < len {
            let Some(at) = address.checked_add((done + planned) as u64) else { break };
            let room = (PAGE - at % PAGE) as usize;
            let piece = room.min(len - done - planned);
            remote[pieces] = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: piece };
            pieces += 1;
            planned += piece;
        }
        if pieces == 0 {
            break;
        }
        let here = libc::iovec { iov_base: local.wrapping_add(done).cast(), iov_len: planned };
        // SAFETY: `here` lies within the caller's buffer (`done + planned <= len`), which for a write is only read;
        // the remote addresses are checked by the kernel.
        let moved = unsafe {
            call(pid.cast_signed(), &raw const here, 1, remote.as_ptr(), pieces as libc::c_ulong, 0)
        };
        if moved < 0 {
            let errno = Errno::of(&std::io::Error::last_os_error());
            return if done > 0 && errno == Errno::EFAULT { Ok(done) } else { Err(errno) };
        }
        done += moved as usize;
        if (moved as usize) < planned {
            break;
        }
    }
    if done == 0 && len > 0 { Err(Errno::EFAULT) } else { Ok(done) }
}
