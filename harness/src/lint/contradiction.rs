//! A `never` that another line contradicts.
#![forbid(unsafe_code)]

use super::{Lint, Warning};
use crate::scenario::Scenario;
use crate::scenario::expect::{Glob, VerdictPattern, VerdictWord};
use crate::scenario::inject::Answer;
use crate::scenario::place::YamlPath;

pub(super) fn look(scenario: &Scenario, found: &mut Vec<Warning>) {
    let verdicts = &scenario.expect.verdicts;
    let at = YamlPath::from(["expect", "verdicts"]);
    for (nth, never) in verdicts.never.iter().enumerate() {
        let listed = verdicts.listed().filter(|(_, _, wanted)| {
            wanted.times.is_none_or(|times| times.least > 0) && covers(never, wanted)
        });
        let listed = listed.map(|(list, place, _)| (at.key(list).index(place), "this must be seen"));
        let injected = scenario.inject.iter().enumerate().filter_map(|(place, injection)| {
            let answered = answered(never, &injection.answer) && injection.times.least > 0;
            let at = YamlPath::from(["inject"]).index(place);
            (answered && covers_call(never, &injection.pattern))
                .then_some((at, "this must answer such a call"))
        });
        if let Some((other, label)) = listed.chain(injected).next() {
            let at = at.key("never").index(nth);
            let warning = Warning::new(Lint::Contradiction, at, "no run can meet both of these lines");
            found.push(
                warning
                    .label("this must not be seen")
                    .other(other, label)
                    .help("one of them has to go, or to say more"),
            );
        }
    }
}

/// Whether the verdict of such an answer is one that must not be.
fn answered(never: &VerdictPattern, answer: &Answer) -> bool {
    let word = match answer {
        Answer::Errno(_) => Some(VerdictWord::Deny),
        Answer::Kill(_) => Some(VerdictWord::Kill),
        Answer::Hold => Some(VerdictWord::Hold),
        _ => None,
    };
    let plain =
        never.errno.is_none() && never.by.is_none() && never.result.is_none() && never.known.is_none();
    plain
        && never.pid.is_none()
        && never.exe.is_none()
        && never.verdict.is_none_or(|never| Some(never) == word)
}

/// Whether whatever is like `wanted` is like `never`.
fn covers(never: &VerdictPattern, wanted: &VerdictPattern) -> bool {
    fn within<T: PartialEq>(never: &Option<T>, wanted: &Option<T>) -> bool {
        never.is_none() || never == wanted
    }
    let result = never.result.is_none() || shown(&never.result) == shown(&wanted.result);
    covers_call(never, wanted)
        && within(&never.verdict, &wanted.verdict)
        && within(&never.errno.map(|errno| errno.0), &wanted.errno.map(|errno| errno.0))
        && within(&never.by, &wanted.by)
        && within(&never.pid, &wanted.pid)
        && within(&never.known.map(|known| known.0), &wanted.known.map(|known| known.0))
        && glob_within(&never.exe, &wanted.exe)
        && result
}

/// As [`covers`], of the call alone.
fn covers_call(never: &VerdictPattern, wanted: &VerdictPattern) -> bool {
    let calls = match (&never.call, &wanted.call) {
        (None, _) => true,
        (Some(never), Some(wanted)) => wanted.calls().iter().all(|call| never.calls().contains(call)),
        (Some(_), None) => false,
    };
    let args = never.args.iter().all(|(name, value)| {
        wanted.args.get(name).is_some_and(|other| other.to_string() == value.to_string())
    });
    calls
        && args
        && glob_within(&never.path, &wanted.path)
        && (never.to.is_none() || shown(&never.to) == shown(&wanted.to))
        && (never.flags.is_none() || never.flags == wanted.flags)
}

fn shown<T: ToString>(value: &Option<T>) -> Option<String> {
    value.as_ref().map(ToString::to_string)
}

/// Whether all that `wanted` matches is matched by `never`, as far as their texts tell.
fn glob_within(never: &Option<Glob>, wanted: &Option<Glob>) -> bool {
    match (never, wanted) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(never), Some(wanted)) => {
            let text = wanted.as_str();
            let plain = !text.contains(['*', '?', '[', '{', '\\']);
            never.as_str() == text || plain && never.matches(text.as_bytes())
        }
    }
}
