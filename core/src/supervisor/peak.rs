//! The most processes that lived at once, and the largest resident set of one: counted by what others see.
//!
//! A process lives from its birth, which the tracker sees before it runs, until its last thread has ended and the tracker
//! has been told so: its parent can't have waited for it before. What is a zombie then doesn't live. The kernel keeps, for each
//! memory, how large its resident set was at most. It is read when a thread ends, while the memory is still there, and before
//! an exec, which replaces it. (`ru_maxrss` would not do: the first guest's begins with the memory of whoever made it, which is
//! the supervisor's.)
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use super::call::Call;
use super::process_status::ProcessStatus;
use super::processes::Processes;
use crate::outcome;

/// The most processes that lived at once, and the largest resident set of one.
#[derive(Debug, Default)]
pub(crate) struct Peak {
    alive: HashMap<u32, Seen>,
    most: outcome::Peak,
    /// The memory of some process was gone before it was looked at.
    missed: bool,
    /// The command runs. Until then its process has the supervisor's memory.
    runs: bool,
}

/// What is known of the memory that a process has now.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    /// The first guest: what it had before its exec is in the kernel's account of it.
    first: bool,
    /// It was looked at when a thread ended.
    at_end: bool,
    /// And before an exec that is under way.
    at_exec: bool,
}

impl Peak {
    /// The command's process stands ready.
    pub(super) fn stands_ready(&mut self, tgid: u32) {
        self.alive.insert(tgid, Seen { first: true, ..Seen::default() });
        self.most.processes = 1;
    }

    /// A process is born, and may have ended since.
    pub(super) fn born(&mut self, tgid: u32, lives: bool) {
        self.alive.insert(tgid, Seen::default());
        self.most.processes = self.most.processes.max(self.alive.len() as u64);
        if !lives {
            self.alive.remove(&tgid);
        }
    }

    /// A process is about to execute a program, and has had so much memory.
    fn before_exec(&mut self, tgid: u32, bytes: Option<u64>, known: &Processes) {
        let (Some(bytes), Some(seen)) = (bytes, self.alive.get_mut(&tgid)) else { return };
        seen.at_exec = true;
        self.had(tgid, bytes, known);
    }

    /// It has done so: its memory is another.
    pub(super) fn executed(&mut self, tgid: u32) {
        let started = std::mem::replace(&mut self.runs, true);
        let Some(seen) = self.alive.get_mut(&tgid) else { return };
        self.missed |= started && !seen.at_exec;
        (seen.at_exec, seen.at_end) = (false, false);
    }

    /// A thread of a process ends, and the process has had so much memory.
    pub(super) fn ends(&mut self, tgid: u32, bytes: Option<u64>, known: &Processes) {
        let Some(bytes) = bytes.filter(|_| self.runs) else { return };
        if let Some(seen) = self.alive.get_mut(&tgid) {
            seen.at_end = true;
        }
        self.had(tgid, bytes, known);
    }

    /// A process or another's thread is gone; a process has had at most so much memory, as the kernel accounts it.
    pub(super) fn gone(&mut self, tid: u32, accounted: u64, known: &Processes) {
        let Some(seen) = self.alive.remove(&tid) else { return };
        // A thread that was killed on its way out doesn't stop there.
        if !seen.at_end && seen.first {
            self.missed = true;
        } else if !seen.at_end {
            self.had(tid, accounted, known);
        }
    }

    fn had(&mut self, tgid: u32, bytes: u64, known: &Processes) {
        if self.most.memory.is_none_or(|most| bytes > most) {
            let process = known.of(tgid).map(|(_, process)| process);
            self.most.memory = Some(bytes);
            self.most.place = process.map(|process| process.place.clone());
            self.most.exe = process.and_then(|process| process.exe.clone());
        }
    }

    /// What came of it, when nobody is left.
    pub(crate) fn measured(&self) -> outcome::Peak {
        let most = self.most.clone();
        if self.missed {
            outcome::Peak { processes: most.processes, ..outcome::Peak::default() }
        } else {
            most
        }
    }
}

impl Call {
    /// Takes note of how much memory the caller has had.
    pub(crate) fn measure_memory(&self) {
        if self.is_start() || self.run.peak().is_none() {
            return;
        }
        let tid = self.tid();
        let run = Arc::clone(&self.run);
        // The guests' domain may not look there.
        let bytes = self.errand(move || high_water(tid)).ok().flatten();
        let Some(mut peak) = run.peak() else { return };
        let known = run.processes();
        if let Some((tgid, _)) = known.of(tid) {
            peak.before_exec(tgid, bytes, &known);
        }
    }
}

/// The largest resident set that the memory of `tid` has had, in bytes (`VmHWM`, `man 5 proc_pid_status`). `None`: the memory is
/// gone, or can't be looked at.
pub(super) fn high_water(tid: u32) -> Option<u64> {
    parsed(ProcessStatus::of(tid).ok()?.field("VmHWM")?)
}

fn parsed(value: &str) -> Option<u64> {
    let kib: u64 = value.strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: u32 = 10;

    /// A command that runs.
    fn running() -> Peak {
        let mut peak = Peak::default();
        peak.stands_ready(COMMAND);
        peak.executed(COMMAND);
        peak
    }

    #[test]
    fn those_that_live_at_once_are_counted() {
        let known = Processes::default();
        let mut peak = running();
        for child in [11, 12, 11, 12] {
            peak.born(child, true);
            peak.ends(child, Some(1), &known);
            peak.gone(child, 1, &known);
        }
        assert_eq!(peak.measured().processes, 2);
        peak.born(11, true);
        peak.born(12, true);
        // A thread of one of them.
        peak.gone(13, 1, &known);
        assert_eq!(peak.measured().processes, 3);
        // Whoever is dead by the time of its birth's report lived beside the others for a while.
        peak.born(14, false);
        peak.born(15, false);
        assert_eq!(peak.measured().processes, 4);
    }

    #[test]
    fn the_supervisors_memory_is_not_the_commands() {
        let known = Processes::default();
        let mut peak = Peak::default();
        peak.stands_ready(COMMAND);
        peak.ends(COMMAND, Some(1 << 30), &known);
        assert_eq!(peak.measured().memory, None);
        let mut peak = running();
        peak.ends(COMMAND, Some(5), &known);
        peak.gone(COMMAND, 1 << 30, &known);
        assert_eq!(peak.measured().memory, Some(5));
    }

    #[test]
    fn what_an_exec_replaces_counts() {
        let known = Processes::default();
        let mut peak = running();
        peak.before_exec(COMMAND, Some(9), &known);
        peak.executed(COMMAND);
        peak.ends(COMMAND, Some(5), &known);
        peak.gone(COMMAND, 0, &known);
        assert_eq!(peak.measured().memory, Some(9));
    }

    #[test]
    fn what_was_not_looked_at_is_not_claimed() {
        let known = Processes::default();
        // A command that was killed on its way out: what the kernel accounts for it may be the supervisor's.
        let mut peak = running();
        peak.gone(COMMAND, 7, &known);
        assert_eq!(peak.measured().memory, None);
        // An exec that nobody saw coming; and one before which the memory could not be looked at.
        let mut peak = running();
        peak.before_exec(COMMAND, None, &known);
        peak.executed(COMMAND);
        peak.ends(COMMAND, Some(5), &known);
        peak.gone(COMMAND, 0, &known);
        assert_eq!(peak.measured().memory, None);
        // Of all others the kernel accounts what they had themselves.
        let mut peak = running();
        peak.born(11, true);
        peak.gone(11, 7, &known);
        peak.ends(COMMAND, Some(5), &known);
        peak.gone(COMMAND, 1 << 30, &known);
        assert_eq!(peak.measured().memory, Some(7));
    }

    #[test]
    fn the_kernels_text_is_read() {
        assert_eq!(parsed("132 kB"), Some(132 * 1024));
        for odd in ["", "3", "kB", "99999999999999999999 kB"] {
            assert_eq!(parsed(odd), None, "{odd}");
        }
        // Zombies have no memory; whoever asks has.
        assert!(high_water(std::process::id()).is_some_and(|bytes| bytes > 100 << 10));
    }
}
