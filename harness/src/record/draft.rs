//! The scenario that is being made: what it says, and how that is written.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tree::Entry;
use super::vary::Wanted;
use super::{live, yaml};
use crate::scenario;
use crate::scenario::action::Action;
use crate::scenario::template::Word;

/// More files are not named at the head.
const MOST_NAMED: usize = 8;

/// What the head of a scenario that was written here begins with.
pub(super) const RECORDED: &str = "Recorded from: ";

/// What is run.
#[derive(Debug, Clone)]
pub(super) enum Ran {
    Words(Vec<String>),
    Shell(String),
}

impl Ran {
    /// A script of the shell that a scenario's `shell` has is said as one.
    pub(super) fn of(words: Vec<String>) -> Self {
        match words.as_slice() {
            [shell, flag, script] if (shell == "sh" || shell == "/bin/sh") && flag == "-c" => {
                // A script's `$WORK` is a variable of its environment.
                Self::Shell(script.replace("$$WORK", "$WORK").replace("$${WORK}", "${WORK}"))
            }
            _ => Self::Words(words),
        }
    }

    /// As the scenario will run it: who is called otherwise calls himself otherwise in what he writes.
    pub(super) fn argv(&self, work: &Path) -> Vec<OsString> {
        let action = match self {
            Self::Words(words) => Action::Run(words.iter().cloned().map(Word).collect()),
            Self::Shell(script) => Action::Shell(script.clone()),
        };
        action.argv(work).unwrap_or_default()
    }
}

/// What lies at a path afterwards.
#[derive(Debug, Clone)]
pub(super) enum Left {
    Absent,
    Present,
    Text(Wanted),
}

/// A scenario, part by part, each as it will be written.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// How it came about: comments at the head.
    pub(super) head: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) about: String,
    pub(super) needs: Vec<String>,
    pub(super) read: Vec<String>,
    pub(super) write: Vec<String>,
    /// What it might write to while it was recorded, as the user said it: more than it opened for writing.
    pub(super) writable: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) files: BTreeMap<PathBuf, Entry>,
    /// Those among them that it opened: nothing is taken from what it read.
    pub(super) used: BTreeSet<PathBuf>,
    /// Those among them, files and folders, that are copied anew at each run.
    pub(super) live: BTreeSet<PathBuf>,
    /// The folder that was recorded in: links into it lead into the work folder.
    pub(super) from: PathBuf,
    /// The folder that the file will lie in.
    pub(super) saved_in: PathBuf,
    pub(super) stdin: Option<String>,
    pub(super) ran: Ran,
    pub(super) exit: String,
    pub(super) stdout: Option<Wanted>,
    pub(super) stderr: Option<Wanted>,
    pub(super) left: BTreeMap<String, Left>,
    /// Patterns over verdicts: denials and connections, and opens of input files.
    pub(super) sees: Vec<String>,
    pub(super) opens: Vec<String>,
    pub(super) never_connects: bool,
    pub(super) exhaustive: bool,
    /// How long a run of it may take while it is being made: whatever it lacks then must not make it wait for ever.
    pub(super) timeout: Duration,
    /// What a reader should know that it does not test.
    pub(super) left_out: Vec<String>,
}

/// Where the file that is written is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// In the folder that it will lie in.
    Saved,
    /// In any: while it is tried.
    Anywhere,
}

impl Draft {
    /// As a file.
    pub(super) fn render(&self, reach: Reach) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write_to(&mut out, reach);
        out
    }

    /// Whether an input is copied anew at each run.
    pub(super) fn is_copied(&self, path: &Path, entry: &Entry) -> bool {
        match entry {
            Entry::File { bytes, .. } => {
                self.live.iter().any(|live| path.starts_with(live)) || live::is_bulky(path, bytes)
            }
            Entry::Folder { .. } => self.live.contains(path),
            Entry::Symlink(_) => false,
        }
    }

    /// Whether it is part of a folder that is copied as a whole.
    fn is_within_copied(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|above| self.live.contains(above))
    }

    /// Which files are the ones that lie there when it runs, and which are copies.
    fn say_which(&self, out: &mut String) -> std::fmt::Result {
        let shown = |live: bool| {
            let wanted = self.files.iter().filter(|(path, entry)| {
                !self.is_within_copied(path)
                    && match entry {
                        Entry::File { .. } => self.is_copied(path, entry) == live,
                        Entry::Folder { .. } => live && self.is_copied(path, entry),
                        Entry::Symlink(_) => false,
                    }
            });
            let names: Vec<String> = wanted.map(|(path, _)| path.display().to_string()).collect();
            let clean = names.iter().take(MOST_NAMED).map(|name| name.replace(char::is_control, " "));
            let more = names.len().saturating_sub(MOST_NAMED);
            let more = (more > 0).then(|| format!("{more} more"));
            clean.chain(more).collect::<Vec<_>>().join(", ")
        };
        for (names, says) in [
            (shown(true), "Live, copied anew at each run"),
            (shown(false), "Frozen, as when it was recorded"),
        ] {
            if !names.is_empty() {
                writeln!(out, "# {says}: {names}.")?;
            }
        }
        Ok(())
    }

    /// `from:` and what belongs to it.
    fn copy(&self, path: &Path, reach: Reach) -> String {
        let at = self.from.join(path);
        let said = match reach {
            Reach::Saved => live::relative(&at, &self.saved_in),
            Reach::Anywhere => at.clone(),
        };
        let inside = reach == Reach::Saved && scenario::is_in_project(&self.saved_in, &at);
        let outside = if inside { "" } else { ", outside: true" };
        format!("{{ from: {}{outside} }}", yaml::scalar(&said.to_string_lossy()))
    }

    fn write_to(&self, out: &mut String, reach: Reach) -> std::fmt::Result {
        for line in &self.head {
            writeln!(out, "# {line}")?;
        }
        self.say_which(out)?;
        if !self.left_out.is_empty() {
            writeln!(out, "#\n# Not in it:")?;
            for line in &self.left_out {
                writeln!(out, "# - {line}")?;
            }
        }
        if let Some(name) = &self.name {
            writeln!(out, "name: {}", yaml::scalar(name))?;
        }
        writeln!(out, "about: {}", yaml::scalar(&self.about))?;
        if !self.needs.is_empty() {
            writeln!(out, "needs: {}", yaml::list(&self.needs))?;
        }
        if self.read == ["$SYSTEM"] && self.write == ["$WORK"] {
            writeln!(
                out,
                "\n# It needs what every scenario may do: to read the system, and to write to its own folder."
            )?;
        } else {
            writeln!(out, "\n# The least under which it does the same, and nothing more is denied.")?;
            if self.read.iter().any(|path| path == "/") {
                writeln!(
                    out,
                    "# It reads the folder `/`, and so may read all that lies beneath: everything."
                )?;
            }
            if self.read.iter().any(|path| path.starts_with("$WORK/..")) {
                writeln!(
                    out,
                    "# What lies above $WORK is the harness's own, and not what lies above the folder that was recorded in."
                )?;
            }
            writeln!(out, "policy:\n  fs:")?;
            writeln!(out, "    read: {}", yaml::list(&self.read))?;
            writeln!(out, "    write: {}", yaml::list(&self.write))?;
        }
        if !self.env.is_empty() {
            writeln!(out, "env:")?;
            for (name, value) in &self.env {
                writeln!(out, "  {}: {}", yaml::scalar(name), yaml::text(value, 4))?;
            }
        }
        self.write_files(out, reach)?;
        if let Some(text) = &self.stdin {
            writeln!(out, "stdin: {}", yaml::text(text, 2))?;
        }
        out.push('\n');
        match &self.ran {
            Ran::Words(words) => writeln!(out, "run: {}", yaml::list(words))?,
            Ran::Shell(script) => writeln!(out, "shell: {}", yaml::text(script, 2))?,
        }
        writeln!(out, "\nexpect:\n  exit: {}", self.exit)?;
        for (name, wanted) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if let Some(wanted) = wanted {
                writeln!(out, "  {name}: {}", shown(wanted, 4))?;
            }
        }
        if !self.left.is_empty() {
            writeln!(out, "  # What it makes, changes and removes.\n  files:")?;
            for (path, left) in &self.left {
                let left = match left {
                    Left::Absent => "absent".to_owned(),
                    Left::Present => "present".to_owned(),
                    Left::Text(wanted) => shown(wanted, 6),
                };
                writeln!(out, "    {}: {left}", yaml::scalar(path))?;
            }
        }
        self.write_verdicts(out)
    }

    fn write_files(&self, out: &mut String, reach: Reach) -> std::fmt::Result {
        let mut lines = Vec::new();
        for (path, entry) in &self.files {
            let Some(name) = path.to_str().map(yaml::scalar) else { continue };
            if self.is_within_copied(path) {
                continue;
            }
            if self.is_copied(path, entry) {
                lines.push(format!("  {name}: {}", self.copy(path, reach)));
                continue;
            }
            lines.push(match entry {
                Entry::File { bytes, mode } => match (std::str::from_utf8(bytes), *mode) {
                    (Ok(text), 0o644) => format!("  {name}: {}", yaml::text(text, 4)),
                    (Ok(text), mode) => {
                        format!("  {name}:\n    mode: {mode:04o}\n    text: {}", yaml::text(text, 6))
                    }
                    (Err(_), mode) => {
                        format!("  {name}: {{ mode: {mode:04o}, base64: \"{}\" }}", yaml::base64(bytes))
                    }
                },
                Entry::Symlink(target) => {
                    let target = match Path::new(target).strip_prefix(&self.from) {
                        Ok(inside) => format!("$WORK/{}", inside.display()),
                        Err(_) => literal(&target.to_string_lossy()),
                    };
                    format!("  {name}: {{ symlink: {} }}", yaml::scalar(&target))
                }
                Entry::Folder { mode } => {
                    let holds = self.files.keys().any(|other| other != path && other.starts_with(path));
                    match mode {
                        0o755 if holds => continue,
                        0o755 => format!("  {name}: {{ dir: true }}"),
                        mode => format!("  {name}: {{ dir: true, mode: {mode:04o} }}"),
                    }
                }
            });
        }
        if !lines.is_empty() {
            writeln!(out, "\n# What it reads.\nfiles:\n{}", lines.join("\n"))?;
        }
        Ok(())
    }

    fn write_verdicts(&self, out: &mut String) -> std::fmt::Result {
        let sees: Vec<&String> = self.sees.iter().chain(&self.opens).collect();
        if sees.is_empty() && !self.never_connects && !self.exhaustive {
            return Ok(());
        }
        writeln!(out, "  verdicts:")?;
        if !sees.is_empty() {
            writeln!(out, "    sees:")?;
            for pattern in sees {
                writeln!(out, "      - {pattern}")?;
            }
        }
        if self.never_connects {
            writeln!(out, "    never: [{{ call: family(connect) }}]")?;
        }
        if self.exhaustive {
            writeln!(out, "    exhaustive: deny      # no denial but those above")?;
        }
        Ok(())
    }
}

/// A word of a command in which no dollar stands for the work folder.
pub(super) fn literal(text: &str) -> String {
    text.replace("$WORK", "$$WORK").replace("${WORK}", "$${WORK}")
}

fn shown(wanted: &Wanted, indent: usize) -> String {
    match wanted {
        Wanted::Empty => "{ empty: true }".to_owned(),
        Wanted::Equals(text) => format!("{{ equals: {} }}", yaml::scalar(text)),
        Wanted::Whole(text) => yaml::text(text, indent),
        Wanted::Unordered(lines) => format!("{{ lines: {{ unordered: {} }} }}", yaml::list(lines)),
    }
}
