//! Calls that a signal has ended before the supervisor could receive them: they have not begun, and are made again.
//!
//! The kernel lets any signal end the wait for a supervisor, with or without `SA_RESTART`, so a guest could see `EINTR` of
//! calls that never give it, by chance and according to the machine's load. A followed guest stands still before the signal
//! is delivered, and the call is made to begin again after the handler, as if the signal had come the instant before. Only
//! for calls that wait for nothing: of others it can't be told whether they had begun.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::handler::memory_cstr;
use crate::sys::ptrace;
use crate::syscall::family::{self, Family};
use crate::syscall::signature;
use crate::{Errno, Syscall};

/// `ERESTARTSYS` and `ERESTARTNOINTR` (`include/linux/errno.h`): made again if the handler is one with `SA_RESTART`; made
/// again in any case.
const AS_THE_HANDLER_SAYS: i64 = -512;
const IN_ANY_CASE: i64 = -513;

/// A guest stands still because of a signal: if it was about to make a call that waits for nothing, it will make it.
pub(super) fn make_again(tid: u32) -> Result<(), Errno> {
    let mut registers = ptrace::registers(tid)?;
    if registers.result() != AS_THE_HANDLER_SAYS {
        return Ok(());
    }
    let Ok(call) = Syscall::checked(registers.number()) else { return Ok(()) };
    let mut families = Family::of(call).peekable();
    let is_known = families.peek().is_some();
    let waits = |family: &Family| {
        family.waits && !(*family == family::OPEN && opens_at_once(tid, call, registers.args()))
    };
    let waits = families.any(waits);
    if is_known && !waits {
        registers.set_result(IN_ANY_CASE);
        ptrace::set_registers(tid, &registers)?;
    }
    Ok(())
}

/// Whether an open leads to a file, a folder or nothing: to what opens without a wait.
fn opens_at_once(tid: u32, call: Syscall, args: [u64; 6]) -> bool {
    let Some(at) = signature::path_args(call).next() else { return false };
    let Ok(path) = memory_cstr(tid, args[at.path], 4096) else { return true };
    let path = std::ffi::OsStr::from_bytes(&path);
    let mut whole = PathBuf::from(format!("/proc/{tid}"));
    #[allow(clippy::cast_possible_truncation)]
    match at.dirfd.map(|dirfd| args[dirfd] as i32) {
        _ if path.as_bytes().starts_with(b"/") => whole.push("root"),
        None | Some(libc::AT_FDCWD) => whole.push("cwd"),
        Some(fd) => whole.push(format!("fd/{fd}")),
    }
    let mut name = whole.into_os_string();
    name.push("/");
    name.push(path);
    fs::metadata(name).map_or(true, |found| found.is_file() || found.is_dir())
}
