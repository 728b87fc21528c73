//! `files`: the work folder's content.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::template::Word;
use crate::schema::shape::{self, Shape, Shaped};

/// A path within the work folder: relative, without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct WorkPath(String);

/// What a path within the work folder looks like.
pub(super) const PLAIN: &str = r"(?!\.{0,2}(/|$))[^/]+(/(?!\.{0,2}(/|$))[^/]+)*$";

impl Shape for WorkPath {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(&format!("^{PLAIN}"))
    }
}

impl WorkPath {
    /// As a path, relative to the work folder.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no path within the work folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkPathError {
    /// It begins with `/`.
    #[error("{0:?} is an absolute path; write it relative to the work folder")]
    Absolute(String),
    /// It leads out of the work folder.
    #[error("{0:?} leads out of the work folder")]
    Escapes(String),
    /// It is empty, or has empty, `.` or NUL parts.
    #[error("{0:?} is not a plain path: write it without `.`, `//` and a `/` at the end")]
    Odd(String),
    /// No file system takes it.
    #[error("{0:?}... is too long: a path has at most 1024 bytes, each of its parts 255")]
    Long(String),
}

impl std::str::FromStr for WorkPath {
    type Err = WorkPathError;

    fn from_str(text: &str) -> Result<Self, WorkPathError> {
        let short = || text.chars().take(80).collect();
        if text.len() > 1024 || text.split('/').any(|part| part.len() > 255) {
            return Err(WorkPathError::Long(short()));
        }
        if text.starts_with('/') {
            return Err(WorkPathError::Absolute(short()));
        }
        if Path::new(text).components().any(|part| part == Component::ParentDir) {
            return Err(WorkPathError::Escapes(short()));
        }
        if text.contains('\0') || text.split('/').any(|part| part.is_empty() || part == ".") {
            return Err(WorkPathError::Odd(short()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for WorkPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What to put at a path of the work folder: a file's text, or a map.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum FileSpec {
    /// A file.
    File {
        /// Its content.
        content: Vec<u8>,
        /// Its permissions; 0644 if nothing is said.
        mode: u32,
    },
    /// A symbolic link, with the text that it holds.
    Symlink(Word),
    /// A hard link: a further name of another file of the work folder.
    Link(WorkPath),
    /// A folder.
    Dir {
        /// Its permissions; 0755 if nothing is said.
        mode: u32,
    },
    /// A copy of a file or folder.
    From(Copied),
}

/// A copy of a file, or of a folder with all that lies in it: modes and times are kept, links stay links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What is copied, as written: relative to the folder of the file that says so.
    pub from: String,
    /// What that is; empty until the scenario is whole.
    pub path: PathBuf,
    /// Whether it may lie outside of the project.
    pub outside: bool,
    /// Permissions of the copy itself, in place of the original's.
    pub mode: Option<u32>,
}

impl Shape for FileSpec {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        shape::any_of([json_schema!({ "type": ["string"] }), generator.subschema_for::<Forms>()])
    }
}

/// The forms of a file that is more than its text.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `text`, `base64`, `from`, `symlink`, `link` or `dir`")]
#[schemars(rename = "FileForms", transform = one_form)]
struct Forms {
    /// A file's text.
    text: Option<String>,
    /// A file's content, in base64.
    base64: Option<String>,
    /// A symbolic link, with the text that it holds.
    symlink: Option<Word>,
    /// A hard link: a further name of another file of the work folder.
    #[schemars(with = "Option<Word>")]
    link: Option<WorkPath>,
    /// `true`: a folder.
    dir: Option<bool>,
    /// A copy of this file or folder, whose path is relative to the folder of the scenario's file.
    from: Option<String>,
    /// Whether `from` may lie outside of the project.
    outside: Option<bool>,
    /// Permissions, in octal.
    mode: Option<Mode>,
}

const FORMS: [&str; 6] = ["text", "base64", "from", "symlink", "link", "dir"];

fn one_form(schema: &mut Schema) {
    shape::at_most_one(schema, &FORMS);
    shape::at_least_one(schema, &FORMS);
}

impl<'de> Deserialize<'de> for FileSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrForms;
        impl<'de> Visitor<'de> for TextOrForms {
            type Value = FileSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "the file's text, or a map with `text`, `base64`, `from`, `symlink`, `link` or `dir`",
                )
            }

            fn visit_str<E>(self, text: &str) -> Result<FileSpec, E> {
                Ok(FileSpec::File { content: text.as_bytes().to_vec(), mode: 0o644 })
            }

            // A number's spelling would be lost, and with it the file's exact content.
            fn visit_u64<E: Error>(self, number: u64) -> Result<FileSpec, E> {
                Err(quotes(&number))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<FileSpec, E> {
                Err(quotes(&number))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<FileSpec, E> {
                Err(quotes(&number))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<FileSpec, E> {
                Err(quotes(&value))
            }

            fn visit_unit<E: Error>(self) -> Result<FileSpec, E> {
                Err(E::custom("the file's text is missing\nan empty file is `\"\"`"))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FileSpec, A::Error> {
                Forms::deserialize(MapAccessDeserializer::new(map))?.file().map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(TextOrForms)
    }
}

fn quotes<E: Error>(value: &dyn fmt::Display) -> E {
    E::custom(format!("`{value}` is not text; a file's text needs quotes here"))
}

/// Forms that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum FormError {
    #[error(
        "a file has one of `text`, `base64`, `from`, `symlink`, `link` and `dir: true`, and this one has {0}"
    )]
    Count(usize),
    #[error("`outside` is for `from`")]
    Outside,
    #[error("`from` names nothing")]
    Nothing,
    #[error("a link has no mode")]
    LinkMode,
    #[error("`dir` can only be `true`")]
    NotDir,
    #[error(transparent)]
    Base64(#[from] Base64Error),
}

impl Forms {
    fn file(self) -> Result<FileSpec, FormError> {
        let mode = |plain| self.mode.map_or(plain, |mode| mode.0);
        if self.outside.is_some() && self.from.is_none() {
            return Err(FormError::Outside);
        }
        let others = [
            self.text.is_some(),
            self.base64.is_some(),
            self.symlink.is_some(),
            self.link.is_some(),
            self.dir.is_some(),
        ];
        if let Some(from) = self.from {
            return match others.into_iter().filter(|given| *given).count() {
                0 if from.is_empty() => Err(FormError::Nothing),
                0 => Ok(FileSpec::From(Copied {
                    from,
                    path: PathBuf::new(),
                    outside: self.outside.unwrap_or(false),
                    mode: self.mode.map(|mode| mode.0),
                })),
                more => Err(FormError::Count(more + 1)),
            };
        }
        match (self.text, self.base64, self.symlink, self.link, self.dir) {
            (Some(text), None, None, None, None) => {
                Ok(FileSpec::File { content: text.into_bytes(), mode: mode(0o644) })
            }
            (None, Some(text), None, None, None) => {
                Ok(FileSpec::File { content: base64(&text)?, mode: mode(0o644) })
            }
            (None, None, Some(_), None, None) | (None, None, None, Some(_), None) if self.mode.is_some() => {
                Err(FormError::LinkMode)
            }
            (None, None, None, Some(other), None) => Ok(FileSpec::Link(other)),
            (None, None, Some(target), None, None) => Ok(FileSpec::Symlink(target)),
            (None, None, None, None, Some(true)) => Ok(FileSpec::Dir { mode: mode(0o755) }),
            (None, None, None, None, Some(false)) => Err(FormError::NotDir),
            _ => Err(FormError::Count(others.into_iter().filter(|given| *given).count())),
        }
    }
}

/// Permissions, in octal as `chmod` takes them: `755`, `0755`, `0o755`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "FileMode", with = "Shaped<Self>")]
struct Mode(u32);

impl Shape for Mode {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::octal()
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0o").unwrap_or(&text);
        match u32::from_str_radix(digits, 8) {
            Ok(mode @ ..=0o7777) if digits.chars().all(|c| c.is_digit(8)) => Ok(Self(mode)),
            _ => Err(D::Error::custom(format!("{text:?} is not a mode: write octal digits, as in `0755`"))),
        }
    }
}

/// A text that is not base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Base64Error {
    #[error("{0:?} is not a character of base64")]
    Character(char),
    #[error("the base64 is cut off, or its padding is wrong")]
    Length,
}

/// Decodes standard base64 (RFC 4648), with white space anywhere and padding at the end.
fn base64(text: &str) -> Result<Vec<u8>, Base64Error> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut pending, mut letters, mut padding) = (0u32, 0u32, 0usize, 0usize);
    for c in text.chars().filter(|c| !c.is_ascii_whitespace()) {
        let value = match c {
            'A'..='Z' => u32::from(c) - u32::from('A'),
            'a'..='z' => u32::from(c) - u32::from('a') + 26,
            '0'..='9' => u32::from(c) - u32::from('0') + 52,
            '+' => 62,
            '/' => 63,
            '=' => {
                padding += 1;
                continue;
            }
            _ => return Err(Base64Error::Character(c)),
        };
        if padding > 0 {
            return Err(Base64Error::Length);
        }
        letters += 1;
        bits = (bits << 6) | value;
        pending += 6;
        if pending >= 8 {
            pending -= 8;
            bytes.push(((bits >> pending) & 0xff) as u8);
        }
    }
    let whole = (letters + padding) % 4 == 0 && padding <= 2 && bits & ((1 << pending) - 1) == 0;
    if whole { Ok(bytes) } else { Err(Base64Error::Length) }
}

/// A path that lies beneath something that is no folder. A file beneath a link would be written wherever the link
/// leads: out of the work folder, even.
pub(super) fn beneath_no_folder(files: &BTreeMap<WorkPath, FileSpec>) -> Option<(&WorkPath, &WorkPath)> {
    files.keys().find_map(|path| {
        let above = path.0.char_indices().filter(|(_, c)| *c == '/').find_map(|(at, _)| {
            let (key, spec) = files.get_key_value(&WorkPath(path.0.get(..at)?.to_owned()))?;
            // Whether a copy is a folder shows when it is made; what is put beneath it follows no link.
            (!matches!(spec, FileSpec::Dir { .. } | FileSpec::From(_))).then_some(key)
        })?;
        Some((path, above))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_strict() {
        assert_eq!(base64("aGVsbG8="), Ok(b"hello".to_vec()));
        assert_eq!(base64("aGVs\n bG8=\n"), Ok(b"hello".to_vec()));
        assert_eq!(base64("/+8A"), Ok(vec![0xff, 0xef, 0]));
        assert_eq!(base64(""), Ok(vec![]));
        for cut in ["a", "ab", "abc", "aGVsbG8", "=", "====", "ab==cd==", "aGVsbG9="] {
            assert_eq!(base64(cut), Err(Base64Error::Length), "{cut}");
        }
        assert_eq!(base64("a-_b"), Err(Base64Error::Character('-')));
    }

    #[test]
    fn a_work_path_stays_inside() {
        for good in ["a", "a/b.txt", ".hidden", "a..b", "ä ö"] {
            assert!(good.parse::<WorkPath>().is_ok(), "{good}");
        }
        for bad in ["", "/etc", "..", "a/../b", "a/..", "./a", "a//b", "a/", "a/./b", "a\0b"] {
            assert!(bad.parse::<WorkPath>().is_err(), "{bad}");
        }
    }
}
