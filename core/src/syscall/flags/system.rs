//! Flags of calls on mounts and on the machine as a whole.
#![forbid(unsafe_code)]

use super::{ALL, FlagSet, Part};

/// `getrandom`.
pub static RANDOM: FlagSet = FlagSet {
    name: "getrandom flags",
    zero: None,
    parts: &[],
    bits: names! { GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE },
};
/// `mount`.
pub static MOUNT: FlagSet = FlagSet {
    name: "mount flags",
    zero: None,
    parts: &[],
    bits: names! {
        MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_SYNCHRONOUS, MS_REMOUNT, MS_MANDLOCK, MS_DIRSYNC,
        MS_NOSYMFOLLOW = 256, MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_MOVE, MS_REC, MS_SILENT, MS_POSIXACL,
        MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_RELATIME, MS_KERNMOUNT, MS_I_VERSION, MS_STRICTATIME,
        MS_LAZYTIME,
    },
};
/// `umount2`.
pub static UNMOUNT: FlagSet = FlagSet {
    name: "umount flags",
    zero: None,
    parts: &[],
    bits: names! { MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW },
};
/// `open_tree`, `open_tree_attr`.
pub static OPEN_TREE: FlagSet = FlagSet {
    name: "open_tree flags",
    zero: None,
    parts: &[],
    bits: names! {
        OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC, AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW,
    },
};
/// `move_mount`.
pub static MOVE_MOUNT: FlagSet = FlagSet {
    name: "move_mount flags",
    zero: None,
    parts: &[],
    bits: names! {
        MOVE_MOUNT_F_SYMLINKS = 1, MOVE_MOUNT_F_AUTOMOUNTS = 2, MOVE_MOUNT_F_EMPTY_PATH = 4,
        MOVE_MOUNT_T_SYMLINKS = 0x10, MOVE_MOUNT_T_AUTOMOUNTS = 0x20, MOVE_MOUNT_T_EMPTY_PATH = 0x40,
        MOVE_MOUNT_SET_GROUP = 0x100, MOVE_MOUNT_BENEATH = 0x200,
    },
};
/// `fsopen`, `fsmount`.
pub static FSOPEN: FlagSet =
    FlagSet { name: "fsopen flags", zero: None, parts: &[], bits: names! { FSOPEN_CLOEXEC = 1 } };
/// `fsmount`'s flags.
pub static FSMOUNT: FlagSet =
    FlagSet { name: "fsmount flags", zero: None, parts: &[], bits: names! { FSMOUNT_CLOEXEC = 1 } };
/// `fspick`.
pub static FSPICK: FlagSet = FlagSet {
    name: "fspick flags",
    zero: None,
    parts: &[],
    bits: names! { FSPICK_CLOEXEC = 1, FSPICK_SYMLINK_NOFOLLOW = 2, FSPICK_NO_AUTOMOUNT = 4, FSPICK_EMPTY_PATH = 8 },
};
/// `fsconfig`.
pub static FSCONFIG: FlagSet = FlagSet {
    name: "fsconfig commands",
    zero: None,
    parts: enumeration! {
        FSCONFIG_SET_FLAG = 0, FSCONFIG_SET_STRING = 1, FSCONFIG_SET_BINARY = 2, FSCONFIG_SET_PATH = 3,
        FSCONFIG_SET_PATH_EMPTY = 4, FSCONFIG_SET_FD = 5, FSCONFIG_CMD_CREATE = 6, FSCONFIG_CMD_RECONFIGURE = 7,
        FSCONFIG_CMD_CREATE_EXCL = 8,
    },
    bits: &[],
};
/// `fsmount`, `mount_setattr`.
pub static MOUNT_ATTRIBUTE: FlagSet = FlagSet {
    name: "mount attributes",
    zero: None,
    parts: &[],
    bits: names! {
        MOUNT_ATTR_RDONLY = 1, MOUNT_ATTR_NOSUID = 2, MOUNT_ATTR_NODEV = 4, MOUNT_ATTR_NOEXEC = 8,
        MOUNT_ATTR_NOATIME = 0x10, MOUNT_ATTR_STRICTATIME = 0x20, MOUNT_ATTR_NODIRATIME = 0x80,
        MOUNT_ATTR_IDMAP = 0x10_0000, MOUNT_ATTR_NOSYMFOLLOW = 0x20_0000,
    },
};
/// `seccomp`'s operation.
pub static SECCOMP: FlagSet = FlagSet {
    name: "seccomp operations",
    zero: None,
    parts: enumeration! {
        SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL, SECCOMP_GET_NOTIF_SIZES,
    },
    bits: &[],
};
/// `seccomp`'s flags.
pub static SECCOMP_FILTER: FlagSet = FlagSet {
    name: "seccomp filter flags",
    zero: None,
    parts: &[],
    bits: names! {
        SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
        SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    },
};
/// `bpf`.
pub static BPF: FlagSet = FlagSet {
    name: "bpf commands",
    zero: None,
    parts: enumeration! {
        BPF_MAP_CREATE = 0, BPF_MAP_LOOKUP_ELEM = 1, BPF_MAP_UPDATE_ELEM = 2, BPF_MAP_DELETE_ELEM = 3,
        BPF_MAP_GET_NEXT_KEY = 4, BPF_PROG_LOAD = 5, BPF_OBJ_PIN = 6, BPF_OBJ_GET = 7, BPF_PROG_ATTACH = 8,
        BPF_PROG_DETACH = 9, BPF_PROG_TEST_RUN = 10, BPF_BTF_LOAD = 18, BPF_LINK_CREATE = 28, BPF_TOKEN_CREATE = 36,
    },
    bits: &[],
};
/// `keyctl`.
pub static KEYCTL: FlagSet = FlagSet {
    name: "keyctl operations",
    zero: None,
    parts: enumeration! {
        KEYCTL_GET_KEYRING_ID = 0, KEYCTL_JOIN_SESSION_KEYRING = 1, KEYCTL_UPDATE = 2, KEYCTL_REVOKE = 3,
        KEYCTL_CHOWN = 4, KEYCTL_SETPERM = 5, KEYCTL_DESCRIBE = 6, KEYCTL_CLEAR = 7, KEYCTL_LINK = 8,
        KEYCTL_UNLINK = 9, KEYCTL_SEARCH = 10, KEYCTL_READ = 11, KEYCTL_INSTANTIATE = 12, KEYCTL_NEGATE = 13,
        KEYCTL_SET_REQKEY_KEYRING = 14, KEYCTL_SET_TIMEOUT = 15, KEYCTL_ASSUME_AUTHORITY = 16,
        KEYCTL_GET_SECURITY = 17, KEYCTL_SESSION_TO_PARENT = 18, KEYCTL_REJECT = 19, KEYCTL_INVALIDATE = 21,
        KEYCTL_GET_PERSISTENT = 22,
    },
    bits: &[],
};
/// `perf_event_open`.
pub static PERF: FlagSet = FlagSet {
    name: "perf_event_open flags",
    zero: None,
    parts: &[],
    bits: names! {
        PERF_FLAG_FD_NO_GROUP = 1, PERF_FLAG_FD_OUTPUT = 2, PERF_FLAG_PID_CGROUP = 4, PERF_FLAG_FD_CLOEXEC = 8,
    },
};
/// `reboot`.
pub static REBOOT: FlagSet = FlagSet {
    name: "reboot commands",
    zero: None,
    parts: enumeration! {
        LINUX_REBOOT_CMD_CAD_OFF, LINUX_REBOOT_CMD_CAD_ON, LINUX_REBOOT_CMD_HALT, LINUX_REBOOT_CMD_KEXEC,
        LINUX_REBOOT_CMD_POWER_OFF, LINUX_REBOOT_CMD_RESTART, LINUX_REBOOT_CMD_RESTART2, LINUX_REBOOT_CMD_SW_SUSPEND,
    },
    bits: &[],
};
