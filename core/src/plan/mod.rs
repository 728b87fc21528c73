//! From a policy to what runs: one program, one dispatch table, one set of virtual files, all from the rules of the
//! capabilities in force. Decides nothing at run time but whom to ask.
#![forbid(unsafe_code)]

mod explained;
mod make;
#[cfg(any(test, feature = "fuzzing"))]
pub mod meaning;
pub(crate) mod required;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub use explained::{Explained, Step, Way};

use crate::capability::{Active, Answer, Check, ExecStop, FaultStop, Files, Preparation, Standing};
use crate::filter::{FilterError, Match, Program, Spec};
use crate::guest::Identity;
pub use crate::landlock::{Granted, LandlockError, granted};
use crate::outcome::{Control, ControlState};
use crate::supervisor::call::Call;
use crate::supervisor::stop::{AtEnd, CallStop};
use crate::sys::probe::Probe;
use crate::trace::{Grounds, Origin};
use crate::{Errno, HandlerError, RunError, Syscall};

/// What a policy compiles to.
pub struct Plan {
    capabilities: Vec<Box<dyn Active>>,
    entries: Vec<Option<Entry>>,
    /// Who works on calls that are stopped where they begin.
    stops: HashMap<Syscall, Vec<Ask>>,
    program: Program,
    /// What the program was made of.
    spec: Spec,
    /// Keeps the virtual files' inodes, so that their numbers are not used again.
    _pins: Vec<OwnedFd>,
    tracked: bool,
    /// Whether guests read their clock without a call.
    within: bool,
    checks: Vec<Check>,
    denied: BTreeSet<Syscall>,
    controls: Vec<Control>,
}

/// Why a policy can't be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A capability can't be had.
    #[error("{capability}: {error}")]
    Start {
        /// Which.
        capability: &'static str,
        /// Why.
        error: crate::capability::StartError,
    },
    /// `without` names no capability.
    #[error("`without` names {name:?}, which is no capability; there are {known}")]
    UnknownCapability {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// `required` names no control.
    #[error("the policy requires {name:?}, which is no control; there are {known}")]
    UnknownControl {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// `required` names a control that the policy doesn't ask for.
    #[error("the policy requires the control `{control}`, and doesn't ask for it")]
    NotAsked {
        /// The control.
        control: String,
    },
    /// The filter can't be assembled.
    #[error("the filter: {0}")]
    Filter(#[from] FilterError),
    /// The kernel's Landlock can't carry it out.
    #[error(transparent)]
    Landlock(#[from] LandlockError),
    /// A call that no filter is asked about ([`Syscall::is_filtered`]).
    #[error(
        "the kernel asks no filter about {0}: no policy can deny or observe it, and no handler can answer it"
    )]
    Unfiltered(Syscall),
    /// Guests are to be followed and may use ptrace: only one of the two can be.
    #[error(
        "a run with a seed, a clock, denied paths, processors of its own, an emulated counter, observed processes or a peak to be measured follows its guests by ptrace; the policy can't also allow ptrace"
    )]
    Ptrace,
    /// A call that is stopped where it begins: nobody else can be asked about it.
    #[error("{capability} stops {call} itself where it begins: nobody else can answer it")]
    Stopped {
        /// Which.
        call: Syscall,
        /// For whom.
        capability: &'static str,
    },
}

/// What becomes of one call.
pub(crate) struct Entry {
    /// By stage.
    asks: Vec<Ask>,
    /// Handlers, in their order.
    pub(crate) handlers: Arc<[usize]>,
    /// How it is performed once all have let it pass.
    pub(crate) perform: Option<Ask>,
    /// Whether it becomes a verdict where all have let it pass.
    pub(crate) shown: bool,
}

/// A rule to ask.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    capability: usize,
    name: &'static str,
    what: What,
    when: &'static [Match],
    /// Whether it is a plain denial, whatever the arguments: in the filter these come before conditional ones.
    denies: bool,
    doc: &'static str,
    pub(crate) grounds: Grounds,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// A rule's handler, or its errno, by place.
    Rule(usize),
    /// The answer to an open of this virtual file, by place and identity.
    File(usize, Identity),
}

impl Ask {
    pub(crate) fn origin(&self) -> Origin {
        Origin::Rule { capability: self.name.into(), rule: self.doc.into() }
    }
}

impl Plan {
    /// The program that every guest is under.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program as the kernel takes it.
    pub(crate) fn filter(&self) -> Vec<libc::sock_filter> {
        let kernel = |this: &crate::filter::Instruction| libc::sock_filter {
            code: this.code,
            jt: this.jt,
            jf: this.jf,
            k: this.k,
        };
        self.program.instructions().iter().map(kernel).collect()
    }

    /// Whether guests are followed by ptrace from birth to end.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }

    /// Whether guests read their clock without a call.
    pub(crate) fn is_read_within(&self) -> bool {
        self.within
    }

    /// Whether the most that guests have at once is to be measured.
    pub(crate) fn measures(&self) -> bool {
        self.capabilities.iter().any(|capability| capability.measures())
    }

    /// The clock that the guests read, if it is not the real one.
    pub(crate) fn clock(&self) -> Option<crate::policy::Clock> {
        self.capabilities.iter().find_map(|capability| capability.clock())
    }

    /// The controls: before a run, in force if their probes succeed.
    pub(crate) fn controls(&self) -> Vec<Control> {
        let mut controls = self.controls.clone();
        for capability in &self.capabilities {
            let control = controls.iter_mut().find(|control| control.name == capability.name());
            if let (Some(control), Some(why)) = (control, capability.lacks()) {
                control.state = ControlState::Unavailable(why);
                control.seen = capability.seen();
            }
        }
        controls
    }

    /// What this host can't give, by control, as far as capabilities know it without a guest.
    pub(crate) fn lacking(&self) -> Vec<(&'static str, String)> {
        let all = self.capabilities.iter();
        all.filter_map(|capability| Some((capability.name(), capability.lacks()?))).collect()
    }

    pub(crate) fn entry(&self, syscall: Syscall) -> Option<&Entry> {
        self.entries.get(syscall.number() as usize)?.as_ref()
    }

    /// Whether some handler may let pass what must then be performed.
    pub(crate) fn has_handlers_before_performing(&self) -> bool {
        self.entries.iter().flatten().any(|entry| !entry.handlers.is_empty() && entry.perform.is_some())
    }

    /// Asks all rules, by stage. The first answer that is not a pass.
    pub(crate) fn judge(&self, call: &mut Call) -> Option<(Ask, Answer)> {
        let syscall = call.syscall();
        for ask in &self.entry(syscall)?.asks {
            let registers = |test: &Match| test.holds(syscall, call.arg(usize::from(test.arg)));
            if !ask.when.iter().all(registers) {
                continue;
            }
            match self.ask(ask, call) {
                Answer::Pass => {}
                answer => return Some((ask.clone(), answer)),
            }
        }
        None
    }

    pub(crate) fn ask(&self, ask: &Ask, call: &mut Call) -> Answer {
        let Some(capability) = self.capabilities.get(ask.capability) else { return Answer::Pass };
        match ask.what {
            What::Rule(rule) => capability.ask(rule, call),
            What::File(file, identity) => match call.opened_identity() {
                Some(opened) if opened == identity => capability.open(file, call),
                _ => Answer::Pass,
            },
        }
    }

    /// Who is to work on a call that was stopped where it begins.
    pub(crate) fn stop(&self, syscall: Syscall, args: &[u64; 6]) -> Option<&Ask> {
        let register = |test: &Match| args.get(usize::from(test.arg)).copied().unwrap_or(0);
        let holds = |ask: &&Ask| ask.when.iter().all(|test| test.holds(syscall, register(test)));
        self.stops.get(&syscall)?.iter().find(holds)
    }

    /// Works on it.
    pub(crate) fn begin(&self, ask: &Ask, stop: &mut CallStop<'_>) -> Result<Option<AtEnd>, Errno> {
        match (self.capabilities.get(ask.capability), ask.what) {
            (Some(capability), What::Rule(rule)) => capability.begin(rule, stop),
            _ => Ok(None),
        }
    }

    /// Lets each capability work on a program before its first instruction.
    pub(crate) fn at_exec(&self, stop: &mut ExecStop<'_>) -> Result<(), (&'static str, Errno)> {
        for capability in &self.capabilities {
            capability.at_exec(stop).map_err(|errno| (capability.name(), errno))?;
        }
        let patcher = self.capabilities.iter().find(|capability| capability.follows_guests());
        stop.write_patches().map_err(|errno| (patcher.map_or("", |capability| capability.name()), errno))
    }

    /// Whether a capability deals with what the processor has refused a guest.
    pub(crate) fn at_fault(&self, stop: &mut FaultStop<'_>) -> Result<bool, Errno> {
        for capability in &self.capabilities {
            if capability.at_fault(stop)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the first guest's process is to do to itself.
    pub(crate) fn preparation(&self) -> Preparation {
        let mut preparation = Preparation::default();
        for capability in &self.capabilities {
            capability.prepare(&mut preparation);
        }
        preparation
    }

    /// Whether a capability has something to do when the first guest stands ready.
    pub(crate) fn acts_at_start(&self) -> bool {
        self.capabilities.iter().any(|capability| capability.acts_at_start())
    }

    /// Lets each capability do it.
    pub(crate) fn at_start(&self, standing: &mut Standing) {
        for capability in &self.capabilities {
            capability.at_start(standing);
        }
    }

    /// The files that guests have seen, where they are shown with numbers of their own: none yet.
    pub(crate) fn files(&self) -> Option<Files> {
        self.capabilities.iter().find_map(|capability| capability.seen_files())
    }

    /// The probes that show that the capabilities are in force: made anew for each run.
    pub(crate) fn probes(&self, own_proc: bool) -> Vec<Probe> {
        make::prove(&self.capabilities, &self.denied, own_proc).0
    }

    /// The files that capabilities make the content of: where they lie, and by which identity they are known.
    pub(crate) fn virtual_files(&self) -> BTreeMap<&'static str, Identity> {
        let asks = self.entries.iter().flatten().flat_map(|entry| &entry.asks);
        asks.filter_map(|ask| match ask.what {
            What::File(_, identity) => Some((ask.doc, identity)),
            What::Rule(_) => None,
        })
        .collect()
    }

    /// Whether the policy denies this call, so that it can't be used to show anything.
    pub(crate) fn denies(&self, call: Syscall) -> bool {
        self.denied.contains(&call)
    }

    /// A probe got through.
    pub(crate) fn not_in_force(&self, probe: usize, result: i64, own_proc: bool) -> RunError {
        let shown = crate::capability::shown_result(result);
        let checks = make::prove(&self.capabilities, &self.denied, own_proc).1;
        let (control, saw) = match checks.iter().find(|check| check.probe == probe) {
            Some(check) => {
                (check.capability.to_owned(), format!("{} gave {shown}, not {}", check.done, check.wanted))
            }
            // The one that the keeper adds.
            None => ("isolation".to_owned(), format!("getpid gave {shown}, not 2")),
        };
        RunError::NotInForce { control, saw }
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("controls", &self.controls)
            .field("tracked", &self.tracked)
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}

impl From<PlanError> for HandlerOrPlan {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

/// Why a plan for a run with handlers can't be made.
#[derive(Debug)]
pub(crate) enum HandlerOrPlan {
    Plan(PlanError),
    Handler(HandlerError),
}

impl From<HandlerOrPlan> for RunError {
    fn from(error: HandlerOrPlan) -> Self {
        match error {
            HandlerOrPlan::Plan(error) => error.into(),
            HandlerOrPlan::Handler(error) => error.into(),
        }
    }
}

type Tables = HashMap<Syscall, Vec<Ask>>;
