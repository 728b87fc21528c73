//! The promises of the library, each shown on a real guest under the real supervisor.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod actions;
mod defer;
mod denials;
mod ends;
mod extent;
mod forms;
mod handlers;
mod launch;
mod lifetime;
mod memory;
mod own_proc;
mod peak;
mod required;
mod signals;
mod sockets;
mod stress;
mod support;
mod tracing;
