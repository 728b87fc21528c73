//! What a guest is doing at this moment, as `/proc` tells an unconfined thread. Stops nobody, and claims nothing that
//! the kernel does not say.
#![forbid(unsafe_code)]

use std::fs;

use super::tree;
use crate::Syscall;
use crate::outcome::{Activity, Doing};
use crate::sys::memory;
use crate::syscall::{decode, family};
use crate::trace::BytesText;

/// A tree that changes while it is looked at has no end.
const DEPTH: usize = 64;

/// What the command is doing, or, where it only waits for a child, what that one is: the innermost of them.
pub(super) fn doing(command: u32) -> Option<Doing> {
    let mut pid = command;
    let mut seen = of(pid)?;
    for _ in 0..DEPTH {
        if !matches!(&seen.activity, Activity::Call { call, .. } if family::WAIT.contains(*call)) {
            break;
        }
        // One that is gone and not yet waited for does nothing.
        let children = tree::children(pid).unwrap_or_default();
        let Some((child, doing)) = children.into_iter().find_map(|child| Some((child, of(child)?))) else {
            break;
        };
        (pid, seen) = (child, doing);
    }
    Some(seen)
}

/// What the first thread of a process is doing (`man 5 proc_pid_stat`, `man 5 proc_pid_syscall`).
fn of(pid: u32) -> Option<Doing> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let open = stat.iter().position(|byte| *byte == b'(')?;
    // The name may itself have a parenthesis.
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let program = BytesText(stat.get(open + 1..close)?.to_vec());
    let activity = match stat.get(close + 2)? {
        b'R' => Activity::Running,
        b'T' => Activity::Stopped,
        b'S' | b'D' => call(pid)?,
        _ => return None,
    };
    Some(Doing { program, activity })
}

fn call(pid: u32) -> Option<Activity> {
    let text = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    if text.trim() == "running" {
        return Some(Activity::Running);
    }
    let mut words = text.split_ascii_whitespace();
    let call = Syscall::checked(words.next()?.parse().ok()?).ok()?;
    let mut registers = [0; 6];
    for register in &mut registers {
        *register = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some(Activity::Call { call, args: decode::decode(call, &registers, &mut Memory(pid)) })
}

struct Memory(u32);

impl decode::Memory for Memory {
    fn cstr(&mut self, address: u64) -> Option<Vec<u8>> {
        crate::handler::memory_cstr(self.0, address, 4096).ok()
    }

    fn bytes(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        (memory::read(self.0, address, &mut bytes).ok()? == len).then_some(bytes)
    }
}
