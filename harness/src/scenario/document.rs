//! One document of a file: its keys as they stand, and the scenarios that it makes.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Error, IgnoredAny};

use super::action::{Action, Words};
use super::collect::typed_whole;
use super::deterministic::{DeterministicSpec, one_hostname};
use super::each::{Cell, Matrix, Substitution, cells};
use super::expect::{Expectation, Redactions};
use super::extends::{Extended, NamedError, named};
use super::fault::{Fault, shown};
use super::files::{FileSpec, WorkPath, beneath_no_folder};
use super::handlers::Handlers;
use super::inject::Injection;
use super::model::{Scenario, TestName};
use super::outside::Outside;
use super::place::{SourceMap, Step, YamlPath};
use super::policy::{CapabilityName, EnvName, PolicySpec};
use super::sweep::Sweep;
use super::template::Template;
use super::tree::{Kind, Node};
use super::turn::{Cost, GroupName};
use crate::attempt::{self, Attempt};
use crate::needs::Need;
use crate::schema::shape;

/// A scenario: what a command may do, what is run, and what must be seen of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map: a scenario")]
#[schemars(rename = "Scenario", transform = one_action)]
struct Document {
    /// The promise that it tests, in one sentence.
    about: Option<String>,
    /// What it is called. Where a file holds several scenarios each has a name; else it is the file's.
    name: Option<String>,
    /// What the host must have. Where it lacks that, the test is ignored with the reason.
    #[serde(default)]
    needs: Vec<Need>,
    /// What the guest may do. Without it: read the system, write the work folder.
    #[serde(default)]
    policy: PolicySpec,
    /// What is made the same in every run: `true`, or a map.
    #[serde(default)]
    deterministic: DeterministicSpec,
    /// The work folder's content, by path.
    #[serde(default)]
    files: BTreeMap<WorkPath, FileSpec>,
    /// The guest's environment, on top of the policy's. Nothing is inherited.
    #[serde(default)]
    env: BTreeMap<EnvName, Template>,
    /// What the command reads.
    stdin: Option<String>,
    /// A command: the program and its arguments. `$WORK` stands for the work folder.
    run: Option<Words>,
    /// A script for `/bin/sh -c`.
    shell: Option<String>,
    /// System calls that are made inside the sandbox, each with what must come of it.
    #[schemars(length(min = 1))]
    attempt: Option<Vec<Attempt>>,
    /// Faults and answers at chosen calls.
    #[serde(default)]
    inject: Vec<Injection>,
    /// Steps that run outside of the sandbox, with all rights of whoever runs the tests, who has to allow it.
    #[serde(default)]
    outside: Outside,
    /// Handlers of the test target's own, by name, and the calls that each is asked about.
    #[serde(default)]
    handlers: Handlers,
    /// The scenario is run again for each occurrence of a call, which then fails.
    sweep: Option<Sweep>,
    /// Names for what differs from run to run: `[NAME]` in an expected text.
    #[serde(default)]
    redact: Redactions,
    // These are taken out before a cell is typed; they stand here so that the list of known keys is whole.
    /// A matrix: each cell is a test of its own.
    #[serde(rename = "each")]
    #[schemars(with = "Option<Matrix>")]
    _each: Option<IgnoredAny>,
    /// Shared parts: files, relative to this one, that this document is laid over.
    #[serde(rename = "extends")]
    #[schemars(with = "Option<Extended>")]
    _extends: Option<IgnoredAny>,
    /// How many runs must give the same outputs and the same verdicts.
    #[schemars(range(min = 1, max = MOST_RUNS))]
    repeat: Option<u32>,
    /// How many jobs it takes while it runs.
    #[serde(default)]
    cost: Cost,
    /// Of a group one scenario runs at a time.
    group: Option<GroupName>,
    /// Capabilities that are left out: for the twin of an attack, which must then succeed.
    #[serde(default)]
    without: BTreeSet<CapabilityName>,
    /// What must be seen of the run. Without it: exit code 0.
    #[serde(default)]
    expect: Expectation,
}

/// The keys of which a scenario has one.
const ACTIONS: [&str; 3] = ["run", "shell", "attempt"];

/// The most runs that are compared.
const MOST_RUNS: u32 = 1000;

/// What is run may stand in a part that the scenario extends.
fn one_action(schema: &mut Schema) {
    shape::at_most_one(schema, &ACTIONS);
    let all: Vec<&str> = ACTIONS.into_iter().chain(["extends"]).collect();
    shape::at_least_one(schema, &all);
}

/// The schema of a document.
pub(crate) fn schema(generator: &mut SchemaGenerator) -> Schema {
    generator.root_schema_for::<Document>()
}

/// What the scenarios of one file may weigh in memory.
const MAX_WEIGHT: usize = 256 << 20;

/// The most mistakes that are shown of one file: who has made this many made one of them often.
pub(super) const MAX_FAULTS: usize = 20;

/// Keys of the language that are not built yet: the path of their map, and the keys.
const NOT_BUILT: &[(&[&str], &[&str])] = &[
    (&[], &["reproduce"]),
    (&["policy"], &["net", "user", "cpus"]),
    (&["policy", "fs"], &["root", "mounts", "workdir"]),
    (&["policy", "limits"], &["memory", "processes", "cpu", "open-files", "file-size", "disk", "output"]),
];

/// Refuses what the language has but Assize has not yet: in words of its own, because "unknown key" would send a
/// reader of the language's page looking for a typing mistake.
pub(super) fn refuse_not_built(document: &Node) -> Result<(), Fault> {
    for (path, keys) in NOT_BUILT {
        let map = path.iter().try_fold(document, |node, key| node.get(key));
        let Some(Node { kind: Kind::Map(entries), .. }) = map else { continue };
        if let Some(entry) = entries.iter().find(|entry| keys.contains(&entry.key.as_str())) {
            return Err(Fault::new(format!("`{}` is not built yet", entry.key))
                .at(entry.key_span)
                .note("it is planned, and refused until it has an effect"));
        }
    }
    Ok(())
}

/// Where a document stands.
pub(super) struct Origin<'a> {
    /// The file, as it was opened.
    pub(super) path: &'a Path,
    /// The file as test names say it.
    pub(super) name: &'a str,
    pub(super) source: &'a SourceMap,
    pub(super) document: usize,
    /// The folder whose files it may name.
    pub(super) project: &'a Path,
}

/// The scenarios of one document. `weight` is what the file's scenarios weigh so far.
pub(super) fn scenarios(origin: &Origin<'_>, weight: &mut usize) -> Result<Vec<Scenario>, Vec<Fault>> {
    let Some(document) = origin.source.documents.get(origin.document) else { return Ok(Vec::new()) };
    if !matches!(document.kind, Kind::Map(_)) {
        return Err(vec![Fault::new("expected a map: a scenario").at(document.span)]);
    }
    refuse_not_built(document).map_err(|fault| vec![fault])?;
    let cells = cells(document).map_err(|fault| vec![fault])?;
    let mut scenarios = Vec::new();
    // What is wrong in several cells is said once.
    let mut faults: Vec<(Fault, Vec<String>)> = Vec::new();
    for cell in &cells {
        if *weight > MAX_WEIGHT {
            break;
        }
        let made = Substitution::new(cell).apply(document).map_err(|fault| vec![fault]).and_then(
            |(tree, unknown)| {
                *weight += tree.weight();
                if *weight > MAX_WEIGHT {
                    let fault = Fault::new("the scenarios of this file stand for too much").at(document.span);
                    return Err(vec![fault]);
                }
                let read = typed_whole(&tree, unknown)?;
                scenario(origin, tree, read, cell.shown()).map_err(|fault| vec![fault])
            },
        );
        let wrong = match made {
            Ok(scenario) => {
                scenarios.push(scenario);
                continue;
            }
            Err(wrong) => wrong,
        };
        for fault in wrong {
            match faults.iter().position(|(known, _)| *known == fault) {
                Some(known) => faults[known].1.push(cell.to_string()),
                None if faults.len() < MAX_FAULTS => faults.push((fault, vec![cell.to_string()])),
                None => {}
            }
        }
    }
    if faults.is_empty() {
        return Ok(scenarios);
    }
    let all = cells.len();
    let said = faults.into_iter().map(|(fault, cells)| match cells.as_slice() {
        few if few.len() == all => fault,
        [one] => fault.note(format!("in the cell {one}")),
        [first, rest @ ..] => fault.note(format!("in the cell {first} and {} more", rest.len())),
        [] => fault,
    });
    Err(said.collect())
}

/// What is wrong with a shared part, taken by itself.
pub(super) fn part(document: &Node) -> Vec<Fault> {
    if !matches!(document.kind, Kind::Map(_)) {
        return vec![Fault::new("expected a map: a part of a scenario").at(document.span)];
    }
    if let Err(fault) = refuse_not_built(document) {
        return vec![fault];
    }
    if document.has_axes() {
        return Vec::new();
    }
    let whole = Substitution::new(&Cell::default()).apply(document).map_err(|fault| vec![fault]);
    whole.and_then(|(tree, unknown)| typed_whole::<Document>(&tree, unknown)).err().unwrap_or_default()
}

fn scenario(
    origin: &Origin<'_>,
    tree: Arc<Node>,
    mut read: Document,
    cell: Vec<(String, String)>,
) -> Result<Scenario, Fault> {
    find(origin, &tree, &mut read.files)?;
    one_hostname(&tree, &read.policy, read.deterministic.0.as_ref())?;
    let name = name(origin, &tree, read.name)?;
    let action = action(&tree, read.run, read.shell, read.attempt)?;
    if let Some((path, above)) = beneath_no_folder(&read.files) {
        let place = |path: &WorkPath| tree.get("files").and_then(|files| files.entry(path.as_str()));
        let mut fault = Fault::new(format!(
            "{} lies beneath {}, which is no folder",
            shown(path.as_str()),
            shown(above.as_str())
        ))
        .or_at(place(path).map_or(tree.span, |entry| entry.key_span));
        if let Some(above) = place(above) {
            fault = fault.other(above.key_span, "not a folder");
        }
        return Err(fault);
    }
    if let Action::Attempt(attempts) = &action {
        // The work folder's path has no part in what can be wrong.
        attempt::compile(attempts, Path::new("/"))
            .map_err(|error| Fault::new(error.message.clone()).at(nearest_span(&tree, &error.path)))?;
    }
    let repeat = read.repeat.unwrap_or(1);
    if !(1..=MOST_RUNS).contains(&repeat) {
        let span = tree.get("repeat").map_or(tree.span, |node| node.span);
        return Err(Fault::new("`repeat` is a number of runs from 1 to 1000").at(span));
    }
    for expect in
        std::iter::once(&mut read.expect).chain(read.sweep.iter_mut().flat_map(|sweep| &mut sweep.expect))
    {
        expect.redact.clone_from(&read.redact);
    }
    // A cell's own tree stands in place of its document's, so that a key that holds an axis is found by its value.
    let mut documents = origin.source.documents.clone();
    if let Some(place) = documents.get_mut(origin.document) {
        *place = tree;
    }
    Ok(Scenario {
        test: TestName { file: origin.name.to_owned(), name, cell },
        file: origin.path.to_owned(),
        source: Arc::new(SourceMap { files: origin.source.files.clone(), documents }),
        document: origin.document,
        about: read.about,
        needs: read.needs,
        policy: read.policy,
        deterministic: read.deterministic.0,
        files: read.files,
        env: read.env,
        stdin: read.stdin,
        action,
        outside: read.outside,
        inject: read.inject,
        handlers: read.handlers,
        sweep: read.sweep,
        repeat,
        cost: read.cost,
        group: read.group,
        without: read.without.into_iter().map(|name| name.0.to_owned()).collect(),
        expect: read.expect,
    })
}

/// Finds what is to be copied.
fn find(origin: &Origin<'_>, tree: &Node, files: &mut BTreeMap<WorkPath, FileSpec>) -> Result<(), Fault> {
    for (name, file) in files {
        let FileSpec::From(copied) = file else { continue };
        let entry = tree.get("files").and_then(|files| files.entry(name.as_str()));
        let span = entry.map_or(tree.span, |entry| entry.value.get("from").unwrap_or(&entry.value).span);
        let said = origin.source.file(Some(span)).and_then(|file| file.path.parent());
        let within = (!copied.outside).then_some(origin.project);
        copied.path = named(said.unwrap_or(Path::new("")), &copied.from, within).map_err(|error| {
            let fault = Fault::custom(&error).at(span);
            match error {
                NamedError::Outside(..) => fault.help("to copy it all the same: `outside: true`"),
                NamedError::Missing(..) => fault,
            }
        })?;
    }
    Ok(())
}

fn nearest_span(tree: &Node, path: &YamlPath) -> super::place::Span {
    let mut node = tree;
    let mut span = tree.span;
    for step in &path.0 {
        let Some((key, next)) = node.step(step) else { break };
        span = match step {
            Step::Key(_) if !matches!(next.kind, Kind::Scalar { .. }) => key.unwrap_or(next.span),
            _ => next.span,
        };
        node = next;
    }
    span
}

fn name(origin: &Origin<'_>, tree: &Node, written: Option<String>) -> Result<String, Fault> {
    let Some(name) = written else {
        if origin.source.documents.len() > 1 {
            return Err(Fault::new("the key `name` is missing")
                .at(tree.span)
                .note("where a file holds several scenarios, each needs a name"));
        }
        let stem = origin.path.file_stem().unwrap_or_default();
        return Ok(stem.to_string_lossy().into_owned());
    };
    let odd = name.is_empty()
        || name.trim() != name
        || name.contains("::")
        || name.contains(|c: char| c.is_control() || matches!(c, '[' | ']'))
        || name.len() > 200;
    if odd {
        let span = tree.get("name").map_or(tree.span, |node| node.span);
        return Err(Fault::new(format!("{} can't be a scenario's name", shown(&name)))
            .at(span)
            .help("a name is one line, without `::`, `[` and `]`, and without blanks around it"));
    }
    Ok(name)
}

fn action(
    tree: &Node,
    run: Option<Words>,
    shell: Option<String>,
    attempts: Option<Vec<Attempt>>,
) -> Result<Action, Fault> {
    match (run, shell, attempts) {
        (Some(words), None, None) => Ok(Action::Run(words.0)),
        (None, Some(script), None) => Ok(Action::Shell(script)),
        (None, None, Some(attempts)) if attempts.is_empty() => {
            let span = tree.get("attempt").map_or(tree.span, |node| node.span);
            Err(Fault::new("an empty `attempt` tests nothing").at(span))
        }
        (None, None, Some(attempts)) => Ok(Action::Attempt(attempts)),
        (None, None, None) => {
            Err(Fault::new("nothing is run: one of `run`, `shell` and `attempt` is missing")
                .at(tree.span)
                .help(
                    "`run: [cat, input.txt]`, `shell: |` with a script, or `attempt:` with a list of calls",
                ))
        }
        _ => {
            let mut spans = ACTIONS
                .iter()
                .filter_map(|key| tree.entry(key))
                .map(|entry| entry.key_span)
                .collect::<Vec<_>>();
            spans.sort_unstable();
            let first = spans.first().copied().unwrap_or(tree.span);
            let last = spans.last().copied().unwrap_or(tree.span);
            Err(Fault::new("a scenario runs one thing: `run`, `shell` or `attempt`")
                .at(last)
                .label("and this")
                .other(first, "this"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tree::parse;

    fn read(yaml: &str) -> Vec<Scenario> {
        let source = parse(yaml).unwrap();
        let (path, project) = (Path::new("d/f.yaml"), Path::new("/"));
        let origin = Origin { path, name: "d/f.yaml", source: &source, document: 0, project };
        scenarios(&origin, &mut 0).unwrap()
    }

    fn argv(scenario: &Scenario) -> Vec<String> {
        let words = scenario.argv(Path::new("/w")).unwrap();
        words.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn a_cell_is_put_in_wherever_a_scalar_stands() {
        let all = read(
            "each: { seed: [1, 2], word: [a b] }\n\
             deterministic: { seed: $seed }\n\
             env: { S: \"$seed:$$seed:$WORK\" }\n\
             files: { in-$word: \"${word}c $$word $other $ $$ $1\" }\n\
             run: [echo, $word, \"${seed}x\", $seedling, $$seed, $$, $WORK/$seed]\n",
        );
        assert_eq!(all.len(), 2);
        let second = &all[1];
        assert_eq!(second.test.to_string(), "d/f.yaml::f[seed=2,word=a b]");
        assert_eq!(second.deterministic.as_ref().unwrap().seed, Some(2));
        assert_eq!(second.policy(Path::new("/w")).env[std::ffi::OsStr::new("S")], "2:$seed:/w");
        let (path, file) = second.files.first_key_value().unwrap();
        assert_eq!(path.as_str(), "in-a b");
        let content = b"a bc $word $other $ $$ $1".to_vec();
        assert_eq!(*file, FileSpec::File { content, mode: 0o644 });
        assert_eq!(argv(second), ["echo", "a b", "2x", "$seedling", "$seed", "$$", "/w/2"]);
        // The place of a key that holds an axis is found by what it became.
        let span = second.key_span(&YamlPath::from(["files", "in-a b"])).unwrap();
        assert_eq!(&second.source.text()[span.start..span.end], "in-$word");
    }

    #[test]
    fn what_is_said_becomes_the_policy() {
        let scenario = &read(
            "policy:\n  fs: { read: [$SYSTEM], write: [$WORK/out], exec: [/usr/bin], deny: [/etc/shadow] }\n  \
             syscalls: { deny: [family(rename), ptrace], allow: [bpf] }\n  limits: { timeout: 2s }\n  \
             env: { A: policy, B: policy }\n  hostname: box\n  isolation: require\n\
             deterministic: true\nenv: { B: top, HOME: / }\nwithout: [random]\nshell: echo $HOME\n",
        )[0];
        let policy = scenario.policy(Path::new("/w"));
        let sinks = ["/dev/null", "/dev/zero", "/dev/full"].map(Path::new);
        assert_eq!(policy.fs.write[..1], [Path::new("/w/out")]);
        assert_eq!(policy.fs.write[1..], sinks);
        assert_eq!(policy.fs.exec.as_deref(), Some(&["/usr/bin".into()][..]));
        assert_eq!(policy.fs.deny, [Path::new("/etc/shadow")]);
        let names: Vec<_> = policy.syscalls.deny.iter().map(|call| call.name()).collect();
        assert_eq!(names, ["rename", "ptrace", "renameat", "renameat2"]);
        assert_eq!(policy.limits.timeout, Some(std::time::Duration::from_secs(2)));
        assert_eq!((policy.seed, policy.hostname.as_deref()), (Some(0), Some("box")));
        assert_eq!(policy.isolation, assize_core::policy::Isolation::Require);
        assert_eq!(policy.without, BTreeSet::from(["random".to_owned()]));
        let env = |name: &str| policy.env[std::ffi::OsStr::new(name)].to_str().unwrap().to_owned();
        assert_eq!(
            (env("A"), env("B"), env("HOME"), env("WORK")),
            ("policy".into(), "top".into(), "/".into(), "/w".into())
        );
        assert_eq!(argv(scenario), ["/bin/sh", "-c", "echo $HOME"]);
        assert_eq!(scenario.repeat, 1);
    }

    #[test]
    fn nothing_is_seeded_unless_asked_for() {
        for (yaml, seed, hostname) in [
            ("run: [a]", None, None),
            ("run: [a]\ndeterministic: false", None, None),
            ("run: [a]\ndeterministic: true", Some(0), Some("assize")),
            ("run: [a]\ndeterministic: { seed: 7 }", Some(7), Some("assize")),
            ("run: [a]\ndeterministic: { hostname: h }", Some(0), Some("h")),
        ] {
            let policy = read(yaml)[0].policy(Path::new("/w"));
            assert_eq!((policy.seed, policy.hostname.as_deref()), (seed, hostname), "{yaml}");
        }
    }
}
