//! What a scenario runs: a command, a script, or a list of system calls.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::template::Word;
use crate::attempt::Attempt;
use crate::schema::shape::{Shape, Shaped};

/// What a scenario runs.
#[derive(Debug, Clone)]
pub enum Action {
    /// `run`: a program and its arguments.
    Run(Vec<Word>),
    /// `shell`: a script for `/bin/sh -c`.
    Shell(String),
    /// `attempt`: system calls, made by the prober.
    Attempt(Vec<Attempt>),
}

impl Action {
    /// The command's words, the program first; `None` for an `attempt`.
    #[must_use]
    pub fn argv(&self, work: &Path) -> Option<Vec<OsString>> {
        match self {
            Self::Run(words) => Some(words.iter().map(|word| word.expand(work)).collect()),
            // The script's `$WORK` is an ordinary variable of its environment: pasting the path into the text of a
            // script would need quoting.
            Self::Shell(script) => Some(vec!["/bin/sh".into(), "-c".into(), script.into()]),
            Self::Attempt(_) => None,
        }
    }
}

/// `run`: a list, never a text that something would have to split.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub(super) struct Words(pub(super) Vec<Word>);

impl Shape for Words {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<Word>(), "minItems": 1 })
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list: the program and its arguments")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
                let words: Vec<_> = text.split_whitespace().take(8).collect();
                Err(E::custom(format!(
                    "`run` is a list of words, not a text\nwrite a list: `run: [{}]`\nfor a script write `shell:`",
                    words.join(", "),
                )))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                if words.is_empty() {
                    return Err(A::Error::custom("`run` names no program"));
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(List)
    }
}
