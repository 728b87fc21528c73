//! The command line of `assize`.
//!
//! It says what to do and shows what came of it; whatever it does is done elsewhere.
#![forbid(unsafe_code)]

mod bless;
mod check;
mod completions;
mod crew;
mod doctor;
mod exec;
mod explain;
mod record;
mod reports;
mod run;
mod schema;
mod select;
mod trace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use assize_core::launch::LaunchError;
use assize_core::{Errno, RunError};
use clap::{CommandFactory, Parser, Subcommand};

use crate::interrupt;

/// Bad usage, as for any program.
const USAGE: u8 = 2;
/// As libtest: some test failed.
const FAILED: u8 = 101;
/// As nextest: no test to run.
const NO_TESTS: u8 = 4;
/// All passed, but a report could not be written.
const UNWRITTEN: u8 = 1;

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
    /// Exit status: 0 all passed; 101 some failed or could not be loaded; 1 all passed, but a report could not be written; 4
    /// no scenario matches; 2 bad usage, or a report that could not be written from the outset. Interrupted, it ends by the
    /// signal itself, after what is known is shown and reported: a shell says 130 for Ctrl-C, 143 for SIGTERM.
    Run(run::RunArgs),
    /// List the names of scenarios.
    List(select::Selection),
    /// Load every scenario, run none, and say what is wrong, and what is said to no effect.
    ///
    /// Of each document all keys and items that are wrong by themselves are shown; or else the first thing that is wrong with it as a
    /// whole, such as its YAML, its axes, or two keys that don't go together. What is wrong is an error; what has no effect, or can't be meant, a warning with the lint's name. Of a folder
    /// whose scenarios can all be loaded, shared parts that none of them extends are looked at as well. Exit status: 0; 1 if there is an error, or a warning with `--deny
    /// warnings`; 4 if there is no scenario; 2 bad usage.
    Check(check::CheckArgs),
    /// Say what this host can and cannot do.
    ///
    /// Its facts, as `needs` names them; settings of its kernel; each control, as a run that asks for all of them shows it; and which
    /// scenarios are ignored or must fail here.
    Doctor(doctor::DoctorArgs),
    /// Run a command under a policy, in the current folder.
    ///
    /// Exit status: the command's own; 128 and the signal's number if a signal killed it; 124 when its time was up;
    /// 125 if it could not be run under the policy, 126 if it can't be executed, 127 if it isn't there.
    ///
    /// SIGHUP, SIGINT, SIGQUIT and SIGTERM are passed on to the command.
    Exec(exec::ExecArgs),
    /// Run a command in the current folder, and show each of its system calls with the verdict on it.
    ///
    /// One line for each call, in strace's notation, and who answered: `openat(AT_FDCWD, "a", O_RDONLY) = 3   by kernel`. What is
    /// not known is `?`: of calls that the kernel runs by itself, the result. Exit status and signals: as `exec`.
    Trace(trace::TraceArgs),
    /// Run a command several times, and write a scenario of it, with the least policy that it needs.
    ///
    /// It runs in a copy of the current folder, may read whatever you may, and write to that copy alone. What the scenario can't hold
    /// is said at its head. Exit status: 0 if it was written; 1 if not.
    Record(record::RecordArgs),
    /// Bring the expectations of scenarios to what is seen now: their values change in place, and nothing else of the file.
    ///
    /// Each is run twice first; what is not the same in both runs is refused, and so is whatever is a promise and no value. The
    /// difference is shown. Exit status: 0 if all that differed was written; 1 if something was refused, `--check` would change
    /// something, or there is nothing to bless; 4 no scenario matches; 2 bad usage.
    Bless(bless::BlessArgs),
    /// Say what a scenario comes to, without running it.
    ///
    /// Its Landlock rules, what becomes of each call and who is asked about it, what each expectation makes visible and what that costs,
    /// its controls. Exit status: 0; 1 if the scenario can't be loaded or planned.
    Explain(explain::ExplainArgs),
    /// Print the JSON schema of scenarios, for editors that complete and check them.
    ///
    /// With yaml-language-server: `# yaml-language-server: $schema=PATH` as the first line of a file.
    Schema {
        /// Of what.
        #[arg(value_enum, default_value_t)]
        kind: crate::schema::Kind,
    },
    /// Print what a shell needs to complete this command.
    Completions {
        /// For which.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man {
        /// Write the pages of all commands into this folder instead.
        folder: Option<PathBuf>,
    },
}

/// What to say besides of a command that is not there, where its first word looks like a script: how to run that.
fn as_script(command: &[OsString], error: &RunError) -> Option<String> {
    let missing = matches!(error, RunError::Launch(LaunchError::Exec { errno: Errno::ENOENT, .. }));
    let script = command.first()?.to_str().filter(|word| missing && word.contains(char::is_whitespace))?;
    Some(format!("for a script: sh -c '{}'", script.replace('\'', r"'\''")))
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
        What::Check(args) => check::check(&args),
        What::Doctor(args) => doctor::doctor(&args),
        What::Exec(args) => exec::exec(&args),
        What::Trace(args) => trace::trace(&args),
        What::Record(args) => {
            interrupt::watch();
            record::record(&args)
        }
        What::Bless(args) => {
            interrupt::watch();
            bless::bless(&args)
        }
        What::Explain(args) => explain::explain(&args),
        What::Schema { kind } => schema::schema(kind),
        What::Completions { shell } => completions::completions(Line::command(), shell),
        What::Man { folder } => completions::man(Line::command(), folder.as_deref()),
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
