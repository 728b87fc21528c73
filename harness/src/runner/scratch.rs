//! The temporary folders of runs. Each is gone when its run is.
//!
//! What they lie in (see [`Session`]) stays between one run and the next for as long as somebody [keeps](keep) it: making a
//! folder and removing it takes longer than many a command.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::session::Session;

/// What this process has.
static PROCESS: Mutex<Process> = Mutex::new(Process { keepers: 0, kept: None, names: BTreeSet::new() });

struct Process {
    keepers: usize,
    /// Keeps what they lie in between runs.
    kept: Option<Session>,
    /// What its own folders are called.
    names: BTreeSet<String>,
}

fn process() -> MutexGuard<'static, Process> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what folders lie in between runs.
#[derive(Debug)]
pub(crate) struct Kept;

/// Keeps it until what this gives is dropped.
pub(crate) fn keep() -> Kept {
    process().keepers += 1;
    Kept
}

/// Keeps it no longer, whoever wanted that: the process is about to end.
pub(crate) fn let_go() {
    let mut process = process();
    process.keepers = 0;
    let kept = process.kept.take();
    drop(process);
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
    session: Session,
}

impl Scratch {
    /// A fresh one: called the same for the same purpose, if nobody else's is.
    pub(crate) fn make(purpose: &str) -> io::Result<Self> {
        let keeps = {
            let process = process();
            process.keepers > 0 && process.kept.is_none()
        };
        if keeps {
            let made = Session::make()?;
            let mut process = process();
            let other = if process.keepers > 0 { process.kept.replace(made) } else { Some(made) };
            drop(process);
            drop(other);
        }
        let tried = RefCell::new(None::<String>);
        let is_own = |name: &str| {
            let mut tried = tried.borrow_mut();
            if tried.as_deref() == Some(name) {
                return false;
            }
            let mut process = process();
            let is_own = !process.names.insert(name.to_owned());
            if !is_own && let Some(before) = tried.replace(name.to_owned()) {
                process.names.remove(&before);
            }
            is_own
        };
        let made = Session::make_for(purpose, is_own);
        if made.is_err()
            && let Some(name) = tried.take()
        {
            process().names.remove(&name);
        }
        Ok(Self { session: made? })
    }

    /// Where it is. Without symbolic links, so that it reads as the kernel names it.
    pub(crate) fn path(&self) -> &Path {
        self.session.path()
    }

    /// Gives it another name, so that the next one can have this one's.
    pub(super) fn move_aside(&mut self) -> io::Result<()> {
        let name = self.session.name().to_owned();
        self.session.move_aside()?;
        process().names.remove(&name);
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        process().names.remove(self.session.name());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    // What they lie in is one for all tests of this program: other tests may hold it at any time.
    #[test]
    fn each_run_has_its_own_and_it_is_gone_with_the_run() {
        let (one, two) = (Scratch::make("run").unwrap(), Scratch::make("run").unwrap());
        assert_eq!(one.path().parent(), two.path().parent());
        assert_ne!(one.path(), two.path());
        assert_eq!(one.path().as_os_str().len(), two.path().as_os_str().len());
        let path = one.path().to_owned();
        fs::create_dir(path.join("inner")).unwrap();
        drop(one);
        assert!(!path.exists() && two.path().is_dir());
        let again = Scratch::make("run").unwrap();
        assert_eq!(again.path(), path);
    }

    #[test]
    fn what_they_lie_in_is_kept_between_runs() {
        let kept = keep();
        let path = Scratch::make("kept").unwrap().path().to_owned();
        assert!(!path.exists() && path.parent().unwrap().is_dir());
        drop(kept);
    }

    /// Whatever else is under way, in this process and others: what guests see is called the same.
    #[test]
    fn the_next_run_of_a_scenario_lies_where_the_last_one_lay() {
        let mut one = Scratch::make("same").unwrap();
        let path = one.path().to_owned();
        fs::write(path.join("file"), "x").unwrap();
        one.move_aside().unwrap();
        let others: Vec<_> = (0..5).map(|nth| Scratch::make(&format!("other {nth}")).unwrap()).collect();
        let two = Scratch::make("same").unwrap();
        assert_eq!(two.path(), path);
        assert_eq!(fs::read(one.path().join("file")).unwrap(), b"x");
        drop((one, two, others));
        assert!(!path.exists());
    }
}
