//! `sweep`: each occurrence of a call fails once, in a run of its own.
//!
//! How often a call occurs is known only once the scenario has run. So a sweep is one test, whatever it finds: its
//! cells are named in its report (`[family(open)#3=EIO]`), and not in lists of tests. The names are stable, as they
//! count occurrences; and whoever asks for such a name has that one run.
#![forbid(unsafe_code)]

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::calls::Calls;
use super::expect::{ErrnoName, Expectation, Glob, VerdictPattern};
use super::model::TestName;

/// How many runs a sweep may take if it says nothing else.
const MOST: u64 = 200;

/// A sweep.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    remote = "Self",
    expecting = "a sweep, such as `{ calls: [family(open)], errno: [EIO] }`"
)]
#[schemars(rename = "Sweep")]
pub struct Sweep {
    /// Calls whose occurrences fail, one after the other: of each item on its own, every spelling of a family together.
    #[schemars(length(min = 1))]
    pub calls: Vec<Calls>,
    /// Of these calls only those on such a path.
    #[serde(default)]
    pub path: Option<Glob>,
    /// What they fail with: each in a run of its own.
    #[schemars(length(min = 1))]
    pub errno: Vec<ErrnoName>,
    /// How many runs it may take. More is a failure, so that nothing is left out in silence.
    #[serde(default = "most")]
    pub most: u64,
    /// The one occurrence that is run, where it is asked for by its name.
    #[serde(skip)]
    #[schemars(skip)]
    pub only: Option<Occurrence>,
    /// What is expected of each run in which a call fails. Without it: what the scenario expects if none does.
    #[serde(default)]
    pub expect: Option<Expectation>,
}

/// An occurrence of a call, and what it fails with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// Which item of `calls`.
    pub call: usize,
    /// The so-manieth, from 1.
    pub nth: u64,
    /// The errno.
    pub errno: ErrnoName,
}

impl Occurrence {
    /// As a cell's axis and its value: `family(open)#3` and `EIO`.
    #[must_use]
    pub fn cell(&self, calls: &Calls) -> (String, String) {
        (format!("{calls}#{}", self.nth), self.errno.to_string())
    }
}

fn most() -> u64 {
    MOST
}

impl<'de> Deserialize<'de> for Sweep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sweep = Self::deserialize(deserializer)?;
        if sweep.calls.is_empty() || sweep.errno.is_empty() {
            return Err(D::Error::custom("a sweep needs a call and an errno: else it tests nothing"));
        }
        sweep.patterns().map_err(D::Error::custom)?;
        Ok(sweep)
    }
}

impl Sweep {
    /// The occurrence of this name, of the test that is called `test`: `x.yaml::x[openat#3=EIO]`.
    pub(super) fn named(&self, test: &TestName, name: &str) -> Option<Occurrence> {
        let all = self.calls.iter().enumerate();
        let all = all.flat_map(|(call, calls)| self.errno.iter().map(move |errno| (call, calls, *errno)));
        all.into_iter().find_map(|(call, calls, errno)| {
            let whole = test.with_cell((format!("{calls}#"), errno.to_string())).to_string();
            // Nothing but the number stands between the two.
            let (before, after) = whole.split_at(whole.len() - format!("={errno}]").len());
            let digits = name.strip_prefix(before)?.strip_suffix(after)?;
            let nth = digits.parse().ok().filter(|nth: &u64| nth.to_string() == digits && *nth > 0)?;
            Some(Occurrence { call, nth, errno })
        })
    }

    /// What is counted, and then fails: one pattern for each of `calls`.
    ///
    /// # Errors
    /// Of a call that no filter is asked about.
    pub fn patterns(&self) -> Result<Vec<VerdictPattern>, super::expect::FormError> {
        let of = |call: &Calls| {
            VerdictPattern::of_calls(call.clone(), self.path.clone(), None, None, Default::default())
        };
        self.calls.iter().map(of).collect()
    }
}
