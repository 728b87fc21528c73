//! What lies at a path after the run.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::form::{FormError, from_scalar};
use super::text::{read_tests, tests_shape};
use super::{TextPattern, TextTest};
use crate::scenario::files::{PLAIN, WorkPath};
use crate::schema::shape::{self, Shape, Shaped};

/// What lies at a path after the run.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum FilePattern {
    /// Nothing.
    Absent,
    /// Something.
    Present,
    /// A file with this content: plain text, as for `stdout`. (For one that says `absent`: `{ equals: absent }`.)
    Text(TextPattern),
    /// `{ mode: 0644, contains: x }`: all of these.
    Is {
        /// Its permission bits.
        mode: Option<Mode>,
        /// Its content.
        tests: Vec<TextTest>,
    },
}

impl Shape for FilePattern {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let words = shape::told([(ABSENT, "Nothing lies there."), (PRESENT, "Something lies there.")]);
        let text = schemars::json_schema!({ "type": ["string"] });
        shape::any_of([words, text, tests_shape(generator, true)])
    }
}

const ABSENT: &str = "absent";
const PRESENT: &str = "present";

/// Permission bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Mode(pub u32);

impl Shape for Mode {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::octal()
    }
}

impl FromStr for Mode {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = u32::from_str_radix(digits, 8).ok().filter(|_| digits.chars().all(|c| c.is_digit(8)));
        octal
            .filter(|mode| *mode <= 0o7777)
            .map(Self)
            .ok_or_else(|| FormError::shape(text, "a mode: write octal digits, as in `0644`"))
    }
}

from_scalar!(Mode, "a mode, such as `0644`");

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl<'de> Deserialize<'de> for FilePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FileVisitor;
        impl<'de> Visitor<'de> for FileVisitor {
            type Value = FilePattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`absent`, `present`, a text, or a map such as `{ mode: 0644, contains: x }`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<FilePattern, E> {
                Ok(match text {
                    ABSENT => FilePattern::Absent,
                    PRESENT => FilePattern::Present,
                    text => FilePattern::Text(TextPattern::Whole(text.to_owned())),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FilePattern, A::Error> {
                let mut mode = None;
                let tests = read_tests(map, Some(&mut mode))?;
                Ok(FilePattern::Is { mode, tests })
            }
        }
        deserializer.deserialize_any(FileVisitor)
    }
}

/// A path of `files`: within the work folder, or absolute.
#[derive(PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub(super) struct FilePath(String);

impl Shape for FilePath {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(&format!(r"^(?!.*(^|/)\.\.(/|$))(/|(\$WORK/)?{PLAIN})"))
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        let inner = path.strip_prefix("$WORK/").unwrap_or(&path);
        if !inner.starts_with('/') {
            inner.parse::<WorkPath>().map_err(D::Error::custom)?;
        } else if inner.contains('\0') {
            return Err(D::Error::custom(FormError::shape(
                &path,
                "a path: no file's name has a zero byte in it",
            )));
        } else if inner.split('/').any(|part| part == "..") {
            return Err(D::Error::custom(FormError::shape(&path, "a plain path: write it without `..`")));
        }
        Ok(Self(path))
    }
}

/// Reads the map of `files`.
pub(super) fn by_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, FilePattern>, D::Error> {
    let files = BTreeMap::<FilePath, FilePattern>::deserialize(deserializer)?;
    Ok(files.into_iter().map(|(path, pattern)| (path.0, pattern)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> Result<FilePattern, String> {
        crate::scenario::expect::form::read(yaml)
    }

    #[test]
    fn every_form_is_read() {
        assert!(matches!(parse("absent"), Ok(FilePattern::Absent)));
        assert!(matches!(parse("present"), Ok(FilePattern::Present)));
        assert!(parse("total: 3").is_err(), "a map by accident names its key");
        assert!(matches!(parse("'total: 3'"), Ok(FilePattern::Text(TextPattern::Whole(_)))));
        let Ok(FilePattern::Is { mode, tests }) = parse("{ mode: 0640, contains: x }") else {
            panic!("a map")
        };
        assert_eq!((mode, tests.len()), (Some(Mode(0o640)), 1));
    }

    #[test]
    fn a_mode_is_octal_or_an_error() {
        for good in ["644", "0644", "0o644", "'0644'"] {
            let Ok(FilePattern::Is { mode, .. }) = parse(&format!("{{ mode: {good} }}")) else {
                panic!("{good}")
            };
            assert_eq!(mode, Some(Mode(0o644)), "{good}");
        }
        for wrong in ["{ mode: 999 }", "{ mode: 77777 }", "{ mode: rwx }", "{ mode: +644 }"] {
            assert!(parse(wrong).unwrap_err().contains("is not a mode"), "{wrong}");
        }
    }
}
