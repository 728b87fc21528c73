//! The prober: a guest that makes system calls from a script, and nothing else.
//!
//! It tests a policy without a program to carry the calls. It is a few dozen instructions in a memfd: it needs no
//! compiler, no library and no file that the policy would have to grant. Script, data and results lie in one shared
//! memory file, which it inherits as descriptor 3 and closes after mapping; that mapping is all that it does besides.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::MemfdFlags;

use crate::command::Program;
use crate::sys::{image, memfd};
use crate::{Command, Syscall};

/// One argument of a scripted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A register's whole content.
    Number(u64),
    /// The address of data or of a buffer of this script, by its offset.
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

// How the memory file is laid out; `sys::image` holds the program that walks it.
const FIRST_CALL: u64 = 64;
const CALL: u64 = 128;
const RESULT: u64 = 104;
const STATE: u64 = 112;
const DONE: u64 = 2;
const DATA: u64 = 16 << 20;
const MAX_CALLS: u64 = (DATA - FIRST_CALL) / CALL;
const MAX_DATA: usize = 32 << 20;

impl Script {
    /// Puts `bytes` where calls can point to them, at an address that is a multiple of 16. Gives the offset.
    pub fn bytes(&mut self, bytes: &[u8]) -> usize {
        let start = self.data.len().next_multiple_of(16);
        self.data.resize(start, 0);
        self.data.extend_from_slice(bytes);
        start
    }

    /// A zeroed buffer of `len` bytes that calls can write to. Gives the offset.
    pub fn buffer(&mut self, len: usize) -> usize {
        let start = self.data.len().next_multiple_of(16);
        self.data.resize(start.saturating_add(len.min(MAX_DATA + 1)), 0);
        start
    }

    /// Overwrites data, to put the address of one piece ([`Script::address`]) into another.
    pub fn patch(&mut self, offset: usize, bytes: &[u8]) {
        if let Some(target) = offset.checked_add(bytes.len()).and_then(|end| self.data.get_mut(offset..end)) {
            target.copy_from_slice(bytes);
        }
    }

    /// The address that [`Value::Data`] of this offset will have in the guest.
    #[must_use]
    pub const fn address(offset: usize) -> u64 {
        image::PROBER_MEMORY + DATA + offset as u64
    }

    /// Adds a call and returns its place, for [`Value::Result`] and [`Run::results`].
    pub fn call(&mut self, call: Syscall, args: [Value; 6]) -> usize {
        self.calls.push((call, args));
        self.calls.len() - 1
    }

    /// Makes it ready to run.
    ///
    /// # Errors
    /// `InvalidInput` for more than 131,071 calls or 32 MiB of data; else what `memfd_create` or `write` gives.
    pub fn build(self) -> io::Result<(Command, Run)> {
        if self.calls.len() as u64 > MAX_CALLS || self.data.len() > MAX_DATA {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the prober's script is too large"));
        }
        let memory: File = rustix::fs::memfd_create(c"assize-script", MemfdFlags::CLOEXEC)?.into();
        memory.set_len(DATA + self.data.len() as u64)?;
        memory.write_all_at(&(self.calls.len() as u64).to_le_bytes(), 0)?;
        let mut calls = Vec::with_capacity(self.calls.len() * CALL as usize);
        for (call, args) in &self.calls {
            let start = calls.len();
            calls.extend_from_slice(&u64::from(call.number()).to_le_bytes());
            for arg in args {
                let (kind, value) = match *arg {
                    Value::Number(number) => (0_u64, number),
                    Value::Data(offset) => (0, Self::address(offset)),
                    Value::Result(of) => (1, of as u64),
                };
                calls.extend_from_slice(&kind.to_le_bytes());
                calls.extend_from_slice(&value.to_le_bytes());
            }
            calls.resize(start + CALL as usize, 0);
        }
        memory.write_all_at(&calls, FIRST_CALL)?;
        memory.write_all_at(&self.data, DATA)?;
        let mut command = Command::new("prober");
        command.program = Program::Image {
            image: memfd::sealed(c"assize-prober", &image::prober())?,
            name: "prober".into(),
        };
        command.inherit.push(memory.try_clone()?.into());
        Ok((command, Run { memory, calls: self.calls.len() }))
    }
}

/// A script that was, or will be, run.
#[derive(Debug)]
pub struct Run {
    memory: File,
    calls: usize,
}

impl Run {
    /// What each call returned: a value or a negated error number; `None` for a call that was not made or never
    /// returned, because the prober was killed, or was not allowed to map its memory.
    ///
    /// # Errors
    /// What `pread` gives.
    pub fn results(&self) -> io::Result<Vec<Option<i64>>> {
        let word = |at: u64| {
            let mut bytes = [0; 8];
            self.memory.read_exact_at(&mut bytes, at).map(|()| u64::from_le_bytes(bytes))
        };
        (0..self.calls as u64)
            .map(|index| {
                let call = FIRST_CALL + index * CALL;
                Ok((word(call + STATE)? == DONE).then_some(word(call + RESULT)?.cast_signed()))
            })
            .collect()
    }

    /// What lies in the script's data now.
    ///
    /// # Errors
    /// What `pread` gives.
    pub fn data(&self, offset: usize, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len.min(MAX_DATA)];
        self.memory.read_exact_at(&mut bytes, DATA + offset as u64)?;
        Ok(bytes)
    }
}
