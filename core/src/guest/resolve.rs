//! From a guest's path to the file that it means, once.
//!
//! What it costs, in kernel calls (a file that lies on a disk; one more `fstatfs` where the file system has no disk):
//!
//! | path | calls |
//! | --- | --- |
//! | absolute | `openat2`, `fstat` |
//! | relative to the cwd or a descriptor | the same, one `openat` and one `close` |
//! | missing | `openat2` twice, `openat`, `fstat`; for each folder that is missing as well one `openat2` more |
//! | through procfs or a loop of links | two or three per component, more for links of procfs |
//!
//! Where the answer could depend on who looks, the path is walked here, component by component, as the guest.
//! It then differs from the kernel's own walk in this:
//!
//! * `RESOLVE_CACHED` gives `EAGAIN`, as it may at any time.
//! * A link is followed even if `fs.protected_symlinks` would forbid that, in a sticky folder, for the guest's own
//!   protection.
//! * On a procfs that numbers processes neither as the supervisor sees them nor as guests do, `self` and `thread-self`
//!   give `EACCES`; so does whatever belongs to the supervisor's own process.
//! * A guest that isn't dumpable can't be helped: the kernel refuses its cwd and its descriptors (`EACCES`).
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat, openat2};

pub use rustix::fs::ResolveFlags;

use super::pinned::{FileKind, Pinned};
use super::process::Guest;
use super::{procfs, view, walk};
use crate::Errno;

/// The longest path that the kernel takes, without its zero.
pub(super) const PATH_LEN: usize = 4095;

/// How many folders may be missing from the end of a path before it is walked from its start.
const MISSING_FOLDERS: usize = 8;

/// A path of a guest, and how it is to be followed.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// Whose path it is.
    pub guest: Guest,
    /// The folder that it is relative to: a descriptor of the guest, or `AT_FDCWD`.
    pub dirfd: i32,
    /// The path, without its zero.
    pub path: &'a [u8],
    /// Whether a symbolic link at its end is followed.
    pub follow: bool,
    /// Whether it must be a folder.
    pub directory: bool,
    /// The `RESOLVE_*` flags of `openat2`.
    pub resolve: ResolveFlags,
    /// As `O_CREAT`: the last component may be missing, and may not have a trailing slash.
    pub create: bool,
    /// As `AT_EMPTY_PATH`: the empty path means `dirfd` itself.
    pub empty: bool,
}

impl<'a> Lookup<'a> {
    /// This path, a link at its end followed, nothing else asked for.
    #[must_use]
    pub fn new(guest: Guest, dirfd: i32, path: &'a [u8]) -> Self {
        Self {
            guest,
            dirfd,
            path,
            follow: true,
            directory: false,
            resolve: ResolveFlags::empty(),
            create: false,
            empty: false,
        }
    }

    /// Whether the path may not leave the folder that it starts in.
    pub(super) fn scoped(&self) -> bool {
        self.resolve.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT)
    }

    /// The folder that the walk starts in, where that isn't the root.
    pub(super) fn base(&self) -> Result<Option<OwnedFd>, Errno> {
        if self.path.starts_with(b"/") && !self.scoped() {
            return Ok(None);
        }
        match self.dirfd {
            libc::AT_FDCWD => procfs::cwd(self.guest).map(Some),
            fd => procfs::descriptor(self.guest, fd).map(Some),
        }
    }
}

/// What a path led to.
#[derive(Debug)]
pub enum Found {
    /// A file.
    Existing(Pinned),
    /// Nothing, in a folder where it could be created.
    Missing {
        /// The folder.
        parent: Pinned,
        /// The name that is missing from it.
        name: Vec<u8>,
    },
}

impl Found {
    pub(super) fn existing(self) -> Result<Pinned, Errno> {
        match self {
            Self::Existing(pin) => Ok(pin),
            Self::Missing { .. } => Err(Errno::ENOENT),
        }
    }
}

/// A path's last component, and the folder that it stands in.
#[derive(Debug)]
pub struct ParentOf {
    /// The folder.
    pub parent: Pinned,
    /// The component as it was written: it may have trailing slashes, or be `.` or `..`, or `/` for the root.
    pub name: Vec<u8>,
}

/// Finds the file that a path means, and pins it.
///
/// # Errors
/// What the kernel would give the guest; `EACCES` for a file of the supervisor's own process; `ESRCH` or `ENOENT` if
/// the guest is gone.
pub fn resolve(lookup: &Lookup<'_>) -> Result<Found, Errno> {
    check_length(lookup.path)?;
    if lookup.path.is_empty() {
        if !lookup.empty {
            return Err(Errno::ENOENT);
        }
        let Some(base) = lookup.base()? else { return Err(Errno::ENOENT) };
        let pin = Pinned::new(base)?;
        if lookup.directory && pin.kind() != FileKind::Folder {
            return Err(Errno::ENOTDIR);
        }
        if pin.on_procfs()? {
            procfs::guard_file(lookup.guest, &pin, None)?;
        }
        return Ok(Found::Existing(pin));
    }
    let base = lookup.base()?;
    match at_once(lookup, base.as_ref().map(AsFd::as_fd))? {
        Some(found) => Ok(found),
        None if lookup.resolve.contains(ResolveFlags::CACHED) => Err(Errno::EAGAIN),
        None => walk::walk(lookup, base),
    }
}

/// Finds the folder that a path's last component stands in, and pins it. The component itself is not looked at.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_parent(guest: Guest, dirfd: i32, path: &[u8]) -> Result<ParentOf, Errno> {
    check_length(path)?;
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let Some((folder, name)) = split_last(path) else {
        let root = resolve(&Lookup::new(guest, dirfd, b"/"))?.existing()?;
        return Ok(ParentOf { parent: root, name: b"/".to_vec() });
    };
    let folder = if folder.is_empty() { b"." } else { folder };
    let lookup = Lookup { directory: true, ..Lookup::new(guest, dirfd, folder) };
    Ok(ParentOf { parent: resolve(&lookup)?.existing()?, name: name.to_vec() })
}

/// One `openat2`, if its answer can't depend on who looks. `None`: walk.
fn at_once(lookup: &Lookup<'_>, base: Option<BorrowedFd<'_>>) -> Result<Option<Found>, Errno> {
    if lookup.create && lookup.path.ends_with(b"/") {
        return Ok(None);
    }
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !lookup.follow);
    flags.set(OFlags::DIRECTORY, lookup.directory);
    let resolve = lookup.resolve | ResolveFlags::NO_MAGICLINKS;
    let found = view::from(base, lookup.scoped(), |base, within| {
        openat2(base, lookup.path, flags, Mode::empty(), resolve | within).map_err(|errno| (errno, within))
    });
    match found.map_err(|(errno, within)| (errno, !within.is_empty())) {
        Ok(fd) => {
            let pin = Pinned::new(fd)?;
            Ok(if pin.on_procfs()? { None } else { Some(Found::Existing(pin)) })
        }
        Err((rustix::io::Errno::NOENT, _)) => missing(lookup, base),
        Err((rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR | rustix::io::Errno::ACCESS, _)) => Ok(None),
        Err((rustix::io::Errno::XDEV | rustix::io::Errno::AGAIN, true)) => Ok(None),
        Err((errno, _)) => Err(errno.into()),
    }
}

/// After `ENOENT`: whether what is missing is missing from a folder that is everybody's, for whoever looks. Of a path whose
/// folders are missing as well, that is the first of these.
fn missing(lookup: &Lookup<'_>, base: Option<BorrowedFd<'_>>) -> Result<Option<Found>, Errno> {
    let Some((mut folder, mut name)) = split_last(lookup.path) else { return Ok(None) };
    let mut is_last = true;
    if name.ends_with(b"/") {
        return Ok(None);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = lookup.resolve | ResolveFlags::NO_MAGICLINKS;
    let mut levels = 0..MISSING_FOLDERS;
    let parent = loop {
        let path = if folder.is_empty() { b"." } else { folder };
        let parent = view::from(base, lookup.scoped(), |base, within| {
            openat2(base, path, flags, Mode::empty(), resolve | within)
        });
        match parent {
            Ok(parent) => break Pinned::new(parent)?,
            Err(rustix::io::Errno::NOENT) => {}
            Err(_) => return Ok(None),
        }
        // From here on it is less work to come from the other end.
        let (Some(_), Some((before, last))) = (levels.next(), split_last(folder)) else { return Ok(None) };
        (folder, name) = (before, last.split(|byte| *byte == b'/').next().unwrap_or_default());
        is_last = false;
    };
    if parent.on_procfs()? {
        return Ok(None);
    }
    match openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) if lookup.create && is_last => {
            Ok(Some(Found::Missing { parent, name: name.to_vec() }))
        }
        Err(rustix::io::Errno::NOENT) => Err(Errno::ENOENT),
        _ => Ok(None),
    }
}

/// What stands before the last component, and that component with its trailing slashes. `None`: only slashes.
pub(super) fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')?;
    let start = path.get(..end)?.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    Some((path.get(..start)?, path.get(start..)?))
}

fn check_length(path: &[u8]) -> Result<(), Errno> {
    if path.len() > PATH_LEN { Err(Errno::ENAMETOOLONG) } else { Ok(()) }
}
