//! The lines of a file that a finding is about, with the piece that wanted it marked.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::escape::text;
use crate::diagnostic::Diagnostic;
use crate::scenario::place::Span;

/// Lines around a marked one that are shown.
const AROUND: usize = 2;

/// A piece that is marked on its line.
struct Mark<'a> {
    span: Span,
    says: &'a str,
    kind: &'static str,
}

/// The figure of a finding.
pub(super) fn of(finding: &Diagnostic) -> String {
    let file = text(&finding.file.to_string_lossy());
    let Some(span) = finding.span else {
        return format!("<figure><figcaption>{file}</figcaption></figure>\n");
    };
    let mut shown = format!("<figure><figcaption>{file}:{}:{}</figcaption>\n", span.line, span.column);
    let mut marks: BTreeMap<usize, Vec<Mark<'_>>> = BTreeMap::new();
    let others = finding.others.iter().map(|(span, says)| Mark { span: *span, says, kind: "other" });
    let first = Mark { span, says: &finding.label, kind: "hit" };
    for mark in std::iter::once(first).chain(others) {
        marks.entry(mark.span.line).or_default().push(mark);
    }
    let mut start = 0;
    let mut last = 0;
    for (line, number) in finding.source.split_inclusive('\n').zip(1_usize..) {
        let from = start;
        start += line.len();
        let near = marks.range(number.saturating_sub(AROUND)..=number + AROUND).next().is_some();
        if !near {
            continue;
        }
        if last > 0 && number > last + 1 {
            shown.push_str("<div class=\"gap\">⋯</div>\n");
        }
        last = number;
        let none = Vec::new();
        let here = marks.get(&number).unwrap_or(&none);
        push(&mut shown, line.trim_end_matches(['\n', '\r']), from, number, here);
    }
    shown.push_str("</figure>\n");
    shown
}

/// One line, and below it what is to be said of its pieces.
fn push(shown: &mut String, line: &str, start: usize, number: usize, marks: &[Mark<'_>]) {
    let kind = marks.iter().map(|mark| mark.kind).next().map(|kind| format!(" {kind}")).unwrap_or_default();
    // Writing to a string does not fail.
    let _ = write!(shown, "<div class=\"l{kind}\"><span>{number}</span><code>");
    let mut ordered: Vec<&Mark<'_>> = marks.iter().collect();
    ordered.sort_by_key(|mark| mark.span.start);
    let mut done = 0;
    for mark in ordered {
        let from = mark.span.start.saturating_sub(start).max(done);
        let to = mark.span.end.saturating_sub(start).min(line.len());
        let (Some(before), Some(piece)) = (line.get(done..from), line.get(from..to)) else { continue };
        if !piece.is_empty() {
            let _ = write!(shown, "{}<mark>{}</mark>", text(before), text(piece));
            done = to;
        }
    }
    let _ = writeln!(shown, "{}</code></div>", text(line.get(done..).unwrap_or_default()));
    for mark in marks.iter().filter(|mark| !mark.says.is_empty()) {
        let other = if mark.kind == "other" { " other" } else { "" };
        let _ = writeln!(shown, "<div class=\"says{other}\">{}</div>", text(mark.says));
    }
}
