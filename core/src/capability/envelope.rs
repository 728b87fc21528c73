//! The envelope: every known source of nondeterminism, and what is done about it.
//!
//! Data alone: what it claims is shown by the scenario that each line names.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt;

/// A source of nondeterminism.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// What differs from run to run, left to itself.
    pub what: &'static str,
    /// What is done about it.
    pub hold: Hold,
    /// Which control does it, by its name in the report.
    pub by: Option<&'static str>,
    /// How, and within which limits.
    pub how: &'static str,
    /// The scenario that shows it, beneath `scenarios`.
    pub shown_by: Option<&'static str>,
}

/// What is done about a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The kernel is told to do it in one way.
    Controlled,
    /// The answer is made up.
    Emulated,
    /// Nothing, but the report names who has to do with it.
    Named,
    /// Nothing.
    NotControlled,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Controlled => "controlled",
            Self::Emulated => "emulated",
            Self::Named => "named",
            Self::NotControlled => "not controlled",
        })
    }
}

/// The names of all controls that hold something still, or say that they can't.
pub fn controls() -> impl Iterator<Item = &'static str> {
    let names: BTreeSet<_> = ENVELOPE.iter().filter_map(|source| source.by).collect();
    names.into_iter()
}

const fn held(
    what: &'static str,
    hold: Hold,
    by: &'static str,
    how: &'static str,
    shown_by: &'static str,
) -> Source {
    Source { what, hold, by: Some(by), how, shown_by: Some(shown_by) }
}

const fn loose(what: &'static str, how: &'static str) -> Source {
    Source { what, hold: Hold::NotControlled, by: None, how, shown_by: None }
}

const fn named(what: &'static str, how: &'static str) -> Source {
    let shown_by = Some("instructions/who-asks-the-processor-is-named.yaml");
    Source { what, hold: Hold::Named, by: Some("instructions"), how, shown_by }
}

/// Every known source.
pub const ENVELOPE: &[Source] = &[
    held(
        "getrandom, getentropy",
        Hold::Emulated,
        "random",
        "a stream for each process, by the seed and its place in the tree",
        "random/a-seed-fixes-every-door-of-randomness.yaml",
    ),
    held(
        "/dev/urandom, /dev/random",
        Hold::Emulated,
        "random",
        "a stream for each open, from a character device; how much of it a long read gives is not controlled",
        "random/the-random-device-stays-a-device.yaml",
    ),
    held(
        "/proc/sys/kernel/random/uuid",
        Hold::Emulated,
        "random",
        "a UUID for each open",
        "random/each-uuid-of-the-kernel-is-a-new-one.yaml",
    ),
    held(
        "AT_RANDOM: stack protectors, pointer guards, hash seeds of programs",
        Hold::Controlled,
        "random",
        "sixteen bytes of the seed at each exec",
        "random/other-programs-draw-the-same.yaml",
    ),
    held(
        "the vDSO's getrandom",
        Hold::Controlled,
        "random",
        "switched off: libc then makes the call",
        "random/other-programs-draw-the-same.yaml",
    ),
    held(
        "the host's name",
        Hold::Emulated,
        "hostname",
        "uname, the files that hold it, and a line of /etc/hosts",
        "hostname/deterministic-runs-have-one-name.yaml",
    ),
    held(
        "boot_id",
        Hold::Emulated,
        "random",
        "one number for a run, by its seed",
        "random/boot-has-one-number-in-a-run.yaml",
    ),
    held(
        "clocks, by call and by the vDSO; the processor's time; uptime",
        Hold::Emulated,
        "clock",
        "each process has its own time, which a child takes from its parent, and a parent from the children that it waits \
         for; threads of one process share it, and which of them reads first is the scheduler's affair",
        "clock/every-clock-shows-the-same-time.yaml",
    ),
    held(
        "when a process began and how long it has run, in /proc/PID/stat and schedstat",
        Hold::Emulated,
        "clock",
        "as its own time has it; faults and the processor it ran on are none and the first; of a process that has ended and was \
         not waited for the kernel's own",
        "clock/a-process-began-when-the-guests-time-says.yaml",
    ),
    held(
        "sleeps, time limits",
        Hold::Emulated,
        "clock",
        "they end by the virtual clock; a sleep takes no time while nobody can run and no timer is set; where guests run one at a \
         time they end in the order of that clock, and none ends while another guest computes, until that has taken three seconds; \
         a wait that a signal from outside ends has taken as long as it really did",
        "clock/waits-end-in-the-order-of-the-guests-time.yaml",
    ),
    held(
        "timers",
        Hold::Emulated,
        "clock",
        "they expire in real time, and the clock of their process has then come as far",
        "clock/timers-expire-in-time.yaml",
    ),
    held(
        "how long a timer still runs",
        Hold::Emulated,
        "clock",
        "by the virtual clock, and of a timer that the processor's time runs for by the virtual one of that: whether such a \
         timer has expired is what the kernel counts",
        "clock/how-long-a-timer-still-runs.yaml",
    ),
    held(
        "the order of folders",
        Hold::Emulated,
        "directories",
        "listed by the bytes of the names",
        "directories/names-come-in-the-order-of-their-bytes.yaml",
    ),
    held(
        "numbers of files and devices, sizes of folders, blocks, free room",
        Hold::Emulated,
        "metadata",
        "numbered by first sight; sizes of no file system; constant free room, and no ustat; links of /proc/PID/fd have the same \
         numbers",
        "metadata/numbers-are-given-by-first-sight.yaml",
    ),
    held(
        "times of files",
        Hold::Emulated,
        "metadata",
        "what was there is no younger than the clock's start; what a guest touches has the time of its touch",
        "metadata/times-are-of-the-runs-own-clock.yaml",
    ),
    held(
        "processors, memory, load, the kernel's release",
        Hold::Emulated,
        "machine",
        "one processor, 4 GiB and a fixed release, unless the scenario says otherwise",
        "machine/a-guest-sees-the-machine-that-the-policy-gives.yaml",
    ),
    held(
        "processors, nodes and switches in /proc/PID/status",
        Hold::Emulated,
        "machine",
        "the policy's processors, or what was chosen of them, one node, and no switch",
        "machine/what-a-process-says-of-its-processors.yaml",
    ),
    held(
        "the memory of init, in its status, statm and stat",
        Hold::Emulated,
        "machine",
        "one page; in its stat where that has a time or a priority of the run's own",
        "machine/init-is-the-same-in-every-run.yaml",
    ),
    held(
        "how long a thread may run before others: sched_rr_get_interval",
        Hold::Emulated,
        "machine",
        "4 ms, whatever the kernel's ticks, its processors and the thread's priority are",
        "machine/a-thread-may-run-for-as-long-everywhere.yaml",
    ),
    held(
        "addresses of programs, libraries, heap and stack",
        Hold::Controlled,
        "addresses",
        "no randomised layout; where the stack begins depends on the lengths of arguments and environment, and so on that of the work \
         folder's path, which may differ from host to host",
        "addresses/programs-lie-at-the-same-addresses.yaml",
    ),
    held(
        "resource limits, niceness",
        Hold::Controlled,
        "environment",
        "the same whoever runs it, also of init; every guest starts without the caller's I/O priority, memory policy, timer slack and PR_MCE_KILL",
        "environment/limits-are-the-same-for-every-caller.yaml",
    ),
    held(
        "locale, time zone",
        Hold::Controlled,
        "environment",
        "C.UTF-8 and UTC, unless the scenario says otherwise",
        "environment/locale-and-time-zone-are-fixed.yaml",
    ),
    held(
        "the order in which guests run that share something",
        Hold::Controlled,
        "schedule",
        "one processor and a real-time priority, where the host gives one; elsewhere the report says that it doesn't; of a hundred \
         makes with four jobs whose recipes race one or two come out otherwise on a busy host, since a fork waits for a lock of the \
         kernel's that whoever else maps the same library may hold; and who never waits runs behind the others after 2 s",
        "schedule/races-have-one-outcome.yaml",
    ),
    held(
        "the priority by which guests run in turn: sched_getattr and its kin, /proc/PID/stat",
        Hold::Emulated,
        "schedule",
        "an ordinary one, as on a host that gives no other; /proc/PID/sched tells the real one",
        "schedule/a-guest-does-not-leave-the-schedule.yaml",
    ),
    held(
        "numbers of processes and threads",
        Hold::Controlled,
        "pids",
        "from 1 up by order of creation, in a pid namespace; `/proc`, where it is granted, shows these numbers and nobody else, \
         but for hosts where no other procfs can be mounted (containers), and the report says so",
        "pids/programs-find-each-other.yaml",
    ),
    held(
        "rdtsc, rdtscp",
        Hold::Emulated,
        "tsc",
        "only where it is asked for: each reading takes some 40 µs",
        "tsc/the-counter-is-the-same-in-every-run.yaml",
    ),
    loose(
        "a guest that throws the patched vDSO away, by madvise or ARCH_MAP_VDSO_64",
        "it then reads the host's clock, processor and random numbers without a call: the vDSO is patched for those who do not \
         mean to escape the clock",
    ),
    loose(
        "a guest that writes over the words by which it reads its clock",
        "they lie in its own memory: it reads what it likes, whoever waits for it stands where it says that it has come to, and \
         nobody else's clock is moved",
    ),
    loose(
        "timers that run while a guest computes",
        "how far it comes until one expires is for the host's speed, as with `timeout 1 CMD`, setitimer and timerfd; the same holds of \
         sleeps and time limits where guests don't run one at a time, or compute for three seconds without waiting all at once, \
         of several that began a second apart in reality, and of time limits of locks with an owner and of sockets",
    ),
    loose(
        "a guest that waits for a disk",
        "it lets others pass, and whether it has to is for what the machine has read before: a file is read into memory before a guest \
         of a serial run gets it to read or executes it, but folders, what is made sure of (fsync) and what lies past 256 MiB are not; \
         nor is a file on a file system that can't tell whether it would have to wait",
    ),
    loose(
        "a timer's descriptor that is closed while it is set, or used by more than who set it",
        "nobody sees it closed or handed on: a periodic one moves its process's clock on in real time until the kernel says \
         something else of its number, or a guest sleeps and nobody can run, when it is looked for, also on its way through a socket; \
         where guests have thousands of descriptors that is given up, and the sleep takes its time; one that is closed while a thread \
         still reads or polls it is not found; by another number than the one it was set by last, or to another process, how long it \
         still runs is told by the real time",
    ),
    named(
        "rdrand, rdseed",
        "instructions of the processor, which no policy reaches; the report names the programs and libraries that have them",
    ),
    named(
        "cpuid, rdpid",
        "instructions of the processor; Linux can trap the first on some processors alone; the report names the programs \
         that have them",
    ),
    loose(
        "a /proc/PID/stat, schedstat or status that is kept open",
        "where something in it is made up it is a copy of that moment, while the kernel's own tells the present at each reading from \
         its start; fstat shows it as an unnamed file in memory, of the copy's size, on no procfs; and a thread that reads its own \
         finds itself asleep, since it waits for its open",
    ),
    loose(
        "Speculation_Store_Bypass, SpeculationIndirectBranch and CapBnd in /proc/PID/status",
        "what the host's processor and kernel have against speculation, and which capabilities(7) that kernel knows and the \
         caller was left",
    ),
    loose(
        "/proc/PID/maps, mountinfo, fdinfo and ns",
        "numbers of files, devices, mounts, pipes and namespaces there are the host's, and a timer's remaining time is real",
    ),
    loose(
        "/proc/PID/sched, statm, smaps, io, numa_maps, and what status and stat (its rss) say of memory; mincore, cachestat",
        "memory in use, what the host has in its caches, and what was read and written are what the kernel counts",
    ),
    loose(
        "the rest of /proc, such as interrupts, softirqs, diskstats, net and sys",
        "a procfs of the guests' own shows no other processes, but the same machine and the same settings of the kernel",
    ),
    loose(
        "the flags of the address space that a caller leaves: no transparent huge pages, merging of pages, coredump_filter",
        "they are inherited past exec, and can't be reset on the way there, where a guest still shares the supervisor's memory",
    ),
    loose(
        "PR_GET_TIMERSLACK",
        "a guest that runs by `schedule: serial` has none on some kernels, and reads that it has none",
    ),
    loose(
        "the processor in the auxiliary vector: AT_HWCAP, AT_HWCAP2, AT_RSEQ_*, AT_MINSIGSTKSZ",
        "it names the real one, and so libraries choose their code by it, as they do by cpuid",
    ),
    loose(
        "folders of /sys, such as cpu*, node*, block, net and cgroup, and control groups",
        "they show the real machine, but for the files that `machine` makes up",
    ),
    loose(
        "the machine's MAC addresses and /etc/machine-id",
        "whoever may read them knows the host by them, as the node of Python's `uuid.uuid1` does",
    ),
    loose(
        "inode generations (FS_IOC_GETVERSION) and placement on a disk (FIEMAP, FIBMAP)",
        "the file system's own",
    ),
    loose(
        "names and numbers that the kernel counts for the whole machine: cookies of inotify and of sockets (SO_COOKIE), names of \
         Unix sockets bound to none, sessions in /proc/PID/autogroup",
        "they go on from whatever was counted before the run",
    ),
    loose(
        "times that sockets tell, also on loopback: SO_TIMESTAMP and its kin, TCP_INFO",
        "time stamps and round-trip times are real",
    ),
    loose(
        "time along pipes, FIFOs, sockets, files and shared memory",
        "it doesn't travel there: whoever reads what another process has written may stand earlier than that one did",
    ),
    loose(
        "the network, and whatever else answers from outside",
        "its time is the real one, and so are its answers, and the ports that the kernel picks",
    ),
];
