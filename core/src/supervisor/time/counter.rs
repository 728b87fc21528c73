//! The words in a guest's memory by which it reads its clock without a call: what it has counted is taken from there
//! before its time is used, and what its time has gained otherwise is written there afterwards.
//!
//! A guest may write there as well, whatever it likes. Its own time is then what it says, and never runs backwards for
//! anybody else; words that can't be these are left alone. It reads and writes nothing but these words.
#![forbid(unsafe_code)]

use super::{NEVER, OwnTime, SECOND, Time};
use crate::policy::ClockMode;
use crate::sys::memory;
use crate::sys::reader::{Fixed, LIMIT, Origin, Words};

/// The words of one process. Processes that share their memory share these, as threads do.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    address: u64,
    fixed: Fixed,
    /// How much of what was counted the process's use of the processor has in it.
    taken: u64,
    /// The words as they were when they were taken; `None`: they could not be.
    found: Option<Words>,
    /// Each reading is to be a call, for this process's sake.
    held: bool,
}

impl Counter {
    /// The words, if they stand there.
    fn look(&self, tid: u32) -> Option<Words> {
        let mut bytes = [0; Words::SIZE];
        let whole = memory::read(tid, self.address, &mut bytes) == Ok(Words::SIZE);
        // A program that was executed meanwhile has something else there.
        let words = whole.then(|| Words::from_bytes(&bytes));
        words.filter(|words| words.fixed == self.fixed)
    }
}

/// Whether time can be counted inside of a guest up to here.
fn is_countable(elapsed: u64) -> bool {
    elapsed < LIMIT
}

impl Time {
    /// The words that never change; `None`: such a clock can't be read inside of a guest.
    pub(in crate::supervisor) fn fixed(&self) -> Option<Fixed> {
        let step = match self.clock.mode {
            ClockMode::Frozen => 0,
            ClockMode::Logical { step } => {
                u64::try_from(step.as_nanos()).ok().filter(|step| *step < LIMIT)?
            }
            ClockMode::Offset => return None,
        };
        let origin = |base| {
            let whole = self.origin(base);
            // What is shown at the latest must have a number, too.
            i64::try_from(whole.div_euclid(SECOND) + i128::from(NEVER) / SECOND * 2).ok()?;
            Some(Origin {
                seconds: i64::try_from(whole.div_euclid(SECOND)).ok()?,
                nanoseconds: u64::try_from(whole.rem_euclid(SECOND)).ok()?,
            })
        };
        Some(Fixed { step, origins: [origin(super::Base::Epoch)?, origin(super::Base::Boot)?] })
    }
}

impl OwnTime {
    /// From here on the process reads by words at this address, which are these at first.
    pub(in crate::supervisor) fn counts_at(&mut self, address: u64, fixed: Fixed) -> Words {
        let held = self.is_held(0, self.elapsed);
        let mirror = if held { !self.elapsed } else { self.elapsed };
        let words = Words { counter: 0, offset: self.elapsed, mirror, fixed };
        self.counter = Some(Counter { address, fixed, taken: 0, found: None, held });
        words
    }

    /// There is no room for such words.
    pub(in crate::supervisor) fn counts_no_more(&mut self) {
        self.counter = None;
    }

    /// It has the words of its parent, as they are at its birth.
    pub(in crate::supervisor) fn is_born(&mut self, tid: u32) {
        let Some(counter) = &mut self.counter else { return };
        let words = counter.look(tid);
        if let Some(words) = words {
            counter.taken = words.counter;
        }
        counter.held = false;
        self.takes(words);
        self.give(tid);
    }

    /// Works with it as it is now, whatever the process has counted. `tid` is one of its threads.
    pub(in crate::supervisor) fn brought_up<T>(&mut self, tid: u32, work: impl FnOnce(&mut Self) -> T) -> T {
        self.take(tid);
        self.kept_up(tid, work)
    }

    /// Works with it as it was when it was taken last.
    pub(in crate::supervisor) fn kept_up<T>(&mut self, tid: u32, work: impl FnOnce(&mut Self) -> T) -> T {
        let done = work(self);
        self.give(tid);
        done
    }

    /// Takes what the process has counted. `tid` is one of its threads.
    pub(in crate::supervisor) fn take(&mut self, tid: u32) {
        let words = self.counter.as_ref().and_then(|counter| counter.look(tid));
        self.takes(words);
    }

    fn takes(&mut self, words: Option<Words>) {
        let Some(counter) = &mut self.counter else { return };
        counter.found = words;
        let Some(words) = words else { return };
        self.used = self.used.saturating_add(words.counter.saturating_sub(counter.taken));
        counter.taken = counter.taken.max(words.counter);
        self.elapsed = self.elapsed.max(words.counter.saturating_add(words.offset).min(NEVER));
    }

    /// Writes what its time has gained since it was taken.
    fn give(&mut self, tid: u32) {
        let Some(Counter { address, found: Some(found), held: was_held, .. }) = self.counter else { return };
        // Other threads may count meanwhile: the sum is then more, never less.
        let offset = self.elapsed.saturating_sub(found.counter).max(found.offset);
        let held = self.is_held(found.counter, offset);
        // Who shares the memory may have a reason of his own.
        let stays_held = found.offset != found.mirror && !was_held;
        let mirror = if held || stays_held { !offset } else { offset };
        if (offset, mirror) != (found.offset, found.mirror) {
            let bytes = [offset.to_ne_bytes(), mirror.to_ne_bytes()].concat();
            // Who has died meanwhile reads no clock any more.
            let _ = memory::write(tid, address.wrapping_add(Words::WRITTEN), &bytes);
        }
        if let Some(counter) = &mut self.counter {
            counter.held = held;
            counter.found = Some(Words { offset, mirror, ..found });
        }
    }

    /// Whether each reading is to be a call: a timer moves the clock on in real time.
    fn is_held(&self, counted: u64, offset: u64) -> bool {
        self.timers.run_in_real_time() || !is_countable(counted) || !is_countable(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Armed, Set, Timer};
    use super::*;
    use crate::policy::{Clock, Timestamp};

    /// The words of a guest that is this very thread.
    struct Guest {
        own: OwnTime,
        words: Box<[u8; Words::SIZE]>,
        tid: u32,
    }

    impl Guest {
        fn new(elapsed: u64) -> Self {
            let words = Box::new([0; Words::SIZE]);
            let mut guest = Self { own: OwnTime::default(), words, tid: std::process::id() };
            guest.own.reaches(elapsed);
            let fixed = time(Timestamp { seconds: -5, nanoseconds: 7 }).fixed().unwrap();
            let address = guest.words.as_ptr() as u64;
            *guest.words = guest.own.counts_at(address, fixed).to_bytes();
            guest
        }

        fn words(&self) -> Words {
            Words::from_bytes(&self.words)
        }

        /// It has read: its clock has gone on by so much.
        fn counts(&mut self, counted: u64) {
            let words = self.words();
            *self.words = Words { counter: words.counter.wrapping_add(counted), ..words }.to_bytes();
        }

        fn works(&mut self, work: impl FnOnce(&mut OwnTime)) -> (u64, u64) {
            self.own.brought_up(self.tid, work);
            let words = self.words();
            (words.counter.wrapping_add(words.offset), self.own.elapsed)
        }

        fn is_held(&self) -> bool {
            self.words().offset != self.words().mirror
        }
    }

    fn time(start: Timestamp) -> Time {
        let step = std::time::Duration::from_micros(1);
        Time::new(Clock { start, mode: ClockMode::Logical { step } })
    }

    #[test]
    fn words_lie_in_memory_as_they_are_read() {
        let fixed = time(Timestamp { seconds: -5, nanoseconds: 7 }).fixed().unwrap();
        assert_eq!(fixed.step, 1000);
        assert_eq!(fixed.origins[0], Origin { seconds: -5, nanoseconds: 7 });
        assert_eq!(fixed.origins[1], Origin { seconds: 1000, nanoseconds: 0 });
        let words = Words { counter: 1, offset: 2, mirror: 3, fixed };
        assert_eq!(Words::from_bytes(&words.to_bytes()), words);
        assert_eq!(time(Timestamp { seconds: i64::MAX, nanoseconds: 0 }).fixed(), None);
    }

    #[test]
    fn what_a_guest_counts_and_what_its_time_gains_come_together() {
        let mut guest = Guest::new(50);
        assert_eq!(guest.works(|_| ()), (50, 50));
        guest.counts(3000);
        assert_eq!(guest.works(|own| assert_eq!((own.elapsed, own.used), (3050, 3000))), (3050, 3050));
        assert_eq!(guest.works(|own| own.reaches(10_000)), (10_000, 10_000));
        guest.counts(1000);
        assert_eq!(guest.works(|own| own.reaches(10_500)), (11_000, 11_000));
        assert_eq!(guest.own.used, 4000);
    }

    #[test]
    fn a_child_goes_on_from_its_parents_count_and_has_used_nothing() {
        let mut guest = Guest::new(0);
        guest.counts(2000);
        let mut child = guest.own.newborn();
        child.is_born(guest.tid);
        assert_eq!((child.elapsed, child.used), (2000, 0));
        guest.counts(1000);
        child.take(guest.tid);
        assert_eq!((child.elapsed, child.used), (3000, 1000));
    }

    #[test]
    fn a_reading_is_a_call_while_a_timer_is_set_or_the_count_is_full() {
        let mut guest = Guest::new(0);
        let armed = Set::ByTime(Armed { at: 1000, really: u64::MAX, late: 0, interval: 0 });
        guest.works(|own| own.arm(Timer::Interval(0), Some(armed)));
        assert!(guest.is_held());
        // The same holds of the next program.
        guest.own.executed();
        let fixed = time(Timestamp { seconds: 0, nanoseconds: 0 }).fixed().unwrap();
        let words = guest.own.counts_at(0, fixed);
        assert_ne!(words.offset, words.mirror);
        let mut guest = Guest::new(0);
        guest.works(|own| own.arm(Timer::Interval(0), Some(armed)));
        guest.works(|own| own.arm(Timer::Interval(0), None));
        assert!(!guest.is_held());
        guest.works(|own| own.reaches(LIMIT));
        assert!(guest.is_held());
    }

    #[test]
    fn whatever_lies_there_time_does_not_run_backwards() {
        for word in [0, 1, 1 << 61, LIMIT, u64::MAX >> 1, u64::MAX] {
            let mut guest = Guest::new(500);
            guest.counts(word);
            let (_, first) = guest.works(|_| ());
            assert!(first >= 500 && guest.own.elapsed <= NEVER);
            *guest.words = Words { counter: 0, offset: 0, mirror: word, ..guest.words() }.to_bytes();
            let (shown, second) = guest.works(|_| ());
            assert!(second >= first && (guest.is_held() || shown >= first), "{word}");
            // These can't be the words.
            *guest.words = [0xa5; Words::SIZE];
            assert_eq!(guest.works(|own| own.reaches(first)).1, second);
            assert_eq!(*guest.words, [0xa5; Words::SIZE]);
        }
    }
}
