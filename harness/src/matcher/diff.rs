//! The difference between a text and what it was to be.
#![forbid(unsafe_code)]

use super::line::{self, Line};
use super::lines::captured_first;
use super::text::cut;
use crate::scenario::expect::Redactions;

/// Longer differences are cut: the whole text lies in the kept artefacts.
const MOST_LINES: usize = 60;
/// Beyond this many pairs of lines, lines with gaps are compared as they stand.
const MOST_PAIRS: usize = 1_000_000;

/// Lines before the first difference that are looked at.
const MOST_SAME: usize = 10;
/// Lines of each text from there on that are looked at: finding the least difference of n lines can take n² steps.
const MOST_COMPARED: usize = 2000;
/// Beyond this many pairs of lines and bytes, lines with gaps are compared as they stand.
const MOST_BYTES: usize = 200_000_000;

/// What to take away (`-`) and what to add (`+`) to come from the expected text to the one that was seen.
pub(super) fn diff(expected: &str, seen: &str, elide: Option<&Redactions>) -> String {
    let seen = elide.map_or_else(|| seen.to_owned(), |names| aligned(expected, seen, names));
    let (expected, seen, cut_off) = beginning(expected, &seen);
    let diff = similar::TextDiff::from_lines(expected, seen);
    let text = diff.unified_diff().context_radius(2).to_string();
    // Where in the texts a piece stands is of no use: the line numbers are those of neither file nor scenario.
    let pieces = text.lines().map(|line| if line.starts_with("@@") { "  ..." } else { line });
    let mut lines: Vec<_> = pieces.skip(1).map(cut).collect();
    let left_out = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    let mut text = lines.join("\n");
    if left_out > 0 {
        text.push_str(&format!("\n({left_out} more lines)"));
    }
    if cut_off {
        text.push_str("\n(the texts go on, and were compared no further)");
    }
    text
}

/// Both texts without the lines at their beginning that are the same, but for a few; of long ones that differ
/// throughout only so much as can be compared at once. Whether anything was cut off their ends.
fn beginning<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str, bool) {
    let same =
        one.split_inclusive('\n').zip(other.split_inclusive('\n')).take_while(|(one, other)| one == other);
    let same: Vec<usize> = same.map(|(line, _)| line.len()).collect();
    let skipped: usize = same.iter().take(same.len().saturating_sub(MOST_SAME)).sum();
    let head = |text: &'a str| {
        let rest = text.get(skipped..).unwrap_or_default();
        let end: usize = rest.split_inclusive('\n').take(MOST_COMPARED).map(str::len).sum();
        (rest.get(..end).unwrap_or_default(), end < rest.len())
    };
    let ((one, one_cut), (other, other_cut)) = (head(one), head(other));
    (one, other, one_cut || other_cut)
}

/// A line of an expected text that covers what was seen, or one that was seen and that none covers.
pub(super) enum Side<'a> {
    Pattern(Line<'a>),
    Seen(&'a str),
}

/// The seen text with every line that a pattern covers put as that pattern, so that only real differences are left.
fn aligned(expected: &str, seen: &str, names: &Redactions) -> String {
    let Some(sides) = alignment(expected, seen, names) else { return seen.to_owned() };
    let mut out = String::new();
    for side in &sides {
        out.push_str(match side {
            Side::Pattern(pattern) => pattern.written(),
            Side::Seen(line) => line,
        });
        out.push('\n');
    }
    out
}

/// Which lines cover which, with as few left over as can be; `None`: there are too many to find out.
pub(super) fn alignment<'a>(
    expected: &'a str,
    seen: &'a str,
    names: &'a Redactions,
) -> Option<Vec<Side<'a>>> {
    let patterns = line::lines(expected, names);
    let lines: Vec<&str> = seen.lines().collect();
    let (rows, columns) = (patterns.len() + 1, lines.len() + 1);
    if rows.saturating_mul(columns) > MOST_PAIRS || rows.saturating_mul(seen.len()) > MOST_BYTES {
        return None;
    }
    let captured = captured_first(&patterns, &lines);
    let alike = |pattern: &Line<'_>, line: &str| pattern.fits(line, &captured).is_some();
    // cost[p][l]: how many lines differ at least, from pattern p and line l to the end.
    let mut cost = vec![0_u32; rows * columns];
    let at = |pattern: usize, line: usize| pattern * columns + line;
    for pattern in (0..rows).rev() {
        for line in (0..columns).rev() {
            let gap = patterns.get(pattern).is_some_and(Line::is_any_lines);
            let step = u32::from(!gap);
            let mut best = if pattern + 1 == rows && line + 1 == columns { 0 } else { u32::MAX };
            if pattern + 1 < rows {
                best = best.min(cost[at(pattern + 1, line)] + step);
            }
            if line + 1 < columns {
                best = best.min(cost[at(pattern, line + 1)] + step);
            }
            if !gap && pattern + 1 < rows && line + 1 < columns {
                let differs = u32::from(!alike(&patterns[pattern], lines[line]));
                best = best.min(cost[at(pattern + 1, line + 1)] + differs);
            }
            cost[at(pattern, line)] = best;
        }
    }
    let mut sides = Vec::new();
    let (mut pattern, mut line) = (0, 0);
    let mut rest = Vec::new();
    while pattern + 1 < rows || line + 1 < columns {
        let here = cost[at(pattern, line)];
        let gap = patterns.get(pattern).is_some_and(Line::is_any_lines);
        let pair = (!gap && pattern + 1 < rows && line + 1 < columns)
            .then(|| alike(&patterns[pattern], lines[line]))
            .filter(|alike| here == cost[at(pattern + 1, line + 1)] + u32::from(!alike));
        if let Some(alike) = pair {
            rest.push(if alike { Err(pattern) } else { Ok(lines[line]) });
            pattern += 1;
            line += 1;
        } else if pattern + 1 < rows && here == cost[at(pattern + 1, line)] + u32::from(!gap) {
            if gap {
                rest.push(Err(pattern));
            }
            pattern += 1;
        } else {
            if !gap {
                rest.push(Ok(lines[line]));
            }
            line += 1;
        }
    }
    let mut patterns: Vec<Option<Line<'a>>> = patterns.into_iter().map(Some).collect();
    for side in rest {
        match side {
            Ok(line) => sides.push(Side::Seen(line)),
            Err(place) => sides.extend(patterns.get_mut(place).and_then(Option::take).map(Side::Pattern)),
        }
    }
    Some(sides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_a_pattern_covers_are_no_difference() {
        let text = diff(
            "rows: 1\ntook [..] ms\n...\nend\n",
            "rows: 2\ntook 7 ms\na\nb\nend\n",
            Some(Redactions::none()),
        );
        assert!(text.starts_with("-rows: 1\n+rows: 2\n"), "{text}");
        assert!(text.contains("\n took [..] ms\n") && !text.contains("took 7"), "{text}");
        assert!(text.ends_with("\n ..."), "{text}");
    }

    #[test]
    fn a_long_difference_is_cut() {
        let text = diff("", &"x\n".repeat(500), Some(Redactions::none()));
        assert_eq!(text.lines().count(), MOST_LINES + 1);
        assert!(text.ends_with("more lines)"));
    }

    #[test]
    fn a_difference_of_many_lines_is_found_soon() {
        let lines =
            |first: usize| (first..first + 200_000).map(|line| format!("{line}\n")).collect::<String>();
        let text = diff(&lines(0), &lines(1_000_000), None);
        assert!(text.ends_with("compared no further)") && text.lines().count() == MOST_LINES + 2, "{text}");
        // What is the same before it does not hide it.
        let (one, other) = (format!("{}a\n", lines(0)), format!("{}b\n", lines(0)));
        assert_eq!(diff(&one, &other, None).lines().last(), Some("+b"));
        let wide = diff("a\n", &format!("{}\n", "b".repeat(1 << 20)), Some(Redactions::none()));
        assert!(wide.len() < 1000, "{} bytes", wide.len());
    }
}
