//! What runs a command under a policy: the sandbox, or a stand-in for it in tests.
#![forbid(unsafe_code)]

use assize_core::trace::Memory;
use assize_core::{Command, Handler, Outcome, Policy, RunError, Sandbox};

use super::outside;
use crate::interrupt;

/// Handlers of a run, each with the number of the call that it answers.
pub type Handlers = Vec<(i64, Box<dyn Handler>)>;

/// Runs a command under a policy, with these handlers, sending every event to the log.
pub trait Engine: Send + Sync {
    /// Runs it, and waits.
    ///
    /// # Errors
    /// [`RunError`].
    fn run(
        &self,
        policy: Policy,
        command: Command,
        handlers: Handlers,
        log: Memory,
    ) -> Result<Outcome, RunError>;

    /// A new handler of this name, if there is one.
    fn handler(&self, _name: &str) -> Option<Box<dyn Handler>> {
        None
    }

    /// The names of all handlers.
    fn handlers(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether steps of a scenario may run outside of the sandbox.
    fn allows_outside(&self) -> bool {
        false
    }
}

/// The sandbox of this host's kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kernel;

impl Engine for Kernel {
    fn run(
        &self,
        policy: Policy,
        command: Command,
        handlers: Handlers,
        log: Memory,
    ) -> Result<Outcome, RunError> {
        let mut sandbox = Sandbox::new(policy, command).trace(log);
        if let Some(remote) = interrupt::remote() {
            sandbox = sandbox.remote(remote);
        }
        sandbox.run_blocking_with_handlers(handlers)
    }

    fn allows_outside(&self) -> bool {
        outside::allowed_by_environment()
    }
}
