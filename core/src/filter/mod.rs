//! From what is to become of each call to a seccomp program in classic BPF, and back: its verifier and interpreter.
//!
//! A [`Spec`] says what becomes of a call, under which conditions on its registers. [`assemble`] makes a [`Program`]
//! of it. Nothing here installs a program, and nothing here knows why a call is denied.
#![forbid(unsafe_code)]

mod assembler;
mod condition;
mod disassembly;
mod instruction;
mod interpreter;
mod lower;
mod program;
mod spec;
#[cfg(test)]
mod tests;
mod verifier;

pub use assembler::assemble;
pub use condition::{Match, Test};
pub use instruction::Instruction;
pub use program::Program;
pub use spec::{Action, Case, FilterError, Spec};
pub use verifier::VerifyError;
