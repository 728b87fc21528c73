//! Files that guests are about to read are read once before, so that they lie in memory: where guests run one at a time, who
//! waits for a disk lets others pass, and whether it has to wait is for whatever the machine has read before.
//!
//! Meanwhile the caller waits without giving its processor away, as far as the disk answers soon. A file that changes later, or
//! that the kernel forgets, is the guest's own affair. Decides nothing, and tells nobody what it has read.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::IoSliceMut;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Advice, FileType, OFlags, fadvise, fstat};
use rustix::io::{Errno as RawErrno, ReadWriteFlags, pread, preadv2};

use super::call::Call;
use crate::guest::OpenRequest;
use crate::guest::pinned::Version;

/// Of a file so much is read.
const MOST: u64 = 256 << 20;
/// So much at once.
const PIECE: usize = 64 << 10;
/// So much is asked for at once where something is missing.
const AHEAD: u64 = 1 << 20;
/// For how long a disk may be silent before its readers wait as everybody does.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many files are known: then all are forgotten.
const KEPT: usize = 1 << 16;
/// Of a script's first line so much counts (`BINPRM_BUF_SIZE`).
const LONGEST_LINE: usize = 256;

/// What was read, by any run of this process.
static READ: Mutex<Option<HashSet<Version>>> = Mutex::new(None);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Reads a regular file, unless it was read before as it is now. `is_to_end` says that it is of no use any more. What goes wrong
/// goes wrong for the guest as well.
fn read(file: impl AsFd, is_to_end: impl Fn() -> bool) {
    let Ok(stat) = fstat(&file) else { return };
    // What the kernel makes up has no length, or can't be read without waiting.
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_size <= 0 {
        return;
    }
    let end = stat.st_size.unsigned_abs().min(MOST);
    {
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read.get_or_insert_default();
        if read.len() >= KEPT {
            read.clear();
        }
        if !read.insert(Version::of(&stat)) {
            return;
        }
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(PIECE, 0);
        let _ = read_until(&file, end, buffer, is_to_end);
    });
}

fn read_until(
    file: impl AsFd,
    end: u64,
    buffer: &mut [u8],
    is_to_end: impl Fn() -> bool,
) -> Result<(), RawErrno> {
    let (mut at, mut asked) = (0, 0);
    let mut since = Instant::now();
    while at < end {
        match preadv2(&file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
            Ok(0) => break,
            Ok(read) => {
                at += read as u64;
                since = Instant::now();
            }
            Err(RawErrno::AGAIN) if is_to_end() => break,
            Err(RawErrno::AGAIN) if asked <= at => {
                fadvise(&file, at, NonZeroU64::new(AHEAD), Advice::WillNeed)?;
                asked = at + AHEAD;
            }
            Err(RawErrno::AGAIN) if since.elapsed() < PATIENCE => std::hint::spin_loop(),
            Err(RawErrno::AGAIN) => match pread(&file, &mut *buffer, at)? {
                0 => break,
                read => at += read as u64,
            },
            Err(RawErrno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The interpreter that a script's first line names (`man 2 execve`).
fn interpreter(file: impl AsFd) -> Option<Vec<u8>> {
    let mut start = [0; LONGEST_LINE];
    let len = pread(file, &mut start, 0).ok()?;
    let line = start.get(..len)?.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii_start();
    let path = line.split(u8::is_ascii_whitespace).next()?;
    path.starts_with(b"/").then(|| path.to_vec())
}

impl Call {
    /// A guest is about to read this, which was opened for it with these flags.
    pub(super) fn reads(&self, file: impl AsFd, flags: u64) {
        let cant = (libc::O_WRONLY | libc::O_DIRECT | libc::O_TRUNC) as u64;
        if self.run.is_serial() && flags & cant == 0 {
            read(file, || self.run.is_to_end());
        }
    }

    /// The caller is about to execute what its arguments name.
    pub(crate) fn reads_program(&mut self) {
        if !self.run.is_serial() {
            return;
        }
        let (Ok(guest), Ok(named)) = (self.guest(), self.at("dirfd", "path")) else { return };
        // Most programs are executed again and again, and each of their starts waits for this.
        if !named.path.is_empty() && !self.run.executes(&named.path) {
            return;
        }
        let flags = (libc::O_RDONLY | libc::O_NONBLOCK) as u32;
        let request = |dirfd, path| OpenRequest::openat(guest, dirfd, path, flags, 0);
        let Ok(program) = self.program() else { return };
        let Some(file) = request(named.dirfd, named.path).reads(&program) else { return };
        self.reads(&file, 0);
        let interpreter = interpreter(&file).and_then(|path| request(libc::AT_FDCWD, path).at_once());
        if let Some(interpreter) = interpreter {
            self.reads(&interpreter, OFlags::RDONLY.bits().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn a_scripts_first_line_names_its_interpreter() {
        let of = |text: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text).unwrap();
            file.rewind().unwrap();
            interpreter(&file)
        };
        assert_eq!(of(b"#!/bin/sh\necho"), Some(b"/bin/sh".to_vec()));
        assert_eq!(of(b"#! \t/usr/bin/env -S perl"), Some(b"/usr/bin/env".to_vec()));
        assert_eq!(of(b"#!sh\n"), None);
        assert_eq!(of(b"#!"), None);
        assert_eq!(of(b"\x7fELF"), None);
        assert_eq!(of(b""), None);
        assert_eq!(of(&[b"#!/".as_slice(), &[b'a'; 1000]].concat()).map(|path| path.len()), Some(254));
    }

    #[test]
    fn a_whole_file_is_read_wherever_it_lies() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = vec![7; 3 * PIECE + 5];
        file.write_all(&text).unwrap();
        file.as_file().sync_all().unwrap();
        // Out of memory, where it lies on a disk.
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let mut buffer = vec![0; PIECE];
        read_until(&file, text.len() as u64, &mut buffer, || false).unwrap();
        let mut again = vec![0; text.len() + 1];
        let whole = preadv2(&file, &mut [IoSliceMut::new(&mut again)], 0, ReadWriteFlags::NOWAIT);
        assert!(matches!(whole, Ok(len) if len == text.len()) || whole == Err(RawErrno::OPNOTSUPP));
        // Who is to end doesn't wait.
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        read_until(&file, text.len() as u64, &mut buffer, || true).unwrap();
    }

    #[test]
    fn what_is_no_file_on_a_disk_is_left_alone() {
        let (read_end, _write_end) = std::io::pipe().unwrap();
        read(&read_end, || false);
        read(std::fs::File::open("/proc/self/status").unwrap(), || false);
        read(std::fs::File::open("/").unwrap(), || false);
        // A length, but nothing to read without waiting.
        read(std::fs::File::open("/sys/kernel/mm").unwrap(), || false);
    }
}
