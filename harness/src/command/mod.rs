//! The command line: `assize run`, `list`, `check`, `doctor`, `exec`.
//!
//! It says what to do and shows what came of it; whatever it does is done elsewhere.
#![forbid(unsafe_code)]

mod exec;
mod reports;
mod run;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::interrupt;
use crate::needs::{Host, Required};
use crate::report::Colour;
use crate::suite::Judge;

/// Bad usage, as for any program.
const USAGE: u8 = 2;

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
    /// Exit status: 0 all passed; 101 some failed or could not be loaded; 4 no scenario matches; 2 bad usage, or a
    /// report that could not be written from the outset; 1 all passed, but a report could not be written.
    Run(run::RunArgs),
    /// List the names of scenarios.
    List(Selection),
    /// Load every scenario, run none, and say everything that is wrong. Exit status 1 if anything is.
    Check {
        /// Folders of scenarios, or single files.
        #[arg(default_value = "scenarios")]
        paths: Vec<PathBuf>,
        /// Whether errors are coloured.
        #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
        color: Colour,
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

/// Which scenarios.
#[derive(Debug, Args)]
struct Selection {
    /// Folders of scenarios, or single files.
    #[arg(default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// Only those whose name contains TEXT (may be given several times: any of them).
    #[arg(long, short, value_name = "TEXT")]
    filter: Vec<String>,
    /// Not those whose name contains TEXT.
    #[arg(long, value_name = "TEXT")]
    skip: Vec<String>,
    /// Only the one of this name. Opens no other file.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["filter", "skip"])]
    exact: Vec<String>,
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
        What::List(selection) => run::list(&selection),
        What::Check { paths, color } => run::check(&paths, color),
        What::Doctor => {
            // Whoever closed stdout has seen enough.
            let _ = std::io::stdout().write_all(Host::probe().doctor().as_bytes());
            ExitCode::SUCCESS
        }
        What::Exec(args) => exec::exec(args),
    }
}

/// The host, and what it claims; says on stderr what is wrong with the claim.
fn judge() -> Result<Judge, ExitCode> {
    match Required::from_env() {
        Ok(required) => Ok(Judge { host: Host::probe(), required }),
        Err(error) => {
            eprintln!("error: ASSIZE_REQUIRE: {error}");
            Err(ExitCode::from(USAGE))
        }
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
