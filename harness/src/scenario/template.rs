//! Text in which `$WORK` stands for the work folder.
//!
//! By the time a text is expanded here, the axes of its matrix are already put in, and whoever loaded the file has
//! seen to it that a [`Template`] names no other variable.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

/// Text in which `$WORK` stands for the work folder and `$$` for a dollar: a path of the policy or of an attempt, or
/// a value of the environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Template(pub(crate) String);

impl Template {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With the work folder put in.
    #[must_use]
    pub fn expand(&self, work: &Path) -> OsString {
        let mut out = OsString::new();
        for piece in pieces(&self.0) {
            match piece {
                Piece::Text(text) => out.push(text),
                Piece::Variable { name: "WORK", .. } => out.push(work),
                Piece::Variable { written, .. } => out.push(written),
                Piece::Dollar => out.push("$"),
            }
        }
        out
    }
}

/// A word of a command: `$WORK` stands for the work folder, `$$WORK` for the text `$WORK`, and every other dollar for
/// itself, because commands have uses of their own for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Word(pub(crate) String);

impl Word {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With the work folder put in.
    #[must_use]
    pub fn expand(&self, work: &Path) -> OsString {
        let mut out = OsString::new();
        let mut pieces = pieces(&self.0).peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Text(text) => out.push(text),
                Piece::Variable { name: "WORK", .. } => out.push(work),
                Piece::Variable { written, .. } => out.push(written),
                Piece::Dollar => match pieces.peek() {
                    Some(Piece::Text(text)) if is_name(text, "WORK") => out.push("$"),
                    _ => out.push("$$"),
                },
            }
        }
        out
    }
}

/// Whether a text that followed `$$` begins with this name, bare or in braces.
pub(super) fn is_name(text: &str, name: &str) -> bool {
    let text = text.strip_prefix('{').unwrap_or(text);
    text.strip_prefix(name).is_some_and(|rest| !rest.starts_with(is_name_char))
}

/// A part of a text with variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text without a variable.
    Text(&'a str),
    /// `$name` or `${name}`.
    Variable { name: &'a str, written: &'a str },
    /// `$$`.
    Dollar,
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Takes a text apart. A dollar that nothing of this follows is text.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, len) = first(rest);
        rest = rest.get(len..).unwrap_or_default();
        Some(piece)
    })
}

fn first(text: &str) -> (Piece<'_>, usize) {
    if text.starts_with("$$") {
        return (Piece::Dollar, 2);
    }
    if let Some((name, len)) = variable(text) {
        return (Piece::Variable { name, written: text.get(..len).unwrap_or_default() }, len);
    }
    // The first character is text in any case; the next dollar may begin something else.
    let next = text.char_indices().skip(1).find(|(_, c)| *c == '$').map_or(text.len(), |(at, _)| at);
    (Piece::Text(text.get(..next).unwrap_or_default()), next)
}

fn variable(text: &str) -> Option<(&str, usize)> {
    let after = text.strip_prefix('$')?;
    let inner = after.strip_prefix('{');
    let start = inner.unwrap_or(after);
    let name = start.get(..start.find(|c| !is_name_char(c)).unwrap_or(start.len()))?;
    let closed = inner.is_none() || start.get(name.len()..)?.starts_with('}');
    let is_name = name.starts_with(|c: char| !c.is_ascii_digit());
    (closed && is_name).then_some((name, 1 + if inner.is_some() { 2 } else { 0 } + name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_take_every_dollar() {
        let expand = |text: &str| Template(text.into()).expand(Path::new("/w"));
        assert_eq!(expand("$WORK/a:${WORK}b"), "/w/a:/wb");
        assert_eq!(expand("$$WORK costs 5$"), "$WORK costs 5$");
        assert_eq!(expand("$$"), "$");
        assert_eq!(expand("$$$WORK"), "$/w");
        assert_eq!(expand("grün$"), "grün$");
    }

    #[test]
    fn words_leave_dollars_to_their_program() {
        let expand = |text: &str| Word(text.into()).expand(Path::new("/w"));
        assert_eq!(expand("$WORK/a ${WORK}"), "/w/a /w");
        assert_eq!(expand("$WORKS $1 $$ ${x:-$WORK} $(id)"), "$WORKS $1 $$ ${x:-/w} $(id)");
        assert_eq!(expand("$$WORK $${WORK} $$WORKS"), "$WORK ${WORK} $$WORKS");
        assert_eq!(expand("s/x$/"), "s/x$/");
    }
}
