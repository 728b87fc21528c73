//! The supervisor's side of a start: what the children need, and what the two sides tell each other.
//!
//! Both children share the supervisor's memory until their exec, on stacks of their own, so that a start costs the
//! same however large the supervisor is. The first becomes the init of the namespaces; it makes the second, the guest,
//! which arms its filter, waits until the supervisor has the listener, and executes the command (see [`super::child`]).

use std::cell::UnsafeCell;
use std::ffi::{CString, c_int, c_void};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use syscalls::Sysno;
use syscalls::raw::{syscall3, syscall4};

use super::child::init_stage;
use super::own_proc::Between;
use super::probe::Probe;
use crate::Errno;

/// `SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_CAP_AMBIENT_RAISE`, each locked (`man 7 capabilities`).
pub(super) const SECUREBITS: u64 = 0b1100_1111;

/// `struct __user_cap_header_struct`, version 3.
#[repr(C)]
pub(super) struct CapHeader {
    version: u32,
    pid: c_int,
}

impl CapHeader {
    /// For the calling thread.
    pub(super) const fn own() -> Self {
        Self { version: 0x2008_0522, pid: 0 }
    }
}

/// What the first guest's process does to itself before its filter is armed: all that it makes inherits it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preparation {
    /// Its personality (`man 2 personality`), where it is not the caller's.
    pub(crate) personality: Option<u32>,
    /// Whether reading the time stamp counter is a fault (`man 2 prctl`, `PR_SET_TSC`).
    pub(crate) tsc_faults: bool,
    /// Whether a procfs of the guests' pid namespace is to lie on `/proc`. Done for it, where there is such a namespace.
    pub(crate) own_proc: bool,
}

/// All that a start needs, ready for children that can't allocate.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// A user and a pid namespace for the guests.
    pub(crate) namespaces: bool,
    /// An IPC namespace besides.
    pub(crate) ipc_namespace: bool,
    /// A mount namespace besides, with a procfs of that pid namespace on `/proc`: see [`super::own_proc`].
    pub(crate) own_proc: bool,
    /// The hard and the soft `RLIMIT_CORE`, where it is not the caller's.
    pub(crate) core_limit: Option<u64>,
    /// What the guest does to itself.
    pub(crate) preparation: Preparation,
    /// A session of its own, without a terminal.
    pub(crate) new_session: bool,
    /// What becomes the guest's descriptors 0, 1, 2, 3, ...: each above [`LOWEST_FREE`].
    pub(crate) fds: Vec<RawFd>,
    /// The folder to start in.
    pub(crate) cwd: RawFd,
    /// The Landlock ruleset that the guest enters besides the worker's.
    pub(crate) beneath: Option<RawFd>,
    /// Signals whose disposition goes back to the default.
    pub(crate) reset_signals: Vec<i32>,
    /// The filter.
    pub(crate) filter: Vec<libc::sock_filter>,
    /// Run before the command.
    pub(crate) probes: Vec<Probe>,
    /// The program: tried in order, as a shell tries the folders of PATH.
    pub(crate) programs: Vec<CString>,
    /// Or a descriptor to execute.
    pub(crate) image: Option<RawFd>,
    /// `argv`.
    pub(crate) args: Vec<CString>,
    /// `environ`.
    pub(crate) env: Vec<CString>,
    /// Where init writes the guest's wait status.
    pub(crate) status: RawFd,
    /// The init program.
    pub(crate) init: RawFd,
}

/// Descriptors of a start lie here or above, so that moving one into its place never overwrites another.
pub(crate) const LOWEST_FREE: RawFd = 100;

macro_rules! steps {
    ($($step:ident => $words:literal,)*) => {
        /// Which step of a start failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub(crate) enum Step {
            $(#[doc = $words] $step,)*
        }

        impl Step {
            const ALL: &[Self] = &[$(Self::$step),*];

            /// In words.
            pub(crate) fn words(self) -> &'static str {
                match self {
                    $(Self::$step => $words,)*
                }
            }
        }
    };
}

steps! {
    None => "nothing",
    Domain => "entering the Landlock domain (landlock_restrict_self)",
    IdMaps => "writing the id maps of the user namespace",
    Tracker => "taking hold of the guest (ptrace)",
    CloneInit => "making the namespaces (clone)",
    Mount => "mounting a procfs of the guests' own (mount)",
    Join => "putting the guest into its namespaces (setns, clone3)",
    Parent => "tying init's life to the supervisor's (prctl)",
    CloneGuest => "making the guest (clone)",
    Descriptors => "arranging descriptors (dup3, close_range)",
    ExecInit => "starting init (execveat)",
    Session => "making a session (setsid)",
    Folder => "entering the folder (fchdir)",
    CoreLimit => "limiting core dumps (prlimit64)",
    Personality => "fixing where programs lie (personality)",
    Tsc => "taking the time stamp counter away (prctl)",
    Capabilities => "giving up capabilities (capset)",
    Filter => "arming the filter (seccomp)",
    Listener => "taking over the listener (pidfd_getfd)",
    Probe => "showing that the controls are in force",
    Exec => "executing the program (execve)",
    Lost => "a child was killed while it was starting",
}

impl Step {
    fn from_number(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::Lost)
    }
}

/// A failed start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: Errno,
}

/// What the children and the supervisor tell each other. Futexes: whoever changes one wakes its waiters.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// 1: the id maps are written. 2: the start is given up.
    pub(super) mapped: AtomicU32,
    /// 1: the guest's filter is armed and `listener` is set. 2: it failed.
    pub(super) armed: AtomicU32,
    /// 1: the supervisor has the listener, and the guest may go on. 2: the start is given up.
    pub(super) go: AtomicU32,
    /// The listener's number in the guest.
    pub(super) listener: AtomicI32,
    /// The guest's pidfd, in the shared table.
    pub(super) pidfd: AtomicI32,
    /// Cleared by the kernel when the child has left the shared memory.
    pub(super) init_here: AtomicU32,
    pub(super) guest_here: AtomicU32,
    pub(super) step: AtomicU32,
    pub(super) errno: AtomicI32,
    /// Which probe failed.
    pub(super) probe: AtomicU32,
    /// 1: init's procfs is mounted, and `views` are open. 2: the start is given up.
    pub(super) mounted: AtomicU32,
    /// 1: the guest is init's child. 2: the start is given up.
    pub(super) adopted: AtomicU32,
    /// Cleared by the kernel when the guest's maker has left the shared memory.
    pub(super) maker_here: AtomicU32,
    /// Descriptors of what init sees, in the shared table, by [`View`](super::own_proc::View).
    pub(super) views: [AtomicI32; super::own_proc::VIEWS],
}

/// Everything that must stay where it is while a child shares the memory.
pub(super) struct Frame {
    pub(super) start: Start,
    pub(super) shared: Shared,
    pub(super) argv: Vec<*const libc::c_char>,
    pub(super) envp: Vec<*const libc::c_char>,
    pub(super) program: libc::sock_fprog,
    pub(super) guest_stack: Stack,
    pub(super) init_stack: Stack,
    /// This process: readable once it is gone (`man 2 pidfd_open`).
    pub(super) supervisor: OwnedFd,
    /// Where the guest is not init's child from the first.
    pub(super) between: Option<Between>,
    /// Written by init alone, once.
    pub(super) init_name: UnsafeCell<[u8; 12]>,
    pub(super) init_argv: UnsafeCell<[*const u8; 3]>,
}

/// Children on their way to exec. Dropping it waits until none shares our memory any more.
pub(crate) struct Starting {
    pub(super) frame: Box<Frame>,
    /// init, as we number it.
    pub(crate) init_pid: u32,
    /// init's pidfd.
    init_pidfd: OwnedFd,
}

// SAFETY: the raw pointers of a frame lead into the frame itself, and only children in other processes follow them.
unsafe impl Send for Starting {}

impl Starting {
    /// Clones init, which waits for [`Starting::ids_are_mapped`] if it has a user namespace.
    ///
    /// The calling thread must already stand in the guest's Landlock domain: the children inherit it.
    pub(crate) fn begin(start: Start) -> Result<Self, Failure> {
        let argv = pointers(&start.args);
        let envp = pointers(&start.env);
        let mut frame = Box::new(Frame {
            shared: Shared {
                pidfd: AtomicI32::new(-1),
                views: std::array::from_fn(|_| AtomicI32::new(-1)),
                ..Shared::default()
            },
            argv,
            envp,
            program: libc::sock_fprog { len: 0, filter: ptr::null_mut() },
            guest_stack: Stack::new()?,
            init_stack: Stack::new()?,
            supervisor: own_pidfd()?,
            between: if start.own_proc { Some(Between::new()?) } else { None },
            init_name: UnsafeCell::new([0; 12]),
            init_argv: UnsafeCell::new([ptr::null(); 3]),
            start,
        });
        frame.program = libc::sock_fprog {
            len: u16::try_from(frame.start.filter.len()).unwrap_or(u16::MAX),
            filter: frame.start.filter.as_mut_ptr(),
        };
        frame.shared.init_here.store(1, Ordering::SeqCst);
        let mut flags = libc::CLONE_VM
            | libc::CLONE_FILES
            | libc::CLONE_PIDFD
            | libc::CLONE_CHILD_CLEARTID
            | libc::SIGCHLD;
        if frame.start.namespaces {
            flags |= libc::CLONE_NEWUSER | libc::CLONE_NEWPID;
            if frame.start.ipc_namespace {
                flags |= libc::CLONE_NEWIPC;
            }
            if frame.start.own_proc {
                flags |= libc::CLONE_NEWNS;
            }
        } else {
            frame.shared.mapped.store(1, Ordering::SeqCst);
        }
        let mut pidfd: c_int = -1;
        let here = frame.shared.init_here.as_ptr();
        let top = frame.init_stack.top();
        let argument = (&raw mut *frame).cast::<c_void>();
        // SAFETY: the child runs `init_stage` on a stack of its own, and all that its argument leads to stays alive
        // and in place until `Drop` has seen `init_here` cleared. Without CLONE_SETTLS it shares our thread's TLS,
        // which `init_stage` never touches.
        let pid = unsafe {
            libc::clone(init_stage, top, flags, argument, &raw mut pidfd, ptr::null_mut::<c_void>(), here)
        };
        if pid < 0 {
            let errno = Errno::of(&std::io::Error::last_os_error());
            return Err(Failure { step: Step::CloneInit, errno });
        }
        // SAFETY: the kernel just made this descriptor for us.
        let init_pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Self { frame, init_pid: pid.unsigned_abs(), init_pidfd })
    }

    /// The id maps of the user namespace are written: init may go on.
    pub(crate) fn ids_are_mapped(&self) {
        self.frame.shared.mapped.store(1, Ordering::SeqCst);
        wake(&self.frame.shared.mapped);
    }

    /// Waits until the guest's filter is armed and init is a program of its own. Gives the guest's pidfd and the
    /// listener's number in the guest.
    pub(crate) fn wait_armed(&self) -> Result<(OwnedFd, RawFd), Failure> {
        let shared = &self.frame.shared;
        self.wait_for(&shared.armed, 0)?;
        self.wait_for(&shared.init_here, 1)?;
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let pidfd = taken(&shared.pidfd).ok_or(Failure { step: Step::CloneGuest, errno: Errno::EBADF })?;
        Ok((pidfd, shared.listener.load(Ordering::SeqCst)))
    }

    /// The supervisor has the listener and will answer: the guest may run its probes and execute the command.
    pub(crate) fn go(&self) {
        self.frame.shared.go.store(1, Ordering::SeqCst);
        wake(&self.frame.shared.go);
    }

    /// Whether the guest has left our memory: it runs the command, or is gone.
    pub(crate) fn has_left(&self) -> bool {
        self.frame.shared.guest_here.load(Ordering::SeqCst) == 0
    }

    /// What failed, if something did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match Step::from_number(self.frame.shared.step.load(Ordering::SeqCst)) {
            Step::None => None,
            step => Some(Failure { step, errno: Errno::new(self.frame.shared.errno.load(Ordering::SeqCst)) }),
        }
    }

    /// Which probe failed, and what it returned.
    pub(crate) fn failed_probe(&self) -> Option<(usize, i64)> {
        let shared = &self.frame.shared;
        let failed = self.failure().is_some_and(|failure| failure.step == Step::Probe);
        let index = shared.probe.load(Ordering::SeqCst) as usize;
        let probe = self.frame.start.probes.get(index).filter(|_| failed)?;
        Some((index, probe.result.load(Ordering::SeqCst)))
    }

    /// Whether the guests have namespaces of their own.
    pub(crate) fn has_namespaces(&self) -> bool {
        self.frame.start.namespaces
    }

    /// Whether `/proc` shows them alone.
    pub(crate) fn has_own_proc(&self) -> bool {
        self.frame.start.own_proc
    }

    /// A further pidfd of init.
    pub(crate) fn init(&self) -> Option<OwnedFd> {
        self.init_pidfd.try_clone().ok()
    }

    pub(super) fn wait_for(&self, word: &AtomicU32, while_it_is: u32) -> Result<(), Failure> {
        let since = Instant::now();
        while word.load(Ordering::SeqCst) == while_it_is {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            wait_at_most(word, while_it_is, Duration::from_millis(20));
            // A child that was killed from outside says nothing.
            if since.elapsed() > Duration::from_millis(10) && has_exited(&self.init_pidfd) {
                return Err(self.failure().unwrap_or(Failure { step: Step::Lost, errno: Errno::ECHILD }));
            }
        }
        Ok(())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let shared = &self.frame.shared;
        if shared.init_here.load(Ordering::SeqCst) != 0 || shared.guest_here.load(Ordering::SeqCst) != 0 {
            // Somebody gave the start up: whoever still shares our memory must be gone before it is freed.
            let _ = rustix::process::pidfd_send_signal(&self.init_pidfd, rustix::process::Signal::KILL);
            // Who is woken before the kill has reached him must not go on.
            shared.mapped.store(2, Ordering::SeqCst);
            wake(&shared.mapped);
            shared.adopted.store(2, Ordering::SeqCst);
            wake(&shared.adopted);
            shared.go.store(2, Ordering::SeqCst);
            wake(&shared.go);
        }
        while shared.init_here.load(Ordering::SeqCst) != 0 {
            wait_at_most(&shared.init_here, 1, Duration::from_millis(20));
        }
        while shared.guest_here.load(Ordering::SeqCst) != 0 {
            wait_at_most(&shared.guest_here, 1, Duration::from_millis(20));
        }
        while shared.maker_here.load(Ordering::SeqCst) != 0 {
            wait_at_most(&shared.maker_here, 1, Duration::from_millis(20));
        }
        for left in shared.views.iter().chain([&shared.pidfd]) {
            drop(taken(left));
        }
    }
}

/// A pidfd of this process.
fn own_pidfd() -> Result<OwnedFd, Failure> {
    let flags = rustix::process::PidfdFlags::empty();
    rustix::process::pidfd_open(rustix::process::getpid(), flags)
        .map_err(|errno| Failure { step: Step::Parent, errno: errno.into() })
}

/// A descriptor that a child has left in our table, for whoever takes it first.
pub(super) fn taken(left: &AtomicI32) -> Option<OwnedFd> {
    let fd = left.swap(-1, Ordering::SeqCst);
    // SAFETY: the child's table was ours too, and it put the number of an open descriptor there, which nobody else takes.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn has_exited(pidfd: &OwnedFd) -> bool {
    let mut poll = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    let at_once = rustix::event::Timespec::default();
    matches!(rustix::event::poll(&mut poll, Some(&at_once)), Ok(1))
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// A child's stack, with an unmapped page below it.
pub(super) struct Stack {
    base: *mut c_void,
}

const STACK: usize = 64 * 1024;
const GUARD: usize = 4096;

impl Stack {
    pub(super) fn new() -> Result<Self, Failure> {
        // SAFETY: a fresh anonymous mapping, and a guard page within it.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
            let base = libc::mmap(ptr::null_mut(), STACK, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            if base == libc::MAP_FAILED {
                return Err(Failure { step: Step::CloneInit, errno: Errno::ENOMEM });
            }
            libc::mprotect(base, GUARD, libc::PROT_NONE);
            Ok(Self { base })
        }
    }

    pub(super) fn top(&self) -> *mut c_void {
        self.base.wrapping_byte_add(STACK)
    }

    /// Its lowest address, and its size (`man 2 clone3`).
    pub(super) fn bounds(&self) -> (u64, u64) {
        (self.base as u64, STACK as u64)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: this mapping is ours, and `Starting::drop` waited until no child stands on it.
        unsafe { libc::munmap(self.base, STACK) };
    }
}

pub(super) fn wake(word: &AtomicU32) {
    // SAFETY: a futex operation on a live, aligned word.
    unsafe {
        syscall3(Sysno::futex as usize, word.as_ptr() as usize, libc::FUTEX_WAKE as usize, i32::MAX as usize)
    };
}

fn wait_at_most(word: &AtomicU32, value: u32, time: Duration) {
    let time =
        libc::timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: i64::from(time.subsec_nanos()) };
    // SAFETY: a futex operation on a live, aligned word; the time is read from this stack.
    unsafe {
        syscall4(
            Sysno::futex as usize,
            word.as_ptr() as usize,
            libc::FUTEX_WAIT as usize,
            value as usize,
            &raw const time as usize,
        );
    }
}
