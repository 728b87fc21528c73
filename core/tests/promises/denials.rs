//! A denial in the kernel's filter, and the same denial made visible, give the guest the same.

use assize_core::capability::ALL;
use assize_core::prober::{Script, Value};
use assize_core::syscall::Sysno;
use assize_core::trace::{Action, Origin};
use assize_core::{Errno, Policy, Syscall};

use crate::support::*;

/// Arguments with which a call that is denied by its arguments is denied; and with which it is not.
fn telling_args(call: Syscall, condition: &str) -> ([u64; 6], Option<[u64; 6]>) {
    let new_user = libc::CLONE_NEWUSER as u64;
    let child = libc::SIGCHLD as u64;
    match call.sysno() {
        Sysno::clone => {
            let untraced = condition.contains("CLONE_UNTRACED");
            let flag = if untraced { libc::CLONE_UNTRACED as u64 } else { new_user };
            ([flag | child, 0, 0, 0, 0, 0], Some([child, 0, 0, 0, 0, 0]))
        }
        // Of oneself, RLIMIT_CPU: it fails for the lack of a pointer or not at all, but not by the rule.
        Sysno::prlimit64 => ([1, 0, 0, 0, 0, 0], Some([0, 0, 0, 0, 0, 0])),
        Sysno::unshare => ([new_user, 0, 0, 0, 0, 0], Some([libc::CLONE_FS as u64, 0, 0, 0, 0, 0])),
        // SECCOMP_GET_ACTION_AVAIL takes no flags: it fails, but not by the rule.
        Sysno::seccomp => ([1, 1 << 3, 0, 0, 0, 0], Some([2, 0, 0, 0, 0, 0])),
        Sysno::personality => ([8, 0, 0, 0, 0, 0], Some([0xffff_ffff, 0, 0, 0, 0, 0])),
        Sysno::ioctl => {
            let named =
                |name, number: u64| condition.contains(name) || condition.contains(&format!("{number:#x}"));
            let request = match () {
                () if named("TIOCLINUX", libc::TIOCLINUX) => libc::TIOCLINUX,
                () if named("TIOCSETD", libc::TIOCSETD) => libc::TIOCSETD,
                () => libc::TIOCSTI,
            };
            // What the kernel does not read of the request must not matter.
            ([0, request | 1 << 32, 0, 0, 0, 0], Some([0, libc::TIOCGWINSZ, 0, 0, 0, 0]))
        }
        Sysno::socket | Sysno::socketpair => {
            let (unix, stream, datagram) =
                (libc::AF_UNIX as u64, libc::SOCK_STREAM as u64, libc::SOCK_DGRAM as u64);
            let of_another_family = condition.contains("is not AF_INET");
            let free = if call.sysno() == Sysno::socket { libc::AF_INET as u64 } else { unix };
            let denied = if of_another_family { libc::AF_ALG as u64 } else { unix };
            let sctp = if condition.contains("protocol") { libc::IPPROTO_SCTP as u64 } else { 0 };
            let denied = match () {
                () if sctp != 0 => [free, stream, sctp, 0, 0, 0],
                () if condition.contains("type under") => [free, libc::SOCK_SEQPACKET as u64, 0, 0, 0, 0],
                () => [denied, datagram, 0, 0, 0, 0],
            };
            (denied, Some([free, stream, 0, 0, 0, 0]))
        }
        // A whole group; oneself.
        Sysno::setpriority => ([1, 0, 0, 0, 0, 0], Some([0; 6])),
        Sysno::ioprio_set => ([2, 0, 0, 0, 0, 0], Some([1, 0, 0, 0, 0, 0])),
        // No descriptor has this number.
        Sysno::sendto | Sysno::sendmsg | Sysno::sendmmsg => {
            let fastopen = libc::MSG_FASTOPEN as u64;
            ([u64::MAX, 0, fastopen, fastopen, 0, 0], Some([u64::MAX, 0, 0, 0, 0, 0]))
        }
        _ => ([0; 6], None),
    }
}

struct Case {
    call: Syscall,
    args: [u64; 6],
    /// `None`: not denied.
    errno: Option<Errno>,
    rule: &'static str,
}

/// Every spelling under every rule of the guard that the filter alone can decide.
fn cases() -> Vec<Case> {
    let guard = ALL.iter().find(|declared| declared.name == "guard").unwrap();
    let mut cases = Vec::new();
    for rule in (guard.rules)() {
        for name in rule.spellings {
            let call = Syscall::named(name).unwrap();
            let Some(errno) = Errno::named(&rule.then) else { continue };
            let (denied, free) = telling_args(call, &rule.when.join(" "));
            if rule.when.is_empty() {
                cases.push(Case { call, args: [0; 6], errno: Some(errno), rule: rule.doc });
                cases.push(Case { call, args: [u64::MAX; 6], errno: Some(errno), rule: rule.doc });
            } else if let Some(free) = free {
                cases.push(Case { call, args: denied, errno: Some(errno), rule: rule.doc });
                cases.push(Case { call, args: free, errno: None, rule: rule.doc });
            }
        }
    }
    cases
}

fn run(policy: Policy, cases: &[Case]) -> Probed {
    let mut script = Script::default();
    for case in cases {
        script.call(case.call, case.args.map(Value::Number));
    }
    let probed = probe(policy, script, vec![]);
    exited(&probed.outcome, 0);
    probed
}

#[test]
fn the_filters_denials_and_the_visible_ones_are_the_same() {
    let cases = cases();
    assert!(cases.len() > 60, "{}", cases.len());
    let hidden = run(bare(), &cases);
    let mut observing = bare();
    observing.observe.denials = true;
    let shown = run(observing, &cases);
    for (place, case) in cases.iter().enumerate() {
        let what = format!("{}({:x?}): {}", case.call, case.args, case.rule);
        match case.errno {
            Some(errno) => {
                assert_eq!(hidden.result(place), -i64::from(errno.value()), "{what}");
                assert_eq!(shown.result(place), hidden.result(place), "{what}");
            }
            None => {
                // A child's number differs from run to run.
                let coarse = |result: i64| result.min(1);
                assert_ne!(hidden.result(place), -1, "{what}");
                assert_eq!(coarse(shown.result(place)), coarse(hidden.result(place)), "{what}");
            }
        }
    }
    assert!(verdicts(&hidden.events).is_empty());
    // Each that was denied was seen, but for what does not exist here at all.
    let denied: Vec<_> =
        cases.iter().filter(|case| case.errno.is_some_and(|errno| errno != Errno::ENOSYS)).collect();
    let seen: Vec<_> = verdicts(&shown.events)
        .into_iter()
        .filter(|verdict| matches!(&verdict.by, Origin::Rule { capability, .. } if capability == "guard"))
        .collect();
    assert_eq!(seen.len(), denied.len());
    for (verdict, case) in seen.iter().zip(&denied) {
        assert_eq!((verdict.call, verdict.action), (case.call, Action::Deny(case.errno.unwrap())));
        assert!(matches!(&verdict.by, Origin::Rule { rule, .. } if rule == case.rule), "{verdict:?}");
    }
}

#[test]
fn what_the_policy_denies_is_denied_in_both_forms() {
    // Calls that a script can make without arguments, and that would succeed.
    let calls =
        [Sysno::getppid, Sysno::getuid, Sysno::sched_yield, Sysno::sync, Sysno::umask, Sysno::getpgrp];
    let mut script = Script::default();
    for sysno in calls {
        call(&mut script, sysno, &[]);
    }
    let free = probe(bare(), script.clone(), vec![]);
    for observed in [false, true] {
        let mut policy = bare();
        policy.syscalls.deny = calls.map(Syscall::of).into();
        policy.observe.denials = observed;
        let denied = probe(policy, script.clone(), vec![]);
        for place in 0..calls.len() {
            assert!(free.result(place) >= 0);
            assert_eq!(denied.result(place), -i64::from(libc::EPERM));
        }
        assert_eq!(verdicts(&denied.events).len(), if observed { calls.len() } else { 0 });
    }
}

#[test]
fn exec_can_be_denied_and_the_command_still_starts() {
    for observed in [false, true] {
        let mut policy = policy();
        policy.observe.denials = observed;
        policy.syscalls.deny = [Sysno::execve, Sysno::execveat].map(Syscall::of).into();
        let outcome = handled(policy, sh("/bin/true; echo $?"), vec![]);
        exited(&outcome, 0);
        assert_eq!(stdout(&outcome), "126\n", "observed: {observed}");
    }
}

#[test]
fn what_is_allowed_by_name_is_no_longer_denied() {
    let kcmp = Syscall::of(Sysno::kcmp);
    let mut script = Script::default();
    call(&mut script, Sysno::getpid, &[]);
    script.call(kcmp, [Value::Result(0), Value::Result(0), n(0), n(1), n(1), n(0)]);
    assert_eq!(probe(bare(), script.clone(), vec![]).result(1), -i64::from(libc::EPERM));
    let mut policy = bare();
    policy.syscalls.allow.insert(kcmp);
    assert_ne!(probe(policy, script, vec![]).result(1), -i64::from(libc::EPERM));
}

#[test]
fn a_call_that_no_table_has_does_not_exist() {
    let script = "import ctypes\n\
                  libc = ctypes.CDLL(None, use_errno=True)\n\
                  for number in (460 + 500, 0x40000000 + 39, -1, 0x7fffffff):\n\
                  \x20   ctypes.set_errno(0)\n\
                  \x20   print(libc.syscall(ctypes.c_long(number)), ctypes.get_errno())";
    let outcome = handled(policy(), python(script), vec![]);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "-1 38\n".repeat(4));
}
