//! `assize explain`: what a scenario comes to.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::diagnostic::Diagnostic;
use crate::{explain, report, scenario};

/// There is nothing to explain.
const FAILED: u8 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// A file of scenarios, all of which are explained; or one of them, as `FILE::NAME[CELL]`.
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// Print the filter's program, too.
    #[arg(long)]
    bpf: bool,
}

pub(super) fn explain(args: &ExplainArgs) -> ExitCode {
    let written = args.scenario.to_string_lossy();
    let (file, name) = match written.split_once("::") {
        Some((file, name)) => (Path::new(file), Some(name)),
        None => (args.scenario.as_path(), None),
    };
    let failed = |diagnostics: &[Diagnostic]| {
        eprintln!("{}", report::render(diagnostics, report::Colour::Auto.applies(&io::stderr())));
        ExitCode::from(FAILED)
    };
    let all = match scenario::load(file.parent().unwrap_or(file), file) {
        Ok(all) => all,
        Err(diagnostics) => return failed(&diagnostics),
    };
    let chosen = all.iter().filter(|scenario| {
        let full = scenario.test.to_string();
        name.is_none_or(|name| full.split_once("::").is_some_and(|(_, known)| known == name))
    });
    let mut text = Vec::new();
    for scenario in chosen {
        match explain::explain(scenario, args.bpf) {
            Ok(one) => text.push(one),
            Err(error) => return failed(&[Diagnostic::new(format!("{}: {error}", scenario.test), file)]),
        }
    }
    if text.is_empty() {
        let known = all.iter().map(|scenario| scenario.test.to_string()).collect::<Vec<_>>().join("\n  ");
        eprintln!("assize: {} is no scenario; in its file are\n  {known}", args.scenario.display());
        return ExitCode::from(FAILED);
    }
    // Whoever closed stdout has seen enough.
    let _ = io::stdout().write_all(text.join("\n").as_bytes());
    ExitCode::SUCCESS
}
