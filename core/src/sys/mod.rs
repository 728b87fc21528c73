//! The raw kernel ABI behind safe signatures: the only unsafe code of the project.

pub(crate) mod file;
pub(crate) mod memfd;
pub(crate) mod pidfd;
pub mod seccomp;
