//! The shape of what is read by hand: stated next to the reading, from the same tables.
//!
//! It builds pieces of a schema; which values are right is for those who read them to say.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// What has a shape of its own, because it is read by hand.
pub(crate) trait Shape {
    /// The schema of what is written.
    fn shape(generator: &mut SchemaGenerator) -> Schema;
}

/// The shape of `T`, for `#[schemars(with = "Shaped<Self>")]`: the name and the description are then the type's own.
pub(crate) struct Shaped<T>(PhantomData<T>);

impl<T: Shape> JsonSchema for Shaped<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Shaped")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::shape(generator)
    }
}

/// One of these words.
pub(crate) fn words<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Schema {
    let words: Vec<String> = words.into_iter().map(Into::into).collect();
    json_schema!({ "enum": words })
}

/// One of these words, each with what it means.
pub(crate) fn told<'a>(words: impl IntoIterator<Item = (&'a str, &'a str)>) -> Schema {
    let (words, told): (Vec<_>, Vec<_>) = words.into_iter().unzip();
    json_schema!({ "enum": words, "enumDescriptions": told })
}

/// A text that a regular expression matches somewhere. A number or a truth value will not do, but as a key.
pub(crate) fn text_like(pattern: &str) -> Schema {
    json_schema!({ "type": "string", "pattern": pattern })
}

/// As [`text_like`], but what YAML takes for a number or a truth value is text too.
pub(crate) fn scalar_like(pattern: &str) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean"], "pattern": pattern })
}

/// A whole number from one to another.
pub(crate) fn whole(least: i64, most: i64) -> Schema {
    json_schema!({ "type": "integer", "minimum": least, "maximum": most })
}

/// Permissions: octal digits, which YAML may take for a decimal number.
pub(crate) fn octal() -> Schema {
    json_schema!({ "type": ["string", "integer"], "pattern": "^(0o)?[0-7]{1,5}$", "minimum": 0, "maximum": 7777 })
}

/// One of several forms.
pub(crate) fn any_of(forms: impl IntoIterator<Item = Schema>) -> Schema {
    let forms: Vec<Value> = forms.into_iter().map(Value::from).collect();
    json_schema!({ "anyOf": forms })
}

/// Of these keys not two stand together.
pub(crate) fn at_most_one(schema: &mut Schema, keys: &[&str]) {
    let pairs = keys.iter().enumerate().flat_map(|(nth, key)| {
        let others = keys.iter().skip(nth + 1);
        others.map(move |other| serde_json::json!({ "not": { "required": [key, other] } }))
    });
    let mut all: Vec<Value> = schema.get("allOf").and_then(Value::as_array).cloned().unwrap_or_default();
    all.extend(pairs);
    schema.insert("allOf".to_owned(), Value::from(all));
}

/// Of these keys at least one is there.
pub(crate) fn at_least_one(schema: &mut Schema, keys: &[&str]) {
    let one: Vec<_> = keys.iter().map(|key| serde_json::json!({ "required": [key] })).collect();
    schema.insert("anyOf".to_owned(), Value::from(one));
}

/// A regular expression that matches each of these words.
pub(crate) fn alternatives<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(regex::escape).collect::<Vec<_>>().join("|")
}
