//! The guests' own time, where the policy gives them one: how far each process has come, and what its clocks then show.
//!
//! A point of it is *elapsed* nanoseconds since the run began. Each process has its own: it starts where its parent
//! stood at its birth, and a parent that has waited for a child stands at least where the child ended, so that time
//! never runs backwards from a cause to its effect. It stops no call and answers none: that is for the capability.
#![forbid(unsafe_code)]

mod counter;
mod timers;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use self::counter::Counter;
use self::timers::Timers;
pub(crate) use self::timers::{Armed, Looked, Running, Set, Timer};
use super::call::Call;
use crate::policy::{Clock, ClockMode, Timestamp};

/// How long the machine has been up when the run begins: what `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME` then show.
pub(crate) const UPTIME: Duration = Duration::from_secs(1000);

/// Later than the kernel can count.
pub(crate) const NEVER: u64 = i64::MAX as u64;

const SECOND: i128 = 1_000_000_000;
/// How many ends of children, and timers of a kind, are kept for a process at most: its oldest ones are of no use any more.
const KEPT: usize = 1024;

/// What a clock counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// 1970: `CLOCK_REALTIME`, and `CLOCK_TAI`, which the kernel keeps equal to it until somebody sets the difference.
    Epoch,
    /// The machine's start: `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME`.
    Boot,
}

/// The time of one run.
#[derive(Debug)]
pub(crate) struct Time {
    clock: Clock,
    /// The real time at which the command was executed.
    begun: OnceLock<u64>,
    /// The time of whoever makes the probes.
    probing: Mutex<OwnTime>,
}

/// How far one process has come.
#[derive(Debug, Default)]
pub(crate) struct OwnTime {
    elapsed: u64,
    /// How far its parent had come at its birth.
    born: u64,
    /// The processor's time that it has taken: what readings cost.
    used: u64,
    /// What the children that it waited for have taken, and theirs.
    used_by_children: u64,
    /// When it last touched a file.
    touched: u64,
    /// Its timers.
    timers: Timers,
    /// Where it counts by itself, if it does.
    counter: Option<Counter>,
    /// How far the children had come that ended and were not waited for yet, by their numbers among the guests.
    ended: VecDeque<(u32, Ended)>,
}

/// Where a process stood when it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    elapsed: u64,
    used: u64,
    touched: u64,
}

/// What a process's clocks show at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Since the run began.
    pub(crate) elapsed: u64,
    /// Processor's time of the process.
    pub(crate) used: u64,
    /// Processor's time of the children that it waited for.
    pub(crate) used_by_children: u64,
}

impl OwnTime {
    /// A process that this one makes.
    pub(super) fn newborn(&self) -> Self {
        Self {
            elapsed: self.elapsed,
            born: self.elapsed,
            touched: self.touched,
            counter: self.counter.clone(),
            ..Self::default()
        }
    }

    /// Its end, after all of its timers that have expired.
    pub(super) fn end(&mut self) -> Ended {
        self.expire();
        let used = self.used.saturating_add(self.used_by_children);
        Ended { elapsed: self.elapsed, used, touched: self.touched }
    }

    /// A child has ended, which its own number is for.
    pub(super) fn child_ended(&mut self, number: u32, end: Ended) {
        self.ended.retain(|(known, _)| *known != number);
        if self.ended.len() >= KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back((number, end));
    }

    fn end_of(&self, number: u32) -> Option<Ended> {
        self.ended.iter().find(|(known, _)| *known == number).map(|(_, ended)| *ended)
    }

    /// How far the child of this number had come when it ended.
    pub(super) fn ended_at(&self, number: u32) -> Option<u64> {
        self.end_of(number).map(|ended| ended.elapsed)
    }

    /// It was told of the end of this child, and may be told again. What the child had used.
    pub(crate) fn was_told_of(&mut self, number: u32) -> u64 {
        let Some(Ended { elapsed, used, touched }) = self.end_of(number) else { return 0 };
        self.reaches(elapsed);
        self.touched = self.touched.max(touched);
        used
    }

    /// It was told of the end of this child for the last time. What the child had used.
    pub(crate) fn waited_for(&mut self, number: u32) -> u64 {
        let used = self.was_told_of(number);
        self.ended.retain(|(known, _)| *known != number);
        self.used_by_children = self.used_by_children.saturating_add(used);
        used
    }

    /// It is at least so late.
    pub(crate) fn reaches(&mut self, elapsed: u64) {
        self.elapsed = self.elapsed.max(elapsed);
    }

    /// It touches a file, at this time or, where it has touched another at the same one, a nanosecond after that.
    fn touches(&mut self, elapsed: u64) -> u64 {
        self.touched = elapsed.max(self.touched.saturating_add(1));
        self.touched
    }

    /// It runs another program: POSIX timers are gone, and so is its memory.
    pub(super) fn executed(&mut self) {
        self.counter = None;
        self.timers.executed();
    }
}

/// The host's `CLOCK_MONOTONIC`, in nanoseconds.
pub(crate) fn real() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    nanoseconds(now.tv_sec, now.tv_nsec).unwrap_or(0)
}

/// The host's time on the clock that counts from there.
pub(crate) fn real_since(base: Base) -> u64 {
    match base {
        Base::Boot => real(),
        Base::Epoch => {
            let now = clock_gettime(ClockId::Realtime);
            nanoseconds(now.tv_sec, now.tv_nsec).unwrap_or(0)
        }
    }
}

/// A length of time as the kernel takes it: no less than 0, and a nanosecond less than a second. One that is longer than
/// the kernel can count is as long as it can.
pub(crate) fn nanoseconds(seconds: i64, nanoseconds: i64) -> Option<u64> {
    let valid = seconds >= 0 && (0..SECOND).contains(&i128::from(nanoseconds));
    let whole = i128::from(seconds) * SECOND + i128::from(nanoseconds);
    valid.then(|| u64::try_from(whole.min(i128::from(NEVER))).unwrap_or(0))
}

impl Time {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, begun: OnceLock::new(), probing: Mutex::default() }
    }

    /// The command is executed: from here on it counts.
    pub(crate) fn begin(&self) {
        self.begun.get_or_init(real);
    }

    /// Whether it goes on as the real one.
    pub(crate) fn is_real(&self) -> bool {
        self.clock.mode == ClockMode::Offset
    }

    /// How far a process has come, without a reading.
    pub(crate) fn peek(&self, own: &mut OwnTime) -> u64 {
        if self.is_real() {
            own.elapsed = self.begun.get().map_or(0, |begun| real().saturating_sub(*begun));
        } else {
            own.expire();
        }
        own.elapsed
    }

    /// When a process was born, by the clock that counts from the machine's start, in nanoseconds: `really` by that of the
    /// host.
    pub(crate) fn started(&self, own: &OwnTime, really: u64) -> u64 {
        let born = if self.is_real() {
            let now = clock_gettime(ClockId::Boottime);
            let slept = nanoseconds(now.tv_sec, now.tv_nsec).unwrap_or(0).saturating_sub(real());
            let begun = self.begun.get().copied().unwrap_or_else(real);
            really.saturating_sub(begun.saturating_add(slept))
        } else {
            own.born
        };
        u64::try_from(UPTIME.as_nanos()).unwrap_or(u64::MAX).saturating_add(born)
    }

    /// What its clocks show, without a reading.
    pub(crate) fn peeked(&self, own: &mut OwnTime) -> Reading {
        let elapsed = self.peek(own);
        Reading { elapsed, used: own.used, used_by_children: own.used_by_children }
    }

    /// A reading, which may move the clock on.
    pub(crate) fn read(&self, own: &mut OwnTime) -> Reading {
        let reading = self.peeked(own);
        if let ClockMode::Logical { step } = self.clock.mode {
            let step = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
            own.elapsed = own.elapsed.saturating_add(step);
            own.used = own.used.saturating_add(step);
        }
        reading
    }

    /// What a clock shows when so much has elapsed: seconds and nanoseconds.
    pub(crate) fn shown(&self, base: Base, elapsed: u64) -> Timestamp {
        let whole = self.origin(base) + i128::from(elapsed);
        Timestamp {
            seconds: i64::try_from(whole.div_euclid(SECOND)).unwrap_or(i64::MAX),
            nanoseconds: u32::try_from(whole.rem_euclid(SECOND)).unwrap_or(0),
        }
    }

    /// When a clock shows this, as elapsed time: 0, if that was before the run began.
    pub(crate) fn elapsed_at(&self, base: Base, seconds: i64, nanoseconds: i64) -> u64 {
        let whole = i128::from(seconds) * SECOND + i128::from(nanoseconds);
        let elapsed = whole - self.origin(base);
        u64::try_from(elapsed.clamp(0, i128::from(NEVER))).unwrap_or(0)
    }

    fn origin(&self, base: Base) -> i128 {
        match base {
            Base::Epoch => {
                let Timestamp { seconds, nanoseconds } = self.clock.start;
                i128::from(seconds) * SECOND + i128::from(nanoseconds)
            }
            Base::Boot => i128::from(UPTIME.as_secs()) * SECOND,
        }
    }

    pub(super) fn probing(&self) -> MutexGuard<'_, OwnTime> {
        self.probing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// What the process of this number among the guests has used of the processor's time.
    pub(crate) fn used_by(&self, number: u32) -> Option<u64> {
        self.run.processes().with_time_by_number(number, |own| own.used)
    }

    /// Works with the caller's own time. `None`: the guests have the real one, or nobody knows the caller.
    pub(crate) fn with_time<T>(&self, work: impl FnOnce(&Time, &mut OwnTime) -> T) -> Option<T> {
        let time = self.run.time.as_ref()?;
        if self.run.is_probing() {
            return Some(work(time, &mut time.probing()));
        }
        let mut processes = self.run.processes();
        if self.has_time.swap(true, Ordering::Relaxed) {
            processes.with_time_again(self.notif.pid, |own| work(time, own))
        } else {
            processes.with_time(self.notif.pid, |own| work(time, own))
        }
    }

    /// `CLOCK_REALTIME` as the caller would read it now, which moves no clock on; `None`: it is the real one.
    #[must_use]
    pub fn virtual_now(&self) -> Option<Timestamp> {
        self.with_time(|time, own| time.shown(Base::Epoch, time.peek(own)))
    }

    /// The time at which the caller touches a file, which moves no clock on: after all that it, and whoever it has waited
    /// for, has touched before. `None`: the guests have the real time.
    pub(crate) fn time_of_touch(&self) -> Option<Timestamp> {
        self.with_time(|time, own| {
            let elapsed = time.peek(own);
            time.shown(Base::Epoch, own.touches(elapsed))
        })
    }

    /// The same, of a touch that would come next.
    pub(crate) fn time_of_next_touch(&self) -> Option<Timestamp> {
        self.with_time(|time, own| {
            let elapsed = time.peek(own).max(own.touched.saturating_add(1));
            time.shown(Base::Epoch, elapsed)
        })
    }

    /// How long the machine has been up for the caller, which moves no clock on; `None`: as long as it really has.
    #[must_use]
    pub fn virtual_uptime(&self) -> Option<Duration> {
        self.with_time(|time, own| UPTIME.saturating_add(Duration::from_nanos(time.peek(own))))
    }

    /// When the machine was started, for the caller, and no earlier than 1970; `None`: when it really was.
    #[must_use]
    pub fn virtual_boot(&self) -> Option<Timestamp> {
        let time = self.run.time.as_ref()?;
        let Timestamp { seconds, nanoseconds } = time.shown(Base::Epoch, 0);
        Some(Timestamp { seconds: seconds.saturating_sub_unsigned(UPTIME.as_secs()).max(0), nanoseconds })
    }

    /// The caller has seen that something happened at this time: its own clock must not show an earlier one. A clock that
    /// goes on as the real one is left alone.
    pub fn has_seen(&self, when: Timestamp) {
        let Some(time) = &self.run.time else { return };
        let elapsed = time.elapsed_at(Base::Epoch, when.seconds, when.nanoseconds.into());
        // Most files were there before, and to learn how late it is by now takes a look into the guest's memory.
        if elapsed == 0 {
            return;
        }
        let _ = self.with_time(|_, own| {
            own.reaches(elapsed);
            // What it touches from now on comes after that.
            own.touched = own.touched.max(elapsed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(mode: ClockMode) -> Time {
        Time::new(Clock { start: Timestamp { seconds: 946_684_800, nanoseconds: 5 }, mode })
    }

    #[test]
    fn readings_move_a_logical_clock_on_and_a_frozen_one_not() {
        let step = Duration::from_micros(1);
        for (mode, second) in [(ClockMode::Logical { step }, 1000), (ClockMode::Frozen, 0)] {
            let (time, mut own) = (time(mode), OwnTime::default());
            assert_eq!(time.read(&mut own), Reading { elapsed: 0, used: 0, used_by_children: 0 });
            assert_eq!(time.peek(&mut own), second);
            assert_eq!(time.read(&mut own), Reading { elapsed: second, used: second, used_by_children: 0 });
        }
    }

    #[test]
    fn what_a_clock_shows_and_when_it_shows_it_agree() {
        let time = time(ClockMode::Frozen);
        for base in [Base::Epoch, Base::Boot] {
            for elapsed in [0, 1, 999_999_994, 999_999_995, 1_000_000_000, i64::MAX as u64] {
                let Timestamp { seconds, nanoseconds } = time.shown(base, elapsed);
                assert_eq!(time.elapsed_at(base, seconds, nanoseconds.into()), elapsed, "{base:?}");
            }
        }
        assert_eq!(time.shown(Base::Boot, 0), Timestamp { seconds: 1000, nanoseconds: 0 });
    }

    #[test]
    fn no_time_that_a_guest_names_is_too_much() {
        let time = time(ClockMode::Frozen);
        for seconds in [i64::MIN, -1, 0, 1, i64::MAX] {
            for more in [i64::MIN, -1, 0, 999_999_999, 1_000_000_000, i64::MAX] {
                let valid = seconds >= 0 && (0..1_000_000_000).contains(&more);
                assert_eq!(nanoseconds(seconds, more).is_some(), valid, "{seconds} {more}");
                for base in [Base::Epoch, Base::Boot] {
                    assert!(time.elapsed_at(base, seconds, more) <= i64::MAX as u64);
                }
            }
        }
        assert_eq!(nanoseconds(i64::MAX, 0), Some(i64::MAX as u64));
        let mut own = OwnTime::default();
        own.reaches(u64::MAX);
        let _ = time.read(&mut own);
        assert!(time.shown(Base::Epoch, u64::MAX).seconds > 0);
    }

    #[test]
    fn a_parent_that_has_waited_is_as_late_as_its_child() {
        let step = Duration::from_nanos(10);
        let time = time(ClockMode::Logical { step });
        let mut parent = OwnTime::default();
        time.read(&mut parent);
        let mut child = parent.newborn();
        assert_eq!(time.peek(&mut child), 10);
        child.reaches(5000);
        time.read(&mut child);
        parent.child_ended(7, child.end());
        assert_eq!(time.peek(&mut parent), 10);
        assert_eq!(parent.waited_for(8), 0);
        assert_eq!(parent.waited_for(7), 10);
        assert_eq!(time.read(&mut parent), Reading { elapsed: 5010, used: 10, used_by_children: 10 });
    }
}
