//! Needs: what a scenario asks of the host, and whether this host has it.
//!
//! Nothing here runs a scenario. A probe looks; it never changes the host.
#![forbid(unsafe_code)]

/// What a scenario asks of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    text: String,
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a host has what is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It has.
    Satisfied,
    /// It lacks it: why, for a reader.
    Missing(String),
}

/// What this host has. Probe once, judge often.
#[derive(Debug, Clone)]
pub struct Host {}

impl Host {
    /// Looks.
    #[must_use]
    pub fn probe() -> Self {
        Self {}
    }

    /// Whether this host has it.
    #[must_use]
    pub fn judge(&self, need: &Need) -> Judgement {
        let _ = need;
        Judgement::Satisfied
    }

    /// Every fact, and what it is for, as a table.
    #[must_use]
    pub fn doctor(&self) -> String {
        String::new()
    }
}

/// What a host claims to have (`ASSIZE_REQUIRE=landlock=6,userns`): a skip for the lack of it is a failure.
#[derive(Debug, Clone, Default)]
pub struct Required {}

/// A text that is not a list of needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NeedError(pub(crate) String);

impl Required {
    /// From the environment variable `ASSIZE_REQUIRE`.
    ///
    /// # Errors
    /// It is not a list of needs.
    pub fn from_env() -> Result<Self, NeedError> {
        Ok(Self {})
    }

    /// Whether the host claims to meet this need.
    #[must_use]
    pub fn demands(&self, need: &Need) -> bool {
        let _ = need;
        false
    }
}
