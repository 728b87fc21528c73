//! What a procfs tells of the times of one process: in its `stat` and its `schedstat`. Of processes that are not of this run
//! it tells what the kernel does.
#![forbid(unsafe_code)]

use super::VirtualClock;
use super::value::TICK;
use crate::capability::{Answer, Call};
use crate::supervisor::process_file::ProcessFile;
use crate::supervisor::process_stat::ProcessStat;
use crate::supervisor::time::Reading;

/// `minflt`, `cminflt`, `majflt`, `cmajflt`; `processor`; `delayacct_blkio_ticks`, `guest_time` and `cguest_time`
/// (`man 5 proc_pid_stat`).
const NOTHING: [usize; 8] = [10, 11, 12, 13, 39, 42, 43, 44];
const UTIME: usize = 14;
const STIME: usize = 15;
const CUTIME: usize = 16;
const CSTIME: usize = 17;
const STARTTIME: usize = 22;

/// What the kernel has counted for a process, in ticks: of itself in user and kernel mode, and of its children.
pub(super) fn ticks(stat: &[u8]) -> [u64; 4] {
    let stat = ProcessStat::parse(stat);
    [UTIME, STIME, CUTIME, CSTIME].map(|field| stat.as_ref().and_then(|stat| stat.field(field)).unwrap_or(0))
}

/// When it really started, in nanoseconds since the machine did.
fn started(stat: &ProcessStat<'_>) -> u64 {
    stat.field::<u64>(STARTTIME).unwrap_or(0).saturating_mul(TICK)
}

/// The same `stat` with these times; `used` only where the processor's time is virtual too.
fn with_times(stat: &ProcessStat<'_>, of_init: bool, started: u64, used: Option<&Reading>) -> Vec<u8> {
    stat.shown(of_init, |field| match (field, used) {
        (STARTTIME, _) => Some(started / TICK),
        (UTIME, Some(used)) => Some(used.used / TICK),
        (CUTIME, Some(used)) => Some(used.used_by_children / TICK),
        (STIME | CSTIME, Some(_)) => Some(0),
        (field, Some(_)) if NOTHING.contains(&field) => Some(0),
        _ => None,
    })
}

impl VirtualClock {
    /// An open may lead to a file that tells of a process's times.
    pub(super) fn opens(&self, call: &mut Call) -> Answer {
        let Some(file) = call.opened_of_process() else { return Answer::Pass };
        let is_stat = match &*file.name {
            b"stat" => true,
            b"schedstat" if !self.is_real() => false,
            _ => return Answer::Pass,
        };
        let Some(real) = call.read_opened() else { return Answer::Pass };
        let shown = if is_stat { self.stat(call, &file, &real) } else { schedstat(call, &file) };
        shown.map_or(Answer::Pass, |shown| call.answer_with_content(&shown))
    }

    fn stat(&self, call: &Call, file: &ProcessFile, real: &[u8]) -> Option<Vec<u8>> {
        let stat = ProcessStat::parse(real)?;
        let really = started(&stat);
        let (started, reading) =
            call.with_time_of(file, |time, own| (time.started(own, really), time.peeked(own)))?;
        Some(with_times(&stat, file.is_of_init(), started, (!self.is_real()).then_some(&reading)))
    }
}

fn schedstat(call: &Call, file: &ProcessFile) -> Option<Vec<u8>> {
    let reading = call.with_time_of(file, |time, own| time.peeked(own))?;
    Some(format!("{} 0 0\n", reading.used).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    // A program's name may hold what would end it.
    const STAT: &[u8] =
        b"7 (a) b) R 1 7 7 0 -1 4194304 10 11 12 13 14 15 16 17 20 0 1 0 2222 23 24 25 26 27 28 29 30 31 32 \
        33 34 35 36 37 17 39 0 0 42 43 44 45\n";

    #[test]
    fn times_stand_in_their_fields_and_all_else_is_left_alone() {
        assert_eq!(ticks(STAT), [14, 15, 16, 17]);
        let stat = ProcessStat::parse(STAT).unwrap();
        assert_eq!(started(&stat), 22_220_000_000);
        let reading = Reading { elapsed: 0, used: 35 * TICK, used_by_children: 46 * TICK };
        let shown = with_times(&stat, false, 100_000 * TICK, Some(&reading));
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(
            shown,
            "7 (a) b) R 1 7 7 0 -1 4194304 0 0 0 0 35 0 46 0 20 0 1 0 100000 23 24 25 26 27 28 29 30 31 32 \
             33 34 35 36 37 17 0 0 0 0 0 0 45\n"
        );
        let real = with_times(&stat, false, 5 * TICK, None);
        assert_eq!(String::from_utf8(real).unwrap(), String::from_utf8_lossy(STAT).replace("2222", "5"));
        for odd in [&b""[..], b"7", b"7 (a", b"7 (a)", b"7 (a) \xff"] {
            assert_eq!(ticks(odd), [0; 4]);
        }
    }
}
