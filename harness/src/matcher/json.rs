//! Parts of a JSON text against their patterns.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::Finding;
use super::text::{self, cut};
use crate::scenario::expect::{JsonPattern, Pointer, Redactions, TextPattern};
use crate::scenario::place::YamlPath;

/// What is wrong with the parts of a text. `name` is what it is called.
pub(super) fn judge(
    wanted: &BTreeMap<Pointer, JsonPattern>,
    seen: &str,
    name: &str,
    at: &YamlPath,
    names: &Redactions,
) -> Vec<Finding> {
    let whole: Value = match serde_json::from_str(seen) {
        Ok(whole) => whole,
        Err(error) => {
            let finding = Finding::new(format!("{name} is not JSON: {error}"), at.clone(), "wanted here");
            return vec![finding.note(text::excerpt(seen, name))];
        }
    };
    let parts = wanted.iter().flat_map(|(pointer, pattern)| {
        let here = at.key(pointer.as_str());
        match whole.pointer(pointer.as_str()) {
            Some(value) => part(pattern, value, pointer, name, &here, names),
            None => {
                let title = format!("{name} has nothing at {}", pointer.as_str());
                vec![Finding::new(title, here, "not there").note(nearest(&whole, pointer))]
            }
        }
    });
    parts.collect()
}

fn part(
    pattern: &JsonPattern,
    value: &Value,
    pointer: &Pointer,
    name: &str,
    at: &YamlPath,
    names: &Redactions,
) -> Vec<Finding> {
    let called =
        format!("{} of {name}", if pointer.as_str().is_empty() { "the whole" } else { pointer.as_str() });
    let fits = match (pattern, value) {
        (JsonPattern::Null, Value::Null) => true,
        (JsonPattern::Bool(wanted), Value::Bool(seen)) => wanted == seen,
        (JsonPattern::Number(wanted), Value::Number(seen)) => same(wanted, seen),
        (JsonPattern::Text(wanted), Value::String(seen)) => {
            return text::judge(wanted, seen, &called, at, names);
        }
        (JsonPattern::Text(wanted @ TextPattern::Tests(_)), other) => {
            return text::judge(wanted, &other.to_string(), &called, at, names);
        }
        _ => false,
    };
    if fits {
        return Vec::new();
    }
    let title = format!("{called} is {}", cut(&value.to_string()));
    vec![Finding::new(title, at.clone(), format!("{pattern} is wanted"))]
}

fn same(one: &Number, other: &Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one == other,
        _ => one.as_f64() == other.as_f64(),
    }
}

/// How far a pointer leads, and what is there.
fn nearest(whole: &Value, pointer: &Pointer) -> String {
    let mut way = pointer.as_str();
    while let Some(end) = way.rfind('/') {
        way = way.get(..end).unwrap_or_default();
        let Some(value) = whole.pointer(way) else { continue };
        let there = match value {
            Value::Object(map) if map.is_empty() => "an empty object".to_owned(),
            Value::Object(map) => {
                let keys: Vec<String> = map.keys().take(10).map(|key| format!("{key:?}")).collect();
                let more = if map.len() > 10 { ", ..." } else { "" };
                format!("an object with {}{more}", keys.join(", "))
            }
            Value::Array(items) => format!("a list of {}", items.len()),
            other => other.to_string(),
        };
        let way = if way.is_empty() { "the whole" } else { way };
        return format!("nearest: {way} is {}", cut(&there));
    }
    format!("it is {}", cut(&whole.to_string()))
}
