//! What went wrong, shown at the line that it is about.
//!
//! A diagnostic is data until it is rendered. It decides nothing, and it never reads a file: it carries its source.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::renderer::{DecorStyle, Renderer};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Snippet};

use crate::scenario::place::Span;

/// One error or finding, with the line that wanted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The lint that it is from: then it is a warning.
    pub lint: Option<&'static str>,
    /// What is wrong, in one line.
    pub title: String,
    /// The file, as a reader would name it.
    pub file: PathBuf,
    /// The file's text, for the snippet; empty if there is none to show.
    pub source: Arc<str>,
    /// Where; `None` for the file as a whole.
    pub span: Option<Span>,
    /// What stands under the marked piece; may be empty.
    pub label: String,
    /// Further pieces of the file, each with what stands under it.
    pub others: Vec<(Span, String)>,
    /// Lines below, each shown as `= TEXT`: `seen: #41 openat(...)`, `known keys: ...`.
    pub notes: Vec<String>,
    /// Lines below, each shown as `= help: TEXT`.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error about a whole file.
    pub fn new(title: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Self {
            lint: None,
            title: title.into(),
            file: file.into(),
            source: Arc::from(""),
            span: None,
            label: String::new(),
            others: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Makes a warning of it.
    #[must_use]
    pub fn warning(mut self, lint: &'static str) -> Self {
        self.lint = Some(lint);
        self
    }

    /// Points it at a piece of the file.
    #[must_use]
    pub fn at(mut self, source: Arc<str>, span: Option<Span>, label: impl Into<String>) -> Self {
        self.source = source;
        self.span = span;
        self.label = label.into();
        self
    }

    /// Adds a line `= TEXT`.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds a line `= help: TEXT`.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// As text for a terminal or a log.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let path = visible(&self.file.to_string_lossy());
        let (title, label) = (visible(&self.title), visible(&self.label));
        let shown = |texts: &[String]| texts.iter().map(|text| visible(text)).collect::<Vec<_>>();
        let (notes, help) = (shown(&self.notes), shown(&self.help));
        let title = match self.lint {
            Some(lint) => Level::WARNING.primary_title(title.as_str()).id(lint),
            None => Level::ERROR.primary_title(title.as_str()),
        };
        let mut group: Group<'_> = match self.span {
            Some(span) if !self.source.is_empty() => {
                let others = self.others.iter().map(|(other, label)| {
                    mark(AnnotationKind::Context, first_line(&self.source, *other), label)
                });
                title.element(
                    Snippet::source(&*self.source)
                        .path(path)
                        .annotation(mark(AnnotationKind::Primary, first_line(&self.source, span), &label))
                        .annotations(others),
                )
            }
            Some(span) => title.element(Origin::path(path).line(span.line).char_column(span.column)),
            None => title.element(Origin::path(path)),
        };
        for note in &notes {
            group = group.element(Level::NOTE.no_name().message(note.as_str()));
        }
        for help in &help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
        text.push('\n');
        text
    }
}

/// A text that can do nothing to a terminal but be read: much of what is shown was written by a guest, and its escape
/// sequences would speak to the terminal of whoever reads the report.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        // Also those that change the direction of what follows.
        let turns = matches!(sign, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || sign.is_control() && !matches!(sign, '\n' | '\t') {
            shown.extend(sign.escape_default());
        } else {
            shown.push(sign);
        }
    }
    shown
}

fn mark<'a>(kind: AnnotationKind, span: Range<usize>, label: &'a str) -> Annotation<'a> {
    let mark = kind.span(span);
    if label.is_empty() { mark } else { mark.label(label) }
}

/// The part of a piece that lies on its first line: a bracket along twenty lines shows less than a mark.
fn first_line(source: &str, span: Span) -> Range<usize> {
    let piece = source.get(span.start..span.end.min(source.len())).unwrap_or_default();
    let line = piece.lines().next().unwrap_or_default();
    let start = span.start.min(source.len());
    start..start + line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_wrote_does_nothing_to_a_terminal() {
        let text = Diagnostic::new("a title\x1b[2J", "file\x07.yaml")
            .note("seen:\n\tone\x1b]0;title\x07\r\n\u{202e}two\u{9b}31m")
            .help("\x08")
            .render(false);
        assert!(!text.contains(|sign: char| sign.is_control() && !matches!(sign, '\n' | '\t')), "{text:?}");
        for shown in
            [r"title\u{1b}[2J", r"file\u{7}.yaml", r"one\u{1b}]0;title\u{7}\r", r"\u{202e}two\u{9b}31m"]
        {
            assert!(text.contains(shown), "{shown} is not in {text}");
        }
    }
}
