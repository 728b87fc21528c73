//! The temporary folders of runs. Each is gone when its run is.
//!
//! They lie in the one of their process (see [`Session`]), which stays between one run and the next for as long as
//! somebody [keeps](keep) it: making a folder and removing it takes longer than many a command.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{Mode, RenameFlags, mkdirat, renameat_with};
use rustix::io::Errno;

use super::remove::remove;
use super::session::{SHORTEST, Session, random, spelled};

/// How often a folder is tried to be made: the process's may be removed by somebody else, and a name may be taken.
const TRIES: usize = 100;

/// How long a folder's path is, wherever the system's temporary folder lies, unless that alone leaves too little: the
/// strings on a program's stack, and with them its addresses, then don't tell.
const LENGTH: usize = 48;

/// The folder of this process.
static PROCESS: Mutex<Process> = Mutex::new(Process { session: Weak::new(), keepers: 0, kept: None });

struct Process {
    session: Weak<Session>,
    keepers: usize,
    /// Keeps it between runs.
    kept: Option<Arc<Session>>,
}

impl Process {
    fn session(&mut self) -> io::Result<Arc<Session>> {
        if let Some(session) = self.session.upgrade() {
            return Ok(session);
        }
        let session = Arc::new(Session::make()?);
        self.session = Arc::downgrade(&session);
        if self.keepers > 0 {
            self.kept = Some(Arc::clone(&session));
        }
        Ok(session)
    }

    fn let_go(&mut self) -> Option<Arc<Session>> {
        self.keepers = 0;
        self.kept.take()
    }
}

fn process() -> std::sync::MutexGuard<'static, Process> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the process's folder between runs.
#[derive(Debug)]
pub(crate) struct Kept;

/// Keeps the process's folder until what this gives is dropped.
pub(crate) fn keep() -> Kept {
    process().keepers += 1;
    Kept
}

/// Keeps it no longer, whoever wanted that: the process is about to end.
pub(crate) fn let_go() {
    // It is removed when nobody holds the lock any more.
    let kept = process().let_go();
    drop(kept);
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut process = process();
        process.keepers = process.keepers.saturating_sub(1);
        let kept = if process.keepers == 0 { process.kept.take() } else { None };
        drop(process);
        drop(kept);
    }
}

/// A temporary folder that nobody else uses, until it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    session: Arc<Session>,
    name: String,
    path: PathBuf,
}

impl Scratch {
    /// A fresh one: called the same for the same purpose, if nobody else's is.
    pub(crate) fn make(purpose: &str) -> io::Result<Self> {
        let mut last = Errno::EXIST;
        for turn in 0..TRIES {
            let session = process().session()?;
            let number = if turn == 0 { hash(purpose) } else { random() };
            let name = spelled(number, session.length());
            match mkdirat(session.folder(), name.as_str(), Mode::RWXU) {
                Ok(()) => {
                    let path = session.path().join(&name);
                    return Ok(Self { session, name, path });
                }
                Err(errno @ Errno::EXIST) => last = errno,
                // Somebody who tidies up removed it.
                Err(errno @ Errno::NOENT) => {
                    last = errno;
                    let mut process = process();
                    if std::ptr::eq(process.session.as_ptr(), Arc::as_ptr(&session)) {
                        process.session = Weak::new();
                        let kept = process.kept.take();
                        drop(process);
                        drop(kept);
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(last.into())
    }

    /// Where it is. Without symbolic links, so that it reads as the kernel names it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it another name, so that the next one can have this one's.
    pub(super) fn move_aside(&mut self) -> io::Result<()> {
        let folder = self.session.folder();
        for _ in 0..TRIES {
            let name = spelled(random(), self.session.length());
            match renameat_with(folder, self.name.as_str(), folder, name.as_str(), RenameFlags::NOREPLACE) {
                Ok(()) => {
                    self.path = self.session.path().join(&name);
                    self.name = name;
                    return Ok(());
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Errno::EXIST.into())
    }
}

impl Session {
    /// How long the names in it are.
    fn length(&self) -> usize {
        LENGTH.saturating_sub(self.path().as_os_str().len() + 1).max(SHORTEST)
    }
}

/// The same for the same purpose, today and in a year.
fn hash(purpose: &str) -> u64 {
    // FNV-1a: the standard library's hashes may change from one version to the next.
    purpose
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now is tried again with the process's folder, and then by the next process.
        if let Ok(name) = CString::new(self.name.as_str()) {
            let _ = remove(self.session.folder(), &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    // The process's folder is one for all tests of this program: other tests may hold it at any time.
    #[test]
    fn each_run_has_its_own_and_it_is_gone_with_the_run() {
        let kept = keep();
        let (one, two) = (Scratch::make("run").unwrap(), Scratch::make("run").unwrap());
        assert_eq!(one.path().parent(), two.path().parent());
        assert_ne!(one.path(), two.path());
        let (path, process) = (one.path().to_owned(), one.path().parent().unwrap().to_owned());
        fs::create_dir(path.join("inner")).unwrap();
        drop(one);
        assert!(!path.exists() && two.path().is_dir());
        drop(two);
        assert!(process.is_dir(), "it is kept between runs");
        drop(kept);
    }

    #[test]
    fn the_next_run_of_a_scenario_lies_where_the_last_one_lay() {
        let kept = keep();
        let mut one = Scratch::make("same").unwrap();
        let path = one.path().to_owned();
        fs::write(path.join("file"), "x").unwrap();
        one.move_aside().unwrap();
        let two = Scratch::make("same").unwrap();
        assert_eq!(two.path(), path);
        assert_eq!(fs::read(one.path().join("file")).unwrap(), b"x");
        drop((one, two, kept));
    }

    #[test]
    fn a_folder_that_somebody_removed_is_made_again() {
        let kept = keep();
        let path = Scratch::make("again").unwrap().path().parent().unwrap().to_owned();
        // Another test may put something there meanwhile, and then it stays, which is as good.
        let _ = fs::remove_dir(path);
        let made = Scratch::make("again").unwrap();
        assert!(made.path().is_dir());
        drop(kept);
    }
}
