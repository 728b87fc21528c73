//! From a policy to what runs: one program, one dispatch table, one ruleset.
#![forbid(unsafe_code)]

/// What a policy compiles to.
#[derive(Debug)]
pub struct Plan {}

/// Why a policy can't be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A granted path can't be opened.
    #[error("{path:?} is granted by fs.{grant}, but {errno}")]
    Path {
        /// The path.
        path: std::path::PathBuf,
        /// `read`, `write` or `exec`.
        grant: &'static str,
        /// Why.
        errno: crate::Errno,
    },
}
