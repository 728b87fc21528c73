//! `extends`: the parts that scenarios share.
//!
//! What a document extends is put beneath it before anything is typed: maps are merged key by key, anything else is
//! replaced by what the document itself says. A shared part is no test of its own, and a reader sees that by its name:
//! its file, or a folder above it, begins with `_`, which [`discover`](super::discover) passes over.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;

use super::fault::{Fault, shown};
use super::load::read;
use super::place::{SourceFile, SourceMap, Span};
use super::tree::{Entry, Kind, Node};
use crate::lexical::plain;
use crate::schema::shape::{self, Shape, Shaped};

/// So many files can stand above each other.
const MAX_DEPTH: usize = 8;
/// So many can stand beneath one document: a few that extend each other could otherwise stand for billions.
const MAX_PARTS: usize = 100;
/// What all documents of a file may weigh with what they extend.
const MAX_WEIGHT: usize = 64 << 20;

/// The folder whose files the scenarios beneath `root` may name: their project's, which is the nearest folder above them
/// with a `.git` or a `Cargo.lock`; or else the one that a folder called `scenarios` lies in, which holds what these test; or
/// else `root` itself. It is the same whether a scenario is run alone or with others.
pub(super) fn project(root: &Path) -> PathBuf {
    // Above `x.yaml` stands nothing by its text; and beneath nothing lies everything.
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let whole = || std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let root = root.canonicalize().unwrap_or_else(|_| whole());
    let marked = |folder: &&Path| [".git", "Cargo.lock"].iter().any(|mark| folder.join(mark).exists());
    let scenarios = |folder: &&Path| folder.file_name().is_some_and(|name| name == "scenarios");
    // Never the root of all.
    let above = |folder: &Path| folder.parent().filter(|above| above.parent().is_some()).map(Path::to_owned);
    let found = root.ancestors().find(marked).map(Path::to_owned);
    found.or_else(|| root.ancestors().find(scenarios).and_then(above)).unwrap_or(root)
}

/// Whether a scenario whose file lies in this folder may name the path without more ado.
pub(crate) fn is_in_project(folder: &Path, path: &Path) -> bool {
    let leads = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    leads.starts_with(project(folder))
}

/// Why a file that is named can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NamedError {
    #[error("{0} can't be found: {1}\nlooked for at {2}")]
    Missing(String, String, String),
    #[error("{0} lies outside of the project, which is {1}")]
    Outside(String, String),
}

/// A file that a scenario in `folder` names, without links in its path.
pub(super) fn named(folder: &Path, text: &str, project: Option<&Path>) -> Result<PathBuf, NamedError> {
    let path = folder.join(text);
    let found = path.canonicalize();
    // Where it leads decides; of what is not there, what the text says: whether it is there is not told of what lies outside.
    let leads = found.as_ref().map_or_else(|_| said(folder, text), PathBuf::clone);
    if let Some(project) = project.filter(|project| !leads.starts_with(project)) {
        return Err(NamedError::Outside(shown(text), project.display().to_string()));
    }
    found.map_err(|error| NamedError::Missing(shown(text), error.to_string(), leads.display().to_string()))
}

/// Where a path leads if no part of it is a link.
fn said(folder: &Path, text: &str) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    plain(&folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).join(text))
}

/// Puts beneath each document what it extends. Whatever is wrong, at its place.
pub(super) fn extend(source: &mut SourceMap, project: &Path) -> Result<(), Vec<Fault>> {
    if source.documents.iter().all(|document| document.entry("extends").is_none()) {
        return Ok(());
    }
    let mut extending =
        Extending { project, files: source.files.clone(), read: HashMap::new(), parts: 0, weight: 0 };
    let own = source.files.first().and_then(|file| file.path.canonicalize().ok());
    let mut faults = Vec::new();
    for document in &mut source.documents {
        extending.parts = 0;
        let mut above: Vec<PathBuf> = own.clone().into_iter().collect();
        match extending.whole(document, &mut above) {
            Ok(whole) => *document = Arc::new(whole),
            Err(fault) => faults.push(fault),
        }
    }
    source.files = extending.files;
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// A shared part or several: files, relative to the one that says so, beginning with `_` or beneath a folder that does.
#[derive(JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub(super) enum Extended {}

impl Shape for Extended {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        let file = shape::text_like("^[^/]");
        shape::any_of([file.clone(), json_schema!({ "type": "array", "items": file, "minItems": 1 })])
    }
}

struct Extending<'a> {
    project: &'a Path,
    files: Vec<SourceFile>,
    /// Files that were read, by where they lie.
    read: HashMap<PathBuf, Arc<Node>>,
    parts: usize,
    weight: usize,
}

impl Extending<'_> {
    /// A document with all that it extends. `above`: the files that led here, its own the last.
    fn whole(&mut self, document: &Node, above: &mut Vec<PathBuf>) -> Result<Node, Fault> {
        let Some(entry) = document.entry("extends") else { return self.weigh(document.clone()) };
        let items = match &entry.value.kind {
            Kind::List(items) if items.is_empty() => {
                return Err(Fault::new("`extends` names no file").at(entry.value.span));
            }
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        let mut whole: Option<Node> = None;
        for item in items {
            let part = self.part(item, above)?;
            whole = Some(match whole {
                Some(before) => merge(before, &part),
                None => part,
            });
        }
        let own = without(document, "extends");
        let whole = match whole {
            Some(before) => merge(before, &own),
            None => own,
        };
        self.weigh(whole)
    }

    fn weigh(&mut self, node: Node) -> Result<Node, Fault> {
        self.weight += node.weight();
        if self.weight > MAX_WEIGHT {
            return Err(Fault::new("what this file extends stands for too much").at(node.span));
        }
        Ok(node)
    }

    /// One file of `extends`, with all that it extends.
    fn part(&mut self, item: &Node, above: &mut Vec<PathBuf>) -> Result<Node, Fault> {
        let wrong = |title: String| Fault::new(title).at(item.span);
        let Kind::Scalar { text, .. } = &item.kind else {
            return Err(wrong("expected a file, or a list of files".to_owned()));
        };
        if text.is_empty() || item.is_null() {
            return Err(wrong("`extends` names no file".to_owned()));
        }
        if text.starts_with('/') {
            return Err(wrong(format!(
                "{} is an absolute path: a shared part lies in the project",
                shown(text)
            ))
            .help("write it relative to the folder of this file"));
        }
        if text.contains('$') {
            return Err(wrong("`extends` is read before any variable is known".to_owned()));
        }
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(wrong(format!("more than {MAX_PARTS} files stand beneath this scenario")));
        }
        if above.len() > MAX_DEPTH {
            return Err(wrong(format!("files extend each other more than {MAX_DEPTH} deep")));
        }
        let folder = self.file(item.span).and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let path =
            named(&folder, text, Some(self.project)).map_err(|error| Fault::custom(error).at(item.span))?;
        if above.contains(&path) {
            return Err(wrong(format!("{} extends itself", shown(text)))
                .note("a file can't stand beneath itself, nor beneath one that it extends"));
        }
        let inside = path.strip_prefix(self.project).unwrap_or(&path);
        let marked = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b"_");
        if !inside.components().any(marked) {
            return Err(wrong(format!("{} is a test of its own, and no shared part", shown(text)))
                .help("a shared part lies in a file, or a folder, whose name begins with `_`"));
        }
        let shown = plain(&folder.join(text));
        let part = self.read(&path, shown, item.span)?;
        above.push(path);
        let whole = self.whole(&part, above);
        above.pop();
        whole
    }

    /// The file in which something stands.
    fn file(&self, span: Span) -> Option<&Path> {
        self.files.get(span.file).map(|file| &*file.path)
    }

    fn read(&mut self, path: &Path, shown: PathBuf, asked: Span) -> Result<Arc<Node>, Fault> {
        if let Some(node) = self.read.get(path) {
            return Ok(Arc::clone(node));
        }
        let index = self.files.len();
        let unread = |title: &str| Fault::new(title.to_owned()).at(asked);
        let source = match read(path, index) {
            Ok(source) => source,
            Err(unreadable) if unreadable.text.is_empty() => return Err(unreadable.fault.or_at(asked)),
            Err(unreadable) => {
                self.files.push(SourceFile { path: shown, text: unreadable.text });
                return Err(unreadable.fault.or_at(asked));
            }
        };
        let text = Arc::clone(source.text());
        self.files.push(SourceFile { path: shown, text });
        let [document] = source.documents.as_slice() else {
            let fault = match source.documents.get(1) {
                None => unread("the file is empty: there is nothing to extend"),
                Some(second) => Fault::new("a file that is extended is one document").at(second.span),
            };
            return Err(fault);
        };
        if !matches!(document.kind, Kind::Map(_)) {
            return Err(Fault::new("expected a map: parts of a scenario").at(document.span));
        }
        if let Some(name) = document.entry("name") {
            return Err(Fault::new("a shared part has no `name`: it is no test").at(name.key_span));
        }
        // What it says of itself is not about those that extend it.
        let part = Arc::new(without(document, "about"));
        self.read.insert(path.to_owned(), Arc::clone(&part));
        Ok(part)
    }
}

fn without(map: &Node, key: &str) -> Node {
    let Kind::Map(entries) = &map.kind else { return map.clone() };
    let rest = entries.iter().filter(|entry| entry.key != key).cloned().collect();
    Node { span: map.span, kind: Kind::Map(rest) }
}

/// `over` on top of `under`: maps key by key, anything else is `over`.
fn merge(under: Node, over: &Node) -> Node {
    let (Kind::Map(mut entries), Kind::Map(own)) = (under.kind, &over.kind) else { return over.clone() };
    for entry in own {
        match entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => {
                let before = std::mem::replace(
                    &mut known.value,
                    Node { span: entry.value.span, kind: Kind::List(Vec::new()) },
                );
                *known = Entry { value: merge(before, &entry.value), ..entry.clone() };
            }
            None => entries.push(entry.clone()),
        }
    }
    Node { span: over.span, kind: Kind::Map(entries) }
}

#[cfg(test)]
mod tests {
    use super::super::tree::parse;
    use super::*;

    #[test]
    fn where_a_link_leads_decides() {
        let (project, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = project.path().canonicalize().unwrap();
        std::fs::write(outside.path().join("_x.yaml"), "repeat: 2").unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("_shared")).unwrap();
        let refused = named(&root, "_shared/_x.yaml", Some(&root));
        assert!(matches!(refused, Err(NamedError::Outside(..))), "{refused:?}");
        assert!(named(&root, "_shared/_x.yaml", None).is_ok());
    }

    #[test]
    fn a_project_is_the_same_for_a_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("tests/scenarios/deep")).unwrap();
        assert_eq!(project(&root.join("tests")), root.join("tests"));
        // What `scenarios` lies in is what they test.
        for part in ["tests/scenarios", "tests/scenarios/deep"] {
            assert_eq!(project(&root.join(part)), root.join("tests"));
        }
        assert_eq!(project(Path::new("/scenarios")), Path::new("/scenarios"));
        assert!(project(Path::new("")).is_absolute());
        std::fs::write(root.join("Cargo.lock"), "").unwrap();
        for part in ["tests", "tests/scenarios", "tests/scenarios/deep"] {
            assert_eq!(project(&root.join(part)), root);
        }
    }

    #[test]
    fn a_project_is_never_everything() {
        for spelling in ["", ".", "no/such/folder"] {
            assert!(project(Path::new(spelling)).file_name().is_some(), "{spelling}");
        }
    }

    #[test]
    fn maps_are_merged_and_anything_else_is_replaced() {
        let node = |yaml: &str| (*parse(yaml).unwrap().documents[0]).clone();
        let under = node("a: { x: 1, y: [1, 2] }\nb: text\nc: { z: 1 }");
        let whole = merge(under, &node("a: { y: [3], w: 4 }\nb: { now: map }\nc: text\nd: 5"));
        let value: serde_json::Value = super::super::deserialize::typed(&whole).unwrap();
        let wanted = serde_json::json!({
            "a": { "x": 1, "y": [3], "w": 4 }, "b": { "now": "map" }, "c": "text", "d": 5
        });
        assert_eq!(value, wanted);
    }
}
