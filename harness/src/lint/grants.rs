//! Rules of the policy over files that no access could use.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::names::{is_globbed, is_meant};
use super::{Lint, Warning};
use crate::lexical;
use crate::scenario::Scenario;
use crate::scenario::place::YamlPath;
use crate::scenario::policy::{FsSpec, PolicyPath, SYSTEM};

/// Stands for the work folder: no path of a host is beneath it.
const WORK: &str = "/$WORK";
/// Stands for whatever lies above it: nobody knows here what that is.
const ABOVE: &str = "/$ABOVE";

/// What the policy calls the system's own folders.
const SYSTEM_WORD: &str = "$SYSTEM";

/// One path of a list of the policy.
struct Rule {
    list: &'static str,
    at: YamlPath,
    /// As it is written.
    text: String,
    /// What it stands for.
    paths: Vec<PathBuf>,
}

/// `runs`: on this host the scenario is run.
pub(super) fn look(scenario: &Scenario, runs: bool, found: &mut Vec<Warning>) {
    let Some(fs) = &scenario.policy.fs else { return };
    let rules = rules(fs);
    for (nth, rule) in rules.iter().enumerate() {
        if rule.list == "deny" {
            unused_denial(rule, &rules, found);
        } else {
            covered(nth, rule, &rules, found);
        }
        if literal_glob(scenario, rule) {
            let title = format!("`{}` is a name here, and no glob: nothing is called so", rule.text);
            let help = match rule.list {
                "deny" => "nothing is denied by it: name the file, or the folder that it lies in",
                _ => "nothing is granted by it: name the folder",
            };
            found.push(Warning::new(Lint::LiteralGlob, rule.at.clone(), title).help(help));
        } else if runs {
            missing(rule, &rules, found);
        }
    }
}

fn rules(fs: &FsSpec) -> Vec<Rule> {
    let exec = fs.exec.as_deref().unwrap_or_default();
    let lists = [("read", fs.read.as_slice()), ("write", &fs.write), ("exec", exec), ("deny", &fs.deny)];
    let at = YamlPath::from(["policy", "fs"]);
    let rules = lists.iter().flat_map(|(list, paths)| {
        let at = at.key(*list);
        paths.iter().enumerate().map(move |(nth, path)| (*list, at.index(nth), path))
    });
    rules
        .map(|(list, at, path)| match path {
            PolicyPath::System => Rule {
                list,
                at,
                text: SYSTEM_WORD.to_owned(),
                paths: SYSTEM.iter().map(PathBuf::from).collect(),
            },
            PolicyPath::Path(path) => {
                let expanded = PathBuf::from(path.expand(Path::new(WORK)));
                let plain = lexical::plain(&expanded);
                let leaves = expanded.starts_with(WORK) && !plain.starts_with(WORK);
                let paths = vec![if leaves { Path::new(ABOVE).join(path.as_str()) } else { plain }];
                Rule { list, at, text: path.as_str().to_owned(), paths }
            }
        })
        .collect()
}

/// A grant whose every path another grant gives as well.
fn covered(nth: usize, rule: &Rule, rules: &[Rule], found: &mut Vec<Warning>) {
    let gives = |other: &Rule| other.list == rule.list || rule.list == "read" && other.list == "write";
    // `$SYSTEM` lets a guest write to /dev/null and its like as well.
    let covers = |other: &Rule| {
        let all = rule.paths.iter().all(|path| other.paths.iter().any(|above| path.starts_with(above)));
        all && (rule.text != SYSTEM_WORD || other.text == SYSTEM_WORD)
    };
    let by = rules.iter().enumerate().find(|(place, other)| {
        // Of two that are the same the second is one too many.
        let same = other.list == rule.list && other.paths == rule.paths;
        *place != nth && gives(other) && covers(other) && (!same || *place < nth)
    });
    if let Some((_, other)) = by {
        let title = format!("{} is granted already", rule.text);
        let warning = Warning::new(Lint::UnusedRule, rule.at.clone(), title);
        found.push(warning.other(other.at.clone(), "by this").help("leave it out"));
    }
}

/// A denial of what nobody is granted.
fn unused_denial(rule: &Rule, rules: &[Rule], found: &mut Vec<Warning>) {
    let true_path = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let touches = |path: &Path, grant: &Path| path.starts_with(grant) || grant.starts_with(path);
    let used = rules.iter().filter(|other| other.list != "deny").any(|other| {
        other.paths.iter().any(|grant| {
            rule.paths.iter().any(|path| {
                // Whatever leads there by a link counts.
                touches(path, grant) || touches(&true_path(path), &true_path(grant))
            })
        })
    });
    if !used {
        let title = format!("nothing grants {}: it can't be read, written or executed anyway", rule.text);
        let help = if rules.iter().all(|other| other.list == "deny") {
            "`fs` replaces what is granted without it, so nothing can be read or executed at all: \
             `read: [$SYSTEM], write: [$WORK]` grants that again"
        } else {
            "a denial adds that its attributes stay: unless that is meant, leave it out"
        };
        found.push(Warning::new(Lint::UnusedRule, rule.at.clone(), title).help(help));
    }
}

/// Whether it looks like a glob, and nothing is called so as it stands.
fn literal_glob(scenario: &Scenario, rule: &Rule) -> bool {
    let inner = rule.text.strip_prefix("$WORK/").or_else(|| rule.text.strip_prefix("${WORK}/"));
    let here = |at: &YamlPath| *at == rule.at;
    let there = || rule.paths.iter().any(|path| path.symlink_metadata().is_ok());
    is_globbed(&rule.text) && !there() && !is_meant(scenario, inner.unwrap_or(&rule.text), here)
}

/// A path that is not there. What lies in the work folder may come later, and so may what is denied, where a guest can make it.
fn missing(rule: &Rule, rules: &[Rule], found: &mut Vec<Warning>) {
    let made = |path: &PathBuf| {
        let mut grants = rules.iter().filter(|other| other.list == "write").flat_map(|other| &other.paths);
        rule.list == "deny" && grants.any(|grant| path.starts_with(grant))
    };
    for path in rule.paths.iter().filter(|path| rule.text.starts_with('/') && !made(path)) {
        // Of what can't be looked at nothing is said.
        if path.try_exists().is_ok_and(|there| !there) {
            let title = format!("{} does not exist on this host", rule.text);
            let help = match rule.list {
                "deny" => "nothing is denied by it, and no guest can make it",
                _ => "a run on this host is refused for it",
            };
            found.push(Warning::new(Lint::NoSuchPath, rule.at.clone(), title).help(help));
        }
    }
}
