//! Shared parts by themselves: what is wrong with those that no scenario extends, and nobody would see otherwise.
//!
//! A part need not be whole. One that takes in an axis can't be typed without it, and is only read.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::Scenario;
use super::document::part;
use super::extends::{extend, project};
use super::files::FileSpec;
use super::load::{self, read};
use crate::diagnostic::Diagnostic;

/// What is wrong with the shared parts beneath `root` that none of these scenarios names.
///
/// # Errors
/// What reading a folder gives.
pub fn unused_parts(root: &Path, scenarios: &[Scenario]) -> io::Result<Vec<Diagnostic>> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut extended = BTreeSet::new();
    let mut copied = BTreeSet::new();
    for scenario in scenarios {
        extended.extend(scenario.source.files.iter().skip(1).map(|file| real(&file.path)));
        copied.extend(scenario.files.values().filter_map(|file| match file {
            FileSpec::From(copied) => Some(copied.path.clone()),
            _ => None,
        }));
    }
    let mut found = Vec::new();
    for file in load::parts(root)? {
        let path = real(&file);
        // What is copied is whatever it is.
        if !extended.contains(&path) && !copied.iter().any(|copied| path.starts_with(copied)) {
            found.extend(wrong(root, &file));
        }
    }
    Ok(found)
}

fn wrong(root: &Path, file: &Path) -> Vec<Diagnostic> {
    let mut source = match read(file, 0) {
        Ok(source) => source,
        Err(unreadable) => return vec![unreadable.fault.diagnostic(file, &unreadable.text)],
    };
    if let Some(own) = source.files.first_mut() {
        file.clone_into(&mut own.path);
    }
    let faults = match extend(&mut source, &project(root)) {
        Ok(()) => source.documents.iter().flat_map(|document| part(document)).collect(),
        Err(faults) => faults,
    };
    faults.into_iter().map(|fault| fault.placed(&source.files)).collect()
}
