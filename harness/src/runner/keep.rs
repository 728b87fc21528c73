//! The artefacts of a run: of one that failed, if nothing else is asked for.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use assize_core::trace::{JsonLines, Sink};
use rustix::fs::{FlockOperation, flock};

use super::{Take, state};
use crate::bazel;
use crate::scenario::TestName;

/// More than this of a work folder is not kept.
const MOST_BYTES: u64 = 64 << 20;
/// Held by whoever keeps something in a folder that others use as well.
const LOCK: &str = "keep.lock";

/// Which artefacts are kept, and where.
#[derive(Debug, Clone)]
pub struct Keep {
    place: Place,
    which: Which,
}

#[derive(Debug, Clone)]
enum Place {
    /// Beneath this folder, one folder for each scenario, as its last run that was kept left it.
    Beneath(PathBuf),
    /// Each in a new folder among the system's temporary ones.
    Temporary,
}

/// Whose artefacts are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// Those of scenarios that failed.
    #[default]
    Failed,
    /// Those of all.
    All,
    /// Nobody's.
    None,
}

impl Keep {
    /// Beneath this folder, those of scenarios that failed.
    #[must_use]
    pub fn beneath(folder: PathBuf) -> Self {
        Self { place: Place::Beneath(folder), which: Which::Failed }
    }

    /// The same place, for others.
    #[must_use]
    pub fn of(self, which: Which) -> Self {
        Self { which, ..self }
    }

    /// `assize/` in the folder where Cargo builds: `CARGO_TARGET_DIR`, or the nearest `target` beside a `Cargo.toml`,
    /// from `start` upwards. Without one: a folder among the user's own state; and without that, temporary folders.
    #[must_use]
    pub fn near(start: &Path) -> Self {
        let asked =
            std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let built = || {
            let mut crates = start.ancestors().filter(|folder| folder.join("Cargo.toml").is_file());
            crates.find_map(|folder| Some(folder.join("target")).filter(|target| target.is_dir()))
        };
        let built = asked.or_else(built).map(|target| target.join("assize"));
        let place = built.or_else(|| state::folder(start)).map_or(Place::Temporary, Place::Beneath);
        Self { place, which: Which::Failed }
    }

    /// The folder that all lie in; `None`: each lies in one of its own.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Beneath(folder) => Some(folder),
            Place::Temporary => None,
        }
    }

    /// Whether the artefacts of a scenario that passed, or failed, are wanted.
    fn wants(&self, failed: bool) -> bool {
        match self.which {
            Which::Failed => failed,
            Which::All => true,
            Which::None => false,
        }
    }

    /// Keeps runs, each beneath its name (the first has none). Returns the folder, or `None` if that failed: a full
    /// disk is no reason to lose the findings.
    pub(super) fn run(&self, test: &TestName, takes: &[(&str, &Take)], failed: bool) -> Option<PathBuf> {
        if !self.wants(failed) {
            return None;
        }
        match &self.place {
            Place::Beneath(root) => {
                fs::create_dir_all(root).ok()?;
                // Others may keep a run of the same scenario in this moment: whole ones replace each other.
                let lock = fs::File::options().create(true).append(true).open(root.join(LOCK)).ok()?;
                flock(&lock, FlockOperation::LockExclusive).ok()?;
                let folder = root.join(file_name(test));
                match fs::remove_dir_all(&folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return None,
                    _ => put_all(takes, &folder)?,
                }
                Some(folder)
            }
            Place::Temporary => {
                let among = bazel::temporary().unwrap_or_else(std::env::temp_dir);
                let made = tempfile::Builder::new().prefix("assize-kept-").tempdir_in(among).ok()?;
                put_all(takes, made.path())?;
                Some(made.keep())
            }
        }
    }
}

fn put_all(takes: &[(&str, &Take)], folder: &Path) -> Option<()> {
    takes.iter().try_for_each(|(name, take)| put(take, &folder.join(name)).ok())
}

/// `report-leaks` for `report/leaks.yaml::leaks`.
fn file_name(test: &TestName) -> String {
    let kind = test.file.rsplit_once('.').filter(|(_, kind)| matches!(&*kind.to_lowercase(), "yaml" | "yml"));
    let file = kind.map_or(&*test.file, |(file, _)| file);
    let stem = file.rsplit('/').next().unwrap_or(file);
    let mut name = if stem == test.name { file.to_owned() } else { format!("{file}-{}", test.name) };
    for (axis, value) in &test.cell {
        name.push_str(&format!("-{axis}-{value}"));
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    // A file's name has at most 255 bytes.
    name.chars().map(plain).take(200).collect()
}

fn put(take: &Take, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("stdout"), &take.seen.stdout)?;
    fs::write(folder.join("stderr"), &take.seen.stderr)?;
    let mut log = JsonLines::new(fs::File::create(folder.join("verdicts.jsonl"))?);
    for event in &take.seen.events {
        log.take(event);
    }
    log.close();
    let mut left = MOST_BYTES;
    copy(take.work.path(), &folder.join("work"), &mut left, 0)
}

/// Copies a folder: files, folders and links as links. What can't be copied, or is special, is left out.
fn copy(from: &Path, to: &Path, left: &mut u64, depth: usize) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries.flatten() {
        let (Ok(kind), target) = (entry.file_type(), to.join(entry.file_name())) else { continue };
        if kind.is_dir() && depth < 200 {
            copy(&entry.path(), &target, left, depth + 1)?;
        } else if kind.is_symlink() {
            if let Ok(text) = fs::read_link(entry.path()) {
                symlink(text, target)?;
            }
        } else if kind.is_file() {
            let size = entry.metadata().map_or(u64::MAX, |found| found.len());
            if size <= *left && fs::copy(entry.path(), target).is_ok() {
                *left -= size;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_has_a_folder_of_its_own() {
        let mut test = TestName { file: "report/leaks.yaml".into(), name: "leaks".into(), cell: Vec::new() };
        assert_eq!(file_name(&test), "report-leaks");
        test.file = "report/LEAKS.YAML".into();
        assert_eq!(file_name(&test), "report-LEAKS-leaks");
        test.file = "report/leaks.yaml".into();
        test.name = "../x".into();
        test.cell.push(("seed".into(), "1".into()));
        assert_eq!(file_name(&test), "report-leaks----x-seed-1");
    }
}
