//! What a run has done to its work folder, against what it was to do.
#![forbid(unsafe_code)]

use super::observation::{ChangesSeen, FileSeen};
use super::{Finding, Observation, file};
use crate::scenario::expect::{Changed, Changes, FilePattern, Redactions};
use crate::scenario::place::YamlPath;

/// So many of those that are not listed are shown.
const MOST: usize = 10;

/// What is wrong with the changes.
pub(super) fn judge(wanted: &Changes, seen: &Observation, at: &YamlPath, names: &Redactions) -> Vec<Finding> {
    let Some(changes) = &seen.changes else { return Vec::new() };
    if changes.cut {
        let title = "the work folder holds too many files to be compared".to_owned();
        return vec![Finding::new(title, at.clone(), "can't be judged")];
    }
    let mut findings = Vec::new();
    let mut unlisted: Vec<String> = Vec::new();
    for (word, wanted, changed) in [
        ("added", &wanted.added, &changes.added),
        ("modified", &wanted.modified, &changes.modified),
        ("deleted", &wanted.deleted, &changes.deleted),
    ] {
        let here = at.key(word);
        for (path, there) in changed {
            match listed(wanted, path) {
                Some((name, pattern)) => {
                    findings.extend(file::judge_one(pattern, path, there, seen, &here.key(name), names));
                }
                None if is_implied(wanted, path, there, changed) && word != "modified" => {}
                None => unlisted.push(format!("{word}: {path}{}", what(there))),
            }
        }
        for (path, _) in &wanted.0 {
            if !changed.keys().any(|changed| path.matches(changed)) {
                let title = format!("{} was not {word}", path.as_str());
                findings.push(Finding::new(title, here.key(path.as_str()), "wanted here"));
            }
        }
    }
    if !unlisted.is_empty() {
        let title = match unlisted.as_slice() {
            [_] => "a change of the work folder is not listed".to_owned(),
            several => format!("{} changes of the work folder are not listed", several.len()),
        };
        let mut finding = Finding::new(title, at.clone(), "all that changes must be listed");
        let more = unlisted.len().saturating_sub(MOST);
        unlisted.truncate(MOST);
        finding = finding.notes(unlisted);
        findings.push(if more > 0 { finding.note(format!("and {more} more")) } else { finding });
    }
    findings
}

/// What lists a path: its own name before a glob.
fn listed<'a>(wanted: &'a Changed, path: &str) -> Option<(&'a str, &'a FilePattern)> {
    let own = wanted.0.iter().find(|(known, _)| known.as_str() == path);
    let found = own.or_else(|| wanted.0.iter().find(|(known, _)| known.matches(path)))?;
    Some((found.0.as_str(), &found.1))
}

/// Whether a folder has come or gone with something in it that is listed.
fn is_implied(wanted: &Changed, path: &str, there: &FileSeen, changed: &ChangesSeen) -> bool {
    let is_folder = !matches!(there, FileSeen::File { .. });
    let beneath = |other: &str| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    is_folder && changed.keys().any(|other| beneath(other) && listed(wanted, other).is_some())
}

fn what(there: &FileSeen) -> String {
    match there {
        FileSeen::File { bytes, mode } => format!(", {} bytes, mode {mode:04o}", bytes.len()),
        FileSeen::Other { kind, mode } => format!(", {kind}, mode {mode:04o}"),
        FileSeen::Absent | FileSeen::Unreadable(_) => String::new(),
    }
}
