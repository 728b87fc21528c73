//! Changing names and lengths on a guest's behalf: truncate, rename, link, unlink, rmdir, and the creation of what is
//! not opened (mkdir, symlink, mknod), in every spelling.
//!
//! [`ChangeRequest::pin`] finds each folder once and pins the objects, the caller judges those, and
//! [`Prepared::perform`] carries the change out in the pinned folders. Truncate and link use the pinned object itself,
//! and a creation can't replace anything: nothing can come between. Rename and removal work on a name, as the kernel offers nothing else: the name is looked
//! up again right before, and afterwards it is checked that the pinned object was the one. What remains is a process
//! outside of the sandbox that binds the name to another object within that instant; it is told by
//! [`Changed::rebound`]. Guests can't do it, if all their changes go through one thread.
//!
//! It differs from the kernel's own calls in this:
//!
//! * `AT_EMPTY_PATH` of linkat is granted whoever opened the descriptor: `/proc/self/fd` allows the same.
//! * The limit on a file's size that counts for truncate is the supervisor's.
#![forbid(unsafe_code)]

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, StatxFlags};
use rustix::fs::{
    fstat, linkat, mkdirat, mknodat, openat, renameat_with, statat, statx, symlinkat, unlinkat,
};

use super::open::{Refusal, in_folder, with_umask, would_be_granted};
use super::pinned::{FileKind, Pinned, identity};
use super::process::Guest;
use super::resolve::{Lookup, PATH_LEN, ParentOf, resolve, resolve_parent};
use crate::Errno;
use crate::sys::file::truncate;

/// A path of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The folder that it is relative to: a descriptor of the guest, or `AT_FDCWD`.
    pub dirfd: i32,
    /// The path, without its zero.
    pub path: Vec<u8>,
}

impl At {
    /// This path, relative to the guest's cwd.
    #[must_use]
    pub fn cwd(path: impl Into<Vec<u8>>) -> Self {
        Self { dirfd: libc::AT_FDCWD, path: path.into() }
    }
}

/// What is to be changed. Without flags, the spellings that have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `truncate`.
    Truncate {
        /// The file.
        file: At,
        /// Its length from then on.
        length: i64,
    },
    /// `rename`, `renameat`, `renameat2`.
    Rename {
        /// The old name.
        from: At,
        /// The new name.
        to: At,
        /// The `RENAME_*` flags.
        flags: u32,
    },
    /// `link`, `linkat`.
    Link {
        /// The file.
        from: At,
        /// Its further name.
        to: At,
        /// `AT_SYMLINK_FOLLOW`, `AT_EMPTY_PATH`.
        flags: u32,
    },
    /// `mkdir`, `symlink`, `mknod` and their `at` forms.
    Create {
        /// The name.
        name: At,
        /// What is created.
        new: New,
    },
    /// `unlink`, `unlinkat`, `rmdir`.
    Remove {
        /// The name.
        name: At,
        /// `AT_REMOVEDIR` for a folder.
        flags: u32,
    },
}

/// What is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum New {
    /// A folder.
    Folder {
        /// Its mode.
        mode: u32,
        /// The guest's umask.
        umask: u32,
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        text: Vec<u8>,
    },
    /// A file, pipe, socket or device.
    Node {
        /// Its kind and mode.
        mode: u32,
        /// The device that it stands for.
        dev: u64,
        /// The guest's umask.
        umask: u32,
    },
}

/// One change that a guest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRequest {
    /// Who asked.
    pub guest: Guest,
    /// What for.
    pub change: Change,
}

/// A name in a pinned folder, and the object behind it.
#[derive(Debug)]
pub struct Entry {
    /// The folder.
    pub parent: Pinned,
    /// The name as it was written: it may have trailing slashes, or be `.` or `..`, or `/` for the root.
    pub name: Vec<u8>,
    /// What the name stands for, a symbolic link not followed; `None` if there is nothing.
    pub object: Option<Pinned>,
}

/// A change whose objects are pinned.
#[derive(Debug)]
pub struct Prepared {
    step: Step,
}

#[derive(Debug)]
enum Step {
    Truncate { file: Pinned, length: i64 },
    Rename { from: Entry, to: Entry, flags: RenameFlags },
    Link { file: Pinned, to: Entry },
    Create { name: Entry, new: New },
    Remove { name: Entry, flags: AtFlags },
}

/// A change that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The object that was changed is perhaps not the one that was judged: somebody outside of the sandbox bound its
    /// name to another at that very instant.
    pub rebound: bool,
}

impl ChangeRequest {
    /// Finds what is to be changed and pins it.
    ///
    /// # Errors
    /// What the kernel would give the guest; as [`resolve`](super::resolve()).
    pub fn pin(&self) -> Result<Prepared, Errno> {
        let step = match &self.change {
            Change::Truncate { file, length } => {
                if *length < 0 {
                    return Err(Errno::EINVAL);
                }
                let file = resolve(&Lookup::new(self.guest, file.dirfd, &file.path))?.existing()?;
                Step::Truncate { file, length: *length }
            }
            Change::Rename { from, to, flags } => {
                let flags = RenameFlags::from_bits_retain(*flags);
                let known = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE | RenameFlags::WHITEOUT;
                let together = RenameFlags::NOREPLACE | RenameFlags::WHITEOUT;
                if !known.contains(flags)
                    || flags.contains(RenameFlags::EXCHANGE) && flags.intersects(together)
                {
                    return Err(Errno::EINVAL);
                }
                Step::Rename { from: self.entry(from)?, to: self.entry(to)?, flags }
            }
            Change::Link { from, to, flags } => {
                let flags = AtFlags::from_bits_retain(*flags);
                if !(AtFlags::SYMLINK_FOLLOW | AtFlags::EMPTY_PATH).contains(flags) {
                    return Err(Errno::EINVAL);
                }
                let lookup = Lookup {
                    follow: flags.contains(AtFlags::SYMLINK_FOLLOW),
                    empty: flags.contains(AtFlags::EMPTY_PATH),
                    ..Lookup::new(self.guest, from.dirfd, &from.path)
                };
                Step::Link { file: resolve(&lookup)?.existing()?, to: self.entry(to)? }
            }
            Change::Create { name, new } => {
                match new {
                    New::Symlink { text } if text.is_empty() => return Err(Errno::ENOENT),
                    New::Symlink { text } if text.len() > PATH_LEN => return Err(Errno::ENAMETOOLONG),
                    New::Node { mode, .. } => drop(node_kind(*mode)?),
                    _ => {}
                }
                Step::Create { name: self.entry(name)?, new: new.clone() }
            }
            Change::Remove { name, flags } => {
                let flags = AtFlags::from_bits_retain(*flags);
                if !AtFlags::REMOVEDIR.contains(flags) {
                    return Err(Errno::EINVAL);
                }
                Step::Remove { name: self.entry(name)?, flags }
            }
        };
        Ok(Prepared { step })
    }

    fn entry(&self, at: &At) -> Result<Entry, Errno> {
        let ParentOf { parent, name } = resolve_parent(self.guest, at.dirfd, &at.path)?;
        let object = match openat(&parent, bare(&name), PIN, Mode::empty()) {
            Ok(fd) => Some(Pinned::new(fd)?),
            Err(rustix::io::Errno::NOENT) => None,
            Err(errno) => return Err(errno.into()),
        };
        Ok(Entry { parent, name, object })
    }
}

const PIN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Prepared {
    /// Every object that the change touches and that exists: the file itself, and what it replaces.
    pub fn objects(&self) -> impl Iterator<Item = &Pinned> {
        let (first, second) = match &self.step {
            Step::Truncate { file, .. } => (Some(file), None),
            Step::Rename { from, to, .. } => (from.object.as_ref(), to.object.as_ref()),
            Step::Link { file, to } => (Some(file), to.object.as_ref()),
            Step::Create { name, .. } | Step::Remove { name, .. } => (name.object.as_ref(), None),
        };
        first.into_iter().chain(second)
    }

    /// Every name that the change makes or takes away.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let (first, second) = match &self.step {
            Step::Truncate { .. } => (None, None),
            Step::Rename { from, to, .. } => (Some(from), Some(to)),
            Step::Link { to, .. } => (Some(to), None),
            Step::Create { name, .. } | Step::Remove { name, .. } => (Some(name), None),
        };
        first.into_iter().chain(second)
    }

    /// The name that is made, where the change does nothing else.
    #[must_use]
    pub fn created(&self) -> Option<&Entry> {
        match &self.step {
            Step::Create { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether carrying it out may wait for somebody: for the holder of a lease on the file, who may be a guest.
    #[must_use]
    pub fn may_block(&self) -> bool {
        matches!(self.step, Step::Truncate { .. })
    }

    /// Carries it out.
    ///
    /// # Errors
    /// [`Refusal`], with the kernel's own errno; `EAGAIN` if a name doesn't stand any more for what was judged: pin
    /// and judge again.
    pub fn perform(&self) -> Result<Changed, Refusal> {
        match &self.step {
            Step::Truncate { file, length } => match truncate(&file.own_path(), *length) {
                Ok(()) => Ok(Changed { rebound: false }),
                Err(errno) => {
                    let by_landlock = errno == Errno::EACCES && would_be_granted(file, Access::WRITE_OK);
                    Err(Refusal { errno, by_landlock })
                }
            },
            Step::Link { file, to } => {
                // The kernel says EEXIST for whatever appeared there: a name can't be replaced by a link.
                linkat(CWD, file.own_path(), &to.parent, &*to.name, AtFlags::SYMLINK_FOLLOW).map_err(
                    |errno| {
                        let refusal = in_folder(&to.parent, errno.into());
                        let by_landlock =
                            refusal.by_landlock || not_to_be_moved(errno.into(), file, &to.parent);
                        Refusal { by_landlock, ..refusal }
                    },
                )?;
                Ok(Changed { rebound: false })
            }
            Step::Rename { from, to, flags } => {
                from.still()?;
                to.still()?;
                renameat_with(&from.parent, &*from.name, &to.parent, &*to.name, *flags)
                    .map_err(|errno| from.refused(to, errno.into()))?;
                let moved = from.object.as_ref().is_none_or(|object| stands(&to.parent, &to.name, object));
                let replaced = to.object.as_ref().is_none_or(|object| {
                    if flags.contains(RenameFlags::EXCHANGE) {
                        stands(&from.parent, &from.name, object)
                    } else {
                        // Both names of one file: rename then does nothing at all.
                        from.is(object) || lost_a_name(object)
                    }
                });
                Ok(Changed { rebound: !moved && !from.untouched(to) || !replaced })
            }
            Step::Create { name, new } => {
                name.create(new).map_err(|errno| in_folder(&name.parent, errno))?;
                Ok(Changed { rebound: false })
            }
            Step::Remove { name, flags } => {
                name.still()?;
                unlinkat(&name.parent, &*name.name, *flags)
                    .map_err(|errno| in_folder(&name.parent, errno.into()))?;
                Ok(Changed { rebound: name.object.as_ref().is_some_and(|object| !lost_a_name(object)) })
            }
        }
    }
}

impl Entry {
    fn create(&self, new: &New) -> Result<(), Errno> {
        let (parent, name) = (&self.parent, &*self.name);
        let bits = Mode::from_bits_retain;
        Ok(match new {
            New::Folder { mode, umask } => with_umask(*umask, || mkdirat(parent, name, bits(mode & 0o7777))),
            New::Symlink { text } => symlinkat(&**text, parent, name),
            New::Node { mode, dev, umask } => {
                let kind = node_kind(*mode)?;
                with_umask(*umask, || mknodat(parent, name, kind, bits(mode & 0o7777), *dev))
            }
        }?)
    }

    /// Whether the name still stands for the pinned object.
    fn still(&self) -> Result<(), Refusal> {
        let now = match statat(&self.parent, bare(&self.name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(identity(&stat)),
            Err(rustix::io::Errno::NOENT) => None,
            Err(errno) => return Err(Refusal::kernel(errno)),
        };
        if now == self.object.as_ref().map(Pinned::identity) {
            Ok(())
        } else {
            Err(Refusal::kernel(Errno::EAGAIN))
        }
    }

    /// Who refused to rename this to `to`.
    fn refused(&self, to: &Self, errno: Errno) -> Refusal {
        let moves = self.parent.identity() != to.parent.identity();
        // A folder that gets another parent is written to: its `..` changes.
        let writable = |object: &Option<Pinned>| match object {
            Some(object) if moves && object.kind() == FileKind::Folder => {
                would_be_granted(object, Access::WRITE_OK)
            }
            _ => true,
        };
        let by_landlock = in_folder(&self.parent, errno).by_landlock
            && in_folder(&to.parent, errno).by_landlock
            && writable(&self.object)
            || not_to_be_moved(errno, &self.parent, &to.parent);
        Refusal { errno, by_landlock }
    }

    fn is(&self, object: &Pinned) -> bool {
        self.object.as_ref().is_some_and(|own| own.identity() == object.identity())
    }

    /// Whether a rename of this to `to` does nothing, since both are names of one file.
    fn untouched(&self, to: &Self) -> bool {
        to.object.as_ref().is_some_and(|object| self.is(object))
    }
}

/// What `mknod` is to make. The kernel takes a mode without a kind for a regular file.
fn node_kind(mode: u32) -> Result<FileType, Errno> {
    match mode & libc::S_IFMT {
        0 => Ok(FileType::RegularFile),
        libc::S_IFDIR => Err(Errno::EPERM),
        libc::S_IFREG | libc::S_IFCHR | libc::S_IFBLK | libc::S_IFIFO | libc::S_IFSOCK => {
            Ok(FileType::from_raw_mode(mode))
        }
        _ => Err(Errno::EINVAL),
    }
}

fn stands(parent: &Pinned, name: &[u8], object: &Pinned) -> bool {
    statat(parent, bare(name), AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| identity(&stat) == object.identity())
}

/// Whether a pinned object has fewer names than when it was pinned. A removed folder may keep its count.
fn lost_a_name(object: &Pinned) -> bool {
    object.kind() == FileKind::Folder || fstat(object).is_ok_and(|stat| stat.st_nlink < object.nlink())
}

/// Whether `EXDEV` is said of two folders of one mount: Landlock's answer to a change of folder that isn't granted.
fn not_to_be_moved(errno: Errno, from: &Pinned, to: &Pinned) -> bool {
    let mount =
        |pin: &Pinned| statx(pin, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|statx| statx.stx_mnt_id);
    errno == Errno::EXDEV && matches!((mount(from), mount(to)), (Ok(from), Ok(to)) if from == to)
}

/// A name without its trailing slashes; the root's as it is.
fn bare(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|byte| *byte != b'/') {
        Some(end) => name.get(..=end).unwrap_or(name),
        None => name,
    }
}
