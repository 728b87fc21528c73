//! The command line: `assize run`, `list`, `check`, `doctor`, `exec`.
//!
//! It says what to do and shows what came of it; whatever it does is done elsewhere.
#![forbid(unsafe_code)]

mod check;
mod exec;
mod run;
mod select;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::interrupt;
use crate::needs::Host;

/// Bad usage, as for any program.
const USAGE: u8 = 2;
/// As libtest: some test failed.
const FAILED: u8 = 101;
/// As nextest: no test to run.
const NO_TESTS: u8 = 4;

#[derive(Debug, Parser)]
#[command(name = "assize", version, about = "Declarative scenarios for sandboxes", max_term_width = 100)]
struct Line {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run scenarios.
    ///
    /// Exit status: 0 all passed; 101 some failed or could not be loaded; 4 no scenario matches; 2 bad usage. Interrupted,
    /// it ends by the signal itself, after what is known is shown: a shell says 130 for Ctrl-C, 143 for SIGTERM.
    Run(run::RunArgs),
    /// List the names of scenarios.
    List(select::Selection),
    /// Load every scenario, run none, and say everything that is wrong. Exit status 1 if anything is.
    Check {
        /// Folders of scenarios, or single files.
        #[arg(default_value = "scenarios")]
        paths: Vec<PathBuf>,
    },
    /// Say what this host can and cannot do.
    Doctor,
    /// Run a command under a policy, in the current folder.
    ///
    /// Exit status: the command's own; 128 and the signal's number if a signal killed it; 124 when its time was up;
    /// 125 if it could not be run under the policy, 126 if it can't be executed, 127 if it isn't there.
    ///
    /// SIGHUP, SIGINT, SIGQUIT and SIGTERM are passed on to the command.
    Exec(exec::ExecArgs),
}

/// The whole command.
#[must_use]
pub fn main() -> ExitCode {
    // `clap` ends the process itself on bad usage, with status 2.
    match Line::parse().command {
        What::Run(args) => {
            interrupt::watch();
            run::run(&args)
        }
        What::List(selection) => select::list(&selection),
        What::Check { paths } => check::check(&paths),
        What::Doctor => {
            // Whoever closed stdout has seen enough.
            let _ = std::io::stdout().write_all(Host::probe().doctor().as_bytes());
            ExitCode::SUCCESS
        }
        What::Exec(args) => exec::exec(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Line::command().debug_assert();
    }
}
