//! What every run of a scenario is refused for, as a run says it.
#![forbid(unsafe_code)]

use crate::diagnostic::Diagnostic;
use crate::needs::Host;
use crate::report;
use crate::runner::refused::{refused, stand_in};
use crate::scenario::Scenario;

/// The errors of the cells of one document: what is the same in several is said once.
pub(super) fn errors(cells: &[&Scenario], host: &Host) -> Vec<Diagnostic> {
    let mut found: Vec<(Diagnostic, Vec<String>)> = Vec::new();
    for cell in cells {
        // Of a host on which it isn't run nothing is said.
        if host.judge_all(&cell.needs).is_some() {
            continue;
        }
        let Some(error) = stand_in(cell).and_then(|work| refused(cell, work.path())) else { continue };
        for diagnostic in report::broken(cell, &error) {
            match found.iter_mut().find(|(known, _)| *known == diagnostic) {
                Some((_, cells)) => cells.push(cell.test.to_string()),
                None => found.push((diagnostic, vec![cell.test.to_string()])),
            }
        }
    }
    let all = cells.len();
    let said = found.into_iter().map(|(diagnostic, named)| match named.as_slice() {
        many if many.len() == all => diagnostic,
        [one] => diagnostic.note(format!("in {one}")),
        [first, rest @ ..] => diagnostic.note(format!("in {first} and {} more", rest.len())),
        [] => diagnostic,
    });
    said.collect()
}
