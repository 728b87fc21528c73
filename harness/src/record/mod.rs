//! From a command to a scenario that passes as it stands: what the command used, wrote and was denied, seen in several runs.
//!
//! The command never runs in the folder that it is recorded in: each run has a copy of its own. Nothing is written but the text
//! that this gives.
#![forbid(unsafe_code)]

mod draft;
mod grants;
mod live;
mod order;
mod seen;
mod steady;
mod take;
mod tree;
mod vary;
pub(crate) mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assize_core::RunError;
use assize_core::outcome::End;
use assize_core::trace::Exit;
use draft::{Draft, Left, Ran};
use seen::{Denial, Facts};
use take::{Take, Way, env, take};
pub use tree::TreeError;
use tree::{Entry, Tree};

use crate::needs::Need;
use crate::runner::scratch;
use crate::scenario::expect::Signal;
use crate::scenario::policy::GUEST_PATH;

/// One as it comes, and two in which more differs.
const LEAST_RUNS: u32 = 3;
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
    /// How many runs are compared, at least three: the second one has no namespaces, and who writes first is held up; the last
    /// one has another clock and another host name.
    pub runs: u32,
    /// How long each may take.
    pub timeout: Duration,
    /// Variables of its environment, besides those that every guest has.
    pub env: BTreeMap<String, String>,
    /// What it reads.
    pub stdin: Option<String>,
    /// What it may write to besides its own folder.
    pub write: Vec<PathBuf>,
    /// What of the folder is copied anew at each run of the scenario, besides the programs of one's own that it executes.
    pub live: Vec<PathBuf>,
    /// The folder that the scenario's file will lie in, as the kernel names it.
    pub saved_in: PathBuf,
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
    /// What is to be copied anew is not there.
    #[error("{0} is nothing that lies in the current folder: only what does can be copied from it")]
    NotInside(PathBuf),
    /// It uses too much of its folder.
    #[error(
        "it uses {0} KiB of files in its folder, and a scenario can hold {most} KiB: `--live PATH` copies a file or folder at each run",
        most = MOST_INPUT >> 10
    )]
    Inputs(usize),
    /// It does not do the same again, and it is not known why.
    #[error("what was recorded does not pass when it is run again:\n{0}")]
    NotSteady(String),
    /// The process is to end.
    #[error("interrupted")]
    Interrupted,
}

/// Records a command, and gives the scenario's text. Says meanwhile what it does.
///
/// # Errors
/// [`RecordError`]: then there is no scenario of it that would pass.
pub fn record(options: &Options, say: &dyn Fn(&str)) -> Result<String, RecordError> {
    let _kept = scratch::keep();
    let before = Tree::read(&options.folder)?;
    let named = named(options, &before)?;
    let words = words(options)?;
    let mut left_out = Vec::new();
    say("run 1");
    let first = take(options, &words, &before, 1, Way::Plain)?;
    if let End::TimedOut(after) = first.end {
        return Err(RecordError::TimedOut(after));
    }
    let took = first.took;
    let mut takes = vec![first];
    for nth in 2..=options.runs.max(LEAST_RUNS) {
        let way = match nth {
            2 => Way::Bare { before: took },
            nth if nth < options.runs.max(LEAST_RUNS) => Way::Plain,
            _ => Way::Elsewhere,
        };
        say(&format!("run {nth}{}", way.says()));
        let other = take(options, &words, &before, nth, way);
        let Some(first) = takes.first() else { return Err(RecordError::Interrupted) };
        match other {
            Ok(other) if other.end == first.end => {
                let same = |take: &Take| take.stdout == first.stdout && take.stderr == first.stderr;
                if way == Way::Elsewhere && takes.iter().all(same) && !same(&other) {
                    let what = "what it writes of the time or of the host's name: it stands as `[..]`";
                    left_out.push(what.to_owned());
                }
                takes.push(other);
            }
            Ok(other) => match (way.names(), other.end) {
                (Some(name), end) => left_out.push(format!("{name}: there it ended by {}", shown(end))),
                (None, End::TimedOut(after)) => return Err(RecordError::TimedOut(after)),
                (None, end) => return Err(RecordError::Ends { one: shown(first.end), two: shown(end) }),
            },
            Err(RecordError::Run(error)) if way.names().is_some() => {
                left_out.push(format!("{}: {error}", way.names().unwrap_or_default()));
            }
            Err(error) => return Err(error),
        }
    }
    let draft = draft(options, words, &before, &takes, named, left_out)?;
    steady::settle(draft, &before, say)
}

/// What the user names to be copied anew, relative to the folder.
fn named(options: &Options, before: &Tree) -> Result<BTreeSet<PathBuf>, RecordError> {
    let inside = |path: &PathBuf| {
        let inside = live::inside(path, &options.folder).filter(|path| before.0.contains_key(path));
        inside.ok_or_else(|| RecordError::NotInside(path.clone()))
    };
    options.live.iter().map(inside).collect()
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
        facts.executed.extend(of.executed.iter().cloned());
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
    named: BTreeSet<PathBuf>,
    mut left_out: Vec<String>,
) -> Result<Draft, RecordError> {
    let Together { mut facts, denied_alike } = together(takes);
    // What is named is there, whether or not it was used.
    facts.touched.extend(named.iter().cloned());
    facts.used.extend(named.iter().cloned());
    let plain: Vec<String> = options.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let programs = live::programs(&plain, &facts.executed, &facts.used, before, &options.folder);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut write = grants::write(&facts.writes, home.as_deref());
    write.insert(0, "$WORK".to_owned());
    let given = |text: &str| given(text, options, &facts, before);
    let mut times = false;
    let mut pattern = |texts: &[&str]| {
        let written: Vec<_> = takes.iter().zip(texts).map(|(take, text)| take.written(text)).collect();
        let found = vary::pattern(&written, &given)?;
        times |= found.times;
        Some(found.wanted)
    };
    let (left, more) = left(before, takes, &mut pattern);
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
    let mut stream =
        |of: fn(&Take) -> &String| pattern(&takes.iter().map(|take| of(take).as_str()).collect::<Vec<_>>());
    let streams = (stream(|take| &take.stdout), stream(|take| &take.stderr));
    if times {
        left_out.push("how long things took: digits before a unit of time stand as `[..]`".to_owned());
    }
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
    let files = steady::inputs(before, &facts);
    let inputs = |path: &&String| {
        let plain = path.trim_start_matches("$WORK/").trim_start_matches("./");
        files.contains_key(Path::new(plain))
    };
    let opens = facts.opened.iter().filter(inputs).take(MOST_OPENS);
    let opens = opens
        .map(|path| format!("{{ call: family(open), path: {}, verdict: allow }}", yaml::scalar(path)))
        .collect();
    let command = plain.join(" ");
    let command: String = command.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect();
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
        live: programs.into_iter().chain(named).collect(),
        from: options.folder.clone(),
        saved_in: options.saved_in.clone(),
        stdin: options.stdin.clone(),
        ran,
        exit: takes.first().map_or_else(String::new, |take| shown(take.end)),
        stdout: streams.0,
        stderr: streams.1,
        left,
        never_connects: facts.connects.is_empty(),
        sees: denials.chain(connects).collect(),
        opens,
        exhaustive: denied_alike,
        timeout: options.timeout,
        left_out,
    })
}

/// Whether a text stands in what the command was given, and so comes from there.
fn given(text: &str, options: &Options, facts: &Facts, before: &Tree) -> bool {
    let has = |from: &str| from.contains(text);
    let files = facts.used.iter().any(|path| match before.0.get(path) {
        Some(Entry::File { bytes, .. }) => std::str::from_utf8(bytes).is_ok_and(has),
        _ => false,
    });
    let words = options.command.iter().any(|word| word.to_str().is_some_and(has));
    files
        || words
        || options.stdin.as_deref().is_some_and(has)
        || options.env.values().any(|value| has(value))
}

/// What every run made, changed and removed in the work folder; and what is to be said of the rest.
fn left(
    before: &Tree,
    takes: &[Take],
    pattern: &mut dyn FnMut(&[&str]) -> Option<vary::Wanted>,
) -> (BTreeMap<String, Left>, Vec<String>) {
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
            (Some(texts), _) => {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                pattern(&texts).map_or(Left::Present, Left::Text)
            }
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
