//! What the files of /proc and /sys tell of the machine. Only texts: who reads them is not known here.
#![forbid(unsafe_code)]

use std::fmt::Write;

use super::{Answer, NO_DOMAIN, Seen, Share, VirtualFile};
use crate::supervisor::call::Call;

/// How many processes are said to run.
pub(super) const PROCESSES: u16 = 2;
/// The least memory that a machine is said to have.
pub(super) const LEAST_MEMORY: u64 = 1 << 20;

const fn file(
    path: &'static str,
    open: fn(&Seen, &mut Call) -> Answer,
    doc: &'static str,
) -> VirtualFile<Seen> {
    VirtualFile { path, open, doc }
}

pub(super) const FILES: &[VirtualFile<Seen>] = &[
    file("/proc/version", Seen::version, "the policy's kernel"),
    file("/proc/sys/kernel/osrelease", Seen::release, "the policy's kernel's release"),
    file("/proc/sys/kernel/version", Seen::kernel_version, "the policy's kernel's version"),
    file("/proc/sys/kernel/domainname", Seen::domainname, "`(none)`"),
    file("/proc/sys/kernel/pid_max", Seen::pid_max, "32768"),
    file("/proc/sys/kernel/threads-max", Seen::pid_max, "32768"),
    file("/proc/cmdline", Seen::cmdline, "what the kernel was started with: `quiet`"),
    file("/proc/filesystems", Seen::filesystems, "a short list"),
    file("/proc/meminfo", Seen::meminfo, "the policy's memory"),
    file("/proc/vmstat", Seen::vmstat, "the policy's memory, of which nothing was moved"),
    file("/proc/swaps", Seen::swaps, "none"),
    file("/proc/loadavg", Seen::loadavg, "no load"),
    file("/proc/stat", Seen::stat, "the policy's processors, which have done nothing"),
    file("/proc/cpuinfo", Seen::cpuinfo, "the policy's processors, of the plainest kind"),
    file("/sys/devices/system/cpu/online", Seen::processors, "the policy's processors"),
    file("/sys/devices/system/cpu/possible", Seen::processors, "the policy's processors"),
    file("/sys/devices/system/cpu/present", Seen::processors, "the policy's processors"),
    file("/sys/devices/system/cpu/offline", Seen::no_processor, "none"),
    file("/sys/devices/system/cpu/isolated", Seen::no_processor, "none"),
    file("/sys/devices/system/cpu/kernel_max", Seen::last_processor, "the last of the policy's processors"),
    file("/sys/devices/system/node/online", Seen::node, "one"),
    file("/sys/devices/system/node/possible", Seen::node, "one"),
];

/// When this machine was started, in seconds since 1970 (`man 5 proc_stat`).
pub(super) fn booted() -> i64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let time = stat.lines().find_map(|line| line.strip_prefix("btime "));
    time.and_then(|time| time.trim().parse().ok()).unwrap_or(0)
}

impl Seen {
    fn of_kernel(&self, call: &mut Call, text: impl FnOnce(&crate::policy::Kernel) -> String) -> Answer {
        match &self.kernel {
            Some(kernel) => call.answer_with_content(text(kernel).as_bytes()),
            None => Answer::Pass,
        }
    }

    fn of_memory(&self, call: &mut Call, text: impl FnOnce(Share) -> String) -> Answer {
        match self.memory {
            Some(memory) => call.answer_with_content(text(Share::of(memory)).as_bytes()),
            None => Answer::Pass,
        }
    }

    fn of_processors(&self, call: &mut Call, text: impl FnOnce(u32) -> String) -> Answer {
        match &self.processors {
            Some(processors) => call.answer_with_content(text(processors.count()).as_bytes()),
            None => Answer::Pass,
        }
    }

    fn version(&self, call: &mut Call) -> Answer {
        self.of_kernel(call, |kernel| {
            format!("Linux version {} (assize@assize) (cc) {}\n", kernel.release, kernel.version)
        })
    }

    fn release(&self, call: &mut Call) -> Answer {
        self.of_kernel(call, |kernel| format!("{}\n", kernel.release))
    }

    fn kernel_version(&self, call: &mut Call) -> Answer {
        self.of_kernel(call, |kernel| format!("{}\n", kernel.version))
    }

    fn domainname(&self, call: &mut Call) -> Answer {
        self.of_kernel(call, |_| format!("{NO_DOMAIN}\n"))
    }

    fn pid_max(&self, call: &mut Call) -> Answer {
        self.of_memory(call, |_| "32768\n".to_owned())
    }

    fn cmdline(&self, call: &mut Call) -> Answer {
        self.of_kernel(call, |_| "quiet\n".to_owned())
    }

    fn filesystems(&self, call: &mut Call) -> Answer {
        let nodev = ["sysfs", "tmpfs", "proc", "devtmpfs", "pipefs", "sockfs", "overlay"];
        self.of_kernel(call, |_| nodev.map(|name| format!("nodev\t{name}\n")).concat() + "\text4\n")
    }

    fn meminfo(&self, call: &mut Call) -> Answer {
        self.of_memory(call, |share| {
            let Share { total, free, buffers } = share;
            let lines = [
                ("MemTotal", total),
                ("MemFree", free),
                ("MemAvailable", free + buffers),
                ("Buffers", buffers),
                ("Cached", 0),
                ("SwapCached", 0),
                ("Active", 0),
                ("Inactive", 0),
                ("SwapTotal", 0),
                ("SwapFree", 0),
                ("Dirty", 0),
                ("Writeback", 0),
                ("AnonPages", 0),
                ("Mapped", 0),
                ("Shmem", 0),
                ("Slab", 0),
                ("SReclaimable", 0),
                ("SUnreclaim", 0),
                ("PageTables", 0),
                ("CommitLimit", total),
                ("Committed_AS", 0),
            ];
            lines.map(|(name, bytes)| format!("{:16}{:>8} kB\n", format!("{name}:"), bytes >> 10)).concat()
        })
    }

    fn vmstat(&self, call: &mut Call) -> Answer {
        self.of_memory(call, |share| {
            let names = ["pgpgin", "pgpgout", "pswpin", "pswpout", "pgfault", "pgmajfault", "oom_kill"];
            format!("nr_free_pages {}\n", share.free >> 12)
                + &names.map(|name| format!("{name} 0\n")).concat()
        })
    }

    fn swaps(&self, call: &mut Call) -> Answer {
        self.of_memory(call, |_| "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned())
    }

    fn loadavg(&self, call: &mut Call) -> Answer {
        self.of_memory(call, |_| format!("0.00 0.00 0.00 1/{PROCESSES} {PROCESSES}\n"))
    }

    fn stat(&self, call: &mut Call) -> Answer {
        let booted = call.virtual_boot().map_or(self.booted, |boot| boot.seconds);
        self.of_processors(call, |count| {
            let idle = "0 0 0 0 0 0 0 0 0 0\n";
            let mut text = format!("cpu  {idle}");
            for cpu in 0..count {
                // Writing to a string can't fail.
                let _ = write!(text, "cpu{cpu} {idle}");
            }
            let _ = write!(
                text,
                "intr 0\nctxt 0\nbtime {booted}\nprocesses {PROCESSES}\nprocs_running 1\nprocs_blocked 0\n\
                 softirq 0 0 0 0 0 0 0 0 0 0 0\n"
            );
            text
        })
    }

    fn cpuinfo(&self, call: &mut Call) -> Answer {
        self.of_processors(call, |count| (0..count).map(|cpu| stanza(cpu, count)).collect())
    }

    fn processors(&self, call: &mut Call) -> Answer {
        self.of_processors(call, |count| match count {
            1 => "0\n".to_owned(),
            count => format!("0-{}\n", count - 1),
        })
    }

    fn no_processor(&self, call: &mut Call) -> Answer {
        self.of_processors(call, |_| "\n".to_owned())
    }

    fn last_processor(&self, call: &mut Call) -> Answer {
        self.of_processors(call, |count| format!("{}\n", count - 1))
    }

    fn node(&self, call: &mut Call) -> Answer {
        self.of_processors(call, |_| "0\n".to_owned())
    }
}

/// A processor that has what every x86-64 has.
fn stanza(cpu: u32, count: u32) -> String {
    format!(
        "processor\t: {cpu}\nvendor_id\t: Assize\ncpu family\t: 6\nmodel\t\t: 0\nmodel name\t: x86-64\n\
         stepping\t: 0\ncpu MHz\t\t: 1000.000\ncache size\t: 1024 KB\nphysical id\t: 0\nsiblings\t: {count}\n\
         core id\t\t: {cpu}\ncpu cores\t: {count}\napicid\t\t: {cpu}\ninitial apicid\t: {cpu}\nfpu\t\t: yes\n\
         fpu_exception\t: yes\ncpuid level\t: 1\nwp\t\t: yes\nflags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep \
         mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx lm\nbugs\t\t:\nbogomips\t: 2000.00\n\
         clflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 40 bits physical, 48 bits virtual\n\
         power management:\n\n"
    )
}
