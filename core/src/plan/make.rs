//! Makes a plan: asks each capability for its rules, and derives everything else from them.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, fstat, open};

use super::required::{asked, available};
use super::{Ask, Entry, HandlerOrPlan, Plan, PlanError, Tables, What};
use crate::capability::{self, Active, ActiveThen, Check, Proof, Stage};
use crate::filter::{Action, Case, Spec, assemble};
use crate::guest::Identity;
use crate::outcome::{self, Control, ControlState};
use crate::policy::Policy;
use crate::sys::probe::Probe;
use crate::syscall::{Sysno, family};
use crate::trace::Grounds;
use crate::{Errno, HandlerError, RunError, Syscall};

impl Plan {
    /// The plan of this policy, without handlers.
    ///
    /// # Errors
    /// [`PlanError`]: something that was asked for can't be had.
    pub fn of(policy: &Policy) -> Result<Self, PlanError> {
        match Self::make(policy, &[]) {
            Ok(plan) => Ok(plan),
            Err(HandlerOrPlan::Plan(error)) => Err(error),
            // Without handlers none can be refused.
            Err(HandlerOrPlan::Handler(_)) => Err(PlanError::Ptrace),
        }
    }

    /// The plan of this policy with handlers, each given by the call it is attached to: as a run makes it.
    ///
    /// # Errors
    /// What a run gives before anything is started: [`RunError::Plan`], [`RunError::Handler`] and [`RunError::Unavailable`].
    pub fn with_handlers(policy: &Policy, handlers: &[Syscall]) -> Result<Self, RunError> {
        let plan = Self::make(policy, handlers)?;
        available(policy, plan.lacking().iter().map(|(name, why)| (*name, why.as_str())))?;
        Ok(plan)
    }

    /// The plan of this policy with these handlers, whether or not the host can give all of it.
    pub(crate) fn make(policy: &Policy, handlers: &[Syscall]) -> Result<Self, HandlerOrPlan> {
        let named = policy.syscalls.deny.iter().chain(&policy.observe.calls).chain(handlers);
        if let Some(call) = named.copied().find(|call| !call.is_filtered()) {
            return Err(PlanError::Unfiltered(call).into());
        }
        let (capabilities, controls) = start(policy)?;
        asked(policy, &controls)?;
        let mut making = Making {
            policy,
            spec: BTreeMap::new(),
            asks: HashMap::new(),
            performs: HashMap::new(),
            stops: HashMap::new(),
            denied: HashMap::new(),
        };
        for (index, capability) in capabilities.iter().enumerate() {
            making.add(index, capability.as_ref());
        }
        let pins = making.add_files(&capabilities);
        making.settle_performing();
        making.settle_stops()?;
        let attached = making.attach(handlers)?;
        let tracked =
            policy.observe.processes || capabilities.iter().any(|capability| capability.follows_guests());
        if tracked && policy.syscalls.allow.contains(&Syscall::of(Sysno::ptrace)) {
            return Err(PlanError::Ptrace.into());
        }
        let alone = |call: Syscall| {
            making.asks.get(&call).is_some_and(|asks| asks.len() == 1) && !attached.contains_key(&call)
        };
        let mut within = capabilities.iter().flat_map(|capability| capability.within()).peekable();
        let within = within.peek().is_some() && within.flat_map(|family| family.syscalls()).all(alone);
        let mut spec = Spec::new();
        for (call, cases) in making.spec {
            for case in cases {
                spec.add(call, case).map_err(PlanError::from)?;
            }
        }
        let program = assemble(&spec).map_err(PlanError::from)?;
        let denied = policy.syscalls.deny.clone();
        let (_, checks) = prove(&capabilities, &denied, true);
        let stops = making.stops;
        let entries = entries(making.asks, making.performs, attached, &capabilities);
        let controls = shown(controls, &checks);
        Ok(Self {
            capabilities,
            entries,
            stops,
            program,
            spec,
            _pins: pins,
            tracked,
            within,
            checks,
            denied,
            controls,
        })
    }
}

/// The probes that show that these capabilities are in force, and what each shows. `own_proc`: whether guests have a procfs
/// of their own, where that was asked for.
pub(super) fn prove(
    capabilities: &[Box<dyn Active>],
    denied: &BTreeSet<Syscall>,
    own_proc: bool,
) -> (Vec<Probe>, Vec<Check>) {
    let mut probes = Vec::new();
    let mut checks = Vec::new();
    let mut proof = Proof { capability: "", probes: &mut probes, checks: &mut checks, denied, own_proc };
    for capability in capabilities {
        capability.prove(&mut proof);
    }
    (probes, checks)
}

pub(super) type Started = (Vec<Box<dyn Active>>, Vec<Control>);

pub(super) fn start(policy: &Policy) -> Result<Started, PlanError> {
    let names = || capability::ALL.iter().map(|declared| declared.name).chain([outcome::ISOLATION]);
    if let Some(name) = policy.without.iter().find(|name| names().all(|known| known != name.as_str())) {
        let known = names().collect::<Vec<_>>().join(", ");
        return Err(PlanError::UnknownCapability { name: name.clone(), known });
    }
    let mut started = Vec::new();
    let mut controls = Vec::new();
    for declared in capability::ALL {
        let state = if policy.without.contains(declared.name) {
            ControlState::LeftOut
        } else {
            let error = |error| PlanError::Start { capability: declared.name, error };
            match (declared.start)(policy).map_err(error)? {
                Some(capability) => {
                    started.push(capability);
                    ControlState::InForce(String::new())
                }
                None => ControlState::NotAsked,
            }
        };
        controls.push(Control::new(declared.name, state));
    }
    // Order is stage, never the order of the list.
    started.sort_by_key(|capability| capability.stage());
    Ok((started, controls))
}

struct Making<'a> {
    policy: &'a Policy,
    spec: BTreeMap<Syscall, Vec<Case>>,
    asks: Tables,
    performs: HashMap<Syscall, Ask>,
    /// Calls that are stopped where they begin.
    stops: Tables,
    /// Calls that no guest may make, whatever their arguments, and by which rule of which capability.
    denied: HashMap<Syscall, (&'static str, &'static str)>,
}

impl Making<'_> {
    fn add(&mut self, index: usize, capability: &dyn Active) {
        for (place, rule) in capability.rules().into_iter().enumerate() {
            let (grounds, action) = match rule.then {
                ActiveThen::Errno(errno) => (Grounds::Registers, Action::Errno(errno)),
                ActiveThen::Ask(grounds) => (grounds, Action::Ask),
                ActiveThen::Perform => (Grounds::Pinned, Action::Ask),
                ActiveThen::Stop => (Grounds::Noted, Action::Stop),
            };
            for call in rule.calls {
                let ask = Ask {
                    capability: index,
                    name: capability.name(),
                    what: What::Rule(place),
                    when: rule.when,
                    denies: rule.when.is_empty() && matches!(rule.then, ActiveThen::Errno(_)),
                    doc: rule.doc,
                    grounds,
                };
                if rule.then == ActiveThen::Perform {
                    self.performs.insert(call, ask);
                    continue;
                }
                if rule.then == ActiveThen::Stop {
                    self.stops.entry(call).or_default().push(ask);
                    self.spec.entry(call).or_default().push(Case::when(rule.when, action));
                    continue;
                }
                if rule.when.is_empty() && matches!(rule.then, ActiveThen::Errno(_)) {
                    self.denied.entry(call).or_insert((capability.name(), rule.doc));
                }
                // What the kernel denies by itself is invisible: for an observer the supervisor gives the same answer.
                let action = match action {
                    Action::Errno(errno) if !self.is_observed(call, errno) => Action::Errno(errno),
                    _ => {
                        self.asks.entry(call).or_default().push(ask);
                        Action::Ask
                    }
                };
                self.spec.entry(call).or_default().push(Case::when(rule.when, action));
            }
        }
    }

    fn is_observed(&self, call: Syscall, errno: Errno) -> bool {
        // ENOSYS is no denial: the call does not exist here, and libc falls back to another.
        self.policy.observe.calls.contains(&call) || self.policy.observe.denials && errno != Errno::ENOSYS
    }

    /// Every open must be looked at, if a capability has files of its own. Gives what keeps their identities.
    fn add_files(&mut self, capabilities: &[Box<dyn Active>]) -> Vec<std::os::fd::OwnedFd> {
        let mut pins = Vec::new();
        for (index, capability) in capabilities.iter().enumerate() {
            for (place, file) in capability.files().into_iter().enumerate() {
                // One that doesn't exist on this host can't be opened either.
                let Ok(pin) = open(file.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else {
                    continue;
                };
                let Ok(stat) = fstat(pin.as_fd()) else { continue };
                pins.push(pin);
                let ask = Ask {
                    capability: index,
                    name: capability.name(),
                    what: What::File(place, Identity { dev: stat.st_dev, ino: stat.st_ino }),
                    when: &[],
                    denies: false,
                    doc: file.path,
                    grounds: Grounds::Pinned,
                };
                for call in family::OPEN.syscalls() {
                    self.asks.entry(call).or_default().push(ask.clone());
                    self.spec.entry(call).or_default().push(Case::always(Action::Ask));
                }
            }
        }
        pins
    }

    /// A call that is refused is not stopped, also where somebody watches and the supervisor refuses it: the filter would
    /// stop it instead. Whoever only looks is shown the stop. Nobody else can be asked.
    fn settle_stops(&mut self) -> Result<(), PlanError> {
        let is_refused = |ask: &Ask| ask.denies;
        let only_looks = |ask: &Ask| ask.grounds == Grounds::NotSecurity;
        for (call, stops) in std::mem::take(&mut self.stops) {
            let asks = self.asks.get(&call).map_or(&[][..], Vec::as_slice);
            if asks.iter().any(is_refused) {
                if let Some(cases) = self.spec.get_mut(&call) {
                    cases.retain(|case| case.then != Action::Stop);
                }
            } else if asks.iter().all(only_looks) {
                self.stops.insert(call, stops);
            } else {
                let capability = stops.first().map_or("", |stop| stop.name);
                return Err(PlanError::Stopped { call, capability });
            }
        }
        Ok(())
    }

    /// A call is performed where a rule judges what its path led to, or where its true result is to be seen.
    fn settle_performing(&mut self) {
        let observe = &self.policy.observe;
        let wanted: BTreeSet<Syscall> = self
            .performs
            .keys()
            .copied()
            .filter(|call| {
                let pinned = self
                    .asks
                    .get(call)
                    .is_some_and(|asks| asks.iter().any(|ask| ask.grounds == Grounds::Pinned));
                let open = family::OPEN.contains(*call);
                let seen = observe.calls.contains(call) && !observe.in_passing;
                pinned || seen || open && observe.denials
            })
            .collect();
        self.performs.retain(|call, _| wanted.contains(call));
        for call in &wanted {
            self.spec.entry(*call).or_default().push(Case::always(Action::Ask));
        }
        // The umask matters to whoever creates files for a guest.
        let creates = [&family::OPEN, &family::MKDIR, &family::MKNOD];
        if wanted.iter().all(|call| creates.iter().all(|family| !family.contains(*call))) {
            for call in family::UMASK.syscalls() {
                let only_ours = self
                    .asks
                    .get(&call)
                    .is_some_and(|asks| asks.iter().all(|ask| ask.name == capability::BROKER));
                if only_ours {
                    self.asks.remove(&call);
                    // What denies it stays.
                    if let Some(cases) = self.spec.get_mut(&call) {
                        cases.retain(|case| case.then != Action::Ask);
                    }
                }
            }
        }
    }

    fn attach(&mut self, handlers: &[Syscall]) -> Result<HashMap<Syscall, Vec<usize>>, HandlerOrPlan> {
        let mut attached = HashMap::<Syscall, Vec<usize>>::new();
        for (index, call) in handlers.iter().enumerate() {
            let listed = self.policy.syscalls.deny.contains(call).then(|| "the policy".to_owned());
            let ruled = self.denied.get(call).map(|(name, doc)| format!("{name} ({doc})"));
            if let Some(by) = ruled.or(listed) {
                return Err(HandlerOrPlan::Handler(HandlerError::OnDenySyscall { syscall: *call, by }));
            }
            if let Some(stop) = self.stops.get(call).and_then(|stops| stops.first()) {
                return Err(PlanError::Stopped { call: *call, capability: stop.name }.into());
            }
            let cases = self.spec.entry(*call).or_default();
            cases.push(Case::always(Action::Ask));
            attached.entry(*call).or_default().push(index);
        }
        Ok(attached)
    }
}

fn entries(
    mut asks: Tables,
    mut performs: HashMap<Syscall, Ask>,
    mut attached: HashMap<Syscall, Vec<usize>>,
    capabilities: &[Box<dyn Active>],
) -> Vec<Option<Entry>> {
    let stage = |ask: &Ask| capabilities.get(ask.capability).map_or(Stage::Broker, |of| of.stage());
    let mut entries = Vec::new();
    let calls: BTreeSet<Syscall> =
        asks.keys().chain(performs.keys()).chain(attached.keys()).copied().collect();
    for call in calls {
        let mut asks = asks.remove(&call).unwrap_or_default();
        // A call that is observed fails as it does in the filter: see `Spec`.
        asks.sort_by_key(|ask| (!ask.denies, stage(ask)));
        let handlers: Arc<[usize]> = attached.remove(&call).unwrap_or_default().into();
        let perform = performs.remove(&call);
        let shows = |ask: &Ask| capabilities.get(ask.capability).is_none_or(|of| of.shows());
        let shown = asks.is_empty() || asks.iter().any(shows) || !handlers.is_empty() || perform.is_some();
        let place = call.number() as usize;
        if entries.len() <= place {
            entries.resize_with(place + 1, || None);
        }
        entries[place] = Some(Entry { asks, handlers, perform, shown });
    }
    entries
}

fn shown(controls: Vec<Control>, checks: &[crate::capability::Check]) -> Vec<Control> {
    let proven = |name: &str| {
        let shown: Vec<_> = checks
            .iter()
            .filter(|check| check.capability == name)
            .map(|check| format!("{} gave {}", check.done, check.wanted))
            .collect();
        (!shown.is_empty()).then(|| shown.join("; "))
    };
    controls
        .into_iter()
        .map(|mut control| {
            if let (ControlState::InForce(_), Some(saw)) = (&control.state, proven(&control.name)) {
                control.state = ControlState::Proven(saw);
            }
            control
        })
        .collect()
}
