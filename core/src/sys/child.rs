//! The children's side of a start: from `clone` to `execve`, without a library call.
//!
//! They share the supervisor's memory, whose threads go on meanwhile. So they allocate nothing, take no lock, and make
//! raw system calls only: even libc's `errno` would be the worker thread's own.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use syscalls::Sysno;
use syscalls::raw::{syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};

use super::clone::{CapHeader, Frame, SECUREBITS, Shared, Step, wake};
use super::own_proc::{self, GUEST};
use super::probe::ProbeArg;

/// A raw result as an error, if it is one.
pub(super) fn failed(result: usize) -> Option<i32> {
    let value = result.cast_signed();
    (-4095..=-1).contains(&value).then(|| -(value as i32))
}

pub(super) fn give_up(shared: &Shared, step: Step, errno: i32) -> ! {
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
pub(super) extern "C" fn init_stage(argument: *mut c_void) -> c_int {
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
        wait_as_init(frame, &frame.shared.mapped);
        if frame.shared.mapped.load(Ordering::SeqCst) != 1 {
            give_up(&frame.shared, Step::Lost, libc::ECANCELED);
        }
        let pid = if frame.start.own_proc {
            own_proc::mount_and_wait(frame);
            GUEST as isize
        } else {
            clone_guest(frame, argument)
        };
        decimal(pid, &mut *frame.init_name.get());
        let start = &frame.start;
        // A table of its own: nothing but the status pipe and the program.
        let alone = keep_only(&[&[start.status, start.init]]);
        let status = syscall3(Sysno::dup3 as usize, start.status as usize, 3, 0);
        let image = syscall3(Sysno::dup3 as usize, start.init as usize, 4, libc::O_CLOEXEC as usize);
        if let Some(errno) = alone.err().or(failed(status)).or(failed(image)) {
            give_up(&frame.shared, Step::Descriptors, errno);
        }
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

/// Waits, as init, while `word` is 0. A supervisor that died before init could ask for a signal at its death is noticed.
///
/// # Safety
/// The caller is init, on its way to exec.
pub(super) unsafe fn wait_as_init(frame: &Frame, word: &AtomicU32) {
    let turn = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut gone = libc::pollfd { fd: frame.supervisor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    while word.load(Ordering::SeqCst) == 0 {
        let word = word.as_ptr() as usize;
        // SAFETY: a futex operation on a live, aligned word, and a poll of one descriptor; both structures are on this stack.
        unsafe {
            if syscall3(Sysno::poll as usize, &raw mut gone as usize, 1, 0) == 1 {
                give_up(&frame.shared, Step::Lost, libc::ECHILD);
            }
            let turn = &raw const turn as usize;
            syscall4(Sysno::futex as usize, word, libc::FUTEX_WAIT as usize, 0, turn);
        }
    }
}

/// Makes the guest, as a child of the caller.
///
/// # Safety
/// The caller is init, on its way to exec; `argument` leads to `frame`.
unsafe fn clone_guest(frame: &Frame, argument: *mut c_void) -> isize {
    frame.shared.guest_here.store(1, Ordering::SeqCst);
    let flags =
        libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
    // SAFETY: nobody else uses that stack, and the frame is alive.
    let pid = unsafe {
        raw_clone(
            flags as usize,
            frame.guest_stack.top() as usize,
            frame.shared.pidfd.as_ptr() as usize,
            frame.shared.guest_here.as_ptr() as usize,
            argument as usize,
        )
    };
    if let Some(errno) = failed(pid.cast_unsigned()) {
        frame.shared.guest_here.store(0, Ordering::SeqCst);
        give_up(&frame.shared, Step::CloneGuest, errno);
    }
    pid
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

/// Gives the caller a descriptor table of its own with nothing but these.
///
/// Up to here it shared the supervisor's, and copied nothing: a copy of what another run has open to write would keep
/// that run's guests from executing the file (ETXTBSY, `man 2 execve`) for as long as this child takes to get here.
///
/// # Safety
/// The caller is a child on its way to exec, and uses no descriptor but these.
unsafe fn keep_only(kept: &[&[RawFd]]) -> Result<(), i32> {
    const UNSHARE: usize = 1 << 1;
    // From the top down: what the first call names is not even copied.
    let (mut above, mut how) = (i64::from(u32::MAX) + 1, UNSHARE);
    loop {
        let below = kept.iter().copied().flatten().map(|fd| i64::from(*fd)).filter(|fd| *fd < above).max();
        let first = below.map_or(0, |fd| fd + 1);
        // A range that ends before it begins is an error.
        if first < above {
            // SAFETY: all arguments are numbers.
            let closed =
                unsafe { syscall3(Sysno::close_range as usize, first as usize, (above - 1) as usize, how) };
            if let Some(errno) = failed(closed) {
                return Err(errno);
            }
            how = 0;
        }
        match below {
            Some(fd) => above = fd,
            None => return Ok(()),
        }
    }
}

/// The guest's life until its exec. The memory is the supervisor's, and so is the descriptor table until it has its own.
pub(super) extern "C" fn guest_stage(argument: *mut c_void) -> ! {
    // SAFETY: as in `init_stage`; what is written meanwhile lies in atomics, or in cells that are not read here.
    let frame = unsafe { &*argument.cast::<Frame>() };
    let shared = &frame.shared;
    let start = &frame.start;
    // SAFETY: raw calls with numbers, or with pointers into the frame or this stack.
    unsafe {
        let folder = if start.own_proc { own_proc::folder(shared) } else { start.cwd };
        let kept = [&start.fds, &[folder][..], start.beneath.as_slice(), start.image.as_slice()];
        if let Err(errno) = keep_only(&kept) {
            give_up(shared, Step::Descriptors, errno);
        }
        if start.own_proc {
            own_proc::wait_adopted(shared);
        }
        // Where there is no pid namespace, init's end must be the guest's.
        let _ =
            syscall5(Sysno::prctl as usize, libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0);
        if start.new_session
            && let Some(errno) = failed(syscalls::raw::syscall0(Sysno::setsid as usize))
        {
            give_up(shared, Step::Session, errno);
        }
        if let Some(errno) = failed(syscall1(Sysno::fchdir as usize, folder as usize)) {
            give_up(shared, Step::Folder, errno);
        }
        // init and the worker stay above: a guest of their domain could take hold of them.
        if let Some(ruleset) = start.beneath
            && let Some(errno) = failed(syscall2(Sysno::landlock_restrict_self as usize, ruleset as usize, 0))
        {
            give_up(shared, Step::Domain, errno);
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
        forget_callers_own();
        if let Some(limit) = start.core_limit {
            let limits = [limit; 2];
            let new = limits.as_ptr() as usize;
            let set = syscall4(Sysno::prlimit64 as usize, 0, libc::RLIMIT_CORE as usize, new, 0);
            // A hard limit that is lower already can't be raised, and is as good against files.
            if let Some(errno) = failed(set).filter(|errno| *errno != libc::EPERM) {
                give_up(shared, Step::CoreLimit, errno);
            }
        }
        if let Some(personality) = start.preparation.personality
            && let Some(errno) = failed(syscall1(Sysno::personality as usize, personality as usize))
        {
            give_up(shared, Step::Personality, errno);
        }
        if start.preparation.tsc_faults {
            let how = libc::PR_TSC_SIGSEGV as usize;
            let taken = syscall5(Sysno::prctl as usize, libc::PR_SET_TSC as usize, how, 0, 0, 0);
            if let Some(errno) = failed(taken) {
                give_up(shared, Step::Tsc, errno);
            }
        }
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
        if shared.go.load(Ordering::SeqCst) != 1 {
            give_up(shared, Step::Lost, libc::ECANCELED);
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

/// What a thread has from its maker and nothing else takes from it: I/O priority, memory policy, what becomes of it when its
/// memory fails, how late its timers may be. A kernel that lacks one has nothing to forget.
fn forget_callers_own() {
    /// `IOPRIO_WHO_PROCESS` (`man 2 ioprio_set`), and no class.
    const ONE_PROCESS: usize = 1;
    const NO_CLASS: usize = 0;
    /// What init has (`man 2 PR_SET_TIMERSLACK`).
    const SLACK: usize = 50_000;
    // SAFETY: raw calls with numbers alone.
    unsafe {
        let _ = syscall3(Sysno::ioprio_set as usize, ONE_PROCESS, 0, NO_CLASS);
        let _ = syscall3(Sysno::set_mempolicy as usize, libc::MPOL_DEFAULT as usize, 0, 0);
        let clear = libc::PR_MCE_KILL_CLEAR as usize;
        let _ = syscall5(Sysno::prctl as usize, libc::PR_MCE_KILL as usize, clear, 0, 0, 0);
        let _ = syscall5(Sysno::prctl as usize, libc::PR_SET_TIMERSLACK as usize, SLACK, 0, 0, 0);
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
