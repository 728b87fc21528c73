//! A procfs of the guests' own, where a scenario can't say how a run is set up.

use std::os::fd::OwnedFd;
use std::path::Path;

use assize_core::outcome::ControlState;
use assize_core::policy::Isolation;
use assize_core::syscall::Sysno;
use assize_core::{Command, NotifAction, Outcome, Policy, RunError, Sandbox};

use crate::support::*;

/// With all of the file system granted, so that Landlock hides nothing. `None`, with a word: this host gives no such procfs, and
/// refuses whoever requires it.
fn own_proc() -> Option<Policy> {
    let mut policy = Policy { own_proc: true, isolation: Isolation::Require, ..policy() };
    policy.fs.read = vec!["/".into()];
    policy.required.insert("pids".to_owned());
    if let Err(error) = assize_core::host::try_own_proc() {
        // What is promised then: nobody who requires it runs without it.
        let refused = Sandbox::new(policy, sh("true")).run_blocking();
        assert!(refused.is_err(), "{refused:?}");
        eprintln!("only its refusal is tried: no procfs can be mounted in namespaces here: {error}");
        return None;
    }
    Some(policy)
}

/// The same, and with a denied path, so that the supervisor opens.
fn variants() -> Vec<Policy> {
    let Some(plain) = own_proc() else { return Vec::new() };
    let mut judged = plain.clone();
    judged.fs.deny = vec!["/nowhere/at/all".into()];
    vec![plain, judged]
}

fn printed(outcome: &Outcome) -> String {
    assert!(outcome.stderr.is_empty(), "{}", String::from_utf8_lossy(&outcome.stderr));
    String::from_utf8(outcome.stdout.clone()).unwrap()
}

fn prints(policy: Policy, command: Command) -> String {
    printed(&Sandbox::new(policy, command).run_blocking().unwrap())
}

#[test]
fn it_is_shown_to_be_in_force() {
    let Some(policy) = own_proc() else { return };
    let outcome = Sandbox::new(policy, sh("echo $$ /proc/[0-9]*")).run_blocking().unwrap();
    assert_eq!(printed(&outcome), "2 /proc/1 /proc/2\n");
    let pids = outcome.report.controls.iter().find(|control| control.name == "pids").unwrap();
    assert!(matches!(pids.state, ControlState::Proven(_)), "{:?}", pids.state);
}

#[test]
fn no_folder_that_it_starts_in_leads_to_the_hosts() {
    for policy in variants() {
        for (folder, seen) in
            [("/proc", "1 2"), ("/proc/sys", "../1 ../2"), ("/usr/bin", "../../proc/1 ../../proc/2")]
        {
            let script = format!("echo {}[0-9]*", &seen[..seen.find('1').unwrap()]);
            assert_eq!(prints(policy.clone(), sh(&script).cwd(folder)), format!("{seen}\n"), "{folder}");
        }
    }
}

#[test]
fn no_folder_that_it_inherits_leads_to_the_hosts() {
    for policy in variants() {
        for (folder, way) in [("/usr", "../proc"), ("/proc", "."), ("/", "proc")] {
            let opened = OwnedFd::from(std::fs::File::open(folder).unwrap());
            let mut command = sh(&format!("cd -P /proc/self/fd/3/{way} && echo [0-9]* && /bin/pwd"));
            command.inherit.push(opened);
            assert_eq!(prints(policy.clone(), command), "1 2\n/proc\n", "{folder}");
        }
    }
}

#[test]
fn who_performs_after_a_handler_sees_it_too() {
    let Some(mut policy) = own_proc() else { return };
    policy.fs.deny = vec!["/nowhere/at/all".into()];
    let pass = || always(|| NotifAction::Continue);
    let handlers = vec![(number(Sysno::openat), pass())];
    let outcome = handled(
        policy,
        sh(
            "read -r pid rest < /proc/self/stat; echo $pid; read -r pid rest < /proc/thread-self/stat; echo $pid",
        ),
        handlers,
    );
    assert_eq!(printed(&outcome), "2\n2\n");
}

#[test]
fn a_grant_that_the_guests_own_does_not_have_is_told() {
    let Some(mut policy) = own_proc() else { return };
    // The supervisor's own folder.
    policy.fs.read.push(Path::new("/proc").join(std::process::id().max(3).to_string()));
    let error = Sandbox::new(policy, sh("true")).run_blocking().unwrap_err();
    assert!(matches!(&error, RunError::Plan(_)) && error.to_string().contains("/proc/"), "{error}");
}

#[test]
fn a_start_that_fails_leaves_nobody() {
    for policy in variants() {
        let marker = marker("own-proc");
        let mut command = Command::new(format!("/nowhere/{marker}"));
        command.args.push(marker.clone().into());
        let error = Sandbox::new(policy, command).run_blocking().unwrap_err();
        assert!(error.to_string().contains("could not be executed"), "{error}");
        assert!(gone_within(&marker, std::time::Duration::from_secs(5)));
    }
}
