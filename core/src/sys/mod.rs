//! The raw kernel ABI behind safe signatures: the only unsafe code of the project.

pub mod host;
pub(crate) mod memfd;
pub mod seccomp;
