//! `assize doctor`: what this host can and cannot do.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::doctor;
use crate::needs::Host;

/// The scenarios can't be read.
const FAILED: u8 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Say which scenarios of this folder, or file, can't be run here; `scenarios` if nothing is said, and it is there.
    path: Option<PathBuf>,
    /// One JSON object, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) fn doctor(args: &DoctorArgs) -> ExitCode {
    let path = match &args.path {
        Some(path) => Some(path.as_path()),
        None => doctor::usual(),
    };
    let diagnosis = match doctor::diagnose(&Host::probe(), path) {
        Ok(diagnosis) => diagnosis,
        Err(error) => {
            eprintln!("assize: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let text = match args.json {
        // Data of plain texts always has a form.
        true => serde_json::to_string_pretty(&diagnosis).map(|text| text + "\n").unwrap_or_default(),
        false => diagnosis.to_string(),
    };
    // Whoever closed stdout has seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
