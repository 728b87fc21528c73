//! The guests' files and numbers where they are not the supervisor's own: in a mount namespace with a procfs of the guests'
//! pid namespace.
//!
//! A thread that looks something up for guests enters their view once, and its lookups then start at their root. The kernel's
//! own way, `setns`, is closed to a thread of a process with several. Nothing is judged here.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2};

use super::pinned::{Identity, identity};
use super::process::Guest;
use crate::Errno;
use crate::sys::pid_namespace;

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// The number of init in its namespace.
const INIT: u32 = 1;

/// What guests see.
#[derive(Debug)]
pub(crate) struct View {
    root: OwnedFd,
    pids: OwnedFd,
    /// The device of their procfs.
    proc: u64,
    /// Whether init stands outside of the domain of whoever looks, so that the kernel keeps it apart.
    init_is_apart: bool,
    /// Files that have another identity on the supervisor's procfs, and that.
    known: HashMap<Identity, Identity>,
    /// Files of a procfs have their numbers only as long as somebody holds them.
    held: Vec<OwnedFd>,
}

thread_local! {
    static VIEW: RefCell<Option<Arc<View>>> = const { RefCell::new(None) };
}

impl View {
    /// By the root of the mount namespace, on whose `/proc` the procfs lies, and the pid namespace.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn new(root: OwnedFd, pids: OwnedFd, init_is_apart: bool) -> Result<Self, Errno> {
        let proc = fstat(openat(&root, c"proc", FOLDER, Mode::empty())?)?.st_dev;
        Ok(Self { root, pids, proc, init_is_apart, known: HashMap::new(), held: Vec::new() })
    }

    /// What `path` leads to there.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn open(&self, path: impl rustix::path::Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | flags;
        Ok(openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?)
    }

    /// The supervisor knows what lies at `path` by the identity `known`.
    pub(crate) fn add(&mut self, path: &str, known: Identity) {
        // What is not there can't be opened either.
        let Ok(file) = self.open(path, OFlags::empty()) else { return };
        let Ok(stat) = fstat(&file) else { return };
        if identity(&stat) != known {
            self.known.insert(identity(&stat), known);
            self.held.push(file);
        }
    }

    /// Whether their procfs is this device.
    pub(super) fn is_proc(&self, device: u64) -> bool {
        self.proc == device
    }

    /// The process and the thread of `guest`, as guests number them.
    pub(super) fn numbers(&self, guest: Guest) -> Result<(u32, u32), Errno> {
        let pids = self.pids.as_fd();
        Ok((pid_namespace::tgid_in(pids, guest.tgid)?, pid_namespace::tid_in(pids, guest.tid)?))
    }

    /// The process, as the supervisor numbers it, whose thread guests know by `number`. `None`: it is gone.
    ///
    /// # Errors
    /// `EACCES`: it is init, and only we keep guests from it.
    pub(super) fn owner(&self, number: u32) -> Result<Option<u32>, Errno> {
        if number == INIT && !self.init_is_apart {
            return Err(Errno::EACCES);
        }
        match pid_namespace::tgid_from(self.pids.as_fd(), number) {
            Ok(tgid) => Ok(Some(tgid)),
            Err(Errno::ESRCH) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

/// From now on the calling thread looks up as guests see it.
pub(crate) fn enter(view: Arc<View>) {
    VIEW.set(Some(view));
}

/// The view that the calling thread has entered.
pub(crate) fn current() -> Option<Arc<View>> {
    VIEW.with_borrow(Clone::clone)
}

/// The file's identity as the supervisor knows it.
pub(crate) fn known(file: Identity) -> Identity {
    VIEW.with_borrow(|view| view.as_ref().and_then(|view| view.known.get(&file).copied())).unwrap_or(file)
}

/// The guests' root.
pub(super) fn root() -> Result<OwnedFd, Errno> {
    match current() {
        Some(view) => Ok(rustix::io::fcntl_dupfd_cloexec(&view.root, 0)?),
        None => Ok(openat(CWD, c"/", FOLDER, Mode::empty())?),
    }
}

/// Makes a lookup from `base`, or from the guests' root: `look` is told where it starts and how it is kept within what guests
/// see. It then fails with `EXDEV` or `EAGAIN` where only a walk can tell where it leads.
pub(super) fn from<T>(
    base: Option<BorrowedFd<'_>>,
    scoped: bool,
    look: impl FnOnce(BorrowedFd<'_>, ResolveFlags) -> T,
) -> T {
    match (current(), base) {
        (None, base) => look(base.unwrap_or(CWD), ResolveFlags::empty()),
        (Some(view), None) => look(view.root.as_fd(), ResolveFlags::IN_ROOT),
        (Some(_), Some(base)) if scoped => look(base, ResolveFlags::empty()),
        // An absolute link would lead to the supervisor's own root.
        (Some(_), Some(base)) => look(base, ResolveFlags::BENEATH),
    }
}
