//! ptrace, as far as a tracker of processes needs it (`man 2 ptrace`).

use std::ffi::c_void;

use crate::Errno;

/// What a traced thread stopped for, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It made another process or thread, of this number.
    Born {
        /// Its thread id, as the tracer numbers it.
        child: u32,
    },
    /// It now runs another program.
    Exec,
    /// It makes a call, and the filter wants it stopped where it begins.
    Begin,
    /// A call ends after which it was to be stopped ([`resume_to_end`]).
    End,
    /// A thread stopped for the tracer's sake: just born, or interrupted.
    Attached,
    /// It is stopped with its whole process by job control.
    Group,
    /// This signal is about to be delivered.
    Signal(i32),
    /// It ends, and its memory is still there.
    Ending,
    /// It is gone.
    Gone {
        /// Its wait status.
        status: i32,
        /// The largest resident set that its process has had, and whoever it has waited for, in bytes (`ru_maxrss`,
        /// `man 2 getrusage`): of a process, once its last thread is gone.
        most_resident: u64,
    },
}

/// Where a signal comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The kernel itself.
    Kernel,
    /// A process, as its receiver's pid namespace numbers it: 0 from outside of that.
    Process(u32),
}

/// Where the signal comes from that `tid` has stopped for.
pub(crate) fn source(tid: u32) -> Result<Source, Errno> {
    // SAFETY: all zero is a valid value of this plain struct.
    let mut info = unsafe { std::mem::zeroed::<libc::siginfo_t>() };
    request(libc::PTRACE_GETSIGINFO, tid, 0, (&raw mut info) as u64)?;
    Ok(match info.si_code {
        libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL => {
            // SAFETY: for these codes the kernel has filled in the sender's pid.
            let pid = unsafe { info.si_pid() };
            Source::Process(pid.unsigned_abs())
        }
        _ => Source::Kernel,
    })
}

/// How many waiting signals of a kind are looked at.
const WAITING: usize = 16;

/// Who has sent the signals that wait for `tid`, or whose end they tell of, as their receiver's pid namespace numbers them.
pub(crate) fn senders(tid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    // Its own queue, and its process's.
    for flags in [0, libc::PTRACE_PEEKSIGINFO_SHARED] {
        let args = libc::ptrace_peeksiginfo_args { off: 0, flags, nr: WAITING as i32 };
        // SAFETY: all zero is a valid value of this plain struct.
        let mut infos = unsafe { [std::mem::zeroed::<libc::siginfo_t>(); WAITING] };
        let args = &raw const args;
        // SAFETY: reads `args` and writes at most `WAITING` of `infos`; the thread is one that the caller traces.
        let count = unsafe { libc::ptrace(libc::PTRACE_PEEKSIGINFO, tid, args, infos.as_mut_ptr()) };
        let count = usize::try_from(count).unwrap_or(0);
        for info in infos.iter().take(count) {
            let sent = matches!(info.si_code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL);
            if sent || info.si_signo == libc::SIGCHLD && info.si_code > 0 {
                // SAFETY: for these signals the kernel has filled in a pid.
                found.push(unsafe { info.si_pid() }.unsigned_abs());
            }
        }
    }
    found
}

/// What tells a stop at a call from a signal (`PTRACE_O_TRACESYSGOOD`).
const SYSTEM_CALL: i32 = 0x80;

const OPTIONS: i32 = libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_EXITKILL;

/// Traces `tid` and all that it will make, without stopping it, and stops each before it ends if that is wanted. If the
/// tracing thread dies, they die.
pub(crate) fn seize(tid: u32, stop_at_end: bool) -> Result<(), Errno> {
    let options = OPTIONS | if stop_at_end { libc::PTRACE_O_TRACEEXIT } else { 0 };
    request(libc::PTRACE_SEIZE, tid, 0, options as u64)
}

/// Lets a stopped thread go on, with this signal or none (0).
pub(crate) fn resume(tid: u32, signal: i32) -> Result<(), Errno> {
    request(libc::PTRACE_CONT, tid, 0, signal as u64)
}

/// Lets a thread that has stopped at [`Stop::Begin`] go on to the end of its call.
pub(crate) fn resume_to_end(tid: u32) -> Result<(), Errno> {
    request(libc::PTRACE_SYSCALL, tid, 0, 0)
}

/// Ends a call of a running thread that waits, as a signal would; it stops for the tracer's sake afterwards.
pub(crate) fn interrupt(tid: u32) -> Result<(), Errno> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0)
}

/// Leaves a thread stopped by job control, until somebody continues it.
pub(crate) fn listen(tid: u32) -> Result<(), Errno> {
    request(libc::PTRACE_LISTEN, tid, 0, 0)
}

/// Writes eight bytes to a stopped thread's memory, also where its pages are read-only.
pub(crate) fn poke(tid: u32, address: u64, word: u64) -> Result<(), Errno> {
    request(libc::PTRACE_POKEDATA, tid, address, word)
}

/// A stopped thread's stack pointer.
pub(crate) fn stack_pointer(tid: u32) -> Result<u64, Errno> {
    registers(tid).map(|registers| registers.stack())
}

/// A stopped thread's registers.
#[derive(Debug, Clone)]
pub(crate) struct Registers(libc::user_regs_struct);

impl Registers {
    /// The number of the call that it makes.
    pub(crate) fn number(&self) -> i64 {
        self.0.orig_rax.cast_signed()
    }

    /// The call's arguments.
    pub(crate) fn args(&self) -> [u64; 6] {
        let of = &self.0;
        [of.rdi, of.rsi, of.rdx, of.r10, of.r8, of.r9]
    }

    /// Gives the call other arguments.
    pub(crate) fn set_args(&mut self, args: [u64; 6]) {
        let of = &mut self.0;
        [of.rdi, of.rsi, of.rdx, of.r10, of.r8, of.r9] = args;
    }

    /// The call's result, where it ends.
    pub(crate) fn result(&self) -> i64 {
        self.0.rax.cast_signed()
    }

    /// Gives the call another result.
    pub(crate) fn set_result(&mut self, result: i64) {
        self.0.rax = result.cast_unsigned();
    }

    /// Where a call begins: it does not run, and has this result.
    pub(crate) fn leave_out(&mut self, result: i64) {
        self.0.orig_rax = u64::MAX;
        self.set_result(result);
    }

    /// The stack pointer.
    pub(crate) fn stack(&self) -> u64 {
        self.0.rsp
    }

    /// Another stack pointer.
    pub(crate) fn set_stack(&mut self, pointer: u64) {
        self.0.rsp = pointer;
    }

    /// As after an instruction of `len` bytes that reads a counter: into `edx:eax`, and `aux` into `ecx`.
    fn count(&mut self, counter: u64, aux: Option<u32>, len: u64) {
        self.0.rax = counter & 0xffff_ffff;
        self.0.rdx = counter >> 32;
        if let Some(aux) = aux {
            self.0.rcx = aux.into();
        }
        self.0.rip = self.0.rip.wrapping_add(len);
    }
}

/// A stopped thread's registers.
pub(crate) fn registers(tid: u32) -> Result<Registers, Errno> {
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETREGS, tid, 0, (&raw mut registers) as u64)?;
    Ok(Registers(registers))
}

/// Changes them.
pub(crate) fn set_registers(tid: u32, registers: &Registers) -> Result<(), Errno> {
    request(libc::PTRACE_SETREGS, tid, 0, (&raw const registers.0) as u64)
}

/// Whether the signal that `tid` has stopped for says that the processor refused an instruction (`#GP`).
pub(crate) fn is_refusal(tid: u32) -> bool {
    // `SI_KERNEL` of `asm-generic/siginfo.h`.
    const SI_KERNEL: i32 = 0x80;
    // SAFETY: all zero is a valid value of this plain struct.
    let mut info = unsafe { std::mem::zeroed::<libc::siginfo_t>() };
    request(libc::PTRACE_GETSIGINFO, tid, 0, (&raw mut info) as u64).is_ok() && info.si_code == SI_KERNEL
}

/// Where a stopped thread stands in its code.
pub(crate) fn instruction_pointer(tid: u32) -> Result<u64, Errno> {
    Ok(registers(tid)?.0.rip)
}

/// Carries an instruction of `len` bytes out that reads a counter: into `edx:eax`, and `aux` into `ecx`.
pub(crate) fn answer_counter(tid: u32, counter: u64, aux: Option<u32>, len: u64) -> Result<(), Errno> {
    let mut registers = registers(tid)?;
    registers.count(counter, aux, len);
    set_registers(tid, &registers)
}

/// Waits for the next stop of any thread that the calling thread traces. `ECHILD`: it traces none.
pub(crate) fn wait() -> Result<(u32, Stop), Errno> {
    // Only what this very thread traces: other children of the process belong to others.
    wait_with(libc::__WALL | libc::__WNOTHREAD).and_then(|stop| stop.ok_or(Errno::EINTR))
}

/// As [`wait`], but at once: `None` if none has stopped.
pub(crate) fn look() -> Result<Option<(u32, Stop)>, Errno> {
    wait_with(libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG)
}

fn wait_with(options: i32) -> Result<Option<(u32, Stop)>, Errno> {
    let mut status = 0;
    // SAFETY: all zero is a valid value of this plain struct.
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    // SAFETY: the status and the usage are written to the pointers.
    let tid = unsafe { libc::wait4(-1, &raw mut status, options, &raw mut usage) };
    if tid < 0 {
        return Err(Errno::of(&std::io::Error::last_os_error()));
    }
    if tid == 0 {
        return Ok(None);
    }
    let tid = tid.unsigned_abs();
    if !libc::WIFSTOPPED(status) {
        let most_resident = usage.ru_maxrss.unsigned_abs().saturating_mul(1024);
        return Ok(Some((tid, Stop::Gone { status, most_resident })));
    }
    let signal = libc::WSTOPSIG(status);
    let stop = match status >> 16 {
        0 if signal == libc::SIGTRAP | SYSTEM_CALL => Stop::End,
        libc::PTRACE_EVENT_SECCOMP => Stop::Begin,
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
            let mut message = 0_u64;
            // A thread that was killed in between has no message; its end will be reported.
            let _ = request(libc::PTRACE_GETEVENTMSG, tid, 0, (&raw mut message) as u64);
            Stop::Born { child: message as u32 }
        }
        libc::PTRACE_EVENT_EXEC => Stop::Exec,
        libc::PTRACE_EVENT_EXIT => Stop::Ending,
        libc::PTRACE_EVENT_STOP => match signal {
            libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => Stop::Group,
            _ => Stop::Attached,
        },
        _ => Stop::Signal(signal),
    };
    Ok(Some((tid, stop)))
}

fn request(what: libc::c_uint, tid: u32, address: u64, data: u64) -> Result<(), Errno> {
    // SAFETY: the callers pass numbers, or a pointer to a live value of the type that the request writes.
    let result =
        unsafe { libc::ptrace(what, tid.cast_signed(), address as *mut c_void, data as *mut c_void) };
    if result < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(()) }
}
