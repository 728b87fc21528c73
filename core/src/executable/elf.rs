//! An ELF file of this architecture, as far as it says what is executed of it and what it loads (`man 5 elf`).
//!
//! The file is a guest's, and may say anything: nothing is read outside of it, and no count is believed.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The most bytes of a table, or of strings, that are looked at.
const MOST: usize = 1 << 20;
/// No name that can be opened is longer (`PATH_MAX`), zero included.
const LONGEST_NAME: usize = libc::PATH_MAX as usize;
/// So many names of libraries, and so many folders, are looked at.
const MOST_NAMES: usize = 256;
const MOST_FOLDERS: usize = 64;

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
    /// There are more names than were looked at.
    pub(super) more: bool,
}

impl Elf {
    /// How long its header is.
    pub(super) const HEADER: usize = 64;

    /// The file, if it is one for this architecture.
    pub(super) fn of(file: File) -> io::Result<Option<Self>> {
        let mut header = [0; Self::HEADER];
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
            let rest = rest.get(..LONGEST_NAME).unwrap_or(rest);
            rest.iter().position(|byte| *byte == 0).and_then(|end| rest.get(..end))
        };
        for (tag, at) in entries {
            match tag {
                // All may be the same long string: what they come to is bounded, and not only how long each is.
                DT_NEEDED if needed.names.len() < MOST_NAMES => {
                    needed.names.extend(text(at).map(<[u8]>::to_vec));
                }
                DT_RPATH | DT_RUNPATH => {
                    let left = MOST_FOLDERS - needed.folders.len();
                    let folders = text(at).unwrap_or_default().split(|byte| *byte == b':').take(left);
                    needed.folders.extend(folders.map(<[u8]>::to_vec));
                }
                DT_NEEDED => needed.more = true,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memfd;

    /// A file whose dynamic section has these entries, and such strings.
    fn needed(entries: &[(u64, u64)], strings: &[u8]) -> Needed {
        const TABLE: u64 = Elf::HEADER as u64 + 2 * PROGRAM_HEADER as u64;
        let at = TABLE + 16 * (entries.len() as u64 + 3);
        let own = [(DT_STRTAB, at), (DT_STRSZ, strings.len() as u64)];
        let dynamic: Vec<u8> = own
            .iter()
            .chain(entries)
            .chain(&[(DT_NULL, 0)])
            .flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat())
            .collect();
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(Elf::HEADER, 0);
        file[18..20].copy_from_slice(&(EM_X86_64 as u16).to_le_bytes());
        file[32..40].copy_from_slice(&(Elf::HEADER as u64).to_le_bytes());
        file[54..56].copy_from_slice(&(PROGRAM_HEADER as u16).to_le_bytes());
        file[56..58].copy_from_slice(&2_u16.to_le_bytes());
        let size = at + strings.len() as u64;
        for (kind, offset, size) in
            [(libc::PT_LOAD, 0, size), (libc::PT_DYNAMIC, TABLE, dynamic.len() as u64)]
        {
            for word in [u64::from(kind), offset, offset, offset, size, size, 1] {
                file.extend(word.to_le_bytes());
            }
        }
        file.extend(dynamic);
        file.extend(strings);
        let file = memfd::sealed(c"elf", &file).unwrap();
        Elf::of(file.into()).unwrap().unwrap().needed().unwrap()
    }

    #[test]
    fn names_and_folders_are_found() {
        let needed = needed(&[(DT_NEEDED, 0), (DT_RUNPATH, 5)], b"libc\0/a:/b\0");
        assert_eq!(needed.names, [b"libc"]);
        assert_eq!(needed.folders, [b"/a", b"/b"]);
        assert!(!needed.more);
    }

    #[test]
    fn what_many_entries_say_of_one_long_string_is_bounded() {
        let strings = [vec![b':'; MOST - 8], b"\0libc.so".to_vec()].concat();
        let folders = needed(&[(DT_RUNPATH, 0), (DT_RUNPATH, MOST as u64 - 1000)].repeat(2000), &strings);
        assert_eq!(folders.folders.len(), MOST_FOLDERS);
        let names = needed(&[(DT_NEEDED, 0), (DT_NEEDED, MOST as u64 - 1000)].repeat(2000), &strings);
        assert_eq!(names.names.len(), MOST_NAMES);
        assert!(names.more && names.names.iter().all(|name| name.len() < LONGEST_NAME));
    }
}
