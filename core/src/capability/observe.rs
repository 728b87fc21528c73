//! Makes calls visible that would otherwise be decided without an event. It changes no answer.
#![forbid(unsafe_code)]

use super::{Answer, Calls, Capability, Rule, Stage, StartError, Then};
use crate::supervisor::call::Call;
use crate::trace::Grounds;
use crate::{Policy, Syscall};

pub(super) struct Observed {
    calls: Vec<Syscall>,
}

impl Observed {
    fn calls(&self) -> Vec<Syscall> {
        self.calls.clone()
    }

    #[allow(clippy::unused_self)] // the shape of every handler
    fn show(&self, _: &mut Call) -> Answer {
        Answer::Pass
    }
}

impl Capability for Observed {
    const NAME: &'static str = "observe";
    const STAGE: Stage = Stage::Account;
    const PROMISE: &'static str =
        "Calls that somebody wants to see become verdicts. Their answer does not change.";
    const RULES: &'static [Rule<Self>] = &[Rule {
        calls: Calls::Listed(Self::calls),
        when: &[],
        then: Then::Ask { by: Self::show, grounds: Grounds::NotSecurity },
        doc: "asked for by the observer",
    }];

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let calls: Vec<_> = policy.observe.calls.iter().copied().collect();
        Ok((!calls.is_empty()).then_some(Self { calls }))
    }
}
