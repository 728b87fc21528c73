//! `inject`: faults and answers at chosen calls.
//!
//! Data only: what it matches and when it is due. Who counts calls and gives answers is the runner.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use assize_core::Errno;
use assize_core::syscall::family::{self, Family};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error};

use super::calls::Calls;
use super::expect::form::{FormError, from_scalar};
use super::expect::{
    AddressPattern, ArgPattern, ErrnoName, FlagsPattern, Glob, Range, Signal, VerdictPattern,
};
use super::quantity::Time;
use crate::schema::shape::{self, Shape, Shaped};

/// The longest delay: an answer that takes longer is given up by the sandbox.
const LONGEST: Duration = Duration::from_secs(25);

/// One injection.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "Keys")]
pub struct Injection {
    /// Which calls it is for.
    pub pattern: VerdictPattern,
    /// Which of them it answers.
    pub due: Due,
    /// What it answers.
    pub answer: Answer,
    /// How much later.
    pub delay: Option<Duration>,
    /// How often it has to answer.
    pub times: Range,
}

/// What an injection answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: the call goes on, after the delay.
    GoOn,
    /// The call fails.
    Errno(Errno),
    /// The call returns this and does not run.
    Return(i64),
    /// The call does not run; it returns a descriptor from which this is read.
    Content(Vec<u8>),
    /// A descriptor from which this is read appears as this number, in place of what was there; then the call goes on.
    ContentAt(Vec<u8>, i32),
    /// The call is not answered while the run lasts.
    Hold,
    /// This signal goes to the caller's process group; the call does not run.
    Kill(Signal),
}

/// Which of the calls that are like its pattern an injection answers. They are counted from 1, whoever makes them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Due {
    /// This one alone.
    pub nth: Option<u64>,
    /// None of the first so many.
    pub after: u64,
    /// Of those that are left, each so-manieth.
    pub every: u64,
    /// Of those, so many of 2^64, by lot; the lots are drawn from the scenario's seed.
    pub chance: Option<Chance>,
}

impl Due {
    /// All of them.
    pub const ALWAYS: Self = Self { nth: None, after: 0, every: 1, chance: None };

    /// This one alone.
    #[must_use]
    pub fn nth(nth: u64) -> Self {
        Self { nth: Some(nth), ..Self::ALWAYS }
    }

    /// Whether the call of this number is answered. `lots`: what lots are drawn from.
    #[must_use]
    pub fn holds(self, number: u64, lots: u64) -> bool {
        if self.nth.is_some_and(|nth| nth != number) {
            return false;
        }
        let Some(place) = number.checked_sub(self.after).filter(|place| *place > 0) else { return false };
        place % self.every == 0 && self.chance.is_none_or(|chance| lot(lots, number) < chance.0)
    }
}

/// A number that looks like any other, and is the same in every run (Vigna's SplitMix64).
fn lot(lots: u64, number: u64) -> u64 {
    let mut z = lots.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A share, of 2^64: `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Chance(u64);

impl Shape for Chance {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(r"^(?![0.]+\s*%)([0-9.]+)\s*%$")
    }
}

impl FromStr for Chance {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let share = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match share.filter(|share| *share > 0.0 && *share <= 100.0) {
            // All of them would be one too many to be a number.
            Some(share) => Ok(Self((share / 100.0 * 2.0_f64.powi(64)) as u64)),
            None => Err(FormError::shape(text, "a chance: write a share above 0 and up to 100, as in `10%`")),
        }
    }
}

from_scalar!(Chance, "a chance, such as `10%`");

/// An injection: calls, and what they are answered.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "an injection, such as `{ call: openat, nth: 2, errno: EIO }`"
)]
#[schemars(transform = answers)]
struct Keys {
    /// The call, or `family(NAME)` for every spelling of one operation.
    call: Calls,
    /// Of these calls only those on such a path.
    path: Option<Glob>,
    /// Of these calls only those to such an address.
    to: Option<AddressPattern>,
    /// Of these calls only those with these flags; one after `!` is not set.
    flags: Option<FlagsPattern>,
    /// Of these calls only those with these arguments, by their names in the manual page.
    #[serde(default)]
    args: BTreeMap<String, ArgPattern>,
    /// This one alone: calls are counted from 1, whoever makes them.
    nth: Option<u64>,
    /// None of the first so many.
    after: Option<u64>,
    /// Of those that are left, each so-manieth.
    every: Option<u64>,
    /// Of those, so many by lot: `10%`. The lots are drawn from the seed.
    chance: Option<Chance>,
    /// The call fails with this.
    errno: Option<ErrnoName>,
    /// The call does not run: it returns this.
    #[serde(rename = "return")]
    value: Option<i64>,
    /// The call does not run: it returns a descriptor from which this is read.
    content: Option<String>,
    /// The descriptor of `content` gets this number before the call, which then goes on.
    at: Option<u16>,
    /// `true`: the call is not answered while the run lasts.
    hold: Option<bool>,
    /// This signal goes to the process group of whoever makes the call, which does not run.
    kill: Option<Signal>,
    /// The answer comes so much later; without an answer the call goes on then. At most 25 s.
    delay: Option<Time>,
    /// How often it has to answer. Without it: at least once.
    times: Option<Range>,
}

/// Keys that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum InjectError {
    #[error("an injection answers in one way, and this one says {0}")]
    Several(String),
    #[error(
        "this injection does nothing\nit answers by one of {ANSWERS}; `delay` alone lets the call go on later"
    )]
    Nothing,
    #[error("`nth` is one call; it takes neither `after` nor `every`")]
    Nth,
    #[error("calls are counted from 1")]
    Zero,
    #[error("`at` is the number that the descriptor of `content` gets: without `content` it says nothing")]
    At,
    #[error(
        "`content` answers an open, and {0} is none\nwith `at: N` it becomes descriptor N before any call"
    )]
    NoOpen(String),
    #[error("`hold` can only be `true`")]
    Hold,
    #[error("{0} can't be delayed: whoever makes it waits in the middle of more than a call")]
    Delayed(String),
    #[error("the delay is longer than 25 s")]
    Long,
    #[error("a call that an injection never answers needs none: leave it out, or let `times` allow one")]
    Never,
    #[error(transparent)]
    Form(#[from] FormError),
}

const ANSWER_KEYS: [&str; 5] = ["errno", "return", "content", "hold", "kill"];
const ANSWERS: &str = "`errno`, `return`, `content`, `hold` and `kill`";

/// Exactly one answer, or a delay.
fn answers(schema: &mut Schema) {
    shape::at_most_one(schema, &ANSWER_KEYS);
    let all: Vec<&str> = ANSWER_KEYS.into_iter().chain(["delay"]).collect();
    shape::at_least_one(schema, &all);
}

impl Keys {
    fn injection(self) -> Result<Injection, InjectError> {
        let said = [
            self.errno.is_some(),
            self.value.is_some(),
            self.content.is_some(),
            self.hold.is_some(),
            self.kill.is_some(),
        ];
        let said = ANSWER_KEYS.iter().zip(said).filter(|(_, said)| *said);
        let said: Vec<String> = said.map(|(key, _)| format!("`{key}`")).collect();
        if said.len() > 1 {
            return Err(InjectError::Several(said.join(" and ")));
        }
        let outside = |family: &Family| self.call.calls().iter().find(|call| !family.contains(**call));
        let within = |family: &Family| self.call.calls().iter().find(|call| family.contains(**call));
        let answer = match (self.errno, self.value, self.content, self.hold, self.kill) {
            (Some(errno), ..) => Answer::Errno(errno.0),
            (_, Some(value), ..) => Answer::Return(value),
            (_, _, Some(content), ..) => match self.at {
                Some(number) => Answer::ContentAt(content.into_bytes(), number.into()),
                None => match outside(&family::OPEN) {
                    Some(call) => return Err(InjectError::NoOpen(call.name().to_owned())),
                    None => Answer::Content(content.into_bytes()),
                },
            },
            (_, _, _, Some(true), _) => Answer::Hold,
            (_, _, _, Some(false), _) => return Err(InjectError::Hold),
            (.., Some(signal)) => Answer::Kill(signal),
            _ if self.delay.is_some() => Answer::GoOn,
            _ => return Err(InjectError::Nothing),
        };
        if self.at.is_some() && !matches!(answer, Answer::ContentAt(..)) {
            return Err(InjectError::At);
        }
        if self.nth.is_some() && (self.after.is_some() || self.every.is_some()) {
            return Err(InjectError::Nth);
        }
        if self.nth == Some(0) || self.every == Some(0) {
            return Err(InjectError::Zero);
        }
        if let Some(delay) = self.delay {
            if let Some(call) = within(&family::EXEC).or_else(|| within(&family::CLONE)) {
                return Err(InjectError::Delayed(call.name().to_owned()));
            }
            if delay.0 > LONGEST {
                return Err(InjectError::Long);
            }
        }
        let times = self.times.unwrap_or(Range::SOME);
        if times.most < 1 {
            return Err(InjectError::Never);
        }
        let (after, every) = (self.after.unwrap_or(0), self.every.unwrap_or(1));
        Ok(Injection {
            pattern: VerdictPattern::of_calls(self.call, self.path, self.to, self.flags, self.args)?,
            due: Due { nth: self.nth, after, every, chance: self.chance },
            answer,
            delay: self.delay.map(|delay| delay.0),
            times,
        })
    }
}

impl<'de> Deserialize<'de> for Injection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Keys::deserialize(deserializer)?.injection().map_err(D::Error::custom)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoOn => f.write_str("go on"),
            Self::Errno(errno) => write!(f, "{errno}"),
            Self::Return(value) => write!(f, "return {value}"),
            Self::Content(_) | Self::ContentAt(..) => f.write_str("content"),
            Self::Hold => f.write_str("hold"),
            Self::Kill(signal) => write!(f, "{signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Injection, String> {
        super::super::expect::form::read(yaml)
    }

    fn due(yaml: &str, lots: u64) -> Vec<u64> {
        let injection = read(&format!("{{ call: read, errno: EIO, {yaml} }}")).unwrap();
        (1..=12).filter(|number| injection.due.holds(*number, lots)).collect()
    }

    #[test]
    fn calls_are_counted_from_one() {
        assert_eq!(due("", 0), (1..=12).collect::<Vec<_>>());
        assert_eq!(due("nth: 2", 0), [2]);
        assert_eq!(due("every: 5", 0), [5, 10]);
        assert_eq!(due("after: 10", 0), [11, 12]);
        assert_eq!(due("after: 2, every: 4", 0), [6, 10]);
        assert_eq!(due("chance: 100%", 7), (1..=12).collect::<Vec<_>>());
    }

    #[test]
    fn lots_are_the_same_for_the_same_seed() {
        assert_eq!(due("chance: 50%", 7), due("chance: 50%", 7));
        assert_ne!(due("chance: 50%", 7), due("chance: 50%", 8));
        let tenth = read("{ call: read, errno: EIO, chance: 10% }").unwrap();
        let hit = (1..=10_000).filter(|number| tenth.due.holds(*number, 3)).count();
        assert!((900..1100).contains(&hit), "{hit}");
        for wrong in ["0%", "101%", "10", "ten%", "nan%"] {
            assert!(wrong.parse::<Chance>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_answer_is_read() {
        for (keys, wanted) in [
            ("errno: EIO", Answer::Errno(Errno::EIO)),
            ("return: -1", Answer::Return(-1)),
            ("content: x", Answer::Content(b"x".to_vec())),
            ("content: x, at: 0", Answer::ContentAt(b"x".to_vec(), 0)),
            ("hold: true", Answer::Hold),
            ("kill: SIGTERM", Answer::Kill(Signal(15))),
            ("delay: 1ms", Answer::GoOn),
        ] {
            assert_eq!(read(&format!("{{ call: openat, {keys} }}")).unwrap().answer, wanted, "{keys}");
        }
    }
}
