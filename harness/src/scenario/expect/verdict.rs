//! Patterns over verdicts.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use assize_core::capability;
use assize_core::syscall::flags::FlagSet;
use assize_core::trace::{Known, Place};
use assize_core::{Errno, Syscall};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::form::{FormError, from_scalar};
use super::observable;
use super::{AddressPattern, Glob, Range};
use crate::scenario::calls::Calls;
use crate::scenario::handlers::HandlerName;
use crate::schema::shape::{self, Shape, Shaped};

/// Verdicts that look like this. A key that is left out matches whatever was seen.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    default,
    remote = "Self",
    expecting = "a pattern, such as `{ call: openat, verdict: deny }`"
)]
#[schemars(rename = "VerdictPattern")]
pub struct VerdictPattern {
    /// A syscall, or `family(NAME)` for every spelling of one operation.
    pub call: Option<Calls>,
    /// A glob over the path as the guest wrote it, or the file that it led to.
    pub path: Option<Glob>,
    /// The address that the call goes to.
    pub to: Option<AddressPattern>,
    /// Flags that are all set, `O_RDONLY|O_CLOEXEC`; one after `!` is not set.
    pub flags: Option<FlagsPattern>,
    /// Arguments by their name in the manual page.
    pub args: BTreeMap<String, ArgPattern>,
    /// What was answered.
    pub verdict: Option<VerdictWord>,
    /// The error that the guest got, from whomever.
    pub errno: Option<ErrnoName>,
    /// Who decided.
    pub by: Option<ByPattern>,
    /// The guest's place in the tree: `/0` is the command itself, `/0/1` its second child.
    pub pid: Option<PidPattern>,
    /// A glob over the program that asked.
    pub exe: Option<Glob>,
    /// What the guest got: a number, a range, or an error's name.
    pub result: Option<ResultPattern>,
    /// How far the result is known.
    pub known: Option<KnownPattern>,
    /// How often, in `sees` only: `3`, `">= 1"`, `"2..4"`. Without it: at least once.
    pub times: Option<Range>,
}

impl<'de> Deserialize<'de> for VerdictPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pattern = Self::deserialize(deserializer)?;
        observable::check(&pattern).map_err(D::Error::custom)?;
        Ok(pattern)
    }
}

impl VerdictPattern {
    /// Whether, whatever its call, it may mean that a guest has read the run's own clock.
    pub(super) fn may_be_a_reading(&self) -> bool {
        let clock = |by: &ByPattern| matches!(by, ByPattern::Capability(name) if name == "clock");
        self.verdict.is_none_or(|word| word == VerdictWord::Emulate) && self.by.as_ref().is_none_or(clock)
    }

    /// Whether it looks at nothing of a call but that it was made, and by whom.
    pub(crate) fn only_counts(&self) -> bool {
        let Self {
            call: _,
            pid: _,
            exe: _,
            times: _,
            path,
            to,
            flags,
            args,
            verdict,
            errno,
            by,
            result,
            known,
        } = self;
        let what = path.is_none() && to.is_none() && flags.is_none() && args.is_empty();
        let came_of_it =
            verdict.is_some() || errno.is_some() || by.is_some() || result.is_some() || known.is_some();
        what && !came_of_it
    }

    /// Calls like these, whatever comes of them.
    pub(crate) fn of_calls(
        call: Calls,
        path: Option<Glob>,
        to: Option<AddressPattern>,
        flags: Option<FlagsPattern>,
        args: BTreeMap<String, ArgPattern>,
    ) -> Result<Self, FormError> {
        let pattern = Self { call: Some(call), path, to, flags, args, ..Self::default() };
        observable::check(&pattern)?;
        Ok(pattern)
    }
}

/// Reads the patterns of `order`.
pub(super) fn ordered<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<VerdictPattern>, D::Error> {
    let patterns = Vec::<VerdictPattern>::deserialize(deserializer)?;
    if patterns.iter().any(|pattern| pattern.times.is_some()) {
        return Err(D::Error::custom(
            "`times` says nothing in `order`: write the pattern as often as it must come",
        ));
    }
    Ok(patterns)
}

/// Reads the patterns of `never`.
pub(super) fn never<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<VerdictPattern>, D::Error> {
    let patterns = Vec::<VerdictPattern>::deserialize(deserializer)?;
    for (nth, pattern) in patterns.iter().enumerate() {
        if pattern.times.is_some() {
            return Err(D::Error::custom("`times` says nothing in `never`: it is none at all"));
        }
        if pattern.call.is_none() && pattern.verdict != Some(VerdictWord::Deny) {
            return Err(D::Error::custom(format_args!(
                "pattern {} of `never` names no `call`: calls that nothing else asks about would go unseen, and the \
                 promise would hold of nothing (name one, or `verdict: deny`)",
                nth + 1
            )));
        }
    }
    Ok(patterns)
}

/// Flags by name.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct FlagsPattern {
    text: String,
    pub(super) set: Vec<String>,
    pub(super) unset: Vec<String>,
}

impl Shape for FlagsPattern {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        let names: BTreeSet<&str> =
            Syscall::all().flat_map(observable::flag_sets).flat_map(FlagSet::names).collect();
        let name = shape::alternatives(names.iter().copied());
        let several = shape::text_like(&format!(r"^(\s*!?\s*({name})\s*(\|(?!$)|$))+$"));
        shape::any_of([shape::words(names), several])
    }
}

impl FlagsPattern {
    /// Whether `names`, joined by `|` as a verdict shows them, are flags like these.
    #[must_use]
    pub fn matches(&self, names: &str) -> bool {
        let has = |flag: &String| names.split('|').any(|name| name == flag);
        self.set.iter().all(has) && !self.unset.iter().any(has)
    }
}

impl FromStr for FlagsPattern {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let mut pattern = Self { text: text.to_owned(), set: Vec::new(), unset: Vec::new() };
        for word in text.split('|').map(str::trim) {
            let (list, flag) = match word.strip_prefix('!') {
                Some(flag) => (&mut pattern.unset, flag.trim()),
                None => (&mut pattern.set, word),
            };
            let known = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if flag.is_empty() || !flag.chars().all(known) {
                return Err(FormError::shape(
                    word,
                    "a flag's name: they are joined by `|`, as in `O_RDONLY|!O_CREAT`",
                ));
            }
            list.push(flag.to_owned());
        }
        if pattern.set.iter().any(|flag| pattern.unset.contains(flag)) {
            return Err(FormError::shape(
                text,
                "what a call can have: a flag of it is to be set and not set",
            ));
        }
        Ok(pattern)
    }
}

from_scalar!(FlagsPattern, "flags by name, such as `O_WRONLY|O_CREAT`");

/// One argument: a number (`8`, `0x10`, `0o644`), or a glob over the way a verdict shows it.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "String")]
pub enum ArgPattern {
    /// A number, in whatever base it was written.
    Number(i64),
    /// A glob over its text.
    Text(Glob),
}

impl FromStr for ArgPattern {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let based = |prefix, radix| {
            text.strip_prefix(prefix)
                .and_then(|digits| u64::from_str_radix(digits, radix).ok())
                .map(u64::cast_signed)
        };
        let number = text.parse::<i64>().ok().or_else(|| based("0x", 16)).or_else(|| based("0o", 8));
        number.map_or_else(|| text.parse().map(Self::Text), |number| Ok(Self::Number(number)))
    }
}

from_scalar!(ArgPattern, "a number, or a glob over the argument's text");

/// The word for what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum VerdictWord {
    /// The call ran.
    Allow,
    /// It failed by decision.
    Deny,
    /// The guest got a value instead.
    Emulate,
    /// The guest got a descriptor instead.
    Inject,
    /// It is not answered.
    Hold,
    /// It is answered later.
    Defer,
    /// A signal was sent instead.
    Kill,
}

impl VerdictWord {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Allow, "allow"),
        (Self::Deny, "deny"),
        (Self::Emulate, "emulate"),
        (Self::Inject, "inject"),
        (Self::Hold, "hold"),
        (Self::Defer, "defer"),
        (Self::Kill, "kill"),
    ];

    /// The word itself.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, word)| word)
    }
}

impl FromStr for VerdictWord {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text).map(|(verdict, _)| *verdict);
        found.ok_or_else(|| FormError::unknown("the verdict", text, Self::ALL.map(|(_, word)| word)))
    }
}

from_scalar!(VerdictWord, "one of allow, deny, emulate, inject, hold, defer, kill");

/// An error number by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct ErrnoName(pub Errno);

impl Shape for ErrnoName {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::words(Errno::names())
    }
}

impl FromStr for ErrnoName {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        Errno::named(text).map(Self).ok_or_else(|| FormError::unknown("the errno", text, Errno::names()))
    }
}

from_scalar!(ErrnoName, "an errno, such as `EACCES`");

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum ByPattern {
    /// A capability, by name.
    Capability(String),
    /// A handler given to the run: any, or the one of this name.
    Handler(Option<String>),
    /// An injection of the scenario.
    Inject,
    /// Landlock.
    Landlock,
    /// The kernel, by its ordinary rules.
    Kernel,
    /// The supervisor itself.
    Supervisor,
}

impl ByPattern {
    const OTHERS: [(&'static str, Self); 5] = [
        ("inject", Self::Inject),
        ("handler", Self::Handler(None)),
        ("landlock", Self::Landlock),
        ("kernel", Self::Kernel),
        ("supervisor", Self::Supervisor),
    ];

    fn words() -> impl Iterator<Item = &'static str> {
        let names = capability::ALL.iter().map(|known| known.name);
        names.chain(Self::OTHERS.into_iter().map(|(word, _)| word))
    }
}

impl Shape for ByPattern {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        let named = shape::text_like(&format!(r"^handler\({}\)$", HandlerName::LIKE));
        shape::any_of([shape::words(Self::words()), named])
    }
}

impl FromStr for ByPattern {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        if let Some((_, other)) = Self::OTHERS.iter().find(|(word, _)| *word == text) {
            return Ok(other.clone());
        }
        if let Some(name) = text.strip_prefix("handler(").and_then(|rest| rest.strip_suffix(')')) {
            if !HandlerName::is_allowed(name) {
                return Err(FormError::shape(text, "a handler's name, such as `handler(audit)`"));
            }
            return Ok(Self::Handler(Some(name.to_owned())));
        }
        match capability::ALL.iter().find(|known| known.name == text) {
            Some(known) => Ok(Self::Capability(known.name.to_owned())),
            None => Err(FormError::unknown("the origin", text, Self::words())),
        }
    }
}

from_scalar!(
    ByPattern,
    "a capability, or one of inject, landlock, kernel, handler, handler(NAME), supervisor"
);

/// A guest's place in the tree.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct PidPattern(pub Place);

impl Shape for PidPattern {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like("^(/[0-9]+)+$")
    }
}

impl FromStr for PidPattern {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let wanted = "a place in the tree of guests: `/0` is the command itself, `/0/1` its second child";
        text.parse().map(Self).map_err(|_| FormError::shape(text, wanted))
    }
}

from_scalar!(PidPattern, "a place in the tree of guests, such as `/0/1`");

/// What the guest got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum ResultPattern {
    /// A value.
    Value(Range),
    /// An error.
    Error(Errno),
}

impl Shape for ResultPattern {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let negative = Errno::names().map(|name| format!("-{name}"));
        let errors = shape::words(Errno::names().map(str::to_owned).chain(negative));
        shape::any_of([generator.subschema_for::<Range>(), errors])
    }
}

impl FromStr for ResultPattern {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let name = text.strip_prefix('-').unwrap_or(text);
        if name.starts_with('E') {
            return name.parse::<ErrnoName>().map(|name| Self::Error(name.0));
        }
        text.parse().map(Self::Value)
    }
}

from_scalar!(ResultPattern, "a number, a range such as `>= 0`, or an errno");

/// How far a result is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct KnownPattern(pub Known);

impl Shape for KnownPattern {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::words(KNOWN.map(|(_, word)| word))
    }
}

const KNOWN: [(Known, &str); 4] = [
    (Known::Performed, "performed"),
    (Known::Stopped, "stopped"),
    (Known::Predicted, "predicted"),
    (Known::Unknown, "unknown"),
];

impl FromStr for KnownPattern {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let found = KNOWN.iter().find(|(_, word)| *word == text).map(|(known, _)| Self(*known));
        found.ok_or_else(|| FormError::unknown("the word", text, KNOWN.map(|(_, word)| word)))
    }
}

from_scalar!(KnownPattern, "one of performed, stopped, predicted, unknown");

impl KnownPattern {
    /// The word for it.
    #[must_use]
    pub fn word(known: Known) -> &'static str {
        KNOWN.iter().find(|(other, _)| *other == known).map_or("", |(_, word)| word)
    }
}

macro_rules! shown {
    ($($type:ty: $self:ident => $text:expr;)*) => {
        $(impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $self = self;
                write!(f, "{}", $text)
            }
        })*
    };
}

shown! {
    FlagsPattern: it => it.text;
    VerdictWord: it => it.word();
    ErrnoName: it => it.0;
    PidPattern: it => it.0;
    KnownPattern: it => Self::word(it.0);
}

impl fmt::Display for ArgPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(glob) => write!(f, "{glob}"),
        }
    }
}

impl fmt::Display for ByPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Capability(name) => name,
            Self::Handler(Some(name)) => return write!(f, "handler({name})"),
            other => Self::OTHERS.iter().find(|(_, known)| known == other).map_or("", |(word, _)| word),
        })
    }
}

impl fmt::Display for ResultPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(range) => write!(f, "{range}"),
            Self::Error(errno) => write!(f, "{errno}"),
        }
    }
}

/// The pattern as it would be written: `{ call: openat, path: /etc/shadow, verdict: deny }`.
impl fmt::Display for VerdictPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut part = |key: &str, value: Option<&dyn fmt::Display>| {
            if let Some(value) = value {
                parts.push(format!("{key}: {value}"));
            }
        };
        fn shown<T: fmt::Display>(value: &Option<T>) -> Option<&dyn fmt::Display> {
            value.as_ref().map(|value| value as &dyn fmt::Display)
        }
        part("call", shown(&self.call));
        part("path", shown(&self.path));
        part("to", shown(&self.to));
        part("flags", shown(&self.flags));
        for (name, value) in &self.args {
            part(&format!("args.{name}"), Some(value));
        }
        part("verdict", shown(&self.verdict));
        part("errno", shown(&self.errno));
        part("by", shown(&self.by));
        part("pid", shown(&self.pid));
        part("exe", shown(&self.exe));
        part("result", shown(&self.result));
        part("known", shown(&self.known));
        part("times", shown(&self.times));
        write!(f, "{{ {} }}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_shows_itself_as_it_is_written() {
        let yaml = "{ call: openat, path: /etc/*, flags: O_RDONLY|!O_CREAT, args.mode: 420, verdict: deny, errno: EACCES, by: landlock, pid: /0/1, result: EACCES, known: performed, times: >= 2 }";
        let pattern: VerdictPattern = super::super::form::read(
            "{ call: openat, path: /etc/*, flags: O_RDONLY|!O_CREAT, args: { mode: 0o644 }, verdict: deny, errno: EACCES, by: landlock, pid: /0/1, result: -EACCES, known: performed, times: '> 1' }",
        )
        .unwrap();
        assert_eq!(pattern.to_string(), yaml);
    }

    #[test]
    fn flags_are_set_or_not() {
        let flags: FlagsPattern = "O_WRONLY | !O_EXCL".parse().unwrap();
        assert!(
            flags.matches("O_WRONLY|O_CREAT")
                && !flags.matches("O_WRONLY|O_EXCL")
                && !flags.matches("O_RDONLY")
        );
        assert!("o_wronly".parse::<FlagsPattern>().is_err() && "".parse::<FlagsPattern>().is_err());
    }

    #[test]
    fn numbers_are_read_in_every_base() {
        for (text, wanted) in [("8", 8), ("0x10", 16), ("0o644", 420), ("-1", -1), ("0xffffffffffffffff", -1)]
        {
            assert!(matches!(text.parse(), Ok(ArgPattern::Number(number)) if number == wanted), "{text}");
        }
        assert!(matches!("AT_FDCWD".parse(), Ok(ArgPattern::Text(_))));
    }
}
