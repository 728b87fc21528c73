//! `each`: a matrix. Every cell becomes a scenario of its own.
//!
//! A cell is put into the tree before it is typed, so that any scalar may name an axis, as `$axis` (or `${axis}` where
//! a letter follows). A scalar that is nothing but the axis takes its value as it stands, number or text. `$$axis` is
//! the text `$axis`. Dollars before anything else are left to those who have a use for them: scripts, patterns.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::calls::{self, Calls};
use super::document::MAX_FAULTS;
use super::fault::{Fault, listed, nearest, shown};
use super::template::{Piece, is_name, pieces};
use super::tree::{Entry, Kind, Node};
use crate::schema::shape::{self, Shape, Shaped};

/// The most cells of one matrix.
const MAX_CELLS: usize = 1000;
/// The most axes of one matrix: each cell has a value of every one.
const MAX_AXES: usize = 32;
/// The most bytes that axes may become in one cell: a short text could otherwise grow without bounds.
const MAX_GROWN: usize = 1 << 20;

/// A matrix: axes, each with its values. Every cell is a test of its own, in which `$axis` stands for the axis's value.
#[derive(JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub(super) enum Matrix {}

impl Shape for Matrix {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let name = "^[a-z][a-z0-9_]{0,63}$";
        let value = generator.subschema_for::<String>();
        let values = json_schema!({ "type": "array", "items": value, "minItems": 1 });
        let axis = shape::any_of([shape::words(calls::written_families()), values]);
        let cell = json_schema!({
            "type": "object", "patternProperties": { name: value }, "additionalProperties": false
        });
        let cells = |what: &str| json_schema!({ "description": what, "type": "array", "items": cell });
        json_schema!({
            "type": "object",
            "properties": {
                "include": cells("Further cells, each with a value of every axis."),
                "exclude": cells("Cells that are left out: those with these values.")
            },
            "patternProperties": { format!("^(?!(include|exclude)$){}", name.trim_start_matches('^')): axis },
            "additionalProperties": false,
            "minProperties": 1
        })
    }
}

/// One cell: each axis, in the file's order, with its value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cell(Vec<(String, Arc<Node>)>);

impl Cell {
    fn get(&self, axis: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == axis).map(|(_, value)| &**value)
    }

    /// As the test's name shows it.
    pub(super) fn shown(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|(axis, value)| {
                let text = text(value).unwrap_or_default();
                // One line, and short enough to be typed on a command line.
                let shown: String = text.chars().take(60).flat_map(visible).collect();
                (axis.clone(), shown)
            })
            .collect()
    }
}

/// As at the end of a test's name: `[axis=value,axis2=value]`.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.shown().iter().map(|(axis, value)| format!("{axis}={value}")).collect();
        write!(f, "[{}]", shown.join(","))
    }
}

fn visible(c: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if c.is_control() { (None, Some(c.escape_default())) } else { (Some(c), None) };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar { text, .. } if !node.is_null() => Some(text),
        _ => None,
    }
}

/// The cells of a document; one without axes if it has no `each`.
pub(super) fn cells(document: &Node) -> Result<Vec<Cell>, Fault> {
    let Some(each) = document.entry("each") else { return Ok(vec![Cell(Vec::new())]) };
    let Kind::Map(entries) = &each.value.kind else {
        return Err(Fault::new("expected a map of axes, each with a list of values").at(each.value.span));
    };
    let mut cells = vec![Cell(Vec::new())];
    let (axes, rest): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| !matches!(entry.key.as_str(), "include" | "exclude"));
    few_axes(&axes)?;
    for entry in &axes {
        axis_name(entry)?;
        let values = axis_values(entry)?;
        if cells.len() * values.len() > MAX_CELLS {
            return Err(Fault::new(format!("the matrix has more than {MAX_CELLS} cells")).at(entry.key_span));
        }
        cells = cells
            .iter()
            .flat_map(|cell| {
                values.iter().map(|value| {
                    let mut axes = cell.0.clone();
                    axes.push((entry.key.clone(), Arc::clone(value)));
                    Cell(axes)
                })
            })
            .collect();
    }
    if axes.is_empty() {
        cells.clear();
    }
    let part = |key: &str| rest.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    if let Some(exclude) = part("exclude") {
        for (item, excluded) in listed_cells(exclude)? {
            let before = cells.len();
            if let Some((axis, _)) =
                excluded.0.iter().find(|(axis, _)| axes.iter().all(|entry| entry.key != *axis))
            {
                return Err(no_such_axis(axis, item, &axes));
            }
            cells.retain(|cell| {
                !excluded.0.iter().all(|(axis, value)| cell.get(axis).and_then(text) == text(value))
            });
            if cells.len() == before {
                return Err(Fault::new("no cell is like this, so nothing is excluded").at(item.span));
            }
        }
    }
    if let Some(include) = part("include") {
        for (item, mut included) in listed_cells(include)? {
            let order = |name: &String| axes.iter().position(|entry| entry.key == *name);
            if let Some((axis, _)) =
                included.0.iter().find(|(axis, _)| !axes.is_empty() && order(axis).is_none())
            {
                return Err(no_such_axis(axis, item, &axes));
            }
            if let Some(entry) = axes.iter().find(|entry| included.get(&entry.key).is_none()) {
                return Err(
                    Fault::new(format!("this cell has no value for the axis `{}`", entry.key)).at(item.span)
                );
            }
            included.0.sort_by_key(|(axis, _)| order(axis));
            if cells.len() >= MAX_CELLS {
                return Err(Fault::new(format!("the matrix has more than {MAX_CELLS} cells")).at(item.span));
            }
            cells.push(included);
        }
    }
    let mut names = BTreeSet::new();
    for cell in &cells {
        if !names.insert(cell.shown()) {
            return Err(Fault::new(format!("two cells are both called {cell}")).at(each.key_span));
        }
    }
    if cells.is_empty() {
        return Err(Fault::new("the matrix has no cell, so nothing would be tested").at(each.key_span));
    }
    Ok(cells)
}

fn few_axes(axes: &[&Entry]) -> Result<(), Fault> {
    match axes.get(MAX_AXES) {
        Some(entry) => {
            Err(Fault::new(format!("the matrix has more than {MAX_AXES} axes")).at(entry.key_span))
        }
        None => Ok(()),
    }
}

fn no_such_axis(axis: &str, item: &Node, axes: &[&Entry]) -> Fault {
    let known: Vec<&str> = axes.iter().map(|entry| entry.key.as_str()).collect();
    let span = item.entry(axis).map_or(item.span, |entry| entry.key_span);
    Fault::new(format!("there is no axis {}", shown(axis)))
        .at(span)
        .meant(axis, known.iter().copied())
        .note(format!("axes: {}", listed(known)))
}

fn axis_name(entry: &Entry) -> Result<(), Fault> {
    let mut letters = entry.key.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_lowercase());
    if first
        && entry.key.len() <= 64
        && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    {
        return Ok(());
    }
    Err(Fault::new(format!("{} can't be the name of an axis", shown(&entry.key)))
        .at(entry.key_span)
        .help("an axis is named in small letters, digits and `_`, beginning with a letter"))
}

/// An axis's values: a list of scalars, or `family(NAME)` for every spelling of an operation.
fn axis_values(entry: &Entry) -> Result<Vec<Arc<Node>>, Fault> {
    let value = &entry.value;
    match &value.kind {
        Kind::List(items) if items.is_empty() => Err(Fault::new("an axis needs a value").at(value.span)),
        Kind::List(items) => {
            if let Some(item) = items.iter().find(|item| text(item).is_none()) {
                return Err(
                    Fault::new("a value of an axis is a text, a number, `true` or `false`").at(item.span)
                );
            }
            Ok(items.iter().cloned().map(Arc::new).collect())
        }
        Kind::Scalar { text, .. } if text.starts_with("family(") => {
            let calls: Calls =
                text.parse().map_err(|error| <Fault as serde::de::Error>::custom(error).at(value.span))?;
            let node = |name: &str| {
                let kind = Kind::Scalar { text: name.to_owned(), plain: true };
                Arc::new(Node { span: value.span, kind })
            };
            Ok(calls.calls().iter().map(|call| node(call.name())).collect())
        }
        _ => Err(Fault::new("expected a list of values").at(value.span)),
    }
}

/// The items of `include` or `exclude`.
fn listed_cells(node: &Node) -> Result<Vec<(&Node, Cell)>, Fault> {
    let Kind::List(items) = &node.kind else {
        return Err(Fault::new("expected a list of cells").at(node.span));
    };
    items
        .iter()
        .map(|item| {
            let Kind::Map(entries) = &item.kind else {
                return Err(Fault::new("expected a map of axes, each with its value").at(item.span));
            };
            few_axes(&entries.iter().collect::<Vec<_>>())?;
            let axes = entries.iter().map(|entry| {
                axis_name(entry)?;
                if text(&entry.value).is_none() {
                    return Err(Fault::new("a value of an axis is a text, a number, `true` or `false`")
                        .at(entry.value.span));
                }
                Ok((entry.key.clone(), Arc::new(entry.value.clone())))
            });
            Ok((item, Cell(axes.collect::<Result<_, _>>()?)))
        })
        .collect()
}

/// Keys in which a variable that is not known can only be a mistake. Elsewhere stand scripts, files and patterns.
const STRICT: &[&str] = &["policy", "env", "attempt", "needs", "deterministic", "repeat", "without", "name"];

/// Puts a cell into a document.
pub(super) struct Substitution<'a> {
    cell: &'a Cell,
    used: BTreeSet<&'a str>,
    grown: usize,
}

impl<'a> Substitution<'a> {
    pub(super) fn new(cell: &'a Cell) -> Self {
        Self { cell, used: BTreeSet::new(), grown: 0 }
    }

    /// The document with the cell's values, without `each`; and each variable in it that nobody knows.
    pub(super) fn apply(mut self, document: &Node) -> Result<(Arc<Node>, Vec<Fault>), Fault> {
        let Kind::Map(entries) = &document.kind else {
            return Ok((Arc::new(document.clone()), Vec::new()));
        };
        let mut unknown = Vec::new();
        let mut out = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|entry| entry.key != "each") {
            let strict = STRICT.contains(&entry.key.as_str());
            let value = self.node(&entry.value, strict)?;
            if strict {
                self.check(&value, entry.key == "policy", &mut unknown);
            }
            out.push(Entry { value, ..entry.clone() });
        }
        for (axis, value) in &self.cell.0 {
            // Who misspelt it doesn't use it either.
            if unknown.is_empty() && !self.used.contains(axis.as_str()) {
                let span = document
                    .get("each")
                    .and_then(|each| each.entry(axis))
                    .map_or(value.span, |entry| entry.key_span);
                return Err(Fault::new(format!("nothing uses the axis `{axis}`"))
                    .at(span)
                    .help(format!("a value takes it in as `${axis}`")));
            }
        }
        Ok((Arc::new(Node { span: document.span, kind: Kind::Map(out) }), unknown))
    }

    fn node(&mut self, node: &Node, strict: bool) -> Result<Node, Fault> {
        let kind = match &node.kind {
            Kind::Scalar { text, plain } => {
                let mut parts = pieces(text);
                match (parts.next(), parts.next()) {
                    (Some(Piece::Variable { name, .. }), None) if self.cell.get(name).is_some() => {
                        let value = self.take(name).unwrap_or(node);
                        self.grow(value.weight(), node)?;
                        value.kind.clone()
                    }
                    _ => Kind::Scalar { text: self.text(text, strict, node)?, plain: *plain },
                }
            }
            Kind::List(items) => {
                Kind::List(items.iter().map(|item| self.node(item, strict)).collect::<Result<_, _>>()?)
            }
            Kind::Map(entries) => {
                let mut out: Vec<Entry> = Vec::with_capacity(entries.len());
                let mut seen = BTreeSet::new();
                for entry in entries {
                    let key = self.text(&entry.key, strict, node)?;
                    if !seen.insert(key.clone()) {
                        return Err(Fault::new(format!("the key {} stands twice in this cell", shown(&key)))
                            .at(entry.key_span));
                    }
                    let value = self.node(&entry.value, strict)?;
                    out.push(Entry { key, key_span: entry.key_span, value });
                }
                Kind::Map(out)
            }
        };
        Ok(Node { span: node.span, kind })
    }

    fn take(&mut self, axis: &str) -> Option<&'a Node> {
        let (name, value) = self.cell.0.iter().find(|(name, _)| name == axis)?;
        self.used.insert(name);
        Some(value)
    }

    fn text(&mut self, written: &str, strict: bool, node: &Node) -> Result<String, Fault> {
        if self.cell.0.is_empty() || !written.contains('$') {
            return Ok(written.to_owned());
        }
        let mut out = String::with_capacity(written.len());
        let mut parts = pieces(written).peekable();
        while let Some(part) = parts.next() {
            match part {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable { name, written } => match self.take(name).and_then(text) {
                    Some(value) => {
                        self.grow(value.len(), node)?;
                        out.push_str(value);
                    }
                    None => out.push_str(written),
                },
                Piece::Dollar => {
                    let after = match parts.peek() {
                        Some(Piece::Text(text)) => *text,
                        _ => "",
                    };
                    // Where templates are expanded later, they take the dollar then.
                    let escapes = !strict && self.cell.0.iter().any(|(axis, _)| is_name(after, axis));
                    out.push_str(if escapes { "$" } else { "$$" });
                }
            }
        }
        Ok(out)
    }

    fn grow(&mut self, by: usize, node: &Node) -> Result<(), Fault> {
        self.grown += by;
        if self.grown > MAX_GROWN {
            return Err(Fault::new("the axes of this cell stand for too much").at(node.span));
        }
        Ok(())
    }

    /// Every variable is known; what is wrong with those that aren't.
    fn check(&self, node: &Node, policy: bool, unknown: &mut Vec<Fault>) {
        match &node.kind {
            Kind::Scalar { text, .. } => {
                let wrong = pieces(text).find_map(|piece| match piece {
                    Piece::Variable { name, written } => self.unknown(name, written, policy),
                    _ => None,
                });
                // More of a file than is shown of it is not held.
                if unknown.len() < MAX_FAULTS {
                    unknown.extend(wrong.map(|fault| fault.at(node.span)));
                }
            }
            Kind::List(items) => items.iter().for_each(|item| self.check(item, policy, unknown)),
            Kind::Map(entries) => entries.iter().for_each(|entry| self.check(&entry.value, policy, unknown)),
        }
    }

    fn unknown(&self, name: &str, written: &str, policy: bool) -> Option<Fault> {
        if name == "WORK" || (policy && name == "SYSTEM") {
            return None;
        }
        let axes = self.cell.0.iter().map(|(axis, _)| axis.as_str());
        let known: Vec<&str> = axes.chain(["WORK"]).chain(policy.then_some("SYSTEM")).collect();
        let fault = Fault::new(format!("`{written}` is not known here"));
        let fault = match nearest(name, known.iter().copied()) {
            Some(near) => fault.label(format!("did you mean `${near}`?")),
            None => fault,
        };
        let known: Vec<String> = known.iter().map(|name| format!("${name}")).collect();
        let fault = fault.note(format!("known: {}", listed(known.iter().map(String::as_str))));
        Some(fault.help("for a dollar itself write `$$`"))
    }
}
