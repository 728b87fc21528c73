//! The jobs of one run of nextest, which starts a process for each test: a locked file stands for each of them.
//!
//! Who needs several holds the gate until he has them, so that nobody overtakes him. The files lie in a folder of the
//! run, beside the groups' locks. The last one out removes it; one that a crash left behind, the next run.
#![forbid(unsafe_code)]

use std::env;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use super::AGAIN;
use super::place::{Lock, Place, PlaceError};
use crate::scenario::turn::Cost;

const GATE: &str = "gate";
const STEM: &str = "jobs-";
/// How often the folder is made, which somebody may remove in that moment.
const TRIES: usize = 100;

/// The jobs of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slots {
    folder: String,
    jobs: usize,
}

impl Slots {
    /// Those of the run that this process belongs to, if it does.
    pub(super) fn of_nextest() -> Option<Self> {
        let said = |name: &str| env::var(name).ok();
        if said("NEXTEST_EXECUTION_MODE").as_deref() != Some("process-per-test") {
            return None;
        }
        Self::of(&said("NEXTEST_RUN_ID")?, said("NEXTEST_TEST_THREADS").as_deref())
    }

    fn of(run: &str, jobs: Option<&str>) -> Option<Self> {
        if !(1..=64).contains(&run.len()) || !run.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return None;
        }
        // Older ones don't say how many they start at once: as many as there are processors, if not told otherwise.
        let jobs = jobs.and_then(|jobs| jobs.parse().ok());
        let jobs = jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        Some(Self { folder: format!("{STEM}{run}"), jobs })
    }

    /// Waits until so many are free, and takes them.
    pub(super) fn take(&self, cost: Cost) -> Result<Vec<Lock>, PlaceError> {
        match self.wait_for(cost) {
            // Who takes one has asked for nothing: those that have can't have it either, and fail.
            Err(_) if cost == Cost::default() => Ok(Vec::new()),
            taken => taken,
        }
    }

    /// Removes the folder, if nobody else has anything there.
    pub(super) fn leave(&self) {
        if let Ok(all) = Place::open() {
            let _ = unlinkat(&all.folder, self.folder.as_str(), AtFlags::REMOVEDIR);
        }
    }

    fn wait_for(&self, cost: Cost) -> Result<Vec<Lock>, PlaceError> {
        let wanted = cost.0.get().min(self.jobs);
        let mut place = self.place()?;
        let gate = loop {
            match place.lock(GATE) {
                Ok(Some(gate)) => break gate,
                Ok(None) => std::thread::sleep(AGAIN),
                // Whoever thought that the run is over has removed it.
                Err(error) if error.is_gone() => place = self.place()?,
                Err(error) => return Err(error),
            }
        };
        let mut held = Vec::new();
        let mut left: Vec<_> = (0..self.jobs).map(|nth| nth.to_string()).collect();
        while held.len() < wanted {
            let mut failed = None;
            left.retain(|name| {
                if held.len() == wanted || failed.is_some() {
                    return true;
                }
                match place.lock(name) {
                    Ok(Some(lock)) => held.push(lock),
                    Ok(None) => return true,
                    Err(error) => failed = Some(error),
                }
                false
            });
            if let Some(error) = failed {
                return Err(error);
            }
            if held.len() < wanted {
                std::thread::sleep(AGAIN);
            }
        }
        drop(gate);
        Ok(held)
    }

    fn place(&self) -> Result<Place, PlaceError> {
        let all = Place::open()?;
        let path = all.path.join(&self.folder);
        let mut last = Errno::NOENT;
        for _ in 0..TRIES {
            match mkdirat(&all.folder, self.folder.as_str(), Mode::RWXU) {
                Ok(()) => self.remove_others(&all),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(PlaceError::of(&path, errno)),
            }
            match open_folder(&all, &self.folder) {
                Ok(place) => return Ok(place),
                Err(errno) => last = errno,
            }
        }
        Err(PlaceError::of(&path, last))
    }

    /// Removes the folders of runs that are over: nobody holds anything there. What can't be removed stays.
    fn remove_others(&self, all: &Place) {
        let Ok(entries) = Dir::read_from(&all.folder) else { return };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with(STEM) && name != self.folder && entry.file_type() != FileType::RegularFile {
                let _ = remove(all, name);
            }
        }
    }
}

/// Removes a run's folder if nobody holds a lock in it.
fn remove(all: &Place, name: &str) -> Result<(), Errno> {
    let place = open_folder(all, name)?;
    let Ok(Some(gate)) = place.lock(GATE) else { return Ok(()) };
    for entry in Dir::read_from(&place.folder)? {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | ".." | GATE) => {}
            // Those that nobody holds are gone by this.
            Ok(name) => drop(place.lock(name)),
            Err(_) => {}
        }
    }
    drop(gate);
    unlinkat(&all.folder, name, AtFlags::REMOVEDIR)
}

fn open_folder(all: &Place, name: &str) -> Result<Place, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(&all.folder, name, flags, Mode::empty())?;
    Ok(Place { folder: Arc::new(folder), path: all.path.join(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_known_by_its_id() {
        let of = |run: &str, jobs| Slots::of(run, jobs).map(|slots| (slots.folder, slots.jobs));
        assert_eq!(of("8caa-1", Some("3")), Some(("jobs-8caa-1".to_owned(), 3)));
        assert!(of("8caa-1", None).is_some_and(|(_, jobs)| jobs >= 1));
        for odd in ["", "..", "a/b", "a b"] {
            assert_eq!(of(odd, Some("3")), None, "{odd}");
        }
    }
}
