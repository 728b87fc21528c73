//! In which order guests run: one at a time, and none is interrupted for another.
//!
//! All guests of a run have one processor and one real-time priority, so each runs until it waits, and who waited longest
//! runs next. (Who never waits runs behind all others after a while: that is the launch's.) The supervisor's threads have the same processor and higher priorities: what they do takes place at once. The
//! kernel leaves a twentieth of the processor to everybody else, so that no guest locks the machine up; that changes no order.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Answer, AtStart, Calls, Capability, Rule, Stage, StartError, Then};
use crate::launch::standing::Standing;
use crate::policy;
use crate::supervisor::call::Call;
use crate::supervisor::process_stat::ProcessStat;
use crate::syscall::{family, signature};
use crate::trace::Grounds;
use crate::{Errno, NotifAction, Policy};

#[derive(Default)]
pub(super) struct Schedule {
    claim: OnceLock<Claim>,
    /// The processors that guests might run on if they did not share one.
    allowed: OnceLock<Vec<usize>>,
}

/// The processors of this process's serial runs, and how many runs each has.
static CLAIMS: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// A run's processor, until it is dropped.
struct Claim(usize);

impl Claim {
    /// One of these, of those that have the fewest runs: `here`, if it is among them. Other processes' runs are not known, but
    /// the kernel starts a thread where there is least to do, so that two that begin together are apart.
    fn of(allowed: &[usize], here: usize) -> Option<Self> {
        let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = |cpu: &usize| claims.get(cpu).copied().unwrap_or(0);
        let cpu = *allowed.iter().min_by_key(|cpu| (runs(cpu), **cpu != here))?;
        *claims.entry(cpu).or_default() += 1;
        Some(Self(cpu))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runs) = claims.get_mut(&self.0) {
            *runs -= 1;
        }
    }
}

/// `struct sched_attr`: its first version, and what of it is known here.
const ATTR: usize = 48;
const ATTR_KNOWN: usize = 56;
const PAGE: u64 = 4096;

impl Schedule {
    fn at_start(&self, standing: &mut Standing) {
        let allowed = standing.processors();
        let Some(claim) = Claim::of(&allowed, standing.processor()) else {
            return standing.lacks("no processor is allowed");
        };
        let done = standing.run_serially(claim.0);
        // Guests see the same whether it can be had or not.
        let _ = self.allowed.set(allowed);
        match done {
            Ok(()) => {
                let _ = self.claim.set(claim);
            }
            Err(errno) => standing.lacks(format!(
                "no real-time priority: {errno} (root has it, and who has a limit RTPRIO of 3 or more)"
            )),
        }
    }

    /// Guests stay where they are. Who wants nothing special is told that he has it; the rest is as for everybody who has no
    /// privilege.
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)] // the shape of every handler
    fn set(&self, call: &mut Call) -> Answer {
        let of = |name| signature::position(call.syscall(), name).map(|place| call.arg(place.into()));
        let read = |address, at: u64| {
            let bytes = call.read(u64::wrapping_add(address, at), 4)?;
            Ok(i32::from_ne_bytes(bytes.try_into().unwrap_or_default()))
        };
        let wanted = match (of("policy"), of("attr"), of("param")) {
            (Some(policy), ..) => Ok(policy as i32 & !libc::SCHED_RESET_ON_FORK),
            (None, Some(attr), _) => read(attr, 4),
            // No priority but 0 belongs to the ordinary policy.
            (None, None, Some(param)) => match read(param, 0) {
                Ok(0) => Ok(libc::SCHED_OTHER),
                Ok(_) => Err(Errno::EINVAL),
                Err(errno) => Err(errno),
            },
            (None, None, None) => Err(Errno::EINVAL),
        };
        match wanted {
            Ok(libc::SCHED_OTHER | libc::SCHED_BATCH | libc::SCHED_IDLE) => {
                Answer::Done(NotifAction::ReturnValue(0))
            }
            Ok(libc::SCHED_FIFO | libc::SCHED_RR | libc::SCHED_DEADLINE) => Answer::errno(Errno::EPERM),
            Ok(_) => Answer::errno(Errno::EINVAL),
            Err(errno) => Answer::errno(errno),
        }
    }

    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    fn stay(&self, call: &mut Call) -> Answer {
        match call.read(call.arg(2), 1) {
            Ok(_) => Answer::Done(NotifAction::ReturnValue(0)),
            Err(errno) => Answer::errno(errno),
        }
    }

    /// As many processors as there would be without this capability: how many threads a program makes follows from it.
    #[allow(clippy::needless_pass_by_ref_mut)] // the shape of every handler
    fn affinity(&self, call: &mut Call) -> Answer {
        let Some(allowed) = self.allowed.get() else { return Answer::Pass };
        let mask = mask(allowed);
        let len = call.arg(1) as u32 as usize;
        if len < mask.len() || !len.is_multiple_of(8) {
            return Answer::errno(Errno::EINVAL);
        }
        let pid = call.arg(0) as u32;
        if pid != 0 && call.numbered(pid).is_none() {
            return Answer::Pass;
        }
        match call.write(call.arg(2), &mask) {
            Ok(()) => Answer::Done(NotifAction::ReturnValue(mask.len() as i64)),
            Err(errno) => Answer::errno(errno),
        }
    }

    /// As of an ordinary thread; one with a real-time priority may run for ever.
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    fn interval(&self, call: &mut Call) -> Answer {
        call.answer_with_interval()
    }

    /// An open may lead to a file that tells of a thread's priority. Where nothing in it would differ it is the kernel's.
    #[allow(clippy::unused_self)]
    fn opens(&self, call: &mut Call) -> Answer {
        let Some(file) = call.opened_of_process().filter(|file| file.name == b"stat") else {
            return Answer::Pass;
        };
        let Some(real) = call.read_opened() else { return Answer::Pass };
        match ProcessStat::parse(&real).filter(ProcessStat::has_real_time) {
            Some(stat) if call.tells_of_this_run(&file) => {
                call.answer_with_content(&stat.shown(file.is_of_init(), |_| None))
            }
            _ => Answer::Pass,
        }
    }

    #[allow(clippy::unused_self)] // the shape of every handler
    fn executes(&self, call: &mut Call) -> Answer {
        call.brings_program();
        Answer::Pass
    }

    /// A guest sees what it would see if it had no special priority, as on a host that can't give it.
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    fn get(&self, call: &mut Call) -> Answer {
        let pid = call.arg(0) as u32;
        if pid != 0 && call.numbered(pid).is_none() {
            return Answer::Pass;
        }
        let of = |name| signature::position(call.syscall(), name).map(|place| call.arg(place.into()));
        let written = match (of("attr"), of("param")) {
            (Some(attr), _) => {
                let (size, flags) = (of("size").unwrap_or(0) as u32, of("flags").unwrap_or(0) as u32);
                if attr == 0 || flags != 0 || u64::from(size) > PAGE || (size as usize) < ATTR {
                    return Answer::errno(Errno::EINVAL);
                }
                let known = (size as usize).min(ATTR_KNOWN);
                let mut bytes = vec![0; known];
                // All else of an ordinary thread is 0; so is its niceness, as far as it has changed none.
                bytes[..4].copy_from_slice(&(known as u32).to_ne_bytes());
                call.write(attr, &bytes)
            }
            (None, Some(param)) => call.write(param, &0_i32.to_ne_bytes()),
            (None, None) => Ok(()),
        };
        match written {
            Ok(()) => Answer::Done(NotifAction::ReturnValue(libc::SCHED_OTHER.into())),
            Err(errno) => Answer::errno(errno),
        }
    }
}

/// A set of processors as `man 2 sched_getaffinity` has it: words of 64 bits.
fn mask(cpus: &[usize]) -> Vec<u8> {
    let most = cpus.iter().max().copied().unwrap_or(0);
    let mut bytes = vec![0; (most / 64 + 1) * 8];
    for cpu in cpus {
        bytes[cpu / 8] |= 1 << (cpu % 8);
    }
    bytes
}

impl Capability for Schedule {
    const NAME: &'static str = super::SCHEDULE;
    const STAGE: Stage = Stage::Filter;
    const PROMISE: &'static str = "The guests of a run share one processor and one real-time priority: each runs until it \
        waits, and none is interrupted for another, at any load. Only where the host gives such priorities; the report says \
        where it doesn't. Before a guest gets a file to read, or executes a program or a script, it is read into memory, \
        up to 256 MiB of it, if the disk answers soon and its file system tells whether one would have to wait. What waits for a disk \
        otherwise, for the network, for a clock, for a handler of the user's, or for a lock of the kernel's that \
        other processes hold, goes on when that does. Who computes for 2 s without a wait while others are ready runs behind all \
        of them until it waits, and the report says so: their order then depends on how fast the processor is. Only where the \
        caller may give the priority back, as root may: elsewhere it keeps all others from running, also one that a timer wakes, as \
        timeout(1) does, and only the run's own time limit ends it. Runs that share a processor wait for each other.";
    const RULES: &'static [Rule<Self>] = &[
        Rule {
            calls: Calls::Family(&family::SCHEDULE_SET),
            when: &[],
            then: Then::Ask { by: Self::set, grounds: Grounds::Emulated },
            doc: "what makes the order is not the guest's to change; the ordinary policy is granted in words",
        },
        Rule {
            calls: Calls::Family(&family::AFFINITY_SET),
            when: &[],
            then: Then::Ask { by: Self::stay, grounds: Grounds::Emulated },
            doc: "all guests stay on one processor; a choice of others is granted in words",
        },
        Rule {
            calls: Calls::Family(&family::AFFINITY_GET),
            when: &[],
            then: Then::Ask { by: Self::affinity, grounds: Grounds::Emulated },
            doc: "a guest sees all processors that it would have without this",
        },
        Rule {
            calls: Calls::Family(&family::SCHEDULE_GET),
            when: &[],
            then: Then::Ask { by: Self::get, grounds: Grounds::Emulated },
            doc: "a guest sees the ordinary policy, as on a host that gives no other",
        },
        Rule {
            calls: Calls::Family(&family::SCHEDULE_INTERVAL),
            when: &[],
            then: Then::Ask { by: Self::interval, grounds: Grounds::Emulated },
            doc: "a guest may run as long as under the ordinary policy",
        },
        Rule {
            calls: Calls::Family(&family::EXEC),
            when: &[],
            then: Then::Ask { by: Self::executes, grounds: Grounds::NotSecurity },
            doc: "a program is read into memory before it runs, so that none waits for the disk meanwhile",
        },
        Rule {
            calls: Calls::Family(&family::OPEN),
            when: &[],
            then: Then::Ask { by: Self::opens, grounds: Grounds::Pinned },
            doc: "a guest's `stat`, on whatever procfs, has the priority of an ordinary process",
        },
    ];
    const AT_START: Option<AtStart<Self>> = Some(Self::at_start);
    /// Every program and every open is looked at.
    const SHOWS: bool = false;

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        Ok((policy.schedule == policy::Schedule::Serial).then(Self::default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_a_bit_for_each_processor() {
        assert_eq!(mask(&[0, 1]), [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(mask(&[9, 64]), [0, 2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn runs_are_spread_over_the_processors() {
        // Numbers that no other test of this process uses.
        let allowed = [9001, 9002];
        let first = Claim::of(&allowed, 0).unwrap();
        let second = Claim::of(&allowed, 9001).unwrap();
        assert_eq!((first.0, second.0), (9001, 9002));
        drop(first);
        assert_eq!(Claim::of(&allowed, 9002).unwrap().0, 9001);
        assert!(Claim::of(&[], 0).is_none());
    }

    #[test]
    fn a_run_stays_where_it_is_unless_another_is_there() {
        let allowed = [9003, 9004, 9005];
        let first = Claim::of(&allowed, 9004).unwrap();
        assert_eq!(first.0, 9004);
        assert_eq!(Claim::of(&allowed, 9005).unwrap().0, 9005);
        assert_eq!(Claim::of(&allowed, 9004).unwrap().0, 9003);
    }
}
