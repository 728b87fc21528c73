//! What is wrong with a file, before the file's name is known.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::{self, Expected, Unexpected};

use super::place::{SourceFile, Span};
use crate::diagnostic::Diagnostic;

/// What is wrong with a part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) title: String,
    pub(super) span: Option<Span>,
    pub(super) label: String,
    pub(super) others: Vec<(Span, String)>,
    pub(super) notes: Vec<String>,
    pub(super) help: Vec<String>,
    /// Of an unknown key: those that are known where it stands.
    pub(super) known: &'static [&'static str],
}

impl Fault {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            span: None,
            label: String::new(),
            others: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
            known: &[],
        }
    }

    /// Of an unknown key, what stands beneath it may say more: `b: added` is `added: [b]`.
    pub(super) fn of_key(self, key: &str, value: Option<&str>) -> Self {
        match value.filter(|value| self.known.contains(value)) {
            Some(word) => self.help(format!("the other way round: `{word}: [{key}]`")),
            None => self,
        }
    }

    /// Points it at a place.
    pub(super) fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Points it at a place, unless it already knows a nearer one.
    pub(super) fn or_at(self, span: Span) -> Self {
        if self.span.is_some() { self } else { self.at(span) }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn other(mut self, span: Span, label: impl Into<String>) -> Self {
        self.others.push((span, label.into()));
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds the label `did you mean ...?` if one of these is near.
    pub(super) fn meant<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(written, known) {
            Some(meant) => self.label(format!("did you mean `{meant}`?")),
            None => self,
        }
    }

    /// As a diagnostic of the file of these in which it stands: the first, or one that it extends. What stands in
    /// another file is a line below.
    pub(super) fn placed(mut self, files: &[SourceFile]) -> Diagnostic {
        let number = self.span.map_or(0, |span| span.file);
        let (here, elsewhere) =
            std::mem::take(&mut self.others).into_iter().partition(|(span, _)| span.file == number);
        self.others = here;
        for (span, label) in elsewhere {
            let file: &Path = files.get(span.file).map_or(Path::new(""), |file| &file.path);
            self.notes.push(format!("{label}: {}:{}", file.display(), span.line));
        }
        if let (1.., Some(first)) = (number, files.first()) {
            self.notes.push(format!("{} extends this file", first.path.display()));
        }
        match files.get(number) {
            Some(file) => self.diagnostic(&file.path, &file.text),
            None => self.diagnostic(Path::new(""), &Arc::from("")),
        }
    }

    /// As a diagnostic of this file. Whatever of the file is quoted in it, a person can read it.
    pub(super) fn diagnostic(self, file: &Path, source: &Arc<str>) -> Diagnostic {
        let all = |texts: Vec<String>| texts.into_iter().map(readable).collect();
        let mut diagnostic = Diagnostic::new(readable(self.title), file).at(
            Arc::clone(source),
            self.span,
            readable(self.label),
        );
        diagnostic.others = self.others.into_iter().map(|(span, label)| (span, readable(label))).collect();
        diagnostic.notes = all(self.notes);
        diagnostic.help = all(self.help);
        diagnostic
    }
}

/// The most characters of one message: the list of all families is shorter.
const MOST_SAID: usize = 2000;

fn readable(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MOST_SAID) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The nearest of some words to a misspelt one, if any is near.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |word: &str| strsim::osa_distance(&written.to_lowercase(), &word.to_lowercase());
    // A third of the letters may be wrong: more, and the guess is a riddle.
    let limit = (written.chars().count() / 3).clamp(1, 3);
    // A word of a thousand letters has no neighbour, and measuring it against every name would take its time.
    (written.len() <= 64)
        .then(|| known.into_iter().map(|word| (distance(word), word)).min_by_key(|(distance, _)| *distance))
        .flatten()
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, word)| word)
}

/// Whether a text could stand in a list as it is.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./()$".contains(c);
    !text.is_empty() && text.len() <= 40 && text.chars().all(plain)
}

/// The key that other tools call so.
fn elsewhere(field: &str) -> Option<&'static str> {
    Some(match field {
        "content" | "contents" | "body" | "data" => "text",
        "command" | "cmd" | "exec" | "args" | "argv" => "run",
        "script" | "bash" | "sh" => "shell",
        "environment" | "vars" | "variables" => "env",
        "description" | "desc" | "title" => "about",
        "input" => "stdin",
        "output" | "out" => "stdout",
        "err" => "stderr",
        "status" | "code" | "exit_code" | "exitcode" | "returncode" => "exit",
        "expected" | "assert" | "asserts" => "expect",
        "matrix" | "parameters" => "each",
        "requires" | "require" => "needs",
        "include" | "import" => "extends",
        _ => return None,
    })
}

/// Keys that stand deeper than one might look for them.
const DEEPER: &[&str] = &[
    "policy.limits.timeout",
    "policy.fs.read",
    "policy.fs.write",
    "policy.fs.exec",
    "policy.fs.deny",
    "policy.syscalls",
    "policy.hostname",
    "policy.isolation",
    "deterministic.seed",
    "deterministic.clock",
    "expect.exit",
    "expect.stdout",
    "expect.stderr",
    "expect.changes",
    "expect.verdicts.sees",
    "expect.verdicts.never",
    "expect.peak.memory",
    "expect.peak.processes",
    "expect.takes",
];

/// Where a key stands that is not known in a map with these.
fn deeper(field: &str, known: &[&str]) -> Option<String> {
    DEEPER.iter().find_map(|path| {
        let steps: Vec<&str> = path.split('.').collect();
        let (last, above) = steps.split_last()?;
        let from = above.iter().position(|step| known.contains(step)).filter(|_| *last == field)?;
        Some(steps.get(from..)?.join("."))
    })
}

/// Names as code, with commas between them.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A text of the file, short enough for a message.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// What serde calls a thing, in the words of the language.
fn wanted(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "a string" | "a borrowed string" => "text".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 up".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        other => other.into(),
    }
}

fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(text) => format!("the text {}", shown(text)),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a map".into(),
        other => other.to_string(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        // A message may bring its own help, in lines of its own.
        let text = message.to_string();
        let mut lines = text.lines();
        let mut fault = Self::new(lines.next().unwrap_or_default());
        for line in lines {
            fault = fault.help(line);
        }
        fault
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let fault = Self::new(format!("expected {}, found {}", wanted(expected), found(unexpected)));
        match unexpected {
            Unexpected::Unit if ["a map", "a list"].iter().any(|of| wanted(expected).starts_with(of)) => {
                fault.help("is what follows indented?")
            }
            Unexpected::Str("yes" | "on") if wanted(expected).starts_with("`true`") => {
                fault.help("write `true`")
            }
            Unexpected::Str("no" | "off") if wanted(expected).starts_with("`true`") => {
                fault.help("write `false`")
            }
            Unexpected::Str(text) if wanted(expected) == "a list" && is_word(text) => {
                fault.help(format!("write `[{text}]`"))
            }
            _ => fault,
        }
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {}", wanted(expected), found(unexpected)))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {length} items", wanted(expected)))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!("{} is not known here", shown(variant)))
            .meant(variant, known.iter().copied())
            .note(format!("known: {}", listed(known.iter().copied())))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        let fault = Self::new(format!("unknown key {}", shown(field)));
        let fault = match elsewhere(field).filter(|word| known.contains(word)) {
            Some(word) => fault.label(format!("here it is `{word}`")),
            None => match deeper(field, known) {
                Some(path) => fault.label(format!("here it is `{path}`")),
                None => fault.meant(field, known.iter().copied()),
            },
        };
        // What such keys are for in other languages.
        let fault = if field.starts_with("x-") {
            fault.help("what scenarios share stands in a file of its own, which they name by `extends:`")
        } else {
            fault
        };
        let fault = fault.note(format!("known keys: {}", listed(known.iter().copied())));
        Self { known, ..fault }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` stands twice"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::part;
    use super::super::tree::parse;
    use super::*;

    #[test]
    fn keys_that_stand_deeper_are_keys() {
        for path in DEEPER {
            let yaml = path.rsplit('.').fold("x".to_owned(), |inner, key| format!("{{ {key}: {inner} }}"));
            let faults = part(&parse(&yaml).unwrap().documents[0]);
            let unknown = faults.iter().find(|fault| fault.title.starts_with("unknown key"));
            assert!(unknown.is_none(), "{yaml}: {unknown:?}");
        }
        assert_eq!(deeper("timeout", &["run", "policy"]).as_deref(), Some("policy.limits.timeout"));
        assert_eq!(deeper("timeout", &["fs", "limits"]).as_deref(), Some("limits.timeout"));
        assert_eq!(deeper("timeout", &["seed"]), None);
    }
}
