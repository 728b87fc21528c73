//! A scenario file as it is written: where each value stands, in which style, and who else uses it.
//!
//! It knows nothing of the scenario language, and what an alias stands for it does not put in its place.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::scenario::place::{Step, YamlPath};

/// The documents of a file that hold something.
#[derive(Debug)]
pub(super) struct Source(pub(super) Vec<Document>);

/// A document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Part,
    /// The anchors that an alias names.
    used: BTreeSet<usize>,
}

/// A value as it is written.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its bytes; of a block scalar the parser does not say them all.
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
    anchor: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Scalar { text: String, style: ScalarStyle },
    List { items: Vec<Part>, flow: bool },
    Map { entries: Vec<(Key, Part)>, flow: bool },
    Alias(usize),
}

/// A key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Range<usize>,
    /// The column of its first character, from 0.
    pub(super) column: usize,
}

/// A value, and the key that it stands behind.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) part: &'a Part,
    pub(super) key: Option<&'a Key>,
    /// Whether it stands within brackets or braces.
    pub(super) flow: bool,
}

/// Why a value can't be changed where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotHere {
    /// The file does not say it.
    Absent,
    /// It is said by an alias.
    Alias,
    /// An alias elsewhere stands for it, or for something that it is part of.
    Shared,
}

struct Open {
    part: Part,
    key: Option<Key>,
    flow: bool,
}

struct Reader<'a> {
    text: &'a str,
    starts: Vec<usize>,
    open: Vec<Open>,
    root: Option<Part>,
    used: BTreeSet<usize>,
    documents: Vec<Document>,
}

impl Source {
    /// Reads a text; `None`: it is no YAML.
    pub(super) fn read(text: &str) -> Option<Self> {
        let starts = text.char_indices().map(|(start, _)| start).collect();
        let mut reader = Reader {
            text,
            starts,
            open: Vec::new(),
            root: None,
            used: BTreeSet::new(),
            documents: Vec::new(),
        };
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.ok()?;
            reader.event(event, span)?;
        }
        Some(Self(reader.documents))
    }
}

impl Reader<'_> {
    fn byte(&self, marker: Marker) -> usize {
        self.starts.get(marker.index()).copied().unwrap_or(self.text.len())
    }

    fn span(&self, start: Marker, end: Marker) -> Range<usize> {
        let from = self.byte(start);
        let to = self.byte(end).max(from);
        let whole = self.text.get(from..to).unwrap_or_default().trim_end();
        // An anchor or a tag stands before the value, and is no part of it.
        let mut rest = whole;
        while rest.starts_with(['&', '!']) {
            let after = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest = rest.get(after..).unwrap_or_default().trim_start();
        }
        from + (whole.len() - rest.len())..from + whole.len()
    }

    /// A scalar in quotes, without the comment that the parser counts to it.
    fn quoted(&self, place: Range<usize>) -> Option<Range<usize>> {
        let mut rest = self.text.get(place.clone())?.char_indices();
        let (_, quote) = rest.next()?;
        let mut rest = rest.peekable();
        while let Some((at, c)) = rest.next() {
            let doubled = quote == '\'' && rest.peek().is_some_and(|(_, next)| *next == quote);
            if c == '\\' && quote == '"' || c == quote && doubled {
                rest.next();
            } else if c == quote {
                return Some(place.start..place.start + at + 1);
            }
        }
        None
    }

    fn event(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> Option<()> {
        let place = self.span(span.start, span.end);
        let within = self.open.last().is_some_and(|open| open.flow);
        let begins = |c: char| within || self.text.get(place.start..).is_some_and(|text| text.starts_with(c));
        match event {
            Event::DocumentStart(_) => {
                self.root = None;
                self.used.clear();
            }
            Event::DocumentEnd => {
                let used = std::mem::take(&mut self.used);
                // As the scenario's own reader counts them.
                let root = self.root.take().filter(|root| !root.is_null());
                self.documents.extend(root.map(|root| Document { root, used }));
            }
            Event::Alias(anchor) => {
                self.used.insert(anchor);
                self.place(Part { span: place, kind: Kind::Alias(anchor), anchor: 0 }, span.start.col())?;
            }
            Event::Scalar(text, style, anchor, _) => {
                let place = match style {
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => self.quoted(place)?,
                    _ => place,
                };
                let kind = Kind::Scalar { text: text.into_owned(), style };
                self.place(Part { span: place, kind, anchor }, span.start.col())?;
            }
            Event::SequenceStart(anchor, _) => {
                let flow = begins('[');
                let part = Part { span: place, kind: Kind::List { items: Vec::new(), flow }, anchor };
                self.open.push(Open { part, key: None, flow });
            }
            Event::MappingStart(anchor, _) => {
                let flow = begins('{');
                let part = Part { span: place, kind: Kind::Map { entries: Vec::new(), flow }, anchor };
                self.open.push(Open { part, key: None, flow });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { mut part, .. } = self.open.pop()?;
                let end = self.byte(span.end).max(part.span.start);
                let whole = self.text.get(part.span.start..end).unwrap_or_default();
                part.span.end = part.span.start + whole.trim_end().len();
                self.place(part, 0)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
        }
        Some(())
    }

    fn place(&mut self, part: Part, column: usize) -> Option<()> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(part);
            return Some(());
        };
        match &mut open.part.kind {
            Kind::List { items, .. } => items.push(part),
            Kind::Map { entries, .. } => match open.key.take() {
                Some(key) => entries.push((key, part)),
                None => {
                    // A key that is an alias, or no text, is none that a path names.
                    let text = match part.kind {
                        Kind::Scalar { text, .. } => text,
                        _ => String::new(),
                    };
                    open.key = Some(Key { text, span: part.span, column });
                }
            },
            Kind::Scalar { .. } | Kind::Alias(_) => return None,
        }
        Some(())
    }
}

impl Part {
    fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, style: ScalarStyle::Plain }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

impl Document {
    /// The value at a path, if it is written there and for this place alone.
    pub(super) fn find(&self, path: &YamlPath) -> Result<Found<'_>, NotHere> {
        let mut found = Found { part: &self.root, key: None, flow: false };
        for step in &path.0 {
            self.own(found.part)?;
            found = match (&found.part.kind, step) {
                (Kind::Map { entries, flow }, Step::Key(name)) => {
                    let entry = entries.iter().find(|(key, _)| key.text == *name);
                    let (key, part) = entry.ok_or(NotHere::Absent)?;
                    Found { part, key: Some(key), flow: *flow }
                }
                (Kind::List { items, flow }, Step::Index(nth)) => {
                    Found { part: items.get(*nth).ok_or(NotHere::Absent)?, key: None, flow: *flow }
                }
                (Kind::Alias(_), _) => return Err(NotHere::Alias),
                _ => return Err(NotHere::Absent),
            };
        }
        if matches!(found.part.kind, Kind::Alias(_)) {
            return Err(NotHere::Alias);
        }
        self.own(found.part)?;
        Ok(found)
    }

    fn own(&self, part: &Part) -> Result<(), NotHere> {
        if part.anchor > 0 && self.used.contains(&part.anchor) { Err(NotHere::Shared) } else { Ok(()) }
    }

    /// Whether another document is the same but for the values at these paths; at those of `grown`, a list may be longer,
    /// or a key be new.
    pub(super) fn is_like(
        &self,
        other: &Self,
        changed: &BTreeMap<YamlPath, Option<String>>,
        grown: &[YamlPath],
    ) -> bool {
        like(&self.root, &other.root, &YamlPath::root(), changed, grown)
    }
}

fn like(
    one: &Part,
    other: &Part,
    at: &YamlPath,
    changed: &BTreeMap<YamlPath, Option<String>>,
    grown: &[YamlPath],
) -> bool {
    if let Some(wanted) = changed.get(at) {
        let Kind::Scalar { text, .. } = &other.kind else { return false };
        return wanted.as_ref().is_none_or(|wanted| wanted == text) && one.anchor == other.anchor;
    }
    one.anchor == other.anchor
        && match (&one.kind, &other.kind) {
            (Kind::Scalar { text, style }, Kind::Scalar { text: now, style: style_now }) => {
                text == now && style == style_now
            }
            (Kind::Alias(anchor), Kind::Alias(now)) => anchor == now,
            (Kind::List { items, .. }, Kind::List { items: now, .. }) => {
                let long = items.len() == now.len() || grown.contains(at) && items.len() < now.len();
                let mut pairs = items.iter().zip(now).enumerate();
                long && pairs.all(|(nth, (one, other))| like(one, other, &at.index(nth), changed, grown))
            }
            (Kind::Map { entries, .. }, Kind::Map { entries: now, .. }) => {
                let known = |key: &Key| entries.iter().any(|(other, _)| other.text == key.text);
                let mut rest =
                    now.iter().filter(|(key, _)| known(key) || !grown.contains(&at.key(&key.text)));
                let same = entries.iter().all(|(key, one)| {
                    rest.next().is_some_and(|(name, other)| {
                        name.text == key.text && like(one, other, &at.key(&key.text), changed, grown)
                    })
                });
                same && rest.next().is_none()
            }
            _ => false,
        }
}
