//! A guest that stands ready: confined, and before its probes and its exec. What capabilities arrange about it from outside
//! is done here by the keeper, whom nothing confines. Decides nothing.
#![forbid(unsafe_code)]

use rustix::process::{Pid, Resource, Rlimit, getpriority_process, prlimit, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use crate::Errno;
use crate::sys::{schedule, thread};

/// A guest that stands ready.
pub struct Standing {
    guest: u32,
    /// The first process of its tree, which guests see.
    init: u32,
    /// The threads that serve it: the keeper, which calls, and these.
    servants: Vec<u32>,
    serial: bool,
    namespaces: bool,
    /// Why `/proc` is the host's, where it was to be the guests' own.
    no_own_proc: Option<String>,
    /// Whose turn it is.
    pub(crate) capability: &'static str,
    /// What this host can't give, by capability.
    lacking: Vec<(&'static str, String)>,
}

impl Standing {
    /// `servants` are the threads that serve `guest`, but for the keeper and `init`.
    pub(super) fn new(
        guest: u32,
        init: u32,
        mut servants: Vec<u32>,
        namespaces: bool,
        no_own_proc: Option<String>,
    ) -> Self {
        // It ends all guests with the command: at once, so that none comes further than in other runs.
        servants.push(init);
        let (serial, capability, lacking) = (false, "", Vec::new());
        Self { guest, init, servants, serial, namespaces, no_own_proc, capability, lacking }
    }

    /// Whether guests run one at a time.
    pub(super) fn is_serial(&self) -> bool {
        self.serial
    }

    pub(super) fn into_lacking(self) -> Vec<(&'static str, String)> {
        self.lacking
    }

    /// This host can't give the capability's whole promise: why.
    pub fn lacks(&mut self, why: impl Into<String>) {
        self.lacking.push((self.capability, why.into()));
    }

    /// Whether the guests have a pid namespace.
    #[must_use]
    pub fn has_namespaces(&self) -> bool {
        self.namespaces
    }

    /// Why `/proc` is the host's, where it was to be the guests' own. `None`: it is theirs.
    pub(crate) fn why_no_own_proc(&self) -> Option<&str> {
        self.no_own_proc.as_deref()
    }

    fn guest(&self) -> Result<Pid, Errno> {
        Pid::from_raw(self.guest.cast_signed()).ok_or(Errno::ESRCH)
    }

    /// Sets a limit. Where the hard one is lower and can't be raised, both are as near as can be: that hard limit.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn limit(
        &self,
        resource: Resource,
        soft: Option<u64>,
        hard: Option<u64>,
    ) -> Result<Limited, Errno> {
        let guest = Some(self.guest()?);
        let wanted = Rlimit { current: soft, maximum: hard };
        let before = match prlimit(guest, resource, wanted) {
            Ok(_) => return Ok(Limited::AsAsked),
            Err(rustix::io::Errno::PERM) => own_limit(resource),
            Err(errno) => return Err(errno.into()),
        };
        let lower = |asked: Option<u64>| match (asked, before) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (None, most) => most,
            (asked, None) => asked,
        };
        let nearest = Rlimit { current: lower(soft), maximum: lower(hard) };
        let soft_is_whole = nearest.current == soft;
        prlimit(guest, resource, nearest)?;
        Ok(if soft_is_whole { Limited::HardIsLower(before) } else { Limited::Lower(before) })
    }

    /// The processors that the keeper may run on.
    #[allow(clippy::unused_self)]
    pub(crate) fn processors(&self) -> Vec<usize> {
        let set = sched_getaffinity(None);
        (0..CpuSet::MAX_CPU).filter(|cpu| set.as_ref().is_ok_and(|set| set.is_set(*cpu))).collect()
    }

    /// The processor that the keeper runs on.
    #[allow(clippy::unused_self)]
    pub(crate) fn processor(&self) -> usize {
        sched_getcpu()
    }

    /// Lets the guest, and all that it makes, run on this processor alone, each until it waits, and those that serve it at
    /// once.
    ///
    /// # Errors
    /// What the kernel gives; then all is as before.
    pub(crate) fn run_serially(&mut self, cpu: usize) -> Result<(), Errno> {
        let keeper = thread::id();
        let all = [(keeper, KEEPER)].into_iter();
        let all =
            all.chain(self.servants.iter().map(|servant| (*servant, SERVANT))).chain([(self.guest, GUEST)]);
        let before = sched_getaffinity(None)?;
        let mut only = CpuSet::new();
        only.set(cpu);
        let done = all.clone().try_for_each(|(tid, priority)| schedule::first_in_first_out(tid, priority));
        let done = done.and_then(|()| {
            all.clone()
                .try_for_each(|(tid, _)| Ok(sched_setaffinity(Pid::from_raw(tid.cast_signed()), &only)?))
        });
        match done {
            Ok(()) => self.serial = true,
            // Back to the ordinary one always goes.
            Err(_) => {
                for (tid, _) in all {
                    let _ = schedule::ordinary(tid);
                    let _ = sched_setaffinity(Pid::from_raw(tid.cast_signed()), &before);
                }
            }
        }
        done
    }

    /// Its niceness.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn niceness(&self) -> Result<i32, Errno> {
        Ok(getpriority_process(Some(self.guest()?))?)
    }

    /// Changes its niceness, and that of init, which has the same from the same caller.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn set_niceness(&self, niceness: i32) -> Result<(), Errno> {
        let init = Pid::from_raw(self.init.cast_signed()).ok_or(Errno::ESRCH)?;
        [self.guest()?, init].into_iter().try_for_each(|pid| Ok(setpriority_process(Some(pid), niceness)?))
    }

    /// How readily the kernel ends it when memory runs out (`man 5 proc_pid_oom_score_adj`).
    pub(crate) fn oom_score(&self) -> Option<i32> {
        let text = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", self.guest)).ok()?;
        text.trim().parse().ok()
    }

    /// Changes that.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn set_oom_score(&self, score: i32) -> Result<(), Errno> {
        std::fs::write(format!("/proc/{}/oom_score_adj", self.guest), score.to_string())
            .map_err(|error| Errno::of(&error))
    }
}

/// Has a thread of a serial run's guests run only when no other of them is ready.
///
/// # Errors
/// `EPERM`: who may not give the priority back doesn't take it away. (Guests have no limit `RTPRIO`, so that giving it takes
/// `CAP_SYS_NICE`, which root has.)
pub(super) fn behind_all(tid: u32) -> Result<(), Errno> {
    // Who may raise it may give it back.
    schedule::first_in_first_out(tid, SERVANT)?;
    schedule::ordinary(tid)
}

/// Has it run in turn again: as the last of those that are ready.
///
/// # Errors
/// What the kernel gives.
pub(super) fn back_in_turn(tid: u32) -> Result<(), Errno> {
    schedule::first_in_first_out(tid, GUEST)
}

/// Gives the calling thread the priority of those that serve the guests of a serial run. What it makes has that too.
pub(crate) fn serves() {
    // From the keeper's, from which it was made, it can go down.
    let _ = schedule::first_in_first_out(thread::id(), SERVANT);
}

/// Real-time priorities: a guest's, that of the threads that answer it, and of the one that ends it when its time is up.
const GUEST: i32 = 1;
const SERVANT: i32 = 2;
const KEEPER: i32 = schedule::HIGHEST;

/// What came of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    /// Both are as asked.
    AsAsked,
    /// The soft one is; the hard one is this, lower than asked.
    HardIsLower(Option<u64>),
    /// Both are this.
    Lower(Option<u64>),
}

/// The caller's hard limit, which the guest has inherited.
fn own_limit(resource: Resource) -> Option<u64> {
    rustix::process::getrlimit(resource).maximum
}
