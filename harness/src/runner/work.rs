//! The work folder of one run.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use assize_core::policy::Timestamp;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::RunnerError;
use super::copy::{can_be_executed, copy};
use super::left::{Change, Left};
use super::scratch::Scratch;
use crate::matcher::{Changes, FileSeen};
use crate::scenario::files::{FileSpec, WorkPath};

/// A larger file is not read: no expectation compares that much.
const LARGEST: u64 = 16 << 20;

/// A fresh folder with a scenario's files. It is removed at the end.
#[derive(Debug)]
pub(crate) struct Work {
    folder: Scratch,
}

impl Work {
    /// Makes it; for the same purpose it lies where the last one lay, if that is free. Before guests see it, it is to be
    /// [settled](Self::settle).
    pub(super) fn make(files: &BTreeMap<WorkPath, FileSpec>, purpose: &str) -> Result<Self, RunnerError> {
        let work = Self { folder: Scratch::make(purpose).map_err(failed("a temporary folder"))? };
        for (name, file) in files {
            work.put(name.as_path(), file).map_err(failed(&name.as_path().display().to_string()))?;
        }
        // Links come when what they are links to is there.
        for (name, file) in files {
            if let FileSpec::Link(other) = file {
                fs::hard_link(work.path().join(other.as_path()), work.path().join(name.as_path()))
                    .map_err(failed(&name.as_path().display().to_string()))?;
            }
        }
        Ok(work)
    }

    /// When all that is to lie in it is there. Where guests have a clock of their own, all of that, and the folder itself, is as
    /// old as that clock.
    pub(super) fn settle(
        &self,
        files: &BTreeMap<WorkPath, FileSpec>,
        start: Option<Timestamp>,
    ) -> Result<(), RunnerError> {
        if let Some(start) = start {
            date(self.path(), start).map_err(failed("a file's time"))?;
        }
        // A folder that may not be written to gets its mode last.
        for (name, file) in files.iter().rev() {
            let FileSpec::Dir { mode } = file else { continue };
            let at = self.path().join(name.as_path());
            // A step outside of the sandbox may have put something else there, or a link to a folder of the user's.
            if fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir()) {
                fs::set_permissions(at, Permissions::from_mode(*mode)).map_err(failed("a folder's mode"))?;
            }
        }
        Ok(())
    }

    fn put(&self, name: &Path, file: &FileSpec) -> io::Result<()> {
        let at = self.path().join(name);
        // What was copied may hold links: nothing is put through one.
        follows_no_link(self.path(), name)?;
        let folders = |at: &Path| DirBuilder::new().recursive(true).mode(0o755).create(at);
        if let Some(parent) = at.parent() {
            folders(parent)?;
        }
        match file {
            FileSpec::File { content, mode } => {
                fs::write(&at, content)?;
                can_be_executed(&at, *mode)?;
                fs::set_permissions(&at, Permissions::from_mode(*mode))
            }
            FileSpec::Symlink(target) => symlink(target.expand(self.path()), &at),
            FileSpec::Link(_) => Ok(()),
            FileSpec::Dir { .. } => folders(&at),
            FileSpec::From(copied) => {
                copy(&copied.path, &at, self.path())?;
                let Some(mode) = copied.mode else { return Ok(()) };
                can_be_executed(&at, mode)?;
                fs::set_permissions(&at, Permissions::from_mode(mode))
            }
        }
    }

    /// Lets the next one have its name.
    pub(super) fn move_aside(&mut self) -> Result<(), RunnerError> {
        let what = "a run that is over".to_owned();
        self.folder.move_aside().map_err(|error| RunnerError::Work { what, error })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What has changed in it since.
    pub(super) fn changes(&self, before: &Left) -> Changes {
        let after = Left::beneath(self.path());
        let mut changes = Changes { cut: before.is_cut() || after.is_cut(), ..Changes::default() };
        for (path, change) in after.changes(before) {
            let name = path.to_string_lossy().into_owned();
            let list = match change {
                Change::Added => &mut changes.added,
                Change::Modified => &mut changes.modified,
                Change::Deleted => &mut changes.deleted,
            };
            let seen = match change {
                Change::Deleted => FileSeen::Absent,
                _ => {
                    look(&self.path().join(path)).unwrap_or_else(|why| FileSeen::Unreadable(why.to_string()))
                }
            };
            list.insert(name, seen);
        }
        changes
    }

    /// What lies at a path: one relative to the folder, beneath `$WORK`, or absolute.
    pub(super) fn look(&self, name: &str) -> FileSeen {
        let inner = name.strip_prefix("$WORK/").unwrap_or(name);
        let at = self.path().join(inner);
        // A guest can lay a symbolic link where a folder is expected: what lies behind it is not the guest's work.
        if !inner.starts_with('/') {
            let parent = at.parent().unwrap_or(self.path()).canonicalize();
            if parent.is_ok_and(|parent| !parent.starts_with(self.path())) {
                return FileSeen::Unreadable("its folder leads out of the work folder".to_owned());
            }
        }
        match look(&at) {
            Ok(seen) => seen,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                FileSeen::Absent
            }
            Err(error) => FileSeen::Unreadable(error.to_string()),
        }
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> RunnerError + use<> {
    let what = what.to_owned();
    move |error| RunnerError::Work { what, error }
}

/// Makes room for what is to lie at this path, and sees to it that no link leads there.
fn follows_no_link(work: &Path, name: &Path) -> io::Result<()> {
    let mut at = work.to_owned();
    let mut parts = name.components().peekable();
    while let Some(part) = parts.next() {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(found) if parts.peek().is_none() && !found.is_dir() => fs::remove_file(&at)?,
            Ok(found) if !found.is_dir() => {
                let why = format!("{} is no folder", at.strip_prefix(work).unwrap_or(&at).display());
                return Err(io::Error::new(io::ErrorKind::NotADirectory, why));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

/// Gives a file this time, and before it all that lies in it.
fn date(at: &Path, time: Timestamp) -> io::Result<()> {
    if fs::symlink_metadata(at)?.is_dir() {
        for entry in fs::read_dir(at)? {
            date(&entry?.path(), time)?;
        }
    }
    let time = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn look(at: &Path) -> io::Result<FileSeen> {
    let found = fs::symlink_metadata(at)?;
    let mode = found.permissions().mode() & 0o7777;
    let kind = match found.file_type() {
        kind if kind.is_dir() => "a folder".to_owned(),
        kind if kind.is_symlink() => "a symbolic link".to_owned(),
        // Opening a FIFO or a device could wait, or do something.
        kind if !kind.is_file() => "a special file".to_owned(),
        _ if found.len() > LARGEST => format!("a file larger than {} MiB", LARGEST >> 20),
        _ => match fs::read(at) {
            Ok(bytes) => return Ok(FileSeen::File { bytes, mode }),
            Err(error) => format!("a file that can't be read ({error})"),
        },
    };
    Ok(FileSeen::Other { kind, mode })
}
