//! Declarative scenarios for sandboxes, run as ordinary tests.
#![forbid(unsafe_code)]

pub mod attempt;
pub mod diagnostic;
pub mod matcher;
pub mod needs;
pub mod scenario;
