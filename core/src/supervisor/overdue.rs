//! For how long guests have computed since a wait of theirs was over, where none is ended while a guest computes: who waits for
//! one that never does must go on at last.
//!
//! Counted is the time that guests have had of a processor. Real time would make their order depend on what else the machine
//! does. Read from procfs by the tracker, which is not confined. It looks only; it changes nothing.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::process_stat::{ProcessStat, TICKS};

/// For how long guests may compute after a wait's time, in ticks.
const LONGEST: u64 = 3 * TICKS;
/// How often it is looked for how long they have.
const LOOK: Duration = Duration::from_millis(250);

/// How long guests have computed while a wait was over.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    last: Option<Look>,
    computed: u64,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    /// What all guests had computed by then, in ticks.
    total: u64,
}

impl Overdue {
    /// No wait is over, or all guests wait.
    pub(super) fn begin_anew(&mut self) {
        *self = Self::default();
    }

    /// Some wait is over: whether guests have computed for so long since that one of them is to end. `guests`: the numbers of all.
    pub(super) fn is_long(&mut self, guests: impl FnOnce() -> Vec<u32>) -> bool {
        if self.last.as_ref().is_some_and(|last| last.at.elapsed() < LOOK) {
            return false;
        }
        let total = guests().into_iter().filter_map(computed).sum();
        self.adds(total)
    }

    fn adds(&mut self, total: u64) -> bool {
        // What was computed by one that is gone, and that nobody has waited for, is counted no more.
        let more = self.last.as_ref().map_or(0, |last| total.saturating_sub(last.total));
        self.computed += more;
        self.last = Some(Look { at: Instant::now(), total });
        self.computed >= LONGEST
    }
}

/// How long a process has computed, and those of its children that it has waited for, in ticks.
fn computed(pid: u32) -> Option<u64> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = ProcessStat::parse(&text)?;
    Some(stat.used()?.saturating_add(stat.used_by_children()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_seconds_of_computing_are_long() {
        let mut overdue = Overdue::default();
        let long = [1000, 1299, 1300].map(|total| overdue.adds(total));
        assert_eq!(long, [false, false, true]);
        overdue.begin_anew();
        assert!(!overdue.adds(1300) && !overdue.adds(1599) && overdue.adds(1600));
    }

    #[test]
    fn who_is_gone_takes_nothing_away() {
        let mut overdue = Overdue::default();
        let long = [1000, 1200, 10, 109, 110].map(|total| overdue.adds(total));
        assert_eq!(long, [false, false, false, false, true]);
    }

    #[test]
    fn it_is_not_looked_again_at_once() {
        let mut overdue = Overdue::default();
        assert!(!overdue.is_long(|| vec![std::process::id()]));
        assert!(!overdue.is_long(|| unreachable!("it was looked just now")));
        assert!(computed(std::process::id()).is_some_and(|ticks| ticks < 1_000_000));
        assert_eq!(computed(0), None);
    }
}
