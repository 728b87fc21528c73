//! A path walked component by component, as its guest: for paths whose end could depend on who looks.
//!
//! The kernel still makes each step and checks each permission; what is done here is only to say what `self` is,
//! to keep a scoped walk in its scope, and to know each magic link before it is followed.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, openat2, readlinkat, statx};

use super::pinned::{FileKind, Pinned, on_procfs};
use super::procfs::{self, Link};
use super::resolve::{Found, Lookup, ResolveFlags};
use super::view;
use crate::Errno;

const PIN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// As the kernel's own limit on links in one path.
const LINKS: u32 = 40;

/// Walks `lookup` from `base`, or from the root.
pub(super) fn walk(lookup: &Lookup<'_>, base: Option<OwnedFd>) -> Result<Found, Errno> {
    let absolute = lookup.path.starts_with(b"/");
    if absolute && lookup.resolve.contains(ResolveFlags::BENEATH) {
        return Err(Errno::EXDEV);
    }
    let here = match base {
        Some(base) => base,
        None => view::root()?,
    };
    let trail = if lookup.scoped() { vec![procfs::again(&here)?] } else { Vec::new() };
    let rooted = absolute || lookup.resolve.contains(ResolveFlags::IN_ROOT);
    let mut walk = Walk {
        lookup,
        here,
        trail,
        links: 0,
        rooted,
        slash: lookup.path.ends_with(b"/"),
        pending: Vec::new(),
    };
    walk.push(lookup.path);
    walk.run()
}

struct Walk<'a> {
    lookup: &'a Lookup<'a>,
    /// Where the walk stands.
    here: OwnedFd,
    /// In a scoped walk, the folders from its start to `here`.
    trail: Vec<OwnedFd>,
    links: u32,
    /// Whether the kernel would know its root yet: under `RESOLVE_NO_XDEV` it follows no absolute link before.
    rooted: bool,
    /// Whether the last component, so far as it is known, has a slash behind it.
    slash: bool,
    /// What is still to be walked, the next component last.
    pending: Vec<Vec<u8>>,
}

impl Walk<'_> {
    fn push(&mut self, path: &[u8]) {
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        self.pending.extend(names.rev().map(<[u8]>::to_vec));
    }

    fn run(mut self) -> Result<Found, Errno> {
        // The folder that the last component was found in, where it was found by a name.
        let mut parent: Option<OwnedFd> = None;
        while let Some(name) = self.pending.pop() {
            let last = self.pending.is_empty();
            parent = None;
            match name.as_slice() {
                b"." => self.here = self.step(b".")?,
                b".." => self.up()?,
                name => {
                    if last && self.lookup.create && self.slash {
                        self.step(b".")?;
                        return Err(Errno::EISDIR);
                    }
                    let child = match self.step(name) {
                        Err(Errno::ENOENT) if last && self.lookup.create => return self.missing(name),
                        child => Pinned::new(child?)?,
                    };
                    let follow = !last || self.lookup.follow || self.slash;
                    if follow && child.kind() == FileKind::Symlink {
                        self.link(child, name, last)?;
                    } else {
                        parent = Some(self.descend(child.into_fd())?);
                    }
                }
            }
        }
        let pin = Pinned::new(self.here)?;
        if (self.slash || self.lookup.directory) && pin.kind() != FileKind::Folder {
            return Err(Errno::ENOTDIR);
        }
        if pin.on_procfs()? {
            procfs::guard_file(self.lookup.guest, &pin, parent.as_ref().map(AsFd::as_fd))?;
        }
        Ok(Found::Existing(pin))
    }

    fn missing(self, name: &[u8]) -> Result<Found, Errno> {
        let parent = Pinned::new(self.here)?;
        if parent.on_procfs()? {
            procfs::guard_file(self.lookup.guest, &parent, None)?;
        }
        Ok(Found::Missing { parent, name: name.to_vec() })
    }

    /// One component from here, no link followed. The kernel checks that this is a folder that may be searched.
    fn step(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let resolve = self.lookup.resolve & ResolveFlags::NO_XDEV;
        Ok(openat2(&self.here, name, PIN, Mode::empty(), resolve)?)
    }

    /// Goes down to `child` and returns where it was.
    fn descend(&mut self, child: OwnedFd) -> Result<OwnedFd, Errno> {
        if self.lookup.scoped() {
            self.trail.push(procfs::again(&child)?);
        }
        Ok(std::mem::replace(&mut self.here, child))
    }

    fn up(&mut self) -> Result<(), Errno> {
        self.rooted = true;
        if !self.lookup.scoped() {
            self.here = self.step(b"..")?;
            return Ok(());
        }
        // The way back is the way that was come, whatever was renamed meanwhile: it can't leave the scope.
        self.step(b".")?;
        if self.trail.len() > 1 {
            if self.lookup.resolve.contains(ResolveFlags::NO_XDEV) {
                self.step(b"..")?;
            }
            self.trail.pop();
            self.here = procfs::again(self.trail.last().ok_or(Errno::EXDEV)?)?;
        } else if self.lookup.resolve.contains(ResolveFlags::BENEATH) {
            return Err(Errno::EXDEV);
        }
        Ok(())
    }

    /// Follows the symbolic link `link`, which stands as `name` in the folder here.
    fn link(&mut self, link: Pinned, name: &[u8], last: bool) -> Result<(), Errno> {
        self.links += 1;
        let resolve = self.lookup.resolve;
        if self.links > LINKS || resolve.contains(ResolveFlags::NO_SYMLINKS) {
            return Err(Errno::ELOOP);
        }
        let text = if on_procfs(&link, link.identity())? {
            match procfs::link(self.lookup.guest, self.here.as_fd(), name)? {
                Link::Text(text) => text,
                Link::Magic => return self.magic(name),
            }
        } else {
            readlinkat(&link, c"", Vec::new())?.into_bytes()
        };
        if text.is_empty() {
            return Err(Errno::ENOENT);
        }
        if text.starts_with(b"/") {
            self.rewind()?;
        }
        self.slash |= last && text.ends_with(b"/");
        self.push(&text);
        Ok(())
    }

    /// Lets the kernel follow a magic link.
    fn magic(&mut self, name: &[u8]) -> Result<(), Errno> {
        let resolve = self.lookup.resolve;
        if resolve.contains(ResolveFlags::NO_MAGICLINKS) {
            return Err(Errno::ELOOP);
        }
        if self.lookup.scoped() {
            return Err(Errno::EXDEV);
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        self.here = openat2(&self.here, name, flags, Mode::empty(), resolve & ResolveFlags::NO_XDEV)?;
        Ok(())
    }

    /// Goes where an absolute link starts.
    fn rewind(&mut self) -> Result<(), Errno> {
        let resolve = self.lookup.resolve;
        if resolve.contains(ResolveFlags::BENEATH) {
            return Err(Errno::EXDEV);
        }
        let root = if resolve.contains(ResolveFlags::IN_ROOT) {
            self.trail.truncate(1);
            procfs::again(self.trail.first().ok_or(Errno::EXDEV)?)?
        } else {
            view::root()?
        };
        if resolve.contains(ResolveFlags::NO_XDEV)
            && (!self.rooted || mount(root.as_fd())? != mount(self.here.as_fd())?)
        {
            return Err(Errno::EXDEV);
        }
        self.rooted = true;
        self.here = root;
        Ok(())
    }
}

fn mount(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    Ok(statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}
