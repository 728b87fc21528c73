//! Sleeps, and waiting with a time limit: for descriptors, for words of memory, for signals, for children.
//!
//! All of it runs in the kernel, where a signal interrupts it as ever. A time on a clock that the kernel does not know is
//! translated; when the time is over, the caller's clock has reached it.
#![forbid(unsafe_code)]

use super::VirtualClock;
use super::reading::at;
use super::value::{Counts, TIME, USAGE, bytes, counts, rusage, timespec, timeval, words};
use crate::Errno;
use crate::capability::{AtEnd, CallStop};
use crate::supervisor::stop::Waits;
use crate::supervisor::time::{Base, NEVER, nanoseconds, real, real_since};

/// What came of a stop where a call begins.
pub(super) type Begun = Result<Option<AtEnd>, Errno>;

const TIMED_OUT: i64 = -(libc::ETIMEDOUT as i64);
const AGAIN: i64 = -(libc::EAGAIN as i64);
const MILLISECOND: u64 = 1_000_000;
/// An operation without its flags.
const FUTEX_COMMAND: i32 = 0x7f;

/// How much longer than asked for the kernel is to wait where the tracker ends waits, so that none ends while some guest
/// computes. The tracker ends it after that as well, by how long guests have computed: this is for when nothing else does.
const GRACE: u64 = 300_000_000_000;

/// A wait that begins now.
#[derive(Clone, Copy)]
struct Wait {
    /// The caller's time.
    from: u64,
    /// The time at which it ends.
    until: u64,
    /// When it began in reality.
    began: u64,
}

impl Wait {
    fn until(stop: &CallStop<'_>, until: impl FnOnce(u64) -> u64) -> Option<Self> {
        let from = stop.with_time(|time, own| time.peek(own))?;
        Some(Self { from, until: until(from), began: real() })
    }

    /// How long it is.
    fn length(self) -> u64 {
        self.until.saturating_sub(self.from)
    }

    /// When it is over in reality, if it takes as long.
    fn really(self) -> u64 {
        self.began.saturating_add(self.length())
    }

    /// For how long the kernel is to wait where the tracker ends it: not one that is over as it begins, or that nobody would
    /// see the end of.
    fn with_grace(self, stop: &CallStop<'_>) -> Option<u64> {
        let ends = self.from < self.until && self.until < NEVER;
        (stop.is_in_order() && ends).then(|| self.length().saturating_add(GRACE))
    }

    /// Waits for what may come before its time, and gives `expired` if nothing does.
    fn limits(self, expired: i64, lasts: bool) -> Waits {
        Waits { until: self.until, really: self.really(), sleeps: false, lasts, expired }
    }

    /// Waits for nothing else.
    fn sleeps(self, lasts: bool) -> Waits {
        Waits { sleeps: true, ..self.limits(0, lasts) }
    }

    /// It is over.
    fn is_over(self, stop: &CallStop<'_>) {
        let _ = stop.with_time(|_, own| own.reaches(self.until));
    }

    /// A signal has ended it. What was left.
    fn is_interrupted(self, stop: &CallStop<'_>) -> u64 {
        let sent = stop.time_of_signals();
        let now = stop.with_time(|time, own| {
            // A timer's end is known exactly, and how far a guest had come who sends a signal. Of those from elsewhere the
            // real time has to tell.
            if time.peek(own) <= self.from {
                let really = || self.from.saturating_add(real().saturating_sub(self.began));
                own.reaches(sent.unwrap_or_else(really).min(self.until));
            }
            time.peek(own)
        });
        self.until.saturating_sub(now.unwrap_or(self.from))
    }
}

/// A wait with a limit. The guest's own memory is left alone.
fn limited(wait: Wait, waits: Waits) -> AtEnd {
    AtEnd::new(Some(waits), move |stop| {
        if stop.result() == Some(waits.expired) {
            wait.is_over(stop);
        }
    })
}

/// A limit in milliseconds; less than 0 is none. Where nothing else is waited for it is a sleep.
fn milliseconds(stop: &mut CallStop<'_>, index: usize, sleeps: bool) -> Begun {
    let Ok(limit) = u64::try_from(stop.arg(index) as i32) else { return Ok(None) };
    let length = limit.saturating_mul(MILLISECOND);
    let Some(wait) = Wait::until(stop, |from| from.saturating_add(length)) else { return Ok(None) };
    let longer = wait.with_grace(stop).map(|length| (length / MILLISECOND).min(i32::MAX as u64));
    if let Some(longer) = longer {
        stop.set_arg(index, longer);
    }
    let lasts = longer.is_some();
    Ok(Some(limited(wait, Waits { sleeps: sleeps && lasts, ..wait.limits(0, lasts) })))
}

/// A limit that lies in memory, which the kernel only reads.
fn in_memory(stop: &mut CallStop<'_>, index: usize, expired: i64) -> Begun {
    // What is wrong with it, the kernel will say.
    let Some((seconds, fraction)) = at(stop, stop.arg(index)) else { return Ok(None) };
    let Some(limit) = nanoseconds(seconds, fraction) else { return Ok(None) };
    let Some(wait) = Wait::until(stop, |from| from.saturating_add(limit)) else { return Ok(None) };
    let lent = longer(stop, wait, index, timespec);
    Ok(Some(limited(wait, wait.limits(expired, lent.is_some()))))
}

/// Has the kernel wait longer than the limit that an argument leads to, if the tracker ends it. Where that lies, and its
/// bytes. A stack without room is no reason not to wait.
fn longer(
    stop: &mut CallStop<'_>,
    wait: Wait,
    index: usize,
    written: fn(u64) -> [u8; TIME],
) -> Option<(u64, [u8; TIME])> {
    let bytes = written(wait.with_grace(stop)?);
    let address = stop.lend(&bytes).ok()?;
    stop.set_arg(index, address);
    Some((address, bytes))
}

/// A limit that lies in memory, and of which the kernel writes there how much is left.
struct Kept {
    address: u64,
    given: [u8; TIME],
    length: u64,
    written: fn(u64) -> [u8; TIME],
    read: fn(i64, i64) -> Option<u64>,
}

impl Kept {
    /// In nanoseconds.
    fn timespec(stop: &CallStop<'_>, address: u64) -> Option<Self> {
        Self::at(stop, address, timespec, nanoseconds)
    }

    /// In microseconds, as many as one likes.
    fn timeval(stop: &CallStop<'_>, address: u64) -> Option<Self> {
        Self::at(stop, address, timeval, |seconds, more| {
            // As the kernel does, which then refuses a negative rest (`kern_select` in `fs/select.c`).
            let (carry, rest) = (more / 1_000_000, more % 1_000_000);
            nanoseconds(seconds.checked_add(carry)?, rest * 1000)
        })
    }

    fn at(
        stop: &CallStop<'_>,
        address: u64,
        written: fn(u64) -> [u8; TIME],
        read: fn(i64, i64) -> Option<u64>,
    ) -> Option<Self> {
        let (seconds, fraction) = at(stop, address)?;
        let given = bytes(seconds, fraction);
        Some(Self { address, given, length: read(seconds, fraction)?, written, read })
    }

    /// Writes what is left, as the kernel does (`poll_select_finish` in `fs/select.c`): not for a process that wants its
    /// limits kept, and a call whose limit can't be written is not made again.
    fn write(&self, stop: &mut CallStop<'_>, lent: (u64, [u8; TIME]), left: impl FnOnce(u64) -> u64) {
        let Some(found) = stop.read::<TIME>(lent.0).ok().filter(|found| *found != lent.1) else { return };
        let (seconds, fraction) = words(&found);
        let left = left((self.read)(seconds, fraction).unwrap_or(0));
        if stop.write(self.address, &(self.written)(left)).is_err() && stop.is_interrupted() {
            stop.set_result(-i64::from(Errno::EINTR.value()));
        }
    }

    /// Waits for it, with the argument that leads to it, or for one of the descriptors in these sets.
    fn waits(self, stop: &mut CallStop<'_>, index: usize, sets: Option<Sets>, sleeps: bool) -> Begun {
        let wait = Wait::until(stop, |from| from.saturating_add(self.length));
        let Some(wait) = wait else { return Ok(None) };
        let lent = longer(stop, wait, index, self.written);
        let work = move |stop: &mut CallStop<'_>| {
            if stop.result() == Some(0) {
                wait.is_over(stop);
            }
            match lent {
                Some(lent) if stop.result() == Some(0) => {
                    if sets.as_ref().is_some_and(|sets| !sets.clear(stop)) {
                        stop.set_result(-i64::from(Errno::EFAULT.value()));
                    }
                    self.write(stop, lent, |_| 0);
                }
                Some(lent) if stop.is_interrupted() => {
                    self.write(stop, lent, |left| left.saturating_sub(GRACE));
                }
                // The kernel has written there how much of it is left in reality: for the caller no time has passed.
                None if stop.result() != Some(0) && !stop.is_interrupted() => {
                    let _ = stop.write(self.address, &self.given);
                }
                _ => {}
            }
        };
        let waits = Waits { sleeps: sleeps && lent.is_some(), ..wait.limits(0, lent.is_some()) };
        Ok(Some(AtEnd::new(Some(waits), work)))
    }
}

/// The sets of descriptors that `select` is given, and leaves empty when its time is over.
struct Sets {
    addresses: [u64; 3],
    len: usize,
}

impl Sets {
    fn of(stop: &CallStop<'_>) -> Self {
        /// The least that a table of descriptors has room for (`NR_OPEN_DEFAULT`).
        const LEAST: usize = 64;
        let count = usize::try_from(stop.arg(0) as i32).unwrap_or(0);
        // The kernel looks at no more of them than that table has room for.
        let count = if count > LEAST { count.min(room(stop.tid()).unwrap_or(LEAST)) } else { count };
        Self { addresses: [1, 2, 3].map(|index| stop.arg(index)), len: count.div_ceil(64) * 8 }
    }

    fn are_none(&self) -> bool {
        self.len == 0 || self.addresses == [0; 3]
    }

    /// Whether that can be written.
    fn clear(&self, stop: &CallStop<'_>) -> bool {
        let empty = vec![0; self.len];
        self.addresses.iter().all(|set| *set == 0 || stop.write(*set, &empty).is_ok())
    }
}

/// How many descriptors a thread's table has room for (`man 5 proc_pid_status`).
fn room(tid: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("FDSize:"))?.trim().parse().ok()
}

/// A limit that is a time on a clock; for the kernel, where nobody else sets it meanwhile, on `CLOCK_MONOTONIC`. Whether the
/// tracker may end it.
fn deadline(stop: &mut CallStop<'_>, index: usize, base: Base, kernels: Base, ends: bool) -> Begun {
    let Some((seconds, fraction)) = at(stop, stop.arg(index)) else { return Ok(None) };
    if nanoseconds(seconds, fraction).is_none() {
        return Ok(None);
    }
    let until = stop.with_time(|time, _| time.elapsed_at(base, seconds, fraction)).unwrap_or(0);
    let Some(wait) = Wait::until(stop, |_| until) else { return Ok(None) };
    let lasts = ends && wait.with_grace(stop).is_some();
    let later = if lasts { GRACE } else { 0 };
    let really = translated(real_since(kernels), wait.from, wait.until.saturating_add(later));
    let address = stop.lend(&timespec(really))?;
    stop.set_arg(index, address);
    Ok(Some(limited(wait, wait.limits(TIMED_OUT, lasts))))
}

/// A limit that is a time on the clock that another argument names.
fn on_clock(stop: &mut CallStop<'_>, index: usize, clock: usize) -> Begun {
    let Some(Counts::Time(base)) = counts(stop.arg(clock) as i32) else { return Ok(None) };
    stop.set_arg(clock, libc::CLOCK_MONOTONIC as u64);
    deadline(stop, index, base, Base::Boot, true)
}

/// When it really is `until`, if it now is `from`: at once, if that has passed. Not 0, which to some calls is no time.
fn translated(really: u64, from: u64, until: u64) -> u64 {
    match until.checked_sub(from) {
        None | Some(0) => 1,
        Some(length) => really.saturating_add(length).min(i64::MAX as u64),
    }
}

/// A sleep whose length lies where this argument says. Where what is left is to be written, if a signal ends it.
fn sleep_for(stop: &mut CallStop<'_>, wait: Wait, index: usize, left: u64) -> AtEnd {
    // A stack without room is no reason not to sleep.
    let lent = wait.with_grace(stop).and_then(|length| stop.lend(&timespec(length)).ok());
    if let Some(address) = lent {
        stop.set_arg(index, address);
    }
    sleep(wait, lent.is_some(), left)
}

/// A sleep, which lasts until the tracker ends it or takes as long as it takes.
fn sleep(wait: Wait, lasts: bool, left: u64) -> AtEnd {
    AtEnd::new(Some(wait.sleeps(lasts)), move |stop| {
        if stop.is_interrupted() {
            let rest = wait.is_interrupted(stop);
            if left != 0 {
                let _ = stop.write(left, &timespec(rest));
            }
        } else if stop.result() == Some(0) {
            wait.is_over(stop);
        }
    })
}

impl VirtualClock {
    pub(super) fn nanosleep(&self, stop: &mut CallStop<'_>) -> Begun {
        let Some(length) = at(stop, stop.arg(0)).and_then(|(seconds, more)| nanoseconds(seconds, more))
        else {
            return Ok(None);
        };
        let wait = Wait::until(stop, |from| from.saturating_add(length));
        Ok(wait.map(|wait| sleep_for(stop, wait, 0, stop.arg(1))))
    }

    pub(super) fn sleep_for(&self, stop: &mut CallStop<'_>) -> Begun {
        let Some(Counts::Time(_)) = counts(stop.arg(0) as i32) else { return Ok(None) };
        let Some(length) = at(stop, stop.arg(2)).and_then(|(seconds, more)| nanoseconds(seconds, more))
        else {
            return Ok(None);
        };
        let wait = Wait::until(stop, |from| from.saturating_add(length));
        Ok(wait.map(|wait| sleep_for(stop, wait, 2, stop.arg(3))))
    }

    /// A sleep until a clock shows a time: for the kernel, one for as long as that takes.
    pub(super) fn sleep_until(&self, stop: &mut CallStop<'_>) -> Begun {
        let Some(Counts::Time(base)) = counts(stop.arg(0) as i32) else { return Ok(None) };
        let Some((seconds, fraction)) = at(stop, stop.arg(2)) else { return Ok(None) };
        if nanoseconds(seconds, fraction).is_none() {
            return Ok(None);
        }
        let until = stop.with_time(|time, _| time.elapsed_at(base, seconds, fraction)).unwrap_or(0);
        let Some(wait) = Wait::until(stop, |_| until) else { return Ok(None) };
        let length = wait.with_grace(stop);
        let address = stop.lend(&timespec(length.unwrap_or(wait.length())))?;
        stop.set_arg(1, 0);
        stop.set_arg(2, address);
        // Such a call says nothing of what was left.
        stop.set_arg(3, 0);
        Ok(Some(sleep(wait, length.is_some(), 0)))
    }

    pub(super) fn poll(&self, stop: &mut CallStop<'_>) -> Begun {
        let nobody = stop.arg(1) as u32 == 0;
        milliseconds(stop, 2, nobody)
    }

    pub(super) fn epoll_wait(&self, stop: &mut CallStop<'_>) -> Begun {
        milliseconds(stop, 3, false)
    }

    pub(super) fn ppoll(&self, stop: &mut CallStop<'_>) -> Begun {
        let nobody = stop.arg(1) as u32 == 0;
        match Kept::timespec(stop, stop.arg(2)) {
            Some(kept) => kept.waits(stop, 2, None, nobody),
            None => Ok(None),
        }
    }

    pub(super) fn pselect(&self, stop: &mut CallStop<'_>) -> Begun {
        let Some(kept) = Kept::timespec(stop, stop.arg(4)) else { return Ok(None) };
        let sets = Sets::of(stop);
        let nobody = sets.are_none();
        kept.waits(stop, 4, Some(sets), nobody)
    }

    /// The one whose limit has microseconds.
    pub(super) fn select(&self, stop: &mut CallStop<'_>) -> Begun {
        let Some(kept) = Kept::timeval(stop, stop.arg(4)) else { return Ok(None) };
        let sets = Sets::of(stop);
        let nobody = sets.are_none();
        kept.waits(stop, 4, Some(sets), nobody)
    }

    pub(super) fn epoll_pwait2(&self, stop: &mut CallStop<'_>) -> Begun {
        in_memory(stop, 3, 0)
    }

    pub(super) fn signal_wait(&self, stop: &mut CallStop<'_>) -> Begun {
        in_memory(stop, 2, AGAIN)
    }

    pub(super) fn aio_wait(&self, stop: &mut CallStop<'_>) -> Begun {
        in_memory(stop, 4, 0)
    }

    pub(super) fn semaphore_wait(&self, stop: &mut CallStop<'_>) -> Begun {
        in_memory(stop, 3, AGAIN)
    }

    pub(super) fn futex_for(&self, stop: &mut CallStop<'_>) -> Begun {
        in_memory(stop, 3, TIMED_OUT)
    }

    pub(super) fn futex_until(&self, stop: &mut CallStop<'_>) -> Begun {
        let operation = stop.arg(1) as i32;
        let by_day = operation & FUTEX_COMMAND == libc::FUTEX_LOCK_PI;
        let of_day = by_day || operation & libc::FUTEX_CLOCK_REALTIME != 0;
        // That lock takes its time from one clock only, whatever its flags; the other spelling from any.
        let command = if by_day { libc::FUTEX_LOCK_PI2 } else { operation & FUTEX_COMMAND };
        let other = operation & !(FUTEX_COMMAND | libc::FUTEX_CLOCK_REALTIME) | command;
        stop.set_arg(1, u64::from(other.cast_unsigned()));
        // A wait for a lock with an owner may end in more than two ways.
        let ends = command == libc::FUTEX_WAIT_BITSET;
        deadline(stop, 3, if of_day { Base::Epoch } else { Base::Boot }, Base::Boot, ends)
    }

    pub(super) fn futex_wait(&self, stop: &mut CallStop<'_>) -> Begun {
        on_clock(stop, 4, 5)
    }

    pub(super) fn futex_waitv(&self, stop: &mut CallStop<'_>) -> Begun {
        on_clock(stop, 3, 4)
    }

    pub(super) fn message_wait(&self, stop: &mut CallStop<'_>) -> Begun {
        deadline(stop, 4, Base::Epoch, Base::Epoch, true)
    }

    /// It is told of the end of a child: it is then as late as that was, and hears of virtual time alone.
    pub(super) fn wait_by_number(&self, stop: &mut CallStop<'_>) -> Begun {
        let usage = stop.arg(3);
        Ok(Some(AtEnd::new(None, move |stop| {
            if let Some(number @ 1..) = stop.result() {
                told_of(stop, number as u32, true, usage);
            }
        })))
    }

    /// The same, by the call that tells of it in memory.
    pub(super) fn wait_by_id(&self, stop: &mut CallStop<'_>) -> Begun {
        /// Of `si_pid` in `siginfo_t`.
        const NUMBER: u64 = 16;
        let (told, options, usage) = (stop.arg(2), stop.arg(3) as i32, stop.arg(4));
        Ok(Some(AtEnd::new(None, move |stop| {
            if stop.result() == Some(0) {
                let number = stop.read::<4>(told.wrapping_add(NUMBER)).map(u32::from_ne_bytes).unwrap_or(0);
                told_of(stop, number, options & libc::WNOWAIT == 0, usage);
            }
        })))
    }

    /// The kernel goes on with what was begun before.
    pub(super) fn restart(&self, _: &mut CallStop<'_>) -> Begun {
        Ok(None)
    }
}

/// Nobody was told of, if nobody had ended.
fn told_of(stop: &CallStop<'_>, number: u32, last: bool, usage: u64) {
    let used = stop.with_time(|_, own| if last { own.waited_for(number) } else { own.was_told_of(number) });
    if usage != 0 && number != 0 {
        let _ = stop.write(usage, &rusage(used.unwrap_or(0)) as &[u8; USAGE]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_on_another_clock_is_as_far_away() {
        assert_eq!(translated(1_000, 5, 7), 1_002);
        for (from, until) in [(7, 7), (7, 5), (u64::MAX, 0)] {
            assert_eq!(translated(1_000, from, until), 1, "{from} {until}");
        }
        assert_eq!(translated(u64::MAX, 0, u64::MAX), i64::MAX as u64);
    }
}
