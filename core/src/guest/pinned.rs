//! A file that is held by a descriptor, so that what was judged is what is used. Never reads or writes its content.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, Stat, fstat, fstatfs, open, readlinkat, statat,
};
use rustix::path::DecInt;
use rustix::process::Pid;
use rustix::thread::gettid;

use crate::Errno;

/// What makes a file that file, whatever its names: its device and its inode's number.
///
/// Kept beyond the life of a descriptor it may come to name another file, since numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The device that the file lies on.
    pub dev: u64,
    /// Its number there.
    pub ino: u64,
}

/// A regular file as it is at one moment: if its content changes, this does too, but for what is mapped and what changes within
/// a tick of the file system's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Version {
    identity: Identity,
    size: i64,
    /// When its content and when anything of it changed: seconds and nanoseconds.
    times: [(i64, u64); 2],
}

impl Version {
    pub(crate) fn of(stat: &Stat) -> Self {
        let times = [(stat.st_mtime, stat.st_mtime_nsec), (stat.st_ctime, stat.st_ctime_nsec)];
        Self { identity: identity(stat), size: stat.st_size, times }
    }
}

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link itself.
    Symlink,
    /// A named or unnamed pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// Something without a kind, such as an epoll descriptor.
    Other,
}

impl FileKind {
    fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            _ => Self::Other,
        }
    }
}

/// A file held by an `O_PATH` descriptor of the supervisor.
#[derive(Debug)]
pub struct Pinned {
    fd: OwnedFd,
    identity: Identity,
    kind: FileKind,
    rdev: u64,
    nlink: u64,
}

impl Pinned {
    /// Holds the file behind `fd`. One kernel call.
    ///
    /// # Errors
    /// What `fstat` gives.
    pub fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let stat = fstat(&fd)?;
        Ok(Self {
            fd,
            identity: identity(&stat),
            kind: FileKind::of(&stat),
            rdev: stat.st_rdev,
            nlink: stat.st_nlink,
        })
    }

    /// Which file it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// What kind of file it is.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// The device that it stands for, as `(major, minor)`, if it is a device.
    #[must_use]
    pub fn device(&self) -> Option<(u32, u32)> {
        matches!(self.kind, FileKind::CharDevice | FileKind::BlockDevice)
            .then(|| (rustix::fs::major(self.rdev), rustix::fs::minor(self.rdev)))
    }

    /// How many names it had when it was pinned.
    #[must_use]
    pub fn nlink(&self) -> u64 {
        self.nlink
    }

    /// The name that it was reached by, as the kernel gives it now. For a file that lost that name, the one it had.
    /// One kernel call, unless the name ends like that of a removed file.
    ///
    /// # Errors
    /// What `readlink` gives, such as `ENAMETOOLONG` for a name of more than 4,095 bytes.
    pub fn path(&self) -> Result<Vec<u8>, Errno> {
        const DELETED: &[u8] = b" (deleted)";
        let mut path = path_of(&self.fd)?;
        if path.ends_with(DELETED) {
            // A living file may bear such a name too.
            let literal = statat(CWD, &*path, AtFlags::SYMLINK_NOFOLLOW);
            if !literal.is_ok_and(|stat| identity(&stat) == self.identity) {
                path.truncate(path.len() - DELETED.len());
            }
        }
        Ok(path)
    }

    /// The path by which the calling thread itself reaches the file through its own descriptor.
    pub(crate) fn own_path(&self) -> CString {
        own_path(&self.fd)
    }

    /// Whether the file lies on a procfs. No kernel call for a file on a disk.
    pub(crate) fn on_procfs(&self) -> Result<bool, Errno> {
        on_procfs(&self.fd, self.identity)
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for Pinned {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The name of an open file, as the kernel gives it now; with ` (deleted)` behind it, if it lost that name.
pub(crate) fn path_of(fd: &impl AsFd) -> Result<Vec<u8>, Errno> {
    Ok(by_own_name(fd, |folder, name| readlinkat(folder, name, Vec::new()))?.into_bytes())
}

/// Calls `call` with a folder of the calling thread's own descriptors and the name of `fd` in it. As [`own_path`], at two
/// thirds of its cost: the way through procfs was gone once for all.
pub(crate) fn by_own_name<T>(fd: &impl AsFd, call: impl FnOnce(BorrowedFd<'_>, &CStr) -> T) -> T {
    thread_local! {
        static OWN: RefCell<Option<(Pid, OwnedFd)>> = const { RefCell::new(None) };
    }
    // A process that was forked has its maker's memory, and with it a folder of somebody else's descriptors.
    let me = gettid();
    OWN.with_borrow_mut(|own| {
        if own.as_ref().is_none_or(|(whose, _)| *whose != me) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            *own = open(c"/proc/thread-self/fd", flags, Mode::empty()).ok().map(|folder| (me, folder));
        }
        match own {
            Some((_, folder)) => call(folder.as_fd(), DecInt::from_fd(fd).as_c_str()),
            // No descriptor is free for it.
            None => call(CWD, &own_path(&fd.as_fd())),
        }
    })
}

/// `/proc/thread-self` and not `/proc/self`, which is the leader's: it may have ended, or have another table.
pub(crate) fn own_path(fd: &impl AsRawFd) -> CString {
    let path = format!("/proc/thread-self/fd/{}", fd.as_raw_fd());
    CString::new(path).unwrap_or_default()
}

pub(crate) fn identity(stat: &Stat) -> Identity {
    Identity { dev: stat.st_dev, ino: stat.st_ino }
}

/// Whether this file lies on a procfs.
pub(crate) fn is_on_procfs(fd: impl AsFd) -> Result<bool, Errno> {
    Ok(fstatfs(fd)?.f_type == PROC_SUPER_MAGIC)
}

pub(crate) fn on_procfs(fd: impl AsFd, identity: Identity) -> Result<bool, Errno> {
    // A procfs is no block device's: its device has the major number 0.
    Ok(rustix::fs::major(identity.dev) == 0 && fstatfs(fd)?.f_type == PROC_SUPER_MAGIC)
}
