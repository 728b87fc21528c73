//! Which processors there are, and which of them each thread has chosen. Where a thread really runs is not decided here.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Answer;
use crate::supervisor::call::Call;
use crate::trace::Place;
use crate::{Errno, NotifAction};

/// The most processors.
pub(super) const MOST: u32 = 1024;
/// What `sched_getaffinity` counts in.
const WORD: u32 = 64;

/// A set of processors (`man 3 CPU_SET`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mask(Vec<u64>);

impl Mask {
    /// The first `count` processors.
    fn first(count: u32) -> Self {
        let word = |nth: u32| match count.saturating_sub(nth * WORD) {
            left if left >= WORD => u64::MAX,
            left => (1 << left) - 1,
        };
        Self((0..count.div_ceil(WORD)).map(word).collect())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// What of it `bytes` names; what lies past these is not named.
    fn among(&self, bytes: &[u8]) -> Self {
        let mut words = bytes
            .chunks(8)
            .map(|word| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)));
        Self(self.0.iter().map(|word| word & words.next().unwrap_or(0)).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn has(&self, processor: u32) -> bool {
        self.0.get((processor / WORD) as usize).is_some_and(|word| word >> (processor % WORD) & 1 == 1)
    }

    /// The first `count` of it in groups of 32, the highest ahead, each with as many digits as it needs at most.
    fn hexadecimal(&self, count: u32) -> String {
        const GROUP: u32 = 32;
        let group = |first: u32| {
            let bits = GROUP.min(count - first);
            let value =
                (0..bits).filter(|bit| self.has(first + bit)).fold(0_u32, |value, bit| value | 1 << bit);
            format!("{value:0digits$x}", digits = bits.div_ceil(4) as usize)
        };
        let groups: Vec<_> = (0..count.div_ceil(GROUP)).rev().map(|nth| group(nth * GROUP)).collect();
        groups.join(",")
    }

    /// The first `count` of it, as numbers and ranges.
    fn list(&self, count: u32) -> String {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for processor in (0..count).filter(|processor| self.has(*processor)) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == processor => *last = processor,
                _ => ranges.push((processor, processor)),
            }
        }
        let shown = ranges.into_iter().map(|range| match range {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        });
        shown.collect::<Vec<_>>().join(",")
    }

    fn lowest(&self) -> u32 {
        let word = self.0.iter().zip(0..).find(|(word, _)| **word != 0);
        word.map_or(0, |(word, nth)| nth * WORD + word.trailing_zeros())
    }
}

/// The processors, and who has chosen which.
pub(super) struct Processors {
    count: u32,
    all: Mask,
    chosen: Mutex<Chosen>,
}

#[derive(Default)]
struct Chosen {
    /// By a process's first thread: inherited by what the process makes.
    by_place: HashMap<Place, Mask>,
    /// By a further thread, whose number may be another's later.
    by_thread: HashMap<u32, (Place, Mask)>,
}

impl Chosen {
    fn of(&self, tid: u32, place: &Place) -> Option<&Mask> {
        if let Some((_, mask)) = self.by_thread.get(&tid).filter(|(of, _)| of == place) {
            return Some(mask);
        }
        let steps = place.steps();
        // A chain of processes may be long: nothing is made for those above.
        (1..=steps.len()).rev().find_map(|len| self.by_place.get(steps.get(..len)?))
    }
}

impl Processors {
    pub(super) fn new(count: u32) -> Self {
        Self { count, all: Mask::first(count), chosen: Mutex::default() }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn all(&self) -> &Mask {
        &self.all
    }

    /// `man 2 sched_getaffinity`; the arguments are checked as in `kernel/sched/syscalls.c`.
    #[allow(clippy::needless_pass_by_ref_mut)] // the shape of every handler
    pub(super) fn get(&self, call: &mut Call) -> Answer {
        let len = call.arg(1) as u32 as usize;
        if len.saturating_mul(8) < self.count as usize || !len.is_multiple_of(8) {
            return Answer::errno(Errno::EINVAL);
        }
        let Some(tid) = named(call) else { return Answer::errno(Errno::ESRCH) };
        let mut bytes = self.of(call, tid).bytes();
        bytes.truncate(len);
        match call.write(call.arg(2), &bytes) {
            Ok(()) => Answer::Done(NotifAction::ReturnValue(bytes.len() as i64)),
            Err(errno) => Answer::errno(errno),
        }
    }

    /// `man 2 sched_setaffinity`.
    #[allow(clippy::needless_pass_by_ref_mut)] // the shape of every handler
    pub(super) fn set(&self, call: &mut Call) -> Answer {
        let len = (call.arg(1) as u32 as usize).min(self.all.0.len() * 8);
        let bytes = match call.read(call.arg(2), len) {
            Ok(bytes) => bytes,
            Err(errno) => return Answer::errno(errno),
        };
        let Some(tid) = named(call) else { return Answer::errno(Errno::ESRCH) };
        let mask = self.all.among(&bytes);
        if mask.is_empty() {
            return Answer::errno(Errno::EINVAL);
        }
        if let Some((place, is_first)) = call.place_of(tid) {
            let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
            if is_first {
                chosen.by_place.insert(place, mask);
            } else {
                chosen.by_thread.insert(tid, (place, mask));
            }
        }
        Answer::Done(NotifAction::ReturnValue(0))
    }

    /// `man 2 getcpu`: a thread runs on the first processor that it may run on.
    #[allow(clippy::needless_pass_by_ref_mut)] // the shape of every handler
    pub(super) fn current(&self, call: &mut Call) -> Answer {
        let lowest = self.of(call, call.tid()).lowest();
        let node = 0_u32;
        for (address, value) in [(call.arg(0), lowest), (call.arg(1), node)] {
            if address != 0
                && let Err(errno) = call.write(address, &value.to_ne_bytes())
            {
                return Answer::errno(errno);
            }
        }
        Answer::Done(NotifAction::ReturnValue(0))
    }

    /// The processors that a thread may run on, as `/proc/PID/status` has them: a mask, and a list. Which thread is looked for
    /// only where that matters; `None` is no guest.
    pub(super) fn allowed(&self, call: &Call, tid: impl FnOnce() -> Option<u32>) -> (String, String) {
        let mask = self.chosen(call, tid);
        let mask = mask.as_ref().unwrap_or(&self.all);
        (mask.hexadecimal(self.count), mask.list(self.count))
    }

    fn of(&self, call: &Call, tid: u32) -> Mask {
        self.chosen(call, || Some(tid)).unwrap_or_else(|| self.all.clone())
    }

    fn chosen(&self, call: &Call, tid: impl FnOnce() -> Option<u32>) -> Option<Mask> {
        let chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        // Nearly nobody chooses.
        if chosen.by_place.is_empty() && chosen.by_thread.is_empty() {
            return None;
        }
        let tid = tid()?;
        let (place, _) = call.place_of(tid)?;
        chosen.of(tid, &place).cloned()
    }
}

/// The thread that the call is about.
fn named(call: &Call) -> Option<u32> {
    match call.arg(0) as u32 {
        0 => Some(call.tid()),
        number => call.numbered(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_as_many_words_as_they_need() {
        assert_eq!(Mask::first(1).0, [1]);
        assert_eq!(Mask::first(64).0, [u64::MAX]);
        assert_eq!(Mask::first(65).0, [u64::MAX, 1]);
        assert_eq!(Mask::first(4).bytes(), [15, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_not_there_is_not_chosen() {
        let all = Mask::first(66);
        assert_eq!(all.among(&[6]).0, [6, 0]);
        assert_eq!(all.among(&[0, 0, 0, 0, 0, 0, 0, 0, 255, 1]).0, [0, 3]);
        assert!(Mask::first(1).among(&[2]).is_empty());
        assert_eq!(all.among(&[0, 0, 0, 0, 0, 0, 0, 0, 2]).lowest(), 65);
    }

    #[test]
    fn sets_are_written_as_the_kernel_does() {
        for (count, bytes, mask, list) in [
            (1, &[255][..], "1", "0"),
            (8, &[0b0010_1011], "2b", "0-1,3,5"),
            (33, &[255; 8], "1,ffffffff", "0-32"),
            (40, &[1, 0, 0, 0, 128], "80,00000001", "0,39"),
        ] {
            let set = Mask::first(count).among(bytes);
            assert_eq!((&*set.hexadecimal(count), &*set.list(count)), (mask, list));
        }
    }

    #[test]
    fn children_have_what_their_parents_chose() {
        let mut chosen = Chosen::default();
        let (root, child) = (Place::root(), Place::root().child(3));
        chosen.by_place.insert(root.clone(), Mask(vec![1]));
        assert_eq!(chosen.of(9, &child.child(0)), Some(&Mask(vec![1])));
        chosen.by_place.insert(child.clone(), Mask(vec![2]));
        assert_eq!(chosen.of(9, &child.child(0)), Some(&Mask(vec![2])));
        assert_eq!(chosen.of(9, &root), Some(&Mask(vec![1])));
        chosen.by_thread.insert(9, (root.clone(), Mask(vec![4])));
        assert_eq!(chosen.of(9, &root), Some(&Mask(vec![4])));
        // Another process's thread has got the number.
        assert_eq!(chosen.of(9, &child), Some(&Mask(vec![2])));
    }
}
