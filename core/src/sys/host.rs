//! What this kernel offers to this process.

use std::io;

use rustix::process::{Pid, WaitOptions, waitpid};

/// The version of Landlock's interface; 0 if the kernel has none or does not let us use it.
pub fn landlock_abi() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: with LANDLOCK_CREATE_RULESET_VERSION, a null attribute of size 0 is what the kernel asks for.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// Makes a process in a user and a pid namespace of its own, which ends at once.
///
/// # Errors
/// What `clone` gives: this host does not allow it.
pub fn try_namespaces() -> io::Result<()> {
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child has memory of its own, as after fork, and it does nothing but exit.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone, flags as libc::c_ulong, 0usize, 0usize, 0usize, 0usize) };
    if pid == 0 {
        // SAFETY: the exit of a process that holds nothing.
        unsafe { libc::_exit(0) };
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        waitpid(Some(pid), WaitOptions::empty())?;
    }
    Ok(())
}

/// Gives a thread, which ends at once, the real-time priority that a serial run's keeper has.
///
/// # Errors
/// What the kernel gives: this host does not allow it.
pub fn try_realtime() -> io::Result<()> {
    let tried = std::thread::Builder::new()
        .spawn(|| super::schedule::first_in_first_out(super::thread::id(), super::schedule::HIGHEST))?
        .join();
    match tried {
        Ok(Ok(())) => Ok(()),
        Ok(Err(errno)) => Err(io::Error::from_raw_os_error(errno.value())),
        Err(_) => Err(io::ErrorKind::Other.into()),
    }
}
