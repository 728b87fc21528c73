//! `assize check`: what is wrong with scenarios, without running any.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use super::select::{judge, unreadable};
use crate::report::{self, Colour};
use crate::suite::{self, State};

pub(super) fn check(paths: &[PathBuf], color: Colour) -> ExitCode {
    let judge = match judge() {
        Ok(judge) => judge,
        Err(code) => return code,
    };
    let colour = color.applies(&io::stderr());
    let (mut good, mut wrong) = (0_usize, 0_usize);
    for path in paths {
        let cases = match suite::all(path, &judge) {
            Ok(cases) => cases,
            Err(error) => return unreadable(path, &error),
        };
        for case in cases {
            if let State::Broken(diagnostics) = &case.state {
                wrong += diagnostics.len();
                eprintln!("{}", report::render(diagnostics, colour));
            } else {
                good += 1;
            }
        }
    }
    let errors = if wrong == 1 { "1 error".to_owned() } else { format!("{wrong} errors") };
    let scenarios = if good == 1 { "1 scenario".to_owned() } else { format!("{good} scenarios") };
    eprintln!("{scenarios} can be loaded; {errors}");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
