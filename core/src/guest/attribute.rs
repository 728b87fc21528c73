//! What a file says of itself, changed or read on a guest's behalf: its mode, owner, times, extended attributes and
//! inode flags, in every spelling that names the file by a path.
//!
//! [`AttributeRequest::pin`] finds the file once and pins it, the caller judges it, and [`Attributed::perform`] works
//! on the pin itself: nothing can come between. A symbolic link that was not followed is worked on itself.
//!
//! It differs from the kernel's own calls in this:
//!
//! * The ids in a POSIX access control list (`system.posix_acl_access`, `system.posix_acl_default`) are those of the
//!   supervisor's user namespace, where all are mapped, and not of the guest's.
#![forbid(unsafe_code)]

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, XattrFlags};
use rustix::fs::{Gid, OFlags, Uid};
use rustix::fs::{chmodat, chownat, fcntl_getfl, removexattr, setxattr, utimensat};
use rustix::fs::{getxattr, getxattr_query, listxattr, listxattr_query};

use super::change::At;
use super::pinned::Pinned;
use super::process::{self, Guest};
use super::resolve::{Lookup, resolve};
use crate::Errno;
use crate::sys::file::set_inode_flags;

/// One work on a file's attributes that a guest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeRequest {
    /// Who asked.
    pub guest: Guest,
    /// The file.
    pub file: At,
    /// Whether a symbolic link at the path's end is followed.
    pub follow: bool,
    /// What the empty path means.
    pub empty: Empty,
    /// What to do.
    pub work: Attribute,
}

/// What the empty path means to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// No file.
    Nothing,
    /// `AT_EMPTY_PATH`: the descriptor's file, or the current folder.
    Descriptor,
    /// The same, but the descriptor must not be one of `O_PATH`: so with the calls on extended attributes.
    Opened,
}

/// What to do with a file's attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// `chmod`.
    Mode(u32),
    /// `chown`. `u32::MAX` leaves an id as it is.
    Owner {
        /// The user.
        owner: u32,
        /// The group.
        group: u32,
    },
    /// `utimensat`: the time of the last access, then of the last change, each as seconds and nanoseconds.
    Times([(i64, i64); 2]),
    /// `setxattr`.
    Set {
        /// The attribute.
        name: Vec<u8>,
        /// Its value from then on.
        value: Vec<u8>,
        /// `XATTR_CREATE`, `XATTR_REPLACE`.
        flags: u32,
    },
    /// `getxattr`.
    Get {
        /// The attribute.
        name: Vec<u8>,
        /// How much room there is for its value; none: only its size is asked for.
        room: usize,
    },
    /// `listxattr`.
    List {
        /// How much room there is for the names; none: only their size is asked for.
        room: usize,
    },
    /// `removexattr`.
    Remove {
        /// The attribute.
        name: Vec<u8>,
    },
    /// `file_setattr`: its `struct file_attr`.
    InodeFlags(Vec<u8>),
}

/// The longest value of an attribute, and the longest list of names.
const XATTR_MAX: usize = 65536;

/// A work whose file is pinned.
#[derive(Debug)]
pub struct Attributed {
    guest: Guest,
    file: Pinned,
    work: Attribute,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What the call returns.
    pub value: i64,
    /// What it writes to the guest's memory.
    pub bytes: Vec<u8>,
}

impl AttributeRequest {
    /// Finds the file and pins it.
    ///
    /// # Errors
    /// What the kernel would give the guest; as [`resolve`](super::resolve()).
    pub fn pin(self) -> Result<Attributed, Errno> {
        let At { dirfd, path } = &self.file;
        if self.empty == Empty::Opened && path.is_empty() && *dirfd >= 0 {
            let descriptor = process::get_fd(self.guest.tid, *dirfd)?;
            if fcntl_getfl(descriptor)?.contains(OFlags::PATH) {
                return Err(Errno::EBADF);
            }
        }
        let lookup = Lookup {
            follow: self.follow,
            empty: self.empty != Empty::Nothing,
            ..Lookup::new(self.guest, *dirfd, path)
        };
        let file = resolve(&lookup)?.existing()?;
        Ok(Attributed { guest: self.guest, file, work: self.work })
    }
}

impl Attributed {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &Pinned {
        &self.file
    }

    /// What is to be done.
    #[must_use]
    pub fn work(&self) -> &Attribute {
        &self.work
    }

    /// Does it.
    ///
    /// # Errors
    /// The kernel's own.
    pub fn perform(&self) -> Result<Told, Errno> {
        // The link of the descriptor leads to the pinned object itself, also where that is a symbolic link.
        let path = self.file.own_path();
        match &self.work {
            Attribute::Mode(mode) => {
                chmodat(CWD, path, Mode::from_bits_retain(mode & 0o7777), AtFlags::empty())?;
            }
            Attribute::Owner { owner, group } => {
                self.check_ids(*owner, *group)?;
                let owner = (*owner != u32::MAX).then(|| Uid::from_raw(*owner));
                let group = (*group != u32::MAX).then(|| Gid::from_raw(*group));
                chownat(CWD, path, owner, group, AtFlags::empty())?;
            }
            Attribute::Times([access, change]) => {
                let time = |(tv_sec, tv_nsec): (i64, i64)| Timespec { tv_sec, tv_nsec };
                let times = Timestamps { last_access: time(*access), last_modification: time(*change) };
                utimensat(CWD, path, &times, AtFlags::empty())?;
            }
            Attribute::Set { name, value, flags } => {
                setxattr(path, &**name, value, XattrFlags::from_bits_retain(*flags))?;
            }
            Attribute::Get { name, room: 0 } => return told(getxattr_query(path, &**name)?, Vec::new()),
            Attribute::Get { name, room } => {
                let mut bytes = vec![0; (*room).min(XATTR_MAX)];
                return told(getxattr(path, &**name, &mut *bytes)?, bytes);
            }
            Attribute::List { room: 0 } => return told(listxattr_query(path)?, Vec::new()),
            Attribute::List { room } => {
                let mut bytes = vec![0; (*room).min(XATTR_MAX)];
                return told(listxattr(path, &mut *bytes)?, bytes);
            }
            Attribute::Remove { name } => removexattr(path, &**name)?,
            Attribute::InodeFlags(attr) => set_inode_flags(&path, attr)?,
        }
        Ok(Told { value: 0, bytes: Vec::new() })
    }

    /// Whether the guest's user namespace has these ids. In one of its own only its user and group are mapped
    /// (`man 7 user_namespaces`), and `chown` says `EINVAL` to all others.
    fn check_ids(&self, owner: u32, group: u32) -> Result<(), Errno> {
        let own_user = [u32::MAX, rustix::process::geteuid().as_raw()].contains(&owner);
        let own_group = [u32::MAX, rustix::process::getegid().as_raw()].contains(&group);
        if own_user && own_group || process::shares_user_namespace(self.guest.tid)? {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }
}

fn told(size: usize, mut bytes: Vec<u8>) -> Result<Told, Errno> {
    bytes.truncate(size);
    let value = i64::try_from(size).map_err(|_| Errno::E2BIG)?;
    Ok(Told { value, bytes })
}
