//! Flags of calls on memory.
#![forbid(unsafe_code)]

use super::{ALL, FlagSet, Part};

/// `mmap`, `mprotect`.
pub static PROTECTION: FlagSet = FlagSet {
    name: "memory protections",
    zero: Some("PROT_NONE"),
    parts: &[],
    bits: names! { PROT_READ, PROT_WRITE, PROT_EXEC, PROT_GROWSDOWN, PROT_GROWSUP },
};
/// `mmap`.
pub static MAP: FlagSet = FlagSet {
    name: "mmap flags",
    zero: None,
    parts: &[Part { mask: 0xf, values: names! { MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE } }],
    bits: names! {
        MAP_FIXED, MAP_ANONYMOUS, MAP_32BIT, MAP_GROWSDOWN, MAP_DENYWRITE, MAP_EXECUTABLE, MAP_LOCKED,
        MAP_NORESERVE, MAP_POPULATE, MAP_NONBLOCK, MAP_STACK, MAP_HUGETLB, MAP_SYNC, MAP_FIXED_NOREPLACE, MAP_ANON,
    },
};
/// `mremap`.
pub static MREMAP: FlagSet = FlagSet {
    name: "mremap flags",
    zero: None,
    parts: &[],
    bits: names! { MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP },
};
/// `madvise`, `process_madvise`.
pub static ADVICE: FlagSet = FlagSet {
    name: "memory advices",
    zero: None,
    parts: enumeration! {
        MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK,
        MADV_DOFORK, MADV_HWPOISON, MADV_SOFT_OFFLINE, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE,
        MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT,
        MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTNEED_LOCKED, MADV_COLLAPSE, MADV_GUARD_INSTALL = 102,
        MADV_GUARD_REMOVE = 103,
    },
    bits: &[],
};
/// `msync`.
pub static MSYNC: FlagSet = FlagSet {
    name: "msync flags",
    zero: None,
    parts: &[],
    bits: names! { MS_ASYNC, MS_INVALIDATE, MS_SYNC },
};
/// `mlockall`.
pub static MLOCKALL: FlagSet = FlagSet {
    name: "mlockall flags",
    zero: None,
    parts: &[],
    bits: names! { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT },
};
/// `memfd_create`.
pub static MEMFD: FlagSet = FlagSet {
    name: "memfd flags",
    zero: None,
    parts: &[],
    bits: names! { MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC },
};
/// `userfaultfd`.
pub static USERFAULTFD: FlagSet = FlagSet {
    name: "userfaultfd flags",
    zero: None,
    parts: &[],
    bits: names! { UFFD_USER_MODE_ONLY = 1, O_NONBLOCK, O_CLOEXEC },
};
