//! Flags of calls on processes, signals and time.
#![forbid(unsafe_code)]

use super::{ALL, FlagSet, Part};

const SIGNALS: &[(&str, u64)] = names! {
    SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE,
    SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ,
    SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS,
};

/// Signals.
pub static SIGNAL: FlagSet =
    FlagSet { name: "signals", zero: None, parts: &[Part { mask: ALL, values: SIGNALS }], bits: &[] };
/// `clone`, with the exit signal in its lowest byte, and `unshare`, `setns`.
pub static CLONE: FlagSet = FlagSet {
    name: "clone flags",
    zero: None,
    parts: &[Part { mask: 0xff, values: SIGNALS }],
    bits: CLONE_BITS,
};
/// `unshare`, `setns`: as `clone`, without an exit signal.
pub static NAMESPACE: FlagSet = FlagSet {
    name: "namespace flags",
    zero: None,
    parts: &[Part { mask: 0xff, values: names! { CLONE_NEWTIME = 0x80 } }],
    bits: CLONE_BITS,
};
const CLONE_BITS: &[(&str, u64)] = names! {
    CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_PIDFD, CLONE_PTRACE, CLONE_VFORK, CLONE_PARENT,
    CLONE_THREAD, CLONE_NEWNS, CLONE_SYSVSEM, CLONE_SETTLS, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID,
    CLONE_DETACHED, CLONE_UNTRACED, CLONE_CHILD_SETTID, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
    CLONE_NEWPID, CLONE_NEWNET, CLONE_IO,
};
/// `wait4`, `waitid`.
pub static WAIT: FlagSet = FlagSet {
    name: "wait options",
    zero: None,
    parts: &[],
    bits: names! { WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT, __WNOTHREAD, __WALL, __WCLONE, WSTOPPED },
};
/// `waitid`'s first argument.
pub static WAIT_FOR: FlagSet = FlagSet {
    name: "kinds of child",
    zero: None,
    parts: enumeration! { P_ALL, P_PID, P_PGID, P_PIDFD },
    bits: &[],
};
/// `prctl`.
pub static PRCTL: FlagSet = FlagSet {
    name: "prctl options",
    zero: None,
    parts: enumeration! {
        PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_GET_UNALIGN, PR_SET_UNALIGN,
        PR_GET_KEEPCAPS, PR_SET_KEEPCAPS, PR_GET_FPEMU, PR_SET_FPEMU, PR_GET_FPEXC, PR_SET_FPEXC, PR_GET_TIMING,
        PR_SET_TIMING, PR_SET_NAME, PR_GET_NAME, PR_GET_ENDIAN, PR_SET_ENDIAN, PR_GET_SECCOMP, PR_SET_SECCOMP,
        PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_GET_TSC, PR_SET_TSC, PR_GET_SECUREBITS, PR_SET_SECUREBITS,
        PR_SET_TIMERSLACK, PR_GET_TIMERSLACK, PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE, PR_MCE_KILL,
        PR_MCE_KILL_GET, PR_SET_MM, PR_SET_PTRACER, PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER,
        PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE,
        PR_CAP_AMBIENT, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SET_IO_FLUSHER = 57, PR_GET_IO_FLUSHER = 58,
        PR_SET_SYSCALL_USER_DISPATCH = 59, PR_SCHED_CORE, PR_SET_MDWE, PR_GET_MDWE, PR_SET_VMA, PR_GET_AUXV = 0x4155_5856,
        PR_SET_MEMORY_MERGE, PR_GET_MEMORY_MERGE,
    },
    bits: &[],
};
/// `arch_prctl`.
pub static ARCH_PRCTL: FlagSet = FlagSet {
    name: "arch_prctl options",
    zero: None,
    parts: enumeration! {
        ARCH_SET_GS = 0x1001, ARCH_SET_FS = 0x1002, ARCH_GET_FS = 0x1003, ARCH_GET_GS = 0x1004,
        ARCH_GET_CPUID = 0x1011, ARCH_SET_CPUID = 0x1012, ARCH_GET_XCOMP_SUPP = 0x1021, ARCH_GET_XCOMP_PERM = 0x1022,
        ARCH_REQ_XCOMP_PERM = 0x1023, ARCH_SHSTK_ENABLE = 0x5001, ARCH_SHSTK_DISABLE = 0x5002,
        ARCH_SHSTK_STATUS = 0x5005,
    },
    bits: &[],
};
/// `ptrace`.
pub static PTRACE: FlagSet = FlagSet {
    name: "ptrace requests",
    zero: None,
    parts: enumeration! {
        PTRACE_TRACEME, PTRACE_PEEKTEXT, PTRACE_PEEKDATA, PTRACE_PEEKUSER, PTRACE_POKETEXT, PTRACE_POKEDATA,
        PTRACE_POKEUSER, PTRACE_CONT, PTRACE_KILL, PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS,
        PTRACE_GETFPREGS, PTRACE_SETFPREGS, PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SYSCALL, PTRACE_SETOPTIONS,
        PTRACE_GETEVENTMSG, PTRACE_GETSIGINFO, PTRACE_SETSIGINFO, PTRACE_GETREGSET, PTRACE_SETREGSET, PTRACE_SEIZE,
        PTRACE_INTERRUPT, PTRACE_LISTEN, PTRACE_PEEKSIGINFO,
    },
    bits: &[],
};
/// `personality`.
pub static PERSONALITY: FlagSet = FlagSet {
    name: "personalities",
    zero: None,
    parts: &[Part { mask: 0xff, values: names! { PER_LINUX = 0, PER_LINUX32 = 8 } }],
    bits: names! {
        UNAME26, ADDR_NO_RANDOMIZE, FDPIC_FUNCPTRS, MMAP_PAGE_ZERO, ADDR_COMPAT_LAYOUT, READ_IMPLIES_EXEC,
        ADDR_LIMIT_32BIT, SHORT_INODE, WHOLE_SECONDS, STICKY_TIMEOUTS, ADDR_LIMIT_3GB,
    },
};
/// Clocks.
pub static CLOCK: FlagSet = FlagSet {
    name: "clocks",
    zero: None,
    parts: enumeration! {
        CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
        CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM,
        CLOCK_TAI,
    },
    bits: &[],
};
/// `clock_nanosleep`, `timer_settime`, `timerfd_settime`.
pub static TIMER: FlagSet = FlagSet {
    name: "timer flags",
    zero: None,
    parts: &[],
    bits: names! { TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET },
};
/// `setitimer`.
pub static ITIMER: FlagSet = FlagSet {
    name: "interval timers",
    zero: None,
    parts: enumeration! { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF },
    bits: &[],
};
/// `getrusage`, whose argument is signed.
pub static RUSAGE: FlagSet = FlagSet {
    name: "usage subjects",
    zero: None,
    parts: enumeration! { RUSAGE_SELF, RUSAGE_CHILDREN = 0xffff_ffff, RUSAGE_THREAD },
    bits: &[],
};
/// `setrlimit`, `prlimit64`.
pub static RLIMIT: FlagSet = FlagSet {
    name: "resource limits",
    zero: None,
    parts: enumeration! {
        RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_NOFILE,
        RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO,
        RLIMIT_RTTIME,
    },
    bits: &[],
};
/// `rt_sigprocmask`.
pub static SIGMASK: FlagSet = FlagSet {
    name: "signal mask operations",
    zero: None,
    parts: enumeration! { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK },
    bits: &[],
};
/// `futex`.
pub static FUTEX: FlagSet = FlagSet {
    name: "futex operations",
    zero: None,
    parts: &[Part {
        mask: 0x7f,
        values: names! {
            FUTEX_WAIT, FUTEX_WAKE, FUTEX_FD, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_LOCK_PI,
            FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET, FUTEX_WAIT_REQUEUE_PI,
            FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI2 = 13,
        },
    }],
    bits: names! { FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME },
};
/// `sched_setscheduler`.
pub static SCHEDULER: FlagSet = FlagSet {
    name: "scheduling policies",
    zero: None,
    parts: &[Part {
        mask: 0xff,
        values: names! { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, SCHED_EXT = 7 },
    }],
    bits: names! { SCHED_RESET_ON_FORK },
};
/// `pidfd_open`.
pub static PIDFD: FlagSet = FlagSet {
    name: "pidfd flags",
    zero: None,
    parts: &[],
    bits: names! { PIDFD_NONBLOCK = 0o4000, PIDFD_THREAD = 0o200 },
};
/// `kcmp`.
pub static KCMP: FlagSet = FlagSet {
    name: "kcmp types",
    zero: None,
    parts: enumeration! {
        KCMP_FILE = 0, KCMP_VM = 1, KCMP_FILES = 2, KCMP_FS = 3, KCMP_SIGHAND = 4, KCMP_IO = 5, KCMP_SYSVSEM = 6,
        KCMP_EPOLL_TFD = 7,
    },
    bits: &[],
};
