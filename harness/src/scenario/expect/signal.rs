//! Signals by name.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::form::{FormError, from_scalar};
use crate::schema::shape::{self, Shape, Shaped};

/// A signal, by its number on x86-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Signal(pub i32);

impl Shape for Signal {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::any_of([Self::named(), shape::whole(1, 64), shape::text_like("^([1-9]|[1-5][0-9]|6[0-4])$")])
    }
}

const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

impl Signal {
    /// The schema of a signal's name.
    pub(super) fn named() -> Schema {
        let short = shape::alternatives(NAMES.iter().filter_map(|name| name.strip_prefix("SIG")));
        shape::any_of([shape::words(NAMES), shape::text_like(&format!("^({short})$"))])
    }
}

impl FromStr for Signal {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        if let Ok(number) = text.parse() {
            return if (1..=64).contains(&number) {
                Ok(Self(number))
            } else {
                Err(FormError::shape(text, "a signal: they are numbered 1 to 64"))
            };
        }
        let place = NAMES.iter().position(|name| *name == text || name.strip_prefix("SIG") == Some(text));
        place
            .and_then(|place| i32::try_from(place + 1).ok())
            .map(Self)
            .ok_or_else(|| FormError::unknown("the signal", text, NAMES))
    }
}

from_scalar!(Signal, "a signal, such as `SIGKILL` or `9`");

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = usize::try_from(self.0 - 1).ok().and_then(|place| NAMES.get(place));
        match name {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_with_the_kernel() {
        for (name, number) in [("SIGKILL", 9), ("SIGSYS", 31), ("SIGTERM", 15), ("SEGV", 11), ("34", 34)] {
            assert_eq!(name.parse(), Ok(Signal(number)));
        }
        assert_eq!(Signal(9).to_string(), "SIGKILL");
        assert_eq!(Signal(34).to_string(), "signal 34");
        assert!(
            "0".parse::<Signal>().is_err()
                && "65".parse::<Signal>().is_err()
                && "SIG".parse::<Signal>().is_err()
        );
    }
}
