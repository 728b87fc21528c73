//! Many lines: `...` stands for any lines, or none; what a line captures, later ones reuse.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::line::{Captured, Line};
use crate::scenario::expect::Redactions;

/// The texts are too long to be compared within a time that anybody would wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// How much comparing is done beyond what any text costs once: a pattern of many lines, tried again from each line of a
/// long text, would otherwise take for ever.
const MOST_WORK: usize = 20_000_000;

/// The same, where each comparison is one by a regular expression.
const MOST_STEPS: usize = 200_000;

/// About what it costs to compare two lines.
fn work(pattern: &str, line: &str) -> usize {
    1 + (pattern.len() + line.len()) / 256
}

/// Whether lines are like these.
pub(super) fn lines_match(pattern: &[Line<'_>], lines: &[&str]) -> Result<bool, TooLong> {
    let written = pattern.iter().map(Line::written);
    let once: usize = lines.iter().copied().chain(written).map(|line| work("", line)).sum();
    let most = pattern.iter().map(Line::cost).max().unwrap_or(1);
    let mut left = MOST_WORK + 16 * most * once;
    if pattern.iter().any(|line| line.captures().next().is_some()) {
        return with_captures(pattern, lines);
    }
    let nothing = Captured::new();
    let (mut at, mut line) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while let Some(this) = lines.get(line) {
        let wanted = pattern.get(at);
        let cost = work(wanted.map_or("", Line::written), this) * wanted.map_or(1, Line::cost);
        left = left.checked_sub(cost).ok_or(TooLong)?;
        if wanted.is_some_and(Line::is_any_lines) {
            back = Some((at, line));
            at += 1;
        } else if wanted.is_some_and(|wanted| wanted.fits(this, &nothing).is_some()) {
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
    Ok(pattern.iter().skip(at).all(Line::is_any_lines))
}

/// Where lines capture, what an earlier gap takes decides what later lines must be: every gap is tried again, not the
/// last alone.
fn with_captures(pattern: &[Line<'_>], lines: &[&str]) -> Result<bool, TooLong> {
    let mut left = MOST_STEPS + 4 * (pattern.len() + lines.len());
    // The gaps that can take one line more, each with what was captured before it.
    let mut back: Vec<(usize, usize, Captured)> = Vec::new();
    let (mut at, mut line, mut captured) = (0, 0, Captured::new());
    loop {
        let (wanted, this) = (pattern.get(at), lines.get(line).copied());
        left = left.checked_sub(work(wanted.map_or("", Line::written), this.unwrap_or(""))).ok_or(TooLong)?;
        match (wanted, this) {
            (None, None) => return Ok(true),
            (Some(wanted), _) if wanted.is_any_lines() => {
                back.push((at, line, captured.clone()));
                at += 1;
                continue;
            }
            (Some(wanted), Some(this)) => {
                if let Some(more) = wanted.fits(this, &captured) {
                    captured.extend(more.into_iter().map(|(name, text)| (name.to_owned(), text)));
                    at += 1;
                    line += 1;
                    continue;
                }
            }
            _ => {}
        }
        loop {
            let Some((gap, from, before)) = back.pop() else { return Ok(false) };
            if from < lines.len() {
                (at, line, captured) = (gap + 1, from + 1, before.clone());
                back.push((gap, from + 1, before));
                break;
            }
        }
    }
}

/// What each line captures if each takes the first that it fits: to show what is wrong, not to decide on it.
pub(super) fn captured_first(pattern: &[Line<'_>], lines: &[&str]) -> Captured {
    let mut captured = Captured::new();
    let mut from = 0;
    for wanted in pattern.iter().filter(|line| line.captures().next().is_some()) {
        let mut rest = lines.iter().enumerate().skip(from).take(MOST_LOOKED_AT);
        let found = rest.find_map(|(place, line)| Some((place, wanted.fits(line, &captured)?)));
        if let Some((place, more)) = found {
            captured.extend(more.into_iter().map(|(name, text)| (name.to_owned(), text)));
            from = place + 1;
        }
    }
    captured
}

const MOST_LOOKED_AT: usize = 10_000;

/// Beyond this many pairs of a pattern with a gap and a line, they are not paired.
const MOST_PAIRS: usize = 1_000_000;

/// Patterns and lines that are left over when they are paired.
type LeftOver<'a> = (Vec<&'a str>, Vec<&'a str>);

/// Pairs patterns with lines, one to one, whatever their order; returns the patterns and the lines that are left over.
pub(super) fn unordered<'a>(
    patterns: &'a [String],
    lines: &[&'a str],
    names: &'a Redactions,
) -> Result<LeftOver<'a>, TooLong> {
    let patterns: Vec<Line<'_>> = patterns.iter().map(|pattern| Line::alone(pattern, names)).collect();
    let (plain, gaps): (Vec<&Line<'_>>, Vec<&Line<'_>>) =
        patterns.iter().partition(|pattern| pattern.itself().is_some());
    // A pattern without a gap wants one line alone. It takes nothing from the others that they could not do without:
    // a line like it is as good for them as the one that it takes.
    let mut plainly: HashMap<String, usize> = HashMap::new();
    let itself = |pattern: &Line<'_>| pattern.itself().unwrap_or_default().into_owned();
    for pattern in &plain {
        *plainly.entry(itself(pattern)).or_default() += 1;
    }
    let mut take = |line: &str| match plainly.get_mut(line) {
        Some(wanted @ 1..) => {
            *wanted -= 1;
            true
        }
        _ => false,
    };
    let rest: Vec<&str> = lines.iter().copied().filter(|line| !take(line)).collect();
    let mut left = |pattern: &Line<'_>| match plainly.get_mut(&itself(pattern)) {
        Some(missing @ 1..) => {
            *missing -= 1;
            true
        }
        _ => false,
    };
    let mut missing: Vec<&str> =
        plain.into_iter().filter(|pattern| left(pattern)).map(Line::written).collect();
    let pairs = gaps.len().saturating_mul(rest.len());
    let works: usize = rest.iter().map(|line| work("", line)).sum();
    if pairs > MOST_PAIRS || works.saturating_mul(gaps.len()) > MOST_WORK {
        // They can't come out even, whichever goes with which.
        return if gaps.len() == rest.len() { Err(TooLong) } else { Ok((missing, rest)) };
    }
    let nothing = Captured::new();
    let fits = |pattern: &&Line<'_>| -> Vec<usize> {
        (0..rest.len()).filter(|line| pattern.fits(rest[*line], &nothing).is_some()).collect()
    };
    let fits: Vec<Vec<usize>> = gaps.iter().map(fits).collect();
    // Two patterns can want the same line and only one of them be content with another: so a pattern that finds its
    // line taken asks the taker to move on (Kuhn's algorithm).
    let mut taker: Vec<Option<usize>> = vec![None; rest.len()];
    for (pattern, line) in gaps.iter().enumerate() {
        let mut tried = vec![false; rest.len()];
        if !settle(pattern, &fits, &mut taker, &mut tried) {
            missing.push(line.written());
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
    use super::super::line::lines as parsed;
    use super::*;

    fn matches(pattern: &str, text: &str) -> Result<bool, TooLong> {
        let names: Redactions = crate::scenario::expect::form::read(r"{ N: '\d+' }").unwrap();
        let lines: Vec<&str> = text.lines().collect();
        lines_match(&parsed(pattern, &names), &lines)
    }

    fn paired<'a>(patterns: &'a [String], lines: &[&'a str]) -> Result<LeftOver<'a>, TooLong> {
        unordered(patterns, lines, Redactions::none())
    }

    #[test]
    fn gaps_of_lines() {
        for (pattern, text, wanted) in [
            ("...", "", true),
            ("...\nb", "a\nb\nb", true),
            ("a\n...\nc", "a\nb\nc\nd", false),
            ("a\n...\nc\n...", "a\nb\nc\nd", true),
            ("a\n...\nb\nc", "a\nb\nx\nb\nc", true),
            ("a", "a\nb", false),
            ("a\nb", "a", false),
        ] {
            assert_eq!(matches(pattern, text), Ok(wanted), "{pattern:?} / {text:?}");
        }
    }

    #[test]
    fn what_a_line_captures_later_lines_reuse() {
        for (pattern, text, wanted) in [
            ("open [ID=..]\nclose [ID]", "open 7\nclose 7", true),
            ("open [ID=..]\nclose [ID]", "open 7\nclose 8", false),
            ("open [ID=N]\nclose [ID]", "open x\nclose x", false),
            ("open [ID=N] as [NAME=..]\n[NAME]: [ID]", "open 7 as a.b\na.b: 7", true),
            // A point that was captured is a point.
            ("[A=..]\n[A]", "a.b\naxb", false),
            // Whatever a gap takes first, another line may be the one that was meant.
            ("...\nopen [ID=..]\n...\nclose [ID]\n...", "open 1\nopen 2\nclose 2\nend", true),
            ("...\nopen [ID=..]\n...\nclose [ID]\n...", "open 1\nopen 2\nclose 3\nend", false),
            // Before it is captured, it is plain text.
            ("[ID]\n[ID=..]", "[ID]\nx", true),
            // The last one counts.
            ("[A=..]\n[A=..]\n[A]", "x\ny\ny", true),
        ] {
            assert_eq!(matches(pattern, text), Ok(wanted), "{pattern:?} / {text:?}");
        }
    }

    #[test]
    fn unordered_lines_are_paired_one_to_one() {
        let patterns = ["[..]".to_owned(), "a".to_owned()];
        assert_eq!(paired(&patterns, &["a", "b"]), Ok((vec![], vec![])));
        assert_eq!(paired(&patterns, &["b", "c"]), Ok((vec!["a"], vec!["c"])));
        assert_eq!(paired(&patterns[1..], &["a", "a"]), Ok((vec![], vec!["a"])));
    }

    #[test]
    fn every_pattern_gets_a_line_if_there_is_a_way() {
        let patterns = ["[..]", "a[..]", "[..]b", "ab", "ab"].map(str::to_owned);
        let even = |lines: &[&str]| paired(&patterns, lines) == Ok((vec![], vec![]));
        assert!(even(&["ab", "ab", "b", "a", "x"]) && even(&["ab", "x", "ab", "ab", "ab"]));
        assert!(!even(&["ab", "x", "ab", "y", "ab"]) && !even(&["ab", "b", "a", "x", "y"]));
    }

    #[test]
    fn what_would_take_for_ever_is_not_compared() {
        // Each line of the text could be the beginning of what follows the gap.
        let pattern = format!("...\n{}b", "a\n".repeat(100_000));
        assert_eq!(matches(&pattern, &"a\n".repeat(200_000)), Err(TooLong));
        // A long text alone is no reason.
        assert_eq!(matches("...\nb", &"a\n".repeat(1_000_000)), Ok(false));
        // Nor do captures make it take longer.
        let pattern = format!("{}[A]", "...\n[A=..]\n".repeat(20));
        assert_eq!(matches(&pattern, &"a\n".repeat(10_000)), Ok(true));
        let pattern = format!("{}x[A]", "...\n[A=..]\n".repeat(20));
        assert_eq!(matches(&pattern, &"a\nb\n".repeat(1000)), Err(TooLong));
        let patterns = vec!["[..]".to_owned(); 2000];
        assert_eq!(paired(&patterns, &vec!["a"; 2000]), Err(TooLong));
        assert_eq!(paired(&patterns, &vec!["a"; 2001]).map(|(_, extra)| extra.len()), Ok(2001));
        // Nor are many lines that stand for themselves, and no depth is too great.
        let (many, lines) = (vec!["a".to_owned(); 300_000], vec!["a"; 300_000]);
        assert_eq!(paired(&many, &lines), Ok((vec![], vec![])));
        let steps: Vec<String> = (0..900).map(|_| "a[..]".to_owned()).collect();
        assert_eq!(paired(&steps, &vec!["ab"; 900]), Ok((vec![], vec![])));
    }
}
