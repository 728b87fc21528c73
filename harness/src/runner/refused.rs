//! What a run is refused for before its command starts: in the scenario's own words, and found without a run.
//!
//! What the host lacks is no part of it: of that `needs` speaks, and the run itself.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use assize_core::handler::HandlerError;
use assize_core::plan::{LandlockError, PlanError};
use assize_core::{Errno, Plan, RunError, Syscall};
use rustix::fs::{Mode, OFlags, open};

use super::work::Work;
use super::{RunnerError, observe};
use crate::attempt;
use crate::scenario::calls::Calls;
use crate::scenario::{Action, Scenario};

/// The work folder as a run finds it, with all that the scenario's `files` put there. `None`: the host has no room for it.
pub(crate) fn stand_in(scenario: &Scenario) -> Option<Work> {
    Work::make(&scenario.files, "check").ok()
}

/// What every run in this work folder is refused for, if it is.
pub(crate) fn refused(scenario: &Scenario, work: &Path) -> Option<RunnerError> {
    let compiled = match &scenario.action {
        Action::Attempt(attempts) => Some(attempt::compile(attempts, work).ok()?),
        Action::Run(_) | Action::Shell(_) => None,
    };
    let mut policy = scenario.policy(work);
    policy.observe = observe(scenario, compiled.as_ref());
    let error = Plan::with_handlers(&policy, &answered(scenario)).err();
    let error = error.or_else(|| not_granted(scenario, work));
    // What a step outside of the sandbox makes isn't there yet.
    let unmade = |error: &RunError| !scenario.outside.before.is_empty() && is_of_path(error);
    error.filter(|error| !unmade(error)).map(|error| named(of(error), scenario, work))
}

/// The calls that somebody is to answer in the policy's place.
fn answered(scenario: &Scenario) -> Vec<Syscall> {
    let injected = scenario.inject.iter().filter_map(|injection| injection.pattern.call.as_ref());
    let handlers = scenario.handlers.0.values().flatten();
    let swept = scenario.sweep.iter().flat_map(|sweep| &sweep.calls);
    injected.chain(handlers).chain(swept).flat_map(Calls::calls).copied().collect()
}

/// A path in the work folder that is granted and can't be opened. (One elsewhere may be there on another host.)
fn not_granted(scenario: &Scenario, work: &Path) -> Option<RunError> {
    if scenario.without.contains("fs") {
        return None;
    }
    let paths = scenario.policy.paths(work).into_iter();
    let mut inner = paths.filter(|(grant, _, path)| *grant != "deny" && path.starts_with(work));
    inner.find_map(|(grant, _, path)| {
        let error = open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).err()?;
        Some(PlanError::from(LandlockError::Path { path, grant, errno: Errno::from(error) }).into())
    })
}

fn is_of_path(error: &RunError) -> bool {
    use assize_core::capability::StartError;
    let denied = |error: &PlanError| matches!(error, PlanError::Start { error: StartError::Denied(_), .. });
    matches!(error, RunError::Plan(error) if denied(error) || matches!(error, PlanError::Landlock(_)))
}

/// As the runner's own error.
pub(super) fn of(error: RunError) -> RunnerError {
    match error {
        RunError::Handler(HandlerError::OnDenySyscall { syscall, by }) => {
            RunnerError::InjectDenied { call: syscall, by }
        }
        other => other.into(),
    }
}

/// With the path that it is about as the scenario says it, and the item of the list.
pub(super) fn named(error: RunnerError, scenario: &Scenario, work: &Path) -> RunnerError {
    let RunnerError::Sandbox(RunError::Plan(PlanError::Landlock(LandlockError::Path { path, grant, errno }))) =
        &error
    else {
        return error;
    };
    let paths = scenario.policy.paths(work);
    let nth = paths.iter().find(|(list, _, known)| list == grant && known == path).and_then(|found| found.1);
    let inner = path.strip_prefix(work).ok();
    let help = inner.filter(|_| *errno == Errno::ENOENT).map(|inner| match inner.to_string_lossy() {
        inner if inner.contains(['*', '?', '[']) => "a path of the policy is a name, and no glob".to_owned(),
        inner => {
            format!(
                "what is granted must be there before the command is: `files: {{ {inner}: {{ dir: true }} }}`"
            )
        }
    });
    let said = inner.map_or_else(|| path.clone(), |inner| PathBuf::from("$WORK").join(inner));
    let path = said.to_string_lossy().into_owned();
    RunnerError::NotGranted { path, grant, nth, errno: *errno, help }
}
