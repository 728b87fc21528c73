//! Which verdicts are shown.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use assize_core::{Syscall, Verdict};

use crate::scenario::calls::{Calls, CallsError};
use crate::scenario::expect::{FormError, Glob, VerdictWord};

/// One thing that a verdict may be shown for.
#[derive(Debug, Clone)]
pub enum Filter {
    /// One call, or every spelling of an operation.
    Call(Calls),
    /// A path among its arguments, or the one that it led to.
    Path(Glob),
    /// What was answered.
    Verdict(VerdictWord),
}

/// A text that is none.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FilterError {
    /// No call, and no word for a verdict either.
    #[error("{call}, nor a verdict: {verdict} (a path has a `/` or a `*` in it)")]
    Neither {
        /// Why it is no call.
        call: CallsError,
        /// Why it is no verdict.
        verdict: FormError,
    },
    /// What was said to be a call is none.
    #[error(transparent)]
    Call(#[from] CallsError),
    /// No glob, or no verdict.
    #[error(transparent)]
    Form(#[from] FormError),
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        match text.split_once('=') {
            Some(("call", rest)) => return Ok(Self::Call(rest.parse()?)),
            Some(("path", rest)) => return Ok(Self::Path(rest.parse()?)),
            Some(("verdict", rest)) => return Ok(Self::Verdict(rest.parse()?)),
            _ => {}
        }
        if text.contains(['/', '*']) {
            return Ok(Self::Path(text.parse()?));
        }
        match text.parse::<Calls>() {
            Ok(calls) => Ok(Self::Call(calls)),
            Err(call) => {
                text.parse().map(Self::Verdict).map_err(|verdict| FilterError::Neither { call, verdict })
            }
        }
    }
}

/// All that were given: of each kind any.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    calls: BTreeSet<Syscall>,
    paths: Vec<Glob>,
    words: Vec<VerdictWord>,
}

impl Filters {
    /// These.
    #[must_use]
    pub fn new(all: &[Filter]) -> Self {
        let mut filters = Self::default();
        for filter in all {
            match filter {
                Filter::Call(calls) => filters.calls.extend(calls.calls()),
                Filter::Path(glob) => filters.paths.push(glob.clone()),
                Filter::Verdict(word) => filters.words.push(*word),
            }
        }
        filters
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.paths.is_empty() && self.words.is_empty()
    }

    /// The only calls that pass; `None`: any.
    #[must_use]
    pub fn calls(&self) -> Option<BTreeSet<Syscall>> {
        (!self.calls.is_empty()).then(|| self.calls.clone())
    }

    /// Whether it is shown.
    #[must_use]
    pub fn pass(&self, verdict: &Verdict, work: &Path) -> bool {
        let work = work.as_os_str().as_bytes();
        let mut paths = verdict.args.paths().chain(&verdict.target);
        let path = self.paths.is_empty()
            || paths.any(|path| self.paths.iter().any(|glob| glob.matches_path(path.as_bytes(), work)));
        path && (self.calls.is_empty() || self.calls.contains(&verdict.call))
            && (self.words.is_empty() || self.words.iter().any(|word| word.word() == verdict.action.word()))
    }
}
