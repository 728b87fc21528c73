//! `policy`, and how it becomes the policy of the sandbox.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use assize_core::policy::Isolation;
use assize_core::{Policy, Syscall};

use super::template::Template;

/// What the guest may do, as the scenario says it.
#[derive(Debug, Clone, Default)]
pub struct PolicySpec {
    /// Files; `None`: read `$SYSTEM`, write `$WORK`.
    pub fs: Option<FsSpec>,
    /// Denied by name.
    pub deny: BTreeSet<Syscall>,
    /// Allowed by name.
    pub allow: BTreeSet<Syscall>,
    /// The time limit.
    pub timeout: Option<Duration>,
    /// The guest's environment.
    pub env: BTreeMap<String, Template>,
    /// The host's name as the guest sees it.
    pub hostname: Option<String>,
    /// Whether the guests get namespaces.
    pub isolation: Isolation,
}

/// Which files the guest may use. A path may be `$SYSTEM`: the folders of [`SYSTEM`] that exist.
#[derive(Debug, Clone, Default)]
pub struct FsSpec {
    /// May be read.
    pub read: Vec<Template>,
    /// May be written.
    pub write: Vec<Template>,
    /// May be executed; `None`: whatever may be read.
    pub exec: Option<Vec<Template>>,
    /// May not be used although a grant covers it.
    pub deny: Vec<Template>,
}

/// What `$SYSTEM` stands for, as far as it exists: enough for the programs of a distribution, and no data of anyone.
pub const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

impl PolicySpec {
    /// The sandbox's policy for a run in this work folder.
    #[must_use]
    pub fn compile(&self, work: &Path) -> Policy {
        let _ = work;
        Policy::default()
    }
}
