//! Every way to read the clock: all of them show the same time.
#![forbid(unsafe_code)]

use super::VirtualClock;
use super::value::{Counts, TICK, bytes, counts, rusage, timespec, words};
use crate::capability::{Answer, Call};
use crate::policy::Timestamp;
use crate::supervisor::time::{Base, Reading, UPTIME};
use crate::{Errno, NotifAction};

/// How fine a coarse clock is, on a kernel with 250 ticks a second. (Here they are as fine as the others.)
const COARSE: u64 = 4_000_000;

/// Writes a result, if there is an address to write it to.
fn put(call: &Call, address: u64, bytes: &[u8]) -> Result<(), Answer> {
    if address == 0 { Ok(()) } else { call.write(address, bytes).map_err(Answer::errno) }
}

fn zero_or(failed: Result<(), Answer>) -> Answer {
    match failed {
        Ok(()) => Answer::Done(NotifAction::ReturnValue(0)),
        Err(answer) => answer,
    }
}

/// A reading of the caller's clocks, and what `base` then shows.
fn read(call: &Call, base: Base) -> Result<(Reading, Timestamp), Answer> {
    let read = call.with_time(|time, own| {
        let reading = time.read(own);
        (reading, time.shown(base, reading.elapsed))
    });
    read.ok_or_else(|| Answer::errno(Errno::EIO))
}

#[allow(clippy::needless_pass_by_ref_mut)] // the shape of every handler
impl VirtualClock {
    pub(super) fn clock_gettime(&self, call: &mut Call) -> Answer {
        let Some(counts) = counts(call.arg(0) as i32) else { return Answer::errno(Errno::EINVAL) };
        if self.is_real() && !matches!(counts, Counts::Time(_)) {
            return Answer::Pass;
        }
        let base = if let Counts::Time(base) = counts { base } else { Base::Boot };
        let (reading, shown) = match read(call, base) {
            Ok(read) => read,
            Err(answer) => return answer,
        };
        let shown = match counts {
            Counts::Time(_) => bytes(shown.seconds, shown.nanoseconds.into()),
            Counts::OwnUse => timespec(reading.used),
            Counts::UseOf(number) => match call.used_by(number) {
                Some(used) => timespec(used),
                None => return Answer::errno(Errno::EINVAL),
            },
        };
        zero_or(call.write(call.arg(1), &shown).map_err(Answer::errno))
    }

    pub(super) fn gettimeofday(&self, call: &mut Call) -> Answer {
        let shown = match read(call, Base::Epoch) {
            Ok((_, shown)) => bytes(shown.seconds, i64::from(shown.nanoseconds / 1000)),
            Err(answer) => return answer,
        };
        // The kernel's time zone is Greenwich, and no daylight is saved.
        zero_or(put(call, call.arg(0), &shown).and_then(|()| put(call, call.arg(1), &[0; 8])))
    }

    pub(super) fn time(&self, call: &mut Call) -> Answer {
        let seconds = match read(call, Base::Epoch) {
            Ok((_, shown)) => shown.seconds,
            Err(answer) => return answer,
        };
        match put(call, call.arg(0), &seconds.to_ne_bytes()) {
            Ok(()) => Answer::Done(NotifAction::ReturnValue(seconds)),
            Err(answer) => answer,
        }
    }

    pub(super) fn clock_getres(&self, call: &mut Call) -> Answer {
        let clock = call.arg(0) as i32;
        let resolution = match (clock, counts(clock)) {
            (_, None) => return Answer::errno(Errno::EINVAL),
            (libc::CLOCK_REALTIME_COARSE | libc::CLOCK_MONOTONIC_COARSE, _) => COARSE,
            (_, Some(Counts::UseOf(number))) if call.used_by(number).is_none() => {
                return Answer::errno(Errno::EINVAL);
            }
            _ => 1,
        };
        zero_or(put(call, call.arg(1), &timespec(resolution)))
    }

    /// Ticks of the processor's time, and since the machine's start.
    pub(super) fn times(&self, call: &mut Call) -> Answer {
        let (reading, shown) = match read(call, Base::Boot) {
            Ok(read) => read,
            Err(answer) => return answer,
        };
        let ticks = if self.is_real() {
            match real_ticks(call) {
                Ok(ticks) => ticks,
                Err(errno) => return Answer::errno(errno),
            }
        } else {
            [reading.used / TICK, 0, reading.used_by_children / TICK, 0]
        };
        let tms: Vec<u8> = ticks.iter().flat_map(|ticks| ticks.to_ne_bytes()).collect();
        let since_start =
            shown.seconds.saturating_mul(100) + i64::from(shown.nanoseconds) / TICK.cast_signed();
        match put(call, call.arg(0), &tms) {
            Ok(()) => Answer::Done(NotifAction::ReturnValue(since_start)),
            Err(answer) => answer,
        }
    }

    pub(super) fn getrusage(&self, call: &mut Call) -> Answer {
        let reading = match read(call, Base::Boot) {
            Ok((reading, _)) => reading,
            Err(answer) => return answer,
        };
        let used = match call.arg(0) as i32 {
            libc::RUSAGE_SELF | libc::RUSAGE_THREAD => reading.used,
            libc::RUSAGE_CHILDREN => reading.used_by_children,
            _ => return Answer::errno(Errno::EINVAL),
        };
        zero_or(call.write(call.arg(1), &rusage(used)).map_err(Answer::errno))
    }

    /// `/proc/uptime`: how long the machine has been up, and how long its one processor has been idle: since then.
    pub(super) fn uptime(&self, call: &mut Call) -> Answer {
        match read(call, Base::Boot) {
            Ok((_, shown)) => {
                let hundredths = u64::from(shown.nanoseconds) / TICK;
                let idle = UPTIME.as_secs();
                call.answer_with_content(format!("{}.{hundredths:02} {idle}.00\n", shown.seconds).as_bytes())
            }
            Err(answer) => answer,
        }
    }
}

/// What the kernel counts for the caller: of itself in user and kernel mode, and of its children.
fn real_ticks(call: &mut Call) -> Result<[u64; 4], Errno> {
    let process = call.guest()?.tgid;
    let stat = call.errand(move || std::fs::read(format!("/proc/{process}/stat")))?;
    stat.map(|stat| super::process::ticks(&stat)).map_err(|error| Errno::of(&error))
}

/// A time of the guest.
pub(super) fn at(stop: &crate::capability::CallStop<'_>, address: u64) -> Option<(i64, i64)> {
    stop.read::<{ super::value::TIME }>(address).ok().map(|bytes| words(&bytes))
}
