//! What is remembered of the last run of each test: how long it took, and whether it failed.
//!
//! It lies in one small file beside the artefacts that are kept. It only says what is best done first, and what
//! `--last-failed` means: one that is missing, damaged or can't be written changes no result.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::runner::Keep;
use crate::suite::LOAD;

const FILE: &str = "history.json";
const LOCK: &str = "history.lock";
const NEW: &str = "history.new";
/// A larger file is not this program's.
const LARGEST: u64 = 64 << 20;
/// How often it is tried to be written while others write it.
const TRIES: u32 = 50;
const AGAIN: Duration = Duration::from_millis(10);
const VERSION: u32 = 1;

/// The last run of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// How long it took.
    pub(crate) ms: u64,
    /// Whether it failed.
    pub(crate) failed: bool,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    tests: BTreeMap<String, Past>,
}

/// What is remembered, and what is new.
#[derive(Debug, Default)]
pub(crate) struct History {
    folder: Option<PathBuf>,
    known: BTreeMap<String, Past>,
    new: BTreeMap<String, Past>,
}

/// What tests found beneath `root` are called here: by whatever folder one was found, it is the same test.
#[derive(Debug)]
pub(crate) struct Keys(PathBuf);

impl Keys {
    /// Of a folder of scenarios, or of the one of a file.
    pub(crate) fn beneath(root: &Path) -> Self {
        let root = if root.is_file() { root.parent().unwrap_or(root) } else { root };
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        Self(root.canonicalize().unwrap_or_else(|_| root.to_owned()))
    }

    /// The test's.
    pub(crate) fn of(&self, name: &str) -> String {
        format!("{}/{name}", self.0.display())
    }
}

impl History {
    /// What lies where artefacts are kept.
    pub(crate) fn near(keep: &Keep) -> Self {
        let folder = keep.folder().map(Path::to_owned);
        let known = folder.as_deref().map(read).unwrap_or_default();
        Self { folder, known, new: BTreeMap::new() }
    }

    /// How many milliseconds the test took; `None`: nobody remembers.
    fn took(&self, key: &str) -> Option<u64> {
        self.known.get(key).map(|past| past.ms)
    }

    /// Those that took longest first, and before them those that nobody remembers; else they stay in their order.
    pub(crate) fn longest_first<T>(&self, tests: &mut [T], key: impl Fn(&T) -> &str) {
        tests.sort_by_key(|test| std::cmp::Reverse(self.took(key(test)).unwrap_or(u64::MAX)));
    }

    /// Whether the last run of the test failed, or its file could not be loaded then.
    pub(crate) fn failed(&self, key: &str) -> bool {
        let failed = |key: &str| self.known.get(key).is_some_and(|past| past.failed);
        failed(key) || failed(&loading(key))
    }

    /// Remembers a run. Of several since this was read or written, the longest, and that one failed.
    pub(crate) fn note(&mut self, key: &str, took: Duration, failed: bool) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let past = self.new.entry(key.to_owned()).or_insert(Past { ms, failed });
        past.ms = past.ms.max(ms);
        past.failed |= failed;
    }

    /// Writes down what is new, beside what other processes have written meanwhile.
    pub(crate) fn write(&mut self) {
        let new = std::mem::take(&mut self.new);
        if let (Some(folder), false) = (&self.folder, new.is_empty()) {
            // See above: nothing depends on it.
            let _ = write(folder, new);
        }
    }
}

fn read(folder: &Path) -> BTreeMap<String, Past> {
    let mut text = String::new();
    let file = File::open(folder.join(FILE)).map(|file| file.take(LARGEST));
    match file.and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => match serde_json::from_str::<Stored>(&text) {
            Ok(stored) if stored.v == VERSION => stored.tests,
            _ => BTreeMap::new(),
        },
        Err(_) => BTreeMap::new(),
    }
}

fn write(folder: &Path, new: BTreeMap<String, Past>) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let lock = File::options().create(true).append(true).open(folder.join(LOCK))?;
    let mut tries = 0;
    while let Err(errno) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        tries += 1;
        if tries == TRIES {
            return Err(errno.into());
        }
        std::thread::sleep(AGAIN);
    }
    let mut tests = read(folder);
    // A file of which something was run can be loaded.
    for key in new.keys() {
        tests.remove(&loading(key));
    }
    tests.extend(new);
    // A file that is gone has no tests any more.
    let files: BTreeSet<_> = tests.keys().map(|key| file(key).to_owned()).collect();
    let gone: BTreeSet<_> = files.into_iter().filter(|file| !Path::new(file).exists()).collect();
    tests.retain(|key, _| !gone.contains(file(key)));
    let text = serde_json::to_string(&Stored { v: VERSION, tests })?;
    fs::write(folder.join(NEW), text)?;
    fs::rename(folder.join(NEW), folder.join(FILE))
}

/// The test that a file is which can't be loaded.
fn loading(key: &str) -> String {
    format!("{}::{LOAD}", file(key))
}

fn file(key: &str) -> &str {
    key.split_once("::").map_or(key, |(file, _)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(keep: &Keep, key: &str, ms: u64, failed: bool) {
        let mut history = History::near(keep);
        history.note(key, Duration::from_millis(ms), failed);
        history.write();
    }

    #[test]
    fn garbage_is_as_good_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep::beneath(folder.path().to_owned());
        let scenario = folder.path().join("a.yaml");
        fs::write(&scenario, "").unwrap();
        let key = Keys::beneath(folder.path()).of("a.yaml::a");
        assert_eq!(key, Keys::beneath(&scenario).of("a.yaml::a"));
        for garbage in
            ["", "{", "[]", "{\"v\":2,\"tests\":{}}", "{\"v\":1,\"tests\":{\"x\":3}}", "\0\u{fffd}"]
        {
            fs::write(folder.path().join(FILE), garbage).unwrap();
            assert_eq!(History::near(&keep).took(&key), None, "{garbage}");
            noted(&keep, &key, 7, true);
            let history = History::near(&keep);
            assert_eq!((history.took(&key), history.failed(&key)), (Some(7), true), "{garbage}");
        }
        noted(&keep, &key, 5, false);
        assert!(!History::near(&keep).failed(&key));
        fs::remove_file(scenario).unwrap();
        noted(&keep, "/nowhere::x", 1, true);
        assert_eq!(History::near(&keep).known, BTreeMap::new(), "a file that is gone is forgotten");
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep::beneath(folder.path().to_owned());
        fs::write(folder.path().join("a.yaml"), "").unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (keep, root) = (&keep, folder.path());
                scope.spawn(move || {
                    for nth in 0..10 {
                        noted(keep, &Keys::beneath(root).of(&format!("a.yaml::{writer}-{nth}")), nth, false);
                        assert!(History::near(keep).known.len() > nth as usize, "never half a file");
                    }
                });
            }
        });
        assert_eq!(History::near(&keep).known.len(), 40);
    }
}
