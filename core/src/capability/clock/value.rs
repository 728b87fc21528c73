//! Times as they lie in a guest's memory, and what each clock counts. Reads and writes no memory itself.
#![forbid(unsafe_code)]

use crate::supervisor::time::Base;
use crate::sys::reader::Clocks;

/// `struct timespec`, `struct timeval`.
pub(super) const TIME: usize = 16;
/// `struct itimerspec`, `struct itimerval`.
pub(super) const TIMES: usize = 2 * TIME;
/// `struct rusage`.
pub(super) const USAGE: usize = 144;
/// `CLOCKS_PER_SEC` of the kernel's interface, as nanoseconds a tick.
pub(super) const TICK: u64 = 10_000_000;

const _: () = assert!(TIME == size_of::<libc::timespec>() && TIME == size_of::<libc::timeval>());
const _: () = assert!(TIMES == size_of::<libc::itimerspec>() && USAGE == size_of::<libc::rusage>());

/// What a clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// Time that passes.
    Time(Base),
    /// The processor's time of the caller.
    OwnUse,
    /// The processor's time of another process, by its number.
    UseOf(u32),
}

/// What a clock of this number counts (`man 2 clock_gettime`); `None`: there is none.
pub(super) fn counts(clock: i32) -> Option<Counts> {
    /// `CPUCLOCK_PERTHREAD_MASK`, `CPUCLOCK_CLOCK_MASK`, `CPUCLOCK_MAX` of `posix-timers.h`.
    const OF_A_THREAD: i32 = 4;
    const KIND: i32 = 3;
    const KINDS: i32 = 3;
    match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_REALTIME_ALARM | libc::CLOCK_TAI => {
            Some(Counts::Time(Base::Epoch))
        }
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_BOOTTIME
        | libc::CLOCK_BOOTTIME_ALARM => Some(Counts::Time(Base::Boot)),
        libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID => Some(Counts::OwnUse),
        // A process's number, inverted; the kind that is left is a device, of which guests have none.
        clock if clock < 0 && clock & KIND < KINDS => match (!(clock >> 3)).cast_unsigned() {
            0 => Some(Counts::OwnUse),
            // A thread's can be read by its own process alone.
            _ if clock & OF_A_THREAD != 0 => Some(Counts::OwnUse),
            number => Some(Counts::UseOf(number)),
        },
        _ => None,
    }
}

/// The clocks that show time.
pub(super) fn shown() -> Clocks {
    let mut clocks = Clocks::default();
    for number in 0..u32::BITS {
        if let Some(Counts::Time(base)) = counts(number.cast_signed()) {
            clocks.known |= 1 << number;
            clocks.boot |= u32::from(base == Base::Boot) << number;
        }
    }
    clocks
}

/// The two words of a time.
pub(super) fn words(bytes: &[u8]) -> (i64, i64) {
    let word = |at: usize| {
        let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
        word.map_or(0, i64::from_ne_bytes)
    };
    (word(0), word(8))
}

/// A time as it lies in memory.
pub(super) fn bytes(seconds: i64, fraction: i64) -> [u8; TIME] {
    let mut bytes = [0; TIME];
    bytes[..8].copy_from_slice(&seconds.to_ne_bytes());
    bytes[8..].copy_from_slice(&fraction.to_ne_bytes());
    bytes
}

/// A length of time, as `struct timespec`.
pub(super) fn timespec(nanoseconds: u64) -> [u8; TIME] {
    const SECOND: u64 = 1_000_000_000;
    bytes((nanoseconds / SECOND).cast_signed(), (nanoseconds % SECOND).cast_signed())
}

/// A length of time, as `struct timeval`.
pub(super) fn timeval(nanoseconds: u64) -> [u8; TIME] {
    const SECOND: u64 = 1_000_000_000;
    bytes((nanoseconds / SECOND).cast_signed(), (nanoseconds % SECOND / 1000).cast_signed())
}

/// What a process has used, as `struct rusage`: the processor's time, and nothing that the kernel counts besides.
pub(super) fn rusage(used: u64) -> [u8; USAGE] {
    let mut usage = [0; USAGE];
    usage[..TIME].copy_from_slice(&timeval(used));
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clock_counts_something_or_is_none() {
        for clock in [0, 5, 8, 11] {
            assert_eq!(counts(clock), Some(Counts::Time(Base::Epoch)), "{clock}");
        }
        for clock in [1, 4, 6, 7, 9] {
            assert_eq!(counts(clock), Some(Counts::Time(Base::Boot)), "{clock}");
        }
        for clock in [2, 3, -1 << 3 | 2, -1 << 3 | 6, !5 << 3 | 6] {
            assert_eq!(counts(clock), Some(Counts::OwnUse), "{clock}");
        }
        assert_eq!(counts(!5 << 3 | 2), Some(Counts::UseOf(5)));
        for clock in [10, 12, 16, 99, i32::MAX, !5 << 3 | 3, -1] {
            assert_eq!(counts(clock), None, "{clock}");
        }
        let _ = counts(i32::MIN);
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        assert_eq!(words(&timespec(1_000_000_002)), (1, 2));
        assert_eq!(words(&timeval(1_000_002_999)), (1, 2));
        assert_eq!(words(&timespec(u64::MAX)), (18_446_744_073, 709_551_615));
        assert_eq!(words(&bytes(i64::MIN, -1)), (i64::MIN, -1));
        assert_eq!(words(&[]), (0, 0));
        assert_eq!(words(&rusage(3_000_004_000)), (3, 4));
    }
}
