//! Timers. They run in the kernel and in real time; what has expired there has expired for their process. How long one still
//! runs is told by the process's own time.
#![forbid(unsafe_code)]

use super::VirtualClock;
use super::reading::at;
use super::value::{Counts, TIME, TIMES, counts, timespec, timeval};
use super::waiting::Begun;
use crate::Errno;
use crate::capability::{AtEnd, CallStop};
use crate::supervisor::descriptors::TimerInfo;
use crate::supervisor::time::{Armed, Base, Looked, NEVER, Set, Timer, nanoseconds, real};

/// `TIMER_ABSTIME`, `TFD_TIMER_ABSTIME`.
const ABSOLUTE: u64 = 1;
/// How far into `struct itimerspec` the first time stands; before it stands the interval.
const VALUE: u64 = TIME as u64;

/// The least that is left of a timer which is told in these.
const MICROSECOND: u64 = 1000;
/// The result where the address for a timer's old time is a bad one.
const NO_ROOM: i64 = -(libc::EFAULT as i64);
/// `ITIMER_REAL`, which is `alarm`'s.
const ALARM: Timer = Timer::Interval(libc::ITIMER_REAL);

/// When a timer is to expire: so much later, and then in such intervals. `None`: never.
type Setting = Option<(u64, u64)>;

/// Where a call tells how long a timer still runs.
#[derive(Clone, Copy)]
enum Told {
    /// At this address, as `struct itimerspec`; 0: nowhere.
    Nanoseconds(u64),
    /// At this address, as `struct itimerval`; 0: nowhere.
    Microseconds(u64),
    /// By its result, in seconds.
    Result,
}

impl Told {
    /// What the kernel has told of a descriptor: how long it still runs, and its interval.
    fn by_the_kernel(self, stop: &CallStop<'_>) -> Option<(u64, u64)> {
        let Self::Nanoseconds(address @ 1..) = self else { return None };
        let time = |address| at(stop, address).and_then(|(seconds, more)| nanoseconds(seconds, more));
        Some((time(address.wrapping_add(VALUE))?, time(address)?))
    }

    /// The kernel has told it by the real time, since `before`: says the same by the caller's. What has expired has expired
    /// for both.
    fn by_own_time(self, stop: &mut CallStop<'_>, timer: Timer, before: u64) {
        if let Some((left, interval)) = self.by_the_kernel(stop) {
            let looked = Looked { left, interval, before, after: real() };
            let _ = stop.with_time(|_, own| own.sees(timer, looked));
        }
        let left = stop.with_time(|time, own| if time.is_real() { None } else { time.left(own, timer) });
        let Some(left) = left.flatten() else { return };
        let told = match self {
            Self::Result => return stop.set_result(whole_seconds(left, stop.result().unwrap_or(0))),
            Self::Nanoseconds(address) => (address, timespec(left)),
            Self::Microseconds(address) => (address, timeval(left.max(MICROSECOND))),
        };
        let place = told.0.wrapping_add(VALUE);
        if told.0 != 0 && at(stop, place).is_some_and(|left| left != (0, 0)) {
            let _ = stop.write(place, &told.1);
        }
    }
}

/// As `alarm` rounds what is left, where the kernel has found this: 0 is a timer that is not set.
fn whole_seconds(left: u64, found: i64) -> i64 {
    const SECOND: u64 = 1_000_000_000;
    let rounded = left.saturating_add(SECOND / 2) / SECOND;
    if found > 0 { rounded.max(1).cast_signed() } else { found }
}

/// Takes note of a timer, if the kernel takes it, and tells how long it would still have run.
fn armed(stop: &CallStop<'_>, timer: Timer, setting: Setting, told: Told) -> Begun {
    let Some(now) = stop.with_time(|time, own| time.peek(own)) else { return Ok(None) };
    // Before the kernel looks, so that a timer that has expired there has expired here.
    let really = real();
    let set = setting.map(|(length, interval)| {
        let at = now.saturating_add(length);
        Set::ByTime(Armed { at, really: really.saturating_add(length), late: 0, interval })
    });
    Ok(Some(takes(timer, set, told, really)))
}

/// The same, of one that the processor's time runs for.
fn armed_by_use(stop: &CallStop<'_>, timer: Timer, setting: Setting, told: Told) -> Begun {
    let Some(reading) = stop.with_time(|time, own| time.peeked(own)) else { return Ok(None) };
    let set = setting.map(|(length, interval)| {
        let at = reading.used.saturating_add(length);
        Set::ByUse(Armed { at, really: NEVER, late: 0, interval })
    });
    Ok(Some(takes(timer, set, told, real())))
}

/// The kernel takes it, after `before`.
fn takes(timer: Timer, set: Option<Set>, told: Told, before: u64) -> AtEnd {
    AtEnd::new(None, move |stop| {
        match stop.result() {
            Some(0..) => told.by_own_time(stop, timer, before),
            // The new time could be read. That there is no room for the old one the kernel finds when the timer is set.
            Some(NO_ROOM) => {}
            _ => return,
        }
        let set = set.map(|set| match set {
            Set::ByTime(armed) => Set::ByTime(Armed { late: real().saturating_sub(before), ..armed }),
            by_use @ Set::ByUse(_) => by_use,
        });
        let _ = stop.with_time(|_, own| own.arm(timer, set));
    })
}

/// A call that tells how long a timer still runs: a reading of the clock.
fn reads(timer: Timer, told: Told) -> AtEnd {
    let before = real();
    AtEnd::new(None, move |stop| {
        if stop.result() == Some(0) {
            told.by_own_time(stop, timer, before);
            let _ = stop.with_time(|time, own| time.read(own));
        }
    })
}

/// A timer that is set on a clock.
fn set(stop: &mut CallStop<'_>, timer: Timer, clock: Option<i32>) -> Begun {
    let Some(counts) = clock.and_then(counts) else { return Ok(None) };
    let (address, told) = (stop.arg(2), Told::Nanoseconds(stop.arg(3)));
    let Ok(given) = stop.read::<TIMES>(address) else { return Ok(None) };
    let (Some((seconds, fraction)), Some((every, more))) =
        (at(stop, address.wrapping_add(VALUE)), at(stop, address))
    else {
        return Ok(None);
    };
    let (Some(value), Some(interval)) = (nanoseconds(seconds, fraction), nanoseconds(every, more)) else {
        return Ok(None);
    };
    let absolute = stop.arg(1) & ABSOLUTE != 0;
    let Counts::Time(base) = counts else {
        let used = stop.with_time(|time, own| time.peeked(own).used).filter(|_| absolute).unwrap_or(0);
        let setting = (value != 0).then(|| (value.saturating_sub(used), interval));
        return armed_by_use(stop, timer, setting, told);
    };
    if value == 0 {
        return armed(stop, timer, None, told);
    }
    if !absolute {
        return armed(stop, timer, Some((value, interval)), told);
    }
    let length = length_until(stop, base, seconds, fraction);
    let mut setting = given;
    setting[TIME..].copy_from_slice(&timespec(length));
    let lent = stop.lend(&setting)?;
    stop.set_arg(1, stop.arg(1) & !ABSOLUTE);
    stop.set_arg(2, lent);
    armed(stop, timer, Some((length, interval)), told)
}

/// How long it is until a clock shows a time. Not 0, which would stop the timer.
fn length_until(stop: &CallStop<'_>, base: Base, seconds: i64, fraction: i64) -> u64 {
    let length =
        stop.with_time(|time, own| time.elapsed_at(base, seconds, fraction).saturating_sub(time.peek(own)));
    length.unwrap_or(0).max(1)
}

impl VirtualClock {
    pub(super) fn alarm(&self, stop: &mut CallStop<'_>) -> Begun {
        let length = nanoseconds((stop.arg(0) as u32).into(), 0).filter(|length| *length != 0);
        armed(stop, ALARM, length.map(|length| (length, 0)), Told::Result)
    }

    pub(super) fn setitimer(&self, stop: &mut CallStop<'_>) -> Begun {
        let time = |address| {
            let (seconds, micros): (i64, i64) = at(stop, address)?;
            nanoseconds(seconds, micros.checked_mul(1000)?)
        };
        let (timer, address) = (Timer::Interval(stop.arg(0) as i32), stop.arg(1));
        // Without an address the timer is stopped.
        let (value, interval) = match address {
            0 => (Some(0), Some(0)),
            address => (time(address.wrapping_add(VALUE)), time(address)),
        };
        let (Some(value), Some(interval)) = (value, interval) else { return Ok(None) };
        let setting = (value != 0).then_some((value, interval));
        let told = Told::Microseconds(stop.arg(2));
        if timer == ALARM {
            armed(stop, timer, setting, told)
        } else {
            armed_by_use(stop, timer, setting, told)
        }
    }

    pub(super) fn getitimer(&self, stop: &mut CallStop<'_>) -> Begun {
        Ok(Some(reads(Timer::Interval(stop.arg(0) as i32), Told::Microseconds(stop.arg(1)))))
    }

    pub(super) fn timer_create(&self, stop: &mut CallStop<'_>) -> Begun {
        let (clock, told) = (stop.arg(0) as i32, stop.arg(2));
        if stop.with_time(|_, own| own.has_all_timers()) == Some(true) {
            return Err(Errno::EAGAIN);
        }
        Ok(Some(AtEnd::new(None, move |stop| {
            if let (Some(0), Ok(number)) = (stop.result(), stop.read::<4>(told)) {
                let _ = stop.with_time(|_, own| own.made_timer(u32::from_ne_bytes(number), clock));
            }
        })))
    }

    pub(super) fn timer_settime(&self, stop: &mut CallStop<'_>) -> Begun {
        let number = stop.arg(0) as u32;
        let clock = stop.with_time(|_, own| own.timer_clock(number)).flatten();
        set(stop, Timer::Posix(number), clock)
    }

    pub(super) fn timer_gettime(&self, stop: &mut CallStop<'_>) -> Begun {
        Ok(Some(reads(Timer::Posix(stop.arg(0) as u32), Told::Nanoseconds(stop.arg(1)))))
    }

    pub(super) fn timer_delete(&self, stop: &mut CallStop<'_>) -> Begun {
        let number = stop.arg(0) as u32;
        Ok(Some(AtEnd::new(None, move |stop| {
            if stop.result() == Some(0) {
                let _ = stop.with_time(|_, own| own.removed_timer(number));
            }
        })))
    }

    pub(super) fn timerfd_settime(&self, stop: &mut CallStop<'_>) -> Begun {
        let number = stop.arg(0) as u32;
        let before = real();
        let info = TimerInfo::of(stop.tid(), number);
        if let Some(TimerInfo { left, interval, .. }) = info {
            // What the number stood for before may be another timer, that somebody still holds.
            let looked = Looked { left, interval, before, after: real() };
            let _ = stop.with_time(|_, own| own.sees(Timer::Descriptor(number), looked));
        }
        set(stop, Timer::Descriptor(number), info.map(|info| info.clock))
    }

    pub(super) fn timerfd_gettime(&self, stop: &mut CallStop<'_>) -> Begun {
        Ok(Some(reads(Timer::Descriptor(stop.arg(0) as u32), Told::Nanoseconds(stop.arg(1)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_as_alarm_does() {
        for (left, whole) in [(1, 1), (1_499_999_999, 1), (1_500_000_000, 2), (10_000_000_000, 10)] {
            assert_eq!(whole_seconds(left, 9), whole, "{left}");
        }
        assert_eq!(whole_seconds(10_000_000_000, 0), 0);
    }
}
