//! A call that the tracker has stopped: where it begins, so that it can be given other arguments, and where it ends, so
//! that its true result is seen.
//!
//! What lies in memory is led elsewhere through a copy beneath the caller's stack; the registers are the caller's own again
//! when the call ends. Which calls stop, and what is done with them, is for the capabilities.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use super::Run;
use super::time::{OwnTime, Time};
use crate::sys::{memory, ptrace};
use crate::syscall::decode;
use crate::trace::{Action, Body, Grounds, Known, Origin, Verdict};
use crate::{Errno, Syscall};

/// Beneath the stack pointer: what the ABI leaves to a function without a frame, and some room.
const RED_ZONE: u64 = 128;
const SCRATCH: u64 = 256;
/// What the kernel gives inside for a call that is to be made again, or gone on with, after a signal
/// (`include/linux/errno.h`): `ERESTARTSYS` to `ERESTART_RESTARTBLOCK`.
const AGAIN: std::ops::RangeInclusive<i64> = -516..=-512;
/// The one of these that goes on by a call of its own, `restart_syscall`.
const GOES_ON: i64 = -516;

/// A call that stands still, where it begins or where it ends.
pub struct CallStop<'a> {
    run: &'a Run,
    tid: u32,
    syscall: Syscall,
    registers: ptrace::Registers,
    /// The result, where it ends.
    result: Option<i64>,
    /// What lay where something was lent.
    lent: Vec<(u64, Vec<u8>)>,
    /// Its process's time is known as it is while this stands still.
    has_time: Cell<bool>,
}

/// What is to be done where a call ends.
pub struct AtEnd {
    pub(super) waits: Option<Waits>,
    pub(super) work: Box<EndFn>,
}

/// Works on a call that ends.
type EndFn = dyn FnMut(&mut CallStop<'_>) + Send;

/// Until when a call waits, in its process's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waits {
    /// At the latest.
    pub(crate) until: u64,
    /// When that is in reality, if it takes as long as the caller asked for.
    pub(crate) really: u64,
    /// For nothing but that.
    pub(crate) sleeps: bool,
    /// The kernel was asked for more than the caller did: the tracker ends it.
    pub(crate) lasts: bool,
    /// What it gives when its time is over.
    pub(crate) expired: i64,
}

impl AtEnd {
    /// Does this.
    pub(crate) fn new(waits: Option<Waits>, work: impl FnMut(&mut CallStop<'_>) + Send + 'static) -> Self {
        Self { waits, work: Box::new(work) }
    }
}

impl std::fmt::Debug for AtEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtEnd").field("waits", &self.waits).finish_non_exhaustive()
    }
}

impl CallStop<'_> {
    /// Which.
    #[must_use]
    pub fn syscall(&self) -> Syscall {
        self.syscall
    }

    /// The thread, as the host numbers it.
    #[must_use]
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// A register, whole.
    #[must_use]
    pub fn arg(&self, index: usize) -> u64 {
        self.registers.args().get(index).copied().unwrap_or(0)
    }

    /// Gives the call another argument, where it begins.
    pub fn set_arg(&mut self, index: usize, value: u64) {
        let mut args = self.registers.args();
        if let Some(arg) = args.get_mut(index) {
            *arg = value;
        }
        self.registers.set_args(args);
    }

    /// The result, where it ends; of a call that a signal ends, before its handler, what the kernel will make of it.
    #[must_use]
    pub fn result(&self) -> Option<i64> {
        self.result
    }

    /// Gives the call another result, where it ends.
    pub fn set_result(&mut self, result: i64) {
        self.result = Some(result);
        self.registers.set_result(result);
    }

    /// Whether it ends for a signal's sake, and will be made again, or gone on with, if that has no handler.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.result.is_some_and(was_interrupted)
    }

    /// Bytes of the guest.
    ///
    /// # Errors
    /// `EFAULT`: not all of them are mapped.
    pub fn read<const LEN: usize>(&self, address: u64) -> Result<[u8; LEN], Errno> {
        let mut bytes = [0; LEN];
        if memory::read(self.tid, address, &mut bytes)? < LEN { Err(Errno::EFAULT) } else { Ok(bytes) }
    }

    /// Writes to the guest, where it could write itself.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        if memory::write(self.tid, address, bytes)? < bytes.len() { Err(Errno::EFAULT) } else { Ok(()) }
    }

    /// Puts bytes beneath the caller's stack, for this call alone: what lay there lies there again when it has ended. Their
    /// address.
    ///
    /// # Errors
    /// `EFAULT`: its stack has no room.
    pub fn lend(&mut self, bytes: &[u8]) -> Result<u64, Errno> {
        let address = self.registers.stack().wrapping_sub(RED_ZONE + SCRATCH) & !0xf;
        let mut before = vec![0; bytes.len()];
        if memory::read(self.tid, address, &mut before)? < before.len() {
            return Err(Errno::EFAULT);
        }
        self.write(address, bytes)?;
        self.lent.push((address, before));
        Ok(address)
    }

    /// Whether waits end in the order of the guests' time, and so by the tracker.
    pub(crate) fn is_in_order(&self) -> bool {
        self.run.is_in_order()
    }

    /// Works with the caller's own time. `None`: the guests have the real one, or nobody knows the caller.
    pub(crate) fn with_time<T>(&self, work: impl FnOnce(&Time, &mut OwnTime) -> T) -> Option<T> {
        let time = self.run.time.as_ref()?;
        let mut processes = self.run.processes();
        if self.has_time.replace(true) {
            processes.with_time_again(self.tid, |own| work(time, own))
        } else {
            processes.with_time(self.tid, |own| work(time, own))
        }
    }

    /// How far the guests had come who sent the signals that wait for the caller, or whose end these tell of: who had come
    /// furthest. `None`: no guest has sent one.
    pub(crate) fn time_of_signals(&self) -> Option<u64> {
        let time = self.run.time.as_ref()?;
        let mut processes = self.run.processes();
        let mut of = |number: u32| {
            let lives = processes.with_time_by_number(number, |own| time.peek(own));
            lives.or_else(|| processes.with_time(self.tid, |own| own.ended_at(number))?)
        };
        ptrace::senders(self.tid).into_iter().filter_map(&mut of).max()
    }

    fn record(&mut self, by: Origin) {
        if self.run.recorder.is_none() || self.run.is_probing() {
            return;
        }
        let (syscall, registers) = (self.syscall, self.registers.args());
        let args = decode::decode(syscall, &registers, self);
        let (place, exe) = match self.run.processes().of(self.tid) {
            Some((_, process)) => (Some(process.place.clone()), process.exe.clone()),
            None => (None, None),
        };
        let pid = self.tid;
        self.run.record(|| {
            Body::Verdict(Box::new(Verdict {
                call: syscall,
                args,
                target: None,
                action: Action::Allow,
                by,
                grounds: Grounds::Noted,
                result: None,
                known: Known::Unknown,
                pid,
                place,
                exe,
            }))
        });
    }
}

impl std::fmt::Debug for CallStop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = (self.tid, self.syscall, self.result);
        f.debug_tuple("CallStop").field(&shown).finish()
    }
}

impl decode::Memory for CallStop<'_> {
    fn cstr(&mut self, address: u64) -> Option<Vec<u8>> {
        crate::handler::memory_cstr(self.tid, address, 4096).ok()
    }

    fn bytes(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        (memory::read(self.tid, address, &mut bytes).ok()? == len).then_some(bytes)
    }
}

/// A call that is under way between its two stops.
#[derive(Debug)]
pub(super) struct Underway {
    syscall: Syscall,
    /// The arguments that its caller gave it.
    args: [u64; 6],
    at_end: AtEnd,
    /// What is to lie again where something was lent.
    lent: Vec<(u64, Vec<u8>)>,
    /// It was ended for its sake: its time has come.
    pub(super) cut_short: bool,
    /// For how long its time has been over while it gave way to others, and all waited.
    pub(super) gave_way: Duration,
    /// A signal has ended it, and it may still go on.
    pub(super) stands: bool,
}

impl Underway {
    /// Until when it waits, if it does now.
    pub(super) fn waits(&self) -> Option<Waits> {
        self.at_end.waits.filter(|_| !self.stands && !self.cut_short)
    }
}

/// Whether a call with this result was ended for a signal's sake, or the tracker's.
fn was_interrupted(result: i64) -> bool {
    AGAIN.contains(&result) || result == -i64::from(Errno::EINTR.value())
}

/// A call begins. What is under way from here on; `None`: nobody wants to see its end.
pub(super) fn begin(run: &Run, tid: u32, known: Option<Underway>) -> Result<Option<Underway>, Errno> {
    let mut registers = ptrace::registers(tid)?;
    let syscall = Syscall::checked(registers.number()).ok();
    let args = registers.args();
    let Some((syscall, ask)) = syscall.and_then(|call| run.plan.stop(call, &args).map(|ask| (call, ask)))
    else {
        // A filter of the guest's own wants it stopped, by a tracer that it has not: the kernel's answer to that.
        registers.leave_out(-i64::from(Errno::ENOSYS.value()));
        ptrace::set_registers(tid, &registers)?;
        return Ok(None);
    };
    let mut stop =
        CallStop { run, tid, syscall, registers, result: None, lent: Vec::new(), has_time: Cell::default() };
    stop.record(ask.origin());
    let answer = run.plan.begin(ask, &mut stop);
    if crate::syscall::family::RESTART.contains(syscall) {
        // What a signal has ended goes on.
        return Ok(known.filter(|known| known.stands).map(|known| Underway { args, stands: false, ..known }));
    }
    match answer {
        // Nobody would see to it that its arguments are its own again.
        Ok(None) => Ok(None),
        Ok(Some(at_end)) => {
            if stop.registers.args() != args {
                ptrace::set_registers(tid, &stop.registers)?;
            }
            let lent = std::mem::take(&mut stop.lent);
            Ok(Some(Underway {
                syscall,
                args,
                at_end,
                lent,
                cut_short: false,
                gave_way: Duration::ZERO,
                stands: false,
            }))
        }
        Err(errno) => {
            stop.registers.set_args(args);
            stop.registers.leave_out(-i64::from(errno.value()));
            ptrace::set_registers(tid, &stop.registers)?;
            Ok(None)
        }
    }
}

/// A call ends. What is still under way: a call that may go on.
pub(super) fn end(run: &Run, tid: u32, mut underway: Underway) -> Result<Option<Underway>, Errno> {
    let mut registers = ptrace::registers(tid)?;
    let mut result = registers.result();
    let expired = underway.at_end.waits.filter(|_| underway.cut_short && was_interrupted(result));
    if let Some(Waits { expired, .. }) = expired {
        result = expired;
        registers.set_result(expired);
    }
    let was_led_elsewhere = registers.args() != underway.args;
    registers.set_args(underway.args);
    let syscall = underway.syscall;
    let mut stop = CallStop {
        run,
        tid,
        syscall,
        registers,
        result: Some(result),
        lent: Vec::new(),
        has_time: Cell::default(),
    };
    (underway.at_end.work)(&mut stop);
    if expired.is_some() || was_led_elsewhere || stop.result != Some(result) {
        ptrace::set_registers(tid, &stop.registers)?;
    }
    let goes_on = result == GOES_ON;
    // What goes on reads no memory of its caller again.
    for (address, before) in underway.lent.drain(..) {
        // Memory that the guest has given up meanwhile is nobody's.
        let _ = stop.write(address, &before);
    }
    underway.stands = true;
    Ok(goes_on.then_some(underway))
}
