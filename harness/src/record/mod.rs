//! From a command to a scenario that passes as it stands: what the command used, wrote and was denied, seen in several runs.
//!
//! The command never runs in the folder that it is recorded in: each run has a copy of its own. Nothing is written but the text
//! that this gives.
#![forbid(unsafe_code)]

mod draft;
mod grants;
mod seen;
mod steady;
mod tree;
mod vary;
pub(crate) mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assize_core::outcome::End;
use assize_core::policy::{Clock, ClockMode, Observe, Timestamp};
use assize_core::trace::{Exit, Memory};
use assize_core::{Command, RunError, Stdin};
use draft::{Draft, Left, Ran};
use seen::{Denial, Facts};
pub use tree::TreeError;
use tree::{Entry, Tree};

use crate::needs::Need;
use crate::runner::scratch::{self, Scratch};
use crate::runner::{Engine, Kernel};
use crate::scenario::expect::Signal;
use crate::scenario::policy::{GUEST_PATH, PolicySpec};
use crate::scenario::template::{Template, Word};

/// More of the files that a command writes are not compared.
const MOST_LEFT: usize = 24;
/// A larger file is looked for, and not compared.
const LARGEST_LEFT: usize = 8 << 10;
/// Opens of more input files are not expected one by one.
const MOST_OPENS: usize = 8;
/// What a scenario's file can hold of input files.
const MOST_INPUT: usize = 512 << 10;

/// What is recorded, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The command.
    pub command: Vec<OsString>,
    /// The folder that it starts in, as the kernel names it.
    pub folder: PathBuf,
    /// The promise; `None`: the command itself says it.
    pub about: Option<String>,
    /// The scenario's name, where it is another than its file's.
    pub name: Option<String>,
    /// How many runs are compared, at least two; the last one has another clock and another host name.
    pub runs: u32,
    /// How long each may take.
    pub timeout: Duration,
    /// Variables of its environment, besides those that every guest has.
    pub env: BTreeMap<String, String>,
    /// What it reads.
    pub stdin: Option<String>,
    /// What it may write to besides its own folder.
    pub write: Vec<PathBuf>,
}

/// Why a command can't be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The current folder, or a copy of it.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A temporary folder could not be made.
    #[error("a temporary folder could not be made: {0}")]
    Scratch(std::io::Error),
    /// It did not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It did not end.
    #[error(
        "it did not end within {0:?}: what waits for somebody can't be recorded (`--timeout` gives it longer)"
    )]
    TimedOut(Duration),
    /// It ends in more than one way.
    #[error("it ended by {one} in one run and by {two} in another: nothing could be expected of it")]
    Ends {
        /// In the first run.
        one: String,
        /// In another.
        two: String,
    },
    /// Its words are no text.
    #[error("{0:?} is not UTF-8: a scenario could not say it")]
    NotText(OsString),
    /// It uses too much of its folder.
    #[error("it uses {0} KiB of files in its folder, and a scenario can hold {most} KiB", most = MOST_INPUT >> 10)]
    Inputs(usize),
    /// It does not do the same again, and it is not known why.
    #[error("what was recorded does not pass when it is run again:\n{0}")]
    NotSteady(String),
    /// The process is to end.
    #[error("interrupted")]
    Interrupted,
}

/// One run.
struct Take {
    end: End,
    stdout: String,
    stderr: String,
    after: Tree,
    facts: Facts,
}

/// Records a command, and gives the scenario's text. Says meanwhile what it does.
///
/// # Errors
/// [`RecordError`]: then there is no scenario of it that would pass.
pub fn record(options: &Options, say: &dyn Fn(&str)) -> Result<String, RecordError> {
    let _kept = scratch::keep();
    let before = Tree::read(&options.folder)?;
    let words = words(options)?;
    let mut takes = Vec::new();
    let mut left_out = Vec::new();
    for nth in 1..options.runs.max(2) {
        say(&format!("run {nth}"));
        takes.push(take(options, &words, &before, nth, false)?);
    }
    let Some(first) = takes.first() else { return Err(RecordError::Interrupted) };
    for other in &takes {
        if let End::TimedOut(after) = other.end {
            return Err(RecordError::TimedOut(after));
        }
        if other.end != first.end {
            return Err(RecordError::Ends { one: shown(first.end), two: shown(other.end) });
        }
    }
    say("a run with another clock and another host name");
    match take(options, &words, &before, options.runs, true) {
        Ok(varied) if varied.end == first.end => {
            let differs = takes.iter().all(|take| take.stdout == first.stdout && take.stderr == first.stderr)
                && (varied.stdout != first.stdout || varied.stderr != first.stderr);
            if differs {
                left_out
                    .push("what it writes of the time or of the host's name: it stands as `[..]`".to_owned());
            }
            takes.push(varied);
        }
        Ok(varied) => left_out
            .push(format!("another time or another host name: there it ended by {}", shown(varied.end))),
        Err(RecordError::Run(error)) => left_out.push(format!("another time or another host name: {error}")),
        Err(error) => return Err(error),
    }
    let draft = draft(options, words, &before, &takes, left_out)?;
    steady::settle(draft, &before, say)
}

/// The command's words as a scenario writes them.
fn words(options: &Options) -> Result<Vec<String>, RecordError> {
    let word = |word: &OsString| {
        let text = word.to_str().ok_or_else(|| RecordError::NotText(word.clone()))?;
        Ok(relocated(&draft::literal(text), &options.folder))
    };
    options.command.iter().map(word).collect()
}

/// A text in which the folder that is recorded in reads `$WORK`.
fn relocated(text: &str, folder: &Path) -> String {
    let Some(folder) = folder.to_str().filter(|folder| folder.len() > 1) else { return text.to_owned() };
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(folder) {
        let (before, after) =
            (rest.get(..at).unwrap_or_default(), rest.get(at + folder.len()..).unwrap_or_default());
        out.push_str(before);
        // The beginning of another folder's name is not this folder.
        let whole = !after.starts_with(|c: char| c.is_alphanumeric() || "_-.".contains(c));
        out.push_str(if whole { "$WORK" } else { folder });
        rest = after;
    }
    out + rest
}

fn take(
    options: &Options,
    words: &[String],
    before: &Tree,
    nth: u32,
    varied: bool,
) -> Result<Take, RecordError> {
    if crate::interrupt::is_ending() {
        return Err(RecordError::Interrupted);
    }
    let work = Scratch::make(&format!("record {nth}")).map_err(RecordError::Scratch)?;
    // The folder above shows how many there are, to whoever lists it.
    let beside = || Scratch::make("record beside").map_err(RecordError::Scratch);
    let _beside = if varied { Some((beside()?, beside()?)) } else { None };
    before.write(work.path(), &options.folder)?;
    let mut policy = PolicySpec::default().compile(work.path());
    policy.fs.read = vec!["/".into()];
    policy.fs.write.extend(options.write.iter().cloned());
    policy.limits.timeout = Some(options.timeout);
    for (name, value) in &env(options) {
        policy.env.insert(name.into(), Template(value.clone()).expand(work.path()));
    }
    policy.observe = Observe {
        calls: seen::observed().collect(),
        denials: true,
        processes: true,
        in_passing: false,
        readings: false,
    };
    if varied {
        let start = Timestamp { seconds: 1_931_000_000, nanoseconds: 0 };
        policy.clock = Some(Clock { start, mode: ClockMode::Offset });
        policy.hostname = Some("another-host".to_owned());
    }
    let argv: Vec<OsString> = words.iter().map(|word| Word(word.clone()).expand(work.path())).collect();
    let Some((program, args)) = argv.split_first() else {
        return Err(RecordError::NotText(OsString::new()));
    };
    let stdin = options.stdin.as_ref().map_or(Stdin::Null, |text| Stdin::Bytes(text.clone().into_bytes()));
    let command = Command::new(program).args(args).cwd(work.path()).stdin(stdin);
    let log = Memory::default();
    let outcome = Kernel.run(policy, command, Vec::new(), log.clone())?;
    if outcome.end == End::Cancelled {
        return Err(RecordError::Interrupted);
    }
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        work.path().to_str().map_or_else(|| text.to_string(), |work| text.replace(work, "[WORK]"))
    };
    let mut after = Tree::read(work.path())?;
    // As the scenario will compare them.
    for entry in after.0.values_mut() {
        if let Entry::Symlink(target) = entry {
            *target = tree::moved(target, work.path(), &options.folder);
        }
    }
    Ok(Take {
        end: outcome.end,
        stdout: text(&outcome.stdout),
        stderr: text(&outcome.stderr),
        after,
        facts: Facts::of(&log.drain(), work.path()),
    })
}

/// Its variables as a scenario writes them.
fn env(options: &Options) -> BTreeMap<String, String> {
    let template = |value: &String| relocated(&value.replace('$', "$$"), &options.folder);
    options.env.iter().map(|(name, value)| (name.clone(), template(value))).collect()
}

fn shown(end: End) -> String {
    match end {
        End::Exit(Exit::Code(code)) => code.to_string(),
        End::Exit(Exit::Signal(signal)) => Signal(signal).to_string(),
        End::TimedOut(after) => format!("its time limit of {after:?}"),
        End::Cancelled => "being given up".to_owned(),
    }
}

/// All that was seen of some runs, or of all.
struct Together {
    facts: Facts,
    /// Whether what was denied was denied in each.
    denied_alike: bool,
}

fn together(takes: &[Take]) -> Together {
    let mut facts = Facts::default();
    for Take { facts: of, .. } in takes {
        facts.reads.extend(of.reads.iter().cloned());
        facts.writes.extend(of.writes.iter().cloned());
        facts.touched.extend(of.touched.iter().cloned());
        facts.used.extend(of.used.iter().cloned());
        facts.listed.extend(of.listed.iter().cloned());
        facts.connects.extend(of.connects.iter().cloned());
        facts.programs.extend(of.programs.iter().cloned());
    }
    let in_each = |of: fn(&Facts) -> &BTreeSet<Denial>| {
        let all: BTreeSet<_> = takes.iter().flat_map(|take| of(&take.facts)).cloned().collect();
        let shared = |item: &&Denial| takes.iter().all(|take| of(&take.facts).contains(*item));
        let shared: BTreeSet<_> = all.iter().filter(shared).cloned().collect();
        (all.len() == shared.len(), shared)
    };
    let (denied_alike, denials) = in_each(|facts| &facts.denials);
    facts.denials = denials;
    let opened = takes.iter().map(|take| take.facts.opened.clone());
    facts.opened = opened.reduce(|one, two| one.intersection(&two).cloned().collect()).unwrap_or_default();
    Together { facts, denied_alike }
}

fn draft(
    options: &Options,
    words: Vec<String>,
    before: &Tree,
    takes: &[Take],
    mut left_out: Vec<String>,
) -> Result<Draft, RecordError> {
    let Together { facts, denied_alike } = together(takes);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut write = grants::write(&facts.writes, home.as_deref());
    write.insert(0, "$WORK".to_owned());
    let (left, more) = left(before, takes);
    left_out.extend(more);
    if !denied_alike {
        left_out.push("denials that were not the same in each run".to_owned());
    }
    let local = ["127.", "[::1]", "unix:", "netlink"];
    for address in facts.connects.iter().filter(|to| !local.iter().any(|of| to.starts_with(of))) {
        left_out.push(format!("what {address} answers: it must be there, and answer the same, in each run"));
    }
    if facts.reads.contains(Path::new("/dev/tty")) {
        left_out.push("what is typed: it opens the terminal, which a scenario has not".to_owned());
    }
    let stream = |of: fn(&Take) -> &String| {
        vary::pattern(&takes.iter().map(|take| of(take).clone()).collect::<Vec<_>>())
    };
    let streams = (stream(|take| &take.stdout), stream(|take| &take.stderr));
    for (name, wanted) in [("stdout", &streams.0), ("stderr", &streams.1)] {
        if wanted.is_none() {
            left_out.push(format!("what it writes to {name}: it is no text"));
        }
    }
    let (ran, script_programs) = match words.as_slice() {
        [shell, flag, script] if is_shell(shell) && flag == "-c" => {
            // A script's `$WORK` is a variable of its environment.
            let text = script.replace("$$WORK", "$WORK").replace("$${WORK}", "${WORK}");
            (Ran::Shell(text), true)
        }
        _ => (Ran::Words(words.clone()), false),
    };
    let connects =
        facts.connects.iter().map(|to| format!("{{ call: family(connect), to: {} }}", yaml::scalar(to)));
    let denials = facts.denials.iter().map(|denial| {
        let path =
            denial.path.as_ref().map(|path| format!(", path: {}", yaml::scalar(path))).unwrap_or_default();
        format!(
            "{{ call: {}{path}, verdict: deny, errno: {}, by: {} }}",
            denial.call, denial.errno, denial.by
        )
    });
    let inputs = |path: &&String| {
        let plain = path.trim_start_matches("$WORK/").trim_start_matches("./");
        before.0.contains_key(Path::new(plain))
    };
    let opens = facts.opened.iter().filter(inputs).take(MOST_OPENS);
    let opens =
        opens.map(|path| format!("{{ call: family(open), path: {}, verdict: allow }}", yaml::scalar(path)));
    let command = options.command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let command: String = command.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect();
    let files = steady::inputs(before, &facts);
    Ok(Draft {
        head: vec![
            format!("Recorded from: {command}"),
            format!(
                "It ran {} times; what varied stands as `[..]` and `...`, what it can do without was taken out.",
                takes.len()
            ),
        ],
        name: options.name.clone(),
        about: options
            .about
            .clone()
            .unwrap_or_else(|| format!("`{command}` does what it did when it was recorded")),
        needs: needs(&words, script_programs.then_some(&facts.programs)),
        read: grants::read(&facts.reads, home.as_deref()),
        write,
        env: env(options),
        files,
        used: facts.used.clone(),
        from: options.folder.clone(),
        stdin: options.stdin.clone(),
        ran,
        exit: takes.first().map_or_else(String::new, |take| shown(take.end)),
        stdout: streams.0,
        stderr: streams.1,
        left,
        never_connects: facts.connects.is_empty(),
        sees: denials.chain(connects).collect(),
        opens: opens.collect(),
        exhaustive: denied_alike,
        timeout: options.timeout,
        left_out,
    })
}

/// What every run made, changed and removed in the work folder; and what is to be said of the rest.
fn left(before: &Tree, takes: &[Take]) -> (BTreeMap<String, Left>, Vec<String>) {
    let changes: Vec<_> = takes.iter().map(|take| before.changes(&take.after)).collect();
    let (mut left, mut left_out) = (BTreeMap::new(), Vec::new());
    let all: BTreeSet<&Path> = changes.iter().flat_map(|of| of.keys().copied()).collect();
    let mut more = 0;
    for path in all {
        let of: Option<Vec<_>> = changes.iter().map(|changes| changes.get(path).copied()).collect();
        let (Some(of), Some(name)) = (of, path.to_str()) else {
            more += 1;
            continue;
        };
        if left.len() >= MOST_LEFT {
            more += 1;
            continue;
        }
        let texts: Option<Vec<String>> = of.iter().map(|entry| text(*entry)).collect();
        let wanted = match (texts, of.iter().all(Option::is_none)) {
            (_, true) => Left::Absent,
            (Some(texts), _) => vary::pattern(&texts).map_or(Left::Present, Left::Text),
            (None, _) if of.iter().all(Option::is_some) => Left::Present,
            _ => {
                more += 1;
                continue;
            }
        };
        left.insert(name.to_owned(), wanted);
    }
    if more > 0 {
        left_out.push(format!("{more} more files that it makes or removes, not all of them in each run"));
    }
    (left, left_out)
}

/// A file's content, if it is a short text.
fn text(entry: Option<&Entry>) -> Option<String> {
    match entry {
        Some(Entry::File { bytes, .. }) if bytes.len() <= LARGEST_LEFT => {
            String::from_utf8(bytes.clone()).ok()
        }
        _ => None,
    }
}

fn is_shell(word: &str) -> bool {
    word == "sh" || word == "/bin/sh"
}

/// What the host must have: the program, or those that a script starts.
fn needs(words: &[String], script: Option<&BTreeSet<PathBuf>>) -> Vec<String> {
    let in_path = |path: &Path| {
        std::env::split_paths(GUEST_PATH)
            .any(|folder| path.parent() == Some(&folder))
            .then(|| path.file_name()?.to_str().map(str::to_owned))
            .flatten()
    };
    let named: BTreeSet<String> = match script {
        Some(programs) => programs.iter().filter_map(|path| in_path(path)).collect(),
        None => words
            .first()
            .filter(|word| !word.contains(['$', '/']) || word.starts_with('/'))
            .cloned()
            .into_iter()
            .collect(),
    };
    let written = |name: &String| {
        let bare = name.parse::<Need>().is_ok() && !name.contains(['<', '>', '=']);
        if bare { name.clone() } else { format!("program({name})") }
    };
    named.iter().map(written).filter(|need| need.parse::<Need>().is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_becomes_the_work_folder() {
        let at = |text: &str| relocated(text, Path::new("/a/b"));
        assert_eq!(at("/a/b/c:/a/b"), "$WORK/c:$WORK");
        assert_eq!(at("/a/bc --x=/a/b"), "/a/bc --x=$WORK");
        assert_eq!(relocated("/x", Path::new("/")), "/x");
    }

    #[test]
    fn programs_are_needed_by_name() {
        let words = |word: &str| needs(&[word.to_owned()], None);
        assert_eq!(words("git"), ["git"]);
        assert_eq!(words("mawk"), ["program(mawk)"]);
        assert_eq!(words("/opt/x"), ["program(/opt/x)"]);
        assert_eq!(words("./x"), Vec::<String>::new());
        let programs = ["/usr/bin/sort", "/w/x"].map(PathBuf::from).into();
        assert_eq!(needs(&[], Some(&programs)), ["program(sort)"]);
    }
}
