//! Instructions by which a program asks the processor itself, past every rule: nothing answers them here, so the report names
//! the programs that have them.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{AtExec, Capability, ExecStop, Rule, Stage, StartError};
use crate::executable::{self, Asks, Has};
use crate::policy::Tsc;
use crate::{Errno, Policy};

pub(super) struct Instructions {
    /// What is looked for in programs themselves.
    own: &'static [Asks],
    found: Mutex<BTreeMap<PathBuf, Has>>,
}

/// Of libraries only this is told: every loader asks what the processor is, and when it is.
const LOADED: &[Asks] = &[Asks::Rdrand, Asks::Rdseed];
const OWN: &[Asks] = &[Asks::Rdrand, Asks::Rdseed, Asks::Cpuid, Asks::Rdpid, Asks::Rdtsc, Asks::Rdtscp];
/// Where the counter is emulated.
const OWN_BUT_COUNTER: &[Asks] = &[Asks::Rdrand, Asks::Rdseed, Asks::Cpuid, Asks::Rdpid];

/// So many files are named.
const NAMED: usize = 6;

impl Instructions {
    fn at_exec(&self, stop: &mut ExecStop<'_>) -> Result<(), Errno> {
        let exe = PathBuf::from(format!("/proc/{}/exe", stop.pid()));
        // A program that nobody may read is not looked at, and goes on.
        if let Some(name) = stop.exe()
            && let Ok(found) = executable::instructions(&exe, name, self.own, LOADED)
        {
            self.found.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        }
        Ok(())
    }
}

/// Whether the processor can refuse `cpuid` (`man 2 arch_prctl`, `ARCH_SET_CPUID`).
fn traps_cpuid() -> bool {
    static TRAPS: OnceLock<bool> = OnceLock::new();
    *TRAPS.get_or_init(|| {
        let text = std::fs::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
        let flags = text.lines().find(|line| line.starts_with("flags"));
        flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "cpuid_fault"))
    })
}

impl Capability for Instructions {
    const NAME: &'static str = "instructions";
    const STAGE: Stage = Stage::Account;
    const PROMISE: &'static str = "What no rule reaches is named: the report says which of the programs that were executed have \
        rdrand, rdseed, cpuid, rdpid or, where `tsc` does not answer them, rdtsc and rdtscp, and which of their libraries have \
        rdrand or rdseed, each with its first place. That says nothing of whether they execute it. Libraries are \
        looked for where the program says and in the usual folders; what is loaded by name later, or made while a program \
        runs, is not looked at, nor is anything where guests are not followed.";
    const RULES: &'static [Rule<Self>] = &[];
    const AT_EXEC: Option<AtExec<Self>> = Some(Self::at_exec);

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let counter = policy.tsc == Tsc::Emulate && !policy.without.contains("tsc");
        let own = if counter { OWN_BUT_COUNTER } else { OWN };
        Ok(policy.named_instructions.then(|| Self { own, found: Mutex::default() }))
    }

    /// It is no reason to follow them.
    fn follows_guests(&self) -> bool {
        false
    }

    fn lacks(&self) -> Option<String> {
        let cpuid =
            if traps_cpuid() { "though this one could refuse it" } else { "since this one can't refuse it" };
        Some(format!("the processor itself answers rdrand, rdseed, rdpid and, {cpuid}, cpuid"))
    }

    fn seen(&self) -> Vec<String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let tell = |(path, has): (&PathBuf, &Has)| {
            let mut each: Vec<_> =
                has.first.iter().map(|(asks, address)| format!("{asks} at {address:#x}")).collect();
            if has.more {
                each.push("more code than was looked at".to_owned());
            }
            // The name is a guest's.
            format!("{} has {}", path.as_os_str().as_bytes().escape_ascii(), each.join(" and "))
        };
        let mut seen: Vec<_> = found.iter().take(NAMED).map(tell).collect();
        if found.len() > NAMED {
            seen.push(format!("{} more files have some", found.len() - NAMED));
        }
        seen
    }
}
