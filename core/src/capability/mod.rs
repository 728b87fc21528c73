//! Capabilities: promises to the guest, declared once. (Not the POSIX capabilities(7), of which a guest has none.)
//!
//! A capability states its rules; the filter, the dispatch table, the check for conflicts, the documentation and
//! `assize explain` are derived from them. This module holds the words for that and the list of all of them. It
//! answers no call itself.
#![forbid(unsafe_code)]

mod addresses;
mod broker;
mod clock;
mod deny;
mod directories;
mod document;
pub mod envelope;
mod environment;
mod fs;
mod guard;
mod hostname;
mod instructions;
mod machine;
mod metadata;
mod observe;
mod peak;
mod pids;
mod random;
mod schedule;
mod tsc;

use std::collections::BTreeSet;
use std::path::Path;

pub use document::document;
use serde::Serialize;

use crate::filter::Match;
use crate::guest::{Opened, Prepared};
pub use crate::launch::standing::Standing;
use crate::policy::Clock;
pub use crate::supervisor::call::Call;
pub use crate::supervisor::device::Device;
pub use crate::supervisor::exec::ExecStop;
pub use crate::supervisor::files::Files;
pub use crate::supervisor::stop::{AtEnd, CallStop};
pub use crate::supervisor::tracker::FaultStop;
pub use crate::sys::clone::Preparation;
use crate::sys::probe::{Expect, Probe, ProbeArg};
use crate::syscall::{Family, Sysno};
use crate::trace::Grounds;
use crate::{Errno, NotifAction, Policy, Syscall};

/// One promise to the guest: its rules, its state, its answers.
pub trait Capability: Sized + Send + Sync + 'static {
    /// Its name in traces, reports and the documentation.
    const NAME: &'static str;
    /// When its rules are asked.
    const STAGE: Stage;
    /// The promise, in a sentence or two.
    const PROMISE: &'static str;
    /// The rules. All else is derived from them.
    const RULES: &'static [Rule<Self>];
    /// Files that exist for the guest with a content of this capability's making.
    const FILES: &'static [VirtualFile<Self>] = &[];
    /// Run when a guest has executed a program, before the program's first instruction. An error kills the guest.
    const AT_EXEC: Option<AtExec<Self>> = None;

    /// Whether calls that its rules alone are asked about, and let pass, become verdicts.
    const SHOWS: bool = true;

    /// Run when a guest's own instruction was refused by the processor: whether that is dealt with, and the guest goes on.
    const AT_FAULT: Option<AtFault<Self>> = None;
    /// Run when the first guest stands ready, before its probes and its exec, on a thread that nothing confines.
    const AT_START: Option<AtStart<Self>> = None;

    /// Its state, if this policy asks for it.
    ///
    /// # Errors
    /// [`StartError`]: it was asked for and can't be had.
    fn start(policy: &Policy) -> Result<Option<Self>, StartError>;

    /// Whether `rule` concerns `call` under this policy.
    fn applies(&self, rule: &Rule<Self>, call: Syscall) -> bool {
        let _ = (rule, call);
        true
    }

    /// Whether [`AT_EXEC`](Self::AT_EXEC) matters under this policy, so that guests must be followed.
    fn follows_guests(&self) -> bool {
        Self::AT_EXEC.is_some()
    }

    /// Says what the first guest's process is to do to itself before its filter is armed.
    fn prepare(&self, preparation: &mut Preparation) {
        let _ = preparation;
    }

    /// The clock that the guests read from it, if it keeps one. The run then has a time of its own, which any capability may
    /// ask for ([`Call::virtual_now`]).
    fn clock(&self) -> Option<Clock> {
        None
    }

    /// Calls whose answers guests work out by themselves, without a call, unless somebody else is asked about them as well.
    fn within(&self) -> &'static [&'static Family] {
        &[]
    }

    /// The files that guests have seen, if it shows them with numbers of their own.
    fn files(&self) -> Option<Files> {
        None
    }

    /// Whether the most that guests have at once is to be measured.
    fn measures(&self) -> bool {
        false
    }

    /// What of its promise can't be had on this host, as far as that is known: asked before the run and after it.
    fn lacks(&self) -> Option<String> {
        None
    }

    /// Where it lacks something: what of the run that is about, as far as it was seen.
    fn seen(&self) -> Vec<String> {
        Vec::new()
    }

    /// Adds the calls that will show, inside the sandbox and before the command, that it is in force.
    fn prove(&self, proof: &mut Proof<'_>) {
        let _ = proof;
    }
}

/// See [`Capability::AT_EXEC`].
pub type AtExec<S> = fn(&S, &mut ExecStop<'_>) -> Result<(), Errno>;

/// See [`Capability::AT_FAULT`].
pub type AtFault<S> = fn(&S, &mut FaultStop<'_>) -> Result<bool, Errno>;

/// See [`Capability::AT_START`]. What can't be had it tells by [`Standing::lacks`].
pub type AtStart<S> = fn(&S, &mut Standing);

/// In which order rules are asked: the first answer that is not [`Answer::Pass`] ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Refuses what no guest may do.
    Guard,
    /// Makes up answers: randomness, names.
    Synthesize,
    /// Leads a call elsewhere.
    Redirect,
    /// Refuses what this policy doesn't grant.
    Filter,
    /// Counts and shows.
    Account,
    /// The handlers that were given to the run.
    User,
    /// Performs, on the guest's behalf, what all have let pass.
    Broker,
}

/// For these calls, when these registers match, do this.
#[derive(Debug)]
pub struct Rule<S: 'static> {
    /// Which calls.
    pub calls: Calls<S>,
    /// All of these must hold. Registers only: a filter follows no pointer.
    pub when: &'static [Match],
    /// What to do.
    pub then: Then<S>,
    /// What it is for: in the documentation and in each verdict.
    pub doc: &'static str,
}

/// Which calls a rule is about.
#[derive(Debug)]
pub enum Calls<S: 'static> {
    /// Every spelling of one operation.
    Family(&'static Family),
    /// What the policy lists.
    Listed(fn(&S) -> Vec<Syscall>),
}

/// What a rule does.
#[derive(Debug)]
pub enum Then<S: 'static> {
    /// The call fails with this error, inside the kernel's filter.
    Errno(Errno),
    /// The supervisor asks the capability.
    Ask {
        /// Who answers.
        by: HandlerFn<S>,
        /// Why that answer, or letting the call pass, is sound.
        grounds: Grounds,
    },
    /// The call runs in the kernel. The tracker stops it where it begins and, if the capability then asks for it, where it
    /// ends: what lies in memory can be led elsewhere, and the true result is seen. Nobody else is asked about it.
    Stop {
        /// Who works on it.
        by: StopFn<S>,
    },
    /// How the call is performed once all have let it pass. In force only where a rule asks on [`Grounds::Pinned`].
    Perform {
        /// Who performs it.
        by: HandlerFn<S>,
    },
}

/// Answers a call for a capability. Runs on the supervisor's own thread: it never blocks.
pub type HandlerFn<S> = fn(&S, &mut Call) -> Answer;

/// Works on a call that was stopped where it begins, for a capability. Runs on the tracker's thread: it never blocks. An
/// error is the call's result.
pub type StopFn<S> = fn(&S, &mut CallStop<'_>) -> Result<Option<AtEnd>, Errno>;

/// "Not mine" and "this is the answer" are different words.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Answer {
    /// Not mine: ask the next.
    Pass,
    /// The answer.
    Done(NotifAction),
    /// The call was performed: this is what the kernel gave.
    Performed(Performed),
}

impl Answer {
    /// The call fails.
    #[must_use]
    pub fn errno(errno: Errno) -> Self {
        Self::Done(NotifAction::Errno(errno.value()))
    }

    /// The call fails as it would have failed in the kernel: nobody refused it.
    pub(crate) fn kernel(errno: Errno) -> Self {
        Self::Performed(Performed::Failed { errno, by_landlock: false })
    }
}

/// What came of a call that was performed on the guest's behalf.
#[derive(Debug)]
pub enum Performed {
    /// A file was opened, or may take its time to open.
    Opened(Opened, bool),
    /// It may take its time, and is to be carried out on a thread that may wait.
    Waiting(Prepared),
    /// It returned this.
    Value(i64),
    /// It failed.
    Failed {
        /// With this error.
        errno: Errno,
        /// Whether Landlock refused it, rather than the kernel's ordinary rules.
        by_landlock: bool,
    },
}

/// A file that exists for the guest with another content than for everybody else.
///
/// It is known by its identity (device and inode), so every name of it leads to it.
#[derive(Debug)]
pub struct VirtualFile<S: 'static> {
    /// Where it lies.
    pub path: &'static str,
    /// Answers an open for reading.
    pub open: HandlerFn<S>,
    /// What it is for.
    pub doc: &'static str,
}

/// A capability that was asked for and can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A path can't be denied.
    #[error(transparent)]
    Denied(#[from] crate::guest::DeniedError),
    /// A value of the policy is out of range.
    #[error("{what} {why}")]
    Value {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
}

/// The calls that will show that a capability is in force.
#[derive(Debug)]
pub struct Proof<'a> {
    pub(crate) capability: &'static str,
    pub(crate) probes: &'a mut Vec<Probe>,
    pub(crate) checks: &'a mut Vec<Check>,
    /// Calls that the policy denies: they show nothing.
    pub(crate) denied: &'a BTreeSet<Syscall>,
    /// Whether guests have a procfs of their own, where that was asked for.
    pub(crate) own_proc: bool,
}

/// What a probe shows.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) capability: &'static str,
    pub(crate) probe: usize,
    /// What was done: `getrandom`.
    pub(crate) done: String,
    /// What must come of it: `EPERM`, `the seed's bytes`.
    pub(crate) wanted: String,
}

impl Proof<'_> {
    /// Makes `call`; what must come of it is said in words too.
    pub(crate) fn expect(
        &mut self,
        call: Syscall,
        args: [ProbeArg; 6],
        expect: Expect,
        done: impl Into<String>,
        wanted: impl Into<String>,
    ) {
        if self.denied.contains(&call) {
            return;
        }
        let probe = self.probes.len();
        self.checks.push(Check {
            capability: self.capability,
            probe,
            done: done.into(),
            wanted: wanted.into(),
        });
        self.probes.push(Probe::new(call, args, Some(expect)));
    }

    /// Opening `path` for reading must fail with `errno`.
    pub(crate) fn refused(&mut self, path: &Path, errno: Errno) {
        use std::os::unix::ffi::OsStrExt;
        let mut text = path.as_os_str().as_bytes().to_vec();
        text.push(0);
        let number = |number: i32| ProbeArg::Number(i64::from(number).cast_unsigned());
        let flags = number(libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK);
        let args = [number(libc::AT_FDCWD), ProbeArg::memory(&text), flags, number(0), number(0), number(0)];
        let expect = Expect { result: -i64::from(errno.value()), memory: None };
        let done = format!("opening {}", path.display());
        self.expect(Syscall::of(Sysno::openat), args, expect, done, errno.to_string());
    }
}

/// A call's raw result in words.
pub(crate) fn shown_result(result: i64) -> String {
    match result {
        -4095..=-1 => Errno::new(-(result as i32)).to_string(),
        value => value.to_string(),
    }
}

/// A capability as the list of all of them knows it.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// [`Capability::NAME`].
    pub name: &'static str,
    /// [`Capability::STAGE`].
    pub stage: Stage,
    /// [`Capability::PROMISE`].
    pub promise: &'static str,
    /// Its rules, described.
    pub rules: fn() -> Vec<Described>,
    /// Its files: path and purpose.
    pub files: fn() -> Vec<(&'static str, &'static str)>,
    pub(crate) start: StartFn,
}

/// Starts a capability, if the policy asks for it.
type StartFn = fn(&Policy) -> Result<Option<Box<dyn Active>>, StartError>;

/// A rule, described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The family's name, or what the policy lists.
    pub calls: &'static str,
    /// Every spelling, where it is a family.
    pub spellings: Vec<&'static str>,
    /// The conditions on registers.
    pub when: Vec<String>,
    /// `EPERM`, `asked`, `performed`.
    pub then: String,
    /// Why an answer to it is sound, where it is asked.
    pub grounds: Option<Grounds>,
    /// What it is for.
    pub doc: &'static str,
}

const fn declared<C: Capability>() -> Declared {
    Declared {
        name: C::NAME,
        stage: C::STAGE,
        promise: C::PROMISE,
        rules: || C::RULES.iter().map(describe).collect(),
        files: || C::FILES.iter().map(|file| (file.path, file.doc)).collect(),
        start: |policy| Ok(C::start(policy)?.map(|state| Box::new(Started(state)) as Box<dyn Active>)),
    }
}

fn describe<S>(rule: &Rule<S>) -> Described {
    let (calls, spellings) = match rule.calls {
        Calls::Family(family) => (family.name, family.calls.iter().map(|call| call.name()).collect()),
        Calls::Listed(_) => ("as the policy lists", Vec::new()),
    };
    let (then, grounds) = match &rule.then {
        Then::Errno(errno) => (errno.to_string(), None),
        Then::Ask { grounds, .. } => ("asked".to_owned(), Some(*grounds)),
        Then::Stop { .. } => ("stopped".to_owned(), Some(Grounds::Noted)),
        Then::Perform { .. } => ("performed".to_owned(), Some(Grounds::Pinned)),
    };
    // The conditions read the same for every spelling that has them.
    let spelled = match rule.calls {
        Calls::Family(family) => {
            family.syscalls().find(|call| rule.when.iter().all(|test| test.is_in_register(*call)))
        }
        Calls::Listed(_) => None,
    };
    let when =
        spelled.map(|call| rule.when.iter().map(|test| test.describe(call)).collect()).unwrap_or_default();
    Described { calls, spellings, when, then, grounds, doc: rule.doc }
}

/// The name of the capability that has guests run one at a time.
pub(crate) const SCHEDULE: &str = "schedule";

/// The name of the capability that performs calls.
pub(crate) const BROKER: &str = "broker";

/// Every capability. The order matters only for what is shown: answers are ordered by [`Stage`].
pub const ALL: &[Declared] = &[
    declared::<guard::Guard>(),
    declared::<deny::Deny>(),
    declared::<fs::Fs>(),
    declared::<random::Random>(),
    // Before the name alone: it answers uname whole.
    declared::<machine::Seen>(),
    declared::<clock::VirtualClock>(),
    declared::<hostname::Hostname>(),
    declared::<environment::Environment>(),
    declared::<schedule::Schedule>(),
    declared::<tsc::Tsc>(),
    declared::<instructions::Instructions>(),
    declared::<pids::Pids>(),
    declared::<addresses::Addresses>(),
    declared::<directories::Directories>(),
    declared::<metadata::Metadata>(),
    declared::<observe::Observed>(),
    declared::<peak::Measured>(),
    declared::<broker::Broker>(),
];

/// A capability in force, whatever its type.
pub(crate) trait Active: Send + Sync {
    fn name(&self) -> &'static str;
    fn stage(&self) -> Stage;
    fn rules(&self) -> Vec<ActiveRule>;
    fn ask(&self, rule: usize, call: &mut Call) -> Answer;
    fn begin(&self, rule: usize, stop: &mut CallStop<'_>) -> Result<Option<AtEnd>, Errno>;
    fn files(&self) -> Vec<ActiveFile>;
    fn open(&self, file: usize, call: &mut Call) -> Answer;
    fn at_exec(&self, stop: &mut ExecStop<'_>) -> Result<(), Errno>;
    fn at_fault(&self, stop: &mut FaultStop<'_>) -> Result<bool, Errno>;
    fn follows_guests(&self) -> bool;
    fn prepare(&self, preparation: &mut Preparation);
    fn acts_at_start(&self) -> bool;
    fn at_start(&self, standing: &mut Standing);
    fn clock(&self) -> Option<Clock>;
    fn within(&self) -> &'static [&'static Family];
    fn seen_files(&self) -> Option<Files>;
    fn measures(&self) -> bool;
    fn shows(&self) -> bool;
    fn lacks(&self) -> Option<String>;
    fn seen(&self) -> Vec<String>;
    fn prove(&self, proof: &mut Proof<'_>);
}

/// A rule in force.
pub(crate) struct ActiveRule {
    pub(crate) calls: Vec<Syscall>,
    pub(crate) when: &'static [Match],
    pub(crate) then: ActiveThen,
    pub(crate) doc: &'static str,
}

/// What a rule in force does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActiveThen {
    Errno(Errno),
    Ask(Grounds),
    Stop,
    Perform,
}

/// A virtual file in force.
pub(crate) struct ActiveFile {
    pub(crate) path: &'static str,
}

struct Started<C>(C);

impl<C: Capability> Active for Started<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn stage(&self) -> Stage {
        C::STAGE
    }

    fn rules(&self) -> Vec<ActiveRule> {
        let of = |rule: &'static Rule<C>| {
            let calls = match &rule.calls {
                Calls::Family(family) => family.calls.iter().map(|call| Syscall::of(*call)).collect(),
                Calls::Listed(list) => list(&self.0),
            };
            let then = match &rule.then {
                Then::Errno(errno) => ActiveThen::Errno(*errno),
                Then::Ask { grounds, .. } => ActiveThen::Ask(*grounds),
                Then::Stop { .. } => ActiveThen::Stop,
                Then::Perform { .. } => ActiveThen::Perform,
            };
            // A condition concerns the spellings that carry its argument in a register.
            let in_registers = |call: &Syscall| rule.when.iter().all(|test| test.is_in_register(*call));
            let calls =
                calls.into_iter().filter(|call| in_registers(call) && self.0.applies(rule, *call)).collect();
            ActiveRule { calls, when: rule.when, then, doc: rule.doc }
        };
        C::RULES.iter().map(of).collect()
    }

    fn ask(&self, rule: usize, call: &mut Call) -> Answer {
        match C::RULES.get(rule).map(|rule| &rule.then) {
            Some(Then::Errno(errno)) => Answer::errno(*errno),
            Some(Then::Ask { by, .. } | Then::Perform { by }) => by(&self.0, call),
            Some(Then::Stop { .. }) | None => Answer::Pass,
        }
    }

    fn begin(&self, rule: usize, stop: &mut CallStop<'_>) -> Result<Option<AtEnd>, Errno> {
        match C::RULES.get(rule).map(|rule| &rule.then) {
            Some(Then::Stop { by }) => by(&self.0, stop),
            _ => Ok(None),
        }
    }

    fn files(&self) -> Vec<ActiveFile> {
        C::FILES.iter().map(|file| ActiveFile { path: file.path }).collect()
    }

    fn open(&self, file: usize, call: &mut Call) -> Answer {
        C::FILES.get(file).map_or(Answer::Pass, |file| (file.open)(&self.0, call))
    }

    fn at_exec(&self, stop: &mut ExecStop<'_>) -> Result<(), Errno> {
        C::AT_EXEC.map_or(Ok(()), |at_exec| at_exec(&self.0, stop))
    }

    fn at_fault(&self, stop: &mut FaultStop<'_>) -> Result<bool, Errno> {
        C::AT_FAULT.map_or(Ok(false), |at_fault| at_fault(&self.0, stop))
    }

    fn follows_guests(&self) -> bool {
        self.0.follows_guests()
    }

    fn prepare(&self, preparation: &mut Preparation) {
        self.0.prepare(preparation);
    }

    fn acts_at_start(&self) -> bool {
        C::AT_START.is_some()
    }

    fn at_start(&self, standing: &mut Standing) {
        standing.capability = C::NAME;
        if let Some(at_start) = C::AT_START {
            at_start(&self.0, standing);
        }
    }

    fn clock(&self) -> Option<Clock> {
        self.0.clock()
    }

    fn within(&self) -> &'static [&'static Family] {
        self.0.within()
    }

    fn seen_files(&self) -> Option<Files> {
        self.0.files()
    }

    fn measures(&self) -> bool {
        self.0.measures()
    }

    fn shows(&self) -> bool {
        C::SHOWS
    }

    fn lacks(&self) -> Option<String> {
        self.0.lacks()
    }

    fn seen(&self) -> Vec<String> {
        self.0.seen()
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        proof.capability = C::NAME;
        self.0.prove(proof);
    }
}
