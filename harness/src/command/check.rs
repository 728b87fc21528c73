//! `assize check`: what is wrong with scenarios, and what they say to no effect, without running any.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::NO_TESTS;
use super::select::unreadable;
use crate::diagnostic::Diagnostic;
use crate::needs::Host;
use crate::report::Colour;
use crate::scenario::Scenario;
use crate::{lint, report, scenario};

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Folders of scenarios, or single files.
    #[arg(default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// Which findings fail the check, besides errors.
    #[arg(long, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Whether they are coloured.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    color: Colour,
}

/// What is no better than an error.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Deny {
    /// Every warning.
    Warnings,
}

/// What is found in files.
#[derive(Default)]
struct Found {
    good: usize,
    errors: usize,
    warnings: usize,
}

pub(super) fn check(args: &CheckArgs) -> ExitCode {
    let colour = args.color.applies(&io::stderr());
    let host = Host::probe();
    let mut found = Found::default();
    let mut looked_at = 0;
    for path in &args.paths {
        let (root, files) = if path.is_file() {
            (path.parent().unwrap_or(path), vec![path.clone()])
        } else {
            match scenario::discover(path) {
                Ok(files) => (path.as_path(), files),
                Err(error) => return unreadable(path, &error),
            }
        };
        looked_at += files.len();
        let (mut loaded, before) = (Vec::new(), found.errors);
        for file in files {
            let diagnostics = found.look(root, &file, &host, &mut loaded);
            show(&diagnostics, colour);
        }
        // What a single file extends is read with it; and of one that can't be loaded it isn't known what it extends.
        if path.is_dir() && found.errors == before {
            match scenario::unused_parts(root, &loaded) {
                Ok(wrong) => {
                    found.errors += wrong.len();
                    show(&wrong, colour);
                }
                Err(error) => return unreadable(path, &error),
            }
        }
    }
    let Found { good, errors, warnings } = found;
    let loaded = counted(good, "scenario");
    eprintln!("{loaded} can be loaded; {}, {}", counted(errors, "error"), counted(warnings, "warning"));
    let denied = warnings > 0 && matches!(args.deny, Some(Deny::Warnings));
    if looked_at == 0 && errors == 0 {
        let paths: Vec<String> = args.paths.iter().map(|path| path.display().to_string()).collect();
        eprintln!("error: no scenario lies beneath {}", paths.join(", "));
        return ExitCode::from(NO_TESTS);
    }
    if errors == 0 && !denied { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Found {
    /// What is found in one file; what can be loaded of it is added.
    fn look(&mut self, root: &Path, file: &Path, host: &Host, loaded: &mut Vec<Scenario>) -> Vec<Diagnostic> {
        match scenario::load(root, file) {
            Ok(scenarios) => {
                self.good += scenarios.len();
                let found = lint::lint(&scenarios, host);
                let warnings = found.iter().filter(|diagnostic| diagnostic.lint.is_some()).count();
                self.warnings += warnings;
                self.errors += found.len() - warnings;
                loaded.extend(scenarios);
                found
            }
            Err(errors) => {
                self.errors += errors.len();
                errors
            }
        }
    }
}

fn show(diagnostics: &[Diagnostic], colour: bool) {
    if !diagnostics.is_empty() {
        eprintln!("{}", report::render(diagnostics, colour));
    }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
