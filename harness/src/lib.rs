//! Declarative scenarios for sandboxes, run as ordinary tests.
//!
//! A scenario is a YAML file: a policy, a command, and what must be seen of it. [`main`] makes a folder of them a test
//! target of Cargo, in one line; the command `assize` runs them without Cargo.
//!
//! Each part knows only what it needs: [`scenario`] is data and runs nothing, [`matcher`] judges and reads no file,
//! [`trial`] alone knows libtest.
#![forbid(unsafe_code)]

pub mod attempt;
pub mod bazel;
pub mod bless;
mod board;
pub mod command;
pub mod diagnostic;
pub mod doctor;
pub mod explain;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod interrupt;
mod lexical;
pub mod lint;
pub mod matcher;
pub mod needs;
mod new_folder;
mod pool;
pub mod portion;
mod progress;
pub mod record;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod schema;
pub mod shard;
pub mod suite;
mod target;
pub mod trace;
pub mod trial;
mod yes_no;

/// The sandbox's library: what handlers are written against.
pub use assize_core as core;
pub use target::Target;
pub use trial::main;
