//! Which wait ends next, and when, where the tracker ends waits: by the guests' time, while nobody can run.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::{Tracker, Waits};
use crate::supervisor::descriptors::{self, Found};
use crate::supervisor::time::{self, Running};
use crate::sys::ptrace;

/// How long a wait whose time has really passed gives way to an earlier one whose time has not. That one may have begun
/// later because others computed; what is left of it for longer than this has nothing to do with them.
const SOON: Duration = Duration::from_secs(1);
/// Whoever looks at guests later than this after the last time was kept from it.
const KEPT_FROM: Duration = Duration::from_millis(20);

/// The looks at which all guests waited.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    last: Option<Instant>,
}

impl Quiet {
    /// All wait: for how long they have since the last look, if they did then. What the machine did for others meanwhile is not
    /// counted.
    fn goes_on(&mut self) -> Duration {
        let since = self.last.replace(Instant::now()).map_or(Duration::ZERO, |last| last.elapsed());
        since.min(KEPT_FROM)
    }

    pub(super) fn is_interrupted(&mut self) {
        self.last = None;
    }
}

impl Tracker {
    /// Those that wait by a clock which need not run as the real one.
    fn waiting(&self) -> impl Iterator<Item = (u32, Waits)> {
        let virtual_time = self.run.time.as_ref().is_some_and(|time| !time.is_real());
        let underway = self.underway.iter().filter(move |_| virtual_time);
        underway.filter_map(|(tid, call)| call.waits().map(|waits| (*tid, waits)))
    }

    /// From when on, in reality, some wait can be ended here; `None`: only the kernel ends those that there are.
    pub(super) fn first_end(&self) -> Option<u64> {
        let ends = |waits: Waits| match waits {
            Waits { sleeps: true, .. } => Some(0),
            Waits { lasts: true, really, .. } => Some(really),
            _ => None,
        };
        self.waiting().filter_map(|(_, waits)| ends(waits)).min()
    }

    /// Nobody can run: the earliest wait ends now, unless something that runs in real time comes first. That is the rest of
    /// whatever is more than a sleep, and of anything while a timer is set.
    pub(super) fn end_a_wait(&mut self) {
        let waiting = self.waiting_in_order();
        let is_in_order = self.run.is_in_order();
        let now = time::real();
        let soon = now.saturating_add(SOON.as_nanos() as u64);
        let mut ends = None;
        let since = self.quiet.goes_on();
        let mut another_comes = false;
        for (at, (tid, waits)) in waiting.iter().enumerate() {
            // Who sleeps for ever is not woken.
            if waits.until >= time::NEVER {
                break;
            }
            let mut may_end = waits.lasts && waits.really <= now;
            if may_end
                && another_comes
                && let Some(call) = self.underway.get_mut(tid)
            {
                // Not for ever: whoever is behind may always begin another.
                call.gave_way += since;
                may_end = call.gave_way >= SOON;
            }
            if may_end || (at == 0 && waits.sleeps && !self.some_timer_is_set()) {
                ends = Some(*tid);
                break;
            }
            if !is_in_order {
                break;
            }
            another_comes |= waits.really < soon;
        }
        if let Some(tid) = ends {
            self.cut_short(tid);
        }
    }

    /// Those that wait, by the guests' time. Of several it is first whoever is first in the tree, whatever the numbers.
    fn waiting_in_order(&self) -> Vec<(u32, Waits)> {
        let place = |tid: u32| self.run.processes().of(tid).map(|(_, process)| process.place.clone());
        let mut waiting: Vec<_> = self.waiting().collect();
        waiting.sort_by_cached_key(|(tid, waits)| (waits.until, waits.sleeps, place(*tid), *tid));
        waiting
    }

    fn cut_short(&mut self, tid: u32) {
        if let Some(call) = self.underway.get_mut(&tid)
            && ptrace::interrupt(tid).is_ok()
        {
            call.cut_short = true;
        }
    }

    /// Guests compute on and on: the earliest wait whose time has really passed ends at last.
    pub(super) fn end_an_overdue_wait(&mut self) {
        let now = time::real();
        let is_over = |waits: &Waits| waits.lasts && waits.really <= now;
        if !self.waiting().any(|(_, waits)| is_over(&waits)) {
            return self.overdue.begin_anew();
        }
        if self.overdue.is_long(|| self.run.processes().pids().collect()) {
            self.overdue.begin_anew();
            let ends = self.waiting_in_order().into_iter().find(|(_, waits)| is_over(waits));
            if let Some((tid, _)) = ends {
                self.cut_short(tid);
            }
        }
    }

    /// Whether a timer is set that runs in real time. Nobody sees a descriptor closed, so these are looked for: once, as
    /// long as nobody runs, but that one which was found may expire.
    fn some_timer_is_set(&mut self) -> bool {
        let running = self.run.processes().running();
        if running != Running::Descriptors {
            return running == Running::Certainly;
        }
        match &self.looked {
            Some(Found::Perhaps) => return true,
            Some(Found::Set(held)) if held.is_still_set() => return true,
            _ => {}
        }
        let processes = self.run.processes().all_threads();
        let found = descriptors::look(&self.run, &processes);
        let nothing = found == Found::Nothing;
        self.looked = Some(found);
        if !nothing {
            return true;
        }
        // No guest's stop has been seen meanwhile, and so no timer set.
        let mut processes = self.run.processes();
        processes.forget_timer_descriptors();
        processes.running() != Running::Nothing
    }
}
