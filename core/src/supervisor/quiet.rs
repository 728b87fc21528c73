//! Whether any guest runs, or could: if all wait, and go on waiting, the next thing to happen is the end of a sleep.
//!
//! Read from procfs by the tracker, which is not confined. It looks only; it changes nothing.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::Run;
use super::process_status::ProcessStatus;
use crate::Syscall;
use crate::syscall::{Sysno, family, signature};

/// Threads, and how often each has been given the processor.
type Seen = Vec<(u32, u64)>;

/// Looks at all guests, again and again.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Option<Seen>,
}

impl Watch {
    /// Something has happened: what was seen before is of no use.
    pub(super) fn disturb(&mut self) {
        self.seen = None;
    }

    /// Whether all guests wait, and none has run since the last look, at which all waited as well. These are stopped by job
    /// control.
    pub(super) fn is_quiet(&mut self, run: &Run, stopped: &HashSet<u32>) -> bool {
        let seen = look(run, stopped);
        let quiet = seen.is_some() && seen == self.seen;
        self.seen = seen;
        quiet
    }
}

/// All threads, if all of them wait and nothing of theirs waits for the supervisor.
fn look(run: &Run, stopped: &HashSet<u32>) -> Option<Seen> {
    let mut threads: Vec<u32> = run.processes().threads().collect();
    threads.sort_unstable();
    let switches = |tid| switches(tid, stopped.contains(&tid)).map(|switches| (tid, switches));
    let seen = threads.into_iter().map(switches).collect();
    // A call that waits for the supervisor looks like one that waits for something else.
    if run.listener().is_ok_and(|listener| listener.has_calls()) { None } else { seen }
}

/// How often a thread that waits has been given the processor; `None`: it runs, or could.
///
/// Its state alone doesn't tell: a thread that is about to wait, and was taken from the processor just before, says that it
/// sleeps. What it waits in is told (`man 5 proc_pid_syscall`) only of one that has really left the processor.
fn switches(tid: u32, is_stopped: bool) -> Option<u64> {
    let status = ProcessStatus::of(tid).ok()?;
    let (mut has_ended, mut waits_deeply) = (false, false);
    match status.field("State")?.chars().next() {
        Some('Z' | 'X') => has_ended = true,
        Some('S' | 'T') => {}
        // To its tracer, one that job control has stopped looks like one that waits for that.
        Some('t') if is_stopped => {}
        Some('D') => waits_deeply = true,
        _ => return None,
    }
    let count = |name| status.field(name)?.parse::<u64>().ok();
    let switches = count("voluntary_ctxt_switches")? + count("nonvoluntary_ctxt_switches")?;
    if !has_ended {
        let waits_in = std::fs::read(format!("/proc/{tid}/syscall")).ok()?;
        // Who waits for the disk will go on by himself, but not who waits for a child that has its memory (`man 2 vfork`).
        if waits_in.starts_with(b"running") || waits_deeply && !lends_its_memory(&waits_in) {
            return None;
        }
    }
    Some(switches)
}

/// Whether this (`man 5 proc_pid_syscall`) is of a thread that waits until its child has a memory of its own, and not of one that
/// waits for a lock while it makes a child. What `clone3` is to do lies in memory.
fn lends_its_memory(waits_in: &[u8]) -> bool {
    let mut words = std::str::from_utf8(waits_in).unwrap_or_default().split_ascii_whitespace();
    let number = words.next().and_then(|number| number.parse().ok());
    let call = number.and_then(|number| Syscall::checked(number).ok());
    let Some(call) = call.filter(|call| family::CLONE.contains(*call)) else { return false };
    match signature::position(call, "flags") {
        Some(place) => {
            let flags = words
                .nth(place.into())
                .and_then(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
            flags.is_some_and(|flags| flags & libc::CLONE_VFORK as u64 != 0)
        }
        None => call == Syscall::of(Sysno::vfork),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_lends_its_memory_waits_for_its_child() {
        assert!(lends_its_memory(b"58 0x0 0x0 0x0 0x0 0x0 0x0 0x7ffd 0x7f12"));
        assert!(lends_its_memory(b"56 0x4111 0x7f00 0x0 0x0 0x0 0x0 0x7ffd 0x7f12"));
        for other in
            ["57 0x0 0x0", "56 0x1200011 0x0", "435 0x7ffd00 0x58", "0 0x4000 0x0", "56", "-1", "running", ""]
        {
            assert!(!lends_its_memory(other.as_bytes()), "{other}");
        }
    }
}
