//! How a command is to end: `0`, `SIGKILL`, `{ signal: 9 }`, `timeout`, `any`, or a list of them.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use assize_core::outcome::End;
use assize_core::trace::Exit;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Signal;
use super::form::FormError;
use crate::scenario::fault::nearest;
use crate::schema::shape::{self, Shape, Shaped};

/// One way to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum ExitPattern {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(Signal),
    /// Because its time was up.
    Timeout,
    /// By itself or by a signal, whichever: not because its time was up.
    Any,
}

impl Shape for ExitPattern {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let signal = Signal::named();
        let map = json_schema!({
            "type": "object",
            "properties": { "signal": { "description": "A signal, by name or number.", "allOf": [generator.subschema_for::<Signal>()] } },
            "required": ["signal"],
            "additionalProperties": false
        });
        let code = shape::text_like("^0*([0-9]|[0-9]{2}|1[0-9]{2}|2[0-4][0-9]|25[0-5])$");
        shape::any_of([shape::words(WORDS), shape::whole(0, u8::MAX.into()), code, signal, map])
    }
}

/// The ways to end that are all right.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Exits(pub Vec<ExitPattern>);

impl Shape for Exits {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<ExitPattern>();
        let list = json_schema!({ "type": "array", "items": one, "minItems": 1 });
        shape::any_of([one, list])
    }
}

impl Default for Exits {
    fn default() -> Self {
        Self(vec![ExitPattern::Code(0)])
    }
}

impl Exits {
    /// Whether this end is one of them.
    #[must_use]
    pub fn hold(&self, end: End) -> bool {
        self.0.iter().any(|pattern| match (pattern, end) {
            (ExitPattern::Code(code), End::Exit(Exit::Code(seen))) => *code == seen,
            (ExitPattern::Signal(signal), End::Exit(Exit::Signal(seen))) => signal.0 == seen,
            (ExitPattern::Timeout, End::TimedOut(_)) | (ExitPattern::Any, End::Exit(_)) => true,
            _ => false,
        })
    }
}

impl fmt::Display for ExitPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "{signal}"),
            Self::Timeout => f.write_str("a timeout"),
            Self::Any => f.write_str("any end but a timeout"),
        }
    }
}

impl fmt::Display for Exits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, pattern) in self.0.iter().enumerate() {
            write!(f, "{}{pattern}", if nth > 0 { " or " } else { "" })?;
        }
        Ok(())
    }
}

const ONE_OR_MORE: &str =
    "an exit code, a signal such as `SIGKILL`, `{ signal: 9 }`, `timeout` or `any`, or a list of them";

const WORDS: [&str; 2] = ["timeout", "any"];

impl FromStr for ExitPattern {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        match text {
            "timeout" => Ok(Self::Timeout),
            "any" => Ok(Self::Any),
            _ if nearest(text, WORDS).is_some() => Err(FormError::unknown("the end", text, WORDS)),
            _ => match text.parse() {
                // It need not have been meant as a signal.
                Err(FormError::Unknown { word, near: None, .. }) => Err(FormError::shape(&word, ONE_OR_MORE)),
                signal => signal.map(Self::Signal),
            },
        }
    }
}

struct OneVisitor;

const EXPECTING: &str = "an exit code, a signal such as `SIGKILL`, `{ signal: 9 }`, `timeout` or `any`";

impl<'de> Visitor<'de> for OneVisitor {
    type Value = ExitPattern;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTING)
    }

    fn visit_u64<E: Error>(self, code: u64) -> Result<ExitPattern, E> {
        let wrong = |_| E::custom(FormError::shape(&code.to_string(), "an exit code: they go from 0 to 255"));
        u8::try_from(code).map(ExitPattern::Code).map_err(wrong)
    }

    fn visit_i64<E: Error>(self, code: i64) -> Result<ExitPattern, E> {
        Err(E::custom(FormError::shape(&code.to_string(), "an exit code: they go from 0 to 255")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ExitPattern, E> {
        // A code in quotes is a code: as a signal's number it would need `{ signal: N }`.
        match text.parse::<u64>() {
            Ok(code) => self.visit_u64(code),
            Err(_) => text.parse().map_err(E::custom),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ExitPattern, A::Error> {
        match Form::deserialize(MapAccessDeserializer::new(map))? {
            Form { signal: Some(signal), code: None } => Ok(ExitPattern::Signal(signal)),
            Form { signal: None, code: Some(code) } => Ok(ExitPattern::Code(code)),
            _ => Err(A::Error::custom("one of `signal` and `code` is wanted")),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with `signal` or `code`")]
struct Form {
    signal: Option<Signal>,
    code: Option<u8>,
}

impl<'de> Deserialize<'de> for ExitPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneVisitor)
    }
}

impl<'de> Deserialize<'de> for Exits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ManyVisitor;
        impl<'de> Visitor<'de> for ManyVisitor {
            type Value = Exits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ONE_OR_MORE)
            }

            fn visit_u64<E: Error>(self, code: u64) -> Result<Exits, E> {
                OneVisitor.visit_u64(code).map(|one| Exits(vec![one]))
            }

            fn visit_i64<E: Error>(self, code: i64) -> Result<Exits, E> {
                OneVisitor.visit_i64(code).map(|one| Exits(vec![one]))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Exits, E> {
                OneVisitor.visit_str(text).map(|one| Exits(vec![one]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Exits, A::Error> {
                OneVisitor.visit_map(map).map(|one| Exits(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Exits, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                if all.is_empty() {
                    Err(A::Error::custom("an empty list: no end would do"))
                } else {
                    Ok(Exits(all))
                }
            }
        }
        deserializer.deserialize_any(ManyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(yaml: &str) -> Result<Exits, String> {
        crate::scenario::expect::form::read(yaml)
    }

    #[test]
    fn every_form_is_read() {
        let kill = ExitPattern::Signal(Signal(9));
        for (yaml, wanted) in [
            ("0", vec![ExitPattern::Code(0)]),
            ("'7'", vec![ExitPattern::Code(7)]),
            ("SIGKILL", vec![kill]),
            ("{ signal: SIGKILL }", vec![kill]),
            ("{ signal: 9 }", vec![kill]),
            ("timeout", vec![ExitPattern::Timeout]),
            ("any", vec![ExitPattern::Any]),
            ("[0, SIGKILL, { signal: 9 }]", vec![ExitPattern::Code(0), kill, kill]),
        ] {
            assert_eq!(parse(yaml), Ok(Exits(wanted)), "{yaml}");
        }
        for wrong in ["256", "-1", "[]", "{ sig: 9 }", "{}", "1.5", "tiemout", "true"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_is_any_end_but_a_timeout() {
        let late = End::TimedOut(Duration::from_secs(1));
        assert!(!parse("any").unwrap().hold(late));
        assert!(parse("[any, timeout]").unwrap().hold(late));
        assert!(parse("any").unwrap().hold(End::Exit(Exit::Signal(6))));
        assert!(!parse("any").unwrap().hold(End::Cancelled));
        assert!(
            Exits::default().hold(End::Exit(Exit::Code(0)))
                && !Exits::default().hold(End::Exit(Exit::Code(1)))
        );
    }
}
