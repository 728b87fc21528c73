//! How many guests live at once, and how much memory one of them has: measured. It changes no answer.
//!
//! What it counts stands in `core/src/supervisor/peak.rs`: births, programs and ends are the tracker's to see.
#![forbid(unsafe_code)]

use super::{Answer, Calls, Capability, Rule, Stage, StartError, Then};
use crate::filter::Match;
use crate::supervisor::call::Call;
use crate::syscall::family;
use crate::trace::Grounds;
use crate::{Errno, Policy};

pub(super) struct Measured;

impl Measured {
    #[allow(clippy::unused_self)] // the shape of every handler
    fn executes(&self, call: &mut Call) -> Answer {
        call.measure_memory();
        Answer::Pass
    }
}

impl Capability for Measured {
    const NAME: &'static str = "peak";
    const STAGE: Stage = Stage::Account;
    const PROMISE: &'static str = "How many guests live at once, and the largest resident set that one of them had, is measured, also \
        of those that are killed. Guests are followed by ptrace, and stop once more when they end. Verdicts do not show it.";
    const RULES: &'static [Rule<Self>] = &[
        Rule {
            calls: Calls::Family(&family::EXEC),
            when: &[],
            then: Then::Ask { by: Self::executes, grounds: Grounds::NotSecurity },
            doc: "how much memory the caller has had is taken note of, before that memory is gone",
        },
        Rule {
            calls: Calls::Family(&family::CLONE),
            when: &[Match::any_bit(0, libc::CLONE_UNTRACED as u64)],
            then: Then::Errno(Errno::EPERM),
            doc: "hides a process from whoever counts them, also where the policy allows the call",
        },
    ];
    const SHOWS: bool = false;

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        if !policy.observe.peak {
            return Ok(None);
        }
        match policy.syscalls.allow.iter().find(|call| family::CLONE3.contains(**call)) {
            Some(call) => Err(StartError::Value {
                what: "syscalls.allow",
                why: format!(
                    "lets guests make processes by {call}, whose flags lie in memory and can hide one: no peak can be measured then"
                ),
            }),
            None => Ok(Some(Self)),
        }
    }

    fn follows_guests(&self) -> bool {
        true
    }

    fn measures(&self) -> bool {
        true
    }
}
