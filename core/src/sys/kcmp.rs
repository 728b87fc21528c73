//! Whether two threads share something (`man 2 kcmp`).

use crate::Errno;

/// `KCMP_FILES` of `linux/kcmp.h`.
const FILES: libc::c_int = 2;

/// Whether two threads have one table of descriptors.
///
/// # Errors
/// `ESRCH`: one of them is gone. `EPERM`: one of them is not dumpable. `ENOSYS`: the kernel was built without it.
pub(crate) fn share_descriptors(one: u32, other: u32) -> Result<bool, Errno> {
    // SAFETY: no memory is involved.
    let order =
        unsafe { libc::syscall(libc::SYS_kcmp, one.cast_signed(), other.cast_signed(), FILES, 0_u64, 0_u64) };
    if order < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(order == 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_their_descriptors_and_processes_do_not() {
        let own = std::process::id();
        assert_eq!(share_descriptors(own, crate::sys::thread::id()), Ok(true));
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        assert_eq!(share_descriptors(own, child.id()), Ok(false));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(share_descriptors(own, child.id()), Err(Errno::ESRCH));
    }
}
