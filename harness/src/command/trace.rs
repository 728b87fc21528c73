//! `assize trace`: each call of a command, with the verdict on it, as it happens.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use assize_core::Syscall;
use assize_core::policy::Observe;

use super::exec::{self, Job};
use crate::trace::{Filter, Filters, Lines, Summary};

#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// A YAML file with `policy:`, `deterministic:` and `env:`, as in a scenario; `$WORK` is the current folder.
    /// Without one the command may read the system's folders and the current folder, and write nothing.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Let the command read and write whatever you may, with your own environment. What no guest may do stays denied.
    #[arg(long, conflicts_with = "policy")]
    open: bool,
    /// Make everything the same in every run, as `deterministic: true` does.
    #[arg(long)]
    deterministic: bool,
    /// Show only these: a call (`openat`, `family(open)`), a glob over paths (one with `/` or `*`: `/etc/*`), or a verdict
    /// (`allow`, `deny`, `emulate`, ...). May be given several times: any of the calls, any of the paths and any of the
    /// verdicts. Where a word could be two of these: `call=kill`, `path=x`, `verdict=kill`.
    #[arg(long, short, value_name = "WHAT")]
    filter: Vec<Filter>,
    /// Show no calls but, at the end, how often each was made and failed, and how long it waited for its answer.
    #[arg(long, short = 'c')]
    summary: bool,
    /// Write to FILE, not to stderr.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say at the end, on stderr, which controls were in force.
    #[arg(long, short)]
    verbose: bool,
    /// The command.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn trace(args: &TraceArgs) -> ExitCode {
    let filters = Filters::new(&args.filter);
    let job = Job {
        policy: args.policy.as_deref(),
        open: args.open,
        deterministic: args.deterministic,
        verbose: args.verbose,
        observe: observe(&filters),
        log: &args.output.as_ref().map_or("stderr".to_owned(), |path| path.display().to_string()),
        command: &args.command,
    };
    let work = std::env::current_dir().unwrap_or_default();
    exec::run(&job, || {
        let out: Box<dyn Write + Send> = match &args.output {
            // A reader may look at any time: each line is there when its call is answered.
            Some(path) => Box::new(io::LineWriter::new(exec::create(path)?)),
            None => Box::new(io::LineWriter::new(io::stderr())),
        };
        let lines = Lines::new(out, filters, work);
        Ok(Some(if args.summary { lines.only(Summary::default()) } else { lines }))
    })
}

/// Whatever can be shown, as far as the filters let it pass.
fn observe(filters: &Filters) -> Observe {
    let calls = filters.calls();
    Observe {
        denials: calls.is_none(),
        calls: calls.unwrap_or_else(|| Syscall::all().filter(|call| call.is_filtered()).collect()),
        in_passing: false,
        processes: true,
        readings: false,
        peak: false,
    }
}
