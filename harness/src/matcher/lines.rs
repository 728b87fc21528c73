//! Elision: `[..]` within a line, `...` for lines.
#![forbid(unsafe_code)]

use std::collections::HashMap;

/// Stands for anything within a line.
const GAP: &str = "[..]";

/// Stands for any lines, or none.
pub(super) fn is_any_lines(line: &str) -> bool {
    line.trim() == "..."
}

/// Whether a line is like this one, in which `[..]` stands for anything.
pub(super) fn line_matches(pattern: &str, line: &str) -> bool {
    let pieces: Vec<&str> = pattern.split(GAP).collect();
    let [first, middle @ .., last] = pieces.as_slice() else { return pattern == line };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for piece in middle {
        // The earliest place is the best one: whatever a later one would match, the gap behind this one matches.
        let Some(place) = rest.find(piece) else { return false };
        rest = &rest[place + piece.len()..];
    }
    rest.ends_with(last)
}

/// The texts are too long to be compared within a time that anybody would wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// How much comparing is done beyond what any text costs once: a pattern of many lines, tried again from each line of a
/// long text, would otherwise take for ever.
const MOST_WORK: usize = 20_000_000;

/// About what it costs to compare two lines.
fn work(pattern: &str, line: &str) -> usize {
    1 + (pattern.len() + line.len()) / 256
}

/// Whether lines are like these.
pub(super) fn lines_match(pattern: &[&str], lines: &[&str]) -> Result<bool, TooLong> {
    let once: usize = lines.iter().chain(pattern).map(|line| work("", line)).sum();
    let mut left = MOST_WORK + 16 * once;
    let (mut at, mut line) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while let Some(this) = lines.get(line) {
        let wanted = pattern.get(at);
        left = left.checked_sub(work(wanted.unwrap_or(&""), this)).ok_or(TooLong)?;
        if wanted.is_some_and(|wanted| is_any_lines(wanted)) {
            back = Some((at, line));
            at += 1;
        } else if wanted.is_some_and(|wanted| line_matches(wanted, this)) {
            at += 1;
            line += 1;
        } else if let Some((gap, from)) = back {
            // The last gap takes one line more, and all behind it is tried again.
            back = Some((gap, from + 1));
            at = gap + 1;
            line = from + 1;
        } else {
            return Ok(false);
        }
    }
    Ok(pattern.iter().skip(at).all(|pattern| is_any_lines(pattern)))
}

/// Beyond this many pairs of a pattern with a gap and a line, they are not paired.
const MOST_PAIRS: usize = 1_000_000;

/// Patterns and lines that are left over when they are paired.
type LeftOver<'a> = (Vec<&'a str>, Vec<&'a str>);

/// Pairs patterns with lines, one to one, whatever their order; returns the patterns and the lines that are left over.
pub(super) fn unordered<'a>(patterns: &'a [String], lines: &[&'a str]) -> Result<LeftOver<'a>, TooLong> {
    let (gaps, plain): (Vec<&str>, Vec<&str>) =
        patterns.iter().map(String::as_str).partition(|pattern| pattern.contains(GAP));
    // A pattern without a gap wants one line alone. It takes nothing from the others that they could not do without:
    // a line like it is as good for them as the one that it takes.
    let mut plainly: HashMap<&str, usize> = HashMap::new();
    for pattern in &plain {
        *plainly.entry(pattern).or_default() += 1;
    }
    let mut take = |line: &str| match plainly.get_mut(line) {
        Some(wanted @ 1..) => {
            *wanted -= 1;
            true
        }
        _ => false,
    };
    let rest: Vec<&str> = lines.iter().copied().filter(|line| !take(line)).collect();
    let mut left = |pattern: &str| match plainly.get_mut(pattern) {
        Some(missing @ 1..) => {
            *missing -= 1;
            true
        }
        _ => false,
    };
    let mut missing: Vec<&str> = plain.into_iter().filter(|pattern| left(pattern)).collect();
    let pairs = gaps.len().saturating_mul(rest.len());
    let works: usize = rest.iter().map(|line| work("", line)).sum();
    if pairs > MOST_PAIRS || works.saturating_mul(gaps.len()) > MOST_WORK {
        // They can't come out even, whichever goes with which.
        return if gaps.len() == rest.len() { Err(TooLong) } else { Ok((missing, rest)) };
    }
    let fits = |pattern: &&str| -> Vec<usize> {
        (0..rest.len()).filter(|line| line_matches(pattern, rest[*line])).collect()
    };
    let fits: Vec<Vec<usize>> = gaps.iter().map(fits).collect();
    // Two patterns can want the same line and only one of them be content with another: so a pattern that finds its
    // line taken asks the taker to move on (Kuhn's algorithm).
    let mut taker: Vec<Option<usize>> = vec![None; rest.len()];
    for (pattern, text) in gaps.iter().enumerate() {
        let mut tried = vec![false; rest.len()];
        if !settle(pattern, &fits, &mut taker, &mut tried) {
            missing.push(text);
        }
    }
    let extra = rest.iter().zip(&taker).filter(|(_, taker)| taker.is_none()).map(|(line, _)| *line);
    Ok((missing, extra.collect()))
}

/// As deep as there are pairs: no deeper than the root of [`MOST_PAIRS`].
fn settle(pattern: usize, fits: &[Vec<usize>], taker: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    // First a line that nobody has: that is all it takes, nearly always.
    if let Some(free) = fits[pattern].iter().copied().find(|line| taker[*line].is_none()) {
        taker[free] = Some(pattern);
        return true;
    }
    for line in fits[pattern].iter().copied() {
        if tried[line] {
            continue;
        }
        tried[line] = true;
        if taker[line].is_some_and(|other| settle(other, fits, taker, tried)) {
            taker[line] = Some(pattern);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_in_a_line() {
        for (pattern, line, wanted) in [
            ("took [..] ms", "took 12 ms", true),
            ("took [..] ms", "took  ms", true),
            ("took [..] ms", "took 12 s", false),
            ("[..]", "", true),
            ("a[..]b[..]c", "axbxbxc", true),
            ("a[..]b[..]c", "acb", false),
            ("aa[..]aa", "aaa", false),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(line_matches(pattern, line), wanted, "{pattern} / {line}");
        }
    }

    #[test]
    fn gaps_of_lines() {
        for (pattern, lines, wanted) in [
            (vec!["..."], vec![], true),
            (vec!["...", "b"], vec!["a", "b", "b"], true),
            (vec!["a", "...", "c"], vec!["a", "b", "c", "d"], false),
            (vec!["a", "...", "c", "..."], vec!["a", "b", "c", "d"], true),
            (vec!["a", "...", "b", "c"], vec!["a", "b", "x", "b", "c"], true),
            (vec!["a"], vec!["a", "b"], false),
            (vec!["a", "b"], vec!["a"], false),
        ] {
            assert_eq!(lines_match(&pattern, &lines), Ok(wanted), "{pattern:?} / {lines:?}");
        }
    }

    #[test]
    fn unordered_lines_are_paired_one_to_one() {
        let patterns = ["[..]".to_owned(), "a".to_owned()];
        assert_eq!(unordered(&patterns, &["a", "b"]), Ok((vec![], vec![])));
        assert_eq!(unordered(&patterns, &["b", "c"]), Ok((vec!["a"], vec!["c"])));
        assert_eq!(unordered(&patterns[1..], &["a", "a"]), Ok((vec![], vec!["a"])));
    }

    #[test]
    fn every_pattern_gets_a_line_if_there_is_a_way() {
        let patterns = ["[..]", "a[..]", "[..]b", "ab", "ab"].map(str::to_owned);
        let even = |lines: &[&str]| unordered(&patterns, lines) == Ok((vec![], vec![]));
        assert!(even(&["ab", "ab", "b", "a", "x"]) && even(&["ab", "x", "ab", "ab", "ab"]));
        assert!(!even(&["ab", "x", "ab", "y", "ab"]) && !even(&["ab", "b", "a", "x", "y"]));
    }

    #[test]
    fn what_would_take_for_ever_is_not_compared() {
        // Each line of the text could be the beginning of what follows the gap.
        let pattern: Vec<&str> = std::iter::once("...").chain(vec!["a"; 100_000]).chain(["b"]).collect();
        assert_eq!(lines_match(&pattern, &vec!["a"; 200_000]), Err(TooLong));
        // A long text alone is no reason.
        assert_eq!(lines_match(&["...", "b"], &vec!["a"; 1_000_000]), Ok(false));
        let patterns = vec!["[..]".to_owned(); 2000];
        assert_eq!(unordered(&patterns, &vec!["a"; 2000]), Err(TooLong));
        assert_eq!(unordered(&patterns, &vec!["a"; 2001]).map(|(_, extra)| extra.len()), Ok(2001));
        // Nor are many lines that stand for themselves, and no depth is too great.
        let (many, lines) = (vec!["a".to_owned(); 300_000], vec!["a"; 300_000]);
        assert_eq!(unordered(&many, &lines), Ok((vec![], vec![])));
        let steps: Vec<String> = (0..900).map(|_| "a[..]".to_owned()).collect();
        assert_eq!(unordered(&steps, &vec!["ab"; 900]), Ok((vec![], vec![])));
    }
}
