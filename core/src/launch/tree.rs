//! The tree of guests from outside: its id maps, its end, its killing.
#![forbid(unsafe_code)]

use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process};

use crate::Errno;
use crate::sys::clone::Step;

/// Maps the caller's own user and group to themselves in the user namespace of `pid` (`man 7 user_namespaces`).
pub(super) fn map_ids(pid: u32) -> Result<(), Errno> {
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/{pid}/{file}"), text).map_err(|error| Errno::of(&error))
    };
    // Without it a process could leave a group that denies it something.
    write("setgroups", "deny".to_owned())?;
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    write("uid_map", format!("{uid} {uid} 1"))?;
    write("gid_map", format!("{gid} {gid} 1"))
}

/// Whether a start that failed so may succeed without namespaces.
pub(crate) fn forbids_namespaces(step: Step) -> bool {
    matches!(step, Step::CloneInit | Step::IdMaps)
}

/// Whether a start with a procfs of the guests' own that failed so may succeed with the host's.
pub(crate) fn forbids_own_proc(step: Step) -> bool {
    forbids_namespaces(step) || matches!(step, Step::Mount | Step::Join)
}

/// Kills every descendant of `init`, which reaps them. For a host without pid namespaces: a guest that makes processes
/// faster than they can be found is found in the next turn.
pub(super) fn kill_descendants(init: u32) {
    const TURNS: usize = 1000;
    for _ in 0..TURNS {
        let found = descendants(init);
        if found.is_empty() {
            return;
        }
        for pid in found {
            if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// All processes that descend from this one, as far as they can be found at this moment.
pub(super) fn descendants(of: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![of];
    while let Some(pid) = open.pop() {
        for child in children(pid).unwrap_or_default() {
            found.push(child);
            open.push(child);
        }
    }
    found
}

/// `/proc/PID/task/TID/children` of all its threads.
pub(super) fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}
