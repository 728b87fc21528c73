//! From a scenario to an observation, and from there, through the matcher, to what is wrong.
//!
//! Each run has a work folder of its own, which is gone afterwards; of a run that fails, the artefacts are kept. The
//! runner decides nothing about right and wrong: that is the matcher's.
#![forbid(unsafe_code)]

mod again;
mod copy;
mod engine;
mod granted;
pub(crate) mod group;
mod inject;
mod keep;
mod left;
mod named;
pub(crate) mod outside;
mod program;
pub(crate) mod refused;
mod remove;
mod repeat;
pub(crate) mod scratch;
pub(crate) mod session;
mod state;
mod sweep;
mod work;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assize_core::capability::StartError;
use assize_core::launch::LaunchError;
use assize_core::outcome::Report;
use assize_core::plan::PlanError;
use assize_core::policy::Observe;
use assize_core::syscall::family;
use assize_core::trace::{Event, Memory};
use assize_core::{Command, Errno, Handler, Outcome, Policy, RunError, Stdin, Syscall};
pub use engine::{Engine, Handlers, Kernel};
pub use keep::{Keep, Which};
pub use named::Named;

use crate::attempt::{self, AttemptError, Compiled};
use crate::interrupt;
use crate::matcher::{self, Finding, Observation};
use crate::scenario::calls::Calls;
use crate::scenario::deterministic;
use crate::scenario::place::YamlPath;
use crate::scenario::policy::ProcSpec;
use crate::scenario::{Action, Scenario};

/// How long a command may run whose scenario says nothing of it. A limit is against what hangs, and no measure of speed: a
/// busy machine may take twenty times as long as an idle one.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// What came of a scenario.
#[derive(Debug)]
pub struct Ran {
    /// What is wrong; empty: it passed.
    pub findings: Vec<Finding>,
    /// Which controls were in force.
    pub controls: Report,
    /// Where the artefacts of a failed run lie.
    pub kept: Option<PathBuf>,
    /// The cells of a sweep, in the order in which they were run.
    pub cells: Vec<Cell>,
    /// What was seen of the judged run.
    pub seen: Observation,
    /// Whether that is what failed, and not a comparison with other runs.
    pub failed: bool,
    /// What was seen of a second run of what failed, of which more was watched, where there was one.
    pub again: Option<Observation>,
}

impl Ran {
    fn of(take: Take, findings: Vec<Finding>, kept: Option<PathBuf>, cells: Vec<Cell>) -> Self {
        Self { findings, controls: take.controls, kept, cells, seen: take.seen, failed: false, again: None }
    }
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What it is called: `[family(open)#3=EIO]`.
    pub name: String,
    /// Whether it came out as expected.
    pub passed: bool,
}

/// Why a scenario could not be run, or its run can't be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The work folder could not be made.
    #[error("the work folder could not be made: {what}: {error}")]
    Work {
        /// The step, and on which file.
        what: String,
        /// Why.
        error: io::Error,
    },
    /// An attempt can't be made.
    #[error(transparent)]
    Attempt(#[from] AttemptError),
    /// The prober's script could not be made or read.
    #[error("the prober failed: {0}")]
    Prober(io::Error),
    /// The sandbox refused, or failed.
    #[error(transparent)]
    Sandbox(#[from] RunError),
    /// The program may not be executed, or isn't there.
    #[error("{program:?} could not be executed: {errno}")]
    NotExecuted {
        /// The program.
        program: String,
        /// What the kernel said.
        errno: Errno,
        /// Why not, and what would let it run.
        why: Vec<String>,
    },
    /// A path that the policy grants can't be opened.
    #[error("{path:?} is granted by fs.{grant}, but opening it gave {errno}")]
    NotGranted {
        /// The path; one in the work folder as `$WORK/…`.
        path: String,
        /// `read`, `write` or `exec`.
        grant: &'static str,
        /// The place in that list; `None`: no item says so.
        nth: Option<usize>,
        /// What the kernel said.
        errno: Errno,
        /// What would make it be there.
        help: Option<String>,
    },
    /// The test run was asked to end.
    #[error("the test run was interrupted")]
    Interrupted,
    /// An injection, or a handler, is to answer a call that the policy denies.
    #[error(
        "nothing can answer {call} in the policy's place: it is denied by {by}, and neither injection nor handler weakens a denial"
    )]
    InjectDenied {
        /// The call.
        call: Syscall,
        /// The rule that denies it.
        by: String,
    },
    /// Nobody has given a handler of this name.
    #[error("there is no handler `{name}` here{}", among(.known))]
    NoHandler {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// There is nothing to run.
    #[error("`run` names no program")]
    NoProgram,
    /// It has steps outside of the sandbox, and nobody has allowed these.
    #[error(
        "`outside` runs commands without a sandbox, and that is not allowed here: `--allow-outside` (of `assize run` and \
         `assize bless`), `ASSIZE_ALLOW_OUTSIDE=1` or, in a test target, `Target::allow_outside` allows it"
    )]
    OutsideNotAllowed,
    /// Steps outside of the sandbox failed.
    #[error("{}", .error.as_ref().map_or_else(|| first(.findings), ToString::to_string))]
    Outside {
        /// Why there is no run to judge, if that is not for a step.
        error: Option<Box<Self>>,
        /// What is wrong with each of the steps.
        findings: Vec<Finding>,
    },
}

fn first(findings: &[Finding]) -> String {
    findings.first().map(|first| first.title.clone()).unwrap_or_default()
}

fn among(names: &[String]) -> String {
    if names.is_empty() {
        ": whoever runs this scenario gives it none; its own test target does".to_owned()
    } else {
        format!("; known: {}", names.join(", "))
    }
}

impl RunnerError {
    /// The piece of the scenario that it is about.
    #[must_use]
    pub fn at(&self, scenario: &Scenario) -> YamlPath {
        match self {
            Self::Attempt(error) => error.path.clone(),
            Self::Work { .. } => YamlPath::from(["files"]),
            Self::NoHandler { name, .. } => YamlPath::from(["handlers"]).key(name.as_str()),
            Self::OutsideNotAllowed => YamlPath::from(["outside"]),
            Self::Outside { error: Some(error), .. } => error.at(scenario),
            Self::Outside { error: None, findings } => {
                findings.first().map_or_else(|| YamlPath::from(["outside"]), |first| first.at.clone())
            }
            Self::InjectDenied { call, .. } => injecting(scenario, *call),
            Self::NotGranted { grant, nth, .. } => {
                let list = YamlPath::from(["policy", "fs", *grant]);
                nth.map_or_else(|| list.clone(), |nth| list.index(nth))
            }
            // `fs.proc` asks for it too.
            Self::Sandbox(RunError::Unavailable { control, .. })
                if control == "pids"
                    && scenario.policy.fs.as_ref().is_some_and(|fs| fs.proc == ProcSpec::Own) =>
            {
                YamlPath::from(["policy", "fs", "proc"])
            }
            Self::Sandbox(RunError::Plan(PlanError::Stopped { call, .. })) => injecting(scenario, *call),
            Self::Sandbox(error) => of_policy(error).unwrap_or_else(|| action(scenario)),
            _ => action(scenario),
        }
    }
}

/// What is to answer this call: an injection, or a sweep.
fn injecting(scenario: &Scenario, call: Syscall) -> YamlPath {
    let names = |calls: &Option<Calls>| calls.as_ref().is_some_and(|calls| calls.calls().contains(&call));
    match scenario.inject.iter().position(|injection| names(&injection.pattern.call)) {
        Some(nth) => YamlPath::from(["inject"]).index(nth).key("call"),
        None if scenario.sweep.is_some() => YamlPath::from(["sweep", "calls"]),
        None => match scenario
            .handlers
            .0
            .iter()
            .find(|(_, all)| all.iter().any(|calls| calls.calls().contains(&call)))
        {
            Some((name, _)) => YamlPath::from(["handlers"]).key(name.as_str()),
            None => YamlPath::from(["policy"]),
        },
    }
}

/// The part of a policy that a run fails by, if it does.
#[must_use]
pub fn of_policy(error: &RunError) -> Option<YamlPath> {
    match error {
        RunError::Plan(error) => Some(planned(error)),
        RunError::Unavailable { control, .. } => {
            let at = YamlPath::from(["deterministic"]);
            Some(deterministic::key_of(control).map_or(at.clone(), |key| at.key(key)))
        }
        RunError::NotInForce { .. } => Some(YamlPath::from(["policy"])),
        _ => None,
    }
}

/// The part of a scenario that a plan can't be made of.
fn planned(error: &PlanError) -> YamlPath {
    match error {
        PlanError::UnknownControl { .. } | PlanError::NotAsked { .. } => YamlPath::from(["deterministic"]),
        PlanError::UnknownCapability { .. } => YamlPath::from(["without"]),
        PlanError::Start { error: StartError::Denied(_), .. } => YamlPath::from(["policy", "fs", "deny"]),
        PlanError::Start { capability, error: StartError::Value { what, .. } } => {
            let part = if deterministic::key_of(capability).is_some() { "deterministic" } else { "policy" };
            what.split('.').fold(YamlPath::from([part]), |path, key| path.key(key))
        }
        PlanError::Landlock(_) => YamlPath::from(["policy", "fs"]),
        _ => YamlPath::from(["policy"]),
    }
}

/// Where a scenario says what it runs.
#[must_use]
pub fn action(scenario: &Scenario) -> YamlPath {
    YamlPath::from([match &scenario.action {
        Action::Run(_) => "run",
        Action::Shell(_) => "shell",
        Action::Attempt(_) => "attempt",
    }])
}

/// One run, as far as it can be seen from outside the sandbox.
struct Take {
    seen: Observation,
    controls: Report,
    work: work::Work,
    /// Where runs are compared: all that lies in the work folder.
    left: Option<left::Left>,
    /// What is wrong with the steps outside of the sandbox that came after it.
    outside: Vec<Finding>,
}

impl Take {
    /// What is wrong with it.
    fn judged(&self, scenario: &Scenario) -> Vec<Finding> {
        let mut findings = matcher::judge(&scenario.expect, &self.seen);
        findings.extend(self.outside.iter().cloned());
        findings
    }

    /// It, if no step after it failed.
    fn whole(self) -> Result<Self, RunnerError> {
        if self.outside.is_empty() {
            return Ok(self);
        }
        Err(RunnerError::Outside { error: None, findings: self.outside })
    }
}

/// What is made visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// What the expectation asks for.
    AsExpected,
    /// Denials besides.
    Denials,
    /// Whatever could show where two runs part.
    Everything,
}

/// Runs a scenario, as often as it wants, and judges it.
///
/// # Errors
/// [`RunnerError`]: then there is nothing to judge.
pub fn run(scenario: &Scenario, engine: &dyn Engine, keep: &Keep) -> Result<Ran, RunnerError> {
    interrupt::living(|| judged(scenario, engine, keep))
}

fn judged(scenario: &Scenario, engine: &dyn Engine, keep: &Keep) -> Result<Ran, RunnerError> {
    if let Some((only, findings, cell)) = sweep::alone(scenario, engine)? {
        let kept = keep.run(&scenario.test, &[("", &only)], !findings.is_empty());
        return Ok(Ran::of(only, findings, kept, vec![cell]));
    }
    let mut first = take(scenario, engine, Look::AsExpected, &[])?;
    let mut findings = first.judged(scenario);
    let again = again::explain(scenario, engine, &first, &mut findings);
    for nth in 2..=scenario.repeat {
        if !findings.is_empty() {
            break;
        }
        // Guests see where they run, and write it into what they make.
        if nth == 2 {
            first.work.move_aside()?;
        }
        let other = take(scenario, engine, Look::AsExpected, &[])?;
        findings = other.judged(scenario);
        if let Some(mut finding) = repeat::diverges(scenario, &first, &other, nth) {
            // The verdict log says so itself.
            if !finding.title.starts_with(repeat::LOG) {
                finding.notes.extend(again::part(scenario, engine, &first, &other));
            }
            findings.push(finding);
        }
        if !findings.is_empty() {
            let kept = keep.run(&scenario.test, &[("", &first), (&format!("run-{nth}"), &other)], true);
            return Ok(Ran::of(first, findings, kept, Vec::new()));
        }
    }
    let failed = !findings.is_empty() && first.outside.is_empty();
    let swept = match &scenario.sweep {
        Some(sweep) if findings.is_empty() => Some(sweep::run(scenario, sweep, engine)?),
        _ => None,
    };
    let mut takes = vec![("", &first)];
    if let Some(swept) = &swept {
        findings.extend(swept.findings.iter().cloned());
        takes.extend(swept.failed.iter().map(|(cell, take)| (cell.as_str(), take)));
    }
    let kept = keep.run(&scenario.test, &takes, !findings.is_empty());
    let cells = swept.map(|swept| swept.cells).unwrap_or_default();
    Ok(Ran { failed, again, ..Ran::of(first, findings, kept, cells) })
}

/// Two runs of a scenario, from which nothing is kept; and where they part, if it wants them to be the same.
///
/// # Errors
/// [`RunnerError`]: then there is nothing to see.
pub(crate) fn twice(
    scenario: &Scenario,
    engine: &dyn Engine,
) -> Result<([Observation; 2], Option<Finding>), RunnerError> {
    // Whether an attempt was denied, or failed by itself, only the log tells.
    let look = if matches!(scenario.action, Action::Attempt(_)) { Look::Denials } else { Look::AsExpected };
    interrupt::living(|| {
        let mut one = take(scenario, engine, look, &[])?.whole()?;
        one.work.move_aside()?;
        let two = take(scenario, engine, look, &[])?.whole()?;
        let parted = if scenario.repeat > 1 { repeat::diverges(scenario, &one, &two, 2) } else { None };
        Ok(([one.seen, two.seen], parted))
    })
}

fn observe(scenario: &Scenario, compiled: Option<&Compiled>) -> Observe {
    let mut observe = scenario.expect.observe();
    let attempted: Vec<_> =
        compiled.iter().flat_map(|compiled| compiled.verdicts()).map(|wanted| wanted.call).collect();
    // What came of an attempt is what it is about.
    observe.in_passing &= attempted.is_empty();
    observe.calls.extend(attempted);
    observe
}

/// Runs a scenario once, between its steps outside of the sandbox.
fn take(
    scenario: &Scenario,
    engine: &dyn Engine,
    look: Look,
    extra: &[inject::Extra],
) -> Result<Take, RunnerError> {
    if interrupt::is_ending() {
        return Err(RunnerError::Interrupted);
    }
    outside::allowed(scenario, engine)?;
    let work = work::Work::make(&scenario.files, &scenario.test.to_string())?;
    let came =
        outside::before(scenario, work.path()).and_then(|()| between(scenario, engine, look, extra, &work));
    let outside = outside::after(scenario, work.path());
    match came {
        Ok((seen, controls, left)) => Ok(Take { seen, controls, work, left, outside }),
        Err(error) if outside.is_empty() => Err(error),
        Err(RunnerError::Outside { error, findings }) => {
            Err(RunnerError::Outside { error, findings: findings.into_iter().chain(outside).collect() })
        }
        Err(error) => Err(RunnerError::Outside { error: Some(Box::new(error)), findings: outside }),
    }
}

/// The run itself: what was seen of it, its controls and, where runs are compared, what it left.
fn between(
    scenario: &Scenario,
    engine: &dyn Engine,
    look: Look,
    extra: &[inject::Extra],
    work: &work::Work,
) -> Result<(Observation, Report, Option<left::Left>), RunnerError> {
    let mut policy = scenario.policy(work.path());
    work.settle(&scenario.files, policy.clock.map(|clock| clock.start))?;
    policy.limits.timeout.get_or_insert(DEFAULT_TIMEOUT);
    let before = scenario.expect.changes.is_some().then(|| left::Left::beneath(work.path()));
    let injections = inject::Injections::of(scenario, extra, work.path());
    let mut handlers = injections.handlers();
    handlers.extend(own(scenario, engine)?);
    let (outcome, events, attempts, wanted) = match &scenario.action {
        Action::Attempt(attempts) => {
            let compiled = attempt::compile(attempts, work.path())?;
            policy.observe = observe(scenario, Some(&compiled));
            show(&mut policy.observe, look);
            let (command, run) = compiled.script.clone().build().map_err(RunnerError::Prober)?;
            let (outcome, events) = start(engine, policy, command.cwd(work.path()), handlers)
                .map_err(|error| refused::named(error, scenario, work.path()))?;
            let came = compiled.came(&run).map_err(RunnerError::Prober)?;
            (outcome, events, compiled.judge(&came), compiled.verdicts())
        }
        Action::Run(_) | Action::Shell(_) => {
            policy.observe = observe(scenario, None);
            show(&mut policy.observe, look);
            // Who follows the guests is shown who sends them signals.
            policy.observe.processes |= look != Look::AsExpected;
            let argv = scenario.argv(work.path()).unwrap_or_default();
            let (program, args) = argv.split_first().ok_or(RunnerError::NoProgram)?;
            let stdin =
                scenario.stdin.as_ref().map_or(Stdin::Null, |text| Stdin::Bytes(text.clone().into_bytes()));
            let command = Command::new(program).args(args).cwd(work.path()).stdin(stdin);
            let (outcome, events) = start(engine, policy.clone(), command, handlers)
                .map_err(|error| refused::named(error, scenario, work.path()))
                .map_err(|error| not_executed(error, scenario, &policy, work.path()))?;
            (outcome, events, Vec::new(), Vec::new())
        }
    };
    let files = scenario.expect.files.keys().map(|path| (path.clone(), work.look(path))).collect();
    let changes = before.map(|before| work.changes(&before));
    let seen = Observation {
        end: outcome.end,
        why: outcome.why,
        stdout: outcome.stdout,
        stderr: outcome.stderr,
        files,
        changes,
        took: outcome.took,
        peak: outcome.peak,
        events,
        controls: outcome.report.controls.clone(),
        work: work.path().to_owned(),
        granted: granted::of(scenario, work.path()),
        attempts,
        wanted,
        injected: injections.came(),
    };
    let left = (scenario.repeat > 1).then(|| left::Left::beneath(work.path()));
    Ok((seen, outcome.report, left))
}

/// Says of a program that may not be executed, or isn't there, why, where that can be told.
fn not_executed(error: RunnerError, scenario: &Scenario, policy: &Policy, work: &Path) -> RunnerError {
    let RunnerError::Sandbox(RunError::Launch(LaunchError::Exec { program, errno })) = &error else {
        return error;
    };
    let why = match *errno {
        Errno::EACCES => program::refused(scenario, policy, &granted::of(scenario, work), program, work),
        Errno::ENOENT => program::missing(policy, program, work),
        _ => Vec::new(),
    };
    if why.is_empty() {
        return error;
    }
    RunnerError::NotExecuted { program: program.clone(), errno: *errno, why }
}

/// The scenario's own handlers, one for each name.
fn own(scenario: &Scenario, engine: &dyn Engine) -> Result<Handlers, RunnerError> {
    let mut handlers = Handlers::new();
    for (name, calls) in &scenario.handlers.0 {
        let name = name.as_str();
        let Some(handler) = engine.handler(name) else {
            return Err(RunnerError::NoHandler { name: name.to_owned(), known: engine.handlers() });
        };
        let shared = named::Shared::new(name, handler);
        let asked: BTreeSet<Syscall> = calls.iter().flat_map(Calls::calls).copied().collect();
        handlers.extend(asked.into_iter().map(|call| {
            let handler: Box<dyn Handler> = Box::new(shared.clone());
            (i64::from(call.number()), handler)
        }));
    }
    Ok(handlers)
}

fn show(observe: &mut Observe, look: Look) {
    match look {
        Look::AsExpected => {}
        Look::Denials => {
            observe.denials = true;
            // What Landlock refuses is seen of calls that are performed, and of no others.
            observe.in_passing = false;
            let families = [
                &family::EXEC,
                &family::LINK,
                &family::MKDIR,
                &family::MKNOD,
                &family::RENAME,
                &family::SYMLINK,
                &family::TRUNCATE,
                &family::UNLINK,
            ];
            observe.calls.extend(families.iter().flat_map(|family| family.syscalls()));
        }
        Look::Everything => {
            let families =
                [&family::OPEN, &family::EXEC, &family::READLINK, &family::RENAME, &family::UNLINK];
            observe.calls.extend(families.iter().flat_map(|family| family.syscalls()));
            observe.readings = true;
        }
    }
}

fn start(
    engine: &dyn Engine,
    policy: Policy,
    command: Command,
    handlers: Handlers,
) -> Result<(Outcome, Vec<Event>), RunnerError> {
    let log = Memory::default();
    let outcome = engine.run(policy, command, handlers, log.clone()).map_err(refused::of)?;
    // What was given up is not judged, and nothing of it is kept.
    if interrupt::is_ending() {
        return Err(RunnerError::Interrupted);
    }
    Ok((outcome, log.drain()))
}

#[cfg(test)]
mod tests;
