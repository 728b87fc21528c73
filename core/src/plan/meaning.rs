//! What becomes of one call, told twice: by the program and the tables of a plan, and straight from the rules of its
//! capabilities. Tests and fuzzing compare the two; nothing at run time uses either.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::make::start;
use super::{Plan, PlanError, What};
use crate::capability::{ActiveRule, ActiveThen, BROKER};
use crate::filter::Match;
use crate::handler::NotifData;
use crate::syscall::family;
use crate::trace::Grounds;
use crate::{Errno, Policy, Syscall};

/// What becomes of a call, as far as its registers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Its process is killed.
    Killed,
    /// It fails, whether the kernel's filter says so or the supervisor.
    Fails(Errno),
    /// A capability looks at more than its registers, or performs it, or somebody wants to see it.
    Asked,
    /// It runs, and is stopped where it begins and where it ends.
    Stopped,
    /// It runs, and nobody sees it.
    Runs,
}

/// `AUDIT_ARCH_X86_64`.
const X86_64: u32 = 0xc000_003e;

impl Plan {
    /// What the plan makes of this call: first its program, then, where that asks, its tables.
    ///
    /// `None`: the program returns what no rule says.
    #[must_use]
    pub fn meaning(&self, data: &NotifData) -> Option<Meaning> {
        let verdict = self.program().run(data);
        Some(match verdict & libc::SECCOMP_RET_ACTION_FULL {
            libc::SECCOMP_RET_KILL_PROCESS => Meaning::Killed,
            libc::SECCOMP_RET_ALLOW => Meaning::Runs,
            libc::SECCOMP_RET_TRACE => {
                let call = Syscall::checked(data.nr.into()).ok()?;
                let stop = self.stop(call, &data.args)?;
                matches!(stop.what, What::Rule(_)).then_some(Meaning::Stopped)?
            }
            libc::SECCOMP_RET_ERRNO => {
                let value = i32::try_from(verdict & libc::SECCOMP_RET_DATA).ok()?;
                (1..=4095).contains(&value).then(|| Meaning::Fails(Errno::new(value)))?
            }
            libc::SECCOMP_RET_USER_NOTIF => {
                let call = Syscall::checked(data.nr.into()).ok()?;
                // The kernel asks about nothing that the supervisor has no entry for.
                let entry = self.entry(call)?;
                let errno = entry.asks.iter().find_map(|ask| {
                    let What::Rule(place) = ask.what else { return None };
                    let holds = ask.when.iter().all(|test| test.holds(call, register(data, test.arg)));
                    let rules = self.capabilities.get(ask.capability)?.rules();
                    match rules.get(place)?.then {
                        ActiveThen::Errno(errno) if holds => Some(errno),
                        _ => None,
                    }
                });
                errno.map_or(Meaning::Asked, Meaning::Fails)
            }
            _ => return None,
        })
    }
}

/// A rule, as it concerns one call.
struct RuleOf {
    capability: &'static str,
    when: &'static [Match],
    then: ActiveThen,
}

/// The meaning of calls under one policy, straight from its rules: no program and no table has a part in it.
pub struct Meanings<'a> {
    policy: &'a Policy,
    /// By stage, for each call.
    rules: HashMap<Syscall, Vec<RuleOf>>,
    /// Whether a file of some capability's making stands for one of the host's.
    virtual_files: bool,
    /// Whether the supervisor makes files for guests, so that their umask must be known.
    creates: bool,
}

impl std::fmt::Debug for Meanings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meanings").field("policy", self.policy).finish_non_exhaustive()
    }
}

impl<'a> Meanings<'a> {
    /// Under this policy.
    ///
    /// # Errors
    /// As [`Plan::of`].
    pub fn of(policy: &'a Policy) -> Result<Self, PlanError> {
        let (capabilities, _) = start(policy)?;
        let mut files = capabilities.iter().flat_map(|capability| capability.files());
        let virtual_files = files.any(|file| std::path::Path::new(file.path).exists());
        let mut rules = HashMap::<_, Vec<_>>::new();
        for capability in &capabilities {
            for ActiveRule { calls, when, then, .. } in capability.rules() {
                for call in calls {
                    rules.entry(call).or_default().push(RuleOf { capability: capability.name(), when, then });
                }
            }
        }
        let mut meanings = Self { policy, rules, virtual_files, creates: false };
        let creating = [&family::OPEN, &family::MKDIR, &family::MKNOD];
        let mut creations = creating.into_iter().flat_map(|of| of.syscalls());
        meanings.creates = creations.any(|call| meanings.is_performed(call));
        Ok(meanings)
    }

    /// What the policy says of this call.
    #[must_use]
    pub fn meaning(&self, data: &NotifData) -> Meaning {
        if data.arch != X86_64 {
            return Meaning::Killed;
        }
        let Ok(call) = Syscall::checked(data.nr.into()) else { return Meaning::Fails(Errno::ENOSYS) };
        // Of several errors a plain denial's comes first, then that of the earlier stage.
        let plain = self.rules(call).iter().find_map(|rule| match rule.then {
            ActiveThen::Errno(errno) if rule.when.is_empty() => Some(errno),
            _ => None,
        });
        if let Some(errno) = plain {
            return Meaning::Fails(errno);
        }
        let mut stopped = false;
        let mut asked = self.is_performed(call) || self.may_be_virtual(call);
        for rule in self.rules(call) {
            if !rule.when.iter().all(|test| test.holds(call, register(data, test.arg))) {
                continue;
            }
            match rule.then {
                ActiveThen::Errno(errno) => return Meaning::Fails(errno),
                // The umask is asked about for the sake of the files that are made on a guest's behalf.
                ActiveThen::Ask(_) => asked |= rule.capability != BROKER || self.creates,
                ActiveThen::Stop => stopped = true,
                ActiveThen::Perform => {}
            }
        }
        match (stopped, asked) {
            (true, _) => Meaning::Stopped,
            (false, true) => Meaning::Asked,
            (false, false) => Meaning::Runs,
        }
    }

    fn rules(&self, call: Syscall) -> &[RuleOf] {
        self.rules.get(&call).map_or(&[], Vec::as_slice)
    }

    fn concerned(&self, call: Syscall, then: ActiveThen) -> bool {
        self.rules(call).iter().any(|rule| rule.then == then)
    }

    /// Whether an open of this call may lead to a file of some capability's making.
    fn may_be_virtual(&self, call: Syscall) -> bool {
        self.virtual_files && family::OPEN.contains(call)
    }

    /// Whether this call is made by the supervisor: where its path is judged, or its result is to be seen.
    fn is_performed(&self, call: Syscall) -> bool {
        let observe = &self.policy.observe;
        let opens = observe.denials && family::OPEN.contains(call);
        let judged = self.concerned(call, ActiveThen::Ask(Grounds::Pinned));
        let wanted = observe.calls.contains(&call) || opens || judged || self.may_be_virtual(call);
        wanted && self.concerned(call, ActiveThen::Perform)
    }
}

fn register(data: &NotifData, arg: u8) -> u64 {
    data.args.get(usize::from(arg)).copied().unwrap_or(0)
}
