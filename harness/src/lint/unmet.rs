//! Lines about texts, files and time, of which no run can meet both; and changes of what isn't there.
#![forbid(unsafe_code)]

use super::{Lint, Warning};
use crate::scenario::Scenario;
use crate::scenario::expect::{ExitPattern, FilePattern, TextPattern, TextTest};
use crate::scenario::files::FileSpec;
use crate::scenario::place::YamlPath;

pub(super) fn look(scenario: &Scenario, found: &mut Vec<Warning>) {
    let expect = &scenario.expect;
    let at = YamlPath::from(["expect"]);
    for (key, pattern) in [("stdout", &expect.stdout), ("stderr", &expect.stderr)] {
        if let Some(TextPattern::Tests(tests)) = pattern {
            texts(tests, &at.key(key), found);
        }
    }
    let files = at.key("files");
    for (name, pattern) in &expect.files {
        match pattern {
            FilePattern::Text(TextPattern::Tests(tests)) | FilePattern::Is { tests, .. } => {
                texts(tests, &files.key(name), found);
            }
            FilePattern::Absent => {
                let inner = |other: &str| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
                let within = expect.files.iter();
                let mut within =
                    within.filter(|(other, there)| inner(other) && !matches!(there, FilePattern::Absent));
                if let Some((other, _)) = within.next() {
                    let label = format!("nothing can lie in {name} then");
                    found.push(both(files.key(other)).other(files.key(name), label));
                }
            }
            _ => {}
        }
    }
    changes(scenario, &at.key("changes"), found);
    takes(scenario, found);
}

fn both(at: YamlPath) -> Warning {
    Warning::new(Lint::Contradiction, at, "no run can meet both of these lines").help("one of them has to go")
}

/// A text that is to be empty, and something else.
fn texts(tests: &[TextTest], at: &YamlPath, found: &mut Vec<Warning>) {
    let place = |test: &TextTest| test.keys().iter().fold(at.clone(), |at, key| at.key(*key));
    let Some(empty) = tests.iter().find(|test| matches!(test, TextTest::Empty(true))) else { return };
    let says_more = |test: &&TextTest| match test {
        TextTest::Equals(text) => !text.is_empty(),
        TextTest::Contains(part) => !part.is_empty() && part != "[..]",
        TextTest::Matches(pattern) => !pattern.matches(""),
        TextTest::Glob(glob) => !glob.matches(b""),
        TextTest::Unordered(lines) => !lines.is_empty(),
        TextTest::Json(_) => true,
        _ => false,
    };
    if let Some(other) = tests.iter().find(says_more) {
        found.push(both(place(other)).other(place(empty), "there is nothing then"));
    }
}

/// Paths that change in two ways, that are added and there already, or that change and aren't there. A path that is listed by
/// its name must change.
fn changes(scenario: &Scenario, at: &YamlPath, found: &mut Vec<Warning>) {
    let Some(changes) = &scenario.expect.changes else { return };
    let lists = [("added", &changes.added), ("modified", &changes.modified), ("deleted", &changes.deleted)];
    let plain = |text: &&str| !text.contains(['*', '?', '[', '{', '\\']);
    let mut listed: Vec<(&str, &str, YamlPath)> = Vec::new();
    for (list, changed) in lists {
        for (nth, (path, _)) in changed.0.iter().enumerate() {
            let at = at.key(list);
            // A map has its paths as keys.
            let item = at.index(nth);
            let place = if scenario.says(&item) { item } else { at.key(path.as_str()) };
            if let Some(path) = Some(path.as_str()).filter(plain) {
                listed.push((list, path, place));
            }
        }
    }
    for (nth, (list, path, place)) in listed.iter().enumerate() {
        let mut before = listed.iter().take(nth);
        if let Some((_, _, other)) = before.find(|(other, known, _)| known == path && other != list) {
            found.push(both(place.clone()).other(other.clone(), "a path changes in one way"));
            continue;
        }
        let title = match (*list, there_before(scenario, path)) {
            ("added", Some(true)) => format!("{path} is there already, so it can't be added"),
            ("modified" | "deleted", Some(false)) => format!("{path} is not there, so it can't be {list}"),
            _ => continue,
        };
        let help = "what is there before the run stands under `files:`";
        found.push(Warning::new(Lint::NeverSeen, place.clone(), title).help(help));
    }
}

/// Whether something lies at a path of the work folder before the command runs. `None`: that isn't known.
fn there_before(scenario: &Scenario, path: &str) -> Option<bool> {
    if !scenario.outside.before.is_empty() {
        return None;
    }
    let beneath =
        |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    let mut files = scenario.files.iter().map(|(name, spec)| (name.as_str(), spec));
    if files.clone().any(|(name, _)| name == path || beneath(name, path)) {
        return Some(true);
    }
    // What is copied, and what links lead to, is not looked into.
    let opaque = |spec: &FileSpec| matches!(spec, FileSpec::From(_) | FileSpec::Symlink(_));
    if files.any(|(name, spec)| beneath(path, name) && opaque(spec)) { None } else { Some(false) }
}

/// A run that is to take longer than it may.
fn takes(scenario: &Scenario, found: &mut Vec<Warning>) {
    let exits = scenario.expect.exit.iter().flat_map(|exits| &exits.0);
    let may_time_out = exits.into_iter().any(|exit| *exit == ExitPattern::Timeout);
    if let (Some(takes), Some(timeout)) = (&scenario.expect.takes, scenario.policy.timeout())
        && takes.least() > timeout
        && !may_time_out
    {
        let limit = YamlPath::from(["policy", "limits", "timeout"]);
        found.push(both(YamlPath::from(["expect", "takes"])).other(limit, "the run is ended then"));
    }
}
