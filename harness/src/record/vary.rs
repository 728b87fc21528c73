//! What several runs wrote, as one pattern that all of them match; and, of what was the same by chance, what the next one
//! may well write otherwise.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::matcher;

/// Texts of more lines are shown by their ends.
const MOST_LINES: usize = 60;
/// More lines that come in any order are not listed.
const MOST_UNORDERED: usize = 200;
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

/// Why nothing can be expected of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// It is no text that a file could show.
    NoText,
    /// Nothing in it is the same in all runs.
    Another,
}

impl Unsaid {
    /// As it is said at the head.
    pub(super) fn says(self) -> &'static str {
        match self {
            Self::NoText => "it is no text",
            Self::Another => {
                "it is another in each run, at another time, in another order or with files as old as yours"
            }
        }
    }
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

/// One pattern for all. `given`: what the command was given, so that a time in it was not measured.
pub(super) fn pattern(written: &[Written<'_>], given: &dyn Fn(&str) -> bool) -> Result<Pattern, Unsaid> {
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
fn varied(texts: &[String]) -> Result<Wanted, Unsaid> {
    let (first, rest) = texts.split_first().ok_or(Unsaid::Another)?;
    let odd = |c: char| c == '\u{fffd}' || c.is_control() && !matches!(c, '\n' | '\t' | '\r' | '\u{1b}');
    if texts.iter().any(|text| text.contains(odd)) {
        return Err(Unsaid::NoText);
    }
    if texts.iter().all(String::is_empty) {
        return Ok(Wanted::Empty);
    }
    if rest.iter().all(|text| text == first) {
        let lines: Vec<&str> = first.lines().collect();
        if lines.len() > MOST_LINES {
            return Ok(Wanted::Whole(ends(&lines)));
        }
        return Ok(Wanted::Whole(first.clone()));
    }
    if let Some(lines) = unordered(texts) {
        let few = lines.len() <= MOST_UNORDERED;
        return if few { Ok(Wanted::Unordered(lines)) } else { Err(Unsaid::Another) };
    }
    let mut lines: Vec<String> = first.lines().map(str::to_owned).collect();
    for text in rest {
        let other: Vec<&str> = text.lines().collect();
        lines = match joined(&lines, &other) {
            Some(joined) => joined,
            None => between(&lines, &other),
        };
    }
    if lines == ["..."] {
        return Err(Unsaid::Another);
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let text = if lines.len() > MOST_LINES { ends(&lines) } else { with_end(&lines) };
    Ok(Wanted::Whole(text))
}

/// Whether they have the same lines, in whatever order.
pub(super) fn same_lines(one: &str, two: &str) -> bool {
    sorted(one) == sorted(two)
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// The lines, if they come in another order: those of the others are found by what they say in all, or by their last words or their
/// first, as a list of files has their names there.
fn unordered(texts: &[String]) -> Option<Vec<String>> {
    let (first, rest) = texts.split_first()?;
    let in_order = sorted(first);
    if rest.iter().all(|text| sorted(text) == in_order) {
        return Some(in_order.into_iter().map(str::to_owned).collect());
    }
    let last = |line: &str| line.split_whitespace().next_back().map(str::to_owned);
    let begins = |line: &str| line.split_whitespace().next().map(str::to_owned);
    by_key(first, rest, &last).or_else(|| by_key(first, rest, &begins))
}

type Key<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The same, where each line has a key of its own, and the keys come in another order. Where they come in the same, the lines
/// are in order.
fn by_key(first: &str, rest: &[String], key: Key<'_>) -> Option<Vec<String>> {
    let keyed = |text: &str| -> Option<BTreeMap<String, String>> {
        let keyed: BTreeMap<_, _> =
            text.lines().map(|line| Some((key(line)?, line.to_owned()))).collect::<Option<_>>()?;
        (keyed.len() == text.lines().count()).then_some(keyed)
    };
    let order = |text: &str| text.lines().map(key).collect::<Vec<_>>();
    if rest.iter().all(|text| order(text) == order(first)) {
        return None;
    }
    let mut lines = keyed(first)?;
    for text in rest {
        let other = keyed(text)?;
        if !lines.keys().eq(other.keys()) {
            return None;
        }
        lines.values_mut().zip(other.values()).for_each(|(line, other)| *line = elided(line, other));
    }
    Some(lines.into_values().collect())
}

/// A pattern that a further text fits as well; `None`: it fits already, or there is none but one that any text fits.
pub(super) fn widened(wanted: &Wanted, seen: &str) -> Option<Wanted> {
    let escaped = matcher::escaped(seen);
    let (plain, shown): (Vec<&str>, Vec<&str>) = (seen.lines().collect(), escaped.lines().collect());
    let pattern = match wanted {
        Wanted::Empty => return None,
        Wanted::Equals(text) if text == seen => return None,
        Wanted::Equals(text) => matcher::escaped(text),
        Wanted::Whole(text) => text.clone(),
        Wanted::Unordered(lines) => return widened_unordered(lines, &plain, &shown),
    };
    let pattern: Vec<String> = pattern.lines().map(str::to_owned).collect();
    let any_lines = pattern.iter().any(|line| line == "...");
    let few = pattern.len() == plain.len() && pattern.len() <= MOST_UNORDERED;
    if few && !any_lines && come_in_another_order(&pattern, &plain) {
        let mut lines = pattern;
        lines.sort_unstable();
        return Some(Wanted::Unordered(lines));
    }
    let lines = if pattern.len() == plain.len() && !any_lines {
        let each = pattern.iter().zip(plain.iter().zip(&shown));
        each.map(
            |(line, (plain, shown))| {
                if matcher::line_fits(line, plain) { line.clone() } else { elided(line, shown) }
            },
        )
        .collect()
    } else if any_lines {
        // Which lines the gap stood for can't be told from here.
        return None;
    } else {
        between(&pattern, &shown)
    };
    let same = lines == pattern || lines == ["..."];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    (!same).then(|| Wanted::Whole(with_end(&lines)))
}

/// Whether these are the lines, and only their order is another.
fn come_in_another_order(pattern: &[String], lines: &[&str]) -> bool {
    let mut left = lines.to_vec();
    let all = pattern.iter().all(|wanted| {
        let place = left.iter().position(|line| matcher::line_fits(wanted, line));
        place.map(|place| left.swap_remove(place)).is_some()
    });
    all && !pattern.iter().zip(lines).all(|(wanted, line)| matcher::line_fits(wanted, line))
}

fn widened_unordered(pattern: &[String], plain: &[&str], shown: &[&str]) -> Option<Wanted> {
    if pattern.len() != plain.len() {
        return None;
    }
    let mut left: Vec<(&str, &str)> = plain.iter().copied().zip(shown.iter().copied()).collect();
    let (mut lines, mut missing) = (Vec::new(), Vec::new());
    for line in pattern {
        match left.iter().position(|(plain, _)| matcher::line_fits(line, plain)) {
            Some(place) => {
                left.remove(place);
                lines.push(line.clone());
            }
            None => missing.push(line),
        }
    }
    let any = !missing.is_empty();
    lines.extend(missing.into_iter().zip(left).map(|(line, (_, shown))| elided(line, shown)));
    any.then_some(Wanted::Unordered(lines))
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
        pattern(&written, &|_| true).ok().map(|pattern| pattern.wanted)
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

    fn unordered(lines: &[&str]) -> Option<Wanted> {
        Some(Wanted::Unordered(lines.iter().map(|line| (*line).to_owned()).collect()))
    }

    #[test]
    fn lines_in_another_order_are_known_by_their_names() {
        assert_eq!(of(&["1 x a\n2 x b\n", "4 x b\n3 x a\n"]), unordered(&["[..] x a", "[..] x b"]));
        assert_eq!(of(&["a 1\nb 2\n", "b 4\na 3\n"]), unordered(&["a [..]", "b [..]"]));
        // In the same order they are in order, also where not all of them are the same.
        assert_eq!(of(&["a 1\nb 2\n", "a 3\nb 4\n"]), whole("a [..]\nb [..]\n"));
        assert_eq!(of(&["a 1\na 2\nb 1\n", "b 3\na 1\na 2\n"]), whole("[..]\na [..]\n[..]\n"));
        let long: Vec<String> = (0..MOST_UNORDERED + 1).map(|nth| format!("{nth}\n")).collect();
        let reversed: Vec<String> = long.iter().rev().cloned().collect();
        assert_eq!(of(&[&long.concat(), &reversed.concat()]), None);
    }

    #[test]
    fn one_more_text_widens_what_it_does_not_fit() {
        let widened = |pattern: &str, seen: &str| widened(&Wanted::Whole(pattern.to_owned()), seen);
        assert_eq!(widened("a\n[PID] x\n", "a\n4711 x\n"), None);
        assert_eq!(widened("a\nx f00 -\n[PID]\n", "a\nx ba7 -\n1\n"), whole("a\nx [..] -\n[PID]\n"));
        assert_eq!(widened("a\nb\nz\n", "a\nz\n"), whole("a\n...\nz\n"));
        assert_eq!(widened("b\n[PID] a\n", "7 a\nb\n"), unordered(&["[PID] a", "b"]));
        assert_eq!(widened("a\n...\n", "b\n"), None);
        assert_eq!(widened("a\n", "b\nc\n"), None);
        let Some(pattern) = unordered(&["a 1", "b [..]"]) else { panic!() };
        assert_eq!(super::widened(&pattern, "b 3\na 2\n"), unordered(&["b [..]", "a [..]"]));
        assert_eq!(super::widened(&pattern, "b 3\na 1\n"), None);
    }

    #[test]
    fn a_guest_s_number_has_a_name() {
        let pids = BTreeSet::from([4711, 4712]);
        let of = |one: &str, two: &str| {
            let written = [Written { text: one, pids: None }, Written { text: two, pids: Some(&pids) }];
            pattern(&written, &|_| false).ok().map(|pattern| pattern.wanted)
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
