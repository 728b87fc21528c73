//! The raw kernel ABI behind safe signatures: the only unsafe code of the project.
//!
//! Nothing here decides anything: each function is one thing that the kernel does.

pub(crate) mod alarm;
mod child;
pub(crate) mod clone;
pub mod ending;
pub(crate) mod file;
#[cfg(feature = "floor")]
pub mod floor;
pub(crate) mod group;
pub mod host;
pub(crate) mod image;
pub(crate) mod kcmp;
pub(crate) mod memfd;
pub(crate) mod memory;
pub(crate) mod own_proc;
pub(crate) mod pid_namespace;
pub(crate) mod pidfd;
pub(crate) mod probe;
pub(crate) mod ptrace;
pub(crate) mod reader;
pub(crate) mod schedule;
pub(crate) mod seccomp;
pub(crate) mod thread;
pub(crate) mod vdso;
