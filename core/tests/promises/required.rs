//! A control that can't be had is told, and where the policy requires it nothing runs.

use assize_core::outcome::ControlState;
use assize_core::plan::PlanError;
use assize_core::policy::{Isolation, Machine, Schedule};
use assize_core::{Command, Policy, RunError, Sandbox};

use crate::support::*;

fn without_namespaces() -> Policy {
    Policy { own_proc: true, isolation: Isolation::Off, ..policy() }
}

fn state(policy: Policy, control: &str) -> ControlState {
    let outcome = Sandbox::new(policy, Command::new("true")).run_blocking().unwrap();
    outcome.report.controls.into_iter().find(|this| this.name == control).unwrap().state
}

#[test]
fn what_cannot_be_had_is_told() {
    let state = state(without_namespaces(), "pids");
    assert!(matches!(&state, ControlState::Unavailable(why) if why.contains("namespace")), "{state:?}");
}

#[test]
fn what_is_required_and_cannot_be_had_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let mut policy = without_namespaces();
    policy.fs.write.push(folder.path().into());
    policy.required.insert("pids".to_owned());
    let error = Sandbox::new(policy, Command::new("touch").args([&made])).run_blocking().unwrap_err();
    assert!(matches!(&error, RunError::Unavailable { control, .. } if control == "pids"), "{error}");
    assert!(!made.exists());
}

#[test]
fn what_is_required_and_can_be_had_is_no_obstacle() {
    let mut policy = policy();
    policy.machine = Some(Machine { cpus: Some(3), ..Machine::default() });
    policy.required.insert("machine".to_owned());
    assert!(matches!(state(policy, "machine"), ControlState::Proven(_)));
}

#[test]
fn what_is_no_control_and_what_is_not_asked_for_cannot_be_required() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let refused = |name: &str| {
        let mut policy = policy();
        policy.fs.write.push(folder.path().into());
        policy.required.insert(name.to_owned());
        let error = Sandbox::new(policy, Command::new("touch").args([&made])).run_blocking().unwrap_err();
        assert!(!made.exists());
        let RunError::Plan(error) = error else { panic!("{error}") };
        error
    };
    let error = refused("clocks");
    assert!(matches!(&error, PlanError::UnknownControl { name, .. } if name == "clocks"), "{error}");
    assert!(error.to_string().contains("clock") && error.to_string().contains("timeout"), "{error}");
    for control in ["clock", "schedule"] {
        let error = refused(control);
        assert!(matches!(&error, PlanError::NotAsked { control: named } if named == control), "{error}");
    }
}

/// A serial run's keeper has a real-time priority: the caller's own thread keeps what it had.
#[test]
fn the_caller_keeps_its_priority() {
    let own = || std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // `man 5 proc_pid_stat`: rt_priority and policy are fields 40 and 41.
    let scheduling = |stat: &str| {
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().map(str::to_owned).collect();
        fields[37..39].to_vec()
    };
    let before = scheduling(&own());
    let allowed = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap().to_owned()
    };
    let allowed_before = allowed();
    let policy = Policy { schedule: Schedule::Serial, ..policy() };
    Sandbox::new(policy, Command::new("true")).run_blocking().unwrap();
    assert_eq!(scheduling(&own()), before);
    assert_eq!(allowed(), allowed_before);
}
