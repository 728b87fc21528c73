//! A seccomp program that the kernel would take.
#![forbid(unsafe_code)]

use super::instruction::Instruction;
use super::verifier::{self, VerifyError};

/// A seccomp program that the kernel would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
}

impl Program {
    /// Takes instructions, if the kernel would.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn new(instructions: Vec<Instruction>) -> Result<Self, VerifyError> {
        verifier::verify(&instructions)?;
        Ok(Self { instructions })
    }

    /// Its instructions.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Checks it again, as the kernel does when it is installed.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self) -> Result<(), VerifyError> {
        verifier::verify(&self.instructions)
    }
}
