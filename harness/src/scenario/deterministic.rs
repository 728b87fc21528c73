//! `deterministic`: what is made the same in every run.
#![forbid(unsafe_code)]

/// What is made the same in every run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deterministic {
    /// Seeds everything random.
    pub seed: u64,
    /// The host's name, unless the policy states one.
    pub hostname: String,
}

impl Default for Deterministic {
    fn default() -> Self {
        Self { seed: 0, hostname: "assize".to_owned() }
    }
}
