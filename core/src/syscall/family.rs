//! Families: every spelling of one operation.
//!
//! A rule names a family, so that a spelling which is added here is added to every rule at once. Nothing here says
//! what becomes of an operation.
#![forbid(unsafe_code)]

use super::{Syscall, Sysno, signature};

/// Every spelling of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name, as in `family(open)`.
    pub name: &'static str,
    /// What the operation does.
    pub doc: &'static str,
    /// Its spellings, by number.
    pub calls: &'static [Sysno],
    /// Whether it can wait for something that may never come, so that a signal ends it (`EINTR`, `man 7 signal`).
    pub waits: bool,
}

impl Family {
    /// The family of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|family| family.name == name)
    }

    /// Every family that this call is a spelling in.
    pub fn of(call: Syscall) -> impl Iterator<Item = &'static Self> {
        ALL.iter().copied().filter(move |family| family.contains(call))
    }

    /// Whether this call is a spelling of the operation.
    #[must_use]
    pub fn contains(&self, call: Syscall) -> bool {
        self.calls.contains(&call.sysno())
    }

    /// Its spellings, by number.
    pub fn syscalls(&self) -> impl Iterator<Item = Syscall> + use<> {
        self.calls.iter().copied().map(Syscall::of)
    }

    /// Its spellings that name a file by path: without those that take a descriptor alone.
    pub fn by_path(&self) -> impl Iterator<Item = Syscall> + use<> {
        self.syscalls().filter(|call| signature::path_args(*call).next().is_some())
    }
}

macro_rules! families {
    (@waits) => { false };
    (@waits waits) => { true };
    ($($konst:ident $name:literal: $doc:literal, [$($call:ident),* $(,)?] $($waits:ident)?;)*) => {
        $(
            #[doc = concat!("`family(", $name, ")`: ", $doc, ".")]
            pub const $konst: Family = Family {
                name: $name, doc: $doc, calls: &[$(Sysno::$call),*], waits: families!(@waits $($waits)?),
            };
        )*
        /// Every family.
        pub const ALL: &[&Family] = &[$(&$konst),*];
    };
}

families! {
    OPEN "open": "opens a file by path, or creates it", [open, creat, openat, openat2] waits;
    STAT "stat": "reads a file's metadata", [stat, fstat, lstat, newfstatat, statx];
    ACCESS "access": "asks whether a file may be used", [access, faccessat, faccessat2];
    READLINK "readlink": "reads a symbolic link", [readlink, readlinkat];
    RENAME "rename": "renames a file, or swaps two", [rename, renameat, renameat2];
    LINK "link": "gives a file another name", [link, linkat];
    SYMLINK "symlink": "makes a symbolic link", [symlink, symlinkat];
    UNLINK "unlink": "removes a file or an empty folder", [rmdir, unlink, unlinkat];
    MKDIR "mkdir": "makes a folder", [mkdir, mkdirat];
    MKNOD "mknod": "makes a device, a FIFO, a socket or an empty file", [mknod, mknodat];
    CHMOD "chmod": "changes permission bits", [chmod, fchmod, fchmodat, fchmodat2];
    CHOWN "chown": "changes owner and group", [chown, fchown, lchown, fchownat];
    UTIME "utime": "changes a file's times", [utime, utimes, futimesat, utimensat];
    XATTR_SET "xattr_set": "sets an extended attribute", [setxattr, lsetxattr, fsetxattr, setxattrat];
    XATTR_GET "xattr_get": "reads an extended attribute", [getxattr, lgetxattr, fgetxattr, getxattrat];
    XATTR_LIST "xattr_list": "lists extended attributes", [listxattr, llistxattr, flistxattr, listxattrat];
    XATTR_REMOVE "xattr_remove": "removes an extended attribute",
        [removexattr, lremovexattr, fremovexattr, removexattrat];
    FILE_GETATTR "file_getattr": "reads a file's inode flags", [file_getattr];
    FILE_SETATTR "file_setattr": "changes a file's inode flags", [file_setattr];
    TRUNCATE "truncate": "changes a file's length", [truncate, ftruncate];
    EXEC "exec": "runs a program", [execve, execveat];
    USELIB "uselib": "maps an old-style shared library", [uselib];
    CHDIR "chdir": "changes the current folder", [chdir, fchdir];
    CHROOT "chroot": "changes the root folder", [chroot];
    STATFS "statfs": "reads a file system's state", [statfs, fstatfs];
    USTAT "ustat": "reads the state of a file system that is named by its device", [ustat];
    INOTIFY "inotify": "watches a file", [inotify_add_watch];
    FANOTIFY "fanotify": "watches files and decides on their use", [fanotify_init, fanotify_mark];
    READ "read": "reads from a descriptor, among what else the call may do", [
        read, pread64, readv, io_submit, preadv, preadv2,
    ] waits;
    WRITE "write": "writes to a descriptor, among what else the call may do", [
        write, pwrite64, writev, io_submit, pwritev, pwritev2,
    ] waits;
    COPY "copy": "moves data between descriptors inside the kernel",
        [sendfile, splice, tee, vmsplice, copy_file_range] waits;
    GETDENTS "getdents": "lists a folder", [getdents, getdents64];
    GETCWD "getcwd": "asks for the current folder", [getcwd];
    DUP "dup": "duplicates a descriptor", [dup, dup2, dup3];
    FCNTL "fcntl": "controls a descriptor", [fcntl] waits;
    IOCTL "ioctl": "controls a device", [ioctl] waits;
    MMAP "mmap": "maps memory or a file", [mmap, mremap, remap_file_pages];
    MPROTECT "mprotect": "changes the protection of memory", [mprotect, pkey_mprotect];
    MEMFD "memfd": "makes an anonymous file", [memfd_create, memfd_secret];
    CLONE "clone": "makes a process or a thread", [clone, fork, vfork, clone3];
    CLONE_BY_FLAGS "clone_by_flags": "makes a process or a thread, with flags that a filter can read", [clone];
    CLONE3 "clone3": "makes a process or a thread, with arguments that a filter cannot read", [clone3];
    KILL "kill": "sends a signal",
        [kill, rt_sigqueueinfo, tkill, tgkill, rt_tgsigqueueinfo, pidfd_send_signal];
    WAIT "wait": "waits for a child", [wait4, waitid] waits;
    WAIT_BY_NUMBER "wait_by_number": "waits for a child, whose number it returns", [wait4] waits;
    WAIT_BY_ID "wait_by_id": "waits for a child, and tells of it in memory", [waitid] waits;
    SOCKET "socket": "makes a socket", [socket, socketpair];
    SOCKET_ALONE "socket_alone": "makes a socket that is connected to nothing yet", [socket];
    SOCKET_PAIR "socket_pair": "makes two sockets that are connected to each other", [socketpair];
    CONNECT "connect": "connects a socket", [connect] waits;
    BIND "bind": "gives a socket an address", [bind];
    LISTEN "listen": "lets a socket take connections", [listen];
    ACCEPT "accept": "takes a connection", [accept, accept4] waits;
    SEND "send": "sends through a socket", [sendto, sendmsg, sendmmsg] waits;
    SEND_BUFFERS "send_buffers": "sends through a socket, with flags in the fourth register", [sendto, sendmmsg] waits;
    SEND_MESSAGE "send_message": "sends through a socket, with flags in the third register", [sendmsg] waits;
    RECV "recv": "receives from a socket", [recvfrom, recvmsg, recvmmsg] waits;
    RESTART "restart": "goes on with a call that a signal has interrupted", [restart_syscall] waits;
    UNAME "uname": "asks for the host's name and the kernel's version", [uname];
    SET_NAME "set_name": "changes the host's name", [sethostname, setdomainname];
    GETRANDOM "getrandom": "asks for random bytes", [getrandom];
    UMASK "umask": "changes the mask of permission bits", [umask];
    CLOCK_GET "clock_get": "reads a clock", [gettimeofday, time, clock_gettime];
    CLOCK_GETTIME "clock_gettime": "reads a clock that is named", [clock_gettime];
    GETTIMEOFDAY "gettimeofday": "reads the time of day in microseconds", [gettimeofday];
    TIME "time": "reads the time of day in seconds", [time];
    CLOCK_GETRES "clock_getres": "asks how fine a clock is", [clock_getres];
    TIMES "times": "reads the processor's time of a process, in ticks", [times];
    GETRUSAGE "getrusage": "reads what a process has used", [getrusage];
    CLOCK_SET "clock_set": "changes a clock", [adjtimex, settimeofday, clock_settime, clock_adjtime];
    SLEEP "sleep": "waits for a time", [nanosleep, clock_nanosleep] waits;
    NANOSLEEP "nanosleep": "waits for a length of time", [nanosleep] waits;
    CLOCK_NANOSLEEP "clock_nanosleep": "waits for a length of time, or until a clock shows a time", [clock_nanosleep] waits;
    POLL "poll": "waits for descriptors, for milliseconds", [poll] waits;
    PPOLL "ppoll": "waits for descriptors or a signal", [ppoll] waits;
    SELECT "select": "waits for descriptors by a set of bits, for microseconds", [select] waits;
    PSELECT "pselect": "waits for descriptors by a set of bits, or a signal", [pselect6] waits;
    EPOLL_WAIT "epoll_wait": "waits for a set of descriptors, for milliseconds", [epoll_wait, epoll_pwait] waits;
    EPOLL_PWAIT2 "epoll_pwait2": "waits for a set of descriptors, for nanoseconds", [epoll_pwait2] waits;
    SIGNAL_WAIT "signal_wait": "waits for a signal", [rt_sigtimedwait] waits;
    AIO_WAIT "aio_wait": "waits for asynchronous reads and writes", [io_getevents, io_pgetevents] waits;
    SEMAPHORE_WAIT "semaphore_wait": "waits for System V semaphores", [semtimedop] waits;
    FUTEX "futex": "waits for a word of memory, or wakes who does", [futex] waits;
    FUTEX_WAIT "futex_wait": "waits for a word of memory", [futex_wait] waits;
    FUTEX_WAITV "futex_waitv": "waits for one of several words of memory", [futex_waitv] waits;
    MESSAGE_WAIT "message_wait": "waits for a POSIX message queue", [mq_timedsend, mq_timedreceive] waits;
    ALARM "alarm": "sets the process's timer, in seconds", [alarm];
    SETITIMER "setitimer": "sets the process's timer, in microseconds", [setitimer];
    GETITIMER "getitimer": "asks how long one of the process's timers still runs", [getitimer];
    TIMER_CREATE "timer_create": "makes a POSIX timer", [timer_create];
    TIMER_SETTIME "timer_settime": "sets a POSIX timer", [timer_settime];
    TIMER_GETTIME "timer_gettime": "asks how long a POSIX timer still runs", [timer_gettime];
    TIMER_DELETE "timer_delete": "removes a POSIX timer", [timer_delete];
    TIMERFD_SETTIME "timerfd_settime": "sets a timer that is a descriptor", [timerfd_settime];
    TIMERFD_GETTIME "timerfd_gettime": "asks how long a timer that is a descriptor still runs", [timerfd_gettime];
    SYSINFO "sysinfo": "asks for uptime, load and memory", [sysinfo];
    AFFINITY_GET "affinity_get": "asks which processors a thread may run on", [sched_getaffinity];
    AFFINITY_SET "affinity_set": "changes which processors a thread may run on", [sched_setaffinity];
    GETCPU "getcpu": "asks which processor the caller runs on", [getcpu];
    RSEQ "rseq": "has the kernel keep the processor's number in the caller's memory", [rseq];
    GETPID "getpid": "asks for process ids", [getpid, getppid, gettid];
    IO_URING "io_uring": "makes calls through a ring, past every filter",
        [io_uring_setup, io_uring_enter, io_uring_register] waits;
    PTRACE "ptrace": "controls another process", [ptrace] waits;
    PROCESS_VM_READ "process_vm_read": "reads another process's memory", [process_vm_readv];
    PROCESS_VM_WRITE "process_vm_write": "writes another process's memory", [process_vm_writev];
    BPF "bpf": "loads programs into the kernel", [bpf];
    PERF "perf": "observes the machine through performance counters", [perf_event_open];
    USERFAULTFD "userfaultfd": "stalls the kernel at a page of one's choice", [userfaultfd];
    FILE_HANDLE "file_handle": "names a file by handle, past every folder above it",
        [name_to_handle_at, open_by_handle_at];
    MOUNT "mount": "changes what is mounted where", [
        pivot_root, mount, umount2, open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr,
        open_tree_attr,
    ];
    MOUNT_LIST "mount_list": "lists what is mounted", [statmount, listmount];
    UNSHARE "unshare": "leaves shared namespaces", [unshare];
    SETNS "setns": "enters another namespace", [setns];
    KEXEC "kexec": "loads another kernel", [kexec_load, kexec_file_load];
    MODULE "module": "loads or removes kernel modules",
        [create_module, init_module, delete_module, get_kernel_syms, query_module, finit_module];
    KEYRING "keyring": "uses the kernel's keys, which no namespace divides", [add_key, request_key, keyctl] waits;
    PIDFD_GETFD "pidfd_getfd": "takes a descriptor from another process", [pidfd_getfd];
    LOOK "look": "asks about any process", [
        getpriority, sched_getparam, sched_getscheduler, sched_rr_get_interval, getpgid, getsid, sched_getaffinity,
        ioprio_get, sched_getattr, pidfd_open,
    ];
    REACH "reach": "acts on another process's memory, as ptrace might",
        [get_robust_list, process_madvise, process_mrelease];
    KCMP "kcmp": "compares kernel objects of two processes", [kcmp];
    SECCOMP "seccomp": "adds a filter of one's own", [seccomp];
    PRLIMIT "prlimit": "reads or sets the limits of any process", [prlimit64];
    SETRLIMIT "setrlimit": "sets limits of one's own", [setrlimit];
    SCHEDULE "schedule": "changes when and where a thread runs",
        [sched_setparam, sched_setscheduler, sched_setaffinity, sched_setattr];
    SCHEDULE_SET "schedule_set": "changes by which policy a thread runs",
        [sched_setparam, sched_setscheduler, sched_setattr];
    SCHEDULE_GET "schedule_get": "asks by which policy a thread runs",
        [sched_getparam, sched_getscheduler, sched_getattr];
    SCHEDULE_INTERVAL "schedule_interval": "asks how long a thread may run before others of its kind",
        [sched_rr_get_interval];
    SETPRIORITY "setpriority": "changes the priority of a process, a group or all of a user's", [setpriority];
    IOPRIO "ioprio": "changes the I/O priority of a thread, a group or all of a user's", [ioprio_set];
    PERSONALITY "personality": "changes how programs are laid out and run", [personality];
    PRCTL "prctl": "changes attributes of a process", [prctl];
    REBOOT "reboot": "stops or restarts the machine", [reboot];
    SWAP "swap": "changes where memory is swapped to", [swapon, swapoff];
    ACCT "acct": "writes a record of every process to a file", [acct];
    QUOTA "quota": "changes disk quotas", [quotactl, quotactl_fd];
    SYSLOG "syslog": "reads the kernel's log", [syslog];
    PORT_IO "port_io": "opens the machine's I/O ports", [iopl, ioperm];
    MODIFY_LDT "modify_ldt": "changes the segments of the processor", [modify_ldt];
    NUMA "numa": "moves memory of processes between nodes",
        [mbind, set_mempolicy, migrate_pages, move_pages, set_mempolicy_home_node];
    VHANGUP "vhangup": "hangs up the terminal", [vhangup];
    LANDLOCK "landlock": "adds Landlock rules of one's own",
        [landlock_create_ruleset, landlock_add_rule, landlock_restrict_self];
    SYSV_IPC "sysv_ipc": "uses System V shared memory, semaphores and message queues, which have numbers of their own", [
        shmget, shmat, shmctl, semget, semop, semctl, shmdt, msgget, msgsnd, msgrcv, msgctl, semtimedop,
    ] waits;
    MESSAGE_QUEUE "message_queue": "uses POSIX message queues, which have names of their own",
        [mq_open, mq_unlink];
    OBSOLETE "obsolete": "was removed from the kernel, or never was in it",
        [_sysctl, nfsservctl, getpmsg, putpmsg, afs_syscall, tuxcall, security, lookup_dcookie, epoll_ctl_old,
         epoll_wait_old, vserver];
}

/// The families that change what a file says of itself, or read and change its extended attributes.
pub const ATTRIBUTES: &[&Family] =
    &[&CHMOD, &CHOWN, &UTIME, &XATTR_SET, &XATTR_GET, &XATTR_LIST, &XATTR_REMOVE, &FILE_SETATTR];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Calls that concern nobody but the caller and what it already holds, or everybody and change nothing.
    const ORDINARY: &str = "close lseek munmap brk rt_sigaction rt_sigprocmask rt_sigreturn pipe sched_yield \
        msync mincore madvise pause shutdown getsockname getpeername setsockopt getsockopt exit \
        flock fsync fdatasync getrlimit getuid getgid setuid setgid geteuid getegid setpgid getpgrp setsid \
        setreuid setregid getgroups setgroups setresuid getresuid setresgid getresgid setfsuid setfsgid capget \
        capset rt_sigpending rt_sigsuspend sigaltstack sysfs sched_get_priority_max \
        sched_get_priority_min mlock munlock mlockall munlockall arch_prctl sync readahead set_thread_area \
        io_setup io_destroy io_cancel get_thread_area epoll_create set_tid_address fadvise64 \
        timer_getoverrun exit_group epoll_ctl get_mempolicy mq_notify mq_getsetattr inotify_init \
        inotify_rm_watch set_robust_list sync_file_range signalfd timerfd_create eventfd fallocate \
        signalfd4 eventfd2 epoll_create1 pipe2 inotify_init1 syncfs membarrier mlock2 \
        pkey_alloc pkey_free uretprobe uprobe close_range cachestat map_shadow_stack futex_wake futex_requeue \
        lsm_get_self_attr \
        lsm_set_self_attr lsm_list_modules mseal";

    /// A call that is new in the vocabulary fails here until somebody has asked what it opens.
    #[test]
    fn every_call_was_looked_at() {
        let known: BTreeSet<&str> = ORDINARY.split_ascii_whitespace().collect();
        for call in Syscall::all() {
            let ordinary = known.contains(call.name());
            let spelling = Family::of(call).next().is_some();
            assert!(ordinary || spelling, "{call} is in no family, and not known to be ordinary");
            assert!(!(ordinary && spelling), "{call} is in a family, and said to be ordinary");
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        let names: BTreeSet<_> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len());
        for family in ALL {
            assert_eq!(Family::named(family.name), Some(*family));
            assert!(!family.calls.is_empty() && !family.doc.is_empty());
        }
        assert_eq!(Family::named("opens"), None);
    }

    #[test]
    fn a_spelling_stands_once_in_its_family() {
        for family in ALL {
            let calls: BTreeSet<_> = family.calls.iter().collect();
            assert_eq!(calls.len(), family.calls.len(), "{}", family.name);
        }
    }

    #[test]
    fn every_call_with_a_path_is_a_spelling_of_something() {
        for call in Syscall::all().filter(|call| signature::path_args(*call).next().is_some()) {
            assert!(Family::of(call).next().is_some(), "{call} takes a path and is in no family");
        }
    }

    /// `renameat2` belongs where `rename` does: the same name but for what spellings add to it.
    #[test]
    fn spellings_of_one_name_are_in_one_family() {
        let stem = |name: &str| -> String {
            let name = name.strip_prefix("new").unwrap_or(name);
            let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let name =
                name.strip_suffix("at").filter(|stem| !stem.is_empty() && *stem != "st").unwrap_or(name);
            // `faccessat`, `fchmodat`, `fchownat`, `fstatat`, `lstat`, `lsetxattr`.
            name.to_owned()
        };
        let stems: BTreeSet<&str> = Syscall::all().map(Syscall::name).collect();
        for call in Syscall::all().filter(|call| signature::path_args(*call).next().is_some()) {
            let stem = stem(call.name());
            let plain = [stem.as_str(), &stem[1..]].into_iter().find(|stem| stems.contains(stem));
            let Some(plain) = plain.and_then(|plain| Syscall::named(plain).ok()) else { continue };
            for family in Family::of(plain).filter(|family| family.by_path().any(|other| other == plain)) {
                assert!(family.contains(call), "{call} is not in the family of {plain}, {}", family.name);
            }
        }
    }

    #[test]
    fn the_known_holes_are_closed() {
        for (family, calls) in [
            (OPEN, &["open", "creat", "openat", "openat2"][..]),
            (RENAME, &["rename", "renameat", "renameat2"]),
            (CHMOD, &["chmod", "fchmodat", "fchmodat2"]),
            (UTIME, &["utime", "utimes", "futimesat", "utimensat"]),
            (XATTR_SET, &["setxattr", "lsetxattr", "setxattrat"]),
            (EXEC, &["execve", "execveat"]),
            (CLONE, &["clone", "fork", "vfork", "clone3"]),
        ] {
            let known: BTreeSet<_> = family.by_path().chain(family.syscalls()).map(Syscall::name).collect();
            for call in calls {
                assert!(known.contains(call), "{call} in {}", family.name);
            }
        }
    }
}
