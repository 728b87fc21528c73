//! One line of an expected text: `[..]` stands for anything, `[PID]` and the scenario's own names for what their regular
//! expression matches; `[NAME=..]` captures, and from the next line on `[NAME]` is what was captured.
//!
//! What is in brackets and is none of these is plain text, so that `[INFO]` needs no escape. A backslash before one of
//! these makes it plain too; two are one backslash.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use regex::Regex;

use crate::scenario::expect::{Redactions, is_redaction_name};

/// Stands for anything within a line.
const GAP: &str = "..";
/// What every name and gap of one line may grow to.
const SIZE_LIMIT: usize = 4 << 20;

/// What was captured, by name.
pub(super) type Captured = BTreeMap<String, String>;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<'a> {
    Text(Cow<'a, str>),
    /// Anything.
    Gap,
    /// What the redaction of this name matches.
    Named(&'a str),
    /// The same, or anything, captured by the first name.
    Capture(&'a str, Option<&'a str>),
    /// What was captured by this name.
    Again(&'a str),
}

/// One line of an expected text.
#[derive(Debug)]
pub(super) struct Line<'a> {
    text: &'a str,
    pieces: Vec<Piece<'a>>,
    any_lines: bool,
    /// Text and gaps alone need no regular expression.
    plain: bool,
    names: &'a Redactions,
    compiled: Arc<Compiled>,
}

/// The regular expressions of a text that were used last, by how they are written: one can take more memory than all of a
/// text. `None`: it grows too big.
type Compiled = Mutex<HashMap<String, Option<Regex>>>;

/// So many are kept.
const MOST_COMPILED: usize = 200;

/// The lines of an expected text.
pub(super) fn lines<'a>(text: &'a str, names: &'a Redactions) -> Vec<Line<'a>> {
    let (mut captured, compiled) = (BTreeSet::new(), Arc::default());
    let line = |text| {
        let line = Line::new(text, names, &captured, Arc::clone(&compiled));
        captured.extend(line.captures());
        line
    };
    text.lines().map(line).collect()
}

impl<'a> Line<'a> {
    fn new(
        text: &'a str,
        names: &'a Redactions,
        captured: &BTreeSet<&'a str>,
        compiled: Arc<Compiled>,
    ) -> Self {
        let any_lines = text.trim() == "...";
        let pieces = match text.trim() {
            r"\..." => vec![Piece::Text(text.replacen('\\', "", 1).into())],
            _ => pieces(text, names, captured),
        };
        let plain = pieces.iter().all(|piece| matches!(piece, Piece::Text(_) | Piece::Gap));
        Self { text, pieces, any_lines, plain, names, compiled }
    }

    /// A line of its own, that captures nothing and uses nothing that was captured.
    pub(super) fn alone(text: &'a str, names: &'a Redactions) -> Self {
        Self::new(text, names, &BTreeSet::new(), Arc::default())
    }

    /// Whether it stands for any lines, or none.
    pub(super) fn is_any_lines(&self) -> bool {
        self.any_lines
    }

    /// Whether it stands for itself alone; then, what that is.
    pub(super) fn itself(&self) -> Option<Cow<'_, str>> {
        match self.pieces.as_slice() {
            [] => Some("".into()),
            [Piece::Text(text)] if !self.any_lines => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    /// As it was written.
    pub(super) fn written(&self) -> &'a str {
        self.text
    }

    /// What it costs to try it, where 1 is to compare texts.
    pub(super) fn cost(&self) -> usize {
        if self.plain { 1 } else { 50 }
    }

    /// The names by which it captures.
    pub(super) fn captures(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Capture(name, _) => Some(*name),
            _ => None,
        })
    }

    /// Whether a line is like this one: then, what it captures. Of several ways the first is as short as can be.
    pub(super) fn fits(&self, line: &str, before: &Captured) -> Option<Vec<(&'a str, String)>> {
        if self.plain {
            return self.fits_plainly(line).then(Vec::new);
        }
        self.with(before, |regex| {
            let found = regex.captures(line)?;
            let captured = self.captures().enumerate().filter_map(|(nth, name)| {
                found.name(&format!("assize{nth}")).map(|text| (name, text.as_str().to_owned()))
            });
            Some(captured.collect())
        })
    }

    fn fits_plainly(&self, line: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return line.is_empty() };
        let (mut left, mut gap) = match first {
            Piece::Text(text) => match line.strip_prefix(&**text) {
                Some(left) => (left, false),
                None => return false,
            },
            _ => (line, true),
        };
        for (nth, piece) in rest.iter().enumerate() {
            let Piece::Text(text) = piece else {
                gap = true;
                continue;
            };
            if nth + 1 == rest.len() {
                return left.ends_with(&**text);
            }
            // The earliest place is the best one: whatever a later one would match, the gap behind this one matches.
            let Some(place) = left.find(&**text) else { return false };
            left = left.get(place + text.len()..).unwrap_or_default();
            gap = false;
        }
        gap || left.is_empty()
    }

    /// Runs with the regular expression for the whole line; not with one that grows too big.
    fn with<T>(&self, before: &Captured, run: impl FnOnce(&Regex) -> Option<T>) -> Option<T> {
        let text = format!("^(?:{})$", self.expression(before, ".*?"));
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compiled.get(&text) {
            return run(known.as_ref()?);
        }
        if compiled.len() >= MOST_COMPILED {
            compiled.clear();
        }
        let regex = compile(&text);
        run(compiled.entry(text).or_insert(regex).as_ref()?)
    }

    /// `gap`: what stands for a gap.
    fn expression(&self, before: &Captured, gap: &str) -> String {
        let mut out = String::new();
        let mut captures = 0;
        let of = |name: &str| self.names.get(name).map_or(gap, |pattern| pattern.as_str());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(&regex::escape(text)),
                Piece::Gap => out.push_str(gap),
                Piece::Named(name) => out.push_str(&format!("(?:{})", of(name))),
                Piece::Capture(_, pattern) => {
                    out.push_str(&format!("(?P<assize{captures}>{})", pattern.map_or(gap, of)));
                    captures += 1;
                }
                Piece::Again(name) => {
                    out.push_str(&regex::escape(before.get(*name).map_or("", String::as_str)));
                }
            }
        }
        out
    }
}

fn compile(text: &str) -> Option<Regex> {
    let mut builder = regex::RegexBuilder::new(text);
    builder.size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build().ok()
}

/// Whether a text is somewhere in another; gaps don't go past the end of a line. `None`: that can't be found out.
pub(super) fn contains(text: &str, part: &str, names: &Redactions) -> Option<bool> {
    let line = Line { any_lines: false, ..Line::alone(part, names) };
    if let [] | [Piece::Text(_)] = line.pieces.as_slice() {
        return Some(text.contains(&*line.itself().unwrap_or_default()));
    }
    Some(compile(&line.expression(&Captured::new(), "[^\n]*?"))?.is_match(text))
}

/// Takes a line apart.
fn pieces<'a>(line: &'a str, names: &Redactions, captured: &BTreeSet<&str>) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    let mut text = String::new();
    let mut escaped = false;
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        let inner = from.get(1..).and_then(|inner| inner.split_once(']')).map(|(inner, _)| inner);
        let Some((inner, piece)) = inner.and_then(|inner| Some((inner, special(inner, names, captured)?)))
        else {
            text.push_str(before);
            text.push('[');
            rest = from.get(1..).unwrap_or_default();
            continue;
        };
        let plain = before.trim_end_matches('\\');
        let slashes = before.len() - plain.len();
        text.push_str(plain);
        text.push_str(&"\\".repeat(slashes / 2));
        escaped |= slashes > 0;
        let (whole, after) = from.split_at(inner.len() + 2);
        rest = after;
        if slashes % 2 == 1 {
            text.push_str(whole);
            continue;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text).into()));
        }
        pieces.push(piece);
    }
    if pieces.is_empty() && !escaped {
        return if line.is_empty() { pieces } else { vec![Piece::Text(line.into())] };
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    pieces
}

/// A line that stands for this text alone, where these names were captured before it.
pub(super) fn escaped(line: &str, names: &Redactions, captured: &BTreeSet<&str>) -> String {
    if line.trim() == "..." {
        return line.replacen("...", r"\...", 1);
    }
    let mut out = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        let inner = from.get(1..).and_then(|inner| inner.split_once(']')).map(|(inner, _)| inner);
        out.push_str(before);
        match inner.filter(|inner| special(inner, names, captured).is_some()) {
            Some(inner) => {
                let slashes = before.len() - before.trim_end_matches('\\').len();
                out.push_str(&"\\".repeat(slashes + 1));
                let (whole, after) = from.split_at(inner.len() + 2);
                out.push_str(whole);
                rest = after;
            }
            None => {
                out.push('[');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    out + rest
}

/// What stands for something, of what stands in brackets.
fn special<'a>(inner: &'a str, names: &Redactions, captured: &BTreeSet<&str>) -> Option<Piece<'a>> {
    if inner == GAP {
        return Some(Piece::Gap);
    }
    match inner.split_once('=') {
        Some((name, what)) if is_redaction_name(name) => match what {
            GAP => Some(Piece::Capture(name, None)),
            what => names.get(what).is_some().then_some(Piece::Capture(name, Some(what))),
        },
        Some(_) => None,
        None if captured.contains(inner) => Some(Piece::Again(inner)),
        None => names.get(inner).is_some().then_some(Piece::Named(inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Redactions {
        crate::scenario::expect::form::read(r"{ PORT: '\d{4,5}', HEX: '(?i)[0-9a-f]+' }").unwrap()
    }

    #[test]
    fn gaps_in_a_line() {
        let names = names();
        for (pattern, line, wanted) in [
            ("took [..] ms", "took 12 ms", true),
            ("took [..] ms", "took  ms", true),
            ("took [..] ms", "took 12 s", false),
            ("[..]", "", true),
            ("a[..]b[..]c", "axbxbxc", true),
            ("a[..]b[..]c", "acb", false),
            ("aa[..]aa", "aaa", false),
            ("a[..]", "a", true),
            ("[..]a", "ba", true),
            ("[..][..]", "x", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
            ("", "", true),
            ("", "x", false),
        ] {
            let fits = Line::alone(pattern, &names).fits(line, &Captured::new()).is_some();
            assert_eq!(fits, wanted, "{pattern} / {line}");
        }
    }

    #[test]
    fn names_stand_for_what_they_match() {
        let names = names();
        for (pattern, line, wanted) in [
            ("port [PORT]", "port 8080", true),
            ("port [PORT]", "port 80", false),
            ("[PORT] [..] [PORT]", "1234 a b 12345", true),
            ("[HEX]-[HEX]", "aB-09", true),
            ("pid [PID].", "pid 17.", true),
            ("pid [PID].", "pid 017.", false),
            // What nobody has named is plain text.
            ("[INFO] [x] [", "[INFO] [x] [", true),
            ("[INFO=x]", "[INFO=x]", true),
            // So is what is escaped.
            (r"\[..] \[PORT]", "[..] [PORT]", true),
            (r"\[..]", "x", false),
            (r"C:\\[..]", r"C:\x", true),
            (r"\[INFO] \n", r"\[INFO] \n", true),
            (r"  \...", "  ...", true),
        ] {
            let fits = Line::alone(pattern, &names).fits(line, &Captured::new()).is_some();
            assert_eq!(fits, wanted, "{pattern} / {line}");
        }
    }

    #[test]
    fn a_part_of_a_text_may_have_gaps() {
        let names = names();
        let text = "one two\nport 8080 open\n";
        for (part, wanted) in [
            ("two\nport", true),
            ("port [PORT] open", true),
            ("o[..]two", true),
            ("one[..]port", false),
            ("e [..]o\nport [PORT]", true),
            ("...", false),
            (r"\[..]", false),
        ] {
            assert_eq!(contains(text, part, &names), Some(wanted), "{part}");
        }
    }
}
