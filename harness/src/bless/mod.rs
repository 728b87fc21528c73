//! Scenarios whose expectations are brought to what is seen now: only the values change, in place.
//!
//! A case is run twice first, and what is not the same in both runs is not taken. What is put in its place has passed as
//! the test that it is, before it is written. Whatever is a promise, and no value (`never`, `contains`, a policy, a time), is left to
//! a person.
#![forbid(unsafe_code)]

mod change;
mod replace;
mod scalar;
mod source;
mod splice;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use change::{Change, To};
pub use replace::ReplaceError;

use crate::diagnostic::Diagnostic;
use crate::matcher::{self, Observation};
use crate::needs::{Host, Judgement};
use crate::pool::{Pool, Task};
use crate::report;
use crate::runner::{self, Engine, Keep, Which};
use crate::scenario::load::load_bytes;
use crate::scenario::place::YamlPath;
use crate::scenario::turn::Cost;
use crate::scenario::{self, Action, Scenario};

/// A value can stand in the way of seeing another, so what was put in is looked at again so often.
const ROUNDS: usize = 3;

/// What is taken only where it is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Also {
    /// An end by a signal.
    pub signals: bool,
    /// A call that was to be denied, to fail, or to be answered in the kernel's place, and that was let through.
    pub allowed: bool,
}

/// Why a value is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It is not the same in two runs.
    #[error("it is not the same in two runs")]
    Unstable(Vec<String>),
    /// The scenario could not be run.
    #[error("the scenario can't be run: {0}")]
    NotRun(String),
    /// No value of the file says it: what is wrong.
    #[error("{title}; what is to stand here instead can't be told from what was seen")]
    NotAValue {
        /// What is wrong.
        title: String,
        /// What was seen.
        notes: Vec<String>,
    },
    /// No verdict is near enough to a pattern.
    #[error("{reason}")]
    Pattern {
        /// Why not.
        reason: String,
        /// What was seen.
        notes: Vec<String>,
    },
    /// The command was killed by a signal.
    #[error("the command was killed by {0}; `--also signal` takes that as its end")]
    Signal(String),
    /// The time was up.
    #[error("the command did not end by itself")]
    TimeUp,
    /// The scenario does not say how the command ends.
    #[error("the scenario says nothing of its end, so 0 is wanted; `exit: {0}` would have to be added")]
    NoExit(String),
    /// Several ends would do.
    #[error("several ends would do, and {0} is none of them")]
    SeveralEnds(String),
    /// A call that was to be denied, or answered in the kernel's place, was let through.
    #[error("a denial or an answer was wanted, and `{0}` came; `--also allowed` takes it all the same")]
    NotDenied(String),
    /// A call that was to fail succeeded.
    #[error("a failure was wanted, and `{0}` came; `--also allowed` takes it all the same")]
    NotFailed(String),
    /// What was seen is no text.
    #[error("what was seen is no text")]
    NoText,
    /// There are too many lines.
    #[error("there are too many lines to find out which of them still hold")]
    TooLong,
    /// The value stands in another file.
    #[error("the value is not written in this scenario: it comes from what it extends, or has no key")]
    Absent,
    /// It is said by an alias.
    #[error("the value is an alias: it stands elsewhere, for others too")]
    Alias,
    /// An alias stands for it.
    #[error("an alias elsewhere stands for this value too")]
    Shared,
    /// It takes in an axis of the matrix.
    #[error("the value takes in the axis `{0}`")]
    Template(String),
    /// The cells of a matrix do not agree.
    #[error("the cells of the matrix share this value, and do not agree: {0} differs")]
    Cells(String, Vec<String>),
    /// A cell that shares it can't be run here.
    #[error("{0} shares this value, and is ignored here")]
    Ignored(String),
    /// No way to write it leaves the rest of the file as it is.
    #[error("no way to write it there leaves the rest of the file as it is")]
    Unwritable,
    /// The scenario would still not pass.
    #[error("it would still not pass")]
    StillWrong(String),
}

impl Why {
    fn notes(&self) -> Vec<String> {
        match self {
            Self::NotAValue { notes, .. }
            | Self::Pattern { notes, .. }
            | Self::Unstable(notes)
            | Self::Cells(_, notes) => notes.clone(),
            Self::StillWrong(report) => vec![report.clone()],
            _ => Vec::new(),
        }
    }
}

/// How files are blessed.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// What runs commands.
    pub engine: &'a dyn Engine,
    /// The host.
    pub host: &'a Host,
    /// What is taken besides.
    pub also: Also,
    /// Whether files are written.
    pub write: bool,
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Blessed {
    /// Its text before.
    pub before: String,
    /// Its text with the new values; the same, if there are none.
    pub after: String,
    /// How many of the wanted cases are as expected.
    pub fine: usize,
    /// The wanted cases that the host can't run, each with the reason.
    pub ignored: Vec<(String, String)>,
    /// What was refused, and why.
    pub refused: Vec<Diagnostic>,
}

/// Whether a report may say that the failure can be blessed: as far as one run tells, and a second one, if there was one.
#[must_use]
pub fn would(scenario: &Scenario, seen: &Observation, again: Option<&Observation>) -> bool {
    let changes_of = |seen: &Observation| change::changes(scenario, seen, &Also::default());
    let Ok(changes) = changes_of(seen) else { return false };
    // Whether an attempt was denied, or failed by itself, only the second run sees.
    let again = again.filter(|_| !matches!(scenario.action, Action::Attempt(_)));
    !changes.is_empty()
        && again.is_none_or(|again| changes_of(again).is_ok_and(|others| others == changes))
        && splice::splice(scenario.source.text(), scenario.document, &axes(scenario), &changes).is_ok()
}

/// Blesses the cases of a file of which `wanted` tells, by their names.
///
/// # Errors
/// [`ReplaceError`]: the file is then as it was. What is wrong with its content stands among what was refused.
pub fn file(
    root: &Path,
    path: &Path,
    wanted: &dyn Fn(&str) -> bool,
    way: Way<'_>,
) -> Result<Blessed, ReplaceError> {
    let held = replace::Held::hold(path)?;
    let mut blessed = Blessed { before: held.text.clone(), after: held.text.clone(), ..Blessed::default() };
    let scenarios = match load_bytes(root, path, held.text.clone().into_bytes()) {
        Ok(scenarios) => scenarios,
        Err(diagnostics) => {
            blessed.refused = diagnostics;
            return Ok(blessed);
        }
    };
    let is_wanted = |scenario: &&Scenario| wanted(&scenario.test.to_string());
    let documents: BTreeSet<usize> =
        scenarios.iter().filter(is_wanted).map(|scenario| scenario.document).collect();
    for document in documents {
        let of_document = scenarios.iter().filter(|scenario| scenario.document == document);
        let (mut cells, mut ignored) = (Vec::new(), Vec::new());
        for cell in of_document.cloned() {
            match lacking(&cell, way.host) {
                None => cells.push(cell),
                Some(why) => ignored.push((cell.test.to_string(), why)),
            }
        }
        let of_wanted = cells.iter().filter(is_wanted).count();
        let unit = Unit { root, path, document, way, ignored: &ignored };
        match unit.bless(&blessed.after, cells) {
            Ok(None) => blessed.fine += of_wanted,
            Ok(Some(text)) => blessed.after = text,
            Err(refused) => blessed.refused.push(*refused),
        }
        blessed.ignored.extend(ignored.into_iter().filter(|(name, _)| wanted(name)));
    }
    if way.write && blessed.after != blessed.before {
        held.replace(&blessed.after)?;
    }
    Ok(blessed)
}

fn lacking(scenario: &Scenario, host: &Host) -> Option<String> {
    scenario.needs.iter().find_map(|need| match host.judge(need) {
        Judgement::Missing(why) => Some(why),
        _ => None,
    })
}

fn axes(scenario: &Scenario) -> Vec<String> {
    scenario.test.cell.iter().map(|(axis, _)| axis.clone()).collect()
}

/// A document of a file: its cells share what is written there.
struct Unit<'a> {
    root: &'a Path,
    path: &'a Path,
    document: usize,
    way: Way<'a>,
    ignored: &'a [(String, String)],
}

/// A refusal, as it is shown.
type Refusal = Box<Diagnostic>;

impl Unit<'_> {
    /// The file's text with new values for this document; `None`: it needs none.
    fn bless(&self, text: &str, mut cells: Vec<Scenario>) -> Result<Option<String>, Refusal> {
        const MARK: &str = "\u{feff}";
        let (mark, plain) = match text.strip_prefix(MARK) {
            Some(plain) => (MARK, plain),
            None => ("", text),
        };
        let mut now = plain.to_owned();
        for _ in 0..ROUNDS {
            let Some((first, changes)) = self.agreed(&cells)? else {
                return Ok((now != plain).then(|| format!("{mark}{now}")));
            };
            now = splice::splice(&now, self.document, &axes(first), &changes)
                .map_err(|(at, why)| refusal(first, &at, &why))?;
            let (first, at) =
                (first.clone(), changes.first().map_or_else(YamlPath::root, |one| one.at.clone()));
            cells = match load_bytes(self.root, self.path, now.clone().into_bytes()) {
                Ok(all) => all.into_iter().filter(|cell| self.is_own(cell)).collect(),
                Err(diagnostics) => {
                    return Err(refusal(&first, &at, &Why::StillWrong(report::render(&diagnostics, false))));
                }
            };
            match self.failure(&cells) {
                None => return Ok(Some(format!("{mark}{now}"))),
                Some(_) => continue,
            }
        }
        let why = Why::StillWrong(self.failure(&cells).unwrap_or_default());
        match cells.first() {
            Some(first) => Err(refusal(first, &YamlPath::from(["expect"]), &why)),
            None => Ok(None),
        }
    }

    fn is_own(&self, cell: &Scenario) -> bool {
        let name = cell.test.to_string();
        cell.document == self.document && self.ignored.iter().all(|(ignored, _)| *ignored != name)
    }

    /// What all cells want changed, and the first of them; `None`: nothing.
    fn agreed<'c>(&self, cells: &'c [Scenario]) -> Result<Option<(&'c Scenario, Vec<Change>)>, Refusal> {
        let mut agreed: Option<(&Scenario, Vec<Change>)> = None;
        for cell in cells {
            let changes = self.stable(cell).map_err(|(at, why)| refusal(cell, &at, &why))?;
            match &agreed {
                None => agreed = Some((cell, changes)),
                Some((_, others)) if *others == changes => {}
                Some((first, others)) => {
                    let names = [first.test.to_string(), cell.test.to_string()];
                    let parted = unlike(others, &changes, [&names[0], &names[1]]);
                    let [_, name] = names;
                    let (at, note) = parted.unzip();
                    let why = Why::Cells(name, note.into_iter().collect());
                    return Err(refusal(first, &at.unwrap_or_else(YamlPath::root), &why));
                }
            }
        }
        let Some((first, changes)) = agreed.filter(|(_, changes)| !changes.is_empty()) else {
            return Ok(None);
        };
        match (self.ignored.first(), changes.first()) {
            (Some((name, _)), Some(change)) => Err(refusal(first, &change.at, &Why::Ignored(name.clone()))),
            _ => Ok(Some((first, changes))),
        }
    }

    /// What both of two runs want changed.
    fn stable(&self, cell: &Scenario) -> Result<Vec<Change>, (YamlPath, Why)> {
        let twice = self.in_turn(cell, || runner::twice(cell, self.way.engine))?;
        let ([one, two], parted) = twice.map_err(|error| (error.at(cell), Why::NotRun(error.to_string())))?;
        let first = change::changes(cell, &one, &self.way.also)?;
        let second = change::changes(cell, &two, &self.way.also)?;
        if let Some(parted) = parted {
            let notes = [parted.title].into_iter().chain(parted.notes).collect();
            return Err((parted.at, Why::Unstable(notes)));
        }
        match unlike(&first, &second, ["run 1", "run 2"]) {
            None => Ok(first),
            Some((at, note)) => Err((at, Why::Unstable(vec![note]))),
        }
    }

    /// Why one of the cells does not pass, as a test.
    fn failure(&self, cells: &[Scenario]) -> Option<String> {
        let keep = Keep::beneath(PathBuf::new()).of(Which::None);
        cells.iter().find_map(|cell| match self.in_turn(cell, || runner::run(cell, self.way.engine, &keep)) {
            Err((_, why)) => Some(why.to_string()),
            Ok(Ok(ran)) if ran.findings.is_empty() => None,
            Ok(Ok(ran)) => Some(report::render(&report::placed(cell, &ran.findings), false)),
            Ok(Err(error)) => Some(report::render(&report::broken(cell, &error), false)),
        })
    }

    /// Does something in the turn of the cell's group.
    fn in_turn<T>(&self, cell: &Scenario, work: impl FnOnce() -> T) -> Result<T, (YamlPath, Why)> {
        let pool = Pool::new([Task { cost: Cost::default(), group: cell.group.clone(), load: () }], 1);
        match pool.next() {
            Some(((), Err(error))) => Err((YamlPath::from(["group"]), Why::NotRun(error.to_string()))),
            Some(((), Ok(turn))) => {
                let done = work();
                drop(turn);
                Ok(done)
            }
            None => Ok(work()),
        }
    }
}

/// The first place at which two runs, which are called so, want something else, and what.
fn unlike(one: &[Change], two: &[Change], [first, second]: [&str; 2]) -> Option<(YamlPath, String)> {
    let of = |changes: &[Change], at: &YamlPath| {
        let here = changes.iter().find(|change| change.at == *at);
        here.map(|change| change.to.clone())
    };
    let differing = one.iter().chain(two).find(|change| of(one, &change.at) != of(two, &change.at))?;
    let at = differing.at.clone();
    let note = match (of(one, &at), of(two, &at)) {
        (Some(To::Text(one)), Some(To::Text(two))) => {
            format!("difference (- {first}, + {second}):\n{}", matcher::difference(&one, &two))
        }
        (one, two) => format!("{first}: {}; {second}: {}", said(one.as_ref()), said(two.as_ref())),
    };
    Some((at, note))
}

fn said(to: Option<&To>) -> String {
    match to {
        None => "as expected".to_owned(),
        Some(To::Text(text) | To::Word(text)) => format!("{text:?}"),
        Some(To::More(lines)) => lines.join(", "),
    }
}

fn refusal(scenario: &Scenario, at: &YamlPath, why: &Why) -> Refusal {
    let mut at = at.clone();
    // Of what is not there, what is around it.
    while at.0.len() > 1 && scenario.source.file(scenario.key_span(&at)).is_none() {
        at.0.pop();
    }
    let title = format!("{} is not blessed: {why}", scenario.test);
    let mut diagnostic = scenario.diagnostic(title, &at, "not changed");
    diagnostic.notes.extend(why.notes());
    Box::new(diagnostic)
}

/// The difference that blessing makes to a file.
#[must_use]
pub fn difference(path: &Path, blessed: &Blessed) -> String {
    let name = path.display().to_string();
    let diff = similar::TextDiff::from_lines(&blessed.before, &blessed.after);
    diff.unified_diff().context_radius(2).header(&name, &name).to_string().replace('\r', "")
}

/// Whether files are left as they are, whatever is asked for: on a machine that only checks.
#[must_use]
pub fn only_told() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// What says it before the tests of a target.
pub(crate) const VARIABLE: &str = "ASSIZE_BLESS";

/// Before the tests of a target run, where [`VARIABLE`] asks for it: blesses those that are wanted, and says on stderr
/// what came of it. The tests that follow are judged by what then stands in the files.
pub(crate) fn before_tests(root: &Path, wanted: &dyn Fn(&str) -> bool, engine: &dyn Engine, host: &Host) {
    let write = !only_told();
    if !write {
        eprintln!("ASSIZE_BLESS: nothing is written where CI is set");
    }
    let way = Way { engine, host, also: Also::default(), write };
    // What can't be read is told by the tests themselves.
    for path in scenario::discover(root).unwrap_or_default() {
        let held = scenario::load(root, &path).unwrap_or_default();
        if !held.iter().any(|scenario| wanted(&scenario.test.to_string())) {
            continue;
        }
        drop(held);
        match file(root, &path, wanted, way) {
            Ok(blessed) => {
                eprint!("{}{}", difference(&path, &blessed), report::render(&blessed.refused, false));
            }
            Err(error) => eprintln!("error: {}: {error}", path.display()),
        }
    }
}
