//! Which calls are answered by handlers of a test target's own, by their names. What a name stands for the target says
//! ([`crate::Target`]).
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected};

use super::calls::Calls;
use crate::matcher::inject;
use crate::schema::shape::{Shape, Shaped};

/// The name of a handler, as verdicts say it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandlerName(String);

impl HandlerName {
    /// What a name is like, as a regular expression says it.
    pub(crate) const LIKE: &str = "[A-Za-z0-9_-]{1,64}";

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a handler may be called so: a word that no verdict says of something else.
    #[must_use]
    pub fn is_allowed(text: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        (1..=64).contains(&text.len()) && text.chars().all(plain) && text != inject::NAME
    }
}

impl fmt::Display for HandlerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HandlerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !Self::is_allowed(&text) {
            let expected =
                &"the name of a handler: at most 64 letters, digits, `_` and `-`, and not `inject`";
            return Err(D::Error::invalid_value(Unexpected::Str(&text), expected));
        }
        Ok(Self(text))
    }
}

/// `handlers:`, by name what each is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Handlers(pub BTreeMap<HandlerName, Vec<Calls>>);

impl Shape for Handlers {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let calls = generator.subschema_for::<Calls>();
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": format!("^{}$", HandlerName::LIKE), "not": { "const": inject::NAME } },
            "additionalProperties": { "type": "array", "items": calls, "minItems": 1 }
        })
    }
}

impl<'de> Deserialize<'de> for Handlers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// What one is asked about: a list that says something.
        struct List(Vec<Calls>);
        impl<'de> Deserialize<'de> for List {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let calls = Vec::<Calls>::deserialize(deserializer)?;
                if calls.is_empty() {
                    return Err(D::Error::custom("an empty list: the handler would be asked about nothing"));
                }
                Ok(Self(calls))
            }
        }
        let read = BTreeMap::<HandlerName, List>::deserialize(deserializer)?;
        Ok(Self(read.into_iter().map(|(name, List(calls))| (name, calls)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::expect::form::read;

    #[test]
    fn a_handler_has_a_name_and_calls() {
        let handlers: Handlers = read("{ audit: [family(open), getuid], who-am_1: [uname] }").unwrap();
        let names: Vec<_> = handlers.0.keys().map(HandlerName::as_str).collect();
        assert_eq!(names, ["audit", "who-am_1"]);
    }

    #[test]
    fn what_says_nothing_or_could_be_something_else_is_refused() {
        for (yaml, wanted) in [
            ("{ audit: [] }", "asked about nothing"),
            ("{ inject: [getuid] }", "not `inject`"),
            ("{ 'two words': [getuid] }", "the name of a handler"),
            ("{ audit: [getuidd] }", "did you mean `getuid`?"),
        ] {
            let error = read::<Handlers>(yaml).unwrap_err();
            assert!(error.contains(wanted), "{yaml}: {error}");
        }
    }
}
