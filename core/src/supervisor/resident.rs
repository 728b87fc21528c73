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

use rustix::fs::{Access, Advice, AtFlags, CWD, FileType, accessat, fadvise, fstat};
use rustix::io::{Errno as RawErrno, ReadWriteFlags, preadv2};

use super::call::Call;
use super::request::Pin;
use crate::guest::pinned::{Pinned, Version};
use crate::guest::{At, OpenRequest};
use crate::sys::file;

/// Of a file so much is read.
const MOST: u64 = 256 << 20;
/// So much at once.
const PIECE: usize = 64 << 10;
/// So much is asked for at once where something is missing.
const AHEAD: u64 = 1 << 20;
/// For how long a disk may be silent, and how long all files of a run may take, before their readers wait as everybody does.
const PATIENCE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);
/// How many files are known: then all are forgotten.
const KEPT: usize = 1 << 16;
/// Of a script's first line so much counts (`BINPRM_BUF_SIZE`).
const LONGEST_LINE: usize = 256;

/// What lies in memory, as far as runs of this process have brought it there.
static KNOWN: Mutex<Option<HashSet<Version>>> = Mutex::new(None);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Reads a regular file, unless that was done before with this version of it: whether all of it lies in memory now, or it is
/// none that could be waited for. `goes_on` says whether it is still of use.
fn bring(file: impl AsFd, goes_on: impl Fn() -> bool) -> bool {
    let Ok(stat) = fstat(&file) else { return false };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_size <= 0 {
        return true;
    }
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let version = Version::of(&stat);
    if known().get_or_insert_default().contains(&version) {
        return true;
    }
    let end = stat.st_size.unsigned_abs().min(MOST);
    let in_memory = file::is_in_memory(file.as_fd(), end)
        || BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(PIECE, 0);
            read(&file, end, buffer, goes_on) == Ok(end)
        });
    if in_memory {
        let mut known = known();
        let known = known.get_or_insert_default();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(version);
    }
    in_memory
}

/// How far it has come. The descriptor's own place in the file stays.
fn read(file: impl AsFd, end: u64, buffer: &mut [u8], goes_on: impl Fn() -> bool) -> Result<u64, RawErrno> {
    let (mut at, mut asked) = (0, 0);
    let mut since = Instant::now();
    while at < end {
        // What is made up by the kernel or by another process can't be read without waiting, and gives an error.
        match preadv2(&file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Ok(end),
            Ok(read) => {
                at = end.min(at + read as u64);
                since = Instant::now();
            }
            Err(RawErrno::AGAIN) if asked <= at => {
                if !goes_on() {
                    return Ok(at);
                }
                fadvise(&file, at, NonZeroU64::new(AHEAD), Advice::WillNeed)?;
                asked = at + AHEAD;
            }
            Err(RawErrno::AGAIN) if since.elapsed() < PATIENCE => std::hint::spin_loop(),
            Err(RawErrno::AGAIN) => return Ok(at),
            Err(RawErrno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(at)
}

/// The interpreter that a script's first line names (`man 2 execve`).
fn interpreter(file: impl AsFd) -> Option<Vec<u8>> {
    let mut start = [0; LONGEST_LINE];
    let len = preadv2(file, &mut [IoSliceMut::new(&mut start)], 0, ReadWriteFlags::NOWAIT).ok()?;
    let line = start.get(..len)?.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii_start();
    let path = line.split(u8::is_ascii_whitespace).next()?;
    path.starts_with(b"/").then(|| path.to_vec())
}

impl Call {
    /// A guest is about to read this, which was opened for it with these flags: whether it need not wait for a disk.
    pub(super) fn brings(&self, file: impl AsFd, flags: u64) -> bool {
        let cant = (libc::O_WRONLY | libc::O_DIRECT | libc::O_TRUNC) as u64;
        if !self.run.is_serial() || flags & cant != 0 {
            return false;
        }
        let began = Instant::now();
        let left = LONGEST.saturating_sub(self.run.waited_for_disks());
        let goes_on = || began.elapsed() < left && !self.run.is_to_end() && self.still_waits();
        let whole = bring(file, goes_on);
        self.run.waits_for_disks(began.elapsed());
        whole
    }

    /// The caller is about to execute what its arguments name.
    pub(crate) fn brings_program(&mut self) {
        if !self.run.is_serial() {
            return;
        }
        let (Ok(guest), Ok(At { dirfd, path })) = (self.guest(), self.at("dirfd", "path")) else { return };
        // Most programs are executed again and again, and each of their starts waits for this.
        if self.run.has_brought(&path) {
            return;
        }
        let request = |dirfd, path| {
            OpenRequest::openat(guest, dirfd, path, (libc::O_RDONLY | libc::O_NONBLOCK) as u32, 0)
        };
        let asks = |program: &Pinned| {
            let may = accessat(CWD, program.own_path(), Access::EXEC_OK, AtFlags::EACCESS).is_ok();
            may.then(|| request(dirfd, path.clone()).reads(program)).flatten()
        };
        let (file, is_judged) = match &self.pin {
            Some(Pin::Program(program)) => (asks(program), true),
            Some(_) => return,
            None => (self.program().ok().and_then(|program| asks(&program)), false),
        };
        let Some(file) = file else { return };
        let mut whole = self.brings(&file, 0);
        // Where paths are judged nobody has judged this one.
        if !is_judged && let Some(interpreter) = interpreter(&file) {
            whole &= request(libc::AT_FDCWD, interpreter).at_once().is_some_and(|file| self.brings(file, 0));
        }
        if whole {
            self.run.brought(&path);
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
        let len = text.len() as u64;
        file.write_all(&text).unwrap();
        file.as_file().sync_all().unwrap();
        // Out of memory, where it lies on a disk.
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let mut buffer = vec![0; PIECE];
        // A file system may know of no disk.
        match read(&file, len, &mut buffer, || true) {
            Ok(at) => assert_eq!(at, len),
            Err(errno) => assert_eq!(errno, RawErrno::OPNOTSUPP),
        }
        let mut again = vec![0; text.len() + 1];
        let whole = preadv2(&file, &mut [IoSliceMut::new(&mut again)], 0, ReadWriteFlags::NOWAIT);
        assert!(matches!(whole, Ok(len) if len == text.len()) || whole == Err(RawErrno::OPNOTSUPP));
        // What is of no use any more is not waited for, and not taken for read.
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        if !file::is_in_memory(file.as_fd(), len) {
            assert!(!bring(&file, || false));
            assert!(bring(&file, || true));
        }
    }

    #[test]
    fn what_is_no_file_on_a_disk_is_left_alone() {
        let (end, _other_end) = std::io::pipe().unwrap();
        assert!(bring(&end, || unreachable!("nothing is read")));
        assert!(bring(std::fs::File::open("/").unwrap(), || unreachable!("nothing is read")));
        // Without a length, and with one but nothing that could be read without waiting.
        assert!(bring(std::fs::File::open("/proc/self/status").unwrap(), || unreachable!("nothing is read")));
        let made_up = std::fs::File::open("/sys/kernel/mm/transparent_hugepage/enabled").unwrap();
        assert!(!bring(&made_up, || unreachable!("nobody is asked")));
        assert_eq!((&made_up).stream_position().unwrap(), 0);
    }
}
