//! Signatures: what the arguments of a call mean, and how many of their bits the kernel looks at.
//!
//! The table follows the kernel's own definitions (`SYSCALL_DEFINE`), not the wrappers of a C library; the names are
//! those of the manual pages, except that a file is always `path`. A call without an entry has six opaque arguments.
#![forbid(unsafe_code)]

mod table;

use super::flags::FlagSet;
use super::{Syscall, Sysno};

/// The arguments of a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// The call.
    pub call: Sysno,
    /// Its arguments, in the order of the registers.
    pub params: &'static [Param],
}

/// An argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub kind: Kind,
}

/// What an argument means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `int`.
    Int,
    /// `unsigned int`.
    Uint,
    /// `long`.
    Long,
    /// `unsigned long`.
    Ulong,
    /// `size_t`.
    Size,
    /// `loff_t`.
    Offset,
    /// A descriptor.
    Fd,
    /// The descriptor of a folder, or `AT_FDCWD`. The path that follows starts there.
    DirFd,
    /// A path that the kernel follows.
    Path,
    /// A string that names no file, or none that is followed: a symlink's target, an attribute's name.
    Text,
    /// `umode_t`: permission bits, and for `mknod` the file's type.
    Mode,
    /// A process, thread or process group.
    Pid,
    /// `int` or `unsigned int`, by name.
    Flags(&'static FlagSet),
    /// `unsigned long` or a 64-bit type, by name.
    Flags64(&'static FlagSet),
    /// A socket address whose size is argument `len`.
    Address {
        /// The argument that holds its size.
        len: usize,
    },
    /// `struct msghdr`, which can hold a socket address.
    Message,
    /// `struct xattr_args`, whose size is argument `size`.
    XattrArgs {
        /// The argument that holds its size.
        size: usize,
    },
    /// `struct open_how` whose size is argument `size`.
    OpenHow {
        /// The argument that holds its size.
        size: usize,
    },
    /// Bytes for the kernel to read, as many as argument `len` says.
    Input {
        /// The argument that holds their number.
        len: usize,
    },
    /// Room for the kernel to write to, as much as argument `len` says.
    Output {
        /// The argument that holds its size.
        len: usize,
    },
    /// Room for the kernel to write this many bytes to.
    Buffer(usize),
    /// Any other address.
    Pointer,
}

/// How many bits of a register the kernel looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// The lowest 16: `umode_t`.
    W16,
    /// The lowest 32.
    W32,
    /// All.
    W64,
}

impl Width {
    /// The bits that are looked at.
    #[must_use]
    pub const fn mask(self) -> u64 {
        match self {
            Self::W16 => 0xffff,
            Self::W32 => 0xffff_ffff,
            Self::W64 => u64::MAX,
        }
    }
}

impl Kind {
    /// How many bits of the register the kernel looks at.
    #[must_use]
    pub const fn width(self) -> Width {
        match self {
            Self::Mode => Width::W16,
            Self::Int | Self::Uint | Self::Fd | Self::DirFd | Self::Pid | Self::Flags(_) => Width::W32,
            Self::Long
            | Self::Ulong
            | Self::Size
            | Self::Offset
            | Self::Path
            | Self::Text
            | Self::Flags64(_)
            | Self::Address { .. }
            | Self::Message
            | Self::XattrArgs { .. }
            | Self::OpenHow { .. }
            | Self::Input { .. }
            | Self::Output { .. }
            | Self::Buffer(_)
            | Self::Pointer => Width::W64,
        }
    }

    /// Whether the register only says where the argument lies.
    #[must_use]
    pub const fn is_pointer(self) -> bool {
        matches!(
            self,
            Self::Path
                | Self::Text
                | Self::Address { .. }
                | Self::Message
                | Self::XattrArgs { .. }
                | Self::OpenHow { .. }
                | Self::Input { .. }
                | Self::Output { .. }
                | Self::Buffer(_)
                | Self::Pointer
        )
    }
}

/// A path among a call's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathArg {
    /// The argument that says where the path starts; `None`: in the current folder.
    pub dirfd: Option<usize>,
    /// The path's argument.
    pub path: usize,
}

const OPAQUE: &[Param] = &[
    Param { name: "arg0", kind: Kind::Ulong },
    Param { name: "arg1", kind: Kind::Ulong },
    Param { name: "arg2", kind: Kind::Ulong },
    Param { name: "arg3", kind: Kind::Ulong },
    Param { name: "arg4", kind: Kind::Ulong },
    Param { name: "arg5", kind: Kind::Ulong },
];

/// The signature of this call, where it is known.
#[must_use]
pub fn of(call: Syscall) -> Option<&'static Signature> {
    let place =
        table::SIGNATURES.binary_search_by_key(&call.number(), |entry| Syscall::of(entry.call).number());
    place.ok().and_then(|place| table::SIGNATURES.get(place))
}

/// The arguments of this call; six opaque ones where they are not known.
#[must_use]
pub fn params(call: Syscall) -> &'static [Param] {
    of(call).map_or(OPAQUE, |signature| signature.params)
}

/// How many bits of this argument the kernel looks at; `None` if the call has no such argument.
#[must_use]
pub fn width(call: Syscall, arg: usize) -> Option<Width> {
    params(call).get(arg).map(|param| param.kind.width())
}

/// Whether this argument's meaning lies in the register itself, where a filter can see it, and not behind a pointer.
#[must_use]
pub fn is_scalar(call: Syscall, arg: u8) -> bool {
    params(call).get(usize::from(arg)).is_some_and(|param| !param.kind.is_pointer())
}

/// Where this call has the argument of this name: spellings of one operation differ in that.
#[must_use]
pub fn position(call: Syscall, name: &str) -> Option<u8> {
    params(call).iter().position(|param| param.name == name).and_then(|place| u8::try_from(place).ok())
}

/// Every path among the arguments of this call. A folder's descriptor that stands right before a path belongs to it.
pub fn path_args(call: Syscall) -> impl Iterator<Item = PathArg> {
    let params = params(call);
    params.iter().enumerate().filter(|(_, param)| param.kind == Kind::Path).map(move |(path, _)| {
        let before = path.checked_sub(1);
        PathArg { dirfd: before.filter(|before| params[*before].kind == Kind::DirFd), path }
    })
}

/// Whether a socket address is among the arguments of this call, as far as it is looked for there.
#[must_use]
pub fn has_address(call: Syscall) -> bool {
    params(call).iter().any(|param| matches!(param.kind, Kind::Address { .. } | Kind::Message))
}

/// Every signature, by number.
#[must_use]
pub fn all() -> &'static [Signature] {
    table::SIGNATURES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> Syscall {
        Syscall::named(name).unwrap()
    }

    #[test]
    fn the_table_is_sorted_and_its_entries_are_whole() {
        let numbers: Vec<u32> = all().iter().map(|entry| Syscall::of(entry.call).number()).collect();
        for pair in numbers.windows(2) {
            assert!(pair[0] < pair[1], "{} stands before {}", pair[0], pair[1]);
        }
        for Signature { call, params } in all() {
            assert!(params.len() <= 6, "{call}");
            for (place, param) in params.iter().enumerate() {
                assert!(
                    params[..place].iter().all(|other| other.name != param.name),
                    "{call}: {} twice",
                    param.name
                );
                let size = match param.kind {
                    Kind::Address { len } | Kind::Input { len } | Kind::Output { len } => Some(len),
                    Kind::OpenHow { size } | Kind::XattrArgs { size } => Some(size),
                    _ => None,
                };
                if let Some(size) = size {
                    let kind =
                        params.get(size).unwrap_or_else(|| panic!("{call}: {} has no size", param.name)).kind;
                    assert!(
                        matches!(kind, Kind::Int | Kind::Uint | Kind::Size | Kind::Ulong),
                        "{call}: the size of {} is {kind:?}",
                        param.name
                    );
                }
            }
        }
    }

    #[test]
    fn every_entry_is_found() {
        for signature in all() {
            assert_eq!(of(Syscall::of(signature.call)), Some(signature));
        }
        assert_eq!(of(call("tuxcall")), None);
        assert_eq!(params(call("tuxcall")).len(), 6);
    }

    #[test]
    fn widths_are_the_kernels() {
        for (name, widths) in [
            ("ioctl", &[Width::W32, Width::W32, Width::W64][..]),
            ("prctl", &[Width::W32, Width::W64, Width::W64, Width::W64, Width::W64]),
            ("personality", &[Width::W32]),
            ("umask", &[Width::W32]),
            ("lseek", &[Width::W32, Width::W64, Width::W32]),
            ("unshare", &[Width::W64]),
            ("setns", &[Width::W32, Width::W32]),
            ("chmod", &[Width::W64, Width::W16]),
            ("ptrace", &[Width::W64; 4]),
            ("keyctl", &[Width::W32, Width::W64, Width::W64, Width::W64, Width::W64]),
        ] {
            let known: Vec<_> = params(call(name)).iter().map(|param| param.kind.width()).collect();
            assert_eq!(known, widths, "{name}");
        }
        // The kernel takes an unsigned long and keeps its lower half.
        assert_eq!(width(call("clone"), 0), Some(Width::W32));
        assert_eq!(width(call("clone"), 5), None);
        assert_eq!(
            ["open", "openat", "creat"].map(|name| position(call(name), "flags")),
            [Some(1), Some(2), None]
        );
    }

    #[test]
    fn paths_are_paired_with_their_folders() {
        let args = |name| path_args(call(name)).collect::<Vec<_>>();
        assert_eq!(args("open"), [PathArg { dirfd: None, path: 0 }]);
        assert_eq!(args("openat2"), [PathArg { dirfd: Some(0), path: 1 }]);
        assert_eq!(
            args("renameat2"),
            [PathArg { dirfd: Some(0), path: 1 }, PathArg { dirfd: Some(2), path: 3 }]
        );
        assert_eq!(args("symlinkat"), [PathArg { dirfd: Some(1), path: 2 }]);
        assert_eq!(args("fanotify_mark"), [PathArg { dirfd: Some(3), path: 4 }]);
        assert_eq!(args("inotify_add_watch"), [PathArg { dirfd: None, path: 1 }]);
        assert_eq!(args("read"), []);
    }

    #[test]
    fn an_address_is_the_callers_own() {
        let with: Vec<_> = Syscall::all().filter(|call| has_address(*call)).map(Syscall::name).collect();
        assert_eq!(with, ["connect", "sendto", "sendmsg", "bind"]);
    }

    #[test]
    fn every_spelling_with_a_folder_starts_its_paths_there() {
        for Signature { call, params } in all() {
            for (place, param) in params.iter().enumerate().filter(|(_, param)| param.kind == Kind::DirFd) {
                let next = params.get(place + 1).map(|next| next.kind);
                let handle = *call == Sysno::open_by_handle_at;
                assert!(next == Some(Kind::Path) || handle, "{call}: no path follows {}", param.name);
            }
        }
    }
}
