//! What several runs wrote, as one pattern that all of them match; and, of what was the same by chance, what the next one
//! may well write otherwise.
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::matcher;

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

/// What one run wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) text: &'a str,
    /// The numbers of the guests, where they see the host's.
    pub(super) pids: Option<&'a BTreeSet<u32>>,
}

/// A pattern, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) wanted: Wanted,
    /// Whether digits before a unit of time were left open.
    pub(super) times: bool,
}

/// One pattern for all; `None`: it is no text that a file could show. `given`: what the command was given, so that a time in it
/// was not measured.
pub(super) fn pattern(written: &[Written<'_>], given: &dyn Fn(&str) -> bool) -> Option<Pattern> {
    let raw: Vec<String> = written.iter().map(|written| written.text.to_owned()).collect();
    let plain: Vec<String> = raw.iter().map(|text| matcher::escaped(text)).collect();
    let numbered = numbered(&plain, written);
    let mut times = false;
    let timed: Vec<String> = numbered.iter().map(|text| without_times(text, given, &mut times)).collect();
    // What stands for more, and is to stand for itself, is said as it is, if that is all.
    let same = raw.iter().all(|text| Some(text) == raw.first());
    let wanted = match raw.first() {
        Some(text) if same && timed == plain && plain != raw && text.lines().count() <= MOST_LINES => {
            varied(&raw).map(|_| Wanted::Equals(text.clone()))
        }
        _ => varied(&timed),
    };
    wanted.map(|wanted| Pattern { wanted, times })
}

/// With `[PID]` for the numbers of guests: for words that are one in the run that shows the host's numbers, and are another
/// number in others.
fn numbered(texts: &[String], written: &[Written<'_>]) -> Vec<String> {
    let words: Vec<Vec<&str>> = texts.iter().map(|text| words(text)).collect();
    let aligned = words.iter().all(|of| of.len() == words.first().map_or(0, Vec::len));
    if !aligned {
        return texts.to_vec();
    }
    let at = |run: usize, nth: usize| words.get(run).and_then(|of| of.get(nth)).copied().unwrap_or_default();
    let is_pid = |nth: usize| {
        let numbers = (0..texts.len()).all(|run| at(run, nth).parse::<u32>().is_ok());
        let differs = (0..texts.len()).any(|run| at(run, nth) != at(0, nth));
        let known = |(run, written): (usize, &Written<'_>)| {
            let number = at(run, nth).parse::<u32>();
            written.pids.is_some_and(|pids| number.is_ok_and(|number| pids.contains(&number)))
        };
        numbers && differs && written.iter().enumerate().any(known)
    };
    let pids: HashSet<usize> = (0..words.first().map_or(0, Vec::len)).filter(|nth| is_pid(*nth)).collect();
    let put = |of: &Vec<&str>| {
        let each = of.iter().enumerate();
        each.map(|(nth, word)| if pids.contains(&nth) { "[PID]" } else { *word }).collect()
    };
    words.iter().map(put).collect()
}

/// Numbers and names, and what stands between them.
fn words(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let end = rest.find(|c| word(c) != word(first)).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(end);
        out.push(head);
        rest = tail;
    }
    out
}

/// A number before a unit of time, that is no part of a name, a date or a path.
static A_TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let number = r"(?:[0-9]+h ?)?(?:[0-9]+m ?)?[0-9]+(?:[.,][0-9]+)?";
    let unit = r"(?:ns|us|µs|μs|ms|s|sec|secs|seconds?|msec|msecs|milliseconds?|microseconds?|nanoseconds?)";
    Regex::new(&format!(r"(?m)(^|[^0-9A-Za-z_./:\-])({number})( ?)({unit})\b")).ok()
});

/// With `[..]` for what a clock may have measured.
fn without_times(text: &str, given: &dyn Fn(&str) -> bool, found: &mut bool) -> String {
    let Some(time) = &*A_TIME else { return text.to_owned() };
    let put = |parts: &Captures<'_>| {
        let part = |nth: usize| parts.get(nth).map_or("", |part| part.as_str());
        let (before, number, space, unit) = (part(1), part(2), part(3), part(4));
        if given(&format!("{number}{space}{unit}")) {
            return part(0).to_owned();
        }
        *found = true;
        format!("{before}[..]{space}{unit}")
    };
    time.replace_all(text, put).into_owned()
}

/// One pattern for what has gaps already.
fn varied(texts: &[String]) -> Option<Wanted> {
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
        return Some(Wanted::Whole(first.clone()));
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
        let written: Vec<_> = texts.iter().map(|text| Written { text, pids: None }).collect();
        pattern(&written, &|_| true).map(|pattern| pattern.wanted)
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
    fn a_guest_s_number_has_a_name() {
        let pids = BTreeSet::from([4711, 4712]);
        let of = |one: &str, two: &str| {
            let written = [Written { text: one, pids: None }, Written { text: two, pids: Some(&pids) }];
            pattern(&written, &|_| false).map(|pattern| pattern.wanted)
        };
        assert_eq!(of("2\n", "4711\n"), whole("[PID]\n"));
        assert_eq!(of("2 of 2: p2.\n", "4712 of 2: p2.\n"), whole("[PID] of 2: p2.\n"));
        // The same in both, or no guest's: nothing is known of it.
        assert_eq!(of("4711\n", "4711\n"), whole("4711\n"));
        assert_eq!(of("a 2\n", "a 99\n"), whole("a [..]\n"));
        // What is written as a name is no name.
        assert_eq!(of("[PID] 2\n", "[PID] 4711\n"), whole("\\[PID] [PID]\n"));
    }

    #[test]
    fn what_a_clock_measured_is_left_open() {
        let of = |text: &str| {
            let text = format!("{text}\n");
            let written = [Written { text: &text, pids: None }; 2];
            let pattern = pattern(&written, &|given| given == "5 s").unwrap();
            (pattern.wanted, pattern.times)
        };
        for (text, wanted) in [
            ("after 0 ms: x", "after [..] ms: x"),
            ("(12ms) 1.5s, 3 seconds 0,2 µs", "([..]ms) [..]s, [..] seconds [..] µs"),
            ("took 1m12.5s", "took [..]s"),
            ("time=0.04 ms", "time=[..] ms"),
        ] {
            assert_eq!(of(text), (Wanted::Whole(format!("{wanted}\n")), true), "{text}");
        }
        for same in ["5 s", "a1s 10 sheets v1.2s 3 m", "2 files", "12:30:01s /1s"] {
            assert_eq!(of(same), (Wanted::Whole(format!("{same}\n")), false), "{same}");
        }
    }

    #[test]
    fn a_long_text_is_shown_by_its_ends() {
        let long: String = (0..200).map(|nth| format!("line {nth}\n")).collect();
        let Some(Wanted::Whole(shown)) = of(&[&long, &long]) else { panic!() };
        assert_eq!(shown.lines().count(), 2 * SHOWN + 1);
        assert!(shown.starts_with("line 0\n") && shown.ends_with("line 199\n") && shown.contains("\n...\n"));
    }
}
