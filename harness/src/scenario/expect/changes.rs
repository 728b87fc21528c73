//! `changes`: all that a run does to its work folder.
#![forbid(unsafe_code)]

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::form::FormError;
use super::{FilePattern, Glob};
use crate::scenario::files::PLAIN;
use crate::schema::shape::{self, Shape, Shaped};

/// All that a run does to its work folder: what is not listed must not change. A folder that comes or goes with something
/// in it that is listed need not be listed itself.
#[derive(Debug, Clone, Default, serde::Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a map of what changes in the work folder: `added`, `modified`, `deleted`"
)]
pub struct Changes {
    /// What was not there before.
    pub added: Changed,
    /// What has another content or other permissions than before, or is something else.
    pub modified: Changed,
    /// What is no longer there.
    #[serde(deserialize_with = "gone")]
    #[schemars(with = "Vec<ChangedPath>")]
    pub deleted: Changed,
}

/// Paths, each with what lies there.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Changed(pub Vec<(ChangedPath, FilePattern)>);

impl Shape for Changed {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let path = ChangedPath::shape(generator);
        let pattern = path.get("pattern").and_then(serde_json::Value::as_str).unwrap_or_default();
        let file = generator.subschema_for::<FilePattern>();
        let list = generator.subschema_for::<Vec<String>>();
        let map = json_schema!({
            "type": "object", "patternProperties": { pattern: file }, "additionalProperties": false
        });
        shape::any_of([list, map])
    }
}

/// A path within the work folder, or a glob over such paths.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct ChangedPath {
    text: String,
    glob: Glob,
}

impl Shape for ChangedPath {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(&format!(r"^(\$WORK/)?{PLAIN}"))
    }
}

impl ChangedPath {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it means this path.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.text == path || self.glob.matches(path.as_bytes())
    }
}

impl<'de> Deserialize<'de> for ChangedPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let inner = text.strip_prefix("$WORK/").unwrap_or(&text).to_owned();
        let odd = |part: &str| part.is_empty() || part == "." || part == "..";
        if inner.split('/').any(odd) {
            let wanted = "a path in the work folder: write it without `.`, `..` and a `/` at its ends";
            return Err(D::Error::custom(FormError::shape(&text, wanted)));
        }
        let glob = inner.parse().map_err(D::Error::custom)?;
        Ok(Self { text: inner, glob })
    }
}

impl<'de> Deserialize<'de> for Changed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Paths;
        impl<'de> Visitor<'de> for Paths {
            type Value = Changed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of paths, or a map of paths, each with what lies there")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Changed, A::Error> {
                let mut all = Vec::new();
                while let Some(path) = list.next_element()? {
                    all.push((path, FilePattern::Present));
                }
                Ok(Changed(all))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Changed, A::Error> {
                let mut all = Vec::new();
                while let Some((path, pattern)) = map.next_entry::<ChangedPath, FilePattern>()? {
                    if matches!(pattern, FilePattern::Absent) {
                        let why = "what is `absent` stands under `deleted`, or is not listed";
                        return Err(A::Error::custom(why));
                    }
                    all.push((path, pattern));
                }
                Ok(Changed(all))
            }
        }
        deserializer.deserialize_any(Paths)
    }
}

/// Reads a list of paths.
fn gone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Changed, D::Error> {
    let paths = Vec::<ChangedPath>::deserialize(deserializer)?;
    Ok(Changed(paths.into_iter().map(|path| (path, FilePattern::Absent)).collect()))
}
