//! seccomp's user notifications (`man 2 seccomp_unotify`).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::Errno;

/// What a guest's call looks like to its filter: `struct seccomp_data`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotifData {
    /// The syscall's number.
    pub nr: i32,
    /// The architecture, as `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where the guest made the call.
    pub instruction_pointer: u64,
    /// The six registers, whole: the kernel looks at as many bits of each as the argument's type has.
    pub args: [u64; 6],
}

/// A call that waits for an answer: `struct seccomp_notif`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notif {
    /// Names the call to the kernel.
    pub id: u64,
    /// The thread that made it, as the supervisor's pid namespace numbers it.
    pub pid: u32,
    /// No flags are defined.
    pub flags: u32,
    /// The call.
    pub data: NotifData,
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    val: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    srcfd: u32,
    newfd: u32,
    newfd_flags: u32,
}

const RECV: libc::c_ulong = request(3, 0, size_of::<Notif>());
const SEND: libc::c_ulong = request(3, 1, size_of::<Response>());
const ID_VALID: libc::c_ulong = request(1, 2, size_of::<u64>());
const ADDFD: libc::c_ulong = request(1, 3, size_of::<AddFd>());
const SET_FLAGS: libc::c_ulong = request(1, 4, size_of::<u64>());

const FLAG_CONTINUE: u32 = 1;
const ADDFD_SETFD: u32 = 1;
const SYNC_WAKE_UP: libc::c_ulong = 1;

/// `_IOC(direction, '!', number, size)` of `asm-generic/ioctl.h`.
const fn request(direction: u64, number: u64, size: usize) -> libc::c_ulong {
    (direction << 30) | ((size as u64) << 16) | ((b'!' as u64) << 8) | number
}

/// What to tell the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Let the kernel run the call.
    Continue,
    /// This result: a value, or a negated error number.
    Value(i64),
}

/// The supervisor's end of a filter.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Takes over the descriptor that `SECCOMP_FILTER_FLAG_NEW_LISTENER` gave.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let listener = Self(fd);
        // Who is refused is slower, and nothing else.
        let _ = listener.wake_here(true);
        listener
    }

    /// Whether who waits for the other goes on on the other's processor. Otherwise a reply wakes the guest on another one if
    /// that is idle: 5 to 70 µs instead of 5.
    pub(crate) fn wake_here(&self, here: bool) -> Result<(), Errno> {
        let flags = if here { SYNC_WAKE_UP } else { 0 };
        // SAFETY: the request takes a number, by value, and touches no memory.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), SET_FLAGS, flags) };
        if result < 0 { Err(last()) } else { Ok(()) }
    }

    /// Waits for a call. `ENOENT`: a guest died meanwhile, or none is left.
    pub(crate) fn receive(&self) -> Result<Notif, Errno> {
        let mut notif = Notif::default();
        // SAFETY: the request writes a `struct seccomp_notif` to the zeroed one that the pointer leads to.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), RECV, &raw mut notif) };
        if result < 0 { Err(last()) } else { Ok(notif) }
    }

    /// Answers. `ENOENT`: the guest is gone, or its call was restarted.
    pub(crate) fn reply(&self, id: u64, reply: Reply) -> Result<(), Errno> {
        let response = match reply {
            Reply::Continue => Response { id, val: 0, error: 0, flags: FLAG_CONTINUE },
            Reply::Value(value @ -4095..=-1) => Response { id, val: 0, error: value as i32, flags: 0 },
            Reply::Value(value) => Response { id, val: value, error: 0, flags: 0 },
        };
        // SAFETY: the request reads a `struct seccomp_notif_resp` from the pointer.
        uninterrupted(|| unsafe { libc::ioctl(self.0.as_raw_fd(), SEND, &raw const response) }).map(|_| ())
    }

    /// Puts a copy of `fd` into the guest at its lowest free number, as the result of the call.
    ///
    /// In two steps. `SECCOMP_ADDFD_FLAG_SEND` would do it in one, but a stop of this process in its midst (SIGSTOP, a
    /// cgroup that is frozen) takes the descriptor back and leaves the answer, 0. It is no faster, either: on two
    /// processors 70 to 100 µs instead of 100 to 120 for an open, on one 44 instead of 39.
    pub(crate) fn inject_and_reply(
        &self,
        id: u64,
        fd: BorrowedFd<'_>,
        cloexec: bool,
    ) -> Result<RawFd, Errno> {
        let number = self.add(&AddFd {
            id,
            flags: 0,
            srcfd: fd.as_raw_fd().unsigned_abs(),
            newfd: 0,
            newfd_flags: if cloexec { libc::O_CLOEXEC.unsigned_abs() } else { 0 },
        })?;
        self.reply(id, Reply::Value(number.into()))?;
        Ok(number)
    }

    /// Puts a copy of `fd` into the guest as `number`. The call still waits for its answer.
    pub(crate) fn inject_at(&self, id: u64, fd: RawFd, number: RawFd) -> Result<RawFd, Errno> {
        self.add(&AddFd {
            id,
            flags: ADDFD_SETFD,
            srcfd: fd.cast_unsigned(),
            newfd: number.cast_unsigned(),
            newfd_flags: 0,
        })
    }

    fn add(&self, request: &AddFd) -> Result<RawFd, Errno> {
        // SAFETY: the request reads a `struct seccomp_notif_addfd` from the pointer.
        uninterrupted(|| unsafe { libc::ioctl(self.0.as_raw_fd(), ADDFD, std::ptr::from_ref(request)) })
    }

    /// Whether some call was not received yet, or not answered.
    pub(crate) fn has_calls(&self) -> bool {
        self.is_ready(libc::POLLIN | libc::POLLOUT)
    }

    /// Whether some call was not received yet.
    pub(crate) fn has_next(&self) -> bool {
        self.is_ready(libc::POLLIN)
    }

    fn is_ready(&self, events: libc::c_short) -> bool {
        let mut listener = libc::pollfd { fd: self.0.as_raw_fd(), events, revents: 0 };
        // SAFETY: one live struct, and no time to wait.
        let ready = unsafe { libc::poll(&raw mut listener, 1, 0) };
        ready > 0 && listener.revents & events != 0
    }

    /// Whether the call still waits. What was read from its guest before is then really its own.
    pub(crate) fn is_waiting(&self, id: u64) -> bool {
        is_waiting(self.0.as_raw_fd(), id)
    }
}

/// As [`Listener::is_waiting`], for a descriptor that somebody else keeps.
pub(crate) fn is_waiting(listener: RawFd, id: u64) -> bool {
    // SAFETY: the request reads a number from the pointer; a descriptor that is not a listener fails with ENOTTY.
    unsafe { libc::ioctl(listener, ID_VALID, &raw const id) == 0 }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Fetches a descriptor out of another process (`man 2 pidfd_getfd`).
pub(crate) fn fetch_fd(pidfd: BorrowedFd<'_>, number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is touched.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) };
    if fd < 0 {
        return Err(last());
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Makes a request again as often as it is interrupted while it waits for the listener's lock: nothing has happened then,
/// and an answer that is not given would leave a guest waiting for ever.
fn uninterrupted(request: impl Fn() -> i32) -> Result<i32, Errno> {
    loop {
        let result = request();
        if result >= 0 {
            return Ok(result);
        }
        match last() {
            Errno::EINTR => {}
            errno => return Err(errno),
        }
    }
}

fn last() -> Errno {
    Errno::of(&std::io::Error::last_os_error())
}
