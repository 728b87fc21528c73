//! The last lines of `assize run`.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Outcome, Tested, unavailable};

/// What became of a test, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It passed.
    Ok,
    /// It did not.
    Failed,
    /// The host lacks what it needs.
    Ignored,
}

impl Word {
    /// The word, as libtest writes it.
    #[must_use]
    pub fn render(self, colour: bool) -> String {
        let word = match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Ignored => "ignored",
        };
        self.colour(word, colour)
    }

    /// A text in its colour.
    pub(super) fn colour(self, text: &str, colour: bool) -> String {
        let code = match self {
            Self::Ok => 32,
            Self::Failed => 31,
            Self::Ignored => 33,
        };
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// How many tests came out how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// The names of those that failed.
    pub failed: Vec<String>,
    /// The names of those that were ignored, each with its reason.
    pub ignored: Vec<(String, String)>,
    /// Left out by filters.
    pub filtered_out: usize,
    /// The names of those that ran when the test run was interrupted.
    pub given_up: Vec<String>,
    /// Not run, or less often than was asked for: the test run ended before.
    pub not_run: usize,
    /// The signal that interrupted the test run.
    pub interrupted: Option<i32>,
    /// What this host can't give, so that runs went on without it.
    pub unavailable: BTreeSet<String>,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, tested: &Tested) {
        self.unavailable.extend(unavailable(&tested.controls));
        match &tested.outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed | Outcome::Broken => self.failed.push(tested.name.clone()),
            Outcome::Ignored(why) => self.ignored.push((tested.name.clone(), why.clone())),
            Outcome::GivenUp => self.given_up.push(tested.name.clone()),
            Outcome::NotRun => self.not_run += 1,
        }
    }

    /// Whether nothing failed, and nothing was given up.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.interrupted.is_none()
    }

    /// The summary.
    #[must_use]
    pub fn render(&self, took: Duration, colour: bool) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let mut line = |args: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{args}");
        };
        if !self.ignored.is_empty() {
            line(format_args!("\nignored:"));
            self.ignored.iter().for_each(|(name, reason)| line(format_args!("    {name}: {reason}")));
        }
        if !self.unavailable.is_empty() {
            line(format_args!("\nnot in force:"));
            self.unavailable.iter().for_each(|what| line(format_args!("    {what}")));
        }
        if !self.failed.is_empty() {
            line(format_args!("\nfailures:"));
            self.failed.iter().for_each(|name| line(format_args!("    {name}")));
        }
        if !self.given_up.is_empty() {
            line(format_args!("\ngiven up while they ran:"));
            self.given_up.iter().for_each(|name| line(format_args!("    {name}")));
        }
        let word = match self.interrupted {
            Some(signal) => format!("INTERRUPTED by signal {signal}"),
            None if self.failed.is_empty() => Word::Ok.render(colour),
            None => Word::Failed.render(colour),
        };
        let mut more = String::new();
        for (number, what) in [(self.given_up.len(), "given up"), (self.not_run, "not run")] {
            if number > 0 {
                more.push_str(&format!("{number} {what}; "));
            }
        }
        line(format_args!(
            "\nresult: {word}. {} passed; {} failed; {} ignored; {more}{} filtered out; finished in {:.2}s",
            self.passed,
            self.failed.len(),
            self.ignored.len(),
            self.filtered_out,
            took.as_secs_f64()
        ));
        text
    }
}
