//! procfs as a guest would see it, although it is the supervisor that looks.
//!
//! Here `self` is the guest, by the number that the procfs has for it. Never lets a guest through to the supervisor's own process or to init, whichever way it
//! came: whoever looks stands in a Landlock domain above the guests', and may do to these what no guest may. Every magic link is followed, and every file of a procfs handed out, only after [`guard`] has seen the folder.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat, statat,
};

use super::pinned::{FileKind, Pinned, identity, on_procfs, own_path};
use super::process::{self, Guest};
use super::view::{self, View};
use crate::Errno;

const PIN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The number of a procfs's root.
const ROOT_INO: u64 = 1;
/// No folder of a procfs lies so deep.
const DEPTH: usize = 32;

/// Where a symbolic link on a procfs leads.
pub(crate) enum Link {
    /// To this text, relative to its folder, or absolute.
    Text(Vec<u8>),
    /// To an object that only the kernel can follow it to.
    Magic,
}

/// What the link `name` in `dir` on a procfs is to `guest`.
pub(crate) fn link(guest: Guest, dir: BorrowedFd<'_>, name: &[u8]) -> Result<Link, Errno> {
    if is_root(dir)? {
        if name == b"self" {
            let (process, _) = numbers(guest, dir)?;
            return Ok(Link::Text(process.to_string().into()));
        }
        if name == b"thread-self" {
            let (process, thread) = numbers(guest, dir)?;
            return Ok(Link::Text(format!("{process}/task/{thread}").into()));
        }
    } else {
        guard(guest, dir)?;
    }
    match openat2(dir, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Err(rustix::io::Errno::LOOP) => Ok(Link::Magic),
        // Its text would say where it leads, but who may read that may not yet follow it (`map_files`).
        Err(rustix::io::Errno::PERM) => Err(Errno::EPERM),
        _ => Ok(Link::Text(readlinkat(dir, name, Vec::new())?.into_bytes())),
    }
}

/// Refuses a file that belongs to the supervisor's own process or to init. `parent` is the folder that it was found in, if it
/// was found by name; the file itself lies on a procfs.
pub(crate) fn guard_file(guest: Guest, file: &Pinned, parent: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    if file.kind() == FileKind::Folder {
        return guard(guest, file.as_fd()).map(drop);
    }
    let path = file.path()?;
    let slash = path.iter().rposition(|byte| *byte == b'/').ok_or(Errno::EACCES)?;
    let (folder, name) = (path.get(..=slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default());
    if let Some(parent) = parent {
        return guard_memory(guest, name, guard(guest, parent)?);
    }
    // Reached through a descriptor: the kernel knows its name, and the name is checked to lead to it.
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = view::from(None, false, |root, within| {
        openat2(root, folder, how, Mode::empty(), ResolveFlags::NO_SYMLINKS | within)
    });
    let parent = parent.map_err(|_| Errno::EACCES)?;
    let there = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| Errno::EACCES)?;
    if identity(&there) != file.identity() || !on_procfs(&parent, identity(&fstat(&parent)?))? {
        return Err(Errno::EACCES);
    }
    guard_memory(guest, name, guard(guest, parent.as_fd())?)
}

/// Refuses to list a folder of procfs that belongs to the supervisor's own process or to init: procfs asks who reads, and
/// that is the supervisor.
pub(crate) fn guard_listing(guest: Guest, folder: BorrowedFd<'_>) -> Result<(), Errno> {
    let stat = fstat(folder)?;
    // What is no folder the kernel refuses by itself.
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if is_folder && on_procfs(folder, identity(&stat))? { guard(guest, folder).map(drop) } else { Ok(()) }
}

/// Refuses another process's memory, to which `ptrace` is no way either. A program that may not be executed would lie
/// there open, between its exec and the judgement.
fn guard_memory(guest: Guest, name: &[u8], owner: Option<u32>) -> Result<(), Errno> {
    if name == b"mem" && owner != Some(guest.tgid) { Err(Errno::EACCES) } else { Ok(()) }
}

/// Whose folder of a procfs this is, if it is some process's. Refuses one that lies under the supervisor's own process,
/// one of its threads or init, and one whose process can't be told.
fn guard(guest: Guest, dir: BorrowedFd<'_>) -> Result<Option<u32>, Errno> {
    let mut below: Option<OwnedFd> = None;
    let mut here = again(dir)?;
    for _ in 0..DEPTH {
        if is_root(here.as_fd())? {
            return match below {
                Some(below) => guard_process(guest, here.as_fd(), below.as_fd()),
                None => Ok(None),
            };
        }
        if !on_procfs(&here, identity(&fstat(&here)?))? {
            break;
        }
        let up = openat(&here, c"..", PIN, Mode::empty()).map_err(|_| Errno::EACCES)?;
        below = Some(std::mem::replace(&mut here, up));
    }
    Err(Errno::EACCES)
}

/// Refuses `dir`, which lies directly in the procfs root `root`, if the calling thread is one of its process's or the
/// process is a child of the calling one, as init is.
fn guard_process(guest: Guest, root: BorrowedFd<'_>, dir: BorrowedFd<'_>) -> Result<Option<u32>, Errno> {
    if let Some(view) = guests_own(root)? {
        return number(dir)?.map_or(Ok(None), |number| view.owner(number));
    }
    let own = match readlinkat(root, c"thread-self", Vec::new()) {
        Ok(own) => own.into_bytes(),
        // This procfs shows a pid namespace that the supervisor isn't in.
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(_) => return Err(Errno::EACCES),
    };
    let tid = own.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let task = [b"task/", tid].concat();
    match statat(dir, task.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::SRCH) => {}
        _ => return Err(Errno::EACCES),
    }
    let Some(pid) = number(dir)? else { return Ok(None) };
    if !translated(root)? {
        return Err(Errno::EACCES);
    }
    match process::open(pid).and_then(process::info) {
        Ok(process) if process.tgid == guest.tgid => Ok(Some(guest.tgid)),
        Ok(process) if process.ppid.cast_signed() == rustix::process::getpid().as_raw_nonzero().get() => {
            Err(Errno::EACCES)
        }
        Ok(process) => Ok(Some(process.tgid)),
        // Who is gone has nothing to give.
        Err(Errno::ESRCH) => Ok(None),
        Err(_) => Err(Errno::EACCES),
    }
}

/// The process or thread whose folder this is, by the folder's name.
fn number(dir: BorrowedFd<'_>) -> Result<Option<u32>, Errno> {
    let path = rustix::fs::readlink(own_path(&dir), Vec::new())?.into_bytes();
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    Ok(std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()))
}

fn is_root(dir: BorrowedFd<'_>) -> Result<bool, Errno> {
    let stat = fstat(dir)?;
    Ok(stat.st_ino == ROOT_INO
        && on_procfs(dir, identity(&stat))?
        // Numbers of processes' folders are handed out by a counter, which may come round.
        && statat(dir, c"self", AtFlags::SYMLINK_NOFOLLOW).is_ok())
}

/// The process and the thread of `guest`, as this procfs numbers them.
fn numbers(guest: Guest, root: BorrowedFd<'_>) -> Result<(u32, u32), Errno> {
    match guests_own(root)? {
        Some(view) => view.numbers(guest),
        None if translated(root)? => Ok((guest.tgid, guest.tid)),
        None => Err(Errno::EACCES),
    }
}

/// The guests' view, if this procfs is theirs. The supervisor's own process is not on it.
fn guests_own(root: BorrowedFd<'_>) -> Result<Option<Arc<View>>, Errno> {
    let Some(view) = view::current() else { return Ok(None) };
    Ok(view.is_proc(fstat(root)?.st_dev).then_some(view))
}

/// Whether this procfs numbers processes as the supervisor does.
fn translated(root: BorrowedFd<'_>) -> Result<bool, Errno> {
    let own = readlinkat(root, c"self", Vec::new())?;
    Ok(own.as_bytes() == rustix::process::getpid().as_raw_nonzero().to_string().as_bytes())
}

/// The folder that `guest`'s relative paths start in.
pub(crate) fn cwd(guest: Guest) -> Result<OwnedFd, Errno> {
    Ok(in_folder_of(guest, "cwd")?)
}

/// The file behind `guest`'s descriptor `fd`.
pub(crate) fn descriptor(guest: Guest, fd: i32) -> Result<OwnedFd, Errno> {
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    match in_folder_of(guest, &format!("fd/{fd}")) {
        Err(rustix::io::Errno::NOENT) => Err(Errno::EBADF),
        other => Ok(other?),
    }
}

/// Opens what `name` leads to in the procfs folder of `guest`'s thread. The folder of the guest that asked last is kept:
/// many calls of one guest follow each other. It stands for that thread alone, even if its number is given to another.
fn in_folder_of(guest: Guest, name: &str) -> Result<OwnedFd, rustix::io::Errno> {
    thread_local! {
        static LAST: RefCell<Option<(u32, OwnedFd)>> = const { RefCell::new(None) };
    }
    let open = |folder: &OwnedFd| openat(folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    LAST.with_borrow_mut(|last| {
        if let Some((tid, folder)) = last
            && *tid == guest.tid
        {
            match open(folder) {
                // Of a thread that is gone nothing is found: this one may be another.
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH) => {}
                other => return other,
            }
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, format!("/proc/{}", guest.tid), flags, Mode::empty())?;
        let found = open(&folder);
        *last = Some((guest.tid, folder));
        found
    })
}

/// Another descriptor for the same file.
pub(crate) fn again(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 0)?)
}
