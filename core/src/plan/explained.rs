//! What a plan makes of each call, for a reader. Nothing at run time uses it.
#![forbid(unsafe_code)]

use serde::Serialize;

use super::{Ask, Plan, What};
use crate::Syscall;
use crate::capability::{ActiveThen, Stage};
use crate::filter::{Action, Match};
use crate::outcome::Control;
use crate::trace::Grounds;

/// Which way a call goes, where none of its conditions ends it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It runs in the kernel, and nobody sees it.
    Runs,
    /// The filter makes it fail.
    Fails,
    /// The supervisor makes it fail, as the filter would, because somebody looks.
    Refused,
    /// It runs in the kernel, once it was seen.
    Seen,
    /// The supervisor asks who is to answer.
    Asked,
    /// The supervisor makes it on the guest's behalf, once all have let it pass.
    Performed,
    /// It runs in the kernel, and the tracker stops it where it begins.
    Stopped,
}

impl Way {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Runs, Self::Fails, Self::Refused, Self::Seen, Self::Asked, Self::Performed, Self::Stopped];

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Runs => "runs unseen",
            Self::Fails => "fails in the filter",
            Self::Refused => "refused by the supervisor",
            Self::Seen => "seen in passing",
            Self::Asked => "asked about",
            Self::Performed => "performed",
            Self::Stopped => "stopped where it begins",
        }
    }

    /// What it costs a call, besides the call itself: as the page of the architecture counts it.
    #[must_use]
    pub fn cost(self) -> &'static str {
        match self {
            Self::Runs => "some 70 ns, for the filter",
            Self::Fails => "nothing that the call itself would not cost",
            Self::Refused => "receive, send",
            Self::Seen => "receive, send; `process_vm_readv` if a sink wants the path",
            Self::Asked => "receive, still waiting?, `process_vm_writev`, send",
            Self::Performed => {
                "receive, `process_vm_readv`, still waiting?, `statx`, `openat2`, `fstat`, `fcntl`, inject, send, close"
            }
            Self::Stopped => "two stops",
        }
    }
}

/// One step of what becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Step {
    /// When it is asked; `None`: it is the filter's.
    pub stage: Option<Stage>,
    /// The capability whose rule it is; `None`: the filter's own line.
    pub capability: Option<&'static str>,
    /// The conditions on registers, in words.
    pub when: Vec<String>,
    /// What is then done: `EPERM`, `asked`, `performed`, `stopped`, `runs`.
    pub then: String,
    /// What the rule is for.
    pub doc: &'static str,
}

/// What becomes of one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Which.
    pub call: Syscall,
    /// Which way it goes, where no condition ends it before.
    pub way: Way,
    /// The filter's cases, in the order in which they are tried.
    pub filter: Vec<Step>,
    /// Whom the supervisor asks, in order.
    pub asked: Vec<Step>,
}

impl Plan {
    /// What becomes of each call that the plan says something of, by number. All others run unseen.
    #[must_use]
    pub fn explain(&self) -> Vec<Explained> {
        self.spec.calls().map(|call| self.explain_call(call)).collect()
    }

    /// Which way this call goes, where none of its conditions ends it before.
    #[must_use]
    pub fn way(&self, call: Syscall) -> Way {
        match self.spec.cases(call).last().map(|case| case.then) {
            Some(Action::Errno(_) | Action::Kill) => Way::Fails,
            Some(Action::Stop) => Way::Stopped,
            Some(Action::Ask) => match self.entry(call) {
                Some(entry) if entry.asks.iter().any(|ask| ask.denies) => Way::Refused,
                Some(entry) if entry.perform.is_some() => Way::Performed,
                Some(entry) if entry.handlers.is_empty() && entry.asks.iter().all(looks) => Way::Seen,
                _ => Way::Asked,
            },
            _ => Way::Runs,
        }
    }

    /// The controls as they are before a run: what can be shown by a probe is shown in the run itself.
    #[must_use]
    pub fn planned_controls(&self) -> &[Control] {
        &self.controls
    }

    fn explain_call(&self, call: Syscall) -> Explained {
        let filter = self.spec.cases(call).into_iter().map(|case| {
            let (by, doc) = self.source(call, &case.when, case.then);
            Step {
                stage: None,
                capability: by,
                when: words(call, &case.when),
                then: match case.then {
                    Action::Allow => "runs".to_owned(),
                    Action::Ask => "asked".to_owned(),
                    Action::Stop => "stopped".to_owned(),
                    Action::Errno(errno) => errno.to_string(),
                    Action::Kill => "killed".to_owned(),
                },
                doc,
            }
        });
        let entry = self.entry(call);
        let asks = entry.iter().flat_map(|entry| &entry.asks).map(|ask| self.step(call, ask, "asked"));
        let performed =
            entry.and_then(|entry| entry.perform.as_ref()).map(|ask| self.step(call, ask, "performed"));
        let stops = self.stops.get(&call).into_iter().flatten().map(|ask| self.step(call, ask, "stopped"));
        Explained {
            call,
            way: self.way(call),
            filter: filter.collect(),
            asked: asks.chain(performed).chain(stops).collect(),
        }
    }

    fn step(&self, call: Syscall, ask: &Ask, then: &str) -> Step {
        let capability = self.capabilities.get(ask.capability);
        let errno = match (ask.what, capability) {
            (What::Rule(place), Some(capability)) => {
                match capability.rules().get(place).map(|rule| rule.then) {
                    Some(ActiveThen::Errno(errno)) => Some(errno.to_string()),
                    _ => None,
                }
            }
            _ => None,
        };
        Step {
            stage: capability.map(|capability| capability.stage()),
            capability: Some(ask.name),
            when: words(call, ask.when),
            then: errno.unwrap_or_else(|| then.to_owned()),
            doc: ask.doc,
        }
    }

    /// Whose rule a denial in the filter is.
    fn source(&self, call: Syscall, when: &[Match], then: Action) -> (Option<&'static str>, &'static str) {
        let Action::Errno(errno) = then else { return (None, "") };
        for capability in &self.capabilities {
            for rule in capability.rules() {
                let same = rule.then == ActiveThen::Errno(errno) && rule.when == when;
                if same && rule.calls.contains(&call) {
                    return (Some(capability.name()), rule.doc);
                }
            }
        }
        (None, "")
    }
}

/// Whether it changes nothing.
fn looks(ask: &Ask) -> bool {
    ask.grounds == Grounds::NotSecurity
}

fn words(call: Syscall, when: &[Match]) -> Vec<String> {
    when.iter().map(|test| test.describe(call)).collect()
}
