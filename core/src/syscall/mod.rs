//! The vocabulary of system calls: which there are, what they are called, what their arguments mean.
//!
//! This is the only place in the project where syscall numbers are known. Everything else names a [`Syscall`] or a
//! [`Family`] of spellings. Nothing here decides anything.
#![forbid(unsafe_code)]

pub mod address;
pub mod decode;
pub mod encode;
mod errno;
pub mod family;
pub mod flags;
pub mod signature;

use std::fmt;

pub use errno::Errno;
pub use family::Family;
use serde::{Deserialize, Serialize};
pub use syscalls::Sysno;

/// A system call of this architecture: a number that the kernel's table had when this crate was built.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Syscall(Sysno);

/// Why a number or a name is not a system call here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyscallError {
    /// Numbers start at 0.
    #[error("syscall number {0} is negative")]
    Negative(i64),
    /// The number is not in the table of this architecture.
    #[error("syscall number {0} is unknown for x86_64")]
    UnknownForArch(i64),
    /// The name is not in the table of this architecture.
    #[error("{0:?} is not a syscall of x86_64")]
    UnknownName(String),
}

impl Syscall {
    /// The syscall with this number.
    ///
    /// # Errors
    /// [`SyscallError::Negative`] below 0, [`SyscallError::UnknownForArch`] for a number that is not in the table.
    pub fn checked(number: i64) -> Result<Self, SyscallError> {
        let positive = usize::try_from(number).map_err(|_| SyscallError::Negative(number))?;
        Sysno::new(positive).map(Self).ok_or(SyscallError::UnknownForArch(number))
    }

    /// The syscall with this name, as in `man 2`: `openat`, `getdents64`, `newfstatat`.
    ///
    /// # Errors
    /// [`SyscallError::UnknownName`].
    pub fn named(name: &str) -> Result<Self, SyscallError> {
        name.parse::<Sysno>().map(Self).map_err(|_| SyscallError::UnknownName(name.to_owned()))
    }

    /// A syscall that is known at compile time.
    #[must_use]
    pub const fn of(sysno: Sysno) -> Self {
        Self(sysno)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0.id().unsigned_abs()
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Whether it is the spelling that doesn't follow a symbolic link at its path's end, of a call that does: `lchown`,
    /// not `listxattr`.
    #[must_use]
    pub fn is_of_links(self) -> bool {
        self.name().strip_prefix('l').is_some_and(|followed| Self::named(followed).is_ok())
    }

    /// As the table's own enum, to match on.
    #[must_use]
    pub const fn sysno(self) -> Sysno {
        self.0
    }

    /// Whether the kernel asks a filter about it. About the two that its own probes make from a trampoline it does not
    /// (`seccomp_uprobe_exception` in `kernel/seccomp.c`); whoever makes them from elsewhere gains nothing: he gets
    /// `SIGILL` or `ENXIO`.
    #[must_use]
    pub fn is_filtered(self) -> bool {
        !matches!(self.0, Sysno::uretprobe | Sysno::uprobe)
    }

    /// All syscalls of this architecture, by number.
    pub fn all() -> impl Iterator<Item = Self> {
        // Not `Sysno::iter`, which leaves out the last one.
        (0..Sysno::table_size()).filter_map(Sysno::new).map(Self)
    }
}

impl TryFrom<i64> for Syscall {
    type Error = SyscallError;

    fn try_from(number: i64) -> Result<Self, SyscallError> {
        Self::checked(number)
    }
}

impl fmt::Debug for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Syscall {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Syscall {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::named(&name).map_err(serde::de::Error::custom)
    }
}
