//! The scenario: one test, typed.
//!
//! Each cell of a matrix is a scenario of its own; its axes are already put in.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assize_core::Policy;

use super::action::Action;
use super::deterministic::Deterministic;
use super::expect::Expectation;
use super::files::{FileSpec, WorkPath};
use super::handlers::Handlers;
use super::inject::Injection;
use super::outside::Outside;
use super::place::{SourceMap, Span, YamlPath};
use super::policy::{EnvName, PolicySpec};
use super::sweep::Sweep;
use super::template::Template;
use super::turn::{Cost, GroupName};
use crate::diagnostic::Diagnostic;
use crate::needs::Need;

/// The name of a test: `dir/file.yaml::name[axis=value,axis2=value]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TestName {
    /// The file, relative to the folder of scenarios, with `/` between its parts.
    pub file: String,
    /// The scenario's own name.
    pub name: String,
    /// The cell of the matrix: axes in the file's order, with their values. Empty without a matrix.
    pub cell: Vec<(String, String)>,
}

impl TestName {
    /// The same test, narrowed to a further cell.
    #[must_use]
    pub fn with_cell(&self, cell: (String, String)) -> Self {
        let mut narrowed = self.clone();
        narrowed.cell.push(cell);
        narrowed
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.file, self.name)?;
        for (position, (axis, value)) in self.cell.iter().enumerate() {
            write!(f, "{}{axis}={value}", if position == 0 { "[" } else { "," })?;
        }
        if self.cell.is_empty() { Ok(()) } else { f.write_str("]") }
    }
}

/// One test.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is called.
    pub test: TestName,
    /// The file, as it was opened.
    pub file: PathBuf,
    /// The file's text and the places in it.
    pub source: Arc<SourceMap>,
    /// Which document of the file, from 0.
    pub document: usize,
    /// The promise that it tests.
    pub about: Option<String>,
    /// What the host must have.
    pub needs: Vec<Need>,
    /// What the guest may do.
    pub policy: PolicySpec,
    /// What is made the same in every run.
    pub deterministic: Option<Deterministic>,
    /// The work folder's content.
    pub files: BTreeMap<WorkPath, FileSpec>,
    /// The guest's environment, on top of the policy's.
    pub env: BTreeMap<EnvName, Template>,
    /// What the command reads.
    pub stdin: Option<String>,
    /// What is run.
    pub action: Action,
    /// Steps outside of the sandbox.
    pub outside: Outside,
    /// Faults and answers at chosen calls.
    pub inject: Vec<Injection>,
    /// Handlers of the test target's own, and what they are asked about.
    pub handlers: Handlers,
    /// Each occurrence of a call fails once.
    pub sweep: Option<Sweep>,
    /// How many runs must give the same outputs and verdicts; 1 if nothing is said.
    pub repeat: u32,
    /// How many jobs it takes.
    pub cost: Cost,
    /// The group of which it alone runs.
    pub group: Option<GroupName>,
    /// Capabilities that are left out.
    pub without: BTreeSet<String>,
    /// What is expected.
    pub expect: Expectation,
}

impl Scenario {
    /// The value at `path` in the file, or the nearest part around it.
    #[must_use]
    pub fn span(&self, path: &YamlPath) -> Option<Span> {
        self.source.span(self.document, path)
    }

    /// The key at `path` in the file, or the nearest part around it.
    #[must_use]
    pub fn key_span(&self, path: &YamlPath) -> Option<Span> {
        self.source.key_span(self.document, path)
    }

    /// Whether the scenario says something at `path`.
    #[must_use]
    pub fn says(&self, path: &YamlPath) -> bool {
        self.source.has(self.document, path)
    }

    /// Where a part of the scenario stands, in words: `line 12`.
    #[must_use]
    pub fn line(&self, path: &YamlPath) -> String {
        let span = self.key_span(path);
        let line = span.map_or(0, |span| span.line);
        // What two hosts call the folder above it is no part of what they say.
        let name = self.source.file(span).and_then(|file| file.path.file_name());
        match (span.map_or(0, |span| span.file), name) {
            (1.., Some(name)) => format!("{}:{line}", name.to_string_lossy()),
            _ => format!("line {line}"),
        }
    }

    /// A diagnostic that points at the key at `path`.
    #[must_use]
    pub fn diagnostic(
        &self,
        title: impl Into<String>,
        path: &YamlPath,
        label: impl Into<String>,
    ) -> Diagnostic {
        let span = self.key_span(path);
        match self.source.file(span) {
            Some(file) => {
                let own = span.is_none_or(|span| span.file == 0);
                let path = if own { &self.file } else { &file.path };
                Diagnostic::new(title, path).at(Arc::clone(&file.text), span, label)
            }
            None => Diagnostic::new(title, &self.file),
        }
    }

    /// The policy of a run in this work folder. What to observe is left to the caller: it follows from the
    /// expectation.
    #[must_use]
    pub fn policy(&self, work: &Path) -> Policy {
        let mut policy = self.policy.compile(work);
        for (name, value) in &self.env {
            policy.env.insert(name.0.clone().into(), value.expand(work));
        }
        if let Some(deterministic) = &self.deterministic {
            deterministic.apply(&mut policy);
        }
        policy.without.clone_from(&self.without);
        policy
    }

    /// The command's words, the program first; `None` for an `attempt`.
    #[must_use]
    pub fn argv(&self, work: &Path) -> Option<Vec<OsString>> {
        self.action.argv(work)
    }
}
