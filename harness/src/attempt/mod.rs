//! Attempts: system calls that the prober makes, and the verdict that each must meet.
//!
//! It writes the prober's script and reads its results. It never runs it, and it never sees the verdict log: what to
//! look for there, it says.
#![forbid(unsafe_code)]

mod compile;
mod judge;
mod spec;

pub use compile::{AttemptError, Compiled, compile};
pub use judge::{Answered, AttemptFinding, Came, WantedVerdict};
pub use spec::{Attempt, Value, Wanted, WantedError};
