//! What this host has.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Serialize;

use super::fact::{NAMED, PROGRAMS};
use super::{Fact, Need, Version};
use crate::scenario::policy::GUEST_PATH;

/// Whether a host has what is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It has.
    Satisfied,
    /// It lacks it: why, for a reader.
    Missing(String),
}

/// What this host has. Probe once, judge often.
#[derive(Debug, Clone)]
pub struct Host {
    landlock: u32,
    kernel: Option<Version>,
    kernel_text: String,
    seccomp: bool,
    root: bool,
    /// Where programs are looked for.
    path: OsString,
    // Making a process is the one costly look: only where somebody asks.
    userns: OnceLock<Result<(), String>>,
    own_proc: OnceLock<Result<(), String>>,
    realtime: OnceLock<Result<(), String>>,
}

/// A fact as it is on this host.
struct State {
    has: bool,
    version: Option<Version>,
    /// For a reader: `landlock is at 4 here`, `python3 is not in /usr/bin:/bin`.
    text: String,
}

impl Host {
    /// Looks.
    #[must_use]
    pub fn probe() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let kernel_text = read("/proc/sys/kernel/osrelease").trim().to_owned();
        Self {
            landlock: assize_core::host::landlock_abi(),
            kernel: kernel_version(&kernel_text),
            kernel_text,
            seccomp: read("/proc/sys/kernel/seccomp/actions_avail")
                .split_whitespace()
                .any(|action| action == "user_notif"),
            root: uid(&read("/proc/self/status")) == Some(0),
            // The guest's, not the harness's own: a program that the guest can't find is none.
            path: GUEST_PATH.into(),
            userns: OnceLock::new(),
            own_proc: OnceLock::new(),
            realtime: OnceLock::new(),
        }
    }

    /// Whether this host has it.
    #[must_use]
    pub fn judge(&self, need: &Need) -> Judgement {
        let state = self.state(&need.fact);
        let met = match (need.version, state.version) {
            (Some((order, wanted)), Some(has)) => state.has && order.holds(has, wanted),
            (Some(_), None) => false,
            (None, _) => state.has != need.negated,
        };
        if met { Judgement::Satisfied } else { Judgement::Missing(format!("needs {need}: {}", state.text)) }
    }

    /// The first need that this host lacks, with the reason.
    #[must_use]
    pub fn judge_all<'a>(&self, needs: &'a [Need]) -> Option<(&'a Need, String)> {
        needs.iter().find_map(|need| match self.judge(need) {
            Judgement::Satisfied => None,
            Judgement::Missing(reason) => Some((need, reason)),
        })
    }

    fn state(&self, fact: &Fact) -> State {
        let plain = |has: bool, text: String| State { has, version: None, text };
        match fact {
            Fact::Landlock => State {
                has: self.landlock > 0,
                version: Some(Version { major: self.landlock, minor: 0 }),
                text: match self.landlock {
                    0 => "this kernel has no Landlock, or it is switched off".into(),
                    abi => format!("Landlock is at {abi} here"),
                },
            },
            Fact::Kernel => {
                State { has: true, version: self.kernel, text: format!("this is Linux {}", self.kernel_text) }
            }
            Fact::Userns => match self.userns.get_or_init(namespaces) {
                Ok(()) => plain(true, "namespaces can be made here".into()),
                Err(why) => plain(false, format!("no user namespace can be made here: {why}")),
            },
            Fact::OwnProc => match self.own_proc.get_or_init(own_proc) {
                Ok(()) => plain(true, "guests can have a procfs of their own here".into()),
                Err(why) => plain(false, format!("no procfs can be mounted in namespaces here: {why}")),
            },
            Fact::Realtime => {
                match self
                    .realtime
                    .get_or_init(|| assize_core::host::try_realtime().map_err(|error| error.to_string()))
                {
                    Ok(()) => plain(true, "real-time priorities can be given here".into()),
                    Err(why) => plain(false, format!("no real-time priority can be given here: {why}")),
                }
            }
            Fact::Seccomp if self.seccomp => plain(true, "filters can ask a supervisor here".into()),
            Fact::Seccomp => plain(false, "this kernel's seccomp can't ask a supervisor".into()),
            Fact::Root if self.root => plain(true, "the tests run as root".into()),
            Fact::Root => plain(false, "the tests run as an ordinary user".into()),
            Fact::Machine(name) => {
                plain(*name == std::env::consts::ARCH, format!("this is {}", std::env::consts::ARCH))
            }
            Fact::Program(name) => match self.find(name) {
                Some(path) => plain(true, format!("it is {}", path.display())),
                None => plain(false, format!("{name} is not in {}", self.path.display())),
            },
        }
    }

    /// Where a program is.
    fn find(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| {
                path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
            })
    }

    /// Every fact as it is here, and what it is for.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |name: &str, fact: &Fact, purpose: &str| {
            let state = self.state(fact);
            let (name, purpose) = (name.to_owned(), purpose.to_owned());
            Row { name, has: state.has, says: state.text, purpose }
        };
        let named = NAMED
            .iter()
            .filter(|(_, fact, _)| !matches!(fact, Fact::Machine(name) if *name != std::env::consts::ARCH))
            .map(|(name, fact, purpose)| row(name, fact, purpose));
        let programs = PROGRAMS
            .iter()
            .map(|name| row(name, &Fact::Program((*name).to_owned()), "scenarios that need it"));
        named.chain(programs).collect()
    }
}

/// A fact as it is on a host, for a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// As `needs` writes it.
    pub name: String,
    /// Whether it is there.
    pub has: bool,
    /// How it is: `Landlock is at 7 here`.
    pub says: String,
    /// What it is for.
    pub purpose: String,
}

/// These, one below the other.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let width =
        |column: fn(&Row) -> &str| rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
    let (names, texts) = (width(|row| &row.name), width(|row| &row.says));
    let mut table = String::new();
    for Row { name, has, says, purpose } in rows {
        let mark = if *has { "yes" } else { "no" };
        // Writing to a string can't fail.
        let _ = writeln!(table, "{name:names$}  {mark:3}  {says:texts$}  {purpose}");
    }
    table
}

fn namespaces() -> Result<(), String> {
    assize_core::host::try_namespaces().map_err(|error| error.to_string())
}

fn own_proc() -> Result<(), String> {
    assize_core::host::try_own_proc().map_err(|error| error.to_string())
}

fn kernel_version(release: &str) -> Option<Version> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some(Version { major, minor }),
        _ => None,
    }
}

/// The effective user of a `/proc/PID/status`.
fn uid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host {
            landlock: 4,
            kernel: kernel_version("6.12.3-amd64"),
            kernel_text: "6.12.3-amd64".into(),
            seccomp: true,
            root: false,
            path: "relative:/bin:/usr/bin".into(),
            userns: OnceLock::from(Err("EPERM".to_owned())),
            own_proc: OnceLock::from(Err("EPERM".to_owned())),
            realtime: OnceLock::from(Err("EPERM".to_owned())),
        }
    }

    fn judge(need: &str) -> Judgement {
        host().judge(&need.parse().unwrap())
    }

    fn missing(need: &str) -> String {
        match judge(need) {
            Judgement::Missing(why) => why,
            Judgement::Satisfied => String::new(),
        }
    }

    #[test]
    fn needs_are_met_or_named() {
        for met in [
            "landlock >= 4",
            "landlock",
            "landlock < 6",
            "landlock == 4",
            "kernel >= 6.12",
            "kernel > 6.2",
            "kernel < 7",
            "not root",
            "not userns",
            "seccomp",
            "sh",
            "program(sh)",
            "not program(no-such-program)",
        ] {
            assert_eq!(judge(met), Judgement::Satisfied, "{met}");
        }
        assert_eq!(missing("landlock >= 6"), "needs landlock >= 6: Landlock is at 4 here");
        assert_eq!(missing("kernel >= 6.13"), "needs kernel >= 6.13: this is Linux 6.12.3-amd64");
        assert_eq!(missing("root"), "needs root: the tests run as an ordinary user");
        assert_eq!(missing("userns"), "needs userns: no user namespace can be made here: EPERM");
        assert_eq!(missing("own-proc"), "needs own-proc: no procfs can be mounted in namespaces here: EPERM");
        assert_eq!(missing("not landlock"), "needs not landlock: Landlock is at 4 here");
        assert_eq!(missing("aarch64"), "needs aarch64: this is x86_64");
        assert_eq!(
            missing("program(no-such-program)"),
            "needs program(no-such-program): no-such-program is not in relative:/bin:/usr/bin"
        );
    }

    #[test]
    fn a_kernel_without_landlock_meets_no_version_of_it() {
        let host = Host { landlock: 0, ..host() };
        assert_ne!(host.judge(&"landlock < 6".parse().unwrap()), Judgement::Satisfied);
        assert_eq!(host.judge(&"not landlock".parse().unwrap()), Judgement::Satisfied);
    }

    #[test]
    fn this_host_can_be_looked_at() {
        let host = Host::probe();
        assert!(host.kernel.is_some_and(|version| version.major >= 5));
        assert_eq!(host.judge(&"x86_64".parse().unwrap()), Judgement::Satisfied);
        let table = table(&host.rows());
        for name in ["landlock", "userns", "kernel", "python3"] {
            assert!(table.lines().any(|line| line.starts_with(name)), "{name} in\n{table}");
        }
    }

    #[test]
    fn the_effective_user_counts() {
        assert_eq!(uid("Name:\tx\nUid:\t1000\t0\t0\t0\n"), Some(0));
        assert_eq!(uid("nothing"), None);
    }
}
