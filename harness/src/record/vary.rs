//! What several runs wrote, as one pattern that all of them match.
#![forbid(unsafe_code)]

/// Texts of more lines are shown by their ends.
const MOST_LINES: usize = 60;
const SHOWN: usize = 10;

/// A pattern over a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing was written.
    Empty,
    /// This, and nothing in it stands for anything else.
    Equals(String),
    /// This, with `[..]` and `...` for what differed or was too much.
    Whole(String),
    /// These lines, in any order.
    Unordered(Vec<String>),
}

/// One pattern for all; `None`: it is no text that a file could show.
pub(super) fn pattern(texts: &[String]) -> Option<Wanted> {
    let (first, rest) = texts.split_first()?;
    let odd = |c: char| c == '\u{fffd}' || c.is_control() && !matches!(c, '\n' | '\t' | '\r' | '\u{1b}');
    if texts.iter().any(|text| text.contains(odd)) {
        return None;
    }
    if texts.iter().all(String::is_empty) {
        return Some(Wanted::Empty);
    }
    if rest.iter().all(|text| text == first) {
        let lines: Vec<&str> = first.lines().collect();
        if lines.len() > MOST_LINES {
            return Some(Wanted::Whole(ends(&lines)));
        }
        let stands_for_more = lines.iter().any(|line| line.contains("[..]") || line.trim() == "...");
        return Some(if stands_for_more {
            Wanted::Equals(first.clone())
        } else {
            Wanted::Whole(first.clone())
        });
    }
    let mut lines: Vec<String> = first.lines().map(str::to_owned).collect();
    for text in rest {
        let other: Vec<&str> = text.lines().collect();
        lines = match joined(&lines, &other) {
            Some(joined) => joined,
            None => between(&lines, &other),
        };
    }
    // Another order of the same lines is told by the lines.
    let sorted = |text: &String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let in_order = sorted(first);
    if rest.iter().all(|text| sorted(text) == in_order) && in_order.len() <= MOST_LINES {
        return Some(Wanted::Unordered(in_order));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let text = if lines.len() > MOST_LINES { ends(&lines) } else { with_end(&lines) };
    Some(Wanted::Whole(text))
}

fn with_end(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn ends(lines: &[&str]) -> String {
    let (head, tail) = (lines.get(..SHOWN), lines.get(lines.len() - SHOWN..));
    let shown = [head.unwrap_or_default(), &["..."], tail.unwrap_or_default()].concat();
    with_end(&shown)
}

/// Line by line, where there are as many; `...` stands for any.
fn joined(pattern: &[String], lines: &[&str]) -> Option<Vec<String>> {
    let same = pattern.len() == lines.len() && pattern.iter().all(|line| line != "...");
    same.then(|| pattern.iter().zip(lines).map(|(one, two)| elided(one, two)).collect())
}

/// What both begin with and end with.
fn between(pattern: &[String], lines: &[&str]) -> Vec<String> {
    let head = pattern.iter().zip(lines).take_while(|(one, two)| one == *two && *one != "...").count();
    let rest = pattern.len().min(lines.len()) - head;
    let ends = pattern.iter().rev().zip(lines.iter().rev()).take(rest);
    let tail = ends.take_while(|(one, two)| one == *two && *one != "...").count();
    let kept = |from, to| pattern.get(from..to).unwrap_or_default().iter().cloned();
    let tail_from = pattern.len() - tail;
    kept(0, head).chain(["...".to_owned()]).chain(kept(tail_from, pattern.len())).collect()
}

/// A line with `[..]` for what differs, by whole words: the next run's number may have more digits.
fn elided(one: &str, two: &str) -> String {
    if one == two {
        return one.to_owned();
    }
    let word = |c: char| c.is_alphanumeric() || ".:-_+[]".contains(c);
    let (left, right): (Vec<char>, Vec<char>) = (one.chars().collect(), two.chars().collect());
    let shortest = left.len().min(right.len());
    let mut head = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    while head > 0 && left.get(head - 1).is_some_and(|c| word(*c)) {
        head -= 1;
    }
    let ends = left.iter().rev().zip(right.iter().rev()).take(shortest - head);
    let mut tail = ends.take_while(|(a, b)| a == b).count();
    while tail > 0 && left.get(left.len() - tail).is_some_and(|c| word(*c)) {
        tail -= 1;
    }
    let part = |from: usize, to: usize| left.get(from..to).unwrap_or_default().iter().collect::<String>();
    format!("{}[..]{}", part(0, head), part(left.len() - tail, left.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Option<Wanted> {
        pattern(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn whole(text: &str) -> Option<Wanted> {
        Some(Wanted::Whole(text.to_owned()))
    }

    #[test]
    fn what_differs_becomes_a_gap() {
        assert_eq!(of(&["", ""]), Some(Wanted::Empty));
        assert_eq!(of(&["a\n", "a\n"]), whole("a\n"));
        assert_eq!(of(&["took 12 ms\n", "took 13 ms\n"]), whole("took [..] ms\n"));
        assert_eq!(of(&["took 12 ms\n", "took 13 ms\n", "took 7 ms\n"]), whole("took [..] ms\n"));
        assert_eq!(of(&["at 10:11:12, b\nc\n", "at 10:11:13, b\nc\n"]), whole("at [..], b\nc\n"));
        assert_eq!(of(&["a\nb\nz\n", "a\nc\nd\nz\n"]), whole("a\n...\nz\n"));
        assert_eq!(of(&["a\nb\n", "b\na\n"]), Some(Wanted::Unordered(vec!["a".into(), "b".into()])));
        assert_eq!(of(&["a [..]\n", "a [..]\n"]), Some(Wanted::Equals("a [..]\n".into())));
        assert_eq!(of(&["a\0", "a\0"]), None);
    }

    #[test]
    fn a_long_text_is_shown_by_its_ends() {
        let long: String = (0..200).map(|nth| format!("line {nth}\n")).collect();
        let Some(Wanted::Whole(shown)) = of(&[&long, &long]) else { panic!() };
        assert_eq!(shown.lines().count(), 2 * SHOWN + 1);
        assert!(shown.starts_with("line 0\n") && shown.ends_with("line 199\n") && shown.contains("\n...\n"));
    }
}
