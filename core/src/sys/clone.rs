//! The child's side of a start: from `clone` to `execve`, without a library call.
//!
//! Both children share the supervisor's memory until their exec, and the supervisor's threads go on meanwhile. So they
//! run on stacks of their own, allocate nothing, take no lock, and make raw system calls only: even libc's `errno`
//! would be the worker thread's own. The first child becomes the init of the namespaces; it makes the second, the
//! guest, which arms its filter, waits until the supervisor has the listener, and executes the command.

use std::cell::UnsafeCell;
use std::ffi::{CString, c_int, c_void};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use syscalls::Sysno;
use syscalls::raw::{syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};

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

/// A call that the guest makes after its filter is armed and before its exec, to show that a control is in force.
#[derive(Debug)]
pub(crate) struct Probe {
    /// The syscall's number.
    pub(crate) number: u32,
    /// Its arguments.
    pub(crate) args: [ProbeArg; 6],
    /// What must come of it, or the command is not executed.
    pub(crate) expect: Option<Expect>,
    /// What came of it; `i64::MIN` until then.
    result: AtomicI64,
}

/// What a probe must show.
#[derive(Debug)]
pub(crate) struct Expect {
    /// What the call returns.
    pub(crate) result: i64,
    /// What then lies in the memory of an argument: which argument, how far in, these bytes.
    pub(crate) memory: Option<(usize, usize, Vec<u8>)>,
}

/// An argument of a probe.
#[derive(Debug)]
pub(crate) enum ProbeArg {
    /// A register.
    Number(u64),
    /// The address of these bytes, which the call may overwrite.
    Memory(Box<UnsafeCell<[u8]>>),
}

/// All that a start needs, ready for children that can't allocate.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// A user and a pid namespace for the guests.
    pub(crate) namespaces: bool,
    /// A session of its own, without a terminal.
    pub(crate) new_session: bool,
    /// What becomes the guest's descriptors 0, 1, 2, 3, ...: each above [`LOWEST_FREE`].
    pub(crate) fds: Vec<RawFd>,
    /// The folder to start in.
    pub(crate) cwd: RawFd,
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

/// Which step of a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Step {
    None = 0,
    Domain,
    IdMaps,
    Tracker,
    CloneInit,
    Parent,
    CloneGuest,
    Descriptors,
    ExecInit,
    Session,
    Folder,
    Capabilities,
    Filter,
    Listener,
    Probe,
    Exec,
    Lost,
}

impl Step {
    fn from_number(number: u32) -> Self {
        [
            Self::None,
            Self::Domain,
            Self::IdMaps,
            Self::Tracker,
            Self::CloneInit,
            Self::Parent,
            Self::CloneGuest,
            Self::Descriptors,
            Self::ExecInit,
            Self::Session,
            Self::Folder,
            Self::Capabilities,
            Self::Filter,
            Self::Listener,
            Self::Probe,
            Self::Exec,
        ]
        .into_iter()
        .find(|step| *step as u32 == number)
        .unwrap_or(Self::Lost)
    }

    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Domain => "entering the Landlock domain (landlock_restrict_self)",
            Self::IdMaps => "writing the id maps of the user namespace",
            Self::Tracker => "taking hold of the guest (ptrace)",
            Self::CloneInit => "making the namespaces (clone)",
            Self::Parent => "tying init's life to the supervisor's (prctl)",
            Self::CloneGuest => "making the guest (clone)",
            Self::Descriptors => "arranging descriptors (dup3, close_range)",
            Self::ExecInit => "starting init (execveat)",
            Self::Session => "making a session (setsid)",
            Self::Folder => "entering the folder (fchdir)",
            Self::Capabilities => "giving up capabilities (capset)",
            Self::Filter => "arming the filter (seccomp)",
            Self::Listener => "taking over the listener (pidfd_getfd)",
            Self::Probe => "showing that the controls are in force",
            Self::Exec => "executing the program (execve)",
            Self::Lost => "a child was killed while it was starting",
        }
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
struct Shared {
    /// 1: the id maps are written.
    mapped: AtomicU32,
    /// 1: the guest's filter is armed and `listener` is set. 2: it failed.
    armed: AtomicU32,
    /// 1: the supervisor has the listener, and the guest may go on.
    go: AtomicU32,
    /// The listener's number in the guest.
    listener: AtomicI32,
    /// The guest's pidfd, in the shared table.
    pidfd: AtomicI32,
    /// Cleared by the kernel when the child has left the shared memory.
    init_here: AtomicU32,
    guest_here: AtomicU32,
    step: AtomicU32,
    errno: AtomicI32,
    /// Which probe failed.
    probe: AtomicU32,
}

/// Everything that must stay where it is while a child shares the memory.
struct Frame {
    start: Start,
    shared: Shared,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    program: libc::sock_fprog,
    guest_stack: Stack,
    init_stack: Stack,
    /// Written by init alone, once.
    init_name: UnsafeCell<[u8; 12]>,
    init_argv: UnsafeCell<[*const u8; 3]>,
}

/// Children on their way to exec. Dropping it waits until none shares our memory any more.
pub(crate) struct Starting {
    frame: Box<Frame>,
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
            shared: Shared { pidfd: AtomicI32::new(-1), ..Shared::default() },
            argv,
            envp,
            program: libc::sock_fprog { len: 0, filter: ptr::null_mut() },
            guest_stack: Stack::new()?,
            init_stack: Stack::new()?,
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
        // SAFETY: the kernel put the guest's pidfd into init's table, which was ours too; nobody else takes it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(shared.pidfd.swap(-1, Ordering::SeqCst)) };
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

    /// A further pidfd of init.
    pub(crate) fn init(&self) -> Option<OwnedFd> {
        self.init_pidfd.try_clone().ok()
    }

    fn wait_for(&self, word: &AtomicU32, while_it_is: u32) -> Result<(), Failure> {
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
            shared.mapped.store(1, Ordering::SeqCst);
            wake(&shared.mapped);
            shared.go.store(1, Ordering::SeqCst);
            wake(&shared.go);
        }
        while shared.init_here.load(Ordering::SeqCst) != 0 {
            wait_at_most(&shared.init_here, 1, Duration::from_millis(20));
        }
        while shared.guest_here.load(Ordering::SeqCst) != 0 {
            wait_at_most(&shared.guest_here, 1, Duration::from_millis(20));
        }
        let pidfd = shared.pidfd.swap(-1, Ordering::SeqCst);
        if pidfd >= 0 {
            // SAFETY: as in `wait_armed`; it was not taken there, or this would be -1.
            drop(unsafe { OwnedFd::from_raw_fd(pidfd) });
        }
    }
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
struct Stack {
    base: *mut c_void,
}

const STACK: usize = 64 * 1024;
const GUARD: usize = 4096;

impl Stack {
    fn new() -> Result<Self, Failure> {
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

    fn top(&self) -> *mut c_void {
        self.base.wrapping_byte_add(STACK)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: this mapping is ours, and `Starting::drop` waited until no child stands on it.
        unsafe { libc::munmap(self.base, STACK) };
    }
}

fn wake(word: &AtomicU32) {
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

impl ProbeArg {
    /// The address of a copy of `bytes`.
    pub(crate) fn memory(bytes: &[u8]) -> Self {
        let cell: Box<UnsafeCell<[u8]>> = {
            // SAFETY: UnsafeCell<[u8]> has the layout of [u8] (repr(transparent)).
            unsafe { Box::from_raw(Box::into_raw(Box::<[u8]>::from(bytes)) as *mut UnsafeCell<[u8]>) }
        };
        Self::Memory(cell)
    }
}

impl Probe {
    /// A call that was not made yet.
    pub(crate) fn new(call: crate::Syscall, args: [ProbeArg; 6], expect: Option<Expect>) -> Self {
        Self { number: call.number(), args, expect, result: AtomicI64::new(i64::MIN) }
    }

    /// Whether it came as it must. Called by the child that made it.
    fn has_failed(&self, result: i64) -> bool {
        let Some(expect) = &self.expect else { return false };
        let memory = expect.memory.as_ref().is_none_or(|(arg, start, bytes)| match self.args.get(*arg) {
            // SAFETY: only the calling child writes to it, and it does not now.
            Some(ProbeArg::Memory(seen)) => unsafe {
                let seen: &[u8] = &*seen.get();
                seen.get(*start..start.saturating_add(bytes.len())) == Some(bytes)
            },
            _ => false,
        });
        result != expect.result || !memory
    }
}

// From here on: code of children.

/// A raw result as an error, if it is one.
fn failed(result: usize) -> Option<i32> {
    let value = result.cast_signed();
    (-4095..=-1).contains(&value).then(|| -(value as i32))
}

fn give_up(shared: &Shared, step: Step, errno: i32) -> ! {
    shared.errno.store(errno, Ordering::SeqCst);
    shared.step.store(step as u32, Ordering::SeqCst);
    shared.armed.store(2, Ordering::SeqCst);
    wake(&shared.armed);
    loop {
        // SAFETY: ends this process; the memory it shares is left alone.
        unsafe { syscall1(Sysno::exit_group as usize, 127) };
    }
}

/// init's life until its exec. The memory and the descriptor table are the supervisor's.
extern "C" fn init_stage(argument: *mut c_void) -> c_int {
    // SAFETY: `begin` passed a frame that outlives this child's stay in the shared memory. While this child runs,
    // the supervisor reads only the frame's atomics, which this child too accesses as atomics.
    let frame = unsafe { &*argument.cast::<Frame>() };
    // SAFETY: raw calls with numbers, or with pointers into the frame.
    unsafe {
        let died =
            syscall5(Sysno::prctl as usize, libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0);
        if let Some(errno) = failed(died) {
            give_up(&frame.shared, Step::Parent, errno);
        }
        // Orphans come to this process also where there is no pid namespace.
        let _ = syscall5(Sysno::prctl as usize, libc::PR_SET_CHILD_SUBREAPER as usize, 1, 0, 0, 0);
        while frame.shared.mapped.load(Ordering::SeqCst) == 0 {
            let word = frame.shared.mapped.as_ptr() as usize;
            syscall4(Sysno::futex as usize, word, libc::FUTEX_WAIT as usize, 0, 0);
        }
        frame.shared.guest_here.store(1, Ordering::SeqCst);
        let flags = libc::CLONE_VM | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
        let pid = raw_clone(
            flags as usize,
            frame.guest_stack.top() as usize,
            frame.shared.pidfd.as_ptr() as usize,
            frame.shared.guest_here.as_ptr() as usize,
            argument as usize,
        );
        if let Some(errno) = failed(pid.cast_unsigned()) {
            frame.shared.guest_here.store(0, Ordering::SeqCst);
            give_up(&frame.shared, Step::CloneGuest, errno);
        }
        decimal(pid, &mut *frame.init_name.get());
        let start = &frame.start;
        // A table of its own: nothing but the status pipe and the program. Descriptors 0 to 2 of the supervisor are
        // let go, so that no reader waits for init.
        let alone = syscall3(Sysno::close_range as usize, u32::MAX as usize, u32::MAX as usize, 2);
        let status = syscall3(Sysno::dup3 as usize, start.status as usize, 3, 0);
        let image = syscall3(Sysno::dup3 as usize, start.init as usize, 4, libc::O_CLOEXEC as usize);
        if let Some(errno) = failed(alone).or(failed(status)).or(failed(image)) {
            give_up(&frame.shared, Step::Descriptors, errno);
        }
        syscall3(Sysno::close_range as usize, 0, 2, 0);
        syscall3(Sysno::close_range as usize, 5, u32::MAX as usize, 0);
        let argv = &mut *frame.init_argv.get();
        argv[0] = frame.init_name.get().cast_const().cast();
        if !start.namespaces {
            argv[1] = c"stay".as_ptr().cast();
        }
        let empty: [usize; 1] = [0];
        let result = syscall5(
            Sysno::execveat as usize,
            4,
            c"".as_ptr() as usize,
            frame.init_argv.get() as usize,
            empty.as_ptr() as usize,
            libc::AT_EMPTY_PATH as usize,
        );
        give_up(&frame.shared, Step::ExecInit, failed(result).unwrap_or(libc::EIO))
    }
}

/// `clone` whose child runs [`guest_stage`] on its own stack. libc's would do, but it sets `errno`, which is not ours.
///
/// # Safety
/// `stack` is the top of a stack that nobody else uses; `frame` is a live frame.
unsafe fn raw_clone(flags: usize, stack: usize, pidfd: usize, tid: usize, frame: usize) -> isize {
    let result: isize;
    // SAFETY: the parent returns with its registers as the kernel leaves them; the child starts on `stack`, aligned
    // as the ABI wants it at a call, and never returns.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call {child}",
            "ud2",
            "2:",
            child = sym guest_stage,
            inlateout("rax") Sysno::clone.id() as isize => result,
            in("rdi") flags,
            in("rsi") stack,
            in("rdx") pidfd,
            in("r10") tid,
            in("r8") 0,
            in("r9") frame,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// The guest's life until its exec. The memory is the supervisor's, the descriptor table a copy.
extern "C" fn guest_stage(argument: *mut c_void) -> ! {
    // SAFETY: as in `init_stage`; what is written meanwhile lies in atomics, or in cells that are not read here.
    let frame = unsafe { &*argument.cast::<Frame>() };
    let shared = &frame.shared;
    let start = &frame.start;
    // SAFETY: raw calls with numbers, or with pointers into the frame or this stack.
    unsafe {
        // Where there is no pid namespace, init's end must be the guest's.
        let _ =
            syscall5(Sysno::prctl as usize, libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0);
        if start.new_session
            && let Some(errno) = failed(syscalls::raw::syscall0(Sysno::setsid as usize))
        {
            give_up(shared, Step::Session, errno);
        }
        if let Some(errno) = failed(syscall1(Sysno::fchdir as usize, start.cwd as usize)) {
            give_up(shared, Step::Folder, errno);
        }
        let image = start.image.map(|fd| {
            // The program's descriptor keeps its place above the inherited ones, and goes at exec.
            let place = start.fds.len();
            let _ = fd;
            place
        });
        for (place, fd) in start.fds.iter().enumerate() {
            if let Some(errno) = failed(syscall3(Sysno::dup3 as usize, *fd as usize, place, 0)) {
                give_up(shared, Step::Descriptors, errno);
            }
        }
        let mut kept = start.fds.len();
        if let (Some(fd), Some(place)) = (start.image, image) {
            if let Some(errno) =
                failed(syscall3(Sysno::dup3 as usize, fd as usize, place, libc::O_CLOEXEC as usize))
            {
                give_up(shared, Step::Descriptors, errno);
            }
            kept += 1;
        }
        if let Some(errno) = failed(syscall3(Sysno::close_range as usize, kept, u32::MAX as usize, 0)) {
            give_up(shared, Step::Descriptors, errno);
        }
        // `struct sigaction` of the kernel, all zero: the default.
        let default = [0_u64; 4];
        for signal in &start.reset_signals {
            let _ = syscall4(Sysno::rt_sigaction as usize, *signal as usize, default.as_ptr() as usize, 0, 8);
        }
        let none = 0_u64;
        let _ = syscall4(
            Sysno::rt_sigprocmask as usize,
            libc::SIG_SETMASK as usize,
            &raw const none as usize,
            0,
            8,
        );
        // In its own user namespace the guest has every capability(7) until here.
        let _ =
            syscall5(Sysno::prctl as usize, libc::PR_SET_SECUREBITS as usize, SECUREBITS as usize, 0, 0, 0);
        let header = CapHeader::own();
        let no_caps = [0_u32; 6];
        let dropped = syscall2(Sysno::capset as usize, &raw const header as usize, no_caps.as_ptr() as usize);
        if let Some(errno) = failed(dropped) {
            give_up(shared, Step::Capabilities, errno);
        }

        const NEW_LISTENER: usize = 1 << 3;
        const WAIT_KILLABLE_RECV: usize = 1 << 5;
        let program = &raw const frame.program as usize;
        let listener = syscall3(Sysno::seccomp as usize, 1, NEW_LISTENER | WAIT_KILLABLE_RECV, program);
        if let Some(errno) = failed(listener) {
            give_up(shared, Step::Filter, errno);
        }
        shared.listener.store(listener as i32, Ordering::SeqCst);
        shared.armed.store(1, Ordering::SeqCst);
        // The filter is in force for what follows: if it denies these two calls, they fail, the supervisor's own wait
        // ends by its time-out, and this one spins.
        wake(&shared.armed);
        while shared.go.load(Ordering::SeqCst) == 0 {
            let _ =
                syscall4(Sysno::futex as usize, shared.go.as_ptr() as usize, libc::FUTEX_WAIT as usize, 0, 0);
        }

        for (index, probe) in start.probes.iter().enumerate() {
            let mut registers = [0_usize; 6];
            for (register, arg) in registers.iter_mut().zip(&probe.args) {
                *register = match arg {
                    ProbeArg::Number(number) => *number as usize,
                    ProbeArg::Memory(bytes) => bytes.get() as *mut u8 as usize,
                };
            }
            let [a, b, c, d, e, f] = registers;
            let Some(call) = Sysno::new(probe.number as usize) else { continue };
            let result = syscall6(call as usize, a, b, c, d, e, f).cast_signed() as i64;
            probe.result.store(result, Ordering::SeqCst);
            if probe.has_failed(result) {
                shared.probe.store(index as u32, Ordering::SeqCst);
                give_up(shared, Step::Probe, libc::EACCES);
            }
        }

        let argv = frame.argv.as_ptr() as usize;
        let envp = frame.envp.as_ptr() as usize;
        let mut errno = libc::ENOENT;
        if let Some(place) = image {
            let empty = c"".as_ptr() as usize;
            let result =
                syscall5(Sysno::execveat as usize, place, empty, argv, envp, libc::AT_EMPTY_PATH as usize);
            errno = failed(result).unwrap_or(libc::EIO);
        }
        for program in &start.programs {
            let result = syscall3(Sysno::execve as usize, program.as_ptr() as usize, argv, envp);
            let this = failed(result).unwrap_or(libc::EIO);
            // As execvp: a folder without the program is passed over, but not forgotten if access was refused.
            match this {
                libc::ENOENT | libc::ENOTDIR if errno == libc::EACCES => {}
                _ => errno = this,
            }
            if !matches!(this, libc::ENOENT | libc::ENOTDIR | libc::EACCES) {
                break;
            }
        }
        give_up(shared, Step::Exec, errno)
    }
}

fn decimal(number: isize, out: &mut [u8; 12]) {
    let mut digits = [0_u8; 11];
    let mut rest = number.unsigned_abs();
    let mut count = 0;
    while count == 0 || (rest > 0 && count < digits.len()) {
        digits[count] = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    for (place, byte) in out.iter_mut().enumerate() {
        *byte = if place < count { digits[count - 1 - place] } else { 0 };
    }
}
