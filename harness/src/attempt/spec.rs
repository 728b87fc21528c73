//! One item of `attempt`, as it is written.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use assize_core::Errno;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::scenario::calls::Calls;
use crate::scenario::expect::ErrnoName;
use crate::scenario::nearest;
use crate::scenario::quantity::Size;
use crate::scenario::template::Template;
use crate::schema::shape::{self, Shape, Shaped};

/// One item of `attempt`: a call, or every spelling of an operation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map: an attempt")]
pub struct Attempt {
    /// The call, or `family(NAME)`: an attempt per spelling. Where a path is given, the spellings that take one; where it is
    /// relative to `dirfd`, those that take both; with `read`, those whose descriptor can be read from.
    pub call: Calls,
    /// The argument `path`.
    pub path: Option<Template>,
    /// The argument `flags`, by name.
    pub flags: Option<Value>,
    /// The argument `mode`, in octal.
    pub mode: Option<Mode>,
    /// The argument `dirfd`: a number, `AT_FDCWD`, or the path of a folder, which is then opened first.
    pub dirfd: Option<Value>,
    /// The socket address. Unless `args` has an `fd`, a socket of its kind is made first.
    pub to: Option<Template>,
    /// Further arguments, by their names in the manual page.
    #[serde(default)]
    pub args: BTreeMap<String, Value>,
    /// Whole registers, by the arguments' names: also the bits that the kernel does not look at.
    #[serde(default)]
    pub registers: BTreeMap<String, i128>,
    /// How many bytes to read from the descriptor that the call returns.
    pub read: Option<Size>,
    /// What must come.
    pub expect: Wanted,
    /// Every spelling must come out alike: all succeed, or all fail with the same errno, and as many bytes are read.
    #[serde(default)]
    pub same_for_all: bool,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "Argument", with = "Shaped<Self>")]
pub enum Value {
    /// A number.
    Number(i128),
    /// Flags by name, a path, an address, bytes.
    Text(Template),
}

impl Shape for Value {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"] })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl Visitor<'_> for NumberOrText {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or text")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Number(number.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Number(number.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(Template(text.to_owned())))
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

/// Permission bits as they are written: `0644` is octal, though YAML would read it as six hundred and forty-four.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "ModeArgument")]
pub struct Mode(pub String);

/// What must come of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum Wanted {
    /// `deny`: it fails with `EPERM` or `EACCES`; `deny ERRNO`: with this.
    Deny(Option<Errno>),
    /// `allow` or `ok`: it succeeds.
    Allow,
    /// `emulate`: it succeeds, and the verdict log says `emulate` or `inject`.
    Emulate,
    /// An errno alone: it fails with it. Tells what the kernel itself says of a call that reached it.
    Fails(Errno),
    /// A number: it returns it.
    Returns(i64),
}

impl Shape for Wanted {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let denied = Errno::names().map(|name| format!("{DENY} {name}"));
        let words = WORDS.map(str::to_owned).into_iter().chain(denied);
        let number =
            shape::any_of([shape::whole(i64::MIN, i64::MAX), shape::text_like("^\\s*-?[0-9]+\\s*$")]);
        shape::any_of([shape::words(words), generator.subschema_for::<ErrnoName>(), number])
    }
}

const DENY: &str = "deny";
const ALLOW: &str = "allow";
const OK: &str = "ok";
const EMULATE: &str = "emulate";
const WORDS: [&str; 4] = [DENY, ALLOW, OK, EMULATE];

/// A text that says nothing of what must come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// No error number has this name.
    #[error("{name:?} is not an errno{}", near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Errno {
        /// The name.
        name: String,
        /// One that is like it.
        near: Option<&'static str>,
    },
    /// Nothing of the kind.
    #[error(
        "{word:?} is not a verdict{}\nwrite `deny`, `deny ERRNO`, `allow`, `emulate`, an errno such as `ENOENT`, or a number",
        near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
    )]
    Word {
        /// The word.
        word: String,
        /// One that is like it.
        near: Option<&'static str>,
    },
}

impl FromStr for Wanted {
    type Err = WantedError;

    fn from_str(text: &str) -> Result<Self, WantedError> {
        let short = |text: &str| text.chars().take(40).collect::<String>();
        let errno = |name: &str| {
            Errno::named(name)
                .ok_or_else(|| WantedError::Errno { name: short(name), near: nearest(name, Errno::names()) })
        };
        match text.trim() {
            DENY => Ok(Self::Deny(None)),
            ALLOW | OK => Ok(Self::Allow),
            EMULATE => Ok(Self::Emulate),
            other => {
                if let Some(name) = other.strip_prefix(DENY).and_then(|rest| rest.strip_prefix(' ')) {
                    errno(name.trim()).map(|errno| Self::Deny(Some(errno)))
                } else if let Ok(value) = other.parse() {
                    Ok(Self::Returns(value))
                } else if other.starts_with('E') {
                    errno(other).map(Self::Fails)
                } else {
                    Err(WantedError::Word { word: short(other), near: nearest(other, WORDS) })
                }
            }
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny(None) => f.write_str(DENY),
            Self::Deny(Some(errno)) => write!(f, "{DENY} {errno}"),
            Self::Allow => f.write_str(ALLOW),
            Self::Emulate => f.write_str(EMULATE),
            Self::Fails(errno) => write!(f, "{errno}"),
            Self::Returns(value) => write!(f, "{value}"),
        }
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Wanted {
    /// Whether a result is what was wanted, as far as a result can tell.
    #[must_use]
    pub fn is_met_by(self, result: i64) -> bool {
        let failed = |errno: Errno| result == -i64::from(errno.value());
        match self {
            Self::Deny(None) => failed(Errno::EPERM) || failed(Errno::EACCES),
            Self::Deny(Some(errno)) | Self::Fails(errno) => failed(errno),
            Self::Allow | Self::Emulate => !(-4095..0).contains(&result),
            Self::Returns(value) => result == value,
        }
    }
}
