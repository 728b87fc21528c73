//! Texts against their patterns.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::diff::diff;
use super::lines::{TooLong, captured_first, lines_match, unordered};
use super::{Finding, json, line};
use crate::scenario::expect::{Redactions, TextPattern, TextTest};
use crate::scenario::place::YamlPath;

/// What is wrong with a text. `name` is what it is called: `stdout`, or a file's path.
pub(super) fn judge(
    pattern: &TextPattern,
    seen: &str,
    name: &str,
    at: &YamlPath,
    names: &Redactions,
) -> Vec<Finding> {
    match pattern {
        TextPattern::Whole(expected) => whole(expected, seen, name, at, names).into_iter().collect(),
        TextPattern::Tests(tests) => judge_tests(tests, seen, name, at, names),
    }
}

/// What is wrong with a text, by the longer form.
pub(super) fn judge_tests(
    tests: &[TextTest],
    seen: &str,
    name: &str,
    at: &YamlPath,
    names: &Redactions,
) -> Vec<Finding> {
    tests.iter().flat_map(|test| judge_test(test, seen, name, at, names)).collect()
}

fn whole(expected: &str, seen: &str, name: &str, at: &YamlPath, names: &Redactions) -> Option<Finding> {
    let (wanted, got) = (line::lines(expected, names), seen.lines().collect::<Vec<&str>>());
    match lines_match(&wanted, &got) {
        Ok(true) => return None,
        Ok(false) => {}
        Err(TooLong) => return Some(too_long(name, at)),
    }
    let finding = Finding::new(format!("{name} is not what was expected"), at.clone(), "wanted here");
    let text = diff(&ended(expected), &ended(seen), Some(names));
    let captured = captured_first(&wanted, &got);
    let captured = captured.iter().map(|(name, text)| format!("captured: [{name}] is {}", cut(text)));
    Some(finding.note(format!("difference (- expected, + seen):\n{text}")).notes(captured))
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

fn judge_test(test: &TextTest, seen: &str, name: &str, at: &YamlPath, names: &Redactions) -> Vec<Finding> {
    let here = test.keys().iter().fold(at.clone(), |at, key| at.key(*key));
    let wrong =
        |title: String, label: &str| vec![Finding::new(title, here.clone(), label).note(excerpt(seen, name))];
    match test {
        TextTest::Equals(expected) if expected == seen => Vec::new(),
        TextTest::Equals(expected) => {
            let finding =
                Finding::new(format!("{name} is not exactly what was expected"), here.clone(), "wanted here");
            let text = diff(expected, seen, None);
            vec![finding.note(format!("difference (- expected, + seen):\n{text}"))]
        }
        TextTest::Contains(part) => match line::contains(seen, part, names) {
            Some(true) => Vec::new(),
            Some(false) => {
                let finding = Finding::new(
                    format!("{name} does not contain {:?}", cut(part)),
                    here.clone(),
                    "not found",
                );
                vec![finding.notes(nearest_line(part, seen)).note(excerpt(seen, name))]
            }
            None => vec![too_long(name, &here)],
        },
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
            let Ok((missing, extra)) = unordered(patterns, &lines, names) else {
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
            // What is left over of both is mostly the same line, a little other.
            let pairs = missing.iter().take(3).filter_map(|wanted| {
                let near = nearest(wanted, extra.iter().copied())?;
                Some(format!("nearest to {:?}: {:?}", cut(wanted), cut(near)))
            });
            let pairs: Vec<String> = pairs.collect();
            let finding =
                finding.notes(list("not seen", &missing)).notes(list("seen, and not listed", &extra));
            vec![if extra.len() > 1 { finding.notes(pairs) } else { finding }]
        }
        TextTest::Not(inner) if judge(inner, seen, name, &here, names).is_empty() => {
            wrong(format!("{name} is what it must not be"), "it is this")
        }
        TextTest::Not(_) => Vec::new(),
        TextTest::Json(parts) => json::judge(parts, seen, name, &here, names),
        TextTest::AllOf(all) => {
            let each = all.iter().enumerate();
            each.flat_map(|(nth, inner)| judge(inner, seen, name, &here.index(nth), names)).collect()
        }
        TextTest::AnyOf(any) => {
            let each =
                any.iter().enumerate().map(|(nth, inner)| judge(inner, seen, name, &here.index(nth), names));
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

/// Lines further down are not looked at.
const MOST_LINES: usize = 5000;

/// The line of a text that is most like another.
fn nearest<'a>(wanted: &str, lines: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let short = |line: &str| line.chars().take(200).collect::<String>();
    let wanted = short(wanted.trim());
    let scored = lines.take(MOST_LINES).map(|line| (strsim::sorensen_dice(&wanted, &short(line)), line));
    // Less has nothing in common with it.
    let best = scored.filter(|(score, _)| *score >= 0.3).max_by(|(one, _), (two, _)| one.total_cmp(two));
    best.map(|(_, line)| line)
}

fn nearest_line(part: &str, seen: &str) -> Option<String> {
    let wanted = part.lines().max_by_key(|line| line.len())?;
    let near = nearest(wanted, seen.lines())?;
    let number = seen.lines().position(|line| line == near)? + 1;
    Some(format!("nearest: line {number}, {:?}", cut(near)))
}

pub(super) fn excerpt(seen: &str, name: &str) -> String {
    if seen.is_empty() {
        return format!("{name} was empty");
    }
    let count = seen.lines().count();
    let which = if count > 10 { format!("the last 10 of {count} lines of {name}") } else { name.to_owned() };
    format!("{which}:\n{}", tail(seen, 10))
}
