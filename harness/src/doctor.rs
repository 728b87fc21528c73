//! What a host can do: its facts, its settings, each control as a run of everything shows it, and which scenarios that leaves
//! out. It looks, and changes nothing.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use assize_core::capability;
use assize_core::outcome::{Control, ControlState};
use assize_core::{Command, Policy, RunError, Sandbox};
use serde::Serialize;

use crate::needs::{Host, Row};
use crate::runner::scratch::Scratch;
use crate::scenario::deterministic::{Deterministic, TscSpec};
use crate::scenario::policy::PolicySpec;
use crate::scenario::{self, Scenario};
use crate::suite::{self, State};

/// The version of the machine-readable form. It grows when a field changes its meaning.
const VERSION: u32 = 1;

/// Settings of the kernel that decide about something here, and what each decides.
const SETTINGS: &[(&str, &str)] = &[
    ("/sys/kernel/security/lsm", "`landlock` must be in it"),
    (
        "/proc/sys/kernel/seccomp/actions_avail",
        "`user_notif` for answers, `trace` for waits, `kill_process` for other machines",
    ),
    ("/proc/sys/user/max_user_namespaces", "isolation: 0 forbids user namespaces"),
    ("/proc/sys/user/max_pid_namespaces", "isolation: 0 forbids pid namespaces"),
    (
        "/proc/sys/user/max_ipc_namespaces",
        "syscalls.allow of System V IPC and message queues: 0 forbids their namespace",
    ),
    ("/proc/sys/kernel/unprivileged_userns_clone", "isolation: 0 keeps user namespaces for root"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "isolation: 1 keeps user namespaces for profiles that allow them",
    ),
    (
        "/proc/sys/kernel/yama/ptrace_scope",
        "seed, clock, fs.deny, cpus and places in the tree, which follow guests by ptrace: 3 forbids it",
    ),
    (
        "/proc/sys/kernel/sched_rt_runtime_us",
        "deterministic.schedule: the share of a second that a serial run may compute",
    ),
];

/// A setting as it is.
#[derive(Debug, Clone, Serialize)]
struct Setting {
    file: &'static str,
    /// `None`: this kernel has it not, or it can't be read.
    value: Option<String>,
    decides: &'static str,
}

/// A control as a run of everything showed it.
#[derive(Debug, Clone, Serialize)]
struct Shown {
    name: String,
    has: bool,
    says: String,
    promise: String,
}

/// A scenario that can't be judged here.
#[derive(Debug, Clone, Serialize)]
struct Lacking {
    name: String,
    why: String,
}

/// The scenarios beneath a path, as far as this host goes.
#[derive(Debug, Clone, Serialize)]
struct Scenarios {
    path: String,
    all: usize,
    /// The host lacks what they need: they are ignored.
    ignored: Vec<Lacking>,
    /// They require a control that the host can't give: they fail.
    failing: Vec<Lacking>,
}

/// What a host can do.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    version: u32,
    facts: Vec<Row>,
    settings: Vec<Setting>,
    /// Why nothing could be run under control at all.
    broken: Option<String>,
    controls: Vec<Shown>,
    scenarios: Option<Scenarios>,
}

/// Why there is no diagnosis.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct DoctorError {
    path: String,
    error: io::Error,
}

/// Looks at the host, and at the scenarios beneath `path`.
///
/// # Errors
/// What reading the scenarios' folder gives.
pub fn diagnose(host: &Host, path: Option<&Path>) -> Result<Diagnosis, DoctorError> {
    let (broken, controls) = match try_everything() {
        Ok(controls) => (None, shown(&controls)),
        Err(error) => (Some(error), Vec::new()),
    };
    let scenarios = path.map(|path| scenarios(path, host, &controls)).transpose()?;
    let settings = SETTINGS.iter().map(|(file, decides)| {
        let value = std::fs::read_to_string(file).ok();
        Setting { file, value: value.map(|text| text.trim().to_owned()), decides }
    });
    Ok(Diagnosis {
        version: VERSION,
        facts: host.rows(),
        settings: settings.collect(),
        broken,
        controls,
        scenarios,
    })
}

/// Runs a command that does nothing, with every control asked for.
fn try_everything() -> Result<Vec<Control>, String> {
    let work = Scratch::make("doctor").map_err(|error| error.to_string())?;
    let everything = Deterministic { tsc: Some(TscSpec::Emulate), ..Deterministic::default() };
    let mut policy: Policy = PolicySpec::default().compile(work.path());
    everything.apply(&mut policy);
    policy.required.clear();
    policy.fs.deny.push(work.path().join("denied"));
    policy.limits.timeout = Some(crate::runner::DEFAULT_TIMEOUT);
    let run = |policy| {
        let command = Command::new("true").cwd(work.path());
        Sandbox::new(policy, command).run_blocking().map(|outcome| outcome.report.controls)
    };
    match run(policy.clone()) {
        Ok(controls) => Ok(controls),
        // One control that can't be set up at all must not hide the others.
        Err(RunError::NotInForce { control, saw }) => {
            policy.without.insert(control.clone());
            let mut controls = run(policy).map_err(|error| error.to_string())?;
            for other in controls.iter_mut().filter(|other| other.name == control) {
                other.state = ControlState::Unavailable(saw.clone());
            }
            Ok(controls)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn shown(controls: &[Control]) -> Vec<Shown> {
    let promise = |name: &str| match capability::ALL.iter().find(|declared| declared.name == name) {
        Some(declared) => declared.promise.to_owned(),
        None if name == "isolation" => {
            "Guests have a user and a pid namespace of their own, in which none outlives its run.".to_owned()
        }
        None => "Every guest is killed when its time is up.".to_owned(),
    };
    let one = |control: &Control| {
        let (has, says) = match &control.state {
            ControlState::Proven(saw) => (true, format!("proven: {saw}")),
            ControlState::InForce(how) if how.is_empty() => (true, "in force".to_owned()),
            ControlState::InForce(how) => (true, format!("in force: {how}")),
            ControlState::NotAsked => (true, "needs nothing of the host".to_owned()),
            ControlState::LeftOut => (false, "left out".to_owned()),
            ControlState::Unavailable(why) => (false, why.clone()),
        };
        Shown { name: control.name.clone(), has, says, promise: promise(&control.name) }
    };
    controls.iter().map(one).collect()
}

fn scenarios(path: &Path, host: &Host, controls: &[Shown]) -> Result<Scenarios, DoctorError> {
    let shown = path.display().to_string();
    let failed = |error| DoctorError { path: shown.clone(), error };
    let cases = suite::all(path, host).map_err(failed)?;
    let mut found =
        Scenarios { path: shown.clone(), all: cases.len(), ignored: Vec::new(), failing: Vec::new() };
    for case in cases {
        match case.state {
            State::Lacking(why) => found.ignored.push(Lacking { name: case.name, why }),
            State::Ready(scenario) => {
                if let Some(why) = required(&scenario, controls) {
                    found.failing.push(Lacking { name: case.name, why });
                }
            }
            State::Broken(_) => {}
        }
    }
    Ok(found)
}

/// The control that a scenario requires and that isn't to be had.
fn required(scenario: &Scenario, controls: &[Shown]) -> Option<String> {
    let required = scenario.policy(Path::new("/")).required;
    let missing = controls.iter().find(|control| !control.has && required.contains(&control.name))?;
    Some(format!("it requires `{}`: {}", missing.name, missing.says))
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |has: bool| if has { "yes" } else { "no" };
        write!(f, "{}", crate::needs::table(&self.facts))?;
        writeln!(f, "\nsettings")?;
        for Setting { file, value, decides } in &self.settings {
            let value = value.as_deref().unwrap_or("(not here)");
            writeln!(f, "  {file}: {value}\n    {decides}")?;
        }
        writeln!(f, "\ncontrols, as a run with all of them showed them")?;
        if let Some(why) = &self.broken {
            writeln!(f, "  none: nothing can be run here: {why}")?;
        }
        let width = self.controls.iter().map(|control| control.name.len()).max().unwrap_or(0);
        for Shown { name, has, says, promise } in &self.controls {
            writeln!(f, "  {name:width$}  {:3}  {says}", mark(*has))?;
            if !has {
                writeln!(f, "  {:width$}       so this is not kept: {promise}", "")?;
            }
        }
        if let Some(Scenarios { path, all, ignored, failing }) = &self.scenarios {
            writeln!(
                f,
                "\nscenarios in {path}: {all}, of these ignored here {}, failing {}",
                ignored.len(),
                failing.len()
            )?;
            let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for Lacking { name, why } in ignored.iter().chain(failing) {
                by_reason.entry(why).or_default().push(name);
            }
            for (why, names) in by_reason {
                writeln!(f, "  {why}")?;
                for name in names {
                    writeln!(f, "    {name}")?;
                }
            }
        }
        Ok(())
    }
}

/// The folder of scenarios that is looked at where none is named: the usual one, if it is there.
#[must_use]
pub fn usual() -> Option<&'static Path> {
    let usual = Path::new("scenarios");
    scenario::discover(usual).is_ok_and(|files| !files.is_empty()).then_some(usual)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_control_of_a_run_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        put("lacking.yaml", "needs: [landlock >= 99]\nrun: [\"true\"]\n");
        put("failing.yaml", "deterministic: { pids: true }\nrun: [\"true\"]\n");
        put("good.yaml", "run: [\"true\"]\n");
        let diagnosis = diagnose(&Host::probe(), Some(folder.path())).unwrap();
        assert_eq!(diagnosis.broken, None);
        for declared in capability::ALL {
            assert!(diagnosis.controls.iter().any(|shown| shown.name == declared.name), "{}", declared.name);
        }
        let found = diagnosis.scenarios.as_ref().unwrap();
        assert_eq!((found.all, found.ignored.len()), (3, 1));
        assert!(found.ignored[0].why.contains("needs landlock >= 99"), "{found:?}");
        // What is required, and can't be had, fails.
        let pids = diagnosis.controls.iter().find(|shown| shown.name == "pids").unwrap();
        assert_eq!(found.failing.len(), usize::from(!pids.has), "{found:?}");
        let text = diagnosis.to_string();
        for says in ["landlock ", "\nsettings\n", "  guard ", "needs landlock >= 99"] {
            assert!(text.contains(says), "{says}\n{text}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&diagnosis).unwrap()).unwrap();
        assert_eq!(json["version"], 1);
        assert_eq!(json["facts"][0]["name"], "landlock");
        assert!(json["controls"].as_array().is_some_and(|all| all.len() >= capability::ALL.len()));
    }
}
