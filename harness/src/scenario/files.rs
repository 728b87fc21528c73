//! `files`: the work folder's content.
#![forbid(unsafe_code)]

use std::path::Path;

/// A path within the work folder: relative, without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkPath(pub(super) String);

impl WorkPath {
    /// As a path, relative to the work folder.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

/// What to put at a path of the work folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSpec {
    /// A file.
    File {
        /// Its content.
        content: Vec<u8>,
        /// Its permissions; 0644 if nothing is said.
        mode: u32,
    },
    /// A symbolic link, with the text that it holds.
    Symlink(String),
    /// A folder.
    Dir {
        /// Its permissions; 0755 if nothing is said.
        mode: u32,
    },
}
