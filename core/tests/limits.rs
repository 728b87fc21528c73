//! A process that may open few files: a run says so or passes, whatever it was about to open, and keeps none of them. A
//! process of its own: it limits and counts its descriptors.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use assize_core::outcome::End;
use assize_core::policy::Isolation;
use assize_core::trace::Exit;
use assize_core::{Command, Outcome, Policy, RunError, Sandbox};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of plain guests, of followed ones, and of ones whose opens are performed and whose devices are made.
fn policies() -> Vec<Policy> {
    let mut policies = Vec::new();
    for isolation in [Isolation::Auto, Isolation::Off] {
        for kind in 0..3 {
            let mut policy = Policy { isolation, ..Policy::default() };
            for path in ["/usr", "/bin", "/lib", "/lib64", "/etc", "/dev/urandom"] {
                if std::path::Path::new(path).exists() {
                    policy.fs.read.push(path.into());
                }
            }
            policy.limits.timeout = Some(Duration::from_secs(20));
            policy.observe.processes = kind == 1;
            policy.seed = (kind == 2).then_some(1);
            if kind == 2 {
                policy.fs.deny.push("/etc/shadow".into());
            }
            policies.push(policy);
        }
    }
    policies
}

fn run(policy: Policy) -> Result<Outcome, RunError> {
    let command =
        Command::new("/bin/sh").args(["-c", "head -c 4 /dev/urandom | wc -c; cat /etc/passwd; exit 0"]);
    Sandbox::new(policy, command).run_blocking()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn limit(count: u64) {
    let now = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum: now.maximum }).unwrap();
}

#[test]
fn whatever_can_no_longer_be_opened_a_run_ends_in_words_and_keeps_nothing() {
    let plenty = getrlimit(Resource::Nofile).current.unwrap();
    // What all runs share is there before.
    policies().into_iter().for_each(|policy| drop(run(policy).unwrap()));
    let before = descriptors();
    for policy in policies() {
        let (mut failed, mut passed) = (0, 0);
        for count in (before as u64 - 2..before as u64 + 24).chain(98..135) {
            limit(count);
            let result = run(policy.clone());
            limit(plenty);
            match result {
                Ok(outcome) => {
                    let seen =
                        (outcome.end, String::from_utf8_lossy(&outcome.stdout).lines().next() == Some("4"));
                    let stderr = String::from_utf8_lossy(&outcome.stderr).into_owned();
                    assert_eq!(seen, (End::Exit(Exit::Code(0)), true), "with {count} descriptors: {stderr}");
                    passed += 1;
                }
                Err(error) => {
                    failed += 1;
                    let text = error.to_string();
                    assert!(text.contains("EMFILE"), "with {count} descriptors: {text}");
                }
            }
            let settled = (0..500).any(|turn| {
                if turn > 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
                descriptors() <= before
            });
            assert!(settled, "with {count} descriptors: {before} before, {} after", descriptors());
        }
        assert!(failed > 10 && passed > 5, "{failed} failed, {passed} passed");
    }
}
