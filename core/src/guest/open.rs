//! Opening a file on a guest's behalf: [`OpenRequest::pin`], then the caller judges, then [`OpenRequest::perform`].
//!
//! Where nobody judges, [`OpenRequest::at_once`] does all in three calls, for the files that most opens are about.
//!
//! Every spelling of open becomes one [`OpenRequest`]. What `perform` costs, in kernel calls: for an existing file
//! one `openat`, for a regular one that may not block another `fcntl`; for one that is created three, with the umask.
//!
//! It differs from the kernel's own open in this:
//!
//! * `O_NOCTTY` always holds: a guest can't get a controlling terminal by an open that is performed for it.
//! * `/dev/tty` is opened for guests of the supervisor's own session only; for others it gives `ENXIO`, even if the
//!   guest has a terminal that it got by itself.
//! * `F_GETFL` doesn't show `O_NOFOLLOW` on a file that existed.
//! * `O_CREAT` on a file that exists is not refused by `fs.protected_regular` or `fs.protected_fifos` (another's file
//!   in a sticky folder that everybody can write to), which is for the guest's own protection.
//! * A guest without a free descriptor is told `EMFILE` last, after whatever else is wrong; nothing is created or
//!   truncated then.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, StatxFlags};
use rustix::fs::{accessat, fcntl_setfl, fstat, fstatvfs, open, openat, openat2, statx};
use rustix::process::umask;

use super::pinned::{FileKind, Pinned, by_own_name, identity, on_procfs};
use super::process::Guest;
use super::resolve::{Found, Lookup, resolve};
use super::view;
use crate::Errno;
use crate::sys::file::check_open_how;
use crate::sys::group;

/// The flags that `open` and `openat` look at; they ignore all others, which `openat2` refuses.
const KNOWN_FLAGS: u64 = (libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_NOCTTY
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_ASYNC
    | libc::O_DIRECT
    | LARGEFILE
    | libc::O_DIRECTORY
    | libc::O_NOFOLLOW
    | libc::O_NOATIME
    | libc::O_CLOEXEC
    | libc::O_PATH
    | libc::O_TMPFILE) as u64;
/// `libc::O_LARGEFILE` is 0 on 64-bit machines, but programs pass the real bit and the kernel keeps it.
const LARGEFILE: i32 = 0o100_000;
/// `O_TMPFILE` without the `O_DIRECTORY` that it includes.
const TMPFILE: u64 = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;
/// All that `O_PATH` leaves of the others.
const PATH_FLAGS: u64 = (libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64;
/// The flags of an open that changes nothing and leads to one descriptor more.
const SIMPLE: u64 =
    (libc::O_NONBLOCK | libc::O_NOCTTY | LARGEFILE | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC)
        as u64;
const MODE: u64 = 0o7777;
/// Flags whose combinations the kernel is not asked about: they go with each other.
const PLAIN: u64 = (libc::O_ACCMODE
    | libc::O_NOCTTY
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | LARGEFILE
    | libc::O_NOFOLLOW
    | libc::O_CLOEXEC) as u64;

/// One open of a guest, whatever its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// Who asked.
    pub guest: Guest,
    /// The folder that the path is relative to: a descriptor of the guest, or `AT_FDCWD`.
    pub dirfd: i32,
    /// The path, without its zero.
    pub path: Vec<u8>,
    /// The `O_*` flags.
    pub flags: u64,
    /// The mode of a file that is created.
    pub mode: u64,
    /// The `RESOLVE_*` flags of `openat2`.
    pub resolve: u64,
}

/// What became of an open.
#[derive(Debug)]
pub enum Opened {
    /// A descriptor to inject. It is close-on-exec here; whether it is in the guest is said by the guest's flags.
    File(OwnedFd),
    /// `O_PATH`: such a descriptor can't be injected, the kernel must make it for the guest itself. It gives access to
    /// no content, and a file that is opened through it is judged when that is done.
    Path,
    /// The open may wait for somebody else. To be carried out on a thread that may wait.
    MayBlock(Blocking),
    /// Another was faster in creating the file: pin and judge again. Give up with `EAGAIN` after some turns.
    Again,
}

/// An open that may wait: of a pipe for its other end, or of a device.
#[derive(Debug)]
pub struct Blocking {
    pin: Pinned,
    flags: OFlags,
}

impl Blocking {
    /// Opens it, however long that takes. For a thread of the same Landlock domain, process and descriptor table.
    ///
    /// # Errors
    /// [`Refusal`]; `EINTR` if a signal came.
    pub fn open(self) -> Result<OwnedFd, Refusal> {
        reopen(&self.pin, self.flags)
    }
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{errno}{}", if *.by_landlock { " by Landlock" } else { "" })]
pub struct Refusal {
    /// What the guest gets.
    pub errno: Errno,
    /// Whether ordinary permissions would have allowed it, so that it was Landlock that refused. A security module
    /// that is active besides Landlock is taken for it.
    pub by_landlock: bool,
}

impl Refusal {
    pub(super) fn kernel(errno: impl Into<Errno>) -> Self {
        Self { errno: errno.into(), by_landlock: false }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::kernel(errno)
    }
}

impl OpenRequest {
    /// From the arguments of `open` (with `AT_FDCWD`) or `openat`: what these ignore is left out. `creat` is `open`
    /// with `O_CREAT | O_WRONLY | O_TRUNC`.
    #[must_use]
    pub fn openat(guest: Guest, dirfd: i32, path: Vec<u8>, flags: u32, mode: u32) -> Self {
        let mut flags = u64::from(flags) & KNOWN_FLAGS;
        if flags & libc::O_PATH as u64 != 0 {
            flags &= PATH_FLAGS;
        }
        let creates = flags & (libc::O_CREAT as u64 | TMPFILE) != 0;
        let mode = if creates { u64::from(mode) & MODE } else { 0 };
        Self { guest, dirfd, path, flags, mode, resolve: 0 }
    }

    /// From the arguments of `openat2`: nothing is left out, and what the kernel would refuse is refused by
    /// [`pin`](Self::pin).
    #[must_use]
    pub fn openat2(guest: Guest, dirfd: i32, path: Vec<u8>, flags: u64, mode: u64, resolve: u64) -> Self {
        Self { guest, dirfd, path, flags, mode, resolve }
    }

    /// Finds the file and pins it.
    ///
    /// # Errors
    /// As [`resolve`]; what the kernel gives for flags that don't go together.
    pub fn pin(&self) -> Result<Found, Errno> {
        if self.flags & !PLAIN != 0 || self.resolve != 0 || self.mode != 0 {
            check_open_how(self.flags, self.mode, self.resolve)?;
        }
        let exclusive = self.has(libc::O_CREAT) && self.has(libc::O_EXCL);
        resolve(&Lookup {
            follow: !self.has(libc::O_NOFOLLOW) && !exclusive,
            // With O_CREAT this is only judged when the file is there.
            directory: false,
            resolve: ResolveFlags::from_bits_retain(self.resolve),
            create: self.has(libc::O_CREAT),
            ..Lookup::new(self.guest, self.dirfd, &self.path)
        })
    }

    /// Opens a regular file or a folder for reading in one go, for a guest that nobody has to judge first. `None`: it is
    /// not as simple as that, and nothing has happened; [`pin`](Self::pin) and [`perform`](Self::perform) will tell.
    #[must_use]
    pub fn at_once(&self) -> Option<OwnedFd> {
        if self.flags & !SIMPLE != 0 || self.resolve != 0 || self.mode != 0 {
            return None;
        }
        let lookup =
            Lookup { follow: !self.has(libc::O_NOFOLLOW), ..Lookup::new(self.guest, self.dirfd, &self.path) };
        let base = lookup.base().ok()?;
        let base = base.as_ref().map(AsFd::as_fd);
        // To open anything else could wait, or be noticed: a FIFO's other end, a device.
        let mut at = AtFlags::NO_AUTOMOUNT;
        at.set(AtFlags::SYMLINK_NOFOLLOW, !lookup.follow);
        let seen = statx(base.unwrap_or(CWD), &*self.path, at, StatxFlags::TYPE | StatxFlags::INO).ok()?;
        let kind = FileType::from_raw_mode(seen.stx_mode.into());
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return None;
        }
        let flags = own_flags(self.flags);
        let how = ResolveFlags::NO_MAGICLINKS;
        let fd = view::from(base, false, |base, within| {
            openat2(base, &*self.path, flags | OFlags::NONBLOCK, Mode::empty(), how | within)
        });
        let fd = fd.ok()?;
        let opened = fstat(&fd).ok()?;
        // On a procfs it may be somebody else's; and the path may lead elsewhere by now.
        let same = opened.st_ino == seen.stx_ino && FileType::from_raw_mode(opened.st_mode) == kind;
        if !same || on_procfs(&fd, identity(&opened)).unwrap_or(true) {
            return None;
        }
        if !self.has(libc::O_NONBLOCK) {
            fcntl_setfl(&fd, flags).ok()?;
        }
        Some(fd)
    }

    /// Opens what was found once more, for its content, if this asks to read a file that is there and may do that. `None`:
    /// [`perform`](Self::perform) tells why not. It changes nothing, and waits for nobody if the file is one of a procfs or
    /// this is not to wait (`O_NONBLOCK`).
    #[must_use]
    pub fn reads(&self, file: &Pinned) -> Option<OwnedFd> {
        let is_new = self.has(libc::O_CREAT) && self.has(libc::O_EXCL);
        let is_other = self.flags & (libc::O_PATH | libc::O_DIRECTORY | libc::O_TRUNC) as u64 != 0;
        let reads = self.flags & libc::O_ACCMODE as u64 == libc::O_RDONLY as u64;
        if is_new || is_other || !reads || file.kind() != FileKind::File {
            return None;
        }
        let without = (libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW) as u64;
        reopen(file, own_flags(self.flags & !without)).ok()
    }

    /// Opens what was found and judged, or creates it under the guest's `umask`.
    ///
    /// The calling thread's own umask is changed and restored, so no other thread may share it (`CLONE_FS`).
    ///
    /// # Errors
    /// [`Refusal`]: with the kernel's own errno.
    pub fn perform(&self, found: Found, umask: u32) -> Result<Opened, Refusal> {
        match found {
            Found::Existing(pin) => self.existing(pin, umask),
            Found::Missing { parent, name } => self.create(&parent, &name, umask),
        }
    }

    fn has(&self, flag: i32) -> bool {
        self.flags & flag as u64 == flag as u64
    }

    /// The checks stand in the kernel's own order (`do_open` and `may_open` in `fs/namei.c`).
    fn existing(&self, pin: Pinned, mask: u32) -> Result<Opened, Refusal> {
        let creates = self.has(libc::O_CREAT);
        if creates && self.has(libc::O_EXCL) {
            return Err(Refusal::kernel(Errno::EEXIST));
        }
        if creates && pin.kind() == FileKind::Folder {
            return Err(Refusal::kernel(Errno::EISDIR));
        }
        if self.has(libc::O_DIRECTORY) && pin.kind() != FileKind::Folder {
            return Err(Refusal::kernel(Errno::ENOTDIR));
        }
        if self.has(libc::O_PATH) {
            return Ok(Opened::Path);
        }
        if pin.kind() == FileKind::Symlink {
            return Err(Refusal::kernel(Errno::ELOOP));
        }
        if self.flags & TMPFILE != 0 {
            return self.temporary(&pin, mask);
        }
        let mut without = libc::O_CREAT | libc::O_NOFOLLOW;
        if creates {
            without |= libc::O_EXCL;
        }
        let flags = own_flags(self.flags & !(without as u64));
        if pin.kind() == FileKind::CharDevice && pin.device() == Some((5, 0)) && !self.shares_terminal() {
            return Err(Refusal::kernel(Errno::ENXIO));
        }
        if self.has(libc::O_NONBLOCK) || !may_block(&pin, flags) {
            return Ok(Opened::File(reopen(&pin, flags)?));
        }
        if pin.kind() != FileKind::File {
            return Ok(Opened::MayBlock(Blocking { pin, flags }));
        }
        // Only a lease can make a regular file wait, and it says so.
        match reopen(&pin, flags | OFlags::NONBLOCK) {
            Ok(fd) => {
                fcntl_setfl(&fd, flags).map_err(Refusal::kernel)?;
                Ok(Opened::File(fd))
            }
            Err(Refusal { errno: Errno::EAGAIN, .. }) => Ok(Opened::MayBlock(Blocking { pin, flags })),
            Err(refusal) => Err(refusal),
        }
    }

    /// `O_TMPFILE`: a nameless file in the folder.
    fn temporary(&self, folder: &Pinned, mask: u32) -> Result<Opened, Refusal> {
        let flags = own_flags(self.flags & !(libc::O_NOFOLLOW as u64));
        let mode = Mode::from_bits_retain((self.mode & MODE) as u32);
        match with_umask(mask, || open(folder.own_path(), flags, mode)) {
            Ok(fd) => Ok(Opened::File(fd)),
            Err(errno) => Err(in_folder(folder, errno.into())),
        }
    }

    fn create(&self, parent: &Pinned, name: &[u8], mask: u32) -> Result<Opened, Refusal> {
        let flags = own_flags(self.flags) | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_bits_retain((self.mode & MODE) as u32);
        match with_umask(mask, || openat(parent, name, flags, mode)) {
            Ok(fd) => Ok(Opened::File(fd)),
            Err(rustix::io::Errno::EXIST) if !self.has(libc::O_EXCL) => Ok(Opened::Again),
            Err(errno) => Err(in_folder(parent, errno.into())),
        }
    }

    /// Whether the guest's controlling terminal, if it has one, is the supervisor's own.
    fn shares_terminal(&self) -> bool {
        group::session_of(self.guest.tgid).is_ok_and(|guest| guest == group::own_session())
    }
}

fn own_flags(flags: u64) -> OFlags {
    OFlags::from_bits_retain(flags as u32) | OFlags::CLOEXEC | OFlags::NOCTTY
}

/// Whether an open without `O_NONBLOCK` may wait for somebody.
fn may_block(pin: &Pinned, flags: OFlags) -> bool {
    match pin.kind() {
        FileKind::Fifo => flags & OFlags::ACCMODE != OFlags::RDWR,
        // Major number 1 is memory: null, zero, full, random, urandom.
        FileKind::CharDevice => pin.device().is_none_or(|(major, _)| major != 1),
        FileKind::BlockDevice | FileKind::File => true,
        _ => false,
    }
}

/// Opens a pinned file once more, with these flags.
fn reopen(pin: &Pinned, flags: OFlags) -> Result<OwnedFd, Refusal> {
    by_own_name(pin, |folder, name| openat(folder, name, flags, Mode::empty())).map_err(|errno| {
        let errno = Errno::from(errno);
        let mut access = match flags & OFlags::ACCMODE {
            OFlags::RDONLY => Access::READ_OK,
            OFlags::WRONLY => Access::WRITE_OK,
            _ => Access::READ_OK | Access::WRITE_OK,
        };
        access.set(Access::WRITE_OK, access.contains(Access::WRITE_OK) || flags.contains(OFlags::TRUNC));
        Refusal {
            errno,
            by_landlock: errno == Errno::EACCES && would_be_granted(pin, access) && !no_devices(pin),
        }
    })
}

/// A refusal to create something in a folder.
pub(super) fn in_folder(folder: &Pinned, errno: Errno) -> Refusal {
    let by_landlock = errno == Errno::EACCES && would_be_granted(folder, Access::WRITE_OK | Access::EXEC_OK);
    Refusal { errno, by_landlock }
}

/// Whether ordinary permissions give this access. Landlock has no say in `faccessat`.
pub(super) fn would_be_granted(pin: &Pinned, access: Access) -> bool {
    accessat(CWD, pin.own_path(), access, AtFlags::EACCESS).is_ok()
}

/// A device on a mount without devices gives `EACCES` whatever its permissions.
fn no_devices(pin: &Pinned) -> bool {
    pin.device().is_some() && fstatvfs(pin).is_ok_and(|vfs| vfs.f_flag.contains(StatVfsMountFlags::NODEV))
}

pub(super) fn with_umask<T>(mask: u32, create: impl FnOnce() -> T) -> T {
    let before = umask(Mode::from_bits_retain(mask & 0o777));
    let made = create();
    umask(before);
    made
}
