//! `outside`: steps before and after the command that run without a sandbox: what a scenario needs and its guests may not do.
//!
//! They are data here. Whether they may run at all, whoever runs the tests says ([`Engine::allows_outside`]); no file does.
//!
//! [`Engine::allows_outside`]: crate::runner::Engine::allows_outside
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::action::Words;
use super::quantity::Time;
use super::template::Word;
use crate::schema::shape;

/// `outside:`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a map of `before` and `after`: lists of steps")]
pub struct Outside {
    /// In the work folder when its `files` are there, one after the other. If one fails, the command isn't run.
    pub before: Vec<OutsideStep>,
    /// In the work folder when all that is expected of the run was looked at, whatever came of it: all of them, also when one fails.
    pub after: Vec<OutsideStep>,
}

impl Outside {
    /// Whether there is no step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Both lists, by their keys.
    pub fn lists(&self) -> [(&'static str, &[OutsideStep]); 2] {
        [("before", &self.before), ("after", &self.after)]
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Forms")]
pub struct OutsideStep {
    /// What it does.
    pub does: Does,
    /// How long it may take, if it says so.
    pub timeout: Option<Time>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// `run`: a program and its arguments.
    Run(Vec<Word>),
    /// `shell`: a script for `/bin/sh -c`.
    Shell(String),
}

impl OutsideStep {
    /// Its words, the program first.
    #[must_use]
    pub fn argv(&self, work: &Path) -> Vec<OsString> {
        match &self.does {
            Does::Run(words) => words.iter().map(|word| word.expand(work)).collect(),
            // `$WORK` is a variable of its environment.
            Does::Shell(script) => vec!["/bin/sh".into(), "-c".into(), script.into()],
        }
    }

    /// Its key that says what it does.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self.does {
            Does::Run(_) => "run",
            Does::Shell(_) => "shell",
        }
    }
}

/// One step, as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a step: a map with `run` or `shell`")]
#[schemars(rename = "OutsideStep", transform = one_form)]
struct Forms {
    /// A command: the program and its arguments. `$WORK` stands for the work folder.
    run: Option<Words>,
    /// A script for `/bin/sh -c`.
    shell: Option<String>,
    /// How long it may take; a minute if nothing is said. Then its process group is killed.
    timeout: Option<Time>,
}

const FORMS: [&str; 2] = ["run", "shell"];

fn one_form(schema: &mut Schema) {
    shape::at_most_one(schema, &FORMS);
    shape::at_least_one(schema, &FORMS);
}

impl<'de> Deserialize<'de> for OutsideStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Forms { run, shell, timeout } = Forms::deserialize(deserializer)?;
        let does = match (run, shell) {
            (Some(words), None) => Does::Run(words.0),
            (None, Some(script)) => Does::Shell(script),
            (None, None) => {
                return Err(D::Error::custom("the step runs nothing: `run` or `shell` is missing"));
            }
            (Some(_), Some(_)) => return Err(D::Error::custom("a step runs one thing: `run` or `shell`")),
        };
        Ok(Self { does, timeout })
    }
}
