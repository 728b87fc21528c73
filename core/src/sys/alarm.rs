//! A limit to how long one thread waits in the kernel, for calls that take none.

use std::ptr;
use std::time::Duration;

use super::thread;
use crate::Errno;

/// A signal that came too early is followed by another no earlier than this: the thread must get to do something between them.
const AGAIN: Duration = Duration::from_millis(1);

/// A timer that interrupts the thread which made it (`man 2 timer_create`). Nobody else can have it.
pub(crate) struct Alarm {
    timer: libc::timer_t,
}

impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    /// `EAGAIN`: the user has as many timers and queued signals as he may (`RLIMIT_SIGPENDING`).
    pub(crate) fn new() -> Result<Self, Errno> {
        // SAFETY: all zero is a valid value of this plain struct.
        let mut event = unsafe { std::mem::zeroed::<libc::sigevent>() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = thread::INTERRUPTION;
        event.sigev_notify_thread_id = thread::id().cast_signed();
        let mut timer = ptr::null_mut();
        // SAFETY: both pointers lead to live values.
        let made = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
        if made < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(Self { timer }) }
    }

    /// Does `work`, whose waiting in the kernel ends with `EINTR` when so much time is over, as long as the thread
    /// [can be interrupted](thread::can_be_interrupted).
    pub(crate) fn within<T>(&self, time: Duration, work: impl FnOnce() -> T) -> T {
        // The first signal may come before the thread waits: there are more.
        self.set(time.max(Duration::from_nanos(1)), time.max(AGAIN));
        let result = thread::interruptible(work);
        self.set(Duration::ZERO, Duration::ZERO);
        result
    }

    fn set(&self, first: Duration, then: Duration) {
        let timespec = |time: Duration| libc::timespec {
            tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        let both = libc::itimerspec { it_interval: timespec(then), it_value: timespec(first) };
        // SAFETY: the timer is there as long as this; the setting lives on this stack.
        unsafe { libc::timer_settime(self.timer, 0, &raw const both, ptr::null_mut()) };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: nothing uses it after this.
        unsafe { libc::timer_delete(self.timer) };
    }
}

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_wait_ends_when_its_time_is_over() {
        let alarm = Alarm::new().unwrap();
        let (read, _write) = std::io::pipe().unwrap();
        let wait = || rustix::io::read(&read, &mut [0; 1]);
        for _ in 0..100 {
            let since = Instant::now();
            let ended = alarm.within(Duration::from_millis(1), wait);
            assert_eq!(ended, Err(rustix::io::Errno::INTR));
            assert!(since.elapsed() >= Duration::from_millis(1));
        }
    }

    #[test]
    fn what_ends_earlier_is_not_disturbed() {
        let alarm = Alarm::new().unwrap();
        assert_eq!(alarm.within(Duration::from_secs(600), || 7), 7);
        // Nothing comes afterwards.
        alarm.within(Duration::from_micros(1), || ());
        let mut byte = [0; 1];
        let (read, write) = std::io::pipe().unwrap();
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            rustix::io::write(&write, b"x")
        });
        assert_eq!(rustix::io::read(&read, &mut byte), Ok(1));
        assert_eq!(late.join().unwrap(), Ok(1));
    }
}
