//! Texts against their patterns.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::Finding;
use super::diff::diff;
use super::lines::{TooLong, lines_match, unordered};
use crate::scenario::expect::{TextPattern, TextTest};
use crate::scenario::place::YamlPath;

/// What is wrong with a text. `name` is what it is called: `stdout`, or a file's path.
pub(super) fn judge(pattern: &TextPattern, seen: &str, name: &str, at: &YamlPath) -> Vec<Finding> {
    match pattern {
        TextPattern::Whole(expected) => whole(expected, seen, name, at).into_iter().collect(),
        TextPattern::Tests(tests) => judge_tests(tests, seen, name, at),
    }
}

/// What is wrong with a text, by the longer form.
pub(super) fn judge_tests(tests: &[TextTest], seen: &str, name: &str, at: &YamlPath) -> Vec<Finding> {
    tests.iter().flat_map(|test| judge_test(test, seen, name, at)).collect()
}

fn whole(expected: &str, seen: &str, name: &str, at: &YamlPath) -> Option<Finding> {
    let (wanted, got): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), seen.lines().collect());
    match lines_match(&wanted, &got) {
        Ok(true) => return None,
        Ok(false) => {}
        Err(TooLong) => return Some(too_long(name, at)),
    }
    let finding = Finding::new(format!("{name} is not what was expected"), at.clone(), "wanted here");
    Some(
        finding.note(format!(
            "difference (- expected, + seen):\n{}",
            diff(&ended(expected), &ended(seen), true)
        )),
    )
}

/// What can't be judged is no success.
fn too_long(name: &str, at: &YamlPath) -> Finding {
    let title = format!("{name} and what was expected of it have too many lines to be compared");
    Finding::new(title, at.clone(), "can't be judged")
}

/// With a newline at its end: its absence is no difference, so it is not shown as one.
fn ended(text: &str) -> String {
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn judge_test(test: &TextTest, seen: &str, name: &str, at: &YamlPath) -> Vec<Finding> {
    let here = test.keys().iter().fold(at.clone(), |at, key| at.key(*key));
    let wrong =
        |title: String, label: &str| vec![Finding::new(title, here.clone(), label).note(excerpt(seen, name))];
    match test {
        TextTest::Equals(expected) if expected == seen => Vec::new(),
        TextTest::Equals(expected) => {
            let finding =
                Finding::new(format!("{name} is not exactly what was expected"), here.clone(), "wanted here");
            let text = diff(expected, seen, false);
            vec![finding.note(format!("difference (- expected, + seen):\n{text}"))]
        }
        TextTest::Contains(part) if seen.contains(part) => Vec::new(),
        TextTest::Contains(part) => wrong(format!("{name} does not contain {:?}", cut(part)), "not found"),
        TextTest::Matches(pattern) if pattern.matches(seen) => Vec::new(),
        TextTest::Matches(pattern) => {
            wrong(format!("{name} does not match /{}/", cut(pattern.as_str())), "no match")
        }
        TextTest::Glob(glob) if glob.matches(seen.strip_suffix('\n').unwrap_or(seen).as_bytes()) => {
            Vec::new()
        }
        TextTest::Glob(glob) => wrong(format!("{name} does not match the glob {glob:?}"), "no match"),
        TextTest::Empty(wanted) if *wanted == seen.is_empty() => Vec::new(),
        TextTest::Empty(true) => wrong(format!("{name} is not empty"), "it must be"),
        TextTest::Empty(false) => wrong(format!("{name} is empty"), "it must not be"),
        TextTest::Unordered(patterns) => {
            let lines: Vec<&str> = seen.lines().collect();
            let Ok((missing, extra)) = unordered(patterns, &lines) else {
                return vec![too_long(name, &here)];
            };
            if missing.is_empty() && extra.is_empty() {
                return Vec::new();
            }
            let finding = Finding::new(
                format!("the lines of {name} are not those expected"),
                here.clone(),
                "wanted here",
            );
            let list = |what: &str, lines: &[&str]| {
                let some: Vec<String> =
                    lines.iter().take(10).map(|line| format!("  {}", cut(line))).collect();
                let more =
                    if lines.len() > 10 { format!("\n  ({} more)", lines.len() - 10) } else { String::new() };
                (!lines.is_empty()).then(|| format!("{what}:\n{}{more}", some.join("\n")))
            };
            vec![finding.notes(list("not seen", &missing)).notes(list("seen, and not listed", &extra))]
        }
        TextTest::Not(inner) if judge(inner, seen, name, &here).is_empty() => {
            wrong(format!("{name} is what it must not be"), "it is this")
        }
        TextTest::Not(_) => Vec::new(),
        TextTest::AllOf(all) => {
            let each = all.iter().enumerate();
            each.flat_map(|(nth, inner)| judge(inner, seen, name, &here.index(nth))).collect()
        }
        TextTest::AnyOf(any) => {
            let each = any.iter().enumerate().map(|(nth, inner)| judge(inner, seen, name, &here.index(nth)));
            let failed: Vec<Vec<Finding>> = each.collect();
            if failed.iter().any(Vec::is_empty) {
                return Vec::new();
            }
            let titles = failed.iter().flatten().map(|finding| finding.title.clone());
            let finding = Finding::new(format!("{name} is none of those"), here.clone(), "none of these");
            vec![finding.notes(titles).note(excerpt(seen, name))]
        }
    }
}

/// The last lines of a text, for a note.
pub(super) fn tail(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(most);
    let shown = |line: &&str| format!("  {}", cut(line));
    lines[from..].iter().map(shown).collect::<Vec<_>>().join("\n")
}

/// A line, as far as a person reads it.
pub(super) fn cut(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}[..]", &line[..end]).into(),
        None => line.into(),
    }
}

fn excerpt(seen: &str, name: &str) -> String {
    if seen.is_empty() {
        return format!("{name} was empty");
    }
    let count = seen.lines().count();
    let which = if count > 10 { format!("the last 10 of {count} lines of {name}") } else { name.to_owned() };
    format!("{which}:\n{}", tail(seen, 10))
}
