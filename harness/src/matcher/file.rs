//! Files against their patterns.
#![forbid(unsafe_code)]

use super::text;
use super::{FileSeen, Finding, Observation};
use crate::scenario::expect::{FilePattern, Mode, Redactions};
use crate::scenario::place::YamlPath;

/// What is wrong with the file at `path`.
pub(super) fn judge(
    pattern: &FilePattern,
    path: &str,
    seen: &Observation,
    at: &YamlPath,
    names: &Redactions,
) -> Vec<Finding> {
    judge_one(pattern, path, seen.files.get(path).unwrap_or(&FileSeen::Absent), seen, at, names)
}

/// What is wrong with this file.
pub(super) fn judge_one(
    pattern: &FilePattern,
    path: &str,
    file: &FileSeen,
    seen: &Observation,
    at: &YamlPath,
    names: &Redactions,
) -> Vec<Finding> {
    let wrong = |title: String, label: &str| vec![Finding::new(title, at.clone(), label)];
    match (pattern, file) {
        (FilePattern::Absent, FileSeen::Absent) => Vec::new(),
        (FilePattern::Absent, _) => wrong(format!("{path} is there"), "it must not be"),
        (_, FileSeen::Absent) => wrong(format!("{path} is not there"), "it must be"),
        (_, FileSeen::Unreadable(why)) => wrong(format!("{path} can't be looked at: {why}"), "wanted here"),
        (FilePattern::Present, _) => Vec::new(),
        (FilePattern::Text(_), FileSeen::Other { kind, .. }) => {
            wrong(format!("{path} is {kind}"), "a file is wanted")
        }
        (FilePattern::Text(pattern), FileSeen::File { bytes, .. }) => {
            text::judge(pattern, &seen.text(bytes), path, at, names)
        }
        (FilePattern::Is { mode, tests }, FileSeen::Other { kind, mode: has }) => {
            let mut findings = wrong_mode(*mode, *has, path, at);
            if !tests.is_empty() {
                findings.extend(wrong(format!("{path} is {kind}"), "a file is wanted"));
            }
            findings
        }
        (FilePattern::Is { mode, tests }, FileSeen::File { bytes, mode: has }) => {
            let mut findings = wrong_mode(*mode, *has, path, at);
            findings.extend(text::judge_tests(tests, &seen.text(bytes), path, at, names));
            findings
        }
    }
}

fn wrong_mode(wanted: Option<Mode>, has: u32, path: &str, at: &YamlPath) -> Vec<Finding> {
    match wanted {
        Some(wanted) if wanted.0 != has => {
            let title = format!("the mode of {path} is {}", Mode(has));
            vec![Finding::new(title, at.key("mode"), format!("{wanted} is wanted"))]
        }
        _ => Vec::new(),
    }
}
