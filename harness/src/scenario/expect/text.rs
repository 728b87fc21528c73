//! Texts: what a command wrote, or what lies in a file.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};

use super::form::{FormError, from_scalar};
use super::{Glob, JsonPattern, Mode, Pointer, is_redaction_name};
use crate::schema::shape::{self, Shape, Shaped};

/// What a text must be.
///
/// In everything that is compared, the run's work folder reads `[WORK]`.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum TextPattern {
    /// Plain text: the whole of it, line by line. In a line, `[..]` stands for anything, `[PID]` for the number of a
    /// process, `[NAME]` for what the scenario's `redact` says; a line `...` stands for any lines, or none. `[NAME=..]`
    /// captures what it stands for (`[NAME=PID]`: a number), and in later lines `[NAME]` is that text. A backslash before
    /// one of these makes it plain text; other brackets need none. Whether the last line ends in a newline does not matter.
    Whole(String),
    /// `{ contains: a, matches: b }`: all of these.
    Tests(Vec<TextTest>),
}

/// One key of the longer form.
#[derive(Debug, Clone)]
pub enum TextTest {
    /// Exactly this, to the last newline; nothing in it stands for anything else.
    Equals(String),
    /// This somewhere, in whose lines `[..]` and names have their meaning.
    Contains(String),
    /// This regular expression somewhere. `^` and `$` match at the ends of each line.
    Matches(Pattern),
    /// This glob, over the whole text without its last newline.
    Glob(Glob),
    /// These lines, all of them and no others, in any order. `[..]` and names have their meaning.
    Unordered(Vec<String>),
    /// JSON, in which these pointers lead to that.
    Json(BTreeMap<Pointer, JsonPattern>),
    /// Not that.
    Not(Box<TextPattern>),
    /// At least one of these.
    AnyOf(Vec<TextPattern>),
    /// All of these.
    AllOf(Vec<TextPattern>),
    /// Whether there is nothing.
    Empty(bool),
}

impl TextTest {
    /// The keys that lead to it, from the map that it stands in.
    #[must_use]
    pub fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Equals(_) => &["equals"],
            Self::Contains(_) => &["contains"],
            Self::Matches(_) => &["matches"],
            Self::Glob(_) => &["glob"],
            Self::Unordered(_) => &["lines", "unordered"],
            Self::Json(_) => &["json"],
            Self::Not(_) => &["not"],
            Self::AnyOf(_) => &["any-of"],
            Self::AllOf(_) => &["all-of"],
            Self::Empty(_) => &["empty"],
        }
    }
}

/// A regular expression of limited size.
#[derive(Clone, JsonSchema)]
#[schemars(with = "String")]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// Whether it matches somewhere.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// What one compiled expression may take up: scenarios may come from others.
const SIZE_LIMIT: usize = 1 << 20;

impl FromStr for Pattern {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let mut builder = regex::RegexBuilder::new(text);
        builder.multi_line(true).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).nest_limit(100);
        builder.build().map(Self).map_err(|error| FormError::Pattern {
            word: text.chars().take(60).collect(),
            what: "regular expression",
            why: match error {
                regex::Error::CompiledTooBig(_) => "it grows too big".to_owned(),
                // The last line says what is wrong; those before it draw the pattern once more.
                other => other
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            },
        })
    }
}

from_scalar!(Pattern, "a regular expression");

/// Lines, each for itself.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `unordered`")]
struct Lines {
    /// All of them and no others, in any order.
    unordered: Vec<String>,
}

/// As an identifier, so that an unknown one is reported at its own place, with those that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(field_identifier, rename_all = "kebab-case")]
enum Key {
    /// Exactly this, to the last newline; nothing in it stands for anything else.
    Equals,
    /// This somewhere.
    Contains,
    /// This regular expression somewhere. `^` and `$` match at the ends of each line.
    Matches,
    /// This glob, over the whole text without its last newline.
    Glob,
    /// Lines, each for itself.
    Lines,
    /// JSON, in which these pointers (RFC 6901) lead to that.
    Json,
    /// Not that.
    Not,
    /// At least one of these.
    AnyOf,
    /// All of these.
    AllOf,
    /// Whether there is nothing.
    Empty,
    /// Permissions, in octal.
    Mode,
}

/// The schema of the map form. Its keys are those that are read, each with what is said of it there.
pub(super) fn tests_shape(generator: &mut SchemaGenerator, of_file: bool) -> Schema {
    let known = Key::json_schema(generator);
    let words = known.get("oneOf").and_then(serde_json::Value::as_array).into_iter().flatten();
    let mut keys = serde_json::Map::new();
    for word in words {
        let Some(name) = word.get("const").and_then(serde_json::Value::as_str) else { continue };
        let name_read: de::value::StrDeserializer<'_, de::value::Error> = name.into_deserializer();
        let value = match Key::deserialize(name_read) {
            Ok(Key::Equals | Key::Contains) => generator.subschema_for::<String>(),
            Ok(Key::Matches) => generator.subschema_for::<Pattern>(),
            Ok(Key::Glob) => generator.subschema_for::<Glob>(),
            Ok(Key::Lines) => generator.subschema_for::<Lines>(),
            Ok(Key::Json) => {
                let mut parts = generator.subschema_for::<BTreeMap<Pointer, JsonPattern>>();
                parts.insert("minProperties".to_owned(), 1.into());
                parts
            }
            Ok(Key::Not) => generator.subschema_for::<TextPattern>(),
            Ok(Key::AnyOf) => {
                json_schema!({ "type": "array", "items": generator.subschema_for::<TextPattern>(), "minItems": 1 })
            }
            Ok(Key::AllOf) => generator.subschema_for::<Vec<TextPattern>>(),
            Ok(Key::Empty) => generator.subschema_for::<bool>(),
            Ok(Key::Mode) if of_file => generator.subschema_for::<Mode>(),
            Ok(Key::Mode) | Err(_) => continue,
        };
        let told = word.get("description").cloned().unwrap_or_default();
        keys.insert(name.to_owned(), serde_json::json!({ "description": told, "allOf": [value] }));
    }
    json_schema!({ "type": "object", "properties": keys, "additionalProperties": false, "minProperties": 1 })
}

impl Shape for TextPattern {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        shape::any_of([json_schema!({ "type": ["string"] }), tests_shape(generator, false)])
    }
}

/// Reads the map form. `mode` is a key only where a file is meant.
pub(super) fn read_tests<'de, A: MapAccess<'de>>(
    mut map: A,
    mut mode: Option<&mut Option<Mode>>,
) -> Result<Vec<TextTest>, A::Error> {
    let mut seen: Vec<Key> = Vec::new();
    let mut tests = Vec::new();
    while let Some(key) = map.next_key::<Key>()? {
        if seen.contains(&key) {
            return Err(A::Error::custom("this key stands here twice"));
        }
        match (key, &mut mode) {
            (Key::Equals, _) => tests.push(TextTest::Equals(map.next_value()?)),
            (Key::Contains, _) => {
                let part: String = map.next_value()?;
                if captures(&part) {
                    let why = "a part of a text captures nothing: only the lines of a whole one do";
                    return Err(A::Error::custom(why));
                }
                tests.push(TextTest::Contains(part));
            }
            (Key::Matches, _) => tests.push(TextTest::Matches(map.next_value()?)),
            (Key::Glob, _) => tests.push(TextTest::Glob(map.next_value()?)),
            (Key::Lines, _) => {
                let lines = map.next_value::<Lines>()?.unordered;
                if let Some(line) = lines.iter().find(|line| captures(line)) {
                    let why = format!("lines in any order capture nothing, and this one would: {line}");
                    return Err(A::Error::custom(why));
                }
                tests.push(TextTest::Unordered(lines));
            }
            (Key::Json, _) => tests.push(TextTest::Json(not_no_part(map.next_value()?)?)),
            (Key::Not, _) => tests.push(TextTest::Not(Box::new(map.next_value()?))),
            (Key::AnyOf, _) => tests.push(TextTest::AnyOf(not_empty(map.next_value()?)?)),
            (Key::AllOf, _) => tests.push(TextTest::AllOf(map.next_value()?)),
            (Key::Empty, _) => tests.push(TextTest::Empty(map.next_value()?)),
            (Key::Mode, Some(mode)) => **mode = Some(map.next_value()?),
            (Key::Mode, None) => return Err(A::Error::custom("a text has no `mode`: a file has")),
        }
        seen.push(key);
    }
    if seen.is_empty() { Err(A::Error::custom("an empty map says nothing")) } else { Ok(tests) }
}

/// Whether a line has something like `[NAME=..]` in it.
fn captures(line: &str) -> bool {
    let mut inner = line.split('[').skip(1).filter_map(|rest| rest.split_once(']'));
    inner.any(|(inner, _)| {
        inner.split_once('=').is_some_and(|(name, of)| is_redaction_name(name) && of == "..")
    })
}

fn not_no_part<E: Error>(parts: BTreeMap<Pointer, JsonPattern>) -> Result<BTreeMap<Pointer, JsonPattern>, E> {
    if parts.is_empty() { Err(E::custom("an empty map: it looks at no part")) } else { Ok(parts) }
}

fn not_empty<E: Error>(list: Vec<TextPattern>) -> Result<Vec<TextPattern>, E> {
    if list.is_empty() { Err(E::custom("an empty list: nothing would do")) } else { Ok(list) }
}

impl<'de> Deserialize<'de> for TextPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = TextPattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text (a number needs quotes), or a map such as `{ contains: x }`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TextPattern, E> {
                Ok(TextPattern::Whole(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextPattern, A::Error> {
                read_tests(map, None).map(TextPattern::Tests)
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> Result<TextPattern, String> {
        crate::scenario::expect::form::read(yaml)
    }

    #[test]
    fn every_form_is_read() {
        assert!(matches!(parse("hello").unwrap(), TextPattern::Whole(text) if text == "hello"));
        let yaml = "{ equals: a, contains: b, matches: c, glob: d, lines: { unordered: [e] }, json: { /a: 1 }, not: f, any-of: [g], all-of: [{ empty: false }], empty: true }";
        let TextPattern::Tests(tests) = parse(yaml).unwrap() else { panic!("a map") };
        let keys: Vec<_> = tests.iter().map(|test| test.keys()[0]).collect();
        let all =
            ["equals", "contains", "matches", "glob", "lines", "json", "not", "any-of", "all-of", "empty"];
        assert_eq!(keys, all);
    }

    #[test]
    fn what_says_nothing_or_too_much_is_refused() {
        for (yaml, wanted) in [
            ("{}", "says nothing"),
            ("1", "needs quotes"),
            ("{ any-of: [] }", "nothing would do"),
            ("{ matches: '(' }", "not a regular expression"),
            ("{ matches: 'a{5000}{5000}' }", "too big"),
            ("{ mode: 0644 }", "a text has no `mode`"),
            ("{ lines: { ordered: [] } }", "unknown key \"ordered\""),
            ("{ lines: { unordered: ['a [X=..]'] } }", "capture nothing"),
            ("{ contains: 'a [X=..]' }", "captures nothing"),
            ("{ json: {} }", "looks at no part"),
            ("{ json: { a/b: 1 } }", "is not a JSON pointer"),
            ("{ json: { /a: [1] } }", "expected a number"),
        ] {
            let error = parse(yaml).unwrap_err();
            assert!(error.contains(wanted), "{yaml}: {error}");
        }
    }
}
