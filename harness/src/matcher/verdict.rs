//! Verdicts against patterns: `sees`, `order` and `never`.
#![forbid(unsafe_code)]

use std::cmp::Reverse;

use assize_core::trace::{Action, Arg, Args, Body, BytesText, Known, Origin};
use assize_core::{Errno, Syscall, Verdict};

use super::{Finding, Observation, advice, inject, shown, verdicts};
use crate::scenario::expect::{
    ArgPattern, ByPattern, Glob, KnownPattern, Range, ResultPattern, VerdictPattern, VerdictWord, Verdicts,
};
use crate::scenario::place::YamlPath;

/// Where a verdict is not like a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) key: String,
    pub(super) wanted: String,
    pub(super) saw: String,
}

/// Whether a verdict is like a pattern.
pub(super) fn matches(pattern: &VerdictPattern, verdict: &Verdict, seen: &Observation) -> bool {
    differences(pattern, verdict, seen).is_empty()
}

/// Whether a call is like a pattern in what it asks for. `leads_to`: what its paths mean, besides what they say.
pub(crate) fn asks_for(
    pattern: &VerdictPattern,
    call: Syscall,
    args: &Args,
    leads_to: &[BytesText],
    work: &[u8],
) -> bool {
    asked_otherwise(pattern, call, args, leads_to, work).is_empty()
}

/// Everything in which a call is not like a pattern in what it asks for.
fn asked_otherwise(
    pattern: &VerdictPattern,
    call: Syscall,
    args: &Args,
    leads_to: &[BytesText],
    work: &[u8],
) -> Vec<Difference> {
    let mut list = Vec::new();
    let mut differs = |key: &str, wanted: String, saw: String| {
        list.push(Difference { key: key.to_owned(), wanted, saw });
    };
    if let Some(wanted) = pattern.call.as_ref().filter(|wanted| !wanted.calls().contains(&call)) {
        differs("call", wanted.to_string(), call.to_string());
    }
    if let Some(glob) = &pattern.path {
        let paths = || args.paths().chain(leads_to);
        if !paths().any(|path| glob.matches_path(path.as_bytes(), work)) {
            let mut saw: Vec<String> = paths().map(|path| format!("{path:?}")).collect();
            // Mostly a path leads to what it says.
            saw.dedup();
            differs(
                "path",
                glob.to_string(),
                if saw.is_empty() { "no path".to_owned() } else { saw.join(", ") },
            );
        }
    }
    if let Some(to) = &pattern.to {
        let address = args.0.iter().find_map(|(_, arg)| match arg {
            Arg::Address(address) => Some(address),
            _ => None,
        });
        if !address.is_some_and(|address| to.matches(address)) {
            differs("to", to.to_string(), address.cloned().unwrap_or_else(|| "no address".to_owned()));
        }
    }
    if let Some(flags) = &pattern.flags {
        let mut names = args.0.iter().filter_map(|(_, arg)| match arg {
            Arg::Flags(_, names) => Some(names),
            _ => None,
        });
        if !names.clone().any(|names| flags.matches(names)) {
            differs(
                "flags",
                flags.to_string(),
                names.next().cloned().unwrap_or_else(|| "no flags".to_owned()),
            );
        }
    }
    for (name, wanted) in &pattern.args {
        let arg = args.get(name);
        if !arg.is_some_and(|arg| arg_matches(wanted, arg)) {
            let saw = arg.map_or_else(|| "no such argument".to_owned(), ToString::to_string);
            differs(&format!("args.{name}"), wanted.to_string(), saw);
        }
    }
    list
}

/// Everything in which a verdict is not like a pattern.
pub(super) fn differences(
    pattern: &VerdictPattern,
    verdict: &Verdict,
    seen: &Observation,
) -> Vec<Difference> {
    let mut list =
        asked_otherwise(pattern, verdict.call, &verdict.args, verdict.target.as_slice(), seen.work());
    let mut differs = |key: &str, wanted: String, saw: String| {
        list.push(Difference { key: key.to_owned(), wanted, saw });
    };
    let unknown = || "unknown".to_owned();
    if let Some(word) = pattern.verdict.filter(|word| word.word() != verdict.action.word()) {
        differs("verdict", word.to_string(), verdict.action.to_string());
    }
    if let Some(wanted) = pattern.errno {
        let errno = errno(verdict);
        if errno != Some(wanted.0) {
            let none = || if is_unknown(verdict) { unknown() } else { "no error".to_owned() };
            differs("errno", wanted.to_string(), errno.map_or_else(none, |errno| errno.to_string()));
        }
    }
    if let Some(by) = pattern.by.as_ref().filter(|by| !by_matches(by, &verdict.by)) {
        differs("by", by.to_string(), verdict.by.to_string());
    }
    if let Some(pid) = pattern.pid.as_ref().filter(|pid| verdict.place.as_ref() != Some(&pid.0)) {
        differs("pid", pid.to_string(), verdict.place.as_ref().map_or_else(unknown, ToString::to_string));
    }
    let runs =
        |glob: &Glob| verdict.exe.as_ref().is_some_and(|exe| glob.matches_path(exe.as_bytes(), seen.work()));
    if let Some(glob) = pattern.exe.as_ref().filter(|glob| !runs(glob)) {
        differs("exe", glob.to_string(), verdict.exe.as_ref().map_or_else(unknown, ToString::to_string));
    }
    if let Some(wanted) = pattern.result {
        let holds = match wanted {
            ResultPattern::Value(range) => verdict.result.is_some_and(|result| range.holds(result)),
            ResultPattern::Error(errno) => verdict.result == Some(-i64::from(errno.value())),
        };
        if !holds {
            differs(
                "result",
                wanted.to_string(),
                verdict.result.map_or_else(unknown, |result| result.to_string()),
            );
        }
    }
    if let Some(known) = pattern.known.filter(|known| known.0 != verdict.known) {
        differs("known", known.to_string(), KnownPattern::word(verdict.known).to_owned());
    }
    list
}

/// The error that the guest got.
pub(super) fn errno(verdict: &Verdict) -> Option<Errno> {
    match (verdict.action, verdict.result) {
        (Action::Deny(errno), _) => Some(errno),
        (_, Some(result @ -4095..=-1)) => i32::try_from(-result).ok().map(Errno::new),
        _ => None,
    }
}

fn arg_matches(wanted: &ArgPattern, arg: &Arg) -> bool {
    match wanted {
        ArgPattern::Number(wanted) => match arg {
            Arg::Int(value) => value == wanted,
            Arg::Fd(fd) => i64::from(*fd) == *wanted,
            Arg::Flags(bits, _) | Arg::Pointer(bits) => bits.cast_signed() == *wanted,
            Arg::Mode(mode) => i64::from(*mode) == *wanted,
            Arg::Path(path) => path.as_bytes() == wanted.to_string().as_bytes(),
            Arg::Text(text) => text.as_bytes() == wanted.to_string().as_bytes(),
            Arg::Address(_) => false,
        },
        ArgPattern::Text(glob) => match arg {
            Arg::Path(text) | Arg::Text(text) => glob.matches(text.as_bytes()),
            other => glob.matches(other.to_string().as_bytes()),
        },
    }
}

fn by_matches(wanted: &ByPattern, by: &Origin) -> bool {
    match (wanted, by) {
        (ByPattern::Capability(name), Origin::Rule { capability, .. }) => name == capability,
        (ByPattern::Inject, by) => inject::has_made(by),
        (ByPattern::Handler(None), by @ Origin::Named(_)) => !inject::has_made(by),
        (ByPattern::Handler(Some(wanted)), Origin::Named(name)) => wanted == name,
        (ByPattern::Handler(None), Origin::Handler(_))
        | (ByPattern::Landlock, Origin::Landlock)
        | (ByPattern::Kernel, Origin::Kernel)
        | (ByPattern::Supervisor, Origin::Supervisor(_)) => true,
        _ => false,
    }
}

/// What `sees`, `order` and `never` miss.
pub(super) fn judge(wanted: &Verdicts, seen: &Observation, at: &YamlPath) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(lost(wanted, seen, at));
    for (nth, pattern) in wanted.sees.iter().enumerate() {
        findings.extend(sees(pattern, seen, &at.key("sees").index(nth)));
    }
    findings.extend(order(&wanted.order, seen, &at.key("order")));
    for (nth, pattern) in wanted.never.iter().enumerate() {
        findings.extend(never(pattern, seen, &at.key("never").index(nth)));
    }
    findings
}

/// A log with gaps proves nothing.
fn lost(wanted: &Verdicts, seen: &Observation, at: &YamlPath) -> Option<Finding> {
    let lost: u64 = seen
        .events
        .iter()
        .map(|event| if let Body::Dropped { count } = event.body { count } else { 0 })
        .sum();
    let asked = wanted.patterns().next().is_some() || wanted.exhaustive.is_some();
    (lost > 0 && asked).then(|| {
        let title = format!("{lost} events were lost: the verdict log has gaps and proves nothing");
        Finding::new(title, at.clone(), "can't be judged")
    })
}

fn sees(pattern: &VerdictPattern, seen: &Observation, at: &YamlPath) -> Option<Finding> {
    let hits = || verdicts(&seen.events).filter(|(_, verdict)| matches(pattern, verdict, seen));
    let count = hits().count();
    let wanted = pattern.times.unwrap_or(Range::SOME);
    if wanted.holds(i64::try_from(count).unwrap_or(i64::MAX)) {
        return None;
    }
    if count == 0 {
        let finding = Finding::new(format!("no verdict matches {pattern}"), at.clone(), "not seen");
        return Some(finding.notes(nearest(pattern, seen)));
    }
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let finding = Finding::new(format!("seen {times}: {pattern}"), at.clone(), format!("{wanted} wanted"));
    Some(finding.notes(first_few(hits())))
}

fn order(patterns: &[VerdictPattern], seen: &Observation, at: &YamlPath) -> Option<Finding> {
    let mut last: Option<(u64, &Verdict)> = None;
    for (nth, pattern) in patterns.iter().enumerate() {
        let after = last.map_or(0, |(seq, _)| seq);
        let mut hits = verdicts(&seen.events).filter(|(_, verdict)| matches(pattern, verdict, seen));
        let early = hits.clone().next();
        if let Some(found) = hits.find(|(seq, _)| *seq > after) {
            last = Some(found);
            continue;
        }
        let title = format!("not in this order: nothing matches {pattern}");
        let mut finding = Finding::new(
            if let Some((seq, _)) = last { format!("{title} after #{seq}") } else { title },
            at.index(nth),
            if early.is_some() { "seen, but earlier" } else { "not seen" },
        );
        if let Some((seq, verdict)) = last {
            finding = finding.note(format!("the pattern before it was met by: {}", shown(seq, verdict)));
        }
        return Some(match early {
            Some((seq, verdict)) => finding.note(format!("seen before that: {}", shown(seq, verdict))),
            None => finding.notes(nearest(pattern, seen)),
        });
    }
    None
}

fn never(pattern: &VerdictPattern, seen: &Observation, at: &YamlPath) -> Option<Finding> {
    let hits = || verdicts(&seen.events).filter(|(_, verdict)| matches(pattern, verdict, seen));
    let count = hits().count();
    if count > 0 {
        let finding =
            Finding::new(format!("seen, and must never be: {pattern}"), at.clone(), format!("seen {count}x"));
        return Some(finding.notes(first_few(hits())));
    }
    let open = || verdicts(&seen.events).filter(|(_, verdict)| may_be_like(pattern, verdict, seen));
    (open().count() > 0).then(|| {
        let title = format!("it can't be told whether this was seen: {pattern}");
        Finding::new(title, at.clone(), "may have been seen")
            .notes(first_few(open()))
            .note("the kernel ran the call, and nobody looked at what came of it")
    })
}

/// Whether nobody knows what came of a call.
fn is_unknown(verdict: &Verdict) -> bool {
    verdict.known == Known::Unknown && verdict.result.is_none() && errno(verdict).is_none()
}

/// Whether a verdict differs in nothing but what came of the call, of which nothing is known.
fn may_be_like(pattern: &VerdictPattern, verdict: &Verdict, seen: &Observation) -> bool {
    let of_it = |difference: &Difference| matches!(difference.key.as_str(), "result" | "errno");
    is_unknown(verdict) && differences(pattern, verdict, seen).iter().all(of_it)
}

fn first_few<'a>(hits: impl Iterator<Item = (u64, &'a Verdict)> + Clone) -> Vec<String> {
    let mut notes: Vec<String> =
        hits.clone().take(3).map(|(seq, verdict)| format!("seen: {}", shown(seq, verdict))).collect();
    let more = hits.skip(3).count();
    if more > 0 {
        notes.push(format!("and {more} more"));
    }
    notes
}

/// How far a verdict is from a pattern. Another call altogether is further than another argument.
pub(super) fn distance(differences: &[Difference]) -> usize {
    let weight = |difference: &Difference| match difference.key.as_str() {
        "call" => 6,
        // The file is what a reader looks for.
        "path" | "to" => 3,
        _ => 2,
    };
    differences.iter().map(weight).sum()
}

/// `path`, or `path` and `errno`.
pub(super) fn keys(differences: &[Difference]) -> String {
    let keys: Vec<String> = differences.iter().map(|difference| format!("`{}`", difference.key)).collect();
    keys.join(" and ")
}

/// What comes nearest to a pattern that nothing matches.
pub(super) fn nearest(pattern: &VerdictPattern, seen: &Observation) -> Vec<String> {
    let all = verdicts(&seen.events);
    let count = all.clone().count();
    let scored = all.map(|(seq, verdict)| (differences(pattern, verdict, seen), seq, verdict));
    // Of several that are as near the last: those before it are the loading of the program.
    let Some((differences, seq, verdict)) =
        scored.min_by_key(|(differences, seq, _)| (distance(differences), Reverse(*seq)))
    else {
        return vec!["no verdict was seen at all".to_owned()];
    };
    if let Some(call) =
        pattern.call.as_ref().filter(|_| differences.iter().any(|difference| difference.key == "call"))
    {
        let others = if count == 1 {
            "the only verdict is".to_owned()
        } else {
            format!("of {count} verdicts, the nearest is")
        };
        return vec![format!("{call} was never called; {others}: {}", shown(seq, verdict))];
    }
    let mut notes = vec![format!("nearest: {}", shown(seq, verdict))];
    for difference in &differences {
        notes.push(format!(
            "it differs in `{}`: {} is wanted, {} was seen",
            difference.key, difference.wanted, difference.saw
        ));
    }
    if pattern.verdict != Some(VerdictWord::Deny) {
        notes.extend(advice::on(verdict, seen));
    }
    notes
}
