//! What plans derive from policies: each program checked by the interpreter, each conflict an error.
#![forbid(unsafe_code)]

mod explained;
mod meaning;

use std::time::Duration;

use crate::policy::{Clock, ClockMode, Timestamp};
use crate::sys::seccomp::NotifData;
use crate::syscall::{Sysno, family};
use crate::{Errno, HandlerError, Plan, Policy, RunError, Syscall};

const X86_64: u32 = 0xc000_003e;

fn verdict(plan: &Plan, call: Sysno, args: [u64; 6]) -> u32 {
    let nr = Syscall::of(call).number().cast_signed();
    plan.program().run(&NotifData { nr, arch: X86_64, instruction_pointer: 0, args })
}

fn errno(errno: Errno) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.value().unsigned_abs()
}

/// Whatever a policy can deny.
fn filtered() -> impl Iterator<Item = Syscall> {
    Syscall::all().filter(|call| call.is_filtered())
}

fn policies() -> Vec<Policy> {
    let mut seeded = Policy { seed: Some(1), hostname: Some("box".to_owned()), ..Policy::default() };
    seeded.syscalls.deny = family::CONNECT.syscalls().collect();
    let mut observed = Policy::default();
    observed.observe.denials = true;
    observed.observe.calls = filtered().collect();
    let mut denying = Policy::default();
    denying.fs.deny.push("/etc/passwd".into());
    let mut denying_all = Policy::default();
    denying_all.syscalls.deny = filtered().collect();
    let timed = Policy { clock: Some(LOGICAL), ..Policy::default() };
    let timed_and_observed = Policy { clock: Some(OFFSET), ..observed.clone() };
    let timed_and_denied = Policy { clock: Some(LOGICAL), ..denying_all.clone() };
    let observed_and_timed = Policy { clock: Some(LOGICAL), ..observed.clone() };
    vec![
        Policy::default(),
        seeded,
        observed,
        denying,
        denying_all,
        timed,
        timed_and_observed,
        timed_and_denied,
        observed_and_timed,
    ]
}

const START: Timestamp = Timestamp { seconds: 1, nanoseconds: 2 };
const LOGICAL: Clock = Clock { start: START, mode: ClockMode::Logical { step: Duration::from_nanos(1) } };
const OFFSET: Clock = Clock { start: START, mode: ClockMode::Offset };

/// What the supervisor refuses, because somebody watches, is refused all the same; the filter would rather stop it.
#[test]
fn a_call_that_is_refused_is_not_stopped() {
    let with_limit = [0, 0, 0, 1, 0, 0];
    let mut policy = Policy { clock: Some(LOGICAL), ..Policy::default() };
    let refused = |policy: &Policy| {
        verdict(&Plan::of(policy).unwrap(), Sysno::semtimedop, with_limit) & libc::SECCOMP_RET_ACTION_FULL
    };
    assert_eq!(refused(&policy), libc::SECCOMP_RET_ERRNO);
    policy.observe.denials = true;
    assert_eq!(refused(&policy), libc::SECCOMP_RET_USER_NOTIF);
    policy.syscalls.allow.insert(Syscall::of(Sysno::semtimedop));
    assert_eq!(refused(&policy), libc::SECCOMP_RET_TRACE);
}

#[test]
fn a_call_that_is_stopped_is_no_handlers() {
    let nanosleep = Syscall::of(Sysno::nanosleep);
    let policy = Policy { clock: Some(LOGICAL), ..Policy::default() };
    let error = RunError::from(Plan::make(&policy, &[nanosleep]).unwrap_err());
    assert_eq!(error.to_string(), "clock stops nanosleep itself where it begins: nobody else can answer it");
    // By a clock that runs as the real one, the kernel itself sleeps.
    let policy = Policy { clock: Some(OFFSET), ..Policy::default() };
    assert!(Plan::make(&policy, &[nanosleep]).is_ok());
}

#[test]
fn every_program_is_one_that_the_kernel_takes() {
    for policy in policies() {
        let plan = Plan::of(&policy).unwrap();
        plan.program().verify().unwrap();
        // A foreign architecture is killed, x32 and unknown numbers don't exist, whatever else the policy says.
        for nr in [0, 1, 59, 335, 1 << 30, 4095] {
            let foreign = NotifData { nr, arch: 0x4000_0003, instruction_pointer: 0, args: [0; 6] };
            assert_eq!(plan.program().run(&foreign), libc::SECCOMP_RET_KILL_PROCESS);
        }
        for nr in [1 << 30, (1 << 30) | 1, 4095, i32::MAX, -1] {
            let strange = NotifData { nr, arch: X86_64, instruction_pointer: 0, args: [0; 6] };
            assert_eq!(plan.program().run(&strange), errno(Errno::ENOSYS), "{nr}");
        }
    }
}

#[test]
fn only_what_a_run_needs_is_trapped() {
    let plan = Plan::of(&Policy::default()).unwrap();
    let asked = |call: &Syscall| verdict(&plan, call.sysno(), [0; 6]) == libc::SECCOMP_RET_USER_NOTIF;
    assert_eq!(Syscall::all().filter(asked).collect::<Vec<_>>(), []);
    let seeded = Plan::of(&Policy { seed: Some(1), ..Policy::default() }).unwrap();
    for call in [Sysno::getrandom, Sysno::open, Sysno::openat, Sysno::openat2, Sysno::creat] {
        assert_eq!(verdict(&seeded, call, [0; 6]), libc::SECCOMP_RET_USER_NOTIF, "{call}");
    }
    for call in [Sysno::read, Sysno::close, Sysno::rename, Sysno::uname, Sysno::fork] {
        assert_eq!(verdict(&seeded, call, [0; 6]), libc::SECCOMP_RET_ALLOW, "{call}");
    }
}

#[test]
fn a_condition_looks_at_the_bits_that_the_kernel_reads() {
    let plan = Plan::of(&Policy::default()).unwrap();
    for garbage in [0, 1 << 32, 0xffff_ffff << 32] {
        let request = libc::TIOCSTI | garbage;
        assert_eq!(verdict(&plan, Sysno::ioctl, [0, request, 0, 0, 0, 0]), errno(Errno::EPERM));
    }
    assert_eq!(verdict(&plan, Sysno::ioctl, [0, libc::TIOCGWINSZ, 0, 0, 0, 0]), libc::SECCOMP_RET_ALLOW);
    let namespace = (libc::CLONE_NEWUSER | libc::SIGCHLD) as u64;
    assert_eq!(verdict(&plan, Sysno::clone, [namespace, 0, 0, 0, 0, 0]), errno(Errno::EPERM));
    assert_eq!(verdict(&plan, Sysno::clone3, [0; 6]), errno(Errno::ENOSYS));
}

#[test]
fn what_can_t_be_carried_out_is_an_error() {
    let mut both = Policy::default();
    both.syscalls.deny.insert(Syscall::of(Sysno::bpf));
    both.syscalls.allow.insert(Syscall::of(Sysno::bpf));
    assert!(Plan::of(&both).unwrap_err().to_string().contains("bpf"));
    let mut traced = Policy { seed: Some(1), ..Policy::default() };
    traced.syscalls.allow.insert(Syscall::of(Sysno::ptrace));
    assert!(Plan::of(&traced).unwrap_err().to_string().contains("ptrace"));
    let unknown = Policy { without: ["randum".to_owned()].into(), ..Policy::default() };
    assert!(Plan::of(&unknown).unwrap_err().to_string().contains("randum"));
    for call in Syscall::all().filter(|call| !call.is_filtered()) {
        let mut denied = Policy::default();
        denied.syscalls.deny.insert(call);
        let mut observed = Policy::default();
        observed.observe.calls.insert(call);
        for policy in [denied, observed] {
            assert!(Plan::of(&policy).unwrap_err().to_string().contains("asks no filter"), "{call}");
        }
        assert!(Plan::make(&Policy::default(), &[call]).is_err());
    }
    let named = Policy { hostname: Some("a b".to_owned()), ..Policy::default() };
    assert!(Plan::of(&named).unwrap_err().to_string().contains("hostname"));
}

#[test]
fn no_handler_weakens_a_denial() {
    let refused = |policy: &Policy, call: Sysno| {
        let handlers = [Syscall::of(call)];
        matches!(
            Plan::make(policy, &handlers).map_err(RunError::from),
            Err(RunError::Handler(HandlerError::OnDenySyscall { syscall, .. })) if syscall == Syscall::of(call)
        )
    };
    let mut policy = Policy::default();
    assert!(refused(&policy, Sysno::mount) && refused(&policy, Sysno::clone3));
    // Only some of their arguments are denied: those stay so, and the rest may be handled.
    assert!(!refused(&policy, Sysno::ioctl) && !refused(&policy, Sysno::openat));
    policy.observe.denials = true;
    assert!(refused(&policy, Sysno::mount));
    policy.syscalls.deny.insert(Syscall::of(Sysno::openat));
    assert!(refused(&policy, Sysno::openat));
}
