//! From a plan to a confined child.
#![forbid(unsafe_code)]

/// Why a command couldn't be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A step of the start failed.
    #[error("the command could not be started: {step}: {errno}")]
    Step {
        /// Which.
        step: &'static str,
        /// Why.
        errno: crate::Errno,
    },
}
