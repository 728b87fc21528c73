//! `assize bless`.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::USAGE;
use super::select::{Consent, Selected, Selection, host, select};
use crate::bless::{self, Also, Way};
use crate::report::{self, Colour};
use crate::runner::scratch;
use crate::suite::State;

/// Something was refused, or `--check` would change something.
const REFUSED: u8 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct BlessArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    consent: Consent,
    /// Write nothing, and only show what would change. So it is also where the variable CI is set.
    #[arg(long)]
    check: bool,
    /// Take also what is otherwise refused.
    #[arg(long, value_name = "WHAT", value_enum)]
    also: Vec<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// That the command was killed by a signal.
    Signal,
    /// That a call was let through which was to be denied, to fail, or to be emulated.
    Allowed,
}

pub(super) fn bless(args: &BlessArgs) -> ExitCode {
    let host = match host() {
        Ok(host) => host,
        Err(code) => return code,
    };
    let selected = match select(&args.selection, &host) {
        Ok((selected, _)) => selected,
        Err(code) => return code,
    };
    let engine = match args.consent.engine() {
        Ok(engine) => engine,
        Err(code) => return code,
    };
    // By file: its cases share a text.
    let mut files: BTreeMap<PathBuf, (PathBuf, BTreeSet<String>)> = BTreeMap::new();
    for Selected { path, case } in selected {
        if let State::Ready(scenario) = &case.state
            && scenario.sweep.as_ref().is_some_and(|sweep| sweep.only.is_some())
        {
            let mut whole = scenario.test.clone();
            // The sweep's own comes last.
            whole.cell.pop();
            eprintln!(
                "error: {}: a cell of a sweep has no values of its own; those of `{}` are for all its cells",
                case.name, whole
            );
            return ExitCode::from(USAGE);
        }
        let root = if path.is_file() { path.parent().unwrap_or(&path).to_owned() } else { path };
        let file = root.join(case.name.split("::").next().unwrap_or_default());
        files.entry(file).or_insert_with(|| (root, BTreeSet::new())).1.insert(case.name);
    }
    let _kept = scratch::keep();
    let only_told = bless::only_told();
    if only_told && !args.check {
        eprintln!("nothing is written where CI is set");
    }
    let also =
        Also { signals: args.also.contains(&What::Signal), allowed: args.also.contains(&What::Allowed) };
    let write = !args.check && !only_told;
    let way = Way { engine: &engine, host: &host, also, write };
    let colour = Colour::Auto.applies(&io::stderr());
    let (mut changed, mut fine, mut refused) = (0, 0, 0);
    for (path, (root, names)) in &files {
        // A file that can't be loaded has but one name, which no scenario has: it is told, and not blessed.
        match bless::file(root, path, &|name| names.contains(name), way) {
            Ok(blessed) => {
                for (name, why) in &blessed.ignored {
                    eprintln!("{name} is ignored: {why}");
                }
                let _ = write!(io::stdout(), "{}", bless::difference(path, &blessed));
                eprint!("{}", report::render(&blessed.refused, colour));
                changed += usize::from(blessed.after != blessed.before);
                fine += blessed.fine;
                refused += blessed.refused.len();
            }
            Err(error) => {
                eprintln!("error: {}: {error}", path.display());
                refused += 1;
            }
        }
    }
    let files = |count: usize| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    match (changed, write) {
        (0, _) => {}
        (count, true) => eprintln!("blessed: {}", files(count)),
        (count, false) => eprintln!("would change: {}", files(count)),
    }
    if changed == 0 && refused == 0 && !args.check {
        let fine = if fine == 1 { "1 scenario is".to_owned() } else { format!("{fine} scenarios are") };
        eprintln!("error: there is nothing to bless: {fine} as expected");
        return ExitCode::from(REFUSED);
    }
    if refused > 0 || changed > 0 && !write { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS }
}
