//! What `assize run` prints while it runs: in words, or as libtest prints it (`--format terse`, `--format json`).
//!
//! It gives text and prints nothing.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::time::Duration;

use super::{Counts, Outcome, Tested, Word, cells, controls};

/// After so many results libtest begins a new line.
const MOST_IN_LINE: usize = 87;

/// How a run is shown while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line for each scenario, and what is wrong with it.
    #[default]
    Pretty,
    /// A sign for each scenario, and at the end what is wrong, as libtest's `--format terse`.
    Terse,
    /// JSON lines, as libtest's `-Z unstable-options --format json`.
    Json,
}

/// Makes the text of one run.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    colour: bool,
    /// Whether the controls of each run are told.
    verbose: bool,
    total: usize,
    /// By which number they were put into another order.
    shuffled: Option<u64>,
    done: usize,
    in_line: usize,
    /// The failures, which are told at the end.
    failures: String,
}

impl Printer {
    /// For a run of so many scenarios, in the order of this number, if of any.
    #[must_use]
    pub fn new(format: Format, colour: bool, verbose: bool, total: usize, shuffled: Option<u64>) -> Self {
        Self { format, colour, verbose, total, shuffled, done: 0, in_line: 0, failures: String::new() }
    }

    /// Before the first of them.
    #[must_use]
    pub fn begin(&self) -> String {
        let seed = |say: fn(u64) -> String| self.shuffled.map(say).unwrap_or_default();
        match self.format {
            Format::Pretty => seed(|seed| format!("shuffled: --shuffle={seed} is this order\n")),
            Format::Terse => {
                let seed = seed(|seed| format!(" (shuffle seed: {seed})"));
                format!("\nrunning {} test{}{seed}\n", self.total, if self.total == 1 { "" } else { "s" })
            }
            Format::Json => {
                let seed = seed(|seed| format!(", \"shuffle_seed\": {seed}"));
                format!(
                    "{{ \"type\": \"suite\", \"event\": \"started\", \"test_count\": {}{seed} }}\n",
                    self.total
                )
            }
        }
    }

    /// When one begins.
    #[must_use]
    pub fn started(&self, name: &str) -> String {
        match self.format {
            Format::Pretty | Format::Terse => String::new(),
            Format::Json => {
                format!("{{ \"type\": \"test\", \"event\": \"started\", \"name\": {} }}\n", quoted(name))
            }
        }
    }

    /// When one has ended.
    #[must_use]
    pub fn ended(&mut self, tested: &Tested) -> String {
        let failure = tested.failure(self.colour).unwrap_or_default();
        let text = match self.format {
            Format::Pretty => self.pretty(tested, &failure),
            Format::Terse => self.terse(tested, &failure),
            Format::Json => json(tested, &failure),
        };
        self.done += 1;
        text
    }

    fn pretty(&self, tested: &Tested, failure: &str) -> String {
        let shown =
            if self.verbose { cells(&tested.cells) + &controls(&tested.controls) } else { String::new() };
        let rest = if tested.outcome.is_failure() { format!("\n{failure}{shown}\n") } else { shown };
        format!("{} ... {}{}\n{rest}", tested.name, word(tested).render(self.colour), often(tested))
    }

    /// libtest's rules: a failure has a line of its own, and a line that ends tells how far the run is.
    fn terse(&mut self, tested: &Tested, failure: &str) -> String {
        let sign = match word(tested) {
            Word::Failed => {
                // Writing to a string does not fail.
                let _ = write!(self.failures, "---- {} stdout ----\n{failure}\n", tested.name);
                let progress = if self.in_line == 0 { String::new() } else { self.progress(self.done) };
                self.in_line = 0;
                let word = Word::Failed.render(self.colour);
                return format!("{progress}{} --- {word}{}\n", tested.name, often(tested));
            }
            Word::Ok => ".",
            Word::Ignored => "i",
        };
        let sign = word(tested).colour(sign, self.colour);
        self.in_line += 1;
        if self.in_line == MOST_IN_LINE {
            self.in_line = 0;
            return format!("{sign}{}", self.progress(self.done + 1));
        }
        sign
    }

    fn progress(&self, done: usize) -> String {
        format!(" {done}/{}\n", self.total)
    }

    /// After the last.
    #[must_use]
    pub fn end(&self, counts: &Counts, took: Duration) -> String {
        let (failed, ignored) = (counts.failed.len(), counts.ignored.len());
        let (passed, filtered_out) = (counts.passed, counts.filtered_out);
        match self.format {
            Format::Pretty => counts.render(took, self.colour),
            Format::Terse => {
                let mut text = "\n".to_owned();
                if failed > 0 {
                    let names: String = counts.failed.iter().map(|name| format!("    {name}\n")).collect();
                    let _ = write!(text, "failures:\n\n{}\nfailures:\n{names}\n", self.failures);
                }
                if !counts.given_up.is_empty() {
                    let names: String = counts.given_up.iter().map(|name| format!("    {name}\n")).collect();
                    let _ = write!(text, "given up while they ran:\n{names}\n");
                }
                let word = if counts.is_good() { Word::Ok } else { Word::Failed }.render(self.colour);
                let took = took.as_secs_f64();
                let _ = write!(
                    text,
                    "test result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; \
                     {filtered_out} filtered out; finished in {took:.2}s\n\n"
                );
                text
            }
            Format::Json => {
                let event = if counts.is_good() { "ok" } else { "failed" };
                format!(
                    "{{ \"type\": \"suite\", \"event\": \"{event}\", \"passed\": {passed}, \"failed\": {failed}, \
                     \"ignored\": {ignored}, \"measured\": 0, \"filtered_out\": {filtered_out}, \
                     \"exec_time\": {} }}\n",
                    took.as_secs_f64()
                )
            }
        }
    }
}

fn word(tested: &Tested) -> Word {
    match tested.outcome {
        Outcome::Passed => Word::Ok,
        Outcome::Failed | Outcome::Broken => Word::Failed,
        // Those that did not come to an end are told of at the end.
        Outcome::Ignored(_) | Outcome::GivenUp | Outcome::NotRun => Word::Ignored,
    }
}

/// How often it failed, where that was asked for.
fn often(tested: &Tested) -> String {
    tested.repeated.map(|repeated| format!(" ({repeated})")).unwrap_or_default()
}

fn json(tested: &Tested, failure: &str) -> String {
    let name = quoted(&tested.name);
    let (event, more) = match &tested.outcome {
        Outcome::Passed => ("ok", String::new()),
        Outcome::Failed | Outcome::Broken => {
            let often = tested.repeated.map(|repeated| format!("{repeated}\n")).unwrap_or_default();
            ("failed", format!(", \"stdout\": {}", quoted(&(failure.to_owned() + &often))))
        }
        Outcome::Ignored(why) => ("ignored", format!(", \"message\": {}", quoted(why))),
        Outcome::GivenUp | Outcome::NotRun => ("ignored", String::new()),
    };
    format!("{{ \"type\": \"test\", \"name\": {name}, \"event\": \"{event}\"{more} }}\n")
}

/// A text as JSON has it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
