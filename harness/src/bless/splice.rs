//! New values into the text of a file: nothing else of it is touched, and that is read back before it is believed.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::Why;
use super::change::{Change, To};
use super::scalar::{Edit, proposals};
use super::source::{Document, Key, Kind, NotHere, Part, Source};
use crate::scenario::place::{Step, YamlPath};

/// The text with the changes in it. An error names the value that can't be changed where it stands.
pub(super) fn splice(
    text: &str,
    document: usize,
    axes: &[String],
    changes: &[Change],
) -> Result<String, (YamlPath, Why)> {
    let mut text = text.to_owned();
    for change in changes {
        text = one(&text, document, axes, change).map_err(|why| (change.at.clone(), why))?;
    }
    Ok(text)
}

fn one(text: &str, nth: usize, axes: &[String], change: &Change) -> Result<String, Why> {
    let source = Source::read(text).ok_or(Why::Unwritable)?;
    let document = source.0.get(nth).ok_or(Why::Unwritable)?;
    let mut changed = BTreeMap::new();
    let (edits, grown) = match &change.to {
        To::Text(new) | To::Word(new) => {
            let found = document.find(&change.at).map_err(not_here)?;
            if let Kind::Scalar { text, .. } = &found.part.kind
                && let Some(axis) = axes.iter().find(|axis| names(text, axis))
            {
                return Err(Why::Template(axis.clone()));
            }
            let new = &axes.iter().fold(new.clone(), |new, axis| literal(&new, axis));
            changed.insert(change.at.clone(), Some(new.clone()));
            (proposals(text, &found, new, matches!(change.to, To::Word(_))), Vec::new())
        }
        To::More(lines) => (more(text, document, &change.at, lines)?, vec![change.at.clone()]),
    };
    for edit in edits {
        let Some(new) = apply(text, &edit) else { continue };
        let Some(read) = Source::read(&new) else { continue };
        let alike = read.0.len() == source.0.len()
            && source.0.iter().zip(&read.0).enumerate().all(|(place, (one, other))| {
                let own = place == nth;
                let nothing = BTreeMap::new();
                one.is_like(other, if own { &changed } else { &nothing }, if own { &grown } else { &[] })
            });
        if alike {
            return Ok(new);
        }
    }
    Err(Why::Unwritable)
}

/// Whether a text takes in an axis of its matrix.
fn names(text: &str, axis: &str) -> bool {
    text.contains(&format!("${axis}")) || text.contains(&format!("${{{axis}"))
}

/// A text that is to be what it is, where this is an axis.
fn literal(text: &str, axis: &str) -> String {
    text.replace(&format!("${axis}"), &format!("$${axis}"))
        .replace(&format!("${{{axis}"), &format!("$${{{axis}"))
}

fn apply(text: &str, edit: &Edit) -> Option<String> {
    let (before, after) = (text.get(..edit.span.start)?, text.get(edit.span.end..)?);
    Some([before, &edit.text, after].concat())
}

fn not_here(why: NotHere) -> Why {
    match why {
        NotHere::Absent => Why::Absent,
        NotHere::Alias => Why::Alias,
        NotHere::Shared => Why::Shared,
    }
}

/// The ways to put further lines at the end of a list, or a list where none is.
fn more(text: &str, document: &Document, at: &YamlPath, lines: &[String]) -> Result<Vec<Edit>, Why> {
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    match document.find(at) {
        Ok(found) => match &found.part.kind {
            Kind::List { items, flow: true } => {
                let end = found.part.span.end.checked_sub(1).ok_or(Why::Unwritable)?;
                let (place, before) = match items.last() {
                    Some(last) => (last.span.end, ", "),
                    None => (end, ""),
                };
                Ok(vec![insert(place, format!("{before}{}", lines.join(", ")))])
            }
            Kind::List { items, flow: false } => {
                let last = items.last().ok_or(Why::Unwritable)?;
                let end = line_end(text, leaf(last)?);
                let start = text.get(..last.span.start).ok_or(Why::Unwritable)?;
                let line = start.rsplit('\n').next().unwrap_or_default();
                let dash = line.find('-').ok_or(Why::Unwritable)?;
                let indent = line.get(..dash).unwrap_or_default();
                let added: String = lines.iter().map(|line| format!("{ending}{indent}- {line}")).collect();
                Ok(vec![insert(end, added)])
            }
            _ => Err(Why::Unwritable),
        },
        Err(NotHere::Absent) => {
            let mut around = at.clone();
            let Some(Step::Key(name)) = around.0.pop() else { return Err(Why::Unwritable) };
            let found = document.find(&around).map_err(not_here)?;
            let Kind::Map { entries, flow } = &found.part.kind else { return Err(Why::Unwritable) };
            let (key, _): &(Key, Part) =
                entries.iter().find(|(key, _)| key.text == "exhaustive").ok_or(Why::Unwritable)?;
            let new = if *flow {
                format!("{name}: [{}], ", lines.join(", "))
            } else {
                let indent = " ".repeat(key.column);
                let items: String = lines.iter().map(|line| format!("{indent}  - {line}{ending}")).collect();
                format!("{name}:{ending}{items}{indent}")
            };
            Ok(vec![insert(key.span.start, new)])
        }
        Err(other) => Err(not_here(other)),
    }
}

fn insert(at: usize, text: String) -> Edit {
    Edit { span: at..at, text }
}

/// Where the last scalar of a value ends. Of a map or a list in lines the parser says where the next thing begins.
fn leaf(part: &Part) -> Result<usize, Why> {
    match &part.kind {
        Kind::Map { flow: false, entries } => leaf(&entries.last().ok_or(Why::Unwritable)?.1),
        Kind::List { flow: false, items } => leaf(items.last().ok_or(Why::Unwritable)?),
        _ => Ok(part.span.end),
    }
}

/// The end of the line in which this is, before what ends it.
fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    at + line.strip_suffix('\r').unwrap_or(line).len()
}
