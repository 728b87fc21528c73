//! Files of a procfs that tell of one process: which process, whichever procfs it is, and what they say to whoever may read
//! them. Says nothing of what guests are shown in its place.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;

use super::call::Call;
use super::request::Pin;
use super::time::{OwnTime, Time};
use crate::guest::Found;

/// init's number among the guests.
const INIT: u32 = 1;

/// How much memory init is said to have in use, in pages. The kernel counts two to four, by which of them were touched when.
pub(crate) const PAGES_OF_INIT: u64 = 1;

/// A file of a process, as `/proc/7/stat`, or of a thread, as `/proc/7/task/8/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessFile {
    /// The process, by its number in that procfs.
    pub(crate) process: u32,
    /// The thread that it tells of, by its number there: the process's first where it tells of the whole process.
    thread: u32,
    /// What the file is called.
    pub(crate) name: Vec<u8>,
    /// The procfs.
    device: u64,
}

/// The process, the thread and the file's name in a path that ends so.
fn parts(path: &[u8]) -> Option<(u32, u32, &[u8])> {
    let number = |part: &[u8]| std::str::from_utf8(part).ok()?.parse::<u32>().ok();
    let mut parts = path.rsplit(|byte| *byte == b'/');
    let (name, above) = (parts.next()?, number(parts.next()?)?);
    let process = match parts.next() {
        Some(b"task") => number(parts.next()?)?,
        _ => above,
    };
    Some((process, above, name))
}

impl ProcessFile {
    /// Whether it tells of init, in a procfs of the guests' own.
    pub(crate) fn is_of_init(&self) -> bool {
        self.process == INIT && !self.is_hosts()
    }

    /// Whether it lies in the host's procfs. In another, guests have the numbers that they have among themselves.
    fn is_hosts(&self) -> bool {
        rustix::fs::stat(c"/proc").is_ok_and(|proc| proc.st_dev == self.device)
    }
}

impl Call {
    /// The file of a process that an open leads to.
    pub(crate) fn opened_of_process(&mut self) -> Option<ProcessFile> {
        if self.of_process.is_none() {
            self.of_process = Some(self.find_process_file());
        }
        self.of_process.clone().flatten()
    }

    fn find_process_file(&mut self) -> Option<ProcessFile> {
        let Pin::Open(_, Found::Existing(pinned)) = self.pinned() else { return None };
        if pinned.on_procfs() != Ok(true) {
            return None;
        }
        let device = pinned.identity().dev;
        let whole = pinned.path().ok()?;
        let (process, thread, name) = parts(&whole)?;
        Some(ProcessFile { process, thread, name: name.to_vec(), device })
    }

    /// What the file says that an open leads to, read as the guest would: by the flags that it gave, with no more rights than it
    /// has, in the guests' own Landlock domain. `None`: it is refused, or gone, or this is no open for reading. The kernel
    /// then tells the guest so by itself.
    pub(crate) fn read_opened(&mut self) -> Option<Vec<u8>> {
        let Pin::Open(request, Found::Existing(pinned)) = self.pinned() else { return None };
        let mut file = File::from(request.reads(pinned)?);
        let mut content = Vec::new();
        file.read_to_end(&mut content).ok()?;
        Some(content)
    }

    /// Whether a file tells of somebody of this run: a guest, or init. Of them also who has ended and was not waited for yet.
    pub(crate) fn tells_of_this_run(&self, file: &ProcessFile) -> bool {
        if file.is_hosts() {
            self.run.is_ours(file.thread)
        } else {
            file.thread == INIT || self.numbered(file.thread).is_some()
        }
    }

    /// The thread that a file tells of, as we number it, if it is a guest's.
    pub(crate) fn thread_of(&self, file: &ProcessFile) -> Option<u32> {
        if file.is_hosts() { Some(file.thread) } else { self.numbered(file.thread) }
    }

    /// Works with the time of the process that a file tells of. That of init, which guests see in a procfs of their own, is
    /// their beginning. `None`: it is nobody of this run, or guests have the real time.
    pub(crate) fn with_time_of<T>(
        &self,
        file: &ProcessFile,
        work: impl FnOnce(&Time, &mut OwnTime) -> T,
    ) -> Option<T> {
        let time = self.run.time.as_ref()?;
        let mut processes = self.run.processes();
        if file.is_hosts() {
            processes.with_time(file.process, |own| work(time, own))
        } else if file.process == INIT {
            Some(work(time, &mut OwnTime::default()))
        } else {
            processes.with_time_by_number(file.process, |own| work(time, own))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_process_is_known_by_its_path() {
        assert_eq!(parts(b"/proc/7/stat"), Some((7, 7, &b"stat"[..])));
        assert_eq!(parts(b"/7/task/8/schedstat"), Some((7, 8, &b"schedstat"[..])));
        for other in [&b"/proc/stat"[..], b"/stat", b"stat", b"", b"/", b"/proc/x/stat", b"/proc/-7/stat"] {
            assert_eq!(parts(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
