//! A test target with handlers of its own, or with steps outside of the sandbox: what a scenario's `handlers:` names is given to it
//! here, and what its `outside:` asks for is allowed here.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use assize_core::Handler;

use crate::runner::Named;
use crate::scenario::handlers::HandlerName;
use crate::trial;

/// A folder of scenarios as a test target, and the handlers that they may name.
///
/// ```no_run
/// use assize_harness::Target;
/// use assize_harness::core::{HandlerCtx, NotifAction};
///
/// fn main() -> std::process::ExitCode {
///     let somebody = || |_: &HandlerCtx| async { NotifAction::ReturnValue(12345) };
///     Target::new("scenarios").handler("somebody", somebody).main()
/// }
/// ```
///
/// A scenario then says which calls it is asked about:
///
/// ```yaml
/// handlers: { somebody: [geteuid] }
/// run: [id, -u]
/// expect: { stdout: "12345\n" }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Target {
    root: PathBuf,
    named: Named,
    refused: Option<String>,
}

impl Target {
    /// Every scenario beneath `root`, which is relative to the crate's own folder.
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self { root: root.as_ref().to_owned(), named: Named::default(), refused: None }
    }

    /// Handlers of this name are what `make` makes: a new one for each run of a scenario that names it. It is asked after
    /// whatever the scenario injects. A name is a word of letters, digits, `_` and `-`, and not `inject`.
    pub fn handler<H: Handler>(mut self, name: &str, make: impl Fn() -> H + Send + Sync + 'static) -> Self {
        if HandlerName::is_allowed(name) {
            self.named.add(name, make);
        } else {
            self.refused = Some(name.to_owned());
        }
        self
    }

    /// Allows `outside:`, steps of a scenario that run without a sandbox. Without it such a scenario fails, unless
    /// `ASSIZE_ALLOW_OUTSIDE=1` is set.
    pub fn allow_outside(mut self) -> Self {
        self.named = self.named.outside(true);
        self
    }

    /// Runs them as tests; the whole of `main`. Exit status: as of [`main`](crate::main); 2 if a handler has a name that none
    /// can have.
    #[must_use]
    pub fn main(self) -> ExitCode {
        if let Some(name) = self.refused {
            eprintln!(
                "error: no handler can be called `{name}`: a name has letters, digits, `_` and `-`, and isn't `inject`"
            );
            return ExitCode::from(2);
        }
        trial::run(&self.root, Arc::new(self.named))
    }
}
