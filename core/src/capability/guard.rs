//! What no guest may do, unless the policy allows it by name.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::{Calls, Capability, Proof, Rule, Stage, StartError, Then};
use crate::filter::Match;
use crate::sys::probe::{Expect, ProbeArg};
use crate::syscall::{Family, Sysno, family};
use crate::{Errno, Policy, Syscall};

pub(super) struct Guard {
    allowed: BTreeSet<Syscall>,
}

const fn denied(calls: &'static Family, errno: Errno, doc: &'static str) -> Rule<Guard> {
    Rule { calls: Calls::Family(calls), when: &[], then: Then::Errno(errno), doc }
}

const fn denied_when(calls: &'static Family, when: &'static [Match], doc: &'static str) -> Rule<Guard> {
    Rule { calls: Calls::Family(calls), when, then: Then::Errno(Errno::EPERM), doc }
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u64 = 1 << 3;
const NAMESPACES: u64 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u64;

impl Capability for Guard {
    const NAME: &'static str = "guard";
    const STAGE: Stage = Stage::Guard;
    const PROMISE: &'static str = "Denied for every guest unless the policy allows the call by name: what would walk \
        past a filter, reach into another process, change the machine, or serves nobody but an attacker.";
    const RULES: &'static [Rule<Self>] = &[
        denied(&family::IO_URING, Errno::ENOSYS, "its operations are seen by no filter"),
        denied(
            &family::CLONE3,
            Errno::ENOSYS,
            "its flags lie in memory, where no filter can read them; libc falls back to clone",
        ),
        denied_when(
            &family::CLONE,
            &[Match::any_bit(0, NAMESPACES)],
            "in a namespace of its own a guest gets privileges that the policy didn't grant",
        ),
        denied_when(
            &family::CLONE,
            &[Match::any_bit(0, libc::CLONE_UNTRACED as u64)],
            "hides a process from the supervisor, which follows every guest",
        ),
        denied_when(
            &family::UNSHARE,
            &[Match::any_bit(0, NAMESPACES | libc::CLONE_NEWTIME as u64)],
            "in a namespace of its own a guest gets privileges that the policy didn't grant",
        ),
        denied(&family::SETNS, Errno::EPERM, "enters a namespace that was not made for the guest"),
        denied(&family::MOUNT, Errno::EPERM, "changes which files a path leads to"),
        denied(&family::CHROOT, Errno::EPERM, "changes which files a path leads to"),
        denied(
            &family::PTRACE,
            Errno::EPERM,
            "reaches into other processes, and past a notification's answer",
        ),
        denied(&family::PROCESS_VM_READ, Errno::EPERM, "reads another process's memory"),
        denied(&family::PROCESS_VM_WRITE, Errno::EPERM, "writes another process's memory"),
        denied(&family::PIDFD_GETFD, Errno::EPERM, "takes descriptors out of other processes"),
        denied(&family::KCMP, Errno::EPERM, "compares other processes' kernel objects"),
        denied(&family::BPF, Errno::EPERM, "loads programs into the kernel"),
        denied(
            &family::PERF,
            Errno::EPERM,
            "observes the kernel and other processes; a rich source of kernel faults",
        ),
        denied(
            &family::USERFAULTFD,
            Errno::EPERM,
            "stops the kernel in the middle of a copy, which wins races",
        ),
        denied(&family::FILE_HANDLE, Errno::EPERM, "opens files past every path that Landlock knows"),
        denied(&family::KEYRING, Errno::EPERM, "kernel keyrings are shared with everything of the same user"),
        denied_when(
            &family::SECCOMP,
            &[Match::any_bit(1, NEW_LISTENER)],
            "takes notifications away from the supervisor",
        ),
        denied(
            &family::LANDLOCK,
            Errno::EOPNOTSUPP,
            "the supervisor, which performs calls for the guest, would not stand in a domain of the guest's own",
        ),
        denied_when(
            &family::PRLIMIT,
            &[Match::ne(0, 0)],
            "reads or sets the limits of another process, which may be the supervisor or any other of the same user",
        ),
        denied(&family::KEXEC, Errno::EPERM, "replaces the kernel"),
        denied(&family::MODULE, Errno::EPERM, "loads code into the kernel"),
        denied(&family::REBOOT, Errno::EPERM, "stops the machine"),
        denied(&family::SWAP, Errno::EPERM, "changes the machine's memory"),
        denied(&family::ACCT, Errno::EPERM, "changes the machine's accounting"),
        denied(&family::QUOTA, Errno::EPERM, "changes the machine's quotas"),
        denied(&family::SYSLOG, Errno::EPERM, "reads the kernel's log"),
        denied(&family::CLOCK_SET, Errno::EPERM, "changes the machine's clock"),
        denied(&family::PORT_IO, Errno::EPERM, "talks to hardware past the kernel"),
        denied_when(
            &family::PERSONALITY,
            &[Match::ne(0, 0xffff_ffff)],
            "changes how programs are executed; only the query is harmless",
        ),
        denied_when(&family::IOCTL, &[Match::eq(1, libc::TIOCSTI)], "types into the caller's terminal"),
        denied_when(&family::IOCTL, &[Match::eq(1, libc::TIOCLINUX)], "pastes into the caller's console"),
    ];

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        Ok(Some(Self { allowed: policy.syscalls.allow.clone() }))
    }

    fn applies(&self, _: &Rule<Self>, call: Syscall) -> bool {
        !self.allowed.contains(&call)
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        // Without the filter, kcmp of two processes that don't exist would fail with ESRCH.
        let kcmp = Syscall::of(Sysno::kcmp);
        if self.allowed.contains(&kcmp) {
            return;
        }
        let number = |number: i64| ProbeArg::Number(number.cast_unsigned());
        let args = [number(-1), number(-1), number(0), number(0), number(0), number(0)];
        let expect = Expect { result: -i64::from(libc::EPERM), memory: None };
        proof.expect(kcmp, args, expect, "kcmp", "EPERM");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::signature;

    #[test]
    fn every_condition_concerns_some_spelling() {
        for rule in Guard::RULES {
            let Calls::Family(family) = rule.calls else { panic!("{}", rule.doc) };
            let concerned = |call: Syscall| rule.when.iter().all(|test| signature::is_scalar(call, test.arg));
            assert!(family.syscalls().any(concerned), "{}: {} has no such argument", rule.doc, family.name);
        }
    }
}
