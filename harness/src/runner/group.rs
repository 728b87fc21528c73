//! Process groups of this process's own children. Each is killed before its leader is waited for, so that nobody else ever has its
//! number; and all at once where the process ends without waiting.
//!
//! Who leaves its group, as a daemon does, is not found again.
#![forbid(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use assize_core::ending;
use rustix::process::{Pid, Signal, kill_process_group};

/// The leaders that were not waited for.
static LEADERS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A child that leads a process group of its own, which ends with this.
#[derive(Debug)]
pub(super) struct Group {
    leader: Child,
    pid: Pid,
}

impl Group {
    /// Starts what `command` says.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        ending::unblock_in(command);
        let mut leaders = leaders();
        let leader = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&leader);
        leaders.push(pid);
        Ok(Self { leader, pid })
    }

    /// The leader's number.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Ends it, if it has not ended by itself, and all who are left in its group. Says how the leader ended.
    pub(super) fn end(mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.leader.wait()
    }

    fn kill(&self) {
        let mut leaders = leaders();
        if let Some(place) = leaders.iter().position(|leader| *leader == self.pid) {
            leaders.swap_remove(place);
            // Nobody is left where it fails.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        let _ = self.leader.wait();
    }
}

/// Kills all groups. None begins, and no number is given up, while what this gives is held.
pub(crate) fn kill_all() -> impl Sized {
    let leaders = leaders();
    for leader in leaders.iter() {
        let _ = kill_process_group(*leader, Signal::KILL);
    }
    leaders
}

fn leaders() -> MutexGuard<'static, Vec<Pid>> {
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner)
}
