//! What a command leaves in its work folder.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::draft::Left;
use super::take::Take;
use super::tree::{Entry, Tree};
use super::vary::{Unsaid, Wanted};

/// More of the files that a command writes are not compared.
const MOST_LEFT: usize = 24;
/// A larger file is looked for, and not compared.
const LARGEST_LEFT: usize = 8 << 10;

/// What every run made, changed and removed in the work folder; and what is to be said of the rest.
pub(super) fn left(
    before: &Tree,
    takes: &[Take],
    pattern: &mut dyn FnMut(&[&str]) -> Result<Wanted, Unsaid>,
) -> (BTreeMap<String, Left>, Vec<String>) {
    let changes: Vec<_> = takes.iter().map(|take| before.changes(&take.after)).collect();
    let (mut left, mut left_out) = (BTreeMap::new(), Vec::new());
    let all: BTreeSet<&Path> = changes.iter().flat_map(|of| of.keys().copied()).collect();
    let mut more = 0;
    for path in all {
        let of: Option<Vec<_>> = changes.iter().map(|changes| changes.get(path).copied()).collect();
        let (Some(of), Some(name)) = (of, path.to_str()) else {
            more += 1;
            continue;
        };
        if left.len() >= MOST_LEFT {
            more += 1;
            continue;
        }
        let texts: Option<Vec<String>> = of.iter().map(|entry| text(*entry)).collect();
        let wanted = match (texts, of.iter().all(Option::is_none)) {
            (_, true) => Left::Absent,
            (Some(texts), _) => {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                pattern(&texts).map_or(Left::Present, Left::Text)
            }
            (None, _) if of.iter().all(Option::is_some) => Left::Present,
            _ => {
                more += 1;
                continue;
            }
        };
        left.insert(name.to_owned(), wanted);
    }
    if more > 0 {
        left_out.push(format!("{more} more files that it makes or removes, not all of them in each run"));
    }
    (left, left_out)
}

/// A file's content, if it is a short text.
fn text(entry: Option<&Entry>) -> Option<String> {
    match entry {
        Some(Entry::File { bytes, .. }) if bytes.len() <= LARGEST_LEFT => {
            String::from_utf8(bytes.clone()).ok()
        }
        _ => None,
    }
}
