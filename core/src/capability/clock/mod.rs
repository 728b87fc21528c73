//! The guests' clock: where it stands is for the run's time (`core/src/supervisor/time.rs`); here is every way to read
//! it, to wait for it and to set a timer by it.
//!
//! A guest reads a clock that need not run as the real one by itself, where nobody wants to see that: at each exec the vDSO's
//! functions are led to code that does (`core/src/sys/reader.rs`). All other readings are answered by the supervisor.
//! Waiting runs in the kernel, between two stops: see `waiting.rs`.
#![forbid(unsafe_code)]

mod process;
mod reading;
mod timer;
mod value;
mod waiting;

use super::{
    Answer, AtExec, Call, Calls, Capability, ExecStop, HandlerFn, Proof, Rule, Stage, StartError, StopFn,
    Then, VirtualFile,
};
use crate::filter::Match;
use crate::policy::{Clock, ClockMode};
use crate::supervisor::time::UPTIME;
use crate::sys::probe::{Expect, ProbeArg};
use crate::sys::{reader, vdso};
use crate::syscall::{Family, Sysno, family};
use crate::trace::Grounds;
use crate::{Errno, Policy, Syscall};

pub(super) struct VirtualClock {
    clock: Clock,
    /// Whether somebody wants to see the readings, or to refuse them.
    seen: bool,
}

/// The calls that guests work out by themselves.
const WITHIN: &[&Family] = &[&family::CLOCK_GETTIME, &family::GETTIMEOFDAY, &family::TIME];

const fn read(calls: &'static Family, by: HandlerFn<VirtualClock>, doc: &'static str) -> Rule<VirtualClock> {
    Rule { calls: Calls::Family(calls), when: &[], then: Then::Ask { by, grounds: Grounds::Time }, doc }
}

const fn stop(
    calls: &'static Family,
    when: &'static [Match],
    by: StopFn<VirtualClock>,
    doc: &'static str,
) -> Rule<VirtualClock> {
    Rule { calls: Calls::Family(calls), when, then: Then::Stop { by }, doc }
}

// These say of a rule that it concerns only a clock that need not run as the real one.
const LENGTH: &str = "the caller's clock has moved on when the time is over";
const USED: &str = "tells of the processor's virtual time";
const LEFT: &str = "tells how long the timer still runs by the caller's clock";
const CHILD: &str = "the caller's clock is then at least the child's, and tells of its virtual time";

const EXECUTES: &str = "what the caller has read without a call is taken note of, before its memory is gone";
const PROCESS: &str = "a guest's `stat` and `schedstat`, on whatever procfs, tell of its virtual times";
const UNTIL: &str =
    "the time is one that the kernel doesn't know: it waits for as long as it takes until then";
const TIMER: &str = "the timer runs in real time, from the time that the caller knows";
const NONE: u64 = u32::MAX as u64;
const COMMAND: u64 = 0x7f;

impl Capability for VirtualClock {
    const NAME: &'static str = "clock";
    const STAGE: Stage = Stage::Synthesize;
    const PROMISE: &'static str = "The guests' time begins where the policy says, and goes on as it says, for each process by \
        itself: every clock, by the vDSO or a call, shows the same time. CLOCK_MONOTONIC and CLOCK_BOOTTIME begin at 1000 s, \
        and CLOCK_TAI is CLOCK_REALTIME, as where nobody has set the difference. Sleeps, time limits and timers end when \
        the guest's own clock says so; of a clock that need not run as the real one, a sleep takes no time while nobody \
        can run and no timer is set, and where guests run one at a time, sleeps and time limits end in its order, each while nobody \
        can run. Who waits for a guest that never waits goes on when guests have computed for three seconds after its time. \
        A frozen and a logical clock tell of a process that it used the processor for as long as its readings took, all its threads together, and of nothing else that it used. Such a clock is read without a call, \
        from words in the guest's own memory, unless a timer is set, a reading is to be seen, answered by a handler, or denied, \
        or the guests have no namespaces.";
    const RULES: &'static [Rule<Self>] = &[
        read(&family::CLOCK_GETTIME, Self::clock_gettime, "every clock shows the guests' time"),
        read(&family::GETTIMEOFDAY, Self::gettimeofday, "shows the guests' time, in Greenwich"),
        read(&family::TIME, Self::time, "shows the guests' time"),
        read(&family::CLOCK_GETRES, Self::clock_getres, "the same on every host"),
        read(&family::TIMES, Self::times, "ticks of the guests' time"),
        read(&family::GETRUSAGE, Self::getrusage, USED),
        Rule {
            calls: Calls::Family(&family::EXEC),
            when: &[],
            then: Then::Ask { by: Self::executes, grounds: Grounds::NotSecurity },
            doc: EXECUTES,
        },
        Rule {
            calls: Calls::Family(&family::OPEN),
            when: &[],
            then: Then::Ask { by: Self::opens, grounds: Grounds::Pinned },
            doc: PROCESS,
        },
        stop(&family::NANOSLEEP, &[], Self::nanosleep, LENGTH),
        stop(&family::CLOCK_NANOSLEEP, &[Match::no_bit(1, 1)], Self::sleep_for, LENGTH),
        stop(&family::CLOCK_NANOSLEEP, &[Match::any_bit(1, 1)], Self::sleep_until, UNTIL),
        stop(&family::RESTART, &[], Self::restart, LENGTH),
        stop(&family::POLL, &[Match::ne(2, 0), Match::ne(2, NONE)], Self::poll, LENGTH),
        stop(&family::PPOLL, &[Match::ne(2, 0)], Self::ppoll, LENGTH),
        stop(&family::SELECT, &[Match::ne(4, 0)], Self::select, LENGTH),
        stop(&family::PSELECT, &[Match::ne(4, 0)], Self::pselect, LENGTH),
        stop(&family::EPOLL_WAIT, &[Match::ne(3, 0), Match::ne(3, NONE)], Self::epoll_wait, LENGTH),
        stop(&family::EPOLL_PWAIT2, &[Match::ne(3, 0)], Self::epoll_pwait2, LENGTH),
        stop(&family::SIGNAL_WAIT, &[Match::ne(2, 0)], Self::signal_wait, LENGTH),
        stop(&family::AIO_WAIT, &[Match::ne(4, 0)], Self::aio_wait, LENGTH),
        stop(&family::SEMAPHORE_WAIT, &[Match::ne(3, 0)], Self::semaphore_wait, LENGTH),
        stop(
            &family::FUTEX,
            &[Match::masked_eq(1, COMMAND, libc::FUTEX_WAIT as u64), Match::ne(3, 0)],
            Self::futex_for,
            LENGTH,
        ),
        stop(
            &family::FUTEX,
            &[Match::masked_eq(1, COMMAND, libc::FUTEX_WAIT_BITSET as u64), Match::ne(3, 0)],
            Self::futex_until,
            UNTIL,
        ),
        stop(
            &family::FUTEX,
            &[Match::masked_eq(1, COMMAND, libc::FUTEX_LOCK_PI as u64), Match::ne(3, 0)],
            Self::futex_until,
            "the time of a lock with an owner is one that the kernel doesn't know",
        ),
        stop(
            &family::FUTEX,
            &[Match::masked_eq(1, COMMAND, libc::FUTEX_LOCK_PI2 as u64), Match::ne(3, 0)],
            Self::futex_until,
            "the time of a lock with an owner, on any clock, is one that the kernel doesn't know",
        ),
        stop(
            &family::FUTEX,
            &[Match::masked_eq(1, COMMAND, libc::FUTEX_WAIT_REQUEUE_PI as u64), Match::ne(3, 0)],
            Self::futex_until,
            "the time of a wait for a lock with an owner is one that the kernel doesn't know",
        ),
        stop(&family::FUTEX_WAIT, &[Match::ne(4, 0)], Self::futex_wait, UNTIL),
        stop(&family::FUTEX_WAITV, &[Match::ne(3, 0)], Self::futex_waitv, UNTIL),
        stop(&family::MESSAGE_WAIT, &[Match::ne(4, 0)], Self::message_wait, UNTIL),
        stop(&family::ALARM, &[], Self::alarm, LENGTH),
        stop(&family::SETITIMER, &[], Self::setitimer, LENGTH),
        stop(&family::GETITIMER, &[], Self::getitimer, LEFT),
        stop(&family::TIMER_CREATE, &[], Self::timer_create, TIMER),
        stop(&family::TIMER_SETTIME, &[], Self::timer_settime, TIMER),
        stop(&family::TIMER_GETTIME, &[], Self::timer_gettime, LEFT),
        stop(&family::TIMER_DELETE, &[], Self::timer_delete, TIMER),
        stop(&family::TIMERFD_SETTIME, &[], Self::timerfd_settime, TIMER),
        stop(&family::TIMERFD_GETTIME, &[], Self::timerfd_gettime, LEFT),
        stop(&family::WAIT_BY_NUMBER, &[], Self::wait_by_number, CHILD),
        stop(&family::WAIT_BY_ID, &[], Self::wait_by_id, CHILD),
    ];
    const FILES: &'static [VirtualFile<Self>] =
        &[VirtualFile { path: "/proc/uptime", open: Self::uptime, doc: "the guests' time since 1000 s" }];
    const AT_EXEC: Option<AtExec<Self>> = Some(Self::at_exec);

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let named = |call| policy.observe.calls.contains(&call) || policy.syscalls.deny.contains(&call);
        let seen = policy.observe.readings || WITHIN.iter().flat_map(|family| family.syscalls()).any(named);
        Ok(policy.clock.map(|clock| Self { clock, seen }))
    }

    fn applies(&self, rule: &Rule<Self>, _: Syscall) -> bool {
        match rule.doc {
            LENGTH | LEFT | USED | CHILD => !self.is_real(),
            EXECUTES => !self.within().is_empty(),
            _ => true,
        }
    }

    fn within(&self) -> &'static [&'static Family] {
        if self.is_real() || self.seen { &[] } else { WITHIN }
    }

    fn clock(&self) -> Option<Clock> {
        Some(self.clock)
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        let step = match self.clock.mode {
            ClockMode::Logical { step } => step,
            ClockMode::Frozen | ClockMode::Offset => std::time::Duration::ZERO,
        };
        let later = UPTIME.saturating_add(step);
        let start = self.clock.start;
        for (clock, name, shown) in [
            (libc::CLOCK_REALTIME, "CLOCK_REALTIME", (start.seconds, start.nanoseconds)),
            (libc::CLOCK_MONOTONIC, "CLOCK_MONOTONIC", (later.as_secs().cast_signed(), later.subsec_nanos())),
        ] {
            let number = |number: i32| ProbeArg::Number(i64::from(number).cast_unsigned());
            let args = [
                number(clock),
                ProbeArg::memory(&[0; value::TIME]),
                number(0),
                number(0),
                number(0),
                number(0),
            ];
            let bytes = value::bytes(shown.0, shown.1.into()).to_vec();
            let expect = Expect { result: 0, memory: Some((1, 0, bytes)) };
            let wanted = format!("{}.{:09}", shown.0, shown.1);
            proof.expect(Syscall::of(Sysno::clock_gettime), args, expect, name, wanted);
        }
    }
}

impl VirtualClock {
    fn is_real(&self) -> bool {
        self.clock.mode == ClockMode::Offset
    }

    /// The old program's readings are taken with its time.
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)] // the shape of every handler
    fn executes(&self, call: &mut Call) -> Answer {
        let _ = call.with_time(|_, _| ());
        Answer::Pass
    }

    /// Has the vDSO's functions read the guests' clock, or make the call that does the same.
    #[allow(clippy::unused_self)] // the shape of every such function
    fn at_exec(&self, stop: &mut ExecStop<'_>) -> Result<(), Errno> {
        for (offset, code) in vdso::clocks().ok_or(Errno::ENOSYS)? {
            stop.patch(*offset, *code);
        }
        // What is patched last is what stands there.
        if reader::has_room()
            && let Some(words) = stop.share_time()?
        {
            for (offset, code) in reader::code(value::shown(), words).ok_or(Errno::ENOSYS)? {
                stop.patch(offset, code);
            }
        }
        Ok(())
    }
}
