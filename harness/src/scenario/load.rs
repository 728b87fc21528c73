//! From a folder of files to scenarios.
//!
//! Whatever lies in a file, loading ends soon and says what is wrong at its place: it never panics, hangs or passes
//! over anything.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Scenario;
use super::document::{MAX_FAULTS, Origin, scenarios};
use super::extends::{extend, project};
use super::fault::{Fault, shown};
use super::place::{SourceMap, Span, YamlPath};
use super::tree::{self, MAX_BYTES};
use crate::diagnostic::Diagnostic;

/// The deepest folder that is searched.
const MAX_FOLDERS: usize = 32;

/// The scenario files beneath `root`, sorted: `*.yaml` and `*.yml`, in capitals too, but none that is hidden or begins with `_`, nor
/// beneath such a folder. A link to a file counts as one; a link to a folder is not followed.
///
/// # Errors
/// What reading a folder gives.
pub fn discover(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    visit(root, MAX_FOLDERS, Wanted::Scenarios, &mut files)?;
    files.sort();
    Ok(files)
}

/// The shared parts beneath `root`, sorted: what [`discover`] leaves out, unless it is hidden.
pub(super) fn parts(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    visit(root, MAX_FOLDERS, Wanted::Parts, &mut files)?;
    files.sort();
    Ok(files)
}

/// Which files of a folder are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Scenarios,
    /// What is shared, and no more.
    Parts,
    /// All that there is: the folder, or the file, is shared.
    All,
}

fn visit(folder: &Path, depth: usize, wanted: Wanted, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let wanted = match (name.as_encoded_bytes().first(), wanted) {
            (Some(b'.') | None, _) | (Some(b'_'), Wanted::Scenarios) => continue,
            (Some(b'_'), _) => Wanted::All,
            _ => wanted,
        };
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if depth > 0 {
                visit(&path, depth - 1, wanted, files)?;
            }
        } else if wanted != Wanted::Parts && is_scenario_file(&path) {
            // Anything of this name: one that can't be read is a failing test, not a silence.
            files.push(path);
        }
    }
    Ok(())
}

fn is_scenario_file(path: &Path) -> bool {
    let yaml = |extension: &OsStr| ["yaml", "yml"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    path.extension().is_some_and(yaml)
}

/// Every scenario of a file, one per cell of its matrix.
///
/// # Errors
/// Everything that is wrong with it, each at its place.
pub fn load(root: &Path, file: &Path) -> Result<Vec<Scenario>, Vec<Diagnostic>> {
    of(read(file, 0), root, file)
}

/// As [`load`], from what would be read.
pub(crate) fn load_bytes(root: &Path, file: &Path, bytes: Vec<u8>) -> Result<Vec<Scenario>, Vec<Diagnostic>> {
    of(source(bytes, 0), root, file)
}

fn of(
    source: Result<SourceMap, Unreadable>,
    root: &Path,
    file: &Path,
) -> Result<Vec<Scenario>, Vec<Diagnostic>> {
    let mut source = match source {
        Ok(source) => source,
        Err(Unreadable { fault, text }) => return Err(vec![fault.diagnostic(file, &text)]),
    };
    let name = test_file(root, file);
    let project = project(root);
    if let Some(own) = source.files.first_mut() {
        file.clone_into(&mut own.path);
    }
    if let Err(mut faults) = extend(&mut source, &project) {
        faults.truncate(MAX_FAULTS);
        return Err(faults.into_iter().map(|fault| fault.placed(&source.files)).collect());
    }
    let mut found = Vec::new();
    let mut faults = Vec::new();
    if source.documents.is_empty() {
        faults.push(Fault::new("the file is empty: it holds no scenario"));
    }
    let mut weight = 0;
    for document in 0..source.documents.len() {
        if faults.len() >= MAX_FAULTS {
            break;
        }
        match scenarios(
            &Origin { path: file, name: &name, source: &source, document, project: &project },
            &mut weight,
        ) {
            Ok(scenarios) => found.extend(scenarios),
            Err(more) => faults.extend(more),
        }
    }
    let mut names: BTreeMap<String, &Scenario> = BTreeMap::new();
    let at = YamlPath::from(["name"]);
    for scenario in &found {
        let first = *names.entry(scenario.test.to_string()).or_insert(scenario);
        if first.document != scenario.document {
            let fault = Fault::new(format!("two scenarios are called {}", shown(&scenario.test.name)));
            let fault = match first.span(&at) {
                Some(span) => fault.other(span, "the first is here"),
                None => fault,
            };
            faults.push(Fault { span: scenario.span(&at), ..fault });
        }
    }
    if faults.is_empty() {
        return Ok(found);
    }
    faults.truncate(MAX_FAULTS);
    Err(faults.into_iter().map(|fault| fault.placed(&source.files)).collect())
}

/// The one scenario, or cell of a sweep, of this name. Opens only the file that the name says. `None`: there is none of this name.
///
/// # Errors
/// Everything that is wrong with the file. For a name that is only the file's, too.
pub fn load_named(root: &Path, test_name: &str) -> Result<Option<Scenario>, Vec<Diagnostic>> {
    let file = Path::new(test_name.split_once("::").map_or(test_name, |(file, _)| file));
    let plain = file.components().all(|part| matches!(part, Component::Normal(_)));
    let path = root.join(file);
    if !plain || !is_scenario_file(&path) || path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let scenarios = load(root, &path)?;
    let found = |scenario: Scenario| {
        if scenario.test.to_string() == test_name { Some(scenario) } else { swept(scenario, test_name) }
    };
    Ok(scenarios.into_iter().find_map(found))
}

/// The scenario, narrowed to the one cell of its sweep that is called so.
fn swept(mut scenario: Scenario, test_name: &str) -> Option<Scenario> {
    let sweep = scenario.sweep.as_mut()?;
    let only = sweep.named(&scenario.test, test_name)?;
    let cell = only.cell(sweep.calls.get(only.call)?);
    sweep.only = Some(only);
    scenario.test = scenario.test.with_cell(cell);
    Some(scenario)
}

/// A file as test names say it: relative to the folder of scenarios, with `/` between its parts.
#[must_use]
pub fn test_file(root: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(root).unwrap_or(file);
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

pub(super) struct Unreadable {
    pub(super) fault: Fault,
    pub(super) text: Arc<str>,
}

impl Unreadable {
    fn new(title: impl Into<String>) -> Self {
        Self { fault: Fault::new(title), text: Arc::from("") }
    }
}

/// Reads a file; its places are those of the so-manieth.
pub(super) fn read(file: &Path, number: usize) -> Result<SourceMap, Unreadable> {
    let failed = |error: io::Error| Unreadable::new(format!("the file can't be read: {error}"));
    // Opening a FIFO would wait for a writer.
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(Unreadable::new("this is not a regular file"));
    }
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    source(bytes, number)
}

pub(super) fn source(bytes: Vec<u8>, number: usize) -> Result<SourceMap, Unreadable> {
    if bytes.len() > MAX_BYTES {
        return Err(Unreadable::new(format!("the file is larger than {} KiB", MAX_BYTES >> 10)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            // A byte order mark is no part of the content, and would move every place by a character.
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            tree::parse_file(text, number).map_err(|fault| Unreadable { fault, text: Arc::from(text) })
        }
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..good).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count() + 1;
            let mut unreadable = Unreadable::new("the file is not UTF-8");
            unreadable.fault.span = Some(Span { start: good, end: good, line, column, file: number });
            Err(unreadable)
        }
    }
}
