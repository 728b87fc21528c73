//! A guest that has just executed a program and has not run its first instruction: what lies on its stack, and what may be
//! done to its memory then.
//!
//! Beneath the strings of a new program's stack stand its arguments, its environment and the auxiliary vector, which nothing
//! points to but the stack pointer: there is room for more once these stand a little deeper.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Run;
use crate::Errno;
use crate::guest::Identity;
use crate::sys::reader::Words;
use crate::sys::{memory, ptrace, vdso};
use crate::trace::Place;

/// A guest that has just executed a program and has not run its first instruction.
pub struct ExecStop<'a> {
    run: &'a Run,
    tid: u32,
    place: &'a Place,
    /// What it executes, as the host names it.
    exe: Option<PathBuf>,
    /// What lies on its stack, once somebody has asked.
    stack: Option<Stack>,
    /// What is to stand where in its vDSO.
    patches: BTreeMap<u64, u64>,
}

/// A new program's stack, from its pointer to the end of the auxiliary vector (`man 3 getauxval`).
struct Stack {
    pointer: u64,
    /// As they are before its first instruction.
    registers: ptrace::Registers,
    words: Vec<u64>,
    /// Where among the words the vector begins.
    vector: usize,
}

/// A file that a program was mapped from: its own, its interpreter's.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) identity: Identity,
    /// Its name, as it may be meant: a line's end is written as `\012`, but so may be a name that has these signs.
    pub(crate) names: [Vec<u8>; 2],
}

/// The files of a table of mappings, in its order.
pub(crate) fn mapped(table: &[u8]) -> Vec<Mapped> {
    let mapped = |line: &[u8]| {
        let path = line.iter().position(|byte| *byte == b'/').and_then(|start| line.get(start..))?;
        let mut fields = std::str::from_utf8(line.strip_suffix(path)?).ok()?.split_ascii_whitespace().skip(3);
        let (major, minor) = fields.next()?.split_once(':')?;
        let number = |text| u32::from_str_radix(text, 16).ok();
        let dev = rustix::fs::makedev(number(major)?, number(minor)?);
        let ino = fields.next()?.parse().ok()?;
        Some(Mapped { identity: Identity { dev, ino }, names: [path.to_vec(), unescaped(path)] })
    };
    let mut files: Vec<_> = table.split(|byte| *byte == b'\n').filter_map(mapped).collect();
    files.dedup_by_key(|file| file.identity);
    files
}

impl Stack {
    fn read(tid: u32) -> Result<Self, Errno> {
        // On the stack: argc, argv, NULL, environ, NULL, then pairs until AT_NULL.
        const STEP: usize = 1024;
        let registers = ptrace::registers(tid)?;
        let pointer = registers.stack();
        let mut at = pointer;
        let mut words = Vec::<u64>::new();
        let mut nulls = 0;
        let mut scanned = 1;
        let mut start = None;
        // An argument list has at most 6 MiB of strings; each has a pointer here.
        while words.len() < (8 << 20) {
            let mut bytes = [0; STEP * 8];
            let got = memory::read(tid, at, &mut bytes)?;
            at += got as u64;
            let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
            words.extend(bytes[..got].chunks_exact(8).map(word));
            while start.is_none() && scanned < words.len() {
                if words[scanned] == 0 {
                    nulls += 1;
                    if nulls == 2 {
                        start = Some(scanned + 1);
                    }
                }
                scanned += 1;
            }
            if let Some(vector) = start {
                let mut pairs = words[vector..].chunks_exact(2);
                if let Some(last) = pairs.position(|pair| pair[0] == libc::AT_NULL) {
                    words.truncate(vector + (last + 1) * 2);
                    return Ok(Self { pointer, registers, words, vector });
                }
            }
            if got < STEP * 8 {
                break;
            }
        }
        Err(Errno::EIO)
    }

    fn vector(&self) -> impl Iterator<Item = (u64, u64)> {
        let pairs = self.words[self.vector..].chunks_exact(2).map(|pair| (pair[0], pair[1]));
        pairs.take_while(|(key, _)| *key != libc::AT_NULL)
    }

    fn end(&self) -> u64 {
        self.pointer.wrapping_add(self.words.len() as u64 * 8)
    }
}

impl<'a> ExecStop<'a> {
    pub(super) fn new(run: &'a Run, tid: u32, place: &'a Place, exe: Option<PathBuf>) -> Self {
        Self { run, tid, place, exe, stack: None, patches: BTreeMap::new() }
    }

    /// The files that the program was mapped from (`man 5 proc_pid_maps`).
    pub(crate) fn mapped(&self) -> Result<Vec<Mapped>, Errno> {
        let table = std::fs::read(format!("/proc/{}/maps", self.tid)).map_err(|error| Errno::of(&error))?;
        Ok(mapped(&table))
    }

    /// Its place in the tree.
    #[must_use]
    pub fn place(&self) -> &Place {
        self.place
    }

    /// What it executes, as the host names it (`man 5 proc_pid_exe`); `None`: that could not be read.
    #[must_use]
    pub fn exe(&self) -> Option<&Path> {
        self.exe.as_deref()
    }

    /// Its process, as the host numbers it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.tid
    }

    fn stack(&mut self) -> Result<&mut Stack, Errno> {
        let stack = match self.stack.take() {
            Some(stack) => stack,
            None => Stack::read(self.tid)?,
        };
        Ok(self.stack.insert(stack))
    }

    /// What the kernel told the program about itself under this key (`man 3 getauxval`).
    ///
    /// # Errors
    /// What the kernel gives for a guest that died, or `EIO` if the vector has no end.
    pub fn told(&mut self, key: u64) -> Result<Option<u64>, Errno> {
        Ok(self.stack()?.vector().find(|(known, _)| *known == key).map(|(_, value)| value))
    }

    /// Puts the words by which a guest reads its clock into its memory, on a line of the processor's cache that nothing else
    /// has. Their address; `None`: there is no room, or in this run a reading is a call.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn share_time(&mut self) -> Result<Option<u64>, Errno> {
        const SIZE: u64 = Words::SIZE as u64;
        /// What the ABI wants a stack pointer to be a multiple of where a program begins.
        const ALIGNED: u64 = 16;
        let Some(fixed) = self.run.time.as_ref().and_then(super::time::Time::fixed) else { return Ok(None) };
        let (run, tid) = (self.run, self.tid);
        // Without a user namespace of its own a guest can keep us from its memory (`PR_SET_DUMPABLE`), and with it from what it
        // has counted: its time would then run backwards.
        if !run.plan.is_read_within() || !run.has_namespaces() {
            return Ok(None);
        }
        let stack = self.stack()?;
        let end = stack.end();
        let address = end.wrapping_sub(SIZE) & !(SIZE - 1);
        let deeper = end.wrapping_sub(address).next_multiple_of(ALIGNED);
        let pointer = stack.pointer.wrapping_sub(deeper);
        let words = run.processes().with_time(tid, |own| own.counts_at(address, fixed));
        let Some(words) = words else { return Ok(None) };
        let mut bytes: Vec<u8> = stack.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.resize(usize::try_from(address.wrapping_sub(pointer)).unwrap_or(0), 0);
        bytes.extend(words.to_bytes());
        bytes.resize(usize::try_from(end.wrapping_sub(pointer)).unwrap_or(0), 0);
        match memory::write(tid, pointer, &bytes) {
            Ok(written) if written == bytes.len() => {}
            // A stack whose limit ends it just here.
            Err(Errno::EFAULT) => {
                run.processes().with_time(tid, super::time::OwnTime::counts_no_more);
                return Ok(None);
            }
            Ok(_) => return Err(Errno::EFAULT),
            Err(errno) => return Err(errno),
        }
        stack.pointer = pointer;
        stack.registers.set_stack(pointer);
        ptrace::set_registers(tid, &stack.registers)?;
        Ok(Some(address))
    }

    /// Writes to the program's memory, where it could write itself.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        if memory::write(self.tid, address, bytes)? < bytes.len() { Err(Errno::EFAULT) } else { Ok(()) }
    }

    /// Puts eight bytes of code into the program's vDSO, so far into it, before the program runs. If it has none, no program
    /// can use it either.
    pub fn patch(&mut self, offset: u64, code: u64) {
        self.patches.insert(offset, code);
    }

    /// Writes all patches, at once: the vDSO is small, and the same in every process.
    pub(crate) fn write_patches(&mut self) -> Result<(), Errno> {
        let patches = std::mem::take(&mut self.patches);
        let (Some((first, _)), Some((last, _))) = (patches.first_key_value(), patches.last_key_value())
        else {
            return Ok(());
        };
        let Some(base) = self.told(libc::AT_SYSINFO_EHDR)? else { return Ok(()) };
        let mut code = vdso::code(*first..*last + 8).ok_or(Errno::ENOSYS)?;
        for (offset, word) in &patches {
            let at = usize::try_from(offset - first).unwrap_or(usize::MAX);
            let place = code.get_mut(at..).and_then(|code| code.get_mut(..8)).ok_or(Errno::ENOSYS)?;
            place.copy_from_slice(&word.to_le_bytes());
        }
        // The one file by which a tracer may write many bytes where the program itself may not.
        let memory = std::fs::OpenOptions::new().write(true).open(format!("/proc/{}/mem", self.tid));
        if memory.and_then(|memory| memory.write_all_at(&code, base.wrapping_add(*first))).is_ok() {
            return Ok(());
        }
        // A kernel may have been told to let nobody write there.
        patches
            .into_iter()
            .try_for_each(|(offset, word)| ptrace::poke(self.tid, base.wrapping_add(offset), word))
    }
}

/// A name of a table of mappings with its lines' ends.
fn unescaped(path: &[u8]) -> Vec<u8> {
    const END: &[u8] = br"\012";
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let escaped = rest.starts_with(END);
        plain.push(if escaped { b'\n' } else { *first });
        rest = if escaped { rest.get(END.len()..).unwrap_or_default() } else { after };
    }
    plain
}
