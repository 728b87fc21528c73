//! The timers of a process, as its own time knows them. The kernel runs them, in real time: what has expired there has expired
//! for the process, and how much is left of one is told by the process's time alone. It sets none itself.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::{KEPT, OwnTime, Reading, Time, real};

/// A timer of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// One of `setitimer`'s, by its number; `ITIMER_REAL` is also `alarm`'s.
    Interval(i32),
    /// A POSIX timer, by its number.
    Posix(u32),
    /// A descriptor.
    Descriptor(u32),
}

/// When a timer expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Armed {
    /// In the process's time, or in the processor's time that it has taken.
    pub(crate) at: u64,
    /// In reality.
    pub(crate) really: u64,
    /// How long after it the next time; 0: never again.
    pub(crate) interval: u64,
}

/// How a timer was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// It runs as time does.
    ByTime(Armed),
    /// It runs as the processor's time does: when it really expires, no virtual time says.
    ByUse(Armed),
}

/// The timers of one process.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: Vec<(Timer, Set)>,
    /// The clocks of its POSIX timers.
    clocks: HashMap<u32, i32>,
}

impl Armed {
    /// How long it is until it expires next, if it now is `now`: no less than 1, as the kernel would have it.
    fn left(&self, now: u64) -> u64 {
        let left = match now.saturating_sub(self.at).checked_rem(self.interval) {
            Some(since) if now >= self.at => self.interval - since,
            _ => self.at.saturating_sub(now),
        };
        left.max(1)
    }
}

impl Timers {
    /// Whether there is one that moves the process's time on.
    pub(super) fn run_in_real_time(&self) -> bool {
        self.set.iter().any(|(_, set)| matches!(set, Set::ByTime(_)))
    }

    /// The process runs another program: POSIX timers are gone.
    pub(super) fn executed(&mut self) {
        self.set.retain(|(timer, _)| !matches!(timer, Timer::Posix(_)));
        self.clocks.clear();
    }

    fn descriptors(&self) -> impl Iterator<Item = &(Timer, Set)> {
        self.set.iter().filter(|(timer, _)| matches!(timer, Timer::Descriptor(_)))
    }
}

impl OwnTime {
    /// Sets a timer, or stops it.
    pub(crate) fn arm(&mut self, timer: Timer, set: Option<Set>) {
        let timers = &mut self.timers.set;
        timers.retain(|(known, _)| *known != timer);
        if let Some(set) = set {
            if timers.len() >= KEPT {
                timers.remove(0);
            }
            timers.push((timer, set));
        }
    }

    /// It has made a POSIX timer with this number, on this clock.
    pub(crate) fn made_timer(&mut self, number: u32, clock: i32) {
        if self.timers.clocks.len() < KEPT {
            self.timers.clocks.insert(number, clock);
        }
    }

    /// It has removed a POSIX timer.
    pub(crate) fn removed_timer(&mut self, number: u32) {
        self.arm(Timer::Posix(number), None);
        self.timers.clocks.remove(&number);
    }

    /// The clock of a POSIX timer.
    pub(crate) fn timer_clock(&self, number: u32) -> Option<i32> {
        self.timers.clocks.get(&number).copied()
    }

    /// Whether some timer will still expire, or has done so just now.
    pub(crate) fn has_timers(&mut self) -> bool {
        self.expire();
        self.timers.run_in_real_time()
    }

    /// Whether one of them is a descriptor.
    pub(crate) fn has_timer_descriptors(&self) -> bool {
        self.timers.descriptors().next().is_some()
    }

    /// None of its descriptors is a timer any more that is set. What has expired just now is still told of.
    pub(crate) fn forget_timer_descriptors(&mut self) {
        self.expire();
        let now = real();
        self.timers.set.retain(|(timer, set)| {
            let expired = matches!(set, Set::ByTime(armed) if armed.interval == 0 && armed.really <= now);
            expired || !matches!(timer, Timer::Descriptor(_))
        });
    }

    /// What has expired in reality has expired for the process. It is kept a little longer: the kernel may take its time to
    /// tell of it.
    pub(super) fn expire(&mut self) {
        const TOLD: u64 = 100_000_000;
        if self.timers.set.is_empty() {
            return;
        }
        let now = real();
        let mut reached = self.elapsed;
        self.timers.set.retain(|(_, set)| {
            let Set::ByTime(armed) = set else { return true };
            let Some(late) = now.checked_sub(armed.really) else { return true };
            let turns = late.checked_div(armed.interval).unwrap_or(0);
            reached = reached.max(armed.at.saturating_add(turns.saturating_mul(armed.interval)));
            armed.interval != 0 || late < TOLD
        });
        self.elapsed = reached;
    }
}

impl Time {
    /// How long it is until a timer expires that is set; `None`: nobody has seen it set. Moves no clock on.
    pub(crate) fn left(&self, own: &mut OwnTime, timer: Timer) -> Option<u64> {
        let Reading { elapsed, used, .. } = self.peeked(own);
        let (_, set) = own.timers.set.iter().find(|(known, _)| *known == timer)?;
        Some(match set {
            Set::ByTime(armed) => armed.left(elapsed),
            Set::ByUse(armed) => armed.left(used),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Clock, ClockMode, Timestamp};

    const ALARM: Timer = Timer::Interval(libc::ITIMER_REAL);

    fn time() -> Time {
        Time::new(Clock {
            start: Timestamp { seconds: 946_684_800, nanoseconds: 5 },
            mode: ClockMode::Frozen,
        })
    }

    fn armed(at: u64, really: u64, interval: u64) -> Option<Set> {
        Some(Set::ByTime(Armed { at, really, interval }))
    }

    #[test]
    fn who_was_ended_by_its_timer_has_come_as_far_as_that() {
        let mut child = OwnTime::default();
        let long_ago = real().saturating_sub(1_000_000_000);
        child.arm(ALARM, armed(70, long_ago, 0));
        let mut parent = OwnTime::default();
        parent.child_ended(3, child.end());
        parent.waited_for(3);
        assert_eq!(time().peek(&mut parent), 70);
    }

    #[test]
    fn a_timer_that_has_really_expired_has_expired() {
        let time = time();
        let mut own = OwnTime::default();
        own.arm(ALARM, armed(50, 0, 0));
        own.arm(Timer::Posix(0), armed(1000, u64::MAX, 0));
        assert!(own.has_timers());
        assert_eq!(time.peek(&mut own), 50);
        own.arm(Timer::Posix(0), None);
        assert!(!own.has_timers());
        own.arm(Timer::Descriptor(3), armed(60, 1, 1));
        assert!(time.peek(&mut own) > 1_000_000 && own.has_timers());
    }

    #[test]
    fn what_is_left_of_a_timer_is_told_by_the_processs_time() {
        let time = time();
        let mut own = OwnTime::default();
        assert_eq!(time.left(&mut own, ALARM), None);
        own.arm(ALARM, armed(50, u64::MAX, 0));
        own.arm(Timer::Descriptor(3), armed(50, u64::MAX, 30));
        own.arm(Timer::Posix(0), Some(Set::ByUse(Armed { at: 7, really: 0, interval: 0 })));
        for (elapsed, once, every) in
            [(0, 50, 50), (49, 1, 1), (50, 1, 30), (79, 1, 1), (80, 1, 30), (81, 1, 29)]
        {
            own.reaches(elapsed);
            assert_eq!(time.left(&mut own, ALARM), Some(once), "{elapsed}");
            assert_eq!(time.left(&mut own, Timer::Descriptor(3)), Some(every), "{elapsed}");
            assert_eq!(time.left(&mut own, Timer::Posix(0)), Some(7), "{elapsed}");
        }
        own.executed();
        assert_eq!(time.left(&mut own, Timer::Posix(0)), None);
    }

    #[test]
    fn descriptors_that_are_gone_are_forgotten_and_nothing_else() {
        let mut own = OwnTime::default();
        own.arm(Timer::Posix(0), Some(Set::ByUse(Armed { at: 7, really: 0, interval: 0 })));
        assert!(!own.has_timers());
        own.arm(ALARM, armed(50, u64::MAX, 0));
        own.arm(Timer::Descriptor(3), armed(50, 1, 30));
        own.arm(Timer::Descriptor(4), armed(50, u64::MAX, 0));
        own.arm(Timer::Descriptor(5), armed(50, real(), 0));
        own.forget_timer_descriptors();
        let left: Vec<_> = own.timers.set.iter().map(|(timer, _)| *timer).collect();
        assert_eq!(left, [Timer::Posix(0), ALARM, Timer::Descriptor(5)]);
        assert!(own.has_timer_descriptors());
    }
}
