//! Looks through the guests' descriptors for a timer that is set, which nobody sees closed, handed on, or inherited.
//!
//! Read from procfs by the tracker, which is not confined and serves nobody meanwhile: so it looks at no more than it may,
//! and holds no lock. It looks only; it changes nothing.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;

use super::Run;
use super::time::nanoseconds;
use super::tracker::is_alive;
use crate::sys::kcmp;

/// How many descriptors and threads are looked at, before it gives up: some 10 ms.
const MOST: usize = 4096;

/// The link of a descriptor that is a timer, and how that of a socket begins.
const TIMER: &str = "anon_inode:[timerfd]";
const SOCKET: &[u8] = b"socket:[";

/// A process and those of its threads that are not its first.
#[derive(Debug)]
pub(super) struct Threads {
    pub(super) first: u32,
    pub(super) others: Vec<u32>,
}

/// A descriptor of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    tid: u32,
    number: OsString,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// None of the descriptors is a timer that is set, and none is on its way from guest to guest.
    Nothing,
    /// This one is.
    Set(Held),
    /// It can't be told.
    Perhaps,
}

/// What a timer that is a descriptor says of itself (`man 5 proc_pid_fdinfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerInfo {
    /// The clock that it was made with.
    pub(crate) clock: i32,
    /// How often it has expired since it was asked last.
    ticks: u64,
    /// How long it is until it expires; 0, if it is not set or has expired and was not asked since.
    pub(crate) left: u64,
    /// Its interval.
    pub(crate) interval: u64,
}

impl TimerInfo {
    /// Of this descriptor of a thread. `None`: it is no timer, or can't be looked at.
    pub(crate) fn of(tid: u32, number: u32) -> Option<Self> {
        Self::parse(&fdinfo(tid, number.to_string().as_ref())?)
    }

    fn parse(info: &str) -> Option<Self> {
        let field =
            |name| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let time = |name| {
            let (seconds, fraction) = field(name)?.strip_prefix('(')?.strip_suffix(')')?.split_once(", ")?;
            nanoseconds(seconds.parse().ok()?, fraction.parse().ok()?)
        };
        Some(Self {
            clock: field("clockid")?.parse().ok()?,
            ticks: field("ticks")?.parse().ok()?,
            left: time("it_value")?,
            interval: time("it_interval")?,
        })
    }

    /// Whether it will still expire. One with an interval that has expired goes on as soon as it is asked.
    fn is_set(self) -> bool {
        self.left != 0 || (self.interval != 0 && self.ticks != 0)
    }
}

fn fdinfo(tid: u32, number: &Path) -> Option<String> {
    std::fs::read_to_string(Path::new(&format!("/proc/{tid}/fdinfo")).join(number)).ok()
}

impl Held {
    /// `Nothing`: this one isn't.
    fn look(self) -> Found {
        let link = std::fs::read_link(format!("/proc/{}/fd/{}", self.tid, self.number.display()));
        let Ok(link) = link else { return Found::Nothing };
        let link = link.as_os_str();
        let info = || fdinfo(self.tid, self.number.as_ref());
        if link == TIMER {
            match info().as_deref().and_then(TimerInfo::parse) {
                Some(timer) if !timer.is_set() => Found::Nothing,
                Some(_) => Found::Set(self),
                None => Found::Perhaps,
            }
        } else if link.as_encoded_bytes().starts_with(SOCKET) {
            // How many descriptors wait there to be received (`unix_show_fdinfo` in `net/unix/af_unix.c`).
            let waiting = |line: &str| line.strip_prefix("scm_fds:").is_some_and(|count| count.trim() != "0");
            let some = info().is_none_or(|info| info.lines().any(waiting));
            if some { Found::Perhaps } else { Found::Nothing }
        } else {
            Found::Nothing
        }
    }

    /// Whether it is still a timer that is set.
    pub(super) fn is_still_set(&self) -> bool {
        matches!(self.clone().look(), Found::Set(_))
    }
}

/// Looks through the tables of all these, each once, until something is found.
pub(super) fn look(run: &Run, processes: &[Threads]) -> Found {
    let mut left = MOST;
    for Threads { first, others } in processes {
        // Threads have one table, unless they took pains. The first may have ended, and has none then.
        let mut tables = vec![*first];
        match table(run, *first, &mut left) {
            Found::Nothing => {}
            found => return found,
        }
        for thread in others {
            let mut is_known =
                |table: &u32| takes_one(&mut left) && kcmp::share_descriptors(*table, *thread) == Ok(true);
            if tables.iter().any(&mut is_known) {
                continue;
            }
            tables.push(*thread);
            match table(run, *thread, &mut left) {
                Found::Nothing => {}
                found => return found,
            }
        }
    }
    Found::Nothing
}

fn takes_one(left: &mut usize) -> bool {
    *left = left.saturating_sub(1);
    *left > 0
}

/// Looks through the table of a thread.
fn table(run: &Run, tid: u32, left: &mut usize) -> Found {
    let entries = match std::fs::read_dir(format!("/proc/{tid}/fd")) {
        Ok(entries) => entries,
        // Whoever has ended holds nothing, and nobody but root may look at that.
        Err(_) if !is_alive(tid) => return Found::Nothing,
        Err(_) => return Found::Perhaps,
    };
    for entry in entries {
        if !takes_one(left) || run.is_to_end() {
            return Found::Perhaps;
        }
        // Whoever ends while it is looked at holds nothing.
        let Ok(entry) = entry else { return Found::Nothing };
        match (Held { tid, number: entry.file_name() }).look() {
            Found::Nothing => {}
            found => return found,
        }
    }
    Found::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(ticks: u64, left: u64, interval: u64) -> Option<TimerInfo> {
        let text = format!(
            "pos:\t0\nflags:\t02\nmnt_id:\t16\nino:\t4\nclockid: 1\nticks: {ticks}\nsettime flags: 01\n\
             it_value: ({left}, 5)\nit_interval: ({interval}, 0)\n"
        );
        TimerInfo::parse(&text.replace("(0, 5)", "(0, 0)"))
    }

    #[test]
    fn what_a_timer_says_of_itself_is_understood() {
        const SECOND: u64 = 1_000_000_000;
        let timer = TimerInfo { clock: 1, ticks: 3, left: 7 * SECOND + 5, interval: 2 * SECOND };
        assert_eq!(info(3, 7, 2), Some(timer));
        assert_eq!(TimerInfo::parse("pos:\t0\nflags:\t02\n"), None);
    }

    #[test]
    fn one_with_an_interval_is_set_until_it_is_stopped() {
        for (ticks, left, interval, set) in
            [(0, 7, 0, true), (1, 0, 0, false), (0, 0, 2, false), (1, 0, 2, true)]
        {
            assert_eq!(
                info(ticks, left, interval).map(TimerInfo::is_set),
                Some(set),
                "{ticks} {left} {interval}"
            );
        }
    }
}
