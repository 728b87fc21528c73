//! What no guest may do, unless the policy allows it by name.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::{Answer, Calls, Capability, HandlerFn, Proof, Rule, Stage, StartError, Then};
use crate::filter::Match;
use crate::launch::CORE_LIMIT;
use crate::supervisor::call::Call;
use crate::sys::probe::{Expect, ProbeArg};
use crate::syscall::{Family, Sysno, family, signature};
use crate::trace::Grounds;
use crate::{Errno, NotifAction, Policy, Syscall};

pub(super) struct Guard {
    allowed: BTreeSet<Syscall>,
}

const fn denied(calls: &'static Family, errno: Errno, doc: &'static str) -> Rule<Guard> {
    Rule { calls: Calls::Family(calls), when: &[], then: Then::Errno(errno), doc }
}

const fn denied_when(calls: &'static Family, when: &'static [Match], doc: &'static str) -> Rule<Guard> {
    Rule { calls: Calls::Family(calls), when, then: Then::Errno(Errno::EPERM), doc }
}

const fn asked_when(
    calls: &'static Family,
    when: &'static [Match],
    by: HandlerFn<Guard>,
    grounds: Grounds,
    doc: &'static str,
) -> Rule<Guard> {
    Rule { calls: Calls::Family(calls), when, then: Then::Ask { by, grounds }, doc }
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

const CONNECTS: &str =
    "connects without a call to connect, which a policy may deny; programs then make that call";
/// `SOCK_TYPE_MASK` of `linux/net.h`: above it are flags.
const SOCKET_TYPE: u64 = 0xf;
/// `IOPRIO_WHO_PROCESS` (`man 2 ioprio_set`).
const IOPRIO_WHO_PROCESS: u64 = 1;
/// `struct rlimit64`: the soft limit, then the hard one.
const RLIMIT: usize = 16;

impl Guard {
    /// Threads are named by number, which may be that of a process outside. A number that a guest has given up can be
    /// another's by the time that the kernel looks: this keeps off mistakes and floods, not a patient racer.
    #[allow(clippy::needless_pass_by_ref_mut)] // the shape of every handler
    fn of_a_guest(&self, call: &mut Call) -> Answer {
        let of = |name| signature::position(call.syscall(), name);
        let Some(place) = of("pid").or_else(|| of("who")) else { return Answer::errno(Errno::EPERM) };
        let thread = call.arg(place.into()) as u32;
        if call.is_guest(thread) { Answer::Pass } else { Answer::errno(Errno::EPERM) }
    }

    /// A program that wants no dump of its own has what it wants, so it is told that it does: those that hold secrets give
    /// up if they are refused.
    #[allow(clippy::needless_pass_by_ref_mut)] // the shape of every handler
    fn core_limit(&self, call: &mut Call) -> Answer {
        let of = |name| signature::position(call.syscall(), name).map(|place| call.arg(place.into()));
        let new = match (of("new_limit"), of("rlim")) {
            // A query.
            (Some(0), _) => return Answer::Pass,
            (Some(new), _) | (None, Some(new)) => new,
            (None, None) => return Answer::errno(Errno::EPERM),
        };
        let bytes = match call.read(new, RLIMIT) {
            Ok(bytes) => bytes,
            Err(errno) => return Answer::errno(errno),
        };
        let mut limits = bytes
            .chunks_exact(RLIMIT / 2)
            .map(|word| u64::from_ne_bytes(word.try_into().unwrap_or([u8::MAX; RLIMIT / 2])));
        let (soft, hard) = (limits.next().unwrap_or(u64::MAX), limits.next().unwrap_or(u64::MAX));
        if soft > hard {
            return Answer::errno(Errno::EINVAL);
        }
        if hard > CORE_LIMIT {
            return Answer::errno(Errno::EPERM);
        }
        if let Some(old) = of("old_limit").filter(|old| *old != 0) {
            let limit = CORE_LIMIT.to_ne_bytes();
            if let Err(errno) = call.write(old, &[limit, limit].concat()) {
                return Answer::errno(errno);
            }
        }
        Answer::Done(NotifAction::ReturnValue(0))
    }
}

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
        denied(
            &family::MOUNT_LIST,
            Errno::ENOSYS,
            "tells what is mounted on the host, past the files that say so and that a policy grants or not",
        ),
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
        denied_when(
            &family::SETPRIORITY,
            &[Match::ne(0, libc::PRIO_PROCESS as u64)],
            "slows a whole group or all of a user's processes, the supervisor's and the caller's among them",
        ),
        denied_when(
            &family::IOPRIO,
            &[Match::ne(0, IOPRIO_WHO_PROCESS)],
            "slows a whole group or all of a user's processes, the supervisor's and the caller's among them",
        ),
        asked_when(
            &family::SETPRIORITY,
            &[Match::ne(1, 0)],
            Self::of_a_guest,
            Grounds::Registers,
            "only a guest's priority is a guest's to change",
        ),
        asked_when(
            &family::IOPRIO,
            &[Match::ne(1, 0)],
            Self::of_a_guest,
            Grounds::Registers,
            "only a guest's priority is a guest's to change",
        ),
        asked_when(
            &family::SCHEDULE,
            &[Match::ne(0, 0)],
            Self::of_a_guest,
            Grounds::Registers,
            "only when and where a guest runs is a guest's to change",
        ),
        asked_when(
            &family::SETRLIMIT,
            &[Match::eq(0, libc::RLIMIT_CORE as u64)],
            Self::core_limit,
            Grounds::Emulated,
            "the limit that keeps a crash from the host's core dumps stays as it is",
        ),
        asked_when(
            &family::PRLIMIT,
            &[Match::eq(1, libc::RLIMIT_CORE as u64)],
            Self::core_limit,
            Grounds::Emulated,
            "the limit that keeps a crash from the host's core dumps stays as it is",
        ),
        denied_when(
            &family::SOCKET_ALONE,
            &[Match::eq(0, libc::AF_UNIX as u64)],
            "leads by a name in the file system, which Landlock doesn't judge, to daemons that act outside of the sandbox",
        ),
        denied_when(
            &family::SOCKET_PAIR,
            // SOCK_STREAM and SOCK_SEQPACKET lack this bit; SOCK_DGRAM and SOCK_RAW, which can be sent elsewhere, don't.
            &[Match::eq(0, libc::AF_UNIX as u64), Match::any_bit(1, libc::SOCK_DGRAM as u64)],
            "a socket of a pair that can still be sent to any name",
        ),
        denied_when(
            &family::SOCKET,
            &[
                Match::ne(0, libc::AF_UNIX as u64),
                Match::ne(0, libc::AF_INET as u64),
                Match::ne(0, libc::AF_INET6 as u64),
                Match::ne(0, libc::AF_NETLINK as u64),
            ],
            "leads out of a virtual machine, to devices, or into code of the kernel that few have looked at",
        ),
        denied_when(
            &family::SOCKET_ALONE,
            &[Match::eq(2, libc::IPPROTO_SCTP as u64)],
            "a protocol whose sockets connect by other calls than connect as well",
        ),
        denied_when(
            &family::SOCKET_ALONE,
            // Of the Internet's families this type is SCTP's, whether the protocol is named or not.
            &[
                Match::ne(0, libc::AF_UNIX as u64),
                Match::masked_eq(1, SOCKET_TYPE, libc::SOCK_SEQPACKET as u64),
            ],
            "a type whose sockets connect by other calls than connect as well",
        ),
        Rule {
            calls: Calls::Family(&family::SEND_BUFFERS),
            when: &[Match::any_bit(3, libc::MSG_FASTOPEN as u64)],
            then: Then::Errno(Errno::EOPNOTSUPP),
            doc: CONNECTS,
        },
        Rule {
            calls: Calls::Family(&family::SEND_MESSAGE),
            when: &[Match::any_bit(2, libc::MSG_FASTOPEN as u64)],
            then: Then::Errno(Errno::EOPNOTSUPP),
            doc: CONNECTS,
        },
        denied(
            &family::SYSV_IPC,
            Errno::EPERM,
            "numbers that every process of the host can guess; a run that may use them gets a namespace of its own for them",
        ),
        denied(
            &family::MESSAGE_QUEUE,
            Errno::EPERM,
            "names that every process of the host can guess; a run that may use them gets a namespace of its own for them",
        ),
        denied(&family::FANOTIFY, Errno::EPERM, "watches what others do with files, granted or not"),
        denied(
            &family::MODIFY_LDT,
            Errno::EPERM,
            "segments for 16-bit and 32-bit code, which no guest runs; a rich source of kernel faults",
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
        denied_when(
            &family::IOCTL,
            &[Match::eq(1, libc::TIOCSETD)],
            "has the kernel load a line discipline, each a rich source of kernel faults",
        ),
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
