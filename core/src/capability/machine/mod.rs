//! The machine as the guest sees it: processors, memory, the kernel's name. Nothing here limits what a guest may use.
//!
//! What no system call and no file of this list tells stays real: `cpuid`, `rdpid`, the folders of `/sys` (not the files
//! named here), control groups.
#![forbid(unsafe_code)]

mod files;
mod processors;
mod status;

use processors::Processors;

use super::{Answer, Calls, Capability, Proof, Rule, Stage, StartError, Then, VirtualFile};
use crate::policy::Kernel;
use crate::supervisor::call::Call;
use crate::supervisor::exec::ExecStop;
use crate::supervisor::utsname::{Field, LONGEST, SIZE, Utsname};
use crate::sys::probe::{Expect, ProbeArg};
use crate::sys::vdso;
use crate::syscall::{Sysno, family};
use crate::trace::Grounds;
use crate::{Errno, NotifAction, Policy, Syscall};

/// The machine that guests see.
pub(super) struct Seen {
    /// The name that the policy gives the host. Who answers uname answers all of it.
    nodename: Option<String>,
    kernel: Option<Kernel>,
    memory: Option<u64>,
    processors: Option<Processors>,
    /// When the machine was started, in seconds since 1970, unless the clock is virtual.
    booted: i64,
}

/// What the domain's name is where nobody has set it.
const NO_DOMAIN: &str = "(none)";
/// `struct sysinfo` (`man 2 sysinfo`), and what lies where in it.
const SYSINFO: usize = 112;
const TOTAL: usize = 32;

/// How much of a memory is free, and so on: whole pages.
struct Share {
    total: u64,
    free: u64,
    buffers: u64,
}

impl Share {
    const fn of(memory: u64) -> Self {
        const PAGE: u64 = 4096;
        let pages = memory / PAGE;
        Self { total: pages * PAGE, free: pages / 4 * 3 * PAGE, buffers: pages / 64 * PAGE }
    }
}

impl Seen {
    fn uname(&self, call: &mut Call) -> Answer {
        let Some(kernel) = &self.kernel else { return Answer::Pass };
        let mut utsname = Utsname::of_the_kernel();
        if let Some(name) = &self.nodename {
            utsname.set(Field::Nodename, name);
        }
        utsname.set(Field::Release, &kernel.release);
        utsname.set(Field::Version, &kernel.version);
        // Of a caller whose personality says otherwise too.
        utsname.set(Field::Machine, std::env::consts::ARCH);
        utsname.set(Field::Domainname, NO_DOMAIN);
        call.answer_with_utsname(&utsname)
    }

    #[allow(clippy::needless_pass_by_ref_mut)] // the shape of every handler
    fn sysinfo(&self, call: &mut Call) -> Answer {
        let Some(memory) = self.memory else { return Answer::Pass };
        let share = Share::of(memory);
        let uptime = call.virtual_uptime().map_or_else(
            || rustix::system::sysinfo().uptime,
            |uptime| i64::try_from(uptime.as_secs()).unwrap_or(i64::MAX),
        );
        let mut bytes = [0; SYSINFO];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &uptime.to_ne_bytes());
        put(TOTAL, &share.total.to_ne_bytes());
        put(40, &share.free.to_ne_bytes());
        put(56, &share.buffers.to_ne_bytes());
        put(80, &files::PROCESSES.to_ne_bytes());
        // The unit of all sizes.
        put(104, &1_u32.to_ne_bytes());
        match call.write(call.arg(0), &bytes) {
            Ok(()) => Answer::Done(NotifAction::ReturnValue(0)),
            Err(errno) => Answer::errno(errno),
        }
    }

    fn affinity(&self, call: &mut Call) -> Answer {
        self.processors.as_ref().map_or(Answer::Pass, |processors| processors.get(call))
    }

    fn set_affinity(&self, call: &mut Call) -> Answer {
        self.processors.as_ref().map_or(Answer::Pass, |processors| processors.set(call))
    }

    #[allow(clippy::needless_pass_by_ref_mut)] // the shape of every handler
    fn getcpu(&self, call: &mut Call) -> Answer {
        self.processors.as_ref().map_or(Answer::Pass, |processors| processors.current(call))
    }

    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)] // the shape of every handler
    fn interval(&self, call: &mut Call) -> Answer {
        call.answer_with_interval()
    }

    /// The vDSO tells the processor without a call.
    fn at_exec(&self, stop: &mut ExecStop<'_>) -> Result<(), Errno> {
        if let (Some(_), Some(offset)) = (&self.processors, vdso::getcpu_offset()) {
            stop.patch(offset, vdso::NOT_HERE);
        }
        Ok(())
    }
}

impl Capability for Seen {
    const NAME: &'static str = "machine";
    const STAGE: Stage = Stage::Synthesize;
    const PROMISE: &'static str = "The guest sees the processors, the memory and the kernel that the policy says, by \
        system calls, by the vDSO's getcpu, which is switched off, by the files of /proc and /sys that are named here, and by \
        the status of each guest. A thread may choose among those processors and reads back what it chose; it may run for 4 ms \
        before others, whatever the kernel says to that. The instructions cpuid and rdpid, \
        and folders of /sys, tell the real machine.";
    const RULES: &'static [Rule<Self>] = &[
        Rule {
            calls: Calls::Family(&family::UNAME),
            when: &[],
            then: Then::Ask { by: Self::uname, grounds: Grounds::Emulated },
            doc: "answers with the policy's kernel, and with the policy's host name",
        },
        Rule {
            calls: Calls::Family(&family::SYSINFO),
            when: &[],
            then: Then::Ask { by: Self::sysinfo, grounds: Grounds::Emulated },
            doc: "answers with the policy's memory, and no load",
        },
        Rule {
            calls: Calls::Family(&family::AFFINITY_GET),
            when: &[],
            then: Then::Ask { by: Self::affinity, grounds: Grounds::Emulated },
            doc: "answers with the policy's processors, or what was chosen of them",
        },
        Rule {
            calls: Calls::Family(&family::AFFINITY_SET),
            when: &[],
            then: Then::Ask { by: Self::set_affinity, grounds: Grounds::Emulated },
            doc: "remembers which of the policy's processors were chosen",
        },
        Rule {
            calls: Calls::Family(&family::GETCPU),
            when: &[],
            then: Then::Ask { by: Self::getcpu, grounds: Grounds::Emulated },
            doc: "answers with the first of the policy's processors that the thread may run on",
        },
        Rule {
            calls: Calls::Family(&family::RSEQ),
            when: &[],
            then: Then::Errno(Errno::ENOSYS),
            doc: "the kernel would write the real processor's number into memory; libc falls back to getcpu",
        },
        Rule {
            calls: Calls::Family(&family::OPEN),
            when: &[],
            then: Then::Ask { by: Self::opens, grounds: Grounds::Pinned },
            doc: "a guest's `status`, on whatever procfs, has the policy's processors, and was never interrupted; that of init, and its \
                  `statm`, tell of one page of memory",
        },
        Rule {
            calls: Calls::Family(&family::SCHEDULE_INTERVAL),
            when: &[],
            then: Then::Ask { by: Self::interval, grounds: Grounds::Emulated },
            doc: "a guest may run for 4 ms before others, whatever the kernel's ticks and processors are",
        },
    ];
    const FILES: &'static [VirtualFile<Self>] = files::FILES;
    const AT_EXEC: Option<super::AtExec<Self>> = Some(Self::at_exec);

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let Some(machine) = &policy.machine else { return Ok(None) };
        let wrong = |what, why: String| Err(StartError::Value { what, why });
        if let Some(kernel) = &machine.kernel {
            for (what, text) in [("kernel.release", &kernel.release), ("kernel.version", &kernel.version)] {
                if text.is_empty() || text.len() > LONGEST {
                    return wrong(what, format!("has {} bytes; 1 to {LONGEST} are allowed", text.len()));
                }
                if let Some(bad) = text.chars().find(|c| !(c.is_ascii_graphic() || *c == ' ')) {
                    return wrong(what, format!("may not contain {bad:?}"));
                }
            }
        }
        if let Some(cpus) = machine.cpus.filter(|cpus| !(1..=processors::MOST).contains(cpus)) {
            return wrong("cpus", format!("is {cpus}; 1 to {} are allowed", processors::MOST));
        }
        if let Some(memory) = machine.memory.filter(|memory| *memory < files::LEAST_MEMORY) {
            return wrong("memory", format!("has {memory} bytes; {} are the least", files::LEAST_MEMORY));
        }
        let named = policy.hostname.clone().filter(|_| !policy.without.contains("hostname"));
        Ok(Some(Self {
            nodename: named,
            kernel: machine.kernel.clone(),
            memory: machine.memory,
            processors: machine.cpus.map(Processors::new),
            booted: files::booted(),
        }))
    }

    fn applies(&self, rule: &Rule<Self>, call: Syscall) -> bool {
        let _ = rule;
        // What is real is no rule's.
        if family::OPEN.contains(call) || family::SCHEDULE_INTERVAL.contains(call) {
            true
        } else if family::UNAME.contains(call) {
            self.kernel.is_some()
        } else if family::SYSINFO.contains(call) {
            self.memory.is_some()
        } else {
            self.processors.is_some()
        }
    }

    fn follows_guests(&self) -> bool {
        self.processors.is_some()
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        let number = ProbeArg::Number;
        let zero = || number(0);
        if let Some(kernel) = &self.kernel {
            let args = [ProbeArg::memory(&[0; SIZE]), zero(), zero(), zero(), zero(), zero()];
            let mut release = kernel.release.clone().into_bytes();
            release.push(0);
            let expect = Expect { result: 0, memory: Some((0, Field::Release.offset(), release)) };
            proof.expect(Syscall::of(Sysno::uname), args, expect, "uname", kernel.release.clone());
        }
        if let Some(memory) = self.memory {
            let args = [ProbeArg::memory(&[0; SYSINFO]), zero(), zero(), zero(), zero(), zero()];
            let total = Share::of(memory).total;
            let expect = Expect { result: 0, memory: Some((0, TOTAL, total.to_ne_bytes().to_vec())) };
            proof.expect(Syscall::of(Sysno::sysinfo), args, expect, "sysinfo", format!("{total} bytes"));
        }
        if let Some(processors) = &self.processors {
            let mask = processors.all().bytes();
            let size = mask.len();
            let args =
                [zero(), number(size as u64), ProbeArg::memory(&vec![0; size]), zero(), zero(), zero()];
            let expect = Expect { result: size as i64, memory: Some((2, 0, mask)) };
            let wanted = match processors.count() {
                1 => "1 processor".to_owned(),
                count => format!("{count} processors"),
            };
            proof.expect(Syscall::of(Sysno::sched_getaffinity), args, expect, "sched_getaffinity", wanted);
        }
    }
}
