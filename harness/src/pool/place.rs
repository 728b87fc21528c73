//! The folder of the locks that hold between processes: `assize-locks-UID` in `/tmp`, whatever `TMPDIR` says, or in the folder
//! that `ASSIZE_LOCKS` names.
//!
//! A lock is `flock`'s (`man 2 flock`), so the kernel lets it go when its process ends, however it does: nobody has to
//! tidy up after a crash. Whoever lets it go himself removes its file.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::new_folder::one_level;
use crate::runner::session;

/// Where the folder lies, unless somebody says otherwise. Not among the temporary folders of this process alone.
const AMONG: &str = "/tmp";
const STEM: &str = "assize-locks";
/// Names another folder, where `/tmp` is not the same for all processes.
const VARIABLE: &str = "ASSIZE_LOCKS";
/// How often a file is opened that somebody else may remove meanwhile.
const TRIES: usize = 100;

/// Why no lock can be had, in this folder or of this file.
#[derive(Debug, thiserror::Error)]
#[error("no lock can be had: {}: {error}", path.display())]
pub(crate) struct PlaceError {
    path: PathBuf,
    error: io::Error,
}

/// A folder of locks.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: Arc<OwnedFd>,
    pub(super) path: PathBuf,
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    folder: Arc<OwnedFd>,
    name: String,
    file: OwnedFd,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever has opened the file meanwhile will see that it has no name any more.
        let _ = unlinkat(&self.folder, self.name.as_str(), AtFlags::empty());
        // A process that is being started may hold a copy of the descriptor for a moment longer.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl PlaceError {
    /// Whether the folder is there no more.
    pub(super) fn is_gone(&self) -> bool {
        self.error.kind() == io::ErrorKind::NotFound
    }

    pub(super) fn of(path: &Path, error: impl Into<io::Error>) -> Self {
        Self { path: path.to_owned(), error: error.into() }
    }
}

impl Place {
    /// The user's own; made where it is missing.
    pub(super) fn open() -> Result<Self, PlaceError> {
        let among = match std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
            Some(folder) => {
                let folder = PathBuf::from(folder);
                one_level(&folder).map_err(|error| PlaceError::of(&folder, error))?;
                folder
            }
            None => PathBuf::from(AMONG),
        };
        match session::own_folder(&among, STEM) {
            Ok((folder, path)) => Ok(Self { folder: Arc::new(folder), path }),
            Err((path, errno)) => Err(PlaceError::of(&path, errno)),
        }
    }

    /// The lock of this name. `None`: somebody else holds it.
    pub(super) fn lock(&self, name: &str) -> Result<Option<Lock>, PlaceError> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |errno: Errno| PlaceError::of(&self.path.join(name), errno);
        for _ in 0..TRIES {
            let file = openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(failed(errno)),
            }
            // The file may have been removed before it was locked: then others lock another of this name.
            let held = fstat(&file).map_err(failed)?;
            let named = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW);
            if named.is_ok_and(|named| (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)) {
                return Ok(Some(Lock { folder: Arc::clone(&self.folder), name: name.to_owned(), file }));
            }
        }
        Err(failed(Errno::NOENT))
    }
}
