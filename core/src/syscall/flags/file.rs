//! Flags of calls on files and descriptors.
#![forbid(unsafe_code)]

use super::{ALL, FlagSet, Part};

/// `open`, `openat`, `openat2`.
pub static OPEN: FlagSet = FlagSet {
    name: "open flags",
    zero: None,
    parts: &[Part { mask: 3, values: names! { O_RDONLY, O_WRONLY, O_RDWR } }],
    bits: names! {
        O_TMPFILE, O_SYNC, O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, O_APPEND, O_NONBLOCK, O_DSYNC, O_ASYNC, O_DIRECT,
        O_LARGEFILE = 0o100_000, O_DIRECTORY, O_NOFOLLOW, O_NOATIME, O_CLOEXEC, O_PATH, O_NDELAY, O_RSYNC,
    },
};
/// The flags that `pipe2`, `dup3` and their kin take.
pub static DESCRIPTOR: FlagSet = FlagSet {
    name: "descriptor flags",
    zero: None,
    parts: &[],
    bits: names! { O_CLOEXEC, O_NONBLOCK, O_DIRECT },
};
/// `openat2`'s `resolve`.
pub static RESOLVE: FlagSet = FlagSet {
    name: "resolve flags",
    zero: None,
    parts: &[],
    bits: names! {
        RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_CACHED,
    },
};
/// How a path is followed.
pub static AT: FlagSet = FlagSet {
    name: "path flags",
    zero: None,
    parts: &[],
    bits: names! {
        AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_STATX_FORCE_SYNC,
        AT_STATX_DONT_SYNC, AT_RECURSIVE, AT_EXECVE_CHECK,
    },
};
/// `unlinkat`.
pub static UNLINK: FlagSet =
    FlagSet { name: "unlink flags", zero: None, parts: &[], bits: names! { AT_REMOVEDIR } };
/// `faccessat2`.
pub static ACCESS_AT: FlagSet = FlagSet {
    name: "access flags",
    zero: None,
    parts: &[],
    bits: names! { AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH },
};
/// `name_to_handle_at`.
pub static HANDLE: FlagSet = FlagSet {
    name: "handle flags",
    zero: None,
    parts: &[],
    bits: names! { AT_HANDLE_MNT_ID_UNIQUE = 1, AT_HANDLE_CONNECTABLE = 2, AT_HANDLE_FID = 0x200, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH },
};
/// What `access` asks for.
pub static ACCESS: FlagSet =
    FlagSet { name: "access modes", zero: Some("F_OK"), parts: &[], bits: names! { R_OK, W_OK, X_OK } };
/// The file type in a mode.
pub static FILE_MODE: FlagSet = FlagSet {
    name: "file types and permission bits",
    zero: None,
    parts: &[Part {
        mask: 0o170_000,
        values: names! { S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK },
    }],
    bits: names! { S_ISUID, S_ISGID, S_ISVTX },
};
/// `renameat2`.
pub static RENAME: FlagSet = FlagSet {
    name: "rename flags",
    zero: None,
    parts: &[],
    bits: names! { RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT },
};
/// What `statx` is asked for.
pub static STATX: FlagSet = FlagSet {
    name: "statx masks",
    zero: None,
    parts: &[],
    bits: names! {
        STATX_BASIC_STATS, STATX_TYPE, STATX_MODE, STATX_NLINK, STATX_UID, STATX_GID, STATX_ATIME, STATX_MTIME,
        STATX_CTIME, STATX_INO, STATX_SIZE, STATX_BLOCKS, STATX_BTIME, STATX_MNT_ID, STATX_DIOALIGN,
        STATX_MNT_ID_UNIQUE = 0x4000, STATX_SUBVOL = 0x8000,
    },
};
/// `setxattr`.
pub static XATTR: FlagSet =
    FlagSet { name: "xattr flags", zero: None, parts: &[], bits: names! { XATTR_CREATE, XATTR_REPLACE } };
/// `lseek`.
pub static WHENCE: FlagSet = FlagSet {
    name: "seek origins",
    zero: None,
    parts: enumeration! { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE },
    bits: &[],
};
/// `fcntl`.
pub static FCNTL: FlagSet = FlagSet {
    name: "fcntl commands",
    zero: None,
    parts: enumeration! {
        F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_SETOWN, F_GETOWN, F_SETSIG = 10,
        F_GETSIG = 11, F_SETOWN_EX = 15, F_GETOWN_EX = 16, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE,
        F_GETLEASE, F_NOTIFY, F_DUPFD_QUERY = 1027, F_CREATED_QUERY = 1028, F_CANCELLK = 1029, F_DUPFD_CLOEXEC,
        F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS, F_GET_RW_HINT = 1035, F_SET_RW_HINT = 1036, F_GET_FILE_RW_HINT = 1037,
        F_SET_FILE_RW_HINT = 1038,
    },
    bits: &[],
};
/// `flock`.
pub static LOCK: FlagSet =
    FlagSet { name: "locks", zero: None, parts: &[], bits: names! { LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN } };
/// `fallocate`.
pub static FALLOCATE: FlagSet = FlagSet {
    name: "fallocate modes",
    zero: None,
    parts: &[],
    bits: names! {
        FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE,
        FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE,
    },
};
/// `splice`, `tee`, `vmsplice`.
pub static SPLICE: FlagSet = FlagSet {
    name: "splice flags",
    zero: None,
    parts: &[],
    bits: names! { SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT },
};
/// `preadv2`, `pwritev2`.
pub static RWF: FlagSet = FlagSet {
    name: "read and write flags",
    zero: None,
    parts: &[],
    bits: names! { RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND },
};
/// `close_range`.
pub static CLOSE_RANGE: FlagSet = FlagSet {
    name: "close_range flags",
    zero: None,
    parts: &[],
    bits: names! { CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC },
};
/// `inotify_add_watch`.
pub static INOTIFY: FlagSet = FlagSet {
    name: "inotify masks",
    zero: None,
    parts: &[],
    bits: names! {
        IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN, IN_MOVED_FROM, IN_MOVED_TO,
        IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF, IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK,
        IN_MASK_CREATE, IN_MASK_ADD, IN_ISDIR, IN_ONESHOT,
    },
};
/// `fanotify_mark`.
pub static FANOTIFY_MARK: FlagSet = FlagSet {
    name: "fanotify mark flags",
    zero: None,
    parts: &[],
    bits: names! {
        FAN_MARK_ADD, FAN_MARK_REMOVE, FAN_MARK_DONT_FOLLOW, FAN_MARK_ONLYDIR, FAN_MARK_MOUNT,
        FAN_MARK_IGNORED_MASK, FAN_MARK_IGNORED_SURV_MODIFY, FAN_MARK_FLUSH, FAN_MARK_FILESYSTEM,
    },
};
/// `epoll_ctl`.
pub static EPOLL_CTL: FlagSet = FlagSet {
    name: "epoll_ctl operations",
    zero: None,
    parts: enumeration! { EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL },
    bits: &[],
};
/// `ioctl`.
pub static IOCTL: FlagSet = FlagSet {
    name: "ioctl requests",
    zero: None,
    parts: enumeration! {
        TCGETS, TCSETS, TCSETSW, TCSETSF, TCGETA, TCSETA, TCSETAW, TCSETAF, TCSBRK, TCXONC, TCFLSH, TIOCEXCL,
        TIOCNXCL, TIOCSCTTY, TIOCGPGRP, TIOCSPGRP, TIOCOUTQ, TIOCSTI, TIOCGWINSZ, TIOCSWINSZ, TIOCMGET, TIOCMBIS,
        TIOCMBIC, TIOCMSET, TIOCGSOFTCAR, TIOCSSOFTCAR, FIONREAD, TIOCINQ, TIOCLINUX, TIOCCONS, TIOCGSERIAL,
        TIOCSSERIAL, TIOCPKT, FIONBIO, TIOCNOTTY, TIOCSETD, TIOCGETD, TCSBRKP, TIOCSBRK, TIOCCBRK, TIOCGSID, TCGETS2,
        TCSETS2, TCSETSW2, TCSETSF2, TIOCGRS485, TIOCSRS485, TIOCGPTN, TIOCSPTLCK, TIOCGDEV, TIOCSIG,
        TIOCVHANGUP, TIOCGPKT, TIOCGPTLCK, TIOCGEXCL, TIOCGPTPEER, FIONCLEX, FIOCLEX, FIOASYNC,
        FIOQSIZE = 0x5460, FICLONE, FICLONERANGE, FIDEDUPERANGE = 0xc018_9436, FIGETBSZ = 2, FIBMAP = 1,
        FIFREEZE = 0xc004_5877, FITHAW = 0xc004_5878, FITRIM = 0xc018_5879, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS,
        FS_IOC_GETVERSION, FS_IOC_SETVERSION, FS_IOC_FIEMAP = 0xc020_660b, BLKGETSIZE64 = 0x8008_1272,
        SIOCGIFNAME = 0x8910, SIOCGIFCONF = 0x8912, SIOCGIFFLAGS = 0x8913, SIOCGIFADDR = 0x8915,
        SIOCGIFHWADDR = 0x8927, SIOCGIFINDEX = 0x8933, TUNSETIFF, NS_GET_USERNS = 0xb701, NS_GET_PARENT = 0xb702,
        NS_GET_NSTYPE = 0xb703, SECCOMP_IOCTL_NOTIF_RECV = 0xc050_2100, SECCOMP_IOCTL_NOTIF_SEND = 0xc018_2101,
        SECCOMP_IOCTL_NOTIF_ID_VALID = 0x4008_2102, SECCOMP_IOCTL_NOTIF_ADDFD = 0x4018_2103,
    },
    bits: &[],
};
