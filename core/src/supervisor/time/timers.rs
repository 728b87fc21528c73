//! The timers of a process, as its own time knows them. The kernel runs them, in real time: what has expired there has expired
//! for the process, and how much is left of one is told by the process's time alone. It sets none itself.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::{KEPT, NEVER, OwnTime, Reading, Time, real};

/// How many POSIX timers a process may have. The kernel has a limit as well, for all of a user's (`RLIMIT_SIGPENDING`).
const MOST: usize = 1 << 16;

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
    /// In reality, at the earliest.
    pub(crate) really: u64,
    /// How much later than that, at most: it is set between two looks at the real time.
    pub(crate) late: u64,
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
    /// Until when, in reality, a descriptor may be a set timer that is known by no number any more.
    strays_until: u64,
    /// Until when some other timer may be set of which nothing else is known.
    others_until: u64,
}

/// What is known of timers that run in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Running {
    /// None is set.
    Nothing,
    /// None but descriptors that were set once. Who looks may find that none is any more.
    Descriptors,
    /// One is set, or has expired just now.
    Certainly,
}

/// What the kernel says of a timer, and the real time before and after it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looked {
    /// How long it still runs; 0: it doesn't, or has expired and was not asked since.
    pub(crate) left: u64,
    pub(crate) interval: u64,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

impl Armed {
    /// Whether this timer may be the one that the kernel speaks of. What it says is exact, and so are the bounds: another
    /// timer that fits between them would expire at the same time.
    fn is(&self, looked: Looked) -> bool {
        let Looked { left, interval, before, after } = looked;
        if interval != self.interval {
            return false;
        }
        // It is set no later than the kernel can count.
        let real = |time: u64| i128::from(time.min(NEVER));
        let least = real(self.really) - i128::from(after);
        let most = real(self.really.saturating_add(self.late)) - i128::from(before);
        if left == 0 {
            return least <= 0;
        }
        let left = i128::from(left);
        let every = i128::from(interval);
        let has_begun_anew = least <= 0 && 0 < every && left <= every;
        (least..=most).contains(&left) || (has_begun_anew && (left - least).rem_euclid(every) <= most - least)
    }

    /// Until when it runs in reality, at the latest.
    fn until(&self) -> u64 {
        if self.interval == 0 { self.really.saturating_add(self.late) } else { u64::MAX }
    }

    fn has_expired(&self, now: u64) -> bool {
        self.interval == 0 && self.really <= now
    }

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

    /// Those that run in real time.
    fn by_time(&self) -> impl Iterator<Item = (Timer, Armed)> {
        self.set.iter().filter_map(|(timer, set)| match set {
            Set::ByTime(armed) => Some((*timer, *armed)),
            Set::ByUse(_) => None,
        })
    }

    fn descriptors(&self) -> impl Iterator<Item = Armed> {
        self.by_time().filter(|(timer, _)| timer.is_descriptor()).map(|(_, armed)| armed)
    }

    /// One is no longer known, and may still run.
    fn lose(&mut self, at: usize) {
        if let (timer, Set::ByTime(armed)) = self.set.remove(at) {
            let until = if timer.is_descriptor() { &mut self.strays_until } else { &mut self.others_until };
            *until = armed.until().max(*until);
        }
    }
}

impl Timer {
    fn is_descriptor(self) -> bool {
        matches!(self, Self::Descriptor(_))
    }
}

impl Set {
    fn is_by_time(self) -> bool {
        matches!(self, Self::ByTime(_))
    }
}

impl OwnTime {
    /// Sets a timer, or stops it.
    pub(crate) fn arm(&mut self, timer: Timer, set: Option<Set>) {
        let timers = &mut self.timers.set;
        timers.retain(|(known, _)| *known != timer);
        if let Some(set) = set {
            // Each kind has its own room: whatever runs by the processor's time pushes none out that runs in real time.
            let alike = |(_, known): &(Timer, Set)| known.is_by_time() == set.is_by_time();
            if timers.iter().filter(|known| alike(known)).count() >= KEPT
                && let Some(oldest) = timers.iter().position(alike)
            {
                self.timers.lose(oldest);
            }
            self.timers.set.push((timer, set));
        }
    }

    /// The kernel says this of a timer. A descriptor's number may be another timer's by now, or another number may have been
    /// used to set it: it is then known no more.
    pub(crate) fn sees(&mut self, timer: Timer, looked: Looked) {
        let other = |(known, set): &(Timer, Set)| {
            *known == timer && matches!(set, Set::ByTime(armed) if timer.is_descriptor() && !armed.is(looked))
        };
        if let Some(at) = self.timers.set.iter().position(other) {
            self.timers.lose(at);
        }
    }

    /// It has made a POSIX timer with this number, on this clock.
    pub(crate) fn made_timer(&mut self, number: u32, clock: i32) {
        self.timers.clocks.insert(number, clock);
    }

    /// Whether it has as many POSIX timers as can be known.
    pub(crate) fn has_all_timers(&self) -> bool {
        self.timers.clocks.len() >= MOST
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

    /// Which of its timers will still expire, or have done so just now.
    pub(in crate::supervisor) fn running(&mut self) -> Running {
        self.expire();
        let now = real();
        let certain = |(timer, armed): (Timer, Armed)| !timer.is_descriptor() || armed.has_expired(now);
        if self.timers.others_until > now || self.timers.by_time().any(certain) {
            Running::Certainly
        } else if self.timers.strays_until > now || self.has_timer_descriptors() {
            Running::Descriptors
        } else {
            Running::Nothing
        }
    }

    /// Whether one of them is a descriptor.
    pub(in crate::supervisor) fn has_timer_descriptors(&self) -> bool {
        self.timers.descriptors().next().is_some()
    }

    /// Until when, in reality, one of its descriptors may be a timer that is set, whoever else holds it.
    pub(in crate::supervisor) fn descriptors_run_until(&self) -> u64 {
        let descriptors = self.timers.descriptors().map(|armed| armed.until());
        descriptors.fold(self.timers.strays_until, u64::max)
    }

    /// None of its descriptors is a timer any more that is set. What has expired just now is still told of.
    pub(in crate::supervisor) fn forget_timer_descriptors(&mut self) {
        self.expire();
        let now = real();
        self.timers.strays_until = 0;
        self.timers.set.retain(|(timer, set)| {
            let expired = matches!(set, Set::ByTime(armed) if armed.has_expired(now));
            expired || !timer.is_descriptor()
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
        Some(Set::ByTime(Armed { at, really, late: 0, interval }))
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
        assert_eq!(own.running(), Running::Certainly);
        assert_eq!(time.peek(&mut own), 50);
        own.arm(Timer::Posix(0), None);
        assert_eq!(own.running(), Running::Nothing);
        own.arm(Timer::Descriptor(3), armed(60, 1, 1));
        assert!(time.peek(&mut own) > 1_000_000);
        assert_eq!(own.running(), Running::Descriptors);
    }

    #[test]
    fn what_is_left_of_a_timer_is_told_by_the_processs_time() {
        let time = time();
        let mut own = OwnTime::default();
        assert_eq!(time.left(&mut own, ALARM), None);
        own.arm(ALARM, armed(50, u64::MAX, 0));
        own.arm(Timer::Descriptor(3), armed(50, u64::MAX, 30));
        own.arm(Timer::Posix(0), Some(Set::ByUse(Armed { at: 7, really: 0, late: 0, interval: 0 })));
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
        own.arm(Timer::Posix(0), Some(Set::ByUse(Armed { at: 7, really: 0, late: 0, interval: 0 })));
        assert_eq!(own.running(), Running::Nothing);
        own.arm(ALARM, armed(50, u64::MAX, 0));
        own.arm(Timer::Descriptor(3), armed(50, 1, 30));
        own.arm(Timer::Descriptor(4), armed(50, u64::MAX, 0));
        own.arm(Timer::Descriptor(5), armed(50, real(), 0));
        own.forget_timer_descriptors();
        let left: Vec<_> = own.timers.set.iter().map(|(timer, _)| *timer).collect();
        assert_eq!(left, [Timer::Posix(0), ALARM, Timer::Descriptor(5)]);
        assert!(own.has_timer_descriptors());
    }

    const KNOWN: Timer = Timer::Descriptor(3);

    #[test]
    fn a_descriptor_is_the_timer_that_was_set_if_the_kernel_says_the_same_of_it() {
        let once = Armed { at: 0, really: 1000, late: 5, interval: 0 };
        let every = Armed { interval: 100, ..once };
        let last = Armed { really: u64::MAX, ..once };
        for (armed, left, interval, now, same) in [
            (once, 903, 0, 100, true),
            (once, 900, 0, 100, true),
            (once, 905, 0, 100, true),
            (once, 899, 0, 100, false),
            (once, 906, 0, 100, false),
            (once, 903, 100, 100, false),
            (once, 0, 0, 999, false),
            (once, 0, 0, 1000, true),
            (once, 7, 0, 2000, false),
            (every, 903, 100, 100, true),
            (every, 903, 0, 100, false),
            // Not yet: it can't have begun anew.
            (every, 3, 100, 100, false),
            (every, 53, 100, 1050, true),
            (every, 100, 100, 1100, true),
            (every, 4, 100, 1200, true),
            (every, 20, 100, 1200, false),
            (every, 104, 100, 1200, false),
            (every, 0, 100, 1200, true),
            (last, NEVER - 100, 0, 100, true),
            (last, NEVER, 0, 100, false),
        ] {
            let looked = Looked { left, interval, before: now, after: now };
            assert_eq!(armed.is(looked), same, "{armed:?} {looked:?}");
        }
        assert!(once.is(Looked { left: 880, interval: 0, before: 100, after: 120 }));
    }

    #[test]
    fn another_timer_behind_a_number_is_not_told_of_and_what_it_was_before_may_still_run() {
        let time = time();
        let mut own = OwnTime::default();
        let now = real();
        own.arm(KNOWN, armed(50, now + 9_000_000_000, 0));
        let looked = Looked { left: 8_000_000_000, interval: 0, before: now, after: now };
        own.sees(KNOWN, Looked { left: 9_000_000_000, ..looked });
        assert_eq!(time.left(&mut own, KNOWN), Some(50));
        own.sees(KNOWN, looked);
        assert_eq!((time.left(&mut own, KNOWN), own.running()), (None, Running::Descriptors));
        assert_eq!(own.descriptors_run_until(), now + 9_000_000_000);
        own.forget_timer_descriptors();
        assert_eq!(own.running(), Running::Nothing);
        // Nobody else has these numbers.
        own.arm(ALARM, armed(50, now + 9_000_000_000, 0));
        own.sees(ALARM, looked);
        assert_eq!(time.left(&mut own, ALARM), Some(50));
    }

    #[test]
    fn timers_of_the_processors_time_push_none_out_that_runs_in_real_time() {
        let by_use = Some(Set::ByUse(Armed { at: 7, really: NEVER, late: 0, interval: 0 }));
        let in_an_hour = real() + 3_600_000_000_000;
        let mut own = OwnTime::default();
        own.arm(ALARM, armed(50, in_an_hour, 0));
        let many = || (0..=KEPT).filter_map(|number| u32::try_from(number).ok());
        many().for_each(|number| own.arm(Timer::Posix(number), by_use));
        assert_eq!(own.running(), Running::Certainly);
        own.arm(ALARM, None);
        assert_eq!(own.running(), Running::Nothing);
        // Of more than can be kept it is known that they run.
        many().for_each(|number| own.arm(Timer::Descriptor(number), armed(50, in_an_hour, 0)));
        many().for_each(|number| own.arm(Timer::Descriptor(number), None));
        assert_eq!(own.running(), Running::Descriptors);
        many().for_each(|number| own.arm(Timer::Posix(number), armed(50, in_an_hour, 0)));
        many().for_each(|number| own.removed_timer(number));
        assert_eq!(own.running(), Running::Certainly);
    }
}
