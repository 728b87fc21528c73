//! A sweep at work: first it is counted how often calls occur, then each occurrence fails in a run of its own.
#![forbid(unsafe_code)]

use super::inject::{Extra, counting};
use super::{Cell, Engine, Look, RunnerError, Take, take};
use crate::matcher::Finding;
use crate::scenario::Scenario;
use crate::scenario::expect::{ErrnoName, Range, VerdictPattern};
use crate::scenario::inject::{Answer, Due, Injection};
use crate::scenario::place::{Step, YamlPath};
use crate::scenario::sweep::{Occurrence, Sweep};

/// So many of the cells that failed are shown whole, and kept.
const SHOWN: usize = 10;

/// What came of a sweep: what is wrong, and the runs that failed, each with its cell's name.
pub(super) struct Swept {
    pub(super) findings: Vec<Finding>,
    pub(super) failed: Vec<(String, Take)>,
    pub(super) cells: Vec<Cell>,
}

/// One occurrence of a call, and what it fails with.
struct Failing {
    pattern: VerdictPattern,
    nth: u64,
    errno: ErrnoName,
}

impl Failing {
    fn of(sweep: &Sweep, only: Occurrence) -> Option<Self> {
        let pattern = sweep.patterns().unwrap_or_default().into_iter().nth(only.call)?;
        Some(Self { pattern, nth: only.nth, errno: only.errno })
    }

    /// What makes it fail.
    fn extra(&self, at: &YamlPath) -> [Extra; 1] {
        let injection = Injection {
            pattern: self.pattern.clone(),
            due: Due::nth(self.nth),
            answer: Answer::Errno(self.errno.0),
            delay: None,
            times: Range::SOME,
        };
        [Extra { injection, at: at.clone() }]
    }

    /// `[family(open)#3=EIO]`.
    fn name(&self) -> String {
        let call = self.pattern.call.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("[{call}#{}={}]", self.nth, self.errno)
    }
}

/// Runs a sweep.
pub(super) fn run(scenario: &Scenario, sweep: &Sweep, engine: &dyn Engine) -> Result<Swept, RunnerError> {
    let at = YamlPath::from(["sweep"]);
    let cells = cells(scenario, sweep, engine, &at)?;
    let mut swept = Swept { findings: Vec::new(), failed: Vec::new(), cells: Vec::new() };
    let total = cells.len();
    if u64::try_from(total).unwrap_or(u64::MAX) > sweep.most {
        let title = format!("the sweep has {total} cells, and at most {} are run", sweep.most);
        let label = "too many calls occur".to_owned();
        let notes = vec!["with `path` it looks at fewer calls; with `most` it takes more runs".to_owned()];
        swept.findings.push(Finding { title, at, label, notes, related: None });
        return Ok(swept);
    }
    if total == 0 {
        let title = "none of the sweep's calls occurs, so it tests nothing".to_owned();
        let label = "counted in a run without failures".to_owned();
        swept.findings.push(Finding { title, at: at.key("calls"), label, notes: Vec::new(), related: None });
        return Ok(swept);
    }
    let under_failure = under_failure(scenario, sweep);
    let mut names = Vec::new();
    for cell in cells {
        let name = cell.name();
        let came = take(&under_failure, engine, Look::AsExpected, &cell.extra(&at))?;
        let findings = came.judged(&under_failure);
        swept.cells.push(Cell { name: name.clone(), passed: findings.is_empty() });
        if findings.is_empty() {
            continue;
        }
        if swept.failed.len() < SHOWN {
            swept.findings.extend(findings.into_iter().map(|finding| of_cell(finding, &name, sweep)));
            let folder = name.chars().filter(|c| !matches!(c, '[' | ']')).collect();
            swept.failed.push((folder, came));
        }
        names.push(name);
    }
    if let Some(last) = swept.findings.last_mut() {
        let more = match names.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" (the last {more} are not shown)"),
        };
        last.notes.push(format!("{} of {total} cells failed{more}: {}", names.len(), names.join(" ")));
    }
    Ok(swept)
}

/// Runs the one occurrence that was asked for: what came of it, and what is wrong; `None`: all are to be run.
pub(super) fn alone(
    scenario: &Scenario,
    engine: &dyn Engine,
) -> Result<Option<(Take, Vec<Finding>, Cell)>, RunnerError> {
    let Some(sweep) = &scenario.sweep else { return Ok(None) };
    let Some(cell) = sweep.only.and_then(|only| Failing::of(sweep, only)) else { return Ok(None) };
    let at = YamlPath::from(["sweep"]);
    let under_failure = under_failure(scenario, sweep);
    let came = take(&under_failure, engine, Look::AsExpected, &cell.extra(&at))?;
    let mut findings = came.judged(&under_failure);
    // Where that occurrence is none, what else is seen is of a run without failures.
    if came.seen.injected.last().is_some_and(|injected| injected.fired == 0) {
        let of_run = [Step::Key("expect".to_owned()), Step::Key("attempt".to_owned())];
        findings.retain(|finding| finding.at.0.first().is_none_or(|first| !of_run.contains(first)));
    }
    let name = cell.name();
    let findings: Vec<_> = findings.into_iter().map(|finding| of_cell(finding, &name, sweep)).collect();
    let cell = Cell { name, passed: findings.is_empty() };
    Ok(Some((came, findings, cell)))
}

/// With what is expected where a call fails.
fn under_failure(scenario: &Scenario, sweep: &Sweep) -> Scenario {
    Scenario { expect: sweep.expect.clone().unwrap_or_else(|| scenario.expect.clone()), ..scenario.clone() }
}

/// Every occurrence of every call, in a run without failures, with every errno.
fn cells(
    scenario: &Scenario,
    sweep: &Sweep,
    engine: &dyn Engine,
    at: &YamlPath,
) -> Result<Vec<Failing>, RunnerError> {
    // They were read, so they are patterns.
    let patterns = sweep.patterns().unwrap_or_default();
    let counters =
        patterns.iter().cloned().map(|pattern| Extra { injection: counting(pattern), at: at.clone() });
    let plain = take(scenario, engine, Look::AsExpected, &counters.collect::<Vec<_>>())?.whole()?;
    let counts = plain.seen.injected.iter().skip(scenario.inject.len()).map(|injected| injected.matched);
    let mut cells = Vec::new();
    for (pattern, count) in patterns.iter().zip(counts) {
        // One more than may be run is enough to know.
        for nth in 1..=count.min(sweep.most.saturating_add(1)) {
            for errno in &sweep.errno {
                cells.push(Failing { pattern: pattern.clone(), nth, errno: *errno });
            }
        }
    }
    Ok(cells)
}

/// The finding as that of a cell: it names it, and points at what is expected under failure.
fn of_cell(mut finding: Finding, name: &str, sweep: &Sweep) -> Finding {
    finding.title = format!("{name} {}", finding.title);
    let own = |at: &mut YamlPath| {
        if sweep.expect.is_some() && at.0.first() == Some(&Step::Key("expect".to_owned())) {
            at.0.insert(0, Step::Key("sweep".to_owned()));
        }
    };
    own(&mut finding.at);
    if let Some(related) = &mut finding.related {
        own(&mut related.at);
    }
    finding
}
