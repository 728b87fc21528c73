//! An ELF file of this architecture, as far as it says what is executed of it and what it loads (`man 5 elf`).
//!
//! The file is a guest's, and may say anything: nothing is read outside of it, and no count is believed.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The most bytes of a table, or of strings, that are looked at.
const MOST: usize = 1 << 20;

const PROGRAM_HEADER: usize = 56;
const EXECUTABLE: u32 = 1;

/// An ELF file.
pub(super) struct Elf {
    file: File,
    segments: Vec<Segment>,
}

/// A part of the file that is mapped, or that says something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    kind: u32,
    flags: u32,
    /// Where it lies in the file.
    pub(super) offset: u64,
    /// Where it lies in memory, from the program's base.
    pub(super) address: u64,
    /// Its bytes in the file.
    pub(super) size: u64,
}

/// What a file loads besides itself.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// The names of libraries.
    pub(super) names: Vec<Vec<u8>>,
    /// Where they are looked for first.
    pub(super) folders: Vec<Vec<u8>>,
}

impl Elf {
    /// The file, if it is one for this architecture.
    pub(super) fn of(file: File) -> io::Result<Option<Self>> {
        let mut header = [0; 64];
        if read(&file, &mut header, 0)? < header.len() {
            return Ok(None);
        }
        let is_ours = header.starts_with(b"\x7fELF\x02\x01\x01") && number(&header, 18, 2) == EM_X86_64;
        if !is_ours || number(&header, 54, 2) != PROGRAM_HEADER as u64 {
            return Ok(None);
        }
        let mut table = vec![0; number(&header, 56, 2) as usize * PROGRAM_HEADER];
        let got = read(&file, &mut table, number(&header, 32, 8))?;
        table.truncate(got);
        let segment = |header: &[u8]| Segment {
            kind: number(header, 0, 4) as u32,
            flags: number(header, 4, 4) as u32,
            offset: number(header, 8, 8),
            address: number(header, 16, 8),
            size: number(header, 32, 8),
        };
        let segments = table.chunks_exact(PROGRAM_HEADER).map(segment).collect();
        Ok(Some(Self { file, segments }))
    }

    /// What of it is executed.
    pub(super) fn code(&self) -> impl Iterator<Item = &Segment> {
        self.segments
            .iter()
            .filter(|segment| segment.kind == libc::PT_LOAD && segment.flags & EXECUTABLE != 0)
    }

    /// Reads bytes of the file: how many there were.
    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        read(&self.file, bytes, offset)
    }

    /// What it loads.
    pub(super) fn needed(&self) -> io::Result<Needed> {
        let mut needed = Needed::default();
        let Some(dynamic) = self.segments.iter().find(|segment| segment.kind == libc::PT_DYNAMIC) else {
            return Ok(needed);
        };
        let table = self.bytes(dynamic.offset, dynamic.size)?;
        let entries: Vec<(u64, u64)> = table
            .chunks_exact(16)
            .map(|entry| (number(entry, 0, 8), number(entry, 8, 8)))
            .take_while(|(tag, _)| *tag != DT_NULL)
            .collect();
        let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        let (Some(strings), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else { return Ok(needed) };
        let Some(offset) = self.offset_of(strings) else { return Ok(needed) };
        let strings = self.bytes(offset, size)?;
        let text = |at: u64| {
            let rest = strings.get(usize::try_from(at).ok()?..)?;
            rest.split(|byte| *byte == 0).next().map(<[u8]>::to_vec)
        };
        for (tag, at) in entries {
            match tag {
                DT_NEEDED => needed.names.extend(text(at)),
                DT_RPATH | DT_RUNPATH => {
                    let folders = text(at).unwrap_or_default();
                    needed.folders.extend(folders.split(|byte| *byte == b':').map(<[u8]>::to_vec));
                }
                _ => {}
            }
        }
        Ok(needed)
    }

    /// Where in the file that lies which lies there in memory.
    fn offset_of(&self, address: u64) -> Option<u64> {
        let mut loaded = self.segments.iter().filter(|segment| segment.kind == libc::PT_LOAD);
        loaded.find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            (within < segment.size).then(|| segment.offset.checked_add(within)).flatten()
        })
    }

    fn bytes(&self, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(MOST).min(MOST)];
        let got = self.read(&mut bytes, offset)?;
        bytes.truncate(got);
        Ok(bytes)
    }
}

const EM_X86_64: u64 = libc::EM_X86_64 as u64;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// A number of `len` bytes, at `at`; 0 where there are none.
fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let bytes = bytes.get(at..at + len).unwrap_or_default();
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// As many bytes as there are.
fn read(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = bytes.get_mut(got..).filter(|rest| !rest.is_empty()) {
        let Some(at) = offset.checked_add(got as u64) else { break };
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // No file is so long.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
