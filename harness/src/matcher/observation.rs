//! What was seen of a run.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use assize_core::Peak;
use assize_core::outcome::{Control, End, Why};
use assize_core::trace::Event;

use super::Granted;
use crate::attempt::{AttemptFinding, WantedVerdict};
use crate::scenario::expect::{Range, VerdictPattern};
use crate::scenario::place::YamlPath;

/// What was seen of a run.
#[derive(Debug, Clone)]
pub struct Observation {
    /// How the command ended.
    pub end: End,
    /// Why so, as far as that is known.
    pub why: Option<Why>,
    /// What it wrote to descriptor 1.
    pub stdout: Vec<u8>,
    /// And to descriptor 2.
    pub stderr: Vec<u8>,
    /// What lay at each path that the expectation names, under the name that it has there.
    pub files: BTreeMap<String, FileSeen>,
    /// What has changed in the work folder, where that was asked for.
    pub changes: Option<Changes>,
    /// How long it took.
    pub took: Duration,
    /// The most that guests had at once, where that was to be measured.
    pub peak: Option<Peak>,
    /// What was asked and answered, in order.
    pub events: Vec<Event>,
    /// Which controls were in force.
    pub controls: Vec<Control>,
    /// The work folder.
    pub work: PathBuf,
    /// What the policy grants and denies by name.
    pub granted: Granted,
    /// Attempts that did not come out as wanted.
    pub attempts: Vec<AttemptFinding>,
    /// What the verdict log must say of attempts.
    pub wanted: Vec<WantedVerdict>,
    /// What came of injections.
    pub injected: Vec<Injected>,
}

/// What has changed in the work folder.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// What was not there before.
    pub added: ChangesSeen,
    /// What is other than before.
    pub modified: ChangesSeen,
    /// What is gone.
    pub deleted: ChangesSeen,
    /// Whether there was more than is looked at.
    pub cut: bool,
}

/// What lies at paths of the work folder.
pub(super) type ChangesSeen = BTreeMap<String, FileSeen>;

/// What came of an injection.
#[derive(Debug, Clone)]
pub struct Injected {
    /// Where it stands.
    pub at: YamlPath,
    /// Which calls it is for.
    pub pattern: VerdictPattern,
    /// How often it had to answer.
    pub times: Range,
    /// How many calls were like its pattern.
    pub matched: u64,
    /// How many of them it answered.
    pub fired: u64,
    /// Why it could not, where it had to.
    pub failed: Option<String>,
}

/// What lay at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSeen {
    /// Nothing.
    Absent,
    /// A file.
    File {
        /// Its content.
        bytes: Vec<u8>,
        /// Its permission bits.
        mode: u32,
    },
    /// Something else.
    Other {
        /// What: `a folder`, `a symbolic link`, `a file that can't be read`, ...
        kind: String,
        /// Its permission bits.
        mode: u32,
    },
    /// It could not be looked at: why.
    Unreadable(String),
}

impl Observation {
    /// Bytes as the text that is compared and shown: the work folder reads `[WORK]`.
    #[must_use]
    pub fn text(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        match self.work.to_str() {
            Some(work) if !work.is_empty() => text.replace(work, "[WORK]"),
            _ => text.into_owned(),
        }
    }

    /// The work folder's bytes.
    pub(super) fn work(&self) -> &[u8] {
        self.work.as_os_str().as_bytes()
    }
}
