//! What of a folder is no part of what is recorded: what was recorded there before, and what interpreters keep for themselves.
//!
//! What the command names is part of it, whatever it is.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Options;
use super::draft::RECORDED;
use crate::scenario;

/// Where scenarios lie, and where they are written.
pub(crate) const SCENARIOS: &str = "scenarios";
/// What Python keeps of a module, and makes anew.
const CACHE: &str = "__pycache__";

/// What is left aside in a folder.
pub(super) struct Aside<'a> {
    options: &'a Options,
}

impl<'a> Aside<'a> {
    pub(super) fn of(options: &'a Options) -> Self {
        Self { options }
    }

    /// Of what lies there before the command runs.
    pub(super) fn before(&self, path: &Path) -> bool {
        let at = || self.options.folder.join(path);
        self.after(path)
            || (path == Path::new(SCENARIOS) && holds_scenarios(&at()) || is_recorded(path, &at()))
                && !self.is_named(path)
    }

    /// Of what lies there afterwards.
    pub(super) fn after(&self, path: &Path) -> bool {
        is_cache(path) && !self.is_named(path)
    }

    /// Whether the command or `--live` says its name.
    fn is_named(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return true };
        let words = self.options.command.iter().map(|word| word.to_string_lossy());
        let live = self.options.live.iter().map(|path| path.to_string_lossy());
        words.chain(live).any(|word| word.contains(name))
    }
}

/// What was left aside and is no cache: the user may miss it.
pub(super) fn scenarios<'a>(aside: impl Iterator<Item = &'a PathBuf>) -> Vec<&'a PathBuf> {
    aside.filter(|path| !is_cache(path)).collect()
}

fn is_cache(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == CACHE)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml")
}

/// Whether a scenario begins as those do that are written here.
fn is_recorded(path: &Path, at: &Path) -> bool {
    if !is_yaml(path) || !at.symlink_metadata().is_ok_and(|found| found.is_file()) {
        return false;
    }
    let begins = format!("# {RECORDED}");
    let mut bytes = Vec::new();
    let read = File::open(at).and_then(|file| file.take(begins.len() as u64).read_to_end(&mut bytes));
    read.is_ok() && bytes == begins.as_bytes()
}

/// Whether a folder of that name is one of ours.
fn holds_scenarios(folder: &Path) -> bool {
    let Ok(entries) = folder.read_dir() else { return false };
    let files = entries.flatten().map(|entry| entry.path()).filter(|path| is_yaml(path));
    files.into_iter().any(|file| scenario::load(folder, &file).is_ok_and(|found| !found.is_empty()))
}
