//! A folder in memory: what lies in it, to be laid out anew, and compared with what a command left.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use assize_core::policy::Timestamp;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// More is not copied for each run.
const MOST_BYTES: usize = 64 << 20;
const MOST_FILES: usize = 20_000;

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    File { bytes: Vec<u8>, mode: u32 },
    Symlink(OsString),
    Folder { mode: u32 },
}

/// What lies in a folder, by path relative to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    pub(super) entries: BTreeMap<PathBuf, Entry>,
    /// When each was last modified, and the folder itself.
    modified: BTreeMap<PathBuf, Timespec>,
    /// What was left out, and is there.
    pub(super) aside: BTreeSet<PathBuf>,
}

/// How old what is laid out is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Age {
    /// New, as a scenario's files are.
    New,
    /// As old as what it was read from.
    Original,
    /// As old as a clock that shows this, as a scenario's files are where guests have a clock of their own.
    Of(Timestamp),
}

/// Why it can't be had.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It is too much to be copied for each run.
    #[error(
        "{0} holds more than {most} MiB or {MOST_FILES} files, too much to be copied for each run: record in a smaller folder",
        most = MOST_BYTES >> 20
    )]
    TooLarge(PathBuf),
    /// It can't be read or made.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Tree {
    /// Reads a folder, without what is to be left `aside`. What can't be read, no command of the same user could read either: it
    /// is left out as well.
    pub(super) fn read(root: &Path, aside: &dyn Fn(&Path) -> bool) -> Result<Self, TreeError> {
        let mut tree = Self::default();
        if let Ok(metadata) = root.metadata() {
            tree.modified.insert(PathBuf::new(), modified(&metadata));
        }
        let mut open = vec![PathBuf::new()];
        let mut bytes_left = MOST_BYTES;
        while let Some(folder) = open.pop() {
            let at = root.join(&folder);
            let entries = match fs::read_dir(&at) {
                Ok(entries) => entries,
                Err(error) if folder.as_os_str().is_empty() => {
                    return Err(TreeError::File { path: at, error });
                }
                Err(_) => continue,
            };
            for entry in entries.flatten() {
                let path = folder.join(entry.file_name());
                if aside(&path) {
                    tree.aside.insert(path);
                    continue;
                }
                let Ok(metadata) = entry.metadata() else { continue };
                let mode = metadata.permissions().mode() & 0o7777;
                let found = if metadata.is_dir() {
                    open.push(path.clone());
                    Entry::Folder { mode }
                } else if metadata.is_symlink() {
                    let Ok(target) = fs::read_link(root.join(&path)) else { continue };
                    Entry::Symlink(target.into_os_string())
                } else if metadata.is_file() {
                    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
                    if size > bytes_left {
                        return Err(TreeError::TooLarge(root.to_owned()));
                    }
                    let Ok(bytes) = fs::read(root.join(&path)) else { continue };
                    bytes_left = bytes_left.saturating_sub(bytes.len());
                    Entry::File { bytes, mode }
                } else {
                    continue;
                };
                tree.modified.insert(path.clone(), modified(&metadata));
                tree.entries.insert(path, found);
                if tree.entries.len() > MOST_FILES {
                    return Err(TreeError::TooLarge(root.to_owned()));
                }
            }
        }
        Ok(tree)
    }

    /// Lays it out in an empty folder. Links that name the folder `from` name this one then.
    pub(super) fn write(&self, to: &Path, from: &Path, age: Age) -> Result<(), TreeError> {
        let dated = |path: &Path| self.date(path, to, age);
        let mode = |at: &Path, mode: u32| fs::set_permissions(at, Permissions::from_mode(mode));
        let put = |path: &Path, entry: &Entry| match entry {
            Entry::Folder { .. } => fs::create_dir(to.join(path)),
            Entry::File { bytes, mode: of } => {
                fs::write(to.join(path), bytes)?;
                mode(&to.join(path), *of)
            }
            Entry::Symlink(target) => symlink(moved(target, from, to), to.join(path)),
        };
        let failed = |path: &Path, error| TreeError::File { path: to.join(path), error };
        for (path, entry) in &self.entries {
            put(path, entry).map_err(|error| failed(path, error))?;
        }
        // A folder gets its time, and one that may not be written to its mode, when all that lies in it is there.
        for (path, entry) in self.entries.iter().rev() {
            dated(path).map_err(|error| failed(path, error))?;
            if let Entry::Folder { mode: of } = entry {
                mode(&to.join(path), *of).map_err(|error| failed(path, error))?;
            }
        }
        dated(Path::new("")).map_err(|error| failed(Path::new(""), error))
    }

    fn date(&self, path: &Path, to: &Path, age: Age) -> io::Result<()> {
        let time = match age {
            Age::New => None,
            Age::Original => self.modified.get(path).copied(),
            Age::Of(time) => Some(Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() }),
        };
        let Some(time) = time else { return Ok(()) };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(utimensat(CWD, to.join(path), &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// What is there in `after` and is new or another than here, and what is there no longer. Folders that are not empty show
    /// by what lies in them.
    pub(super) fn changes<'a>(&'a self, after: &'a Self) -> BTreeMap<&'a Path, Option<&'a Entry>> {
        let is_other = |path: &Path, entry: &Entry| match (self.entries.get(path), entry) {
            (Some(Entry::Folder { .. }), Entry::Folder { .. }) => false,
            (Some(Entry::File { bytes, .. }), Entry::File { bytes: now, .. }) => bytes != now,
            (before, now) => before != Some(now),
        };
        let made = after.entries.iter().filter(|(path, entry)| is_other(path, entry));
        let made =
            made.filter(|(path, entry)| !matches!(entry, Entry::Folder { .. }) || after.is_empty(path));
        let gone = self.entries.keys().filter(|path| !after.entries.contains_key(*path));
        let made = made.map(|(path, entry)| (path.as_path(), Some(entry)));
        made.chain(gone.map(|path| (path.as_path(), None))).collect()
    }

    /// Whether nothing lies in this folder.
    pub(super) fn is_empty(&self, folder: &Path) -> bool {
        let mut after = self.entries.range(folder.to_owned()..).skip(1);
        after.next().is_none_or(|(path, _)| !path.starts_with(folder))
    }
}

fn modified(metadata: &Metadata) -> Timespec {
    Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() }
}

/// The same path, in another folder.
pub(super) fn moved(path: &OsString, from: &Path, to: &Path) -> OsString {
    match Path::new(path).strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.as_os_str().to_owned(),
        Ok(rest) => to.join(rest).into_os_string(),
        Err(_) => OsString::from_vec(path.as_bytes().to_vec()),
    }
}
