//! A policy in a file of its own: the same keys as in a scenario, without one.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use assize_core::Policy;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::collect::typed_whole;
use super::deterministic::{Deterministic, DeterministicSpec, one_hostname};
use super::document::refuse_not_built;
use super::each::{Cell, Substitution};
use super::fault::Fault;
use super::load::{Unreadable, read};
use super::place::{SourceMap, YamlPath};
use super::policy::{EnvName, PolicySpec};
use super::template::Template;
use crate::diagnostic::Diagnostic;

/// A policy in a file of its own.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a map of `policy`, `deterministic` and `env`")]
#[schemars(rename = "PolicyFile")]
struct Document {
    /// What the guest may do.
    policy: PolicySpec,
    /// What is made the same in every run.
    deterministic: DeterministicSpec,
    /// The guest's environment, on top of the policy's.
    env: BTreeMap<EnvName, Template>,
}

/// The schema of such a file.
pub(crate) fn schema(generator: &mut SchemaGenerator) -> Schema {
    generator.root_schema_for::<Document>()
}

/// A policy in a file of its own.
#[derive(Debug, Clone, Default)]
pub struct PolicyFile {
    /// What the guest may do.
    pub policy: PolicySpec,
    /// What is made the same in every run.
    pub deterministic: Option<Deterministic>,
    /// The guest's environment, on top of the policy's.
    pub env: BTreeMap<EnvName, Template>,
    /// Where each part stands.
    source: Option<Arc<SourceMap>>,
}

impl PolicyFile {
    /// The sandbox's policy for a run in this work folder.
    #[must_use]
    pub fn policy(&self, work: &Path) -> Policy {
        let mut policy = self.policy.compile(work);
        for (name, value) in &self.env {
            policy.env.insert(name.0.clone().into(), value.expand(work));
        }
        if let Some(deterministic) = &self.deterministic {
            deterministic.apply(&mut policy);
        }
        policy
    }

    /// A diagnostic that points at the key at `path`, or the nearest part around it.
    #[must_use]
    pub fn diagnostic(&self, title: impl Into<String>, file: &Path, path: &YamlPath) -> Diagnostic {
        let diagnostic = Diagnostic::new(title, file);
        match &self.source {
            Some(source) => {
                diagnostic.at(Arc::clone(source.text()), source.key_span(0, path), "asked for here")
            }
            None => diagnostic,
        }
    }
}

/// Reads one.
///
/// # Errors
/// What is wrong with it, at its place.
pub fn load(file: &Path) -> Result<PolicyFile, Vec<Diagnostic>> {
    of(read(file, 0), file)
}

/// As [`load`], from what would be read.
#[cfg(feature = "fuzzing")]
pub(crate) fn load_bytes(file: &Path, bytes: Vec<u8>) -> Result<PolicyFile, Vec<Diagnostic>> {
    of(super::load::source(bytes, 0), file)
}

fn of(source: Result<SourceMap, Unreadable>, file: &Path) -> Result<PolicyFile, Vec<Diagnostic>> {
    let source = source.map_err(|wrong| vec![wrong.fault.diagnostic(file, &wrong.text)])?;
    let placed = |fault: Fault| fault.diagnostic(file, source.text());
    let read = parse(&source).map_err(|faults| faults.into_iter().map(placed).collect::<Vec<_>>())?;
    Ok(PolicyFile { source: Some(Arc::new(source)), ..read })
}

fn parse(source: &SourceMap) -> Result<PolicyFile, Vec<Fault>> {
    let document: Document = match source.documents.as_slice() {
        [] => Document::default(),
        [only] => {
            refuse_not_built(only).map_err(|fault| vec![fault])?;
            // No axes, but the same care for variables that nobody knows.
            let whole = Substitution::new(&Cell::default()).apply(only);
            let (tree, unknown) = whole.map_err(|fault| vec![fault])?;
            let document: Document = typed_whole(&tree, unknown)?;
            one_hostname(&tree, &document.policy, document.deterministic.0.as_ref())
                .map_err(|fault| vec![fault])?;
            document
        }
        [_, second, ..] => {
            return Err(vec![Fault::new("a policy file is one document").at(second.span)]);
        }
    };
    Ok(PolicyFile {
        policy: document.policy,
        deterministic: document.deterministic.0,
        env: document.env,
        source: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tree;

    fn parse(text: &str) -> Result<PolicyFile, Vec<Fault>> {
        super::parse(&tree::parse(text).map_err(|fault| vec![fault])?)
    }

    #[test]
    fn a_policy_file_has_three_keys_and_no_more() {
        let file = parse("policy: { fs: { read: [/usr] } }\ndeterministic: { seed: 7 }\nenv: { A: $WORK }\n")
            .unwrap();
        let policy = file.policy(Path::new("/w"));
        assert_eq!((policy.seed, policy.fs.read), (Some(7), vec!["/usr".into()]));
        assert_eq!(policy.env[std::ffi::OsStr::new("A")], "/w");
        assert!(parse("env: { A: $WROK }").is_err() && parse("policy: { net: {} }").is_err());
        assert!(parse("run: [sh]").is_err() && parse("---\nenv: {}\n---\nenv: {}\n").is_err());
    }
}
