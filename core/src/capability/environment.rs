//! What a program inherits without being told: limits, niceness. (Variables, descriptors, umask, signals and session are the
//! same for every guest: that is the launch's.)
#![forbid(unsafe_code)]

use rustix::process::Resource;

use super::{AtStart, Capability, Proof, Rule, Stage, StartError};
use crate::launch::CORE_LIMIT;
use crate::launch::standing::{Limited, Standing};
use crate::sys::probe::{Expect, ProbeArg};
use crate::syscall::Sysno;
use crate::{Policy, Syscall};

pub(super) struct Environment {
    /// Whether core dumps are kept from guests anyway.
    no_core: bool,
}

/// A limit: what of, its name as `man 2 getrlimit` has it, soft, hard.
type Limit = (Resource, &'static str, Option<u64>, Option<u64>);

/// Nothing that depends on the caller or on the size of the machine. Low where a shell has low ones, since a hard limit that
/// is lower than these can't be raised.
const LIMITS: &[Limit] = &[
    (Resource::Cpu, "CPU", None, None),
    (Resource::Fsize, "FSIZE", None, None),
    (Resource::Data, "DATA", None, None),
    (Resource::Stack, "STACK", Some(8 << 20), None),
    (Resource::Rss, "RSS", None, None),
    (Resource::Nproc, "NPROC", Some(4096), Some(4096)),
    NOFILE,
    (Resource::Memlock, "MEMLOCK", Some(64 << 10), Some(64 << 10)),
    (Resource::As, "AS", None, None),
    (Resource::Locks, "LOCKS", None, None),
    (Resource::Sigpending, "SIGPENDING", Some(1024), Some(1024)),
    (Resource::Msgqueue, "MSGQUEUE", Some(819_200), Some(819_200)),
    (Resource::Nice, "NICE", Some(0), Some(0)),
    (Resource::Rtprio, "RTPRIO", Some(0), Some(0)),
    (Resource::Rttime, "RTTIME", None, None),
];

const OPEN: u64 = 1024;
const MOST_OPEN: u64 = 4096;
const NOFILE: Limit = (Resource::Nofile, "NOFILE", Some(OPEN), Some(MOST_OPEN));

impl Environment {
    fn at_start(&self, standing: &mut Standing) {
        let mut lacking = Vec::new();
        let words =
            |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        for (resource, name, soft, hard) in LIMITS.iter().copied() {
            match standing.limit(resource, soft, hard) {
                Ok(Limited::AsAsked) => {}
                Ok(Limited::HardIsLower(seen)) => lacking.push(format!(
                    "the caller's hard limit {name} is {}, lower than {}",
                    words(seen),
                    words(hard)
                )),
                Ok(Limited::Lower(seen)) => lacking.push(format!(
                    "the caller's hard limit {name} is {}, lower than {}",
                    words(seen),
                    words(soft)
                )),
                Err(errno) => lacking.push(format!("setting the limit {name} gave {errno}")),
            }
        }
        if self.no_core {
            // One that is lower already is as good.
            let _ = standing.limit(Resource::Core, Some(CORE_LIMIT), Some(CORE_LIMIT));
        }
        match standing.niceness() {
            Ok(0) => {}
            Ok(niceness) => {
                if let Err(errno) = standing.set_niceness(0) {
                    lacking.push(format!(
                        "the caller's niceness is {niceness}, and setting it to 0 gave {errno}"
                    ));
                }
            }
            Err(errno) => lacking.push(format!("asking for the niceness gave {errno}")),
        }
        if let Some(score) = standing.oom_score().filter(|score| *score != 0)
            && let Err(errno) = standing.set_oom_score(0)
        {
            lacking.push(format!("the caller's oom_score_adj is {score}, and setting it to 0 gave {errno}"));
        }
        if !lacking.is_empty() {
            standing.lacks(lacking.join("; "));
        }
    }
}

impl Capability for Environment {
    const NAME: &'static str = "environment";
    const STAGE: Stage = Stage::Account;
    const PROMISE: &'static str = "Programs start with the same resource limits, niceness and oom_score_adj whoever runs \
        them; init has that niceness too. Where a hard limit of the caller's is lower, and can't be raised, the report says so. (The limit of core dumps \
        is 1, or 0 where the caller's hard limit is.)";
    const RULES: &'static [Rule<Self>] = &[];
    const AT_START: Option<AtStart<Self>> = Some(Self::at_start);

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let no_core = !policy.without.contains("guard");
        Ok(policy.fixed_environment.then_some(Self { no_core }))
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        let number = ProbeArg::Number;
        let limits = ProbeArg::memory(&[0; 16]);
        let args = [number(0), number(libc::RLIMIT_NOFILE.into()), number(0), limits, number(0), number(0)];
        // Where the caller's is lower, it may have stayed.
        if rustix::process::getrlimit(Resource::Nofile).maximum.is_some_and(|most| most < MOST_OPEN) {
            return;
        }
        let expect =
            Expect { result: 0, memory: Some((3, 0, [OPEN, MOST_OPEN].map(u64::to_ne_bytes).concat())) };
        proof.expect(Syscall::of(Sysno::prlimit64), args, expect, "prlimit64", format!("{OPEN} open files"));
    }
}
