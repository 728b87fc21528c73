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
    try_process(libc::CLONE_NEWUSER | libc::CLONE_NEWPID, || 0)
}

/// Makes a process in a user, a pid and a mount namespace of its own, which mounts a procfs on `/proc` there and ends.
///
/// # Errors
/// What `clone` or `mount` gives: this host does not allow it. `EPERM` of the latter: its own `/proc` is covered in parts.
pub fn try_own_proc() -> io::Result<()> {
    let proc = c"proc".as_ptr();
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    try_process(libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS, || {
        // SAFETY: strings that end in zero, and no data; in a mount namespace of the child's own.
        match unsafe { libc::mount(proc, c"/proc".as_ptr(), proc, flags, std::ptr::null()) } {
            0 => 0,
            // SAFETY: the address of this thread's own errno, which the call has just set.
            _ => unsafe { *libc::__errno_location() },
        }
    })
}

/// Makes a process with these namespaces, which does `work` and ends. What that gives is an errno, or 0; it may allocate
/// nothing and take no lock.
fn try_process(namespaces: i32, work: impl FnOnce() -> i32) -> io::Result<()> {
    let flags = namespaces | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child has memory of its own, as after fork; it makes calls that need nothing of other
    // threads, and exits.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone, flags as libc::c_ulong, 0usize, 0usize, 0usize, 0usize) };
    if pid == 0 {
        let status = work();
        // SAFETY: the exit of a process that holds nothing.
        unsafe { libc::_exit(status) };
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    match waitpid(Some(pid), WaitOptions::empty())?.and_then(|(_, status)| status.exit_status()) {
        None | Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
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
