//! What a policy grants and denies by name, and where the file says so.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use assize_core::Syscall;

/// The names in a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted {
    /// Paths.
    pub paths: Vec<GrantedPath>,
    /// Calls in `syscalls.deny`.
    pub denied: Vec<DeniedCalls>,
    /// Whether `fs.exec` is given; else whatever may be read may be executed.
    pub limits_exec: bool,
    /// Keys of the scenario to which something could be added, as `policy.fs.read`, and where each stands, as `line 3`.
    pub said: BTreeMap<&'static str, String>,
    /// Where the scenario says that temporary files are made elsewhere than in the work folder: the key, and its line.
    pub temporary: Option<String>,
}

/// A list of `policy.fs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// `fs.read`.
    Read,
    /// `fs.write`.
    Write,
    /// `fs.exec`.
    Exec,
    /// `fs.deny`.
    Deny,
}

/// A path in such a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedPath {
    /// The list.
    pub list: List,
    /// The path.
    pub path: PathBuf,
    /// Where it leads.
    pub real: PathBuf,
    /// Which item of the list stands for it, perhaps for others too; `None`: none does.
    pub item: Option<usize>,
    /// The line that names it; `None`: no line does, it is granted where nothing is said.
    pub line: Option<usize>,
}

/// An item of `syscalls.deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedCalls {
    /// The calls.
    pub calls: BTreeSet<Syscall>,
    /// The line that names them.
    pub line: Option<usize>,
}

impl List {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "fs.read",
            Self::Write => "fs.write",
            Self::Exec => "fs.exec",
            Self::Deny => "fs.deny",
        }
    }

    /// Its key in `fs`.
    pub(super) fn key(self) -> &'static str {
        self.name().trim_start_matches("fs.")
    }
}

impl Granted {
    /// The deepest name in one of these lists that covers a path.
    pub(super) fn covers(&self, path: &Path, lists: &[List]) -> Option<&GrantedPath> {
        let fits = |one: &&GrantedPath| {
            lists.contains(&one.list) && (path.starts_with(&one.path) || path.starts_with(&one.real))
        };
        self.paths.iter().filter(fits).max_by_key(|one| one.path.components().count())
    }

    /// Whether `fs` stands there, and grants nothing: without it something would be granted.
    pub(super) fn replaces_by_nothing(&self) -> bool {
        self.said.contains_key("policy.fs") && self.paths.iter().all(|one| one.list == List::Deny)
    }

    /// The lists by which this one's access is granted.
    pub(super) fn granting(&self, list: List) -> &'static [List] {
        match list {
            List::Read => &[List::Read, List::Write],
            List::Exec if !self.limits_exec => &[List::Read, List::Write],
            List::Exec => &[List::Exec],
            List::Write => &[List::Write],
            List::Deny => &[],
        }
    }
}
