//! The numbers of processes and threads, as the guests see them. They are the pid namespace's, and so are those on a procfs
//! that is mounted for the guests: the start does both. What is done here is to ask for it, and to show it.
#![forbid(unsafe_code)]

use rustix::process::getpid;

use super::{AtStart, Capability, Preparation, Proof, Rule, Stage, StartError};
use crate::launch::standing::Standing;
use crate::outcome::ISOLATION;
use crate::policy::Isolation;
use crate::sys::probe::{Expect, ProbeArg};
use crate::sys::thread;
use crate::syscall::Sysno;
use crate::{Errno, Policy, Syscall};

pub(super) struct Pids {
    /// Whether the policy wants the namespace that the numbers are of.
    isolated: bool,
}

const NO_NAMESPACE: &str = "without a pid namespace processes have the host's numbers";

impl Pids {
    #[allow(clippy::unused_self)] // the shape of every handler
    fn at_start(&self, standing: &mut Standing) {
        if !standing.has_namespaces() {
            standing.lacks(NO_NAMESPACE);
        } else if let Some(why) = standing.why_no_own_proc() {
            standing.lacks(format!(
                "processes are numbered from 1 up by order of creation, but /proc, where it is granted, is the host's: {why}"
            ));
        }
    }
}

impl Capability for Pids {
    const NAME: &'static str = "pids";
    const STAGE: Stage = Stage::Account;
    const PROMISE: &'static str = "In a pid namespace processes and threads are numbered from 1 up by order of creation \
        (init is 1, the command 2), and `/proc`, where a policy grants it, is a procfs of that namespace: it shows the \
        guests and init, by these numbers, and nobody else. What it tells of the machine and of the kernel is the host's \
        there too, but for what `machine`, `random`, `clock` and `hostname` make up. Not kept where a host gives no \
        namespaces, or where its own `/proc` is covered in parts, as in containers: the report then says so.";
    const RULES: &'static [Rule<Self>] = &[];
    const AT_START: Option<AtStart<Self>> = Some(Self::at_start);

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let isolated = policy.isolation != Isolation::Off && !policy.without.contains(ISOLATION);
        Ok(policy.own_proc.then_some(Self { isolated }))
    }

    fn lacks(&self) -> Option<String> {
        (!self.isolated).then(|| NO_NAMESPACE.to_owned())
    }

    fn prepare(&self, preparation: &mut Preparation) {
        preparation.own_proc = true;
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        if !proof.own_proc {
            return;
        }
        let readlink = Syscall::of(Sysno::readlink);
        let number = ProbeArg::Number;
        let args = |path: &str| {
            let path = ProbeArg::memory(format!("{path}\0").as_bytes());
            [path, ProbeArg::memory(&[0; 16]), number(16), number(0), number(0), number(0)]
        };
        // The command is 2.
        let expect = Expect { result: 1, memory: Some((1, 0, b"2".to_vec())) };
        proof.expect(readlink, args("/proc/self"), expect, "readlink of /proc/self", "2");
        // One of the supervisor's own numbers that isn't a guest's yet.
        let own = [thread::id(), getpid().as_raw_nonzero().get().unsigned_abs()].into_iter().max();
        if let Some(own) = own.filter(|own| *own > 2) {
            let expect = Expect { result: -i64::from(Errno::ENOENT.value()), memory: None };
            let done = "readlink of the supervisor's own entry in /proc";
            proof.expect(readlink, args(&format!("/proc/{own}/exe")), expect, done, "ENOENT");
        }
    }
}
