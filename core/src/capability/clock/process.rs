//! What a procfs tells of the times of one process: in its `stat` and its `schedstat`. Of a guest's real-time priority, by which
//! runs are made serial, it tells nothing. Of processes that are not of this run it
//! tells what the kernel does.
#![forbid(unsafe_code)]

use super::VirtualClock;
use super::value::TICK;
use crate::capability::{Answer, Call};
use crate::supervisor::process_file::ProcessFile;
use crate::supervisor::time::Reading;

/// The first field behind the program's name, of which the numbers count, is the third (`man 5 proc_pid_stat`).
const FIRST: usize = 3;
/// `minflt`, `cminflt`, `majflt`, `cmajflt`; `processor`; `delayacct_blkio_ticks`, `guest_time` and `cguest_time`.
const NOTHING: [usize; 8] = [10, 11, 12, 13, 39, 42, 43, 44];
const UTIME: usize = 14;
const STIME: usize = 15;
const CUTIME: usize = 16;
const CSTIME: usize = 17;
const STARTTIME: usize = 22;
const PRIORITY: usize = 18;
const NICE: usize = 19;
const REAL_TIME_PRIORITY: usize = 40;
const POLICY: usize = 41;
/// The priority of an ordinary process whose niceness is 0.
const ORDINARY: i64 = 20;

/// The numbers of a `stat`, from the third on: what stands behind the program's name in parentheses.
fn split(stat: &[u8]) -> Option<(&[u8], Vec<&str>)> {
    let end = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let (name, fields) = stat.split_at_checked(end)?;
    Some((name, std::str::from_utf8(fields).ok()?.split_ascii_whitespace().collect()))
}

/// These numbers of it.
fn fields<const COUNT: usize>(stat: &[u8], numbers: [usize; COUNT]) -> [u64; COUNT] {
    let fields = split(stat).map_or(Vec::new(), |(_, fields)| fields);
    numbers.map(|number| fields.get(number - FIRST).and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// What the kernel has counted for a process, in ticks: of itself in user and kernel mode, and of its children.
pub(super) fn ticks(stat: &[u8]) -> [u64; 4] {
    fields(stat, [UTIME, STIME, CUTIME, CSTIME])
}

/// When it really started, in nanoseconds since the machine did.
fn started(stat: &[u8]) -> u64 {
    let [started] = fields(stat, [STARTTIME]);
    started.saturating_mul(TICK)
}

/// The same `stat` with these times; `used` only where the processor's time is virtual too.
fn with_times(stat: &[u8], started: u64, used: Option<&Reading>) -> Option<Vec<u8>> {
    let (name, fields) = split(stat)?;
    let signed =
        |number: usize| fields.get(number - FIRST).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    // No guest gives itself one.
    let has_real_time = signed(REAL_TIME_PRIORITY) > 0;
    let priority = ORDINARY.saturating_add(signed(NICE));
    let mut text = name.to_vec();
    for (place, field) in fields.iter().enumerate() {
        let number = place + FIRST;
        let shown = match (number, used) {
            (STARTTIME, _) => Some(started / TICK),
            (PRIORITY, _) if has_real_time => u64::try_from(priority).ok(),
            (REAL_TIME_PRIORITY | POLICY, _) if has_real_time => Some(0),
            (UTIME, Some(used)) => Some(used.used / TICK),
            (CUTIME, Some(used)) => Some(used.used_by_children / TICK),
            (STIME | CSTIME, Some(_)) => Some(0),
            (number, Some(_)) if NOTHING.contains(&number) => Some(0),
            _ => None,
        };
        text.push(b' ');
        text.extend(shown.map_or_else(|| (*field).to_owned(), |shown| shown.to_string()).into_bytes());
    }
    text.push(b'\n');
    Some(text)
}

impl VirtualClock {
    /// An open may lead to a file that tells of a process's times.
    pub(super) fn opens(&self, call: &mut Call) -> Answer {
        let Some(file) = call.opened_of_process() else { return Answer::Pass };
        match &*file.name {
            b"schedstat" if !self.is_real() => match call.with_time_of(&file, |time, own| time.peeked(own)) {
                Some(reading) => call.answer_with_content(format!("{} 0 0\n", reading.used).as_bytes()),
                None => Answer::Pass,
            },
            b"stat" => self.opens_stat(call, &file),
            _ => Answer::Pass,
        }
    }

    fn opens_stat(&self, call: &mut Call, file: &ProcessFile) -> Answer {
        let path = file.path.clone();
        let stat = match call.errand(move || std::fs::read(path)) {
            Ok(Ok(stat)) => stat,
            // The process is gone: the kernel's own answer to that.
            Ok(Err(_)) => return Answer::Pass,
            Err(errno) => return Answer::errno(errno),
        };
        let really = started(&stat);
        let known = call.with_time_of(file, |time, own| (time.started(own, really), time.peeked(own)));
        let text = known
            .and_then(|(started, reading)| with_times(&stat, started, (!self.is_real()).then_some(&reading)));
        match text {
            Some(text) => call.answer_with_content(&text),
            None => Answer::Pass,
        }
    }
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
        assert_eq!(started(STAT), 22_220_000_000);
        let reading = Reading { elapsed: 0, used: 35 * TICK, used_by_children: 46 * TICK };
        let shown = with_times(STAT, 100_000 * TICK, Some(&reading)).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(
            shown,
            "7 (a) b) R 1 7 7 0 -1 4194304 0 0 0 0 35 0 46 0 20 0 1 0 100000 23 24 25 26 27 28 29 30 31 32 \
             33 34 35 36 37 17 0 0 0 0 0 0 45\n"
        );
        let real = with_times(STAT, 5 * TICK, None).unwrap();
        assert_eq!(String::from_utf8(real).unwrap(), String::from_utf8_lossy(STAT).replace("2222", "5"));
        let serial = String::from_utf8_lossy(STAT)
            .replace(" 20 0 1 0 2222", " -2 5 1 0 2222")
            .replace(" 0 0 42", " 1 1 42");
        let shown = String::from_utf8(with_times(serial.as_bytes(), 5 * TICK, None).unwrap()).unwrap();
        assert_eq!(shown, serial.replace(" -2 5 1 0 2222", " 25 5 1 0 5").replace(" 1 1 42", " 0 0 42"));
        for odd in [&b""[..], b"7", b"7 (a", b"7 (a)", b"7 (a) \xff"] {
            assert_eq!(ticks(odd), [0; 4]);
            let _ = with_times(odd, 0, None);
        }
    }
}
