//! A start whose guests have a procfs of their own on `/proc`.
//!
//! In a Landlock domain nobody can mount, and a domain grants a procfs by the inode of its root alone: the check of a path
//! goes up past a mount point without a look at it. So the order is another one than elsewhere. init is made before the
//! worker enters the domain, with a mount namespace besides, and mounts. The worker then names the new procfs in its
//! ruleset, enters the domain, and makes the guest. A guest must be in the domain and a child of init, which is not: so a
//! process of the domain, the maker, enters init's namespaces; its child there makes the guest and ends; and init adopts
//! it. Numbers of the namespace are chosen so that guests have those that they have elsewhere: 1 is init, 2 the command.
//!
//! init itself then stands in no domain. It can be neither traced nor read by who is in one, the worker included.

use std::ffi::{c_int, c_void};
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::Ordering;

use syscalls::Sysno;
use syscalls::raw::{syscall0, syscall1, syscall2, syscall4, syscall5};

use super::child::{failed, give_up, guest_stage, wait_as_init};
use super::clone::{Failure, Frame, Shared, Stack, Starting, Step, taken, wake};
use crate::Errno;

/// The number of the first guest in its namespace.
pub(super) const GUEST: i32 = 2;
/// The number of the process that makes it and ends at once: none that a guest would have soon.
const MIDDLE: i32 = 300;

/// What init opens of what it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum View {
    /// The root of the mount namespace.
    Root,
    /// The folder to start in, there.
    Folder,
    /// The user namespace.
    User,
    /// The mount namespace.
    Mounts,
    /// The pid namespace.
    Pids,
    /// The IPC namespace, where there is one.
    Ipc,
}

/// How many these are.
pub(super) const VIEWS: usize = 6;

/// The stacks of those who stand between the worker and the guest.
pub(super) struct Between {
    maker: Stack,
    middle: Stack,
}

impl Between {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self { maker: Stack::new()?, middle: Stack::new()? })
    }
}

impl Starting {
    /// Waits until init has mounted the procfs. [`view`](Self::view) then gives something.
    pub(crate) fn wait_mounted(&self) -> Result<(), Failure> {
        self.wait_for(&self.frame.shared.mounted, 0)?;
        self.failure().map_or(Ok(()), Err)
    }

    /// What init sees.
    pub(crate) fn view(&self, view: View) -> Option<BorrowedFd<'_>> {
        let fd = self.frame.shared.views[view as usize].load(Ordering::SeqCst);
        // SAFETY: init left an open descriptor in the table that it shares with us; it is closed by `replace_folder`, which
        // borrows this exclusively, or when this is dropped.
        (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// The guest starts in this folder instead.
    pub(crate) fn replace_folder(&mut self, folder: OwnedFd) {
        let place = &self.frame.shared.views[View::Folder as usize];
        drop(taken(place));
        place.store(folder.into_raw_fd(), Ordering::SeqCst);
    }

    /// Makes the guest, in the domain of the calling thread and in the namespaces of init, whose child it becomes.
    pub(crate) fn join(&mut self) -> Result<(), Failure> {
        let failure = |errno| Failure { step: Step::Join, errno };
        let frame = &mut *self.frame;
        let Some(top) = frame.between.as_ref().map(|between| between.maker.top()) else {
            return Err(failure(Errno::EINVAL));
        };
        let flags = libc::CLONE_VM | libc::CLONE_FILES;
        let argument = ptr::from_mut(frame).cast::<c_void>();
        // SAFETY: as in `Starting::begin`; that this child is gone is waited for below. It has no exit signal, so that no
        // other thread of this process, which may wait for all its children, takes its end.
        let pid = unsafe { libc::clone(maker_stage, top, flags, argument) };
        if pid < 0 {
            return Err(failure(Errno::of(&std::io::Error::last_os_error())));
        }
        let mut status = 0;
        // SAFETY: the status is written to this stack.
        while unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
            let errno = Errno::of(&std::io::Error::last_os_error());
            if errno != Errno::EINTR {
                return Err(failure(errno));
            }
        }
        match self.failure() {
            Some(failure) => Err(failure),
            None if status == 0 => Ok(()),
            None => Err(Failure { step: Step::Lost, errno: Errno::ECHILD }),
        }
    }
}

/// init mounts the procfs and opens what is to be known of its namespaces; then it waits for its child.
///
/// # Safety
/// The caller is init, on its way to exec, and the id maps of its user namespace are written.
pub(super) unsafe fn mount_and_wait(frame: &Frame) {
    let shared = &frame.shared;
    let text = |text: &'static std::ffi::CStr| text.as_ptr() as usize;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: raw calls with numbers, or with strings that end in zero.
    unsafe {
        // Guests may find `/proc/1/autogroup`, which is the whole session's priority: it must not be our caller's.
        if let Some(errno) = failed(syscall0(Sysno::setsid as usize)) {
            give_up(shared, Step::Session, errno);
        }
        let proc = text(c"proc");
        let mounted = syscall5(Sysno::mount as usize, proc, text(c"/proc"), proc, flags as usize, 0);
        if let Some(errno) = failed(mounted) {
            give_up(shared, Step::Mount, errno);
        }
        let folder = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let file = libc::O_RDONLY | libc::O_CLOEXEC;
        let views = [
            (View::Root, c"/", folder),
            (View::Folder, c".", folder),
            (View::User, c"/proc/self/ns/user", file),
            (View::Mounts, c"/proc/self/ns/mnt", file),
            (View::Pids, c"/proc/self/ns/pid", file),
            (View::Ipc, c"/proc/self/ns/ipc", file),
        ];
        for (view, path, how) in views {
            if view == View::Ipc && !frame.start.ipc_namespace {
                continue;
            }
            let here = libc::AT_FDCWD as usize;
            let fd = syscall4(Sysno::openat as usize, here, text(path), how as usize, 0);
            if let Some(errno) = failed(fd) {
                give_up(shared, Step::Mount, errno);
            }
            shared.views[view as usize].store(fd as c_int, Ordering::SeqCst);
        }
        shared.mounted.store(1, Ordering::SeqCst);
        wake(&shared.mounted);
        wait_as_init(frame, &shared.adopted);
        wait_adopted(shared);
    }
}

/// Waits until the guest is init's child.
///
/// # Safety
/// The caller is a child on its way to exec.
pub(super) unsafe fn wait_adopted(shared: &Shared) {
    while shared.adopted.load(Ordering::SeqCst) == 0 {
        let word = shared.adopted.as_ptr() as usize;
        // SAFETY: a futex operation on a live, aligned word.
        unsafe { syscall4(Sysno::futex as usize, word, libc::FUTEX_WAIT as usize, 0, 0) };
    }
    if shared.adopted.load(Ordering::SeqCst) != 1 {
        give_up(shared, Step::Lost, libc::ECANCELED);
    }
}

/// The folder to start in, as the guests' mount namespace has it.
pub(super) fn folder(shared: &Shared) -> RawFd {
    shared.views[View::Folder as usize].load(Ordering::SeqCst)
}

/// The maker's life: in the supervisor's memory and table, in the guests' domain, and soon in their namespaces.
extern "C" fn maker_stage(argument: *mut c_void) -> c_int {
    // SAFETY: as in `init_stage`.
    let frame = unsafe { &*argument.cast::<Frame>() };
    let shared = &frame.shared;
    // SAFETY: raw calls with numbers, or with pointers into the frame or this stack.
    unsafe {
        let how = libc::PR_SET_PDEATHSIG as usize;
        let _ = syscall5(Sysno::prctl as usize, how, libc::SIGKILL as usize, 0, 0, 0);
        let enter = [
            (View::User, libc::CLONE_NEWUSER),
            (View::Mounts, libc::CLONE_NEWNS),
            (View::Pids, libc::CLONE_NEWPID),
            (View::Ipc, libc::CLONE_NEWIPC),
        ];
        for (view, kind) in enter {
            if view == View::Ipc && !frame.start.ipc_namespace {
                continue;
            }
            let fd = shared.views[view as usize].load(Ordering::SeqCst);
            if let Some(errno) = failed(syscall2(Sysno::setns as usize, fd as usize, kind as usize)) {
                give_up(shared, Step::Join, errno);
            }
        }
        let Some(between) = &frame.between else { give_up(shared, Step::Join, libc::EINVAL) };
        let number = [MIDDLE];
        shared.maker_here.store(1, Ordering::SeqCst);
        let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_CHILD_CLEARTID;
        let args = CloneArgs {
            flags: flags as u64,
            child_tid: shared.maker_here.as_ptr() as u64,
            ..CloneArgs::on(&between.middle, &number)
        };
        let middle = raw_clone3(&args, middle_stage, argument);
        if let Some(errno) = failed(middle.cast_unsigned()) {
            shared.maker_here.store(0, Ordering::SeqCst);
            give_up(shared, Step::Join, errno);
        }
        // Only when it is reaped has init adopted its child.
        let any = libc::__WALL as usize;
        while failed(syscall4(Sysno::wait4 as usize, middle as usize, 0, any, 0)) == Some(libc::EINTR) {}
        if shared.step.load(Ordering::SeqCst) == 0 {
            shared.adopted.store(1, Ordering::SeqCst);
            wake(&shared.adopted);
        }
        loop {
            syscall1(Sysno::exit_group as usize, 0);
        }
    }
}

/// The life of the guest's first parent: in the pid namespace, whose orphans are init's.
extern "C" fn middle_stage(argument: *mut c_void) -> ! {
    // SAFETY: as in `init_stage`.
    let frame = unsafe { &*argument.cast::<Frame>() };
    let shared = &frame.shared;
    // SAFETY: raw calls with numbers, or with pointers into the frame or this stack.
    unsafe {
        let number = [GUEST];
        shared.guest_here.store(1, Ordering::SeqCst);
        let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID;
        let args = CloneArgs {
            flags: flags as u64,
            pidfd: shared.pidfd.as_ptr() as u64,
            child_tid: shared.guest_here.as_ptr() as u64,
            exit_signal: libc::SIGCHLD as u64,
            ..CloneArgs::on(&frame.guest_stack, &number)
        };
        let guest = raw_clone3(&args, guest_stage, argument);
        if let Some(errno) = failed(guest.cast_unsigned()) {
            shared.guest_here.store(0, Ordering::SeqCst);
            give_up(shared, Step::Join, errno);
        }
        loop {
            syscall1(Sysno::exit_group as usize, 0);
        }
    }
}

/// `struct clone_args`, as of Linux 5.7 (`man 2 clone3`).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

impl CloneArgs {
    /// A child on this stack, with this number in the caller's pid namespace for children.
    fn on(stack: &Stack, number: &[c_int; 1]) -> Self {
        let (stack, stack_size) = stack.bounds();
        Self { stack, stack_size, set_tid: number.as_ptr() as u64, set_tid_size: 1, ..Self::default() }
    }
}

/// `clone3` whose child runs `stage` on the stack that `args` names.
///
/// # Safety
/// `args` names a stack that nobody else uses, and words that outlive the child's stay in this memory; `frame` leads to a
/// live frame.
unsafe fn raw_clone3(args: &CloneArgs, stage: extern "C" fn(*mut c_void) -> !, frame: *mut c_void) -> isize {
    let result: isize;
    // SAFETY: the parent returns with its registers as the kernel leaves them; the child starts at the end of its stack,
    // aligned as the ABI wants it at a call, and never returns.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call r8",
            "ud2",
            "2:",
            inlateout("rax") Sysno::clone3.id() as isize => result,
            in("rdi") ptr::from_ref(args),
            in("rsi") size_of::<CloneArgs>(),
            in("r8") stage,
            in("r9") frame,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}
