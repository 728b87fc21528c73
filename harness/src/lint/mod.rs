//! Lints: what a scenario says to no effect, or can't mean. Each is a warning, found without a run. And what every run of it is
//! refused for, which is an error.
//!
//! A lint looks at a scenario and at the plan of its run. It never starts a guest, and it never refuses a scenario: whoever reads
//! the warning decides, and the sandbox.
#![forbid(unsafe_code)]

mod contradiction;
mod defaults;
mod grants;
mod idle;
mod names;
mod observed;
mod outside;
mod peak;
mod refused;
mod same;
mod texts;
mod twice;
mod unmet;

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::needs::{self, Host};
use crate::runner::refused::stand_in;
use crate::scenario::Scenario;
use crate::scenario::place::YamlPath;

/// What a lint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lint {
    /// An expectation that no run could meet, because what it wants is never seen.
    NeverSeen,
    /// A pattern that matches whatever there is.
    MatchesAnything,
    /// A rule of the policy that no access could use.
    UnusedRule,
    /// A path of the policy that is not there.
    NoSuchPath,
    /// Two lines that can't both hold.
    Contradiction,
    /// A key that says what holds anyway.
    RepeatsDefault,
    /// A need that no host meets.
    NeverMet,
    /// A control that is left out and was not asked for.
    NotAsked,
    /// A cell that is the same test as another.
    SameCell,
    /// A scenario that expects nothing.
    ExpectsNothing,
    /// A path that only one person's machine has.
    HomeFolder,
    /// A script, or a step outside of the sandbox, that does nothing, or a list without any.
    RunsNothing,
    /// A variable, or a name in brackets, that is none, but is like one.
    Misspelt,
    /// A glob where only a name is meant.
    LiteralGlob,
    /// What stands there already.
    SaidTwice,
    /// A key, or a name, that has no effect where it stands.
    NoEffect,
}

impl Lint {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::NeverSeen,
        Self::MatchesAnything,
        Self::UnusedRule,
        Self::NoSuchPath,
        Self::Contradiction,
        Self::RepeatsDefault,
        Self::NeverMet,
        Self::NotAsked,
        Self::SameCell,
        Self::ExpectsNothing,
        Self::HomeFolder,
        Self::RunsNothing,
        Self::Misspelt,
        Self::LiteralGlob,
        Self::SaidTwice,
        Self::NoEffect,
    ];

    /// Its name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NeverSeen => "never-seen",
            Self::MatchesAnything => "matches-anything",
            Self::UnusedRule => "unused-rule",
            Self::NoSuchPath => "no-such-path",
            Self::Contradiction => "contradiction",
            Self::RepeatsDefault => "repeats-default",
            Self::NeverMet => "never-met",
            Self::NotAsked => "not-asked",
            Self::SameCell => "same-cell",
            Self::ExpectsNothing => "expects-nothing",
            Self::HomeFolder => "home-folder",
            Self::RunsNothing => "runs-nothing",
            Self::Misspelt => "misspelt",
            Self::LiteralGlob => "literal-glob",
            Self::SaidTwice => "said-twice",
            Self::NoEffect => "no-effect",
        }
    }
}

/// One warning, before its file is known.
#[derive(Debug, Clone, PartialEq)]
struct Warning {
    lint: Lint,
    at: YamlPath,
    title: String,
    label: String,
    /// Another place, and what is said there.
    other: Option<(YamlPath, String)>,
    help: String,
}

impl Warning {
    fn new(lint: Lint, at: YamlPath, title: impl Into<String>) -> Self {
        Self { lint, at, title: title.into(), label: String::new(), other: None, help: String::new() }
    }

    fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    fn other(mut self, at: YamlPath, label: impl Into<String>) -> Self {
        self.other = Some((at, label.into()));
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    fn diagnostic(&self, scenario: &Scenario) -> Diagnostic {
        let diagnostic = scenario.diagnostic(&self.title, &self.at, &self.label).warning(self.lint.code());
        let mut diagnostic = diagnostic.help(&self.help);
        if let Some((at, label)) = &self.other
            && let Some(span) = scenario.key_span(at)
        {
            if diagnostic.span.is_some_and(|own| own.file == span.file) {
                diagnostic.others.push((span, label.clone()));
            } else {
                diagnostic.notes.push(format!("{label} ({})", scenario.line(at)));
            }
        }
        diagnostic
    }
}

/// The warnings about the scenarios of one file, and the errors of their runs that show without one. Of a matrix only what holds
/// in each of its cells is a warning: an axis may well have a value that says nothing.
#[must_use]
pub fn lint(scenarios: &[Scenario], host: &Host) -> Vec<Diagnostic> {
    let mut documents: BTreeMap<usize, Vec<&Scenario>> = BTreeMap::new();
    for scenario in scenarios {
        documents.entry(scenario.document).or_default().push(scenario);
    }
    documents.values().flat_map(|cells| document(cells, host)).collect()
}

fn document(cells: &[&Scenario], host: &Host) -> Vec<Diagnostic> {
    let Some((first, rest)) = cells.split_first() else { return Vec::new() };
    let mut all = refused::errors(cells, host);
    if !all.is_empty() {
        return all;
    }
    let place = |scenario: &Scenario, warning: &Warning| (warning.lint, scenario.key_span(&warning.at));
    let mut left = warnings(first, host);
    for cell in rest {
        if left.is_empty() {
            break;
        }
        let here: Vec<_> = warnings(cell, host).iter().map(|warning| place(cell, warning)).collect();
        left.retain(|warning| here.contains(&place(first, warning)));
    }
    all.extend(left.iter().map(|warning| warning.diagnostic(first)));
    all.extend(same::cells(cells).iter().map(|(cell, warning)| warning.diagnostic(cell)));
    all.sort_by_key(|diagnostic| diagnostic.span.map(|span| (span.file, span.start)));
    all
}

/// The warnings about one scenario, or one cell.
fn warnings(scenario: &Scenario, host: &Host) -> Vec<Warning> {
    let mut found = Vec::new();
    never_met(scenario, &mut found);
    // Of a host on which it isn't run nothing is said.
    grants::look(scenario, host.judge_all(&scenario.needs).is_none(), &mut found);
    texts::look(scenario, &mut found);
    names::look(scenario, &mut found);
    defaults::look(scenario, &mut found);
    contradiction::look(scenario, &mut found);
    if let Some(work) = stand_in(scenario) {
        observed::look(scenario, work.path(), &mut found);
        idle::look(scenario, work.path(), &mut found);
    }
    twice::look(scenario, &mut found);
    unmet::look(scenario, &mut found);
    outside::look(scenario, &mut found);
    peak::look(scenario, &mut found);
    found
}

fn never_met(scenario: &Scenario, found: &mut Vec<Warning>) {
    if let Some((nth, why)) = needs::never_met(&scenario.needs) {
        let at = YamlPath::from(["needs"]).index(nth);
        found.push(
            Warning::new(Lint::NeverMet, at, format!("no host meets this: {why}"))
                .help("the scenario is ignored everywhere, so it tests nothing"),
        );
    }
}
