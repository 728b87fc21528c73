//! `assize record`: a command becomes a scenario.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::interrupt;
use crate::record::{self, Options, RecordError, Recorded, SCENARIOS};
use crate::scenario::quantity::Time;

/// Nothing was recorded.
const FAILED: u8 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// The scenario's name: its file's, too, where `--output` says nothing. Without it: the program's own, or that of the script that an
    /// interpreter is given, with a number if there is such a file already.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Write to FILE, which must not be there yet, or to stdout, as `-`. Without it: NAME.yaml in `scenarios`, if there is such a
    /// folder, or else here.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The promise that the scenario tests.
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// How many runs are compared, at least three. In the second one there are no namespaces, and who writes first is held up; the
    /// last one has another clock, another host name and another order of what lies in folders.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=100))]
    runs: u32,
    /// How long each run may take: `30s`, `5m`.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    timeout: Duration,
    /// A variable of the command's environment: NAME=VALUE, or NAME for your own value of it. Nothing else of yours is passed on.
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// What the command reads on stdin: a file, or your own stdin as `-`. Without it, nothing.
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,
    /// Let the command write to PATH, besides its copy of the current folder.
    #[arg(long, value_name = "PATH")]
    write: Vec<PathBuf>,
    /// Copy PATH, a file or folder of the current folder, anew at each run of the scenario, as the programs of your own that the command
    /// executes or gives to an interpreter are anyway. Other files are in the scenario as they are now.
    #[arg(long, value_name = "PATH")]
    live: Vec<PathBuf>,
    /// Do not say what is being done.
    #[arg(long, short)]
    quiet: bool,
    /// The command.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

fn time(text: &str) -> Result<Duration, String> {
    text.parse::<Time>().map(|time| time.0).map_err(|error| error.to_string())
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("{0} is there already: nothing is overwritten (`--output` names another file)")]
    Exists(PathBuf),
    #[error("{0} is not set, or is not UTF-8")]
    Variable(String),
    #[error(transparent)]
    Record(#[from] RecordError),
}

pub(super) fn record(args: &RecordArgs) -> ExitCode {
    match interrupt::living(|| start(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("assize: {error}");
            if let Failed::Record(RecordError::Run(error)) = &error {
                super::as_script(&args.command, error).iter().for_each(|hint| eprintln!("assize: {hint}"));
            }
            ExitCode::from(FAILED)
        }
    }
}

fn start(args: &RecordArgs) -> Result<(), Failed> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |error| Failed::File { path, error }
    };
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).map_err(file(Path::new(".")))?;
    let output = args.output.clone().unwrap_or_else(|| match &args.name {
        Some(name) => place(&here, name),
        None => free(&here, &called(&args.command, &here)),
    });
    let to_stdout = output == Path::new("-");
    if !to_stdout && output.symlink_metadata().is_ok() {
        return Err(Failed::Exists(output));
    }
    let stem = output.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let beside =
        if to_stdout { None } else { output.parent().filter(|beside| !beside.as_os_str().is_empty()) };
    let saved_in = match beside {
        Some(beside) => beside.canonicalize().map_err(file(beside))?,
        None => here.clone(),
    };
    let options = Options {
        command: args.command.clone(),
        folder: here,
        about: args.about.clone(),
        name: args.name.clone().filter(|name| stem.as_ref() != Some(name)),
        runs: args.runs,
        timeout: args.timeout,
        env: args.env.iter().map(|text| variable(text)).collect::<Result<BTreeMap<_, _>, _>>()?,
        stdin: args.stdin.as_deref().map(|path| read(path).map_err(file(path))).transpose()?,
        write: args.write.clone(),
        live: args.live.clone(),
        saved_in,
    };
    let Recorded { text, notes } = record::record(&options, &|what| {
        if !args.quiet {
            eprintln!("assize: {what}");
        }
    })?;
    for note in notes {
        eprintln!("assize: {note}");
    }
    if to_stdout {
        // Whoever closed stdout has seen enough.
        let _ = io::stdout().write_all(text.as_bytes());
        return Ok(());
    }
    // Somebody may have made it meanwhile.
    let mut made = match OpenOptions::new().write(true).create_new(true).open(&output) {
        Ok(made) => made,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(Failed::Exists(output)),
        Err(error) => return Err(Failed::File { path: output, error }),
    };
    made.write_all(text.as_bytes()).map_err(file(&output))?;
    eprintln!("assize: wrote {}; `assize run {}` runs it", output.display(), output.display());
    Ok(())
}

/// The name of the script that an interpreter is given, or else the program's.
fn called(command: &[OsString], here: &Path) -> String {
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let script = record::script(&words, here).and_then(|script| {
        // A package is called as its folder.
        let path = if script.ends_with("__main__.py") { script.parent()?.to_owned() } else { script };
        Some(path.file_stem()?.to_string_lossy().into_owned())
    });
    let program =
        || words.first().and_then(|word| Some(Path::new(word).file_name()?.to_string_lossy().into_owned()));
    script.or_else(program).unwrap_or_else(|| "recorded".to_owned())
}

fn place(here: &Path, name: &str) -> PathBuf {
    let file = format!("{}.yaml", name.replace('/', "-"));
    if here.join(SCENARIOS).is_dir() { Path::new(SCENARIOS).join(file) } else { file.into() }
}

/// The first place that is free: by the name alone, or with a number.
fn free(here: &Path, name: &str) -> PathBuf {
    let numbered = (2..).map(|nth: u64| place(here, &format!("{name}-{nth}")));
    let mut places = iter::once(place(here, name)).chain(numbered);
    let free = places.find(|place| here.join(place).symlink_metadata().is_err());
    free.unwrap_or_else(|| place(here, name))
}

fn variable(text: &str) -> Result<(String, String), Failed> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(_) => Err(Failed::Variable(text.to_owned())),
        },
    }
}

fn read(path: &Path) -> io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        return io::stdin().read_to_string(&mut text).map(|_| text);
    }
    std::fs::read_to_string(path)
}
