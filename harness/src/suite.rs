//! A folder of scenarios as a list of tests, each ready to run, ignored with a reason, or broken.
//!
//! It knows neither how tests are listed nor how they are reported: the command line and the test harness share it.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use assize_core::outcome::Report;

use crate::bless;
use crate::diagnostic::Diagnostic;
use crate::needs::{Host, Judgement};
use crate::pool::Task;
use crate::report::{self, Origin, Outcome, Output, Room, Seen, Started, Tested, shown};
use crate::runner::{self, Cell, Engine, Keep};
use crate::scenario::place::YamlPath;
use crate::scenario::turn::Cost;
use crate::scenario::{self, Scenario};

/// One test.
#[derive(Debug)]
pub struct Case {
    /// Its name: `dir/file.yaml::name[axis=value]`.
    pub name: String,
    /// Where it stands.
    pub origin: Origin,
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
    /// Its file can't be loaded.
    Broken(Vec<Diagnostic>),
}

/// What a file's own test is called when the file can't be loaded.
pub(crate) const LOAD: &str = "(load)";

/// Every test beneath `root`, or of the one file that it is.
///
/// # Errors
/// What reading the folder gives.
pub fn all(root: &Path, host: &Host) -> io::Result<Vec<Case>> {
    let (root, files) = if root.is_file() {
        (root.parent().unwrap_or(root), vec![root.to_owned()])
    } else {
        (root, scenario::discover(root)?)
    };
    let mut cases = Vec::new();
    for file in files {
        match scenario::load(root, &file) {
            Ok(scenarios) => cases.extend(scenarios.into_iter().map(|scenario| judged(scenario, host))),
            Err(diagnostics) => {
                let name = format!("{}::{LOAD}", scenario::load::test_file(root, &file));
                cases.push(Case::unloaded(name, diagnostics));
            }
        }
    }
    Ok(cases)
}

/// The test of this name. Opens only the file that the name says.
#[must_use]
pub fn named(root: &Path, name: &str, host: &Host) -> Option<Case> {
    let root = if root.is_file() { root.parent().unwrap_or(root) } else { root };
    match scenario::load_named(root, name) {
        Ok(found) => found.map(|scenario| judged(scenario, host)),
        // Whichever test of the file was asked for: it can't be run, and must not seem to be gone.
        Err(diagnostics) => Some(Case::unloaded(name.to_owned(), diagnostics)),
    }
}

fn judged(scenario: Scenario, host: &Host) -> Case {
    let name = scenario.test.to_string();
    let mut lacking = Vec::new();
    for need in &scenario.needs {
        if let Judgement::Missing(why) = host.judge(need) {
            lacking.push(why);
        }
    }
    let line = scenario.span(&YamlPath::root()).map_or(1, |span| span.line);
    let origin = Origin {
        file: scenario.file.clone(),
        line,
        about: scenario.about.clone(),
        source: Arc::clone(scenario.source.text()),
    };
    let state = if lacking.is_empty() {
        State::Ready(Box::new(scenario))
    } else {
        State::Lacking(lacking.join("; "))
    };
    Case { name, origin, state }
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
    /// When the whole run began.
    pub began: Instant,
    /// Room for verdict logs; `None`: no report wants them.
    pub logs: Option<&'a Room>,
}

impl Case {
    /// What waits for its turn to run it.
    pub(crate) fn task<T>(&self, load: T) -> Task<T> {
        match &self.state {
            State::Ready(scenario) => Task { cost: scenario.cost, group: scenario.group.clone(), load },
            _ => Task { cost: Cost::default(), group: None, load },
        }
    }

    fn unloaded(name: String, diagnostics: Vec<Diagnostic>) -> Self {
        let first = diagnostics.first();
        let origin = Origin {
            file: first.map(|first| first.file.clone()).unwrap_or_default(),
            line: first.and_then(|first| first.span).map_or(1, |span| span.line),
            about: None,
            source: first.map_or_else(|| Arc::from(""), |first| Arc::clone(&first.source)),
        };
        Self { name, origin, state: State::Broken(diagnostics) }
    }

    /// What came of it if it is not to be run.
    #[must_use]
    pub fn skipped(&self, way: Way<'_>) -> Option<Tested> {
        let State::Lacking(why) = &self.state else { return None };
        Some(self.tested(way, Outcome::Ignored(why.clone()), Vec::new()))
    }

    /// What came of it where it did not come to an end.
    pub(crate) fn left(&self, way: Way<'_>, outcome: Outcome) -> Tested {
        self.tested(way, outcome, Vec::new())
    }

    /// What came of it where it could not be run: why.
    pub(crate) fn broken(&self, way: Way<'_>, why: &str) -> Tested {
        self.tested(way, Outcome::Broken, vec![Diagnostic::new(why, &self.origin.file)])
    }

    /// Runs it. A skip is no pass: to run a test whose needs are not met is a failure, with that reason.
    #[must_use]
    pub fn run(&self, way: Way<'_>) -> Tested {
        match &self.state {
            State::Lacking(why) => {
                self.broken(way, &format!("this host lacks what the scenario needs: {why}"))
            }
            State::Broken(diagnostics) => self.tested(way, Outcome::Broken, diagnostics.clone()),
            State::Ready(scenario) => self.ready(scenario, way),
        }
    }

    fn ready(&self, scenario: &Scenario, way: Way<'_>) -> Tested {
        let allowed = way.engine.allows_outside();
        let allowing = |command: String| match scenario.outside.is_empty() {
            true => command,
            false => way.started.allowing_outside(command, allowed),
        };
        let began = Instant::now();
        let came = runner::run(scenario, way.engine, way.keep);
        let (took, after) = (began.elapsed(), began.saturating_duration_since(way.began));
        let tested = match came {
            Ok(ran) => {
                let mut findings = report::placed(scenario, &ran.findings);
                self.say_how_to_run_cells(scenario, &ran.cells, &mut findings, way);
                let outcome = if ran.findings.is_empty() { Outcome::Passed } else { Outcome::Failed };
                let accept = (ran.failed && bless::would(scenario, &ran.seen, ran.again.as_ref()))
                    .then(|| allowing(way.started.accept(&self.name)));
                Tested {
                    accept,
                    controls: ran.controls,
                    cells: ran.cells,
                    deterministic: scenario.deterministic.is_some(),
                    kept: ran.kept.map(|kept| shown(&kept).to_owned()),
                    seen: Seen {
                        stdout: Output::from(ran.seen.stdout),
                        stderr: Output::from(ran.seen.stderr),
                        log: way.logs.map(|room| room.take(ran.seen.events)).unwrap_or_default(),
                    },
                    ..self.tested(way, outcome, findings)
                }
            }
            Err(error) => self.tested(way, Outcome::Broken, report::broken(scenario, &error)),
        };
        Tested { after, took, again: Some(allowing(way.started.again(&self.name))), ..tested }
    }

    /// A cell of a sweep that failed can be run alone.
    fn say_how_to_run_cells(
        &self,
        scenario: &Scenario,
        cells: &[Cell],
        findings: &mut [Diagnostic],
        way: Way<'_>,
    ) {
        // Of the one that was asked for it is said as of any test.
        if scenario.sweep.as_ref().is_none_or(|sweep| sweep.only.is_some()) {
            return;
        }
        for cell in cells.iter().filter(|cell| !cell.passed) {
            let begins = format!("{} ", cell.name);
            let last = findings.iter_mut().rfind(|finding| finding.title.starts_with(&begins));
            let named = cell.name.trim_matches(['[', ']']).rsplit_once('=');
            if let (Some(last), Some((axis, errno))) = (last, named) {
                let name = scenario.test.with_cell((axis.to_owned(), errno.to_owned())).to_string();
                last.notes.push(format!("to run this cell alone: {}", way.started.again(&name)));
            }
        }
    }

    fn tested(&self, way: Way<'_>, outcome: Outcome, mut findings: Vec<Diagnostic>) -> Tested {
        let readers = |file: &PathBuf| shown(file).to_owned();
        findings.iter_mut().for_each(|finding| finding.file = readers(&finding.file));
        Tested {
            name: self.name.clone(),
            origin: Origin { file: readers(&self.origin.file), ..self.origin.clone() },
            outcome,
            findings,
            controls: Report::default(),
            cells: Vec::new(),
            repeated: None,
            deterministic: false,
            after: way.began.elapsed(),
            took: std::time::Duration::ZERO,
            seen: Seen::default(),
            accept: None,
            again: None,
            kept: None,
        }
    }
}
