//! The sandbox of Assize.
//!
//! A [`Policy`] says what a guest may do. It is compiled into a [`Plan`]: one seccomp program, one dispatch table,
//! one Landlock ruleset, all derived from the rules of the [capabilities](capability). A [`Sandbox`] launches a
//! command under the plan and streams [`Event`]s: what was asked, what was answered, by which rule, and on what
//! grounds that answer is sound.
//!
//! This crate knows no YAML, no test framework and no terminal. The invariants that it keeps stand in
//! `core/ARCHITECTURE.md`, its promises to a guest in the generated `core/CAPABILITIES.md`.
#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!(
    "Assize runs on x86-64 Linux: its filter, its init and its prober are written for that machine"
);

pub mod capability;
pub mod command;
mod executable;
pub mod filter;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod guest;
pub mod handler;
mod landlock;
pub mod launch;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod prober;
pub mod remote;
pub mod sandbox;
pub mod supervisor;
#[allow(unsafe_code)]
mod sys;
pub mod syscall;
pub mod trace;

pub use command::{Command, Stdin};
pub use handler::{Handler, HandlerCtx, HandlerError, NotifAction};
pub use outcome::{Outcome, Peak};
pub use plan::Plan;
pub use policy::Policy;
pub use remote::Remote;
pub use sandbox::{RunError, Sandbox};
#[cfg(feature = "floor")]
#[doc(hidden)]
pub use sys::floor;

pub use sys::{ending, host};
pub use syscall::{Errno, Syscall, SyscallError};
pub use trace::{Event, Verdict};
