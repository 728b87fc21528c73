//! The text of a process's or thread's `status` (`man 5 proc_pid_status`): its fields, by their names.
//!
//! Read with the rights of whoever asks: a thread in the guests' domain can't.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// So much at once: the kernel makes the text anew at each opening, and few are longer.
const WHOLE: usize = 4096;

/// A `status`.
pub(crate) struct ProcessStatus(String);

impl ProcessStatus {
    /// Of the process or thread of this number.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn of(tid: u32) -> io::Result<Self> {
        Self::within(Path::new(&format!("/proc/{tid}")))
    }

    /// Of that to which this folder of a procfs belongs.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn within(folder: &Path) -> io::Result<Self> {
        let mut text = String::with_capacity(WHOLE);
        File::open(folder.join("status"))?.take(u64::MAX).read_to_string(&mut text)?;
        Ok(Self(text))
    }

    /// The field of this name, without the white space around it.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_names() {
        let status = ProcessStatus(
            "Name:\tx\nTgid:\t7\nNgid:\t0\nNSpid:\t9\t 2\nVmHWM:\t   132 kB\nGroups:\t\n".into(),
        );
        assert_eq!(status.field("Tgid"), Some("7"));
        assert_eq!(status.field("NSpid"), Some("9\t 2"));
        assert_eq!(status.field("VmHWM"), Some("132 kB"));
        assert_eq!(status.field("Groups"), Some(""));
        for none in ["gid", "VmHW", "VmPeak", ""] {
            assert_eq!(status.field(none), None, "{none}");
        }
        assert!(ProcessStatus::of(std::process::id()).unwrap().field("Pid").is_some());
    }
}
