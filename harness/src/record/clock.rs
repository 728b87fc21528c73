//! Another time: one that nobody who writes a part of a date takes for now.
#![forbid(unsafe_code)]

use std::time::SystemTime;

use assize_core::policy::Timestamp;
use jiff::tz::TimeZone;

/// From one that is tried to the next: nothing in it is whole.
const STEP: i64 = 29 * 86_400 + 5 * 3600 + 17 * 60 + 13;
/// More than a year ago. Not later than now: what is said of files that were there before says at most what the clock says.
const FIRST: i64 = 366 * 86_400;
/// Within ten years there is one, whatever the time.
const MOST: i64 = 120;

/// A part of a date.
type Part = fn(&jiff::Zoned) -> i64;

/// The parts, each with how many there are of it, and by how much it must differ at least: a time zone, and what a command
/// takes, make it come out one more or less.
const PARTS: &[(Part, i64, i64)] = &[
    (|date| date.year().into(), 100, 1),
    (|date| date.month().into(), 12, 2),
    (|date| date.day().into(), 28, 2),
    (|date| date.weekday().to_monday_zero_offset().into(), 7, 2),
    (|date| date.hour().into(), 24, 2),
    // On a clock of twelve hours, and which half of the day it is.
    (|date| date.hour().into(), 12, 1),
    (|date| (date.hour() / 12).into(), 2, 1),
    (|date| date.minute().into(), 60, 2),
    (|date| date.second().into(), 60, 5),
];

/// A time of which each part is another than now.
pub(super) fn other(now: SystemTime) -> Timestamp {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(0);
    let candidates = (0..MOST).map(|nth| now - FIRST - nth * STEP);
    let seconds = candidates.clone().find(|then| differs(now, *then)).unwrap_or(now - FIRST - STEP);
    Timestamp { seconds: seconds.max(0), nanoseconds: 0 }
}

fn differs(one: i64, two: i64) -> bool {
    let date = |seconds| Some(jiff::Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC));
    let (Some(one), Some(two)) = (date(one), date(two)) else { return false };
    PARTS.iter().all(|(part, of, least)| {
        let apart = (part(&one) - part(&two)).rem_euclid(*of);
        apart.min(of - apart) >= *least
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn there_is_one_whatever_the_time() {
        // Three years, in steps in which nothing is whole.
        for nth in 0..20_000 {
            let now = 1_790_000_000 + nth * 4733;
            let then = other(SystemTime::UNIX_EPOCH + Duration::from_secs(now)).seconds;
            let now = i64::try_from(now).unwrap();
            assert!(differs(now, then), "{now} {then}");
            assert!(now - then < 11 * 366 * 86_400, "{now} {then}");
        }
    }

    #[test]
    fn a_part_that_is_the_same_is_seen() {
        // Two weeks later; the same time of another day; the same minute.
        for same in [14 * 86_400 + 50_000, 400 * 86_400, 400 * 86_400 + 13 * 3600] {
            assert!(!differs(1_790_000_000, 1_790_000_000 + same));
        }
    }
}
