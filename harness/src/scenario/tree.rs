//! A YAML document as a tree in which every node knows its place.
//!
//! It reads YAML's grammar and nothing of the scenario language. What it accepts is small: no tags but `!!str`, no
//! key but text, bounded in size, depth and aliases, so that no file can take a test run down.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::fault::{Fault, shown};
use super::place::{SourceFile, SourceMap, Span, Step};
use super::template::{Piece, pieces};

/// The largest file.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The most documents of one file.
const MAX_DOCUMENTS: usize = 200;
/// What the anchors and aliases of a file may weigh: a dozen lines of them could otherwise stand for billions.
const MAX_ALIASED: usize = 4 << 20;

/// A node of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Where it stands.
    pub(super) span: Span,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A scalar; `plain`: written without quotes, so that `1` is a number and `true` a truth value.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A map, in the file's order. No key stands twice.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

impl Node {
    /// The key (if the step is one) and the node at `step`.
    pub(super) fn step(&self, step: &Step) -> Option<(Option<Span>, &Node)> {
        match (&self.kind, step) {
            (Kind::Map(entries), Step::Key(key)) => entries
                .iter()
                .find(|entry| entry.key == *key)
                .map(|entry| (Some(entry.key_span), &entry.value)),
            (Kind::List(items), Step::Index(index)) => items.get(*index).map(|item| (None, item)),
            _ => None,
        }
    }

    /// The value of a key of this map.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A key of this map.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Whether nothing was written.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// About how many bytes of memory it takes.
    pub(super) fn weight(&self) -> usize {
        const NODE: usize = size_of::<Entry>();
        match &self.kind {
            Kind::Scalar { text, .. } => NODE + text.len(),
            Kind::List(items) => NODE + items.iter().map(Self::weight).sum::<usize>(),
            Kind::Map(entries) => {
                NODE + entries.iter().map(|entry| entry.key.len() + entry.value.weight()).sum::<usize>()
            }
        }
    }

    /// Whether a text in it names a variable that a matrix would have to put in.
    pub(super) fn has_axes(&self) -> bool {
        let axis = |text: &str| {
            pieces(text).any(
                |piece| matches!(piece, Piece::Variable { name, .. } if !["WORK", "SYSTEM"].contains(&name)),
            )
        };
        match &self.kind {
            Kind::Scalar { text, .. } => axis(text),
            Kind::List(items) => items.iter().any(Self::has_axes),
            Kind::Map(entries) => entries.iter().any(|entry| axis(&entry.key) || entry.value.has_axes()),
        }
    }

    fn depth(&self) -> usize {
        let within = match &self.kind {
            Kind::Scalar { .. } => None,
            Kind::List(items) => items.iter().map(Self::depth).max(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.value.depth()).max(),
        };
        1 + within.unwrap_or(0)
    }
}

/// Where each character of a text begins, in bytes.
struct Offsets<'a> {
    text: &'a str,
    /// Empty for a text in which every character is one byte.
    starts: Vec<usize>,
    /// Which file the text is.
    file: usize,
}

impl<'a> Offsets<'a> {
    fn new(text: &'a str, file: usize) -> Self {
        let starts =
            if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(start, _)| start).collect() };
        Self { text, starts, file }
    }

    fn byte(&self, character: usize) -> usize {
        let byte = if self.starts.is_empty() { Some(character) } else { self.starts.get(character).copied() };
        byte.unwrap_or(self.text.len()).min(self.text.len())
    }

    /// From one marker to another, without the white space at the end, which the parser counts to a block.
    fn span(&self, start: Marker, end: Marker) -> Span {
        let from = self.byte(start.index());
        let to = self.byte(end.index()).max(from);
        let piece = self.text.get(from..to).unwrap_or_default();
        let trimmed = piece.trim_end().len();
        let (line, column) = (start.line().max(1), start.col() + 1);
        Span { start: from, end: from + trimmed, line, column, file: self.file }
    }

    fn at(&self, marker: Marker) -> Span {
        self.span(marker, marker)
    }

    /// The last bracket that is not closed between the key at a line's beginning and what the parser stumbled over, for where
    /// it has not yet told of the bracket. What stands in a block of text is no bracket.
    fn opened_before(&self, marker: Marker) -> Option<Span> {
        let before = self.text.get(..self.byte(marker.index()))?;
        let before = before.get(..before.rfind('\n')? + 1)?;
        let ours = |line: &str| !line.starts_with([' ', '\t', '#', '\n', '\r']);
        let start = before.len()
            - before
                .split_inclusive('\n')
                .rev()
                .scan(false, |done, line| {
                    let more = (!*done).then_some(line.len());
                    *done |= ours(line);
                    more
                })
                .sum::<usize>();
        let piece = before.get(start..)?;
        let head = piece.lines().next().unwrap_or_default();
        if head.contains(['|', '>', '"', '\'', '#']) || piece.contains(['"', '\'', '#']) {
            return None;
        }
        let mut open = Vec::new();
        for (at, c) in piece.char_indices() {
            match c {
                '[' | '{' => open.push(start + at),
                ']' | '}' => drop(open.pop()),
                _ => {}
            }
        }
        open.pop().map(|at| self.one(at))
    }

    /// The sign at this byte.
    fn one(&self, start: usize) -> Span {
        let before = self.text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Span { start, end: start + 1, line, column, file: self.file }
    }

    /// Where the parser stumbled; if that is past all that is written, where that ends: the parser counts a line more.
    fn stumbled(&self, marker: Marker) -> Span {
        let start = self.byte(marker.index());
        let written = self.text.trim_end().len();
        if start < written {
            return self.at(marker);
        }
        Span { end: written, ..self.one(written) }
    }
}

/// A list or map that is not yet at its end.
struct Open {
    start: Marker,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, Span>, key: Option<(String, Span)> },
}

struct Builder<'a> {
    offsets: Offsets<'a>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    documents: Vec<Arc<Node>>,
    root: Option<Node>,
}

/// Reads every document of a text. Documents without content are left out.
#[cfg(test)]
pub(super) fn parse(text: &str) -> Result<SourceMap, Fault> {
    parse_file(text, 0)
}

/// The same, of a text that is the so-manieth file.
pub(super) fn parse_file(text: &str, file: usize) -> Result<SourceMap, Fault> {
    if text.len() > MAX_BYTES {
        return Err(Fault::new(format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len())));
    }
    let offsets = Offsets::new(text, file);
    if let Some((start, c)) = text.char_indices().find(|(_, c)| forbidden(*c)) {
        let before = text.get(..start).unwrap_or_default();
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let span = Span { start, end: start, line: before.matches('\n').count() + 1, column, file };
        return Err(Fault::new(format!("the character U+{:04X} may not stand in a YAML file", u32::from(c)))
            .at(span)
            .help("in double quotes it can be written as an escape, such as `\"\\x1b\"`"));
    }
    let mut builder = Builder {
        offsets,
        open: Vec::new(),
        anchors: HashMap::new(),
        aliased: 0,
        documents: Vec::new(),
        root: None,
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((Event::StreamEnd, _)) => break,
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => {
                let fault = not_yaml(&error, &builder.offsets);
                let opened =
                    builder.open_bracket().or_else(|| builder.offsets.opened_before(*error.marker()));
                let opened = opened.filter(|opened| !is_closed(text.get(opened.start..).unwrap_or_default()));
                return Err(match opened {
                    Some(opened) => fault.other(opened, "this is not closed"),
                    None => fault,
                });
            }
        }
    }
    let files = vec![SourceFile { path: PathBuf::new(), text: Arc::from(text) }];
    Ok(SourceMap { files, documents: builder.documents })
}

/// What YAML does not allow unescaped. The parser takes NUL for the end of the file and would drop what follows.
fn forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')
}

/// Whether the bracket that a text begins with is closed, by one of its kind and after all that are opened in it.
fn is_closed(text: &str) -> bool {
    let mut open = Vec::new();
    let (mut before, mut quote) = (' ', None);
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match (quote, c) {
            (Some('"'), '\\') => {
                letters.next();
            }
            (Some(quoted), _) if c == quoted => quote = None,
            (Some(_), _) => {}
            // Within a word it is a letter.
            (None, '"' | '\'') if matches!(before, '[' | '{' | ',' | ':' | ' ' | '\n') => quote = Some(c),
            (None, '#') if before.is_whitespace() => {
                letters.find(|c| *c == '\n');
            }
            (None, '[') => open.push(']'),
            (None, '{') => open.push('}'),
            (None, ']' | '}') if open.pop() != Some(c) => return false,
            (None, ']' | '}') if open.is_empty() => return true,
            (None, _) => {}
        }
        before = c;
    }
    false
}

fn not_yaml(error: &saphyr_parser::ScanError, offsets: &Offsets<'_>) -> Fault {
    let span = offsets.stumbled(*error.marker());
    let fault = Fault::new("this is not YAML").at(span).label(error.info());
    let line = offsets.text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
    if line.contains("${") {
        return fault.help("within `[ ]` and `{ }` a text with braces needs quotes; `$name` needs none");
    }
    // The parser knows a key by a colon and a blank behind it.
    if error.info().contains("mapping values are not allowed")
        && let Some((key, text)) = line.trim().split_once(": ").filter(|(_, text)| text.contains(": "))
        && !text.contains(['"', '\'', '\\'])
    {
        return fault
            .help(format!("a text with a colon and a blank in it stands in quotes: `{key}: \"{text}\"`"));
    }
    if line.trim_start().starts_with('\t') {
        return fault.help("YAML indents with spaces, not with tabs");
    }
    fault
}

impl Builder<'_> {
    /// The bracket that was opened last and is not closed.
    fn open_bracket(&self) -> Option<Span> {
        let starts = self.open.iter().rev().map(|open| self.offsets.at(open.start));
        let text = self.offsets.text;
        let mut opened = starts
            .filter(|span| text.get(span.start..).is_some_and(|rest| rest.starts_with(['[', '{'])))
            .map(|span| Span { end: span.start + 1, ..span });
        opened.next()
    }

    fn event(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> Result<(), Fault> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.root = None;
                if self.documents.len() >= MAX_DOCUMENTS {
                    return Err(Fault::new(format!("the file holds more than {MAX_DOCUMENTS} scenarios"))
                        .at(self.offsets.at(span.start)));
                }
            }
            Event::DocumentEnd => {
                self.documents.extend(self.root.take().filter(|root| !root.is_null()).map(Arc::new));
            }
            Event::Alias(anchor) => {
                let place = self.offsets.span(span.start, span.end);
                let mut node = self.anchors.get(&anchor).cloned().ok_or_else(|| {
                    Fault::new("this alias names nothing that stands whole before it in this document")
                        .at(place)
                })?;
                self.spend(&node, place)?;
                if self.open.len() + node.depth() > MAX_DEPTH {
                    return Err(too_deep(place));
                }
                node.span = place;
                self.place(node, 0)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let place = self.offsets.span(span.start, span.end);
                let plain = style == ScalarStyle::Plain && tag.is_none();
                if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == "str")) {
                    return Err(no_tag(&tag, place));
                }
                self.place(
                    Node { span: place, kind: Kind::Scalar { text: text.into_owned(), plain } },
                    anchor,
                )?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.enter(span, anchor, tag.as_deref(), OpenKind::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                let kind = OpenKind::Map { entries: Vec::new(), seen: HashMap::new(), key: None };
                self.enter(span, anchor, tag.as_deref(), kind)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let place = self.offsets.span(open.start, span.end);
                let kind = match open.kind {
                    OpenKind::List(items) => Kind::List(items),
                    OpenKind::Map { entries, .. } => Kind::Map(entries),
                };
                self.place(Node { span: place, kind }, open.anchor)?;
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        span: saphyr_parser::Span,
        anchor: usize,
        tag: Option<&saphyr_parser::Tag>,
        kind: OpenKind,
    ) -> Result<(), Fault> {
        let place = self.offsets.at(span.start);
        if let Some(tag) = tag {
            return Err(no_tag(tag, place));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.open.push(Open { start: span.start, anchor, kind });
        Ok(())
    }

    /// Counts a copy of a node.
    fn spend(&mut self, node: &Node, place: Span) -> Result<(), Fault> {
        self.aliased += node.weight();
        if self.aliased > MAX_ALIASED {
            return Err(Fault::new("the anchors and aliases of this file stand for too much").at(place));
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: into the list or map around it, or at the root.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        if anchor > 0 {
            // A copy is kept, so it counts as an alias does.
            self.spend(&node, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { entries, seen, key }) => match key.take() {
                Some((key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                None => {
                    let Kind::Scalar { text, plain } = node.kind else {
                        return Err(Fault::new("a key must be text").at(node.span));
                    };
                    if plain && text == "<<" {
                        return Err(Fault::new("a map is not merged into another one by `<<`")
                            .at(node.span)
                            .help("shared parts stand in a file of their own, and under `extends:`"));
                    }
                    if let Some(first) = seen.insert(text.clone(), node.span) {
                        return Err(Fault::new(format!("the key {} stands twice", shown(&text)))
                            .at(node.span)
                            .label("here again")
                            .other(first, "first here"));
                    }
                    *key = Some((text, node.span));
                }
            },
        }
        Ok(())
    }
}

fn too_deep(place: Span) -> Fault {
    Fault::new(format!("nested more than {MAX_DEPTH} deep")).at(place)
}

fn no_tag(tag: &saphyr_parser::Tag, place: Span) -> Fault {
    Fault::new(format!("the tag `{}{}` has no meaning here", tag.handle, tag.suffix)).at(place)
}
