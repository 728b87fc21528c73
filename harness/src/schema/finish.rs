//! What holds everywhere in the language, put into a schema that was derived from types: nothing can be null, any scalar is text,
//! and an axis can stand for any scalar.
//!
//! It knows no key of the language.
#![forbid(unsafe_code)]

use serde_json::{Map, Value, json};

/// The definition of what stands for a value of an axis.
const AXIS: &str = "Axis";

/// Where an axis stands in a text.
const NAMED: &str = r"\$\{?[a-z]";

/// Finishes a whole schema.
pub(super) fn finish(root: &mut Value) {
    visit(root);
    let Some(definitions) = root.get_mut("definitions").and_then(Value::as_object_mut) else { return };
    definitions.insert(
        AXIS.to_owned(),
        json!({ "description": "A value of an axis of `each`.", "type": "string", "pattern": NAMED }),
    );
}

/// A schema and those within it.
fn visit(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    plain(map);
    not_null(map);
    for key in ["properties", "patternProperties", "definitions"] {
        for inner in map.get_mut(key).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            visit(inner);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(key) {
            visit(inner);
        }
    }
    for inner in map.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        visit(inner);
    }
    text(map);
    describe(map);
    open_to_axes(map);
    let scalar = map.contains_key("anyOf") || map.contains_key("oneOf");
    if scalar {
        forms(map)
    } else if strict(map) {
        wrap(map)
    }
}

/// Without what is of use to a program alone.
fn plain(map: &mut Map<String, Value>) {
    map.remove("format");
    map.remove("default");
}

/// A key without a value is a mistake.
fn not_null(map: &mut Map<String, Value>) {
    if let Some(types) = map.get_mut("type").and_then(Value::as_array_mut) {
        let before = types.len();
        types.retain(|name| name != "null");
        if let ([only], 2) = (types.as_slice(), before) {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(words) = map.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !word.is_null());
    }
    let Some(forms) = map.get_mut("anyOf").and_then(Value::as_array_mut) else { return };
    forms.retain(|form| *form != json!({ "type": "null" }));
    if let [only] = forms.as_slice() {
        let only = only.clone();
        map.remove("anyOf");
        // What stands beside a reference is passed over, but for what stands beside a list of it.
        if map.is_empty() {
            map.extend(only.as_object().cloned().into_iter().flatten());
        } else {
            map.insert("allOf".to_owned(), json!([only]));
        }
    }
}

/// Whatever YAML takes a scalar for, where text is wanted it is text. Said so that an editor offers no truth values.
fn text(map: &mut Map<String, Value>) {
    let is_text = map.get("type").is_some_and(|name| name == "string");
    if is_text && !["enum", "const", "pattern"].iter().any(|key| map.contains_key(*key)) {
        map.remove("type");
        map.insert("not".to_owned(), json!({ "type": ["array", "object", "null"] }));
    }
}

/// Doc comments as a reader of a scenario wants them.
fn describe(map: &mut Map<String, Value>) {
    let Some(Value::String(said)) = map.get_mut("description") else { return };
    let paragraphs = said.split("\n\n").map(|lines| lines.replace('\n', " "));
    *said = paragraphs.collect::<Vec<_>>().join("\n\n").replace("[`", "`").replace("`]", "`");
}

/// A key can be an axis as well.
fn open_to_axes(map: &mut Map<String, Value>) {
    let closed = map.get("additionalProperties") == Some(&json!(false));
    if closed && map.contains_key("properties") && !map.contains_key("patternProperties") {
        map.insert("patternProperties".to_owned(), json!({ NAMED: true }));
    }
}

/// Whether it is for some scalars only, so that an axis has to be let in.
fn strict(map: &Map<String, Value>) -> bool {
    let numbers = ["integer", "number", "boolean"];
    let by_type = match map.get("type") {
        Some(Value::String(name)) => numbers.contains(&name.as_str()),
        Some(Value::Array(names)) => names.iter().any(|name| numbers.iter().any(|number| name == number)),
        _ => false,
    };
    by_type || ["enum", "const", "pattern"].iter().any(|key| map.contains_key(*key))
}

fn axis() -> Value {
    json!({ "$ref": format!("#/definitions/{AXIS}") })
}

fn wrap(map: &mut Map<String, Value>) {
    let mut own = std::mem::take(map);
    if let Some(said) = own.remove("description") {
        map.insert("description".to_owned(), said);
    }
    map.insert("anyOf".to_owned(), json!([own, axis()]));
}

/// An axis is let in once, beside all forms.
fn forms(map: &mut Map<String, Value>) {
    // Words exclude each other by themselves.
    if let Some(words) = map.remove("oneOf") {
        map.insert("anyOf".to_owned(), words);
    }
    let Some(forms) = map.get_mut("anyOf").and_then(Value::as_array_mut) else { return };
    let mut any = false;
    for form in forms.iter_mut() {
        let Some(inner) = form.as_object_mut() else { continue };
        let scalar = strict(inner) && !inner.contains_key("anyOf");
        any |= scalar;
        if scalar {
            describe(inner);
        } else if !inner.contains_key("required") || inner.len() > 1 {
            visit(form);
        }
    }
    if any {
        forms.push(axis());
    }
}
