//! The prober: a guest that makes system calls from a script, and nothing else.
//!
//! It tests a policy without a program to carry the calls. It is a few dozen instructions in a memfd: it needs no
//! compiler, no library and no file that the policy would have to grant. Script, data and results lie in one shared
//! memory file, which it inherits as descriptor 3 and closes after mapping; that mapping is all that it does besides.
#![forbid(unsafe_code)]

use std::io;

use crate::{Command, Syscall};

/// One argument of a scripted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A register's whole content.
    Number(u64),
    /// The address of data or of a buffer of this script.
    Data(usize),
    /// What an earlier call of this script returned.
    Result(usize),
}

/// Calls to make, in order.
#[derive(Debug, Clone, Default)]
pub struct Script {
    calls: Vec<(Syscall, [Value; 6])>,
    data: Vec<u8>,
}

impl Script {
    /// Puts `bytes` where calls can point to them, at an address that is a multiple of 16.
    pub fn bytes(&mut self, bytes: &[u8]) -> Value {
        let start = self.data.len().next_multiple_of(16);
        self.data.resize(start, 0);
        self.data.extend_from_slice(bytes);
        Value::Data(start)
    }

    /// A zeroed buffer of `len` bytes that calls can write to.
    pub fn buffer(&mut self, len: usize) -> Value {
        self.bytes(&vec![0; len])
    }

    /// Overwrites data, to put the address of one piece ([`Script::address`]) into another.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(target) = self.data.get_mut(at..at + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    }

    /// The address that `Value::Data(offset)` will have in the guest.
    #[must_use]
    pub fn address(offset: usize) -> u64 {
        offset as u64
    }

    /// Adds a call and returns its place, for [`Value::Result`] and [`Run::results`].
    pub fn call(&mut self, call: Syscall, args: [Value; 6]) -> usize {
        self.calls.push((call, args));
        self.calls.len() - 1
    }

    /// Makes it ready to run.
    ///
    /// # Errors
    /// What `memfd_create` or `write` gives.
    pub fn build(self) -> io::Result<(Command, Run)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A script that was, or will be, run.
#[derive(Debug)]
pub struct Run {}

impl Run {
    /// What each call returned: a value or a negated error number; `None` for a call that was never made, because
    /// the prober was killed, or was not allowed to map its memory.
    ///
    /// # Errors
    /// What `pread` gives.
    pub fn results(&self) -> io::Result<Vec<Option<i64>>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What lies in the script's data now.
    ///
    /// # Errors
    /// What `pread` gives.
    pub fn data(&self, offset: usize, len: usize) -> io::Result<Vec<u8>> {
        let _ = (offset, len);
        Err(io::ErrorKind::Unsupported.into())
    }
}
