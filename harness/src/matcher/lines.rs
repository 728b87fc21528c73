//! Elision: `[..]` within a line, `...` for lines.
#![forbid(unsafe_code)]

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

/// Whether lines are like these.
pub(super) fn lines_match(pattern: &[&str], lines: &[&str]) -> bool {
    let (mut at, mut line) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while line < lines.len() {
        if pattern.get(at).is_some_and(|pattern| is_any_lines(pattern)) {
            back = Some((at, line));
            at += 1;
        } else if pattern.get(at).is_some_and(|pattern| line_matches(pattern, lines[line])) {
            at += 1;
            line += 1;
        } else if let Some((gap, from)) = back {
            // The last gap takes one line more, and all behind it is tried again.
            back = Some((gap, from + 1));
            at = gap + 1;
            line = from + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|pattern| is_any_lines(pattern))
}

/// Pairs patterns with lines, one to one, whatever their order; returns the patterns and the lines that are left over.
pub(super) fn unordered<'a>(patterns: &'a [String], lines: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
    // Two patterns can want the same line and only one of them be content with another: so a pattern that finds its
    // line taken asks the taker to move on (Kuhn's algorithm).
    let mut taker: Vec<Option<usize>> = vec![None; lines.len()];
    let mut missing = Vec::new();
    for pattern in 0..patterns.len() {
        let mut tried = vec![false; lines.len()];
        if !settle(pattern, patterns, lines, &mut taker, &mut tried) {
            missing.push(patterns[pattern].as_str());
        }
    }
    let extra = lines.iter().zip(&taker).filter(|(_, taker)| taker.is_none()).map(|(line, _)| *line);
    (missing, extra.collect())
}

fn settle(
    pattern: usize,
    patterns: &[String],
    lines: &[&str],
    taker: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for line in 0..lines.len() {
        if tried[line] || !line_matches(&patterns[pattern], lines[line]) {
            continue;
        }
        tried[line] = true;
        let free = match taker[line] {
            None => true,
            Some(other) => settle(other, patterns, lines, taker, tried),
        };
        if free {
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
            assert_eq!(lines_match(&pattern, &lines), wanted, "{pattern:?} / {lines:?}");
        }
    }

    #[test]
    fn unordered_lines_are_paired_one_to_one() {
        let patterns = ["[..]".to_owned(), "a".to_owned()];
        assert_eq!(unordered(&patterns, &["a", "b"]), (vec![], vec![]));
        assert_eq!(unordered(&patterns, &["b", "c"]), (vec!["a"], vec!["c"]));
        assert_eq!(unordered(&patterns[1..], &["a", "a"]), (vec![], vec!["a"]));
    }
}
