//! What an expectation would have to say for what was seen to be right.
//!
//! It proposes values. Whether one may be taken is not decided here, and nothing is written.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use assize_core::Verdict;
use assize_core::trace::{Action, Arg, Origin};

use super::diff::{Side, alignment};
use super::exhaustive::unlisted;
use super::verdict::{Difference, differences, distance, errno, matches};
use super::{Observation, inject, line, verdicts};
use crate::record::yaml;
use crate::scenario::expect::{
    ArgPattern, KnownPattern, Redactions, ResultPattern, VerdictPattern, VerdictWord, Verdicts,
};

/// The expected text in which each line that covers what was seen stays, and the others are as they were seen. `None`:
/// there are too many lines to find out which is which.
pub(crate) fn text(expected: &str, seen: &str, names: &Redactions) -> Option<String> {
    let sides = alignment(expected, seen, names)?;
    let mut captured = BTreeSet::new();
    let mut lines = Vec::with_capacity(sides.len());
    for side in &sides {
        match side {
            Side::Pattern(pattern) => {
                captured.extend(pattern.captures());
                lines.push(pattern.written().to_owned());
            }
            Side::Seen(line) => lines.push(line::escaped(line, names, &captured)),
        }
    }
    let mut out = lines.join("\n");
    // Whether the last line ends does not matter to the expectation: it stays as it was written.
    let ended = if expected.is_empty() { seen.ends_with('\n') } else { expected.ends_with('\n') };
    if ended && !lines.is_empty() {
        out.push('\n');
    }
    Some(out)
}

/// Why a pattern can't be made to fit what was seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPattern {
    /// Nothing of the kind was called.
    #[error("no such call was made, and which one is meant now can't be told")]
    NeverCalled,
    /// More differs than the outcome, or than one thing that was asked: another call, perhaps, than the one that is meant.
    #[error("the nearest verdict differs in more than its outcome ({}): it may be about something else", .0.join(", "))]
    Another(Vec<String>),
    /// Several verdicts come as near, and they differ.
    #[error("several verdicts come as near, and differ in {0} ways")]
    Several(usize),
    /// What was seen can't be written as the value of this key.
    #[error("what was seen can't be written as the value of `{0}`")]
    NoValue(String),
    /// A denial is wanted, and the call was not denied.
    #[error("a call that was to be denied was let through; `--also allowed` takes it all the same")]
    NotDenied,
    /// A failure is wanted, and the call succeeded.
    #[error("a call that was to fail succeeded; `--also allowed` takes it all the same")]
    NotFailed,
}

/// The outcome of a call, not what was asked.
const OUTCOME: [&str; 5] = ["verdict", "errno", "by", "result", "known"];

/// For each key in which the nearest verdict is not like the pattern, the value with which it would be.
pub(crate) fn pattern(
    pattern: &VerdictPattern,
    seen: &Observation,
    allowed: bool,
) -> Result<Vec<(String, String)>, NoPattern> {
    let hits = verdicts(&seen.events).filter(|(_, verdict)| matches(pattern, verdict, seen)).count();
    if hits > 0 {
        return Ok(vec![("times".to_owned(), hits.to_string())]);
    }
    let scored: Vec<(Vec<Difference>, &Verdict)> =
        verdicts(&seen.events).map(|(_, verdict)| (differences(pattern, verdict, seen), verdict)).collect();
    let Some(least) = scored.iter().map(|(differences, _)| distance(differences)).min() else {
        return Err(NoPattern::NeverCalled);
    };
    let mut found: Option<Vec<(String, String)>> = None;
    let mut several = BTreeSet::new();
    for (differences, verdict) in scored.iter().filter(|(differences, _)| distance(differences) == least) {
        let keys: Vec<&str> = differences.iter().map(|difference| difference.key.as_str()).collect();
        if keys.contains(&"call") {
            return Err(NoPattern::NeverCalled);
        }
        if keys.len() > 1 && !keys.iter().all(|key| OUTCOME.contains(key)) {
            return Err(NoPattern::Another(keys.iter().map(|key| (*key).to_owned()).collect()));
        }
        let denial = pattern.verdict == Some(VerdictWord::Deny) || pattern.errno.is_some();
        if denial && !allowed && !matches!(verdict.action, Action::Deny(_)) && keys.contains(&"verdict") {
            return Err(NoPattern::NotDenied);
        }
        let failure = pattern.errno.is_some() || matches!(pattern.result, Some(ResultPattern::Error(_)));
        if failure && !allowed && verdict.result.is_some_and(|result| result >= 0) {
            return Err(NoPattern::NotFailed);
        }
        let value = |key: &str| {
            let value = value(key, pattern, verdict, seen);
            value.map(|value| (key.to_owned(), value)).ok_or_else(|| NoPattern::NoValue(key.to_owned()))
        };
        let values = keys.iter().map(|key| value(key)).collect::<Result<Vec<_>, _>>()?;
        several.insert(values.clone());
        found.get_or_insert(values);
    }
    match (several.len(), found) {
        (1, Some(values)) => Ok(values),
        (count, _) => Err(NoPattern::Several(count)),
    }
}

/// A line for each verdict that `exhaustive` wants listed and that isn't. `None`: one of them can't be written.
pub(crate) fn missing(wanted: &Verdicts, seen: &Observation) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    for (_, verdict) in unlisted(wanted, seen) {
        let mut parts = vec![format!("call: {}", verdict.call)];
        if verdict.args.paths().next().is_some() {
            let path = verdict.args.paths().find_map(|path| path_text(path.as_bytes(), seen))?;
            parts.push(format!("path: {}", yaml::scalar(&path)));
        }
        parts.push(format!("verdict: {}", verdict.action.word()));
        if let (Action::Deny(_), Some(errno)) = (verdict.action, errno(verdict)) {
            parts.push(format!("errno: {errno}"));
        }
        parts.push(format!("by: {}", by(&verdict.by)));
        let line = format!("{{ {} }}", parts.join(", "));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    Some(lines)
}

fn value(key: &str, pattern: &VerdictPattern, verdict: &Verdict, seen: &Observation) -> Option<String> {
    match key {
        "path" => {
            let paths: BTreeSet<_> = verdict.args.paths().map(|path| path.as_bytes()).collect();
            if paths.len() == 1 { paths.first().and_then(|path| path_text(path, seen)) } else { None }
        }
        "to" => verdict.args.0.iter().find_map(|(_, arg)| match arg {
            Arg::Address(address) => Some(address.clone()),
            _ => None,
        }),
        "flags" => verdict.args.0.iter().find_map(|(_, arg)| match arg {
            Arg::Flags(_, names) => Some(names.clone()),
            _ => None,
        }),
        "verdict" => Some(verdict.action.word().to_owned()),
        "errno" => errno(verdict).map(|errno| errno.to_string()),
        "by" => Some(by(&verdict.by)),
        "pid" => verdict.place.as_ref().map(ToString::to_string),
        "exe" => verdict.exe.as_ref().and_then(|exe| path_text(exe.as_bytes(), seen)),
        "result" => match (pattern.result, errno(verdict)) {
            (Some(ResultPattern::Error(_)), Some(errno)) => Some(errno.to_string()),
            _ => verdict.result.map(|result| result.to_string()),
        },
        "known" => Some(KnownPattern::word(verdict.known).to_owned()),
        key => {
            let name = key.strip_prefix("args.")?;
            let arg = verdict.args.get(name)?;
            let number = matches!(pattern.args.get(name), Some(ArgPattern::Number(_)));
            match arg {
                Arg::Pointer(_) => None,
                Arg::Path(text) | Arg::Text(text) => {
                    std::str::from_utf8(text.as_bytes()).ok().map(escaped_glob)
                }
                Arg::Mode(mode) if number => Some(format!("0o{mode:o}")),
                Arg::Flags(bits, _) if number => Some(format!("0x{bits:x}")),
                Arg::Fd(fd) if number => Some(fd.to_string()),
                other => Some(escaped_glob(&other.to_string())),
            }
        }
    }
}

/// Who decided, as a pattern says it.
fn by(by: &Origin) -> String {
    match by {
        by if inject::has_made(by) => inject::NAME.to_owned(),
        Origin::Rule { capability, .. } => capability.clone().into_owned(),
        Origin::Handler(_) | Origin::Named(_) => "handler".to_owned(),
        Origin::Landlock => "landlock".to_owned(),
        Origin::Kernel => "kernel".to_owned(),
        Origin::Supervisor(_) => "supervisor".to_owned(),
    }
}

/// A glob that matches this path alone; `None`: it is no text.
fn path_text(path: &[u8], seen: &Observation) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let inside = seen.work.to_str().and_then(|work| text.strip_prefix(work));
    Some(match inside {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("$WORK{}", escaped_glob(rest)),
        _ => escaped_glob(text),
    })
}

fn escaped_glob(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "*?[]{}\\".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_still_cover_what_was_seen_stay() {
        let names = Redactions::none();
        let made = |expected: &str, seen: &str| text(expected, seen, names).unwrap();
        assert_eq!(
            made("rows: 1\ntook [..] ms\n...\nend\n", "rows: 2\ntook 7 ms\na\nend\n"),
            "rows: 2\ntook [..] ms\n...\nend\n"
        );
        assert_eq!(made("x [N=..]\n[N] y\nz", "x 5\n5 y\nw\n"), "x [N=..]\n[N] y\nw");
        assert_eq!(made("", "a\n"), "a\n");
        assert_eq!(made("a\n", ""), "");
    }

    #[test]
    fn what_was_seen_stands_for_itself_alone() {
        let names = Redactions::none();
        for seen in ["[..]", "...", "a \\[..] b", "[PID]", "[INFO]", "\\ [x=..] [X=..]", "  ..."] {
            let made = text("other\n", &format!("{seen}\n"), names).unwrap();
            let expect = crate::scenario::expect::TextPattern::Whole(made.clone());
            let judged =
                |text: &str| super::super::text::judge(&expect, text, "x", &Default::default(), names).len();
            assert_eq!((judged(seen), judged("something else")), (0, 1), "{seen} {made}");
        }
    }
}
