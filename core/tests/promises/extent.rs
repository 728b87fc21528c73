//! Policies at their largest, on the real kernel: nearly every call denied, hundreds of paths.

use std::collections::BTreeMap;
use std::path::PathBuf;

use assize_core::capability::ALL;
use assize_core::prober::{Script, Value};
use assize_core::syscall::Sysno;
use assize_core::{Errno, Plan, Policy, Syscall};

use crate::support::*;

/// What a prober needs for itself: it maps its script, closes the descriptor, and ends.
const NEEDED: [Sysno; 3] = [Sysno::mmap, Sysno::close, Sysno::exit_group];
/// Calls that succeed with no arguments, and change nothing that a test would feel.
const HARMLESS: [Sysno; 8] = [
    Sysno::getpid,
    Sysno::getppid,
    Sysno::getuid,
    Sysno::geteuid,
    Sysno::getgid,
    Sysno::getpgrp,
    Sysno::gettid,
    Sysno::sched_yield,
];

/// The guard's own errors, which stand before the policy's.
fn errors() -> BTreeMap<Syscall, Errno> {
    let guard = ALL.iter().find(|declared| declared.name == "guard").unwrap();
    let plain = (guard.rules)().into_iter().filter(|rule| rule.when.is_empty());
    plain
        .flat_map(|rule| {
            let errno = Errno::named(&rule.then).unwrap();
            rule.spellings.into_iter().map(move |name| (Syscall::named(name).unwrap(), errno))
        })
        .collect()
}

/// Whatever a policy can deny.
fn filtered() -> impl Iterator<Item = Syscall> {
    Syscall::all().filter(|call| call.is_filtered())
}

fn denied_but(kept: &[Sysno]) -> Policy {
    let mut policy = bare();
    policy.syscalls.deny = filtered().filter(|call| !kept.contains(&call.sysno())).collect();
    policy
}

/// Makes each of these calls without arguments.
fn tried(policy: Policy, calls: &[Syscall]) -> Probed {
    let mut script = Script::default();
    for call in calls {
        script.call(*call, [Value::Number(0); 6]);
    }
    let probed = probe(policy, script, vec![]);
    exited(&probed.outcome, 0);
    probed
}

#[test]
fn every_call_but_three_can_be_denied() {
    let errors = errors();
    for observed in [false, true] {
        let mut policy = denied_but(&NEEDED);
        policy.observe.denials = observed;
        let denied: Vec<_> = policy.syscalls.deny.iter().copied().collect();
        assert_eq!(denied.len() + NEEDED.len(), filtered().count());
        let probed = tried(policy, &denied);
        for (place, call) in denied.iter().enumerate() {
            let errno = errors.get(call).copied().unwrap_or(Errno::EPERM);
            assert_eq!(probed.result(place), -i64::from(errno.value()), "{call}");
        }
    }
    // Those that do no harm show that nothing but the denial makes them fail.
    let free = tried(denied_but(&[&NEEDED[..], &HARMLESS].concat()), &HARMLESS.map(Syscall::of));
    (0..HARMLESS.len()).for_each(|place| assert!(free.result(place) >= 0, "{}", HARMLESS[place]));
}

#[test]
fn what_no_filter_is_asked_about_can_t_be_denied() {
    let free: Vec<_> = Syscall::all().filter(|call| !call.is_filtered()).collect();
    for call in free {
        let mut policy = bare();
        policy.syscalls.deny.insert(call);
        let (command, _) = Script::default().build().unwrap();
        let (result, _) = traced_result(policy, command, vec![]);
        assert!(result.unwrap_err().to_string().contains("asks no filter"), "{call}");
    }
}

/// No two neighbours among the numbers are treated alike: the longest program that a policy makes.
#[test]
fn the_kernel_takes_the_longest_program() {
    for denied_turn in 0..3 {
        let mut policy = bare();
        policy.seed = Some(1);
        policy.hostname = Some("box".to_owned());
        policy.fs.deny.push("/etc/passwd".into());
        for call in filtered().filter(|call| !NEEDED.contains(&call.sysno())) {
            match (call.number() as usize + denied_turn) % 3 {
                0 => drop(policy.syscalls.deny.insert(call)),
                1 => drop(policy.observe.calls.insert(call)),
                _ => {}
            }
        }
        let length = Plan::of(&policy).unwrap().program().instructions().len();
        assert!(length > 400, "{length} instructions");
        let calls: Vec<_> = policy.syscalls.deny.iter().copied().collect();
        let harmless = HARMLESS.map(Syscall::of).into_iter().filter(|call| !calls.contains(call));
        let harmless: Vec<_> = harmless.collect();
        let errors = errors();
        let probed = tried(policy, &[&calls[..], &harmless].concat());
        for (place, call) in calls.iter().enumerate() {
            let errno = errors.get(call).copied().unwrap_or(Errno::EPERM);
            assert_eq!(probed.result(place), -i64::from(errno.value()), "{call}");
        }
        for (place, call) in harmless.iter().enumerate() {
            assert!(probed.result(calls.len() + place) >= 0, "{call}");
        }
    }
}

/// Two hundred of each kind, each opened by its name. The supervisor holds two descriptors for each that is denied: more
/// of them, beside the runs of other tests, would be too many for the usual limit of 1,024.
#[test]
fn hundreds_of_paths_are_granted_and_hundreds_denied() {
    const EACH: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let file = |kind: &str, place: usize| -> PathBuf {
        let within = folder.path().join(format!("{kind}/{place}"));
        std::fs::create_dir_all(&within).unwrap();
        let file = within.join("file");
        std::fs::write(&file, kind).unwrap();
        file
    };
    let made = |kind: &str| -> Vec<PathBuf> { (0..EACH).map(|place| file(kind, place)).collect() };
    let (granted, denied, other) = (made("granted"), made("denied"), made("other"));
    let beside: Vec<PathBuf> = denied.iter().map(|path| path.with_file_name("beside")).collect();
    beside.iter().for_each(|path| std::fs::write(path, "beside").unwrap());

    let mut policy = bare();
    policy.fs.read.extend(granted.iter().cloned());
    policy.fs.read.push(folder.path().join("denied"));
    policy.fs.deny.extend(denied.iter().cloned());
    let kinds = [
        ("granted", &granted, true),
        ("denied", &denied, false),
        ("beside", &beside, true),
        ("other", &other, false),
    ];

    let run = |policy: Policy, opened: &dyn Fn(&str, bool) -> bool| {
        for spelling in [Sysno::open, Sysno::openat] {
            let mut script = Script::default();
            let mut places = Vec::new();
            for (kind, paths, may) in kinds {
                for path in paths {
                    let text = script.bytes(format!("{}\0", path.display()).as_bytes());
                    let text = Value::Data(text);
                    let args =
                        if spelling == Sysno::open { [text, n(0), n(0)] } else { [n(-100), text, n(0)] };
                    let place = call(&mut script, spelling, &args);
                    call(&mut script, Sysno::close, &[Value::Result(place)]);
                    places.push((place, opened(kind, may), path.clone()));
                }
            }
            let probed = probe(policy.clone(), script, vec![]);
            exited(&probed.outcome, 0);
            for (place, may, path) in places {
                let result = probed.result(place);
                let wanted = if may { result >= 0 } else { result == -i64::from(libc::EACCES) };
                assert!(wanted, "{spelling} of {}: {result}", path.display());
            }
        }
    };
    run(policy.clone(), &|_, may| may);
    // Without the defence all of them open, so that nothing but it has refused any.
    policy.without.insert("fs".to_owned());
    run(policy, &|_, _| true);
}
