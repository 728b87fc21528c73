//! From a command to a scenario that passes as it stands: what the command used, wrote and was denied, seen in several runs.
//!
//! The command never runs in the folder that it is recorded in: each run has a copy of its own. Nothing is written but the text
//! that this gives.
#![forbid(unsafe_code)]

mod aside;
mod clock;
mod draft;
mod grants;
mod least;
mod left;
mod live;
mod order;
mod seen;
mod steady;
mod take;
mod together;
mod tree;
mod vary;
mod writable;
pub(crate) mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aside::Aside;
pub(crate) use aside::SCENARIOS;
use assize_core::RunError;
use assize_core::outcome::End;
use assize_core::trace::Exit;
use draft::{Draft, RECORDED, Ran};
pub(crate) use live::script;
use seen::Facts;
use take::{Take, Way, env, take};
use together::Together;
pub use tree::TreeError;
use tree::{Entry, Tree};
use vary::{Unsaid, Wanted};
use writable::Writable;

use crate::needs::Need;
use crate::runner::scratch;
use crate::scenario::expect::Signal;
use crate::scenario::policy::GUEST_PATH;

/// One as it comes, and two in which more differs.
const LEAST_RUNS: u32 = 3;
/// Opens of more input files are not expected one by one.
const MOST_OPENS: usize = 8;
/// More writes that were refused are not named.
const MOST_REFUSED: usize = 4;
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
    /// one has another clock, another host name and another order of what lies in folders.
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

/// What came of it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The scenario's text.
    pub text: String,
    /// What whoever recorded it may not have wanted.
    pub notes: Vec<String>,
}

/// Records a command. Says meanwhile what it does.
///
/// # Errors
/// [`RecordError`]: then there is no scenario of it that would pass.
pub fn record(options: &Options, say: &dyn Fn(&str)) -> Result<Recorded, RecordError> {
    let _kept = scratch::keep();
    let aside = Aside::of(options);
    let before = Before {
        tree: Tree::read(&options.folder, &|path| aside.before(path))?,
        writable: Writable::list(&options.write),
    };
    let named = named(options, &before.tree)?;
    let ran = Ran::of(words(options)?);
    let mut left_out = Vec::new();
    say("run 1");
    let first = take(options, &ran, &before.tree, 1, Way::Plain)?;
    if let End::TimedOut(after) = first.end {
        return Err(RecordError::TimedOut(after));
    }
    let (took, elsewhere) = (first.took, Way::Elsewhere { clock: clock::other(first.began) });
    let mut takes = vec![first];
    for nth in 2..=options.runs.max(LEAST_RUNS) {
        let way = match nth {
            2 => Way::Bare { before: took },
            nth if nth < options.runs.max(LEAST_RUNS) => Way::Plain,
            _ => elsewhere,
        };
        say(&format!("run {nth}{}", way.says()));
        let other = take(options, &ran, &before.tree, nth, way);
        let Some(first) = takes.first() else { return Err(RecordError::Interrupted) };
        match other {
            Ok(other) if other.end == first.end => {
                // Another order is another matter.
                let same = |take: &Take| {
                    vary::same_lines(&take.stdout, &first.stdout)
                        && vary::same_lines(&take.stderr, &first.stderr)
                };
                if way == elsewhere && takes.iter().all(same) && !same(&other) {
                    let what = "what it writes of the time, of the host's name and of what a file system counts and dates: \
                        it stands as `[..]`";
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
    let mut together = Together::of(&takes);
    together.facts.writes.extend(before.writable.changed());
    let notes = notes(&takes, &together.facts);
    let draft = draft(options, ran, &before, &takes, together, named, left_out);
    let text = steady::settle(draft, &before.tree, say)?;
    Ok(Recorded { text, notes })
}

/// What whoever records may not have wanted.
fn notes(takes: &[Take], facts: &Facts) -> Vec<String> {
    let failed = takes.first().map(|take| take.end).filter(|end| *end != End::Exit(Exit::Code(0)));
    let ended = failed.map(|end| match end {
        End::Exit(Exit::Code(code)) => {
            format!("the command ended with exit code {code}, which the scenario expects")
        }
        end => format!("the command was ended by {}, which the scenario expects", shown(end)),
    });
    ended.into_iter().chain(refused(facts)).collect()
}

/// What the command was to change, and was not let: as it is said at the head and to whoever records.
fn refused(facts: &Facts) -> Vec<String> {
    let said = facts.refused.iter().take(MOST_REFUSED).map(|(path, grant)| {
        let clean = |path: &Path| path.display().to_string().replace(char::is_control, " ");
        format!("the sandbox did not let it write to {}: `--write {}` would", clean(path), clean(grant))
    });
    said.collect()
}

/// What the user names to be copied anew, relative to the folder.
fn named(options: &Options, before: &Tree) -> Result<BTreeSet<PathBuf>, RecordError> {
    let inside = |path: &PathBuf| {
        let inside = live::inside(path, &options.folder).filter(|path| before.entries.contains_key(path));
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

/// What is there before it runs.
struct Before {
    tree: Tree,
    writable: Writable,
}

fn draft(
    options: &Options,
    ran: Ran,
    before: &Before,
    takes: &[Take],
    together: Together,
    named: BTreeSet<PathBuf>,
    mut left_out: Vec<String>,
) -> Draft {
    let Together { mut facts, denied_alike, connects: connected, servers } = together;
    let Before { tree: before, writable } = before;
    // What is named is there, whether or not it was used.
    facts.touched.extend(named.iter().cloned());
    facts.used.extend(named.iter().cloned());
    let plain: Vec<String> = options.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let programs = live::programs(&plain, &facts.executed, &facts.used, before, &options.folder);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut write = grants::write(&facts.writes, writable, home.as_deref());
    write.insert(0, "$WORK".to_owned());
    let given = |text: &str| given(text, options, &facts, before);
    let mut times = false;
    let mut pattern = |texts: &[&str]| {
        let moved: Vec<String> = takes.iter().zip(texts).map(|(take, text)| take.moved(text)).collect();
        let written: Vec<_> = takes.iter().zip(&moved).map(|(take, text)| take.written(text)).collect();
        let found = vary::pattern(&written, &given)?;
        times |= found.times;
        Ok(found.wanted)
    };
    let (left, more) = left::left(before, takes, &mut pattern);
    left_out.extend(more);
    if !denied_alike {
        left_out.push("denials that were not the same in each run".to_owned());
    }
    for address in servers {
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
    let expected = |name: &str, wanted: Result<Wanted, Unsaid>, left_out: &mut Vec<String>| {
        wanted.map_err(|why| left_out.push(format!("what it writes to {name}: {}", why.says()))).ok()
    };
    let stdout = expected("stdout", streams.0, &mut left_out);
    let stderr = expected("stderr", streams.1, &mut left_out);
    let unseen = aside::scenarios(
        before.aside.iter().filter(|path| facts.listed.iter().any(|listed| path.parent() == Some(listed))),
    );
    if !unseen.is_empty() {
        let names: Vec<String> =
            unseen.iter().take(MOST_OPENS).map(|path| path.display().to_string()).collect();
        let names = names.join(", ").replace(char::is_control, " ");
        left_out.push(format!("scenarios that lie in the folder: it did not see {names}"));
    }
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
    let started = facts.programs.iter().cloned();
    let started = started
        .chain(facts.executed.iter().filter_map(|path| live::interpreted_by(before.entries.get(path)?)));
    let started: BTreeSet<PathBuf> = started.collect();
    let read = grants::read(&facts.reads, writable, home.as_deref()).into_iter();
    Draft {
        head: vec![
            format!("{RECORDED}{command}"),
            format!(
                "It ran {} times; what varied stands as `[..]` and `...`, what it can do without was taken out.",
                takes.len()
            ),
        ]
        .into_iter()
        .chain(refused(&facts).iter().map(|said| capitalized(said)))
        .collect(),
        name: options.name.clone(),
        about: options
            .about
            .clone()
            .unwrap_or_else(|| format!("`{command}` does what it did when it was recorded")),
        needs: needs(&ran, &started),
        read: read.chain(facts.above.iter().map(|up| grants::above(*up))).collect(),
        write,
        writable: options.write.iter().filter_map(|path| grants::shown(path)).collect(),
        env: env(options),
        files,
        used: facts.used.clone(),
        live: programs.into_iter().chain(named).collect(),
        from: options.folder.clone(),
        saved_in: options.saved_in.clone(),
        stdin: options.stdin.clone(),
        ran,
        exit: takes.first().map_or_else(String::new, |take| shown(take.end)),
        stdout,
        stderr,
        left,
        never_connects: !connected,
        sees: denials.chain(connects).collect(),
        opens,
        exhaustive: denied_alike,
        timeout: options.timeout,
        left_out,
    }
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest).collect::<String>() + "."
}

/// Whether a text stands in what the command was given, and so comes from there.
fn given(text: &str, options: &Options, facts: &Facts, before: &Tree) -> bool {
    let has = |from: &str| from.contains(text);
    let files = facts.used.iter().any(|path| match before.entries.get(path) {
        Some(Entry::File { bytes, .. }) => std::str::from_utf8(bytes).is_ok_and(has),
        _ => false,
    });
    let words = options.command.iter().any(|word| word.to_str().is_some_and(has));
    files
        || words
        || options.stdin.as_deref().is_some_and(has)
        || options.env.values().any(|value| has(value))
}

/// What the host must have: the program, and those that were started of it, as far as guests find them by their names. What a
/// program keeps elsewhere, as a compiler its passes, comes with it.
fn needs(ran: &Ran, programs: &BTreeSet<PathBuf>) -> Vec<String> {
    let in_path = |path: &Path| {
        std::env::split_paths(GUEST_PATH)
            .any(|folder| path.parent() == Some(&folder))
            .then(|| path.file_name()?.to_str().map(str::to_owned))
            .flatten()
    };
    let first = match ran {
        Ran::Shell(_) => None,
        Ran::Words(words) => words.first().filter(|word| !word.contains(['$', '/']) || word.starts_with('/')),
    };
    let started = programs.iter().filter(|path| first.is_none_or(|first| path.as_path() != Path::new(first)));
    let named: BTreeSet<String> =
        first.cloned().into_iter().chain(started.filter_map(|path| in_path(path))).collect();
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
        let words = |word: &str| needs(&Ran::Words(vec![word.to_owned()]), &BTreeSet::new());
        assert_eq!(words("git"), ["git"]);
        assert_eq!(words("mawk"), ["program(mawk)"]);
        assert_eq!(words("/opt/x"), ["program(/opt/x)"]);
        assert_eq!(words("./x"), Vec::<String>::new());
        let programs = ["/usr/bin/sort", "/w/x"].map(PathBuf::from).into();
        assert_eq!(needs(&Ran::Shell(String::new()), &programs), ["program(sort)"]);
        let make = Ran::Words(vec!["/usr/bin/make".to_owned()]);
        let programs =
            ["/usr/bin/make", "/bin/sh", "/usr/bin/cc", "/usr/lib/x/cc1"].map(PathBuf::from).into();
        assert_eq!(needs(&make, &programs), ["program(/usr/bin/make)", "cc", "sh"]);
    }
}
