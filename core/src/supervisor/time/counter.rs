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
        if let Some(words) = counter.look(tid) {
            counter.taken = words.counter;
        }
        counter.held = false;
        self.take(tid);
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
        let Some(counter) = &mut self.counter else { return };
        counter.found = counter.look(tid);
        let Some(words) = counter.found else { return };
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
        !self.timers.is_empty() || !is_countable(counted) || !is_countable(offset)
    }
}
