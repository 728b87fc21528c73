//! What a scenario's policy grants and denies by name, with the lines that say so.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::matcher::{DeniedCalls, Granted, GrantedPath, List};
use crate::scenario::Scenario;
use crate::scenario::place::YamlPath;

/// As the policy stands in this work folder.
pub(super) fn of(scenario: &Scenario, work: &Path) -> Granted {
    let fs = YamlPath::from(["policy", "fs"]);
    // A line of a file that it extends would be looked for in its own.
    let line = |at: &YamlPath| scenario.span(at).filter(|span| span.file == 0).map(|span| span.line);
    let list = |name: &str| match name {
        "read" => List::Read,
        "write" => List::Write,
        "exec" => List::Exec,
        _ => List::Deny,
    };
    let paths = scenario.policy.paths(work).into_iter().map(|(name, nth, path)| GrantedPath {
        list: list(name),
        real: path.canonicalize().unwrap_or_else(|_| path.clone()),
        path,
        line: nth.and_then(|nth| line(&fs.key(name).index(nth))),
    });
    let deny = YamlPath::from(["policy", "syscalls", "deny"]);
    let denied = scenario.policy.syscalls.deny.iter().enumerate().map(|(nth, calls)| DeniedCalls {
        calls: calls.calls().iter().copied().collect(),
        line: line(&deny.index(nth)),
    });
    let limits_exec = scenario.policy.fs.as_ref().is_some_and(|fs| fs.exec.is_some());
    Granted { paths: paths.collect(), denied: denied.collect(), limits_exec }
}
