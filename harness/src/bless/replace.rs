//! A file is replaced whole or not at all, under its own name, mode and owner.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Why a file could not be replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// It could not be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no longer what was read.
    #[error("the file was changed meanwhile")]
    Changed,
    /// It is known by other names as well, which would keep the old content.
    #[error("the file has other names (hard links), which would keep what it holds now")]
    Linked,
    /// It is no text.
    #[error("the file is not UTF-8")]
    NotText,
}

/// A file that nobody else blesses meanwhile.
#[derive(Debug)]
pub(super) struct Held {
    /// Where it lies: what links lead to.
    path: PathBuf,
    file: File,
    /// What it holds.
    pub(super) text: String,
}

impl Held {
    /// Waits until nobody else holds it, and reads it.
    pub(super) fn hold(path: &Path) -> Result<Self, ReplaceError> {
        let path = path.canonicalize()?;
        loop {
            let mut file = File::open(&path)?;
            flock(&file, FlockOperation::LockExclusive).map_err(io::Error::from)?;
            // Whoever held it may have put another in its place.
            let (own, there) = (file.metadata()?, fs::metadata(&path)?);
            if (own.dev(), own.ino()) != (there.dev(), there.ino()) {
                continue;
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let text = String::from_utf8(bytes).map_err(|_| ReplaceError::NotText)?;
            return Ok(Self { path, file, text });
        }
    }

    /// Puts this text in the place of what it holds.
    pub(super) fn replace(self, text: &str) -> Result<(), ReplaceError> {
        let meta = self.file.metadata()?;
        if meta.nlink() > 1 {
            return Err(ReplaceError::Linked);
        }
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let mut new = tempfile::Builder::new().prefix(".bless").tempfile_in(folder)?;
        new.write_all(text.as_bytes())?;
        let own = new.as_file().metadata()?;
        if (own.uid(), own.gid()) != (meta.uid(), meta.gid()) {
            fchown(new.as_file(), Some(meta.uid()), Some(meta.gid()))?;
        }
        new.as_file().set_permissions(meta.permissions())?;
        new.as_file().sync_all()?;
        if fs::read(&self.path)? != self.text.as_bytes() {
            return Err(ReplaceError::Changed);
        }
        new.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
