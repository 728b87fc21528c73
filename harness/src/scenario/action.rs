//! What a scenario runs: a command, a script, or a list of system calls.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;

use super::template::Word;
use crate::attempt::Attempt;

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
