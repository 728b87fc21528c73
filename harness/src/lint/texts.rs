//! Patterns that match whatever there is, and paths that only one person's machine has.
#![forbid(unsafe_code)]

use super::{Lint, Warning};
use crate::scenario::Scenario;
use crate::scenario::expect::{
    Expectation, FilePattern, Glob, JsonPattern, Range, TextPattern, TextTest, VerdictPattern,
};
use crate::scenario::place::{Step, YamlPath};

/// Texts that have nothing in common: what matches all of them matches anything.
const PROBES: &[&str] = &["", "a", "Z9 /x", "\u{1}", "one\ntwo\n", "ä-0.5"];

pub(super) fn look(scenario: &Scenario, found: &mut Vec<Warning>) {
    expectation(&scenario.expect, &YamlPath::from(["expect"]), found);
    if let Some(expect) = scenario.sweep.as_ref().and_then(|sweep| sweep.expect.as_ref()) {
        expectation(expect, &YamlPath::from(["sweep", "expect"]), found);
    }
    for (nth, injection) in scenario.inject.iter().enumerate() {
        verdict(&injection.pattern, &YamlPath::from(["inject"]).index(nth), found);
    }
    any_number(scenario, found);
    homes(scenario, found);
}

fn expectation(expect: &Expectation, at: &YamlPath, found: &mut Vec<Warning>) {
    for (key, pattern) in [("stdout", &expect.stdout), ("stderr", &expect.stderr)] {
        if let Some(pattern) = pattern {
            text(pattern, &at.key(key), found);
        }
    }
    for (name, pattern) in &expect.controls {
        text(pattern, &at.key("controls").key(name), found);
    }
    for (path, pattern) in &expect.files {
        file(pattern, &at.key("files").key(path), found);
    }
    for (key, changed) in expect.changes.iter().flat_map(|changes| {
        [("added", &changes.added), ("modified", &changes.modified), ("deleted", &changes.deleted)]
    }) {
        for (nth, (path, pattern)) in changed.0.iter().enumerate() {
            let at = at.key("changes").key(key);
            file(pattern, &at.key(path.as_str()), found);
            if anything(|probe| path.matches(probe)) {
                found.push(warning(at.index(nth), format!("`{}` means any path", path.as_str())));
            }
        }
    }
    let verdicts = &expect.verdicts;
    let at = at.key("verdicts");
    for (list, patterns) in [("sees", &verdicts.sees), ("order", &verdicts.order), ("never", &verdicts.never)]
    {
        for (nth, pattern) in patterns.iter().enumerate() {
            verdict(pattern, &at.key(list).index(nth), found);
            if list != "never" && is_any(pattern) {
                let title = "this is like any verdict, and every run has some";
                found.push(warning(at.key(list).index(nth), title));
            }
        }
    }
}

/// Whether it says nothing of a verdict, but that there is one.
fn is_any(pattern: &VerdictPattern) -> bool {
    let some = |times: Range| times.least <= 1 && times.most == Range::SOME.most;
    let whoever = pattern.pid.is_none() && pattern.exe.is_none();
    pattern.call.is_none() && whoever && pattern.only_counts() && pattern.times.is_none_or(some)
}

/// A pattern of `sees` that any number of verdicts meets. It is of use where it makes a call visible to others, or lists it.
fn any_number(scenario: &Scenario, found: &mut Vec<Warning>) {
    let verdicts = &scenario.expect.verdicts;
    let shows = verdicts.patterns().any(|pattern| pattern.call.is_none());
    if verdicts.exhaustive.is_some() || scenario.repeat > 1 || shows {
        return;
    }
    let at = YamlPath::from(["expect", "verdicts", "sees"]);
    for (nth, pattern) in verdicts.sees.iter().enumerate() {
        if pattern.times.is_some_and(|times| times.least <= 0 && times.most == Range::SOME.most) {
            found.push(warning(at.index(nth).key("times"), "any number of times: every run meets this"));
        }
    }
}

fn warning(at: YamlPath, title: impl Into<String>) -> Warning {
    Warning::new(Lint::MatchesAnything, at, title).help("say what is wanted, or leave it out")
}

fn anything(matches: impl Fn(&str) -> bool) -> bool {
    PROBES.iter().all(|probe| matches(probe))
}

fn file(pattern: &FilePattern, at: &YamlPath, found: &mut Vec<Warning>) {
    match pattern {
        FilePattern::Absent | FilePattern::Present => {}
        FilePattern::Text(pattern) => text(pattern, at, found),
        FilePattern::Is { tests: list, .. } => tests(list, at, found),
    }
}

fn text(pattern: &TextPattern, at: &YamlPath, found: &mut Vec<Warning>) {
    match pattern {
        TextPattern::Whole(text) => {
            if !text.trim().is_empty() && text.lines().all(|line| line == "...") {
                found.push(warning(at.clone(), "`...` alone is any text"));
            }
        }
        TextPattern::Tests(list) => tests(list, at, found),
    }
}

fn tests(list: &[TextTest], at: &YamlPath, found: &mut Vec<Warning>) {
    for test in list {
        let at = test.keys().iter().fold(at.clone(), |at, key| at.key(*key));
        match test {
            TextTest::Contains(part) if part.is_empty() || part == "[..]" => {
                found.push(warning(at, "every text contains this"));
            }
            TextTest::Matches(pattern) if anything(|probe| pattern.matches(probe)) => {
                found.push(warning(at, format!("`{}` matches any text", pattern.as_str())));
            }
            TextTest::Glob(glob) if anything(|probe| glob.matches(probe.as_bytes())) => {
                found.push(warning(at, format!("`{glob}` matches any text")));
            }
            TextTest::Json(parts) => {
                for (pointer, part) in parts {
                    if let JsonPattern::Text(pattern) = part {
                        text(pattern, &at.key(pointer.as_str()), found);
                    }
                }
            }
            TextTest::Not(pattern) => text(pattern, &at, found),
            TextTest::AnyOf(patterns) | TextTest::AllOf(patterns) => {
                for (nth, pattern) in patterns.iter().enumerate() {
                    text(pattern, &at.index(nth), found);
                }
            }
            _ => {}
        }
    }
}

/// The globs of a pattern over verdicts. (That a call has a path at all is said by its name.)
fn verdict(pattern: &VerdictPattern, at: &YamlPath, found: &mut Vec<Warning>) {
    let globs: [(&str, &Option<Glob>); 2] = [("path", &pattern.path), ("exe", &pattern.exe)];
    for (key, glob) in globs {
        if let Some(glob) = glob.as_ref().filter(|glob| anything(|probe| glob.matches(probe.as_bytes()))) {
            found.push(warning(at.key(key), format!("`{glob}` matches any path")));
        }
    }
}

/// Paths in somebody's home folder, where a scenario uses them. (To deny one is no use.)
fn homes(scenario: &Scenario, found: &mut Vec<Warning>) {
    const USED: &[&str] = &["policy", "env", "run", "shell", "attempt"];
    for (at, text) in scenario.source.texts(scenario.document) {
        let used = matches!(at.0.first(), Some(Step::Key(key)) if USED.contains(&key.as_str()));
        let denied = at.0.get(..3) == Some(&YamlPath::from(["policy", "fs", "deny"]).0);
        let attempt = matches!(at.0.first(), Some(Step::Key(key)) if key == "attempt");
        // What is attempted may be denied, and that is then the promise.
        if !used || denied || attempt && !scenario.policy.fs.iter().all(|fs| fs.deny.is_empty()) {
            continue;
        }
        if let Some(home) = home(text) {
            found.push(
                Warning::new(Lint::HomeFolder, at, format!("`{home}` is there on one machine only"))
                    .help("the work folder is `$WORK`; what a scenario needs stands under `files:`"),
            );
        }
    }
}

/// The first home folder that a text names.
fn home(text: &str) -> Option<&str> {
    let (at, start) =
        ["/home/", "/Users/"].iter().find_map(|folder| Some((text.find(folder)?, folder.len())))?;
    // Within a longer path, such as `/var/home/`, it is another.
    let begins =
        !text.get(..at)?.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'));
    let name = text.get(at + start..)?;
    let length =
        name.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))).unwrap_or(name.len());
    (begins && length > 0).then(|| text.get(at..at + start + length))?
}
