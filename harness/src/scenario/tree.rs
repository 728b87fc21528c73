//! A YAML document as a tree in which every node knows its place.
#![forbid(unsafe_code)]

use super::place::{Span, Step};

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
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }
}
