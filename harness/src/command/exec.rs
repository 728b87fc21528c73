//! `assize exec`: any command under a policy.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use assize_core::launch::LaunchError;
use assize_core::outcome::{End, Why};
use assize_core::policy::Observe;
use assize_core::trace::{Exit, JsonLines, Sink};
use assize_core::{Command, Errno, Policy, Remote, RunError, Sandbox, Stdin, ending};

use crate::diagnostic::Diagnostic;
use crate::report::{self, Colour};
use crate::runner;
use crate::scenario::deterministic::Deterministic;
use crate::scenario::policy_file::{self, PolicyFile};

/// As `timeout(1)`: the command's time was up.
const TIMED_OUT: u8 = 124;
/// As `env(1)` and `timeout(1)`: the fault is not the command's.
const NOT_RUN: u8 = 125;
/// As a shell: the program is there and can't be executed.
const NOT_EXECUTABLE: u8 = 126;
/// As a shell: there is no such program.
const NOT_FOUND: u8 = 127;

#[derive(Debug, clap::Args)]
pub(super) struct ExecArgs {
    /// A YAML file with `policy:`, `deterministic:` and `env:`, as in a scenario; `$WORK` is the current folder.
    /// Without one the command may read the system's folders and the current folder, and write nothing.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Write every verdict to FILE, one JSON object per line.
    #[arg(long, value_name = "FILE.jsonl")]
    trace: Option<PathBuf>,
    /// Make everything the same in every run, as `deterministic: true` does, and say at the end, on stderr, which
    /// controls were in force.
    #[arg(long)]
    deterministic: bool,
    /// Say at the end, on stderr, which controls were in force.
    #[arg(long, short)]
    verbose: bool,
    /// The command.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Why a command was not run, or its run can't be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error("the policy can't be used")]
    Policy(Vec<Diagnostic>),
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("signals can't be passed on: {0}")]
    Signals(io::Error),
    /// The command had not begun.
    #[error("ended by signal {0}")]
    Ended(i32),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A command that runs in the current folder, on the caller's own descriptors.
pub(super) struct Job<'a> {
    /// The file that its policy stands in.
    pub(super) policy: Option<&'a Path>,
    /// Whether it may do whatever the user may, but for what no guest may.
    pub(super) open: bool,
    pub(super) deterministic: bool,
    pub(super) verbose: bool,
    /// What is made visible.
    pub(super) observe: Observe,
    /// Where its events go, as a reader knows it.
    pub(super) log: &'a str,
    pub(super) command: &'a [OsString],
}

pub(super) fn exec(args: &ExecArgs) -> ExitCode {
    // A verdict log without verdicts would be of no use: all denials are made visible.
    let logs = args.trace.is_some();
    let job = Job {
        policy: args.policy.as_deref(),
        open: false,
        deterministic: args.deterministic,
        verbose: args.verbose,
        observe: Observe { denials: logs, processes: logs, ..Observe::default() },
        log: &args.trace.as_deref().unwrap_or(Path::new("")).display().to_string(),
        command: &args.command,
    };
    let sink = || match &args.trace {
        Some(path) => create(path).map(|log| Some(JsonLines::new(log))),
        None => Ok(None),
    };
    run(&job, sink)
}

/// Makes a file, empty.
pub(super) fn create(path: &Path) -> Result<File, ExecError> {
    File::create(path).map_err(|error| ExecError::File { path: path.to_owned(), error })
}

/// Runs it, and gives the exit status that is then this process's own. The sink is made once the policy is known to be good.
pub(super) fn run<S: Sink + 'static>(
    job: &Job<'_>,
    sink: impl FnOnce() -> Result<Option<S>, ExecError>,
) -> ExitCode {
    match start(job, sink) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if let ExecError::Policy(diagnostics) = &error {
                eprintln!("{}", report::render(diagnostics, Colour::Auto.applies(&io::stderr())));
            }
            eprintln!("assize: {error}");
            if let ExecError::Run(error) = &error {
                super::as_script(job.command, error).iter().for_each(|hint| eprintln!("assize: {hint}"));
            }
            ExitCode::from(match error {
                ExecError::Run(RunError::Launch(LaunchError::Exec { errno: Errno::ENOENT, .. })) => NOT_FOUND,
                ExecError::Run(RunError::Launch(LaunchError::Exec { .. })) => NOT_EXECUTABLE,
                ExecError::Ended(signal) => killed_by(signal),
                _ => NOT_RUN,
            })
        }
    }
}

fn start<S: Sink + 'static>(
    job: &Job<'_>,
    sink: impl FnOnce() -> Result<Option<S>, ExecError>,
) -> Result<u8, ExecError> {
    let here = std::env::current_dir().map_err(|error| ExecError::File { path: ".".into(), error })?;
    let mut file = match job.policy {
        Some(path) => policy_file::load(path).map_err(ExecError::Policy)?,
        None => PolicyFile::default(),
    };
    if job.deterministic {
        file.deterministic.get_or_insert_with(Deterministic::default);
    }
    let mut policy = file.policy(&here);
    if job.open {
        open(&mut policy);
    } else if job.policy.is_none() {
        read_only(&mut policy, &here);
    }
    policy.observe = job.observe.clone();
    let [program, rest @ ..] = job.command else { return Ok(super::USAGE) };
    let command = Command::new(program).args(rest).cwd(&here).stdin(Stdin::Inherit);
    let (remote, ended_by) = pass_signals_on().map_err(ExecError::Signals)?;
    let mut sandbox = Sandbox::new(policy, command).remote(&remote);
    if let Some(sink) = sink()? {
        sandbox = sandbox.trace(sink);
    }
    let ended = || match ended_by.load(Ordering::SeqCst) {
        0 => None,
        signal => Some(ExecError::Ended(signal)),
    };
    let outcome = sandbox.run_interactive_blocking().map_err(|error| {
        // A command that a signal ended while it was starting says nothing of that.
        if let Some(ended) = ended() {
            return ended;
        }
        match (job.policy, runner::of_policy(&error)) {
            (Some(path), Some(at)) => ExecError::Policy(vec![file.diagnostic(error.to_string(), path, &at)]),
            _ => ExecError::Run(error),
        }
    })?;
    match (outcome.end, &outcome.why) {
        (End::TimedOut(after), Some(Why::Doing(doing))) => {
            eprintln!("assize: killed by the time limit of {after:?}, while {doing}");
        }
        (End::TimedOut(after), _) => eprintln!("assize: killed by the time limit of {after:?}"),
        (End::Cancelled, _) => return Err(ended().unwrap_or(ExecError::Ended(0))),
        _ => {}
    }
    if let lost @ 1.. = outcome.report.events_lost {
        eprintln!("assize: at least {lost} events could not be written to {}", job.log);
    }
    if job.verbose {
        eprint!("assize: controls:\n{}", report::controls(&outcome.report));
    } else if job.deterministic {
        report::footer(&outcome.report).lines().for_each(|line| eprintln!("assize: {line}"));
    } else {
        report::unavailable(&outcome.report).for_each(|what| eprintln!("assize: {what}"));
    }
    Ok(code(outcome.end))
}

/// The default: nothing that the command does stays behind.
fn read_only(policy: &mut Policy, here: &Path) {
    policy.fs.write = vec!["/dev/null".into()];
    policy.fs.read.push(here.to_owned());
}

/// What the user may do: his files, and his environment. What no guest may do stays denied.
fn open(policy: &mut Policy) {
    policy.fs.read = vec!["/".into()];
    policy.fs.write = vec!["/".into()];
    policy.env.extend(std::env::vars_os());
}

/// Passes on to the command what asks this process to end. What comes before the command runs ends the run: then its
/// number is left in the cell.
fn pass_signals_on() -> io::Result<(Remote, Arc<AtomicI32>)> {
    let endings = ending::block();
    let remote = Remote::new()?;
    let ended_by = Arc::new(AtomicI32::new(0));
    std::thread::Builder::new().name("assize-signals".to_owned()).spawn({
        let (remote, ended_by) = (remote.clone(), Arc::clone(&ended_by));
        move || {
            loop {
                let ending = endings.wait();
                // What the terminal sends to all in its foreground the command, which is one of them, has got itself.
                let passed = ending.by_kernel && remote.has_command() || remote.signal(ending.signal);
                if !passed {
                    ended_by.store(ending.signal, Ordering::SeqCst);
                    remote.cancel();
                }
            }
        }
    })?;
    Ok((remote, ended_by))
}

/// As a shell: 128 and the signal's number.
fn killed_by(signal: i32) -> u8 {
    u8::try_from(signal).map_or(u8::MAX, |signal| signal.saturating_add(128))
}

fn code(end: End) -> u8 {
    match end {
        End::Exit(Exit::Code(code)) => code,
        End::Exit(Exit::Signal(signal)) => killed_by(signal),
        End::TimedOut(_) => TIMED_OUT,
        End::Cancelled => NOT_RUN,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_end_becomes_an_exit_status() {
        assert_eq!(code(End::Exit(Exit::Code(7))), 7);
        assert_eq!(code(End::Exit(Exit::Signal(9))), 137);
        assert_eq!(code(End::TimedOut(Duration::from_secs(1))), 124);
        assert_eq!(code(End::Cancelled), 125);
    }
}
