//! Handlers of a test target's own, by name: made anew for each run, so that runs share nothing.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use assize_core::handler::HandlerFuture;
use assize_core::trace::Memory;
use assize_core::{Command, Handler, HandlerCtx, Outcome, Policy, RunError};

use super::{Engine, Handlers, Kernel};

type Make = Arc<dyn Fn() -> Box<dyn Handler> + Send + Sync>;

/// This host's kernel, handlers by name, and whether steps may run outside of the sandbox.
#[derive(Clone, Default)]
pub struct Named {
    makers: BTreeMap<String, Make>,
    outside: bool,
}

impl Named {
    /// Gives a name to the handlers that `make` makes. Replaces one that had the name before.
    pub fn add<H: Handler>(&mut self, name: &str, make: impl Fn() -> H + Send + Sync + 'static) {
        self.makers.insert(name.to_owned(), Arc::new(move || Box::new(make())));
    }

    /// Allows steps outside of the sandbox, or leaves it to the environment whether they are allowed.
    #[must_use]
    pub fn outside(self, outside: bool) -> Self {
        Self { outside, ..self }
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named").field("handlers", &self.handlers()).field("outside", &self.outside).finish()
    }
}

impl Engine for Named {
    fn run(
        &self,
        policy: Policy,
        command: Command,
        handlers: Handlers,
        log: Memory,
    ) -> Result<Outcome, RunError> {
        Kernel.run(policy, command, handlers, log)
    }

    fn handler(&self, name: &str) -> Option<Box<dyn Handler>> {
        self.makers.get(name).map(|make| make())
    }

    fn handlers(&self) -> Vec<String> {
        self.makers.keys().cloned().collect()
    }

    fn allows_outside(&self) -> bool {
        self.outside || Kernel.allows_outside()
    }
}

/// One handler that several calls share, under the name that the scenario calls it by.
#[derive(Clone)]
pub(super) struct Shared {
    name: Arc<str>,
    handler: Arc<dyn Handler>,
}

impl Shared {
    pub(super) fn new(name: &str, handler: Box<dyn Handler>) -> Self {
        Self { name: name.into(), handler: handler.into() }
    }
}

impl Handler for Shared {
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a> {
        self.handler.handle(cx)
    }

    fn name(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Owned(self.name.to_string()))
    }
}
