//! A value written anew, in the style in which it stands, with as many of its bytes as still hold.
//!
//! Each way to write it is a proposal: whoever puts one into a file reads it back before it is believed.
#![forbid(unsafe_code)]

use std::ops::Range;

use saphyr_parser::ScalarStyle;
use similar::DiffOp;

use super::source::{Found, Kind};
use crate::record::yaml;

/// A piece of a file, and what is to stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) span: Range<usize>,
    pub(super) text: String,
}

/// The ways to write `new` where a scalar stands, the nearest to how it is written first.
pub(super) fn proposals(file: &str, found: &Found<'_>, new: &str, word: bool) -> Vec<Edit> {
    let Kind::Scalar { text: old, style } = &found.part.kind else { return Vec::new() };
    let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
    let block = if block { Block::of(file, found, old) } else { None };
    let span = block.as_ref().map_or(found.part.span.clone(), |block| block.span.clone());
    let lines = new.trim_end_matches('\n').contains('\n');
    let fresh = || (!found.flow && lines).then(|| Block::fresh(file, found)).flatten()?.literal(new);
    // Behind a tag even a number is text.
    let same = || if new == old { file.get(span.clone()).map(str::to_owned) } else { None };
    let behind = block.as_ref().map_or("", |block| &block.behind);
    let double = || Some(yaml::quoted(new) + behind);
    let texts: Vec<Option<String>> = match style {
        ScalarStyle::Plain => vec![same(), plain(new, found.flow, word), fresh(), double()],
        ScalarStyle::SingleQuoted => vec![single(new), double()],
        ScalarStyle::DoubleQuoted => vec![double()],
        ScalarStyle::Literal => vec![block.as_ref().and_then(|block| block.literal(new)), double()],
        ScalarStyle::Folded => vec![
            block.as_ref().and_then(|block| block.folded(new)),
            block.as_ref().and_then(|block| block.literal(new)),
            double(),
        ],
    };
    texts.into_iter().flatten().map(|text| Edit { span: span.clone(), text }).collect()
}

/// Without quotes. `word`: it may be a number, or anything else that is no text to YAML.
fn plain(text: &str, flow: bool, word: bool) -> Option<String> {
    let first = |c: char| c.is_alphanumeric() || "_./$(+".contains(c) || word && "-<>=".contains(c);
    let special = |c: char| c.is_control() || flow && ",[]{}:".contains(c);
    let good = text.starts_with(first)
        && !text.ends_with([' ', ':'])
        && !text.contains(special)
        && !text.contains(": ")
        && !text.contains(" #");
    let is_text =
        || matches!(serde_yaml::from_str(text), Ok(serde_yaml::Value::String(read)) if read == text);
    (good && (word || is_text())).then(|| text.to_owned())
}

fn single(text: &str) -> Option<String> {
    (!text.contains(char::is_control)).then(|| format!("'{}'", text.replace('\'', "''")))
}

/// A block scalar.
struct Block {
    /// From its `|` or `>` to the end of its last line, without what ends that.
    span: Range<usize>,
    style: char,
    digit: bool,
    keeps: bool,
    /// Its indicators, as they are written.
    indicators: String,
    /// What stands behind the indicators: a comment.
    behind: String,
    /// How deep it is indented, and the map that it stands in.
    indent: usize,
    around: usize,
    /// How its lines end.
    ending: &'static str,
    /// Its lines as they are written, and as they are read.
    raw: Vec<String>,
    lines: Vec<String>,
}

impl Block {
    /// The one that stands here.
    fn of(file: &str, found: &Found<'_>, text: &str) -> Option<Self> {
        let key = found.key?;
        let mut at = key.span.end;
        at += file.get(at..)?.find(':')? + 1;
        // What may stand before it: white space, an anchor, a tag.
        loop {
            let rest = file.get(at..)?;
            match rest.chars().next()? {
                '|' | '>' => break,
                '&' | '!' => at += rest.find(char::is_whitespace)?,
                c if c.is_whitespace() => at += c.len_utf8(),
                '#' => at += rest.find('\n')?,
                _ => return None,
            }
        }
        let head_end = file.get(at..)?.find('\n').map_or(file.len(), |end| at + end);
        let ending = if file.get(at..head_end)?.ends_with('\r') { "\r\n" } else { "\n" };
        let head = file.get(at..head_end)?.trim_end_matches('\r');
        let style = head.chars().next()?;
        let indicators = head.find(char::is_whitespace).unwrap_or(head.len());
        let (indicators, behind) = head.split_at(indicators);
        let digit =
            indicators.chars().find_map(|c| c.to_digit(10)).and_then(|digit| usize::try_from(digit).ok());
        let body = file.get((head_end + 1).min(file.len())..)?;
        let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let blank = |line: &str| line.trim_matches([' ', '\r', '\n']).is_empty();
        let first = body.split_inclusive('\n').find(|line| !blank(line)).map(depth);
        let indent = match digit {
            Some(digit) => key.column + digit,
            None => first.filter(|first| *first > key.column).unwrap_or(key.column + 2),
        };
        let mut raw: Vec<&str> =
            body.split_inclusive('\n').take_while(|line| blank(line) || depth(line) >= indent).collect();
        let keeps = indicators.contains('+');
        while !keeps && raw.last().is_some_and(|line| blank(line) && depth(line) <= indent) {
            raw.pop();
        }
        let size: usize = raw.iter().map(|line| line.len()).sum();
        let end = if size == 0 {
            at + head.len()
        } else {
            let whole = file.get(..head_end + 1 + size)?;
            let whole = whole.strip_suffix('\n').unwrap_or(whole);
            whole.strip_suffix('\r').unwrap_or(whole).len()
        };
        let strip = |line: &&str| {
            let line = line.strip_suffix('\n').unwrap_or(line);
            line.strip_suffix('\r').unwrap_or(line).to_owned()
        };
        Some(Self {
            span: at..end,
            style,
            digit: digit.is_some(),
            keeps,
            indicators: indicators.to_owned(),
            behind: behind.to_owned(),
            indent,
            around: key.column,
            ending,
            raw: raw.iter().map(strip).collect(),
            lines: text.strip_suffix('\n').unwrap_or(text).split('\n').map(str::to_owned).collect(),
        })
    }

    /// One where none stands yet.
    fn fresh(file: &str, found: &Found<'_>) -> Option<Self> {
        let key = found.key?;
        let before = file.get(..key.span.start)?;
        Some(Self {
            span: found.part.span.clone(),
            style: '|',
            digit: false,
            keeps: false,
            indicators: String::new(),
            behind: String::new(),
            indent: key.column + 2,
            around: key.column,
            ending: if before.ends_with("\r\n") || file.contains("\r\n") { "\r\n" } else { "\n" },
            raw: Vec::new(),
            lines: Vec::new(),
        })
    }

    fn head(&self, style: char, new: &str, body: &str) -> Option<String> {
        let mut head = String::from(style);
        let spaced = body.split('\n').find(|line| !line.is_empty())?.starts_with(' ');
        if self.digit || spaced {
            let digit = self.indent.checked_sub(self.around).filter(|digit| (1..=9).contains(digit))?;
            head.push_str(&digit.to_string());
        }
        if !new.ends_with('\n') {
            head.push('-');
        } else if self.keeps || new.ends_with("\n\n") {
            head.push('+');
        }
        let sorted = |indicators: &str| {
            let mut all: Vec<char> = indicators.chars().collect();
            all.sort_unstable();
            all
        };
        // `|-2` is `|2-`.
        let head = if sorted(&head) == sorted(&self.indicators) { &self.indicators } else { &head };
        Some(format!("{head}{}", self.behind))
    }

    fn is_shown(text: &str) -> bool {
        let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        !text.contains(odd) && !text.contains(['\u{feff}', '\u{2028}', '\u{2029}'])
    }

    /// Line by line. Those that stay keep their bytes.
    fn literal(&self, new: &str) -> Option<String> {
        let body = new.strip_suffix('\n').unwrap_or(new);
        if !Self::is_shown(new) {
            return None;
        }
        let mut out = self.head('|', new, body)?;
        let lines: Vec<&str> = body.split('\n').collect();
        let kept = self.style == '|' && self.raw.len() == self.lines.len();
        for (nth, line) in self.kept(kept, &self.raw, &lines).into_iter().enumerate() {
            out.push_str(self.ending);
            out.push_str(&line.unwrap_or_else(|| self.indented(lines.get(nth).copied().unwrap_or_default())));
        }
        Some(out)
    }

    /// As one paragraph for each line. Those that stay keep their bytes, however they are folded.
    fn folded(&self, new: &str) -> Option<String> {
        let body = new.strip_suffix('\n').unwrap_or(new);
        let lines: Vec<&str> = body.split('\n').collect();
        if !Self::is_shown(new) || lines.iter().any(|line| line.is_empty() || line.starts_with([' ', '\t'])) {
            return None;
        }
        let mut out = self.head('>', new, body)?;
        let mut groups: Vec<String> = vec![String::new()];
        let mut simple = true;
        for line in &self.raw {
            let last = groups.last_mut()?;
            if line.is_empty() {
                simple &= !last.is_empty();
                groups.push(String::new());
            } else {
                if !last.is_empty() {
                    last.push_str(self.ending);
                }
                last.push_str(line);
            }
        }
        let kept = simple && groups.len() == self.lines.len();
        for (nth, line) in self.kept(kept, &groups, &lines).into_iter().enumerate() {
            out.push_str(self.ending);
            if nth > 0 {
                out.push_str(self.ending);
            }
            out.push_str(&line.unwrap_or_else(|| self.indented(lines.get(nth).copied().unwrap_or_default())));
        }
        Some(out)
    }

    fn indented(&self, line: &str) -> String {
        if line.is_empty() { String::new() } else { format!("{}{line}", " ".repeat(self.indent)) }
    }

    /// For each new line the bytes of the old one that it is, if it is one.
    fn kept(&self, usable: bool, raw: &[String], new: &[&str]) -> Vec<Option<String>> {
        let mut out = vec![None; new.len()];
        if !usable {
            return out;
        }
        let old: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        for op in similar::capture_diff_slices(similar::Algorithm::Myers, &old, new) {
            if let DiffOp::Equal { old_index, new_index, len } = op {
                for nth in 0..len {
                    if let (Some(place), Some(line)) =
                        (out.get_mut(new_index + nth), raw.get(old_index + nth))
                    {
                        *place = Some(line.clone());
                    }
                }
            }
        }
        out
    }
}
