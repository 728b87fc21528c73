//! A folder of scenarios as a list of tests, each ready to run, ignored with a reason, or broken.
//!
//! It knows neither how tests are listed nor how they are reported: the command line and the test harness share it.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use assize_core::outcome::Report;

use crate::diagnostic::Diagnostic;
use crate::needs::{Host, Judgement, Required};
use crate::pool::Task;
use crate::report::{self, Started};
use crate::runner::{self, Cell, Engine, Keep};
use crate::scenario::turn::Cost;
use crate::scenario::{self, Scenario};

/// One test.
#[derive(Debug)]
pub struct Case {
    /// Its name: `dir/file.yaml::name[axis=value]`.
    pub name: String,
    /// What it is.
    pub state: State,
}

/// What a test is, before it is run.
#[derive(Debug)]
pub enum State {
    /// It can be run.
    Ready(Box<Scenario>),
    /// The host lacks what it needs: what.
    Lacking(String),
    /// The host lacks what it needs, and claims to have it.
    Claimed(String),
    /// Its file can't be loaded.
    Broken(Vec<Diagnostic>),
}

/// What a file's own test is called when the file can't be loaded.
pub(crate) const LOAD: &str = "(load)";

/// What is needed to judge needs.
#[derive(Debug)]
pub struct Judge {
    /// The host.
    pub host: Host,
    /// What it claims to have.
    pub required: Required,
}

/// Every test beneath `root`, or of the one file that it is.
///
/// # Errors
/// What reading the folder gives.
pub fn all(root: &Path, judge: &Judge) -> io::Result<Vec<Case>> {
    let (root, files) = if root.is_file() {
        (root.parent().unwrap_or(root), vec![root.to_owned()])
    } else {
        (root, scenario::discover(root)?)
    };
    let mut cases = Vec::new();
    for file in files {
        match scenario::load(root, &file) {
            Ok(scenarios) => cases.extend(scenarios.into_iter().map(|scenario| judged(scenario, judge))),
            Err(diagnostics) => {
                let name = format!("{}::{LOAD}", scenario::load::test_file(root, &file));
                cases.push(Case { name, state: State::Broken(diagnostics) });
            }
        }
    }
    Ok(cases)
}

/// The test of this name. Opens only the file that the name says.
#[must_use]
pub fn named(root: &Path, name: &str, judge: &Judge) -> Option<Case> {
    let root = if root.is_file() { root.parent().unwrap_or(root) } else { root };
    match scenario::load_named(root, name) {
        Ok(found) => found.map(|scenario| judged(scenario, judge)),
        // Whichever test of the file was asked for: it can't be run, and must not seem to be gone.
        Err(diagnostics) => Some(Case { name: name.to_owned(), state: State::Broken(diagnostics) }),
    }
}

fn judged(scenario: Scenario, judge: &Judge) -> Case {
    let name = scenario.test.to_string();
    let mut lacking = Vec::new();
    let mut claimed = Vec::new();
    for need in &scenario.needs {
        if let Judgement::Missing(why) = judge.host.judge(need) {
            if judge.required.demands(need) { &mut claimed } else { &mut lacking }.push(why);
        }
    }
    let state = match (claimed.is_empty(), lacking.is_empty()) {
        (false, _) => State::Claimed(claimed.join("; ")),
        (true, false) => State::Lacking(lacking.join("; ")),
        (true, true) => State::Ready(Box::new(scenario)),
    };
    Case { name, state }
}

/// What came of a test.
#[derive(Debug)]
pub struct Done {
    /// The report of its failure; `None`: it passed.
    pub failure: Option<String>,
    /// Which controls were in force, where it came to a run.
    pub controls: Report,
    /// The cells of a sweep.
    pub cells: Vec<Cell>,
}

impl Done {
    /// It failed before anything ran.
    pub(crate) fn failed(text: String) -> Self {
        Self { failure: Some(text), controls: Report::default(), cells: Vec::new() }
    }
}

/// How tests are run and reported.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// What runs commands.
    pub engine: &'a dyn Engine,
    /// Where artefacts go.
    pub keep: &'a Keep,
    /// How this was started.
    pub started: &'a Started,
    /// Whether reports are coloured.
    pub colour: bool,
}

impl Case {
    /// What waits for its turn to run it.
    pub(crate) fn task<T>(&self, load: T) -> Task<T> {
        match &self.state {
            State::Ready(scenario) => Task { cost: scenario.cost, group: scenario.group.clone(), load },
            _ => Task { cost: Cost::default(), group: None, load },
        }
    }

    /// Runs it. A skip is no pass: to run a test whose needs are not met is a failure, with that reason.
    #[must_use]
    pub fn run(&self, way: Way<'_>) -> Done {
        let failed = Done::failed;
        match &self.state {
            State::Lacking(why) => failed(format!("error: this host lacks what the scenario needs: {why}\n")),
            State::Claimed(why) => {
                failed(format!("error: this host lacks what ASSIZE_REQUIRE says that it has: {why}\n"))
            }
            State::Broken(diagnostics) => failed(report::render(diagnostics, way.colour)),
            State::Ready(scenario) => match runner::run(scenario, way.engine, way.keep) {
                Ok(ran) => {
                    let failure = (!ran.findings.is_empty())
                        .then(|| report::failure(scenario, &ran, way.started, way.colour));
                    Done { failure, controls: ran.controls, cells: ran.cells }
                }
                Err(error) => failed(report::broken(scenario, &error, way.started, way.colour)),
            },
        }
    }
}
