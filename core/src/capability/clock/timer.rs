//! Timers. They run in the kernel and in real time; what has expired there has expired for their process.
#![forbid(unsafe_code)]

use super::VirtualClock;
use super::reading::at;
use super::value::{Counts, TIME, TIMES, counts, timespec};
use super::waiting::Begun;
use crate::capability::{AtEnd, CallStop};
use crate::supervisor::time::{Armed, Base, Timer, nanoseconds, real};

/// `TIMER_ABSTIME`, `TFD_TIMER_ABSTIME`.
const ABSOLUTE: u64 = 1;
/// How far into `struct itimerspec` the first time stands; before it stands the interval.
const VALUE: u64 = TIME as u64;

/// When a timer is to expire: so much later, and then in such intervals. `None`: never.
type Setting = Option<(u64, u64)>;

/// Takes note of a timer, if the kernel takes it.
fn armed(stop: &CallStop<'_>, timer: Timer, setting: Setting) -> Begun {
    let Some(now) = stop.with_time(|time, own| time.peek(own)) else { return Ok(None) };
    // Before the kernel looks, so that a timer that has expired there has expired here.
    let really = real();
    let armed = setting.map(|(length, interval)| Armed {
        at: now.saturating_add(length),
        really: really.saturating_add(length),
        interval,
    });
    Ok(Some(AtEnd::new(None, move |stop| {
        if stop.result().is_some_and(|result| result >= 0) {
            let _ = stop.with_time(|_, own| own.arm(timer, armed));
        }
    })))
}

/// A timer that is set on a clock.
fn set(stop: &mut CallStop<'_>, timer: Timer, clock: Option<i32>) -> Begun {
    let Some(Counts::Time(base)) = clock.and_then(counts) else { return Ok(None) };
    let address = stop.arg(2);
    let Ok(given) = stop.read::<TIMES>(address) else { return Ok(None) };
    let (Some((seconds, fraction)), Some((every, more))) =
        (at(stop, address.wrapping_add(VALUE)), at(stop, address))
    else {
        return Ok(None);
    };
    let (Some(value), Some(interval)) = (nanoseconds(seconds, fraction), nanoseconds(every, more)) else {
        return Ok(None);
    };
    if value == 0 {
        return armed(stop, timer, None);
    }
    if stop.arg(1) & ABSOLUTE == 0 {
        return armed(stop, timer, Some((value, interval)));
    }
    let length = length_until(stop, base, seconds, fraction);
    let mut setting = given;
    setting[TIME..].copy_from_slice(&timespec(length));
    let lent = stop.lend(&setting)?;
    stop.set_arg(1, stop.arg(1) & !ABSOLUTE);
    stop.set_arg(2, lent);
    armed(stop, timer, Some((length, interval)))
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
        armed(stop, Timer::Interval, length.map(|length| (length, 0)))
    }

    pub(super) fn setitimer(&self, stop: &mut CallStop<'_>) -> Begun {
        let time = |address| {
            let (seconds, micros): (i64, i64) = at(stop, address)?;
            nanoseconds(seconds, micros.checked_mul(1000)?)
        };
        let address = stop.arg(1);
        // Without an address the timer is stopped.
        if address == 0 {
            return armed(stop, Timer::Interval, None);
        }
        let (Some(value), Some(interval)) = (time(address.wrapping_add(VALUE)), time(address)) else {
            return Ok(None);
        };
        armed(stop, Timer::Interval, (value != 0).then_some((value, interval)))
    }

    pub(super) fn timer_create(&self, stop: &mut CallStop<'_>) -> Begun {
        let (clock, told) = (stop.arg(0) as i32, stop.arg(2));
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
        let clock = clock_of_descriptor(stop.tid(), number);
        set(stop, Timer::Descriptor(number), clock)
    }
}

/// The clock of a timer that is a descriptor (`man 5 proc_pid_fdinfo`).
fn clock_of_descriptor(tid: u32, number: u32) -> Option<i32> {
    let info = std::fs::read_to_string(format!("/proc/{tid}/fdinfo/{number}")).ok()?;
    info.lines().find_map(|line| line.strip_prefix("clockid:"))?.trim().parse().ok()
}
