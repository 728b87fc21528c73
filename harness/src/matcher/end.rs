//! The end of the command.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use assize_core::Verdict;
use assize_core::outcome::{End, Why};
use assize_core::trace::{Action, Exit};

use super::exhaustive::kind;
use super::{Finding, Observation, advice, shown, text, verdicts, why};
use crate::scenario::expect::{Exits, Expectation, Signal};
use crate::scenario::place::YamlPath;

/// What is wrong with how the command ended.
pub(super) fn judge(expect: &Expectation, seen: &Observation) -> Option<Finding> {
    let default = Exits::default();
    let wanted = expect.exit.as_ref().unwrap_or(&default);
    if wanted.hold(seen.end) {
        return None;
    }
    let title = match seen.end {
        End::Exit(Exit::Code(code)) => format!("the command ended with exit code {code}"),
        End::Exit(Exit::Signal(signal)) => format!("the command was killed by {}", Signal(signal)),
        End::TimedOut(after) => match &seen.why {
            Some(Why::Doing(doing)) => {
                format!("the command was killed by the time limit of {after:?}, while {doing}")
            }
            _ => format!("the command was killed by the time limit of {after:?}"),
        },
        End::Cancelled => "the run was cancelled".to_owned(),
    };
    let label = match &expect.exit {
        Some(wanted) => format!("{wanted} is wanted"),
        None => format!("{wanted} is wanted, where `expect.exit` says nothing else"),
    };
    let finding = Finding::new(title, YamlPath::from(["expect", "exit"]), label);
    Some(finding.notes(killed(seen)).notes(limit(seen)))
}

/// Who set the limit that the command ran into.
fn limit(seen: &Observation) -> Option<String> {
    matches!(seen.end, End::TimedOut(_)).then(|| match seen.granted.said.get(TIMEOUT) {
        Some(at) => format!("`{TIMEOUT}` says how long it may run, at {at}"),
        None => format!("so long a command may run where `{TIMEOUT}` says nothing else"),
    })
}

const TIMEOUT: &str = "policy.limits.timeout";

/// Who killed the command, as far as that is known.
fn killed(seen: &Observation) -> Option<String> {
    let End::Exit(Exit::Signal(signal)) = seen.end else { return None };
    match &seen.why {
        Some(why) => Some(why.to_string()),
        // Nobody followed this one: the kernel says no more.
        None if Signal(signal).to_string() == "SIGSYS" => {
            Some("the filter so kills whoever makes a call of another architecture".to_owned())
        }
        None => None,
    }
}

/// What was seen meanwhile that may explain what is wrong: the end of stderr, and denials.
pub(super) fn meanwhile(expect: &Expectation, seen: &Observation, ended_wrongly: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let stderr = seen.text(&seen.stderr);
    if !stderr.is_empty() {
        // What is wrong with stderr itself has been shown, and what is right with it explains nothing.
        if ended_wrongly || expect.stderr.is_none() {
            notes.push(format!("stderr ended with:\n{}", text::tail(&stderr, 12)));
        }
    } else if ended_wrongly {
        notes.push("stderr was empty".to_owned());
    }
    // A denial that no pattern lists is the likeliest cause of an end that nobody expected.
    let listed = |verdict| {
        expect.verdicts.listed().any(|(.., pattern)| super::verdict::matches(pattern, verdict, seen))
    };
    let denied = verdicts(&seen.events).filter(|(_, verdict)| matches!(verdict.action, Action::Deny(_)));
    let unlisted: Vec<(u64, &Verdict)> = denied.filter(|(_, verdict)| !listed(verdict)).collect();
    // Programs try much on their way and go on without it: what stopped this one is what it names, or among the last, and
    // what was tried again says nothing new.
    let mut known = HashSet::new();
    let mut told: Vec<_> = unlisted.iter().rev().filter(|(_, verdict)| known.insert(kind(verdict))).collect();
    let said = [stderr, seen.text(&seen.stdout)];
    let named = |verdict: &Verdict| {
        let paths = verdict.target.iter().chain(verdict.args.paths());
        paths.map(|path| seen.text(path.as_bytes())).any(|path| said.iter().any(|text| names(text, &path)))
    };
    let rank =
        |(_, verdict): &&(u64, &Verdict)| if named(verdict) { 0 } else { u8::from(is_usual(verdict)) + 1 };
    told.sort_by_key(rank);
    // Beside what may be the cause, what everybody asks for is none.
    let likely = told.first().map_or(0, rank) < ASKED_BY_ALL;
    told.retain(|one| !likely || rank(one) < ASKED_BY_ALL);
    told.truncate(3);
    told.sort_by_key(|(seq, _)| *seq);
    let mut to_blame = Vec::new();
    for one in told {
        let (seq, verdict) = one;
        notes.push(format!("{MEANWHILE} {}", shown(*seq, verdict)));
        if rank(&one) == ASKED_BY_ALL {
            notes.push("the C library asks for this on its way, and goes on without it".to_owned());
        } else {
            notes.extend(why::denied(verdict, seen));
            to_blame.push(*verdict);
        }
    }
    notes.extend(advice::to_allow(to_blame, seen));
    let speaks = ["Permission denied", "Operation not permitted", "EACCES", "EPERM"];
    if unlisted.is_empty() && speaks.iter().any(|words| said[0].contains(words)) {
        notes.push(UNSEEN.to_owned());
    }
    notes
}

/// How a note begins that names a denial.
pub(crate) const MEANWHILE: &str = "denied meanwhile:";

/// The rank of a denial that is hardly ever to blame.
const ASKED_BY_ALL: u8 = 2;

/// Whether libraries read it in whatever program, and do without.
fn is_usual(verdict: &Verdict) -> bool {
    const USUAL: [&[u8]; 8] = [
        b"/proc/filesystems",
        b"/proc/mounts",
        b"/proc/self/mounts",
        b"/proc/self/maps",
        b"/proc/stat",
        b"/proc/meminfo",
        b"/proc/sys/kernel/ngroups_max",
        b"/proc/sys/kernel/cap_last_cap",
    ];
    const BENEATH: [&[u8]; 3] = [b"/sys/devices/system/cpu", b"/sys/fs/cgroup", b"/sys/kernel/mm"];
    verdict.args.paths().any(|path| {
        let path = path.as_bytes();
        USUAL.contains(&path) || BENEATH.iter().any(|folder| path.starts_with(folder))
    })
}

/// Whether a text names a path as a whole.
fn names(text: &str, path: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    !path.is_empty()
        && text.match_indices(path).any(|(at, _)| {
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            let after = text.get(at + path.len()..).and_then(|text| text.chars().next());
            !before.is_some_and(inner) && !after.is_some_and(|c| inner(c) && c != '.')
        })
}

/// What is said of a denial that nobody saw. Landlock tells the supervisor nothing: it sees what it performs itself.
pub(crate) const UNSEEN: &str = "stderr speaks of a denial, and none was seen. It may be an ordinary permission of the file, or else\n\
    Landlock refused a call that is not observed: `verdicts: { sees: [{ call: family(NAME) }] }` has calls observed,\n\
    and their refusals with them";
