//! `json`: parts of a JSON text, by their pointers.
#![forbid(unsafe_code)]

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Number;

use super::TextPattern;
use super::form::FormError;
use crate::schema::shape::{self, Shape, Shaped};

/// The way to a part of a JSON text (RFC 6901): `/rows/0/name`; the empty one is the whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Pointer(String);

impl Shape for Pointer {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like("^(/([^~]|~[01])*)?$")
    }
}

impl Pointer {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if !(text.is_empty() || text.starts_with('/')) || !escapes {
            let wanted = "a JSON pointer, such as `/rows/0/name`: `~0` is a `~` in a name, `~1` a `/`";
            return Err(D::Error::custom(FormError::shape(&text, wanted)));
        }
        Ok(Self(text))
    }
}

/// What a part of a JSON text is to be.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum JsonPattern {
    /// `null`.
    Null,
    /// This truth value.
    Bool(bool),
    /// This number: `1` and `1.0` are the same.
    Number(Number),
    /// A string like this. By the longer form, also anything else, as its JSON text without blanks.
    Text(TextPattern),
}

impl Shape for JsonPattern {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let scalar = json_schema!({ "type": ["string", "number", "boolean"] });
        shape::any_of([json_schema!({ "const": null }), scalar, super::text::tests_shape(generator, false)])
    }
}

impl<'de> Deserialize<'de> for JsonPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl<'de> Visitor<'de> for Scalar {
            type Value = JsonPattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, `true`, `false`, `null`, a text, or a map such as `{ contains: x }`")
            }

            fn visit_bool<E>(self, value: bool) -> Result<JsonPattern, E> {
                Ok(JsonPattern::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<JsonPattern, E> {
                Ok(JsonPattern::Number(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<JsonPattern, E> {
                Ok(JsonPattern::Number(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<JsonPattern, E> {
                let number = Number::from_f64(value).ok_or_else(|| E::custom("JSON has no such number"))?;
                Ok(JsonPattern::Number(number))
            }

            fn visit_unit<E>(self) -> Result<JsonPattern, E> {
                Ok(JsonPattern::Null)
            }

            fn visit_str<E>(self, text: &str) -> Result<JsonPattern, E> {
                Ok(JsonPattern::Text(TextPattern::Whole(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JsonPattern, A::Error> {
                super::text::read_tests(map, None).map(|tests| JsonPattern::Text(TextPattern::Tests(tests)))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

impl fmt::Display for JsonPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(_) => f.write_str("a string"),
        }
    }
}
