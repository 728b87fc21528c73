//! A draft is run as the scenario that it is: until it passes, and passes again.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::draft::{Draft, Left, Reach};
use super::least::least;
use super::seen::Facts;
use super::tree::{Entry, Tree};
use super::vary::{self, Wanted};
use super::{MOST_INPUT, RecordError};
use crate::matcher::{FileSeen, Observation};
use crate::report;
use crate::runner::scratch::Scratch;
use crate::runner::{self, Keep, Kernel, Which};
use crate::scenario;
use crate::scenario::quantity::Time;

/// How often a draft that passed, and then did not, is made to expect less.
const ROUNDS: usize = 3;
/// How often what it wrote is added to what it may write.
const WIDENINGS: usize = 3;

/// The files of the folder that a command used: those that it named, and what it saw in the folders that it listed.
pub(super) fn inputs(before: &Tree, facts: &Facts) -> BTreeMap<PathBuf, Entry> {
    let mut wanted: BTreeSet<PathBuf> = BTreeSet::new();
    for path in &facts.touched {
        // A link on the way is used as well.
        wanted.extend(path.ancestors().map(Path::to_owned));
    }
    for folder in &facts.listed {
        let inside = before.entries.keys().filter(|path| path.parent() == Some(folder));
        wanted.extend(inside.cloned());
    }
    wanted
        .into_iter()
        .filter_map(|path| before.entries.get_key_value(&path))
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect()
}

/// The scenario's text, once it passes.
pub(super) fn settle(mut draft: Draft, before: &Tree, say: &dyn Fn(&str)) -> Result<String, RecordError> {
    fits(&draft)?;
    say("running what was recorded");
    let mut failed = passes(&draft)?.err();
    for _ in 0..ROUNDS {
        if let Some(failed) = failed.take() {
            draft = loosened(draft, before, failed, say)?;
        }
        draft = least(draft, say)?;
        // Once more, so that no chance made it pass.
        failed = passes(&draft)?.err();
        if failed.is_none() {
            return Ok(draft.render(Reach::Saved));
        }
    }
    Err(RecordError::NotSteady(failed.map(|failed| failed.report).unwrap_or_default()))
}

fn fits(draft: &Draft) -> Result<(), RecordError> {
    let sizes = draft.files.iter().map(|(path, entry)| match entry {
        Entry::File { bytes, .. } if !draft.is_copied(path, entry) => bytes.len(),
        _ => 0,
    });
    let size: usize = sizes.sum();
    if size > MOST_INPUT { Err(RecordError::Inputs(size >> 10)) } else { Ok(()) }
}

/// It did not pass.
pub(super) struct Failed {
    report: String,
    /// What was seen of it, where it ran.
    seen: Option<Box<Observation>>,
}

impl Failed {
    fn unseen(report: String) -> Self {
        Self { report, seen: None }
    }
}

/// Whether it passes.
pub(super) fn passes(draft: &Draft) -> Result<Result<(), Failed>, RecordError> {
    if crate::interrupt::is_ending() {
        return Err(RecordError::Interrupted);
    }
    let folder = Scratch::make("record scenario").map_err(RecordError::Scratch)?;
    let file = folder.path().join("recorded.yaml");
    std::fs::write(&file, draft.render(Reach::Anywhere)).map_err(RecordError::Scratch)?;
    let scenarios = match scenario::load(folder.path(), &file) {
        Ok(scenarios) => scenarios,
        Err(diagnostics) => return Ok(Err(Failed::unseen(report::render(&diagnostics, false)))),
    };
    let keep = Keep::beneath(folder.path().to_owned()).of(Which::None);
    for mut scenario in scenarios {
        scenario.policy.limits.timeout = Some(Time(draft.timeout));
        match runner::run(&scenario, &Kernel, &keep) {
            Ok(ran) if ran.findings.is_empty() => {}
            Ok(ran) => {
                let report = report::render(&report::placed(&scenario, &ran.findings), false);
                return Ok(Err(Failed { report, seen: Some(Box::new(ran.seen)) }));
            }
            Err(error) => {
                let report = report::render(&report::broken(&scenario, &error), false);
                return Ok(Err(Failed::unseen(report)));
            }
        }
    }
    Ok(Ok(()))
}

/// The same with gaps for what was written otherwise; `None`: all of it was as expected, or nothing of it was.
fn widened(draft: &Draft, seen: &Observation) -> Option<Draft> {
    let mut out = draft.clone();
    let mut any = false;
    let mut widen = |wanted: &mut Wanted, bytes: &[u8]| {
        if let Some(wider) = vary::widened(wanted, &seen.text(bytes)) {
            *wanted = wider;
            any = true;
        }
    };
    for (wanted, bytes) in [(&mut out.stdout, &seen.stdout), (&mut out.stderr, &seen.stderr)] {
        if let Some(wanted) = wanted {
            widen(wanted, bytes);
        }
    }
    for (name, left) in &mut out.left {
        if let (Left::Text(wanted), Some(FileSeen::File { bytes, .. })) = (left, seen.files.get(name)) {
            widen(wanted, bytes);
        }
    }
    any.then_some(out)
}

/// A way to expect less of it, and what is then to be said.
type Loosening = (fn(&mut Draft, &Tree), &'static str);

/// What may stand in the way, the most likely first.
const LOOSENINGS: &[Loosening] = &[
    (|draft, _| draft.write.extend(draft.writable.clone()), ""),
    (|draft, before| draft.files.clone_from(&before.entries), ""),
    (|draft, _| draft.opens.clear(), ""),
    (|draft, _| draft.exhaustive = false, "denials: they are not the same in each run"),
    (
        |draft, _| {
            draft.exhaustive = false;
            draft.never_connects = false;
            draft.sees.clear();
        },
        "verdicts: they are not the same in each run",
    ),
    (
        |draft, _| {
            draft.left.values_mut().for_each(|left| {
                if matches!(left, Left::Text(_)) {
                    *left = Left::Present;
                }
            })
        },
        "what is in the files that it makes: it is not the same in each run",
    ),
    (|draft, _| draft.left.clear(), "the files that it makes: they are not the same in each run"),
    (|draft, _| draft.stderr = None, "what it writes to stderr: it is not the same in each run"),
    (|draft, _| draft.stdout = None, "what it writes to stdout: it is not the same in each run"),
];

/// The first that passes: with one thing less, or with more and more less.
fn loosened(
    mut draft: Draft,
    before: &Tree,
    failed: Failed,
    say: &dyn Fn(&str),
) -> Result<Draft, RecordError> {
    say("it does not pass yet: expecting less of it");
    let Failed { report, mut seen } = failed;
    // What it wrote this time is one more text that must be covered.
    for _ in 0..WIDENINGS {
        let Some(widened) = seen.and_then(|seen| widened(&draft, &seen)) else { break };
        match passes(&widened)? {
            Ok(()) => return Ok(widened),
            Err(failed) => (draft, seen) = (widened, failed.seen),
        }
    }
    let with = |mut draft: Draft, (loosen, says): &Loosening| {
        loosen(&mut draft, before);
        if !says.is_empty() && !draft.left_out.iter().any(|said| said == says) {
            draft.left_out.push((*says).to_owned());
        }
        draft
    };
    for one in LOOSENINGS {
        let draft = with(draft.clone(), one);
        if fits(&draft).is_ok() && passes(&draft)?.is_ok() {
            return Ok(draft);
        }
    }
    let mut less = draft;
    for one in LOOSENINGS {
        let next = with(less.clone(), one);
        if fits(&next).is_err() {
            continue;
        }
        less = next;
        if passes(&less)?.is_ok() {
            return Ok(less);
        }
    }
    Err(RecordError::NotSteady(report))
}
