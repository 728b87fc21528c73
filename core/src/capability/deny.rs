//! The calls that this policy denies.
#![forbid(unsafe_code)]

use super::{Answer, Calls, Capability, Rule, Stage, StartError, Then};
use crate::supervisor::call::Call;
use crate::syscall::family;
use crate::trace::Grounds;
use crate::{Errno, Policy, Syscall};

pub(super) struct Deny {
    calls: Vec<Syscall>,
}

impl Deny {
    fn listed(&self) -> Vec<Syscall> {
        self.calls.iter().copied().filter(|call| !is_exec(*call)).collect()
    }

    fn listed_exec(&self) -> Vec<Syscall> {
        self.calls.iter().copied().filter(|call| is_exec(*call)).collect()
    }

    /// The guest is started by an exec of its own, which no program of its making has a part in.
    fn later_exec(&self, call: &mut Call) -> Answer {
        if call.is_start() { Answer::Pass } else { Answer::errno(Errno::EPERM) }
    }
}

fn is_exec(call: Syscall) -> bool {
    family::EXEC.calls.contains(&call.sysno())
}

impl Capability for Deny {
    const NAME: &'static str = "deny";
    const STAGE: Stage = Stage::Guard;
    const PROMISE: &'static str = "Calls that the policy denies by name or by family fail with EPERM.";
    const RULES: &'static [Rule<Self>] = &[
        Rule {
            calls: Calls::Listed(Self::listed),
            when: &[],
            then: Then::Errno(Errno::EPERM),
            doc: "denied by the policy",
        },
        Rule {
            calls: Calls::Listed(Self::listed_exec),
            when: &[],
            then: Then::Ask { by: Self::later_exec, grounds: Grounds::Registers },
            doc: "denied by the policy, once the command itself runs",
        },
    ];

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let calls: Vec<_> = policy.syscalls.deny.iter().copied().collect();
        if let Some(both) = calls.iter().find(|call| policy.syscalls.allow.contains(call)) {
            return Err(StartError::Value {
                what: "syscalls.deny",
                why: format!("names {both}, which syscalls.allow allows"),
            });
        }
        Ok((!calls.is_empty()).then_some(Self { calls }))
    }
}
