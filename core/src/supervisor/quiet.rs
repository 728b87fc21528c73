//! Whether any guest runs, or could: if all wait, and go on waiting, the next thing to happen is the end of a sleep.
//!
//! Read from procfs by the tracker, which is not confined. It looks only; it changes nothing.
#![forbid(unsafe_code)]

use super::Run;

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

    /// Whether all guests wait, and none has run since the last look, at which all waited as well.
    pub(super) fn is_quiet(&mut self, run: &Run) -> bool {
        let seen = look(run);
        let quiet = seen.is_some() && seen == self.seen;
        self.seen = seen;
        quiet
    }
}

/// All threads, if all of them wait and nothing of theirs waits for the supervisor.
fn look(run: &Run) -> Option<Seen> {
    let mut threads: Vec<u32> = run.processes().threads().collect();
    threads.sort_unstable();
    let seen = threads.into_iter().map(|tid| switches(tid).map(|switches| (tid, switches))).collect();
    // A call that waits for the supervisor looks like one that waits for something else.
    if run.listener().is_ok_and(|listener| listener.has_calls()) { None } else { seen }
}

/// How often a thread that waits has been given the processor; `None`: it runs, or could.
///
/// Its state alone doesn't tell: a thread that is about to wait, and was taken from the processor just before, says that it
/// sleeps. What it waits in is told (`man 5 proc_pid_syscall`) only of one that has really left the processor.
fn switches(tid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let (mut switches, mut has_ended) = (0, false);
    for line in status.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        match key {
            "State" => match value.trim_start().chars().next() {
                Some('Z' | 'X') => has_ended = true,
                // Asleep, or stopped by job control: not one that waits for the disk or for the tracker.
                Some('S' | 'T') => {}
                _ => return None,
            },
            "voluntary_ctxt_switches" | "nonvoluntary_ctxt_switches" => {
                switches += value.trim().parse::<u64>().ok()?;
            }
            _ => {}
        }
    }
    if !has_ended {
        let waits_in = std::fs::read(format!("/proc/{tid}/syscall")).ok()?;
        if waits_in.starts_with(b"running") {
            return None;
        }
    }
    Some(switches)
}
