//! What a scenario's policy grants and denies by name, with the lines that say so.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::path::Path;

use crate::matcher::{DeniedCalls, Granted, GrantedPath, List};
use crate::scenario::Scenario;
use crate::scenario::place::YamlPath;

/// The keys to which something could be added.
const SAID: [&str; 9] = [
    "policy",
    "policy.fs",
    "policy.fs.exec",
    "policy.fs.proc",
    "policy.fs.read",
    "policy.fs.write",
    "policy.limits.timeout",
    "policy.syscalls",
    "policy.syscalls.allow",
];

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
        item: nth,
        line: nth.and_then(|nth| line(&fs.key(name).index(nth))),
    });
    let deny = YamlPath::from(["policy", "syscalls", "deny"]);
    let denied = scenario.policy.syscalls.deny.iter().enumerate().map(|(nth, calls)| DeniedCalls {
        calls: calls.calls().iter().copied().collect(),
        line: line(&deny.index(nth)),
    });
    let said = SAID.iter().filter_map(|key| {
        let at = key.split('.').fold(YamlPath::root(), |at, step| at.key(step));
        scenario.says(&at).then(|| (*key, scenario.line(&at)))
    });
    let line = |at: &YamlPath| scenario.says(at).then(|| format!("`{at}`, at {}", scenario.line(at)));
    let temporary = [YamlPath::from(["env", "TMPDIR"]), YamlPath::from(["policy", "env", "TMPDIR"])];
    let asked = scenario.policy(work).env.get(OsStr::new("TMPDIR")).is_some_and(|given| given == work);
    let temporary = temporary.iter().find_map(line).filter(|_| !asked);
    let limits_exec = scenario.policy.fs.as_ref().is_some_and(|fs| fs.exec.is_some());
    Granted { paths: paths.collect(), denied: denied.collect(), limits_exec, said: said.collect(), temporary }
}
