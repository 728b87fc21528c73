//! Where each part of a file stands.
//!
//! It places; it never interprets.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::tree::{Kind, Node};

/// One step from a node to a node within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The value of this key.
    Key(String),
    /// The item at this place, from 0.
    Index(usize),
}

/// The way from a document to one of its parts: `expect.verdicts.sees[1].path`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct YamlPath(pub Vec<Step>);

impl YamlPath {
    /// The document itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The value of `key` within this.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.with(Step::Key(key.into()))
    }

    /// The item `index` within this.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

/// From `["expect", "exit"]`.
impl<const N: usize> From<[&str; N]> for YamlPath {
    fn from(keys: [&str; N]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }
}

impl fmt::Display for YamlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A piece of a file: bytes `start..end`, beginning at this line and column (both from 1, the column in characters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// The line of the first byte.
    pub line: usize,
    /// The column of the first byte.
    pub column: usize,
    /// Of which file: 0 is the scenario's own, the others are those that it extends.
    pub file: usize,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// As a reader would name it.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
}

/// A scenario file and those that it extends, and where everything in them stands.
#[derive(Debug)]
pub struct SourceMap {
    /// The file itself, and then those that it extends.
    pub(super) files: Vec<SourceFile>,
    pub(super) documents: Vec<Arc<Node>>,
}

impl SourceMap {
    /// The file's text.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        static NONE: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| Arc::from(""));
        self.files.first().map_or(&NONE, |file| &file.text)
    }

    /// The file in which something stands; of what stands nowhere, the file itself.
    #[must_use]
    pub fn file(&self, span: Option<Span>) -> Option<&SourceFile> {
        self.files.get(span.map_or(0, |span| span.file))
    }

    /// The value at `path` in a document, or the nearest part around it.
    #[must_use]
    pub fn span(&self, document: usize, path: &YamlPath) -> Option<Span> {
        self.places(document, path).map(|(_, value)| value)
    }

    /// The key at `path` (for an item of a list: the item), or the nearest part around it.
    #[must_use]
    pub fn key_span(&self, document: usize, path: &YamlPath) -> Option<Span> {
        self.places(document, path).map(|(key, _)| key)
    }

    /// Whether a document of the file extends another file.
    #[must_use]
    pub fn extends(&self) -> bool {
        self.files.len() > 1
    }

    /// Whether a document has this part.
    #[must_use]
    pub fn has(&self, document: usize, path: &YamlPath) -> bool {
        let root = self.documents.get(document).map(|root| &**root);
        path.0
            .iter()
            .try_fold(root, |node, step| Some(node?.step(step).map(|(_, next)| next)))
            .flatten()
            .is_some()
    }

    /// Every scalar of a document, with the way to it.
    #[must_use]
    pub fn texts(&self, document: usize) -> Vec<(YamlPath, &str)> {
        fn visit<'a>(node: &'a Node, path: &YamlPath, found: &mut Vec<(YamlPath, &'a str)>) {
            match &node.kind {
                Kind::Scalar { text, .. } => found.push((path.clone(), text)),
                Kind::List(items) => {
                    items.iter().enumerate().for_each(|(nth, item)| visit(item, &path.index(nth), found));
                }
                Kind::Map(entries) => {
                    entries.iter().for_each(|entry| visit(&entry.value, &path.key(&*entry.key), found));
                }
            }
        }
        let mut found = Vec::new();
        if let Some(root) = self.documents.get(document) {
            visit(root, &YamlPath::root(), &mut found);
        }
        found
    }

    fn places(&self, document: usize, path: &YamlPath) -> Option<(Span, Span)> {
        let mut node: &Node = self.documents.get(document)?;
        let mut found = (node.span, node.span);
        for step in &path.0 {
            let Some((key, next)) = node.step(step) else { break };
            found = (key.unwrap_or(next.span), next.span);
            node = next;
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::parse;
    use super::*;

    #[test]
    fn everything_has_its_place() {
        let text = "a: ä\n---\nexpect:\n  verdicts:\n    sees:\n      - { call: open }\n      - { call: openat, path: \"/é\" }\nstdin: |\n  one\n  two\n\nlast: x\n";
        let map = parse(text).unwrap();
        let sees = YamlPath::from(["expect", "verdicts", "sees"]);
        let path = sees.index(1).key("path");
        assert_eq!(path.to_string(), "expect.verdicts.sees[1].path");
        let slice = |span: Span| &text[span.start..span.end];
        let value = map.span(1, &path).unwrap();
        assert_eq!((slice(value), value.line, value.column), ("\"/é\"", 7, 31));
        assert_eq!(slice(map.key_span(1, &path).unwrap()), "path");
        assert_eq!(slice(map.key_span(1, &sees).unwrap()), "sees");
        assert_eq!(slice(map.span(1, &sees.index(0)).unwrap()), "{ call: open }");
        // The nearest part around what is not there.
        assert_eq!(
            slice(map.span(1, &sees.index(1).key("errno").key("x")).unwrap()),
            "{ call: openat, path: \"/é\" }"
        );
        assert_eq!(slice(map.key_span(1, &sees.index(7)).unwrap()), "sees");
        assert_eq!(slice(map.span(1, &YamlPath::from(["stdin"])).unwrap()), "one\n  two");
        assert_eq!(slice(map.span(0, &YamlPath::from(["a"])).unwrap()), "ä");
        assert_eq!(map.span(2, &path), None);
    }
}
