//! From the events of a run to what a scenario of it must grant, hold and expect.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use assize_core::syscall::family::{self, Family};
use assize_core::trace::{Action, Arg, Body, BytesText, Event, Origin};
use assize_core::{Errno, Syscall, Verdict};
use rustix::fs::{Access, access};

/// What must be seen for it.
pub(super) const OBSERVED: &[&Family] = &[
    &family::OPEN,
    &family::EXEC,
    &family::STAT,
    &family::ACCESS,
    &family::READLINK,
    &family::CHDIR,
    &family::CONNECT,
    &family::BIND,
    &family::TRUNCATE,
];

/// Something that was denied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Denial {
    pub(super) call: &'static str,
    /// As the guest wrote it, with `$WORK` for the work folder.
    pub(super) path: Option<String>,
    pub(super) errno: String,
    pub(super) by: String,
}

/// What a run used.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// What was read or executed outside of the work folder.
    pub(super) reads: BTreeSet<PathBuf>,
    /// How many folders up from the work folder what was read lies: that is the harness's own, and others' in each run.
    pub(super) above: BTreeSet<usize>,
    /// What was opened to be written there.
    pub(super) writes: BTreeSet<PathBuf>,
    /// Paths in the work folder that were used in any way, relative to it.
    pub(super) touched: BTreeSet<PathBuf>,
    /// Folders among them that were listed.
    pub(super) listed: BTreeSet<PathBuf>,
    /// Those among them that were opened, and existed.
    pub(super) used: BTreeSet<PathBuf>,
    /// Those among them that were executed.
    pub(super) executed: BTreeSet<PathBuf>,
    /// Files among them that were opened for reading, each as the guest wrote it.
    pub(super) opened: BTreeSet<String>,
    pub(super) denials: BTreeSet<Denial>,
    /// Addresses that were connected to.
    pub(super) connects: BTreeSet<String>,
    /// Addresses that guests took for themselves.
    pub(super) bound: BTreeSet<String>,
    /// What it was to change outside of the work folder, and was not let: what would have to be granted for it.
    pub(super) refused: BTreeMap<PathBuf, PathBuf>,
    /// Programs that it started, it or who it started, as they were called.
    pub(super) programs: BTreeSet<PathBuf>,
    /// The guests, as the host numbers them.
    pub(super) pids: BTreeSet<u32>,
}

impl Facts {
    pub(super) fn of(events: &[Event], work: &Path) -> Self {
        let mut facts = Self::default();
        for event in events {
            match &event.body {
                Body::Verdict(verdict) => facts.add(verdict, work),
                Body::Exec { exe, .. } => {
                    facts.used(&path(exe), work, false);
                    facts.executed.extend(inside(&path(exe), work));
                }
                Body::Start { pid, .. } => {
                    facts.pids.insert(*pid);
                }
                _ => {}
            }
        }
        facts
    }

    /// Adds what was seen of another run, but for what is to be seen in each.
    pub(super) fn add_all(&mut self, of: &Self) {
        for (all, more) in [
            (&mut self.reads, &of.reads),
            (&mut self.writes, &of.writes),
            (&mut self.touched, &of.touched),
            (&mut self.used, &of.used),
            (&mut self.listed, &of.listed),
            (&mut self.programs, &of.programs),
            (&mut self.executed, &of.executed),
        ] {
            all.extend(more.iter().cloned());
        }
        self.above.extend(&of.above);
        self.connects.extend(of.connects.iter().cloned());
        self.bound.extend(of.bound.iter().cloned());
        self.refused.extend(of.refused.clone());
    }

    /// `from_work`: whether it was called by where it lies from there.
    fn used(&mut self, at: &Path, work: &Path, from_work: bool) {
        match (at.strip_prefix(work), above(at, work, from_work)) {
            (Ok(inside), _) => {
                self.touched.insert(inside.to_owned());
                self.used.insert(inside.to_owned());
            }
            (Err(_), Some(above)) => {
                self.above.insert(above);
            }
            (Err(_), None) => {
                self.reads.insert(at.to_owned());
            }
        }
    }

    fn add(&mut self, verdict: &Verdict, work: &Path) {
        let is = |family: &Family| family.contains(verdict.call);
        let named: Vec<PathBuf> = verdict.args.paths().map(path).collect();
        for named in &named {
            if let Some(inside) = inside(named, work) {
                self.touched.insert(inside);
            }
        }
        if let Action::Deny(errno) = verdict.action {
            self.deny(verdict, errno, work);
            return;
        }
        let address = || {
            verdict.args.0.iter().find_map(|(_, arg)| match arg {
                Arg::Address(address) => Some(address.clone()),
                _ => None,
            })
        };
        if is(&family::CONNECT) {
            self.connects.extend(address());
        }
        if is(&family::BIND) {
            self.bound.extend(address());
        }
        if is(&family::EXEC) && verdict.result.is_none_or(|result| result >= 0) {
            // Of a script the interpreter is what runs.
            self.executed.extend(named.iter().filter_map(|named| inside(named, work)));
            self.programs.extend(named.iter().filter(|path| path.is_file()).cloned());
        }
        if is(&family::TRUNCATE) {
            self.writes
                .extend(named.iter().filter(|path| path.is_absolute() && !path.starts_with(work)).cloned());
        }
        if !is(&family::OPEN) || verdict.result.is_some_and(|result| result < 0) {
            return;
        }
        let Some(target) = verdict.target.as_ref().map(path).or_else(|| named.first().cloned()) else {
            return;
        };
        let at = if target.is_absolute() { target } else { work.join(target) };
        let has = |flag| has_flag(verdict, flag);
        // It holds a place in the tree and reads nothing: Landlock lets it pass everywhere.
        if has("O_PATH") && !at.starts_with(work) {
            return;
        }
        let writes = has("O_WRONLY") || has("O_RDWR");
        self.used(&at, work, named.first().is_some_and(|named| named.is_relative()));
        match at.strip_prefix(work) {
            Ok(inside) if has("O_DIRECTORY") => {
                self.listed.insert(inside.to_owned());
            }
            Ok(_) if !writes => {
                self.opened.extend(verdict.args.paths().next().and_then(|path| shown(path, work)))
            }
            Ok(_) => {}
            Err(_) if writes => {
                self.writes.insert(at.clone());
            }
            Err(_) => {}
        }
    }

    fn deny(&mut self, verdict: &Verdict, errno: Errno, work: &Path) {
        if verdict.by == Origin::Landlock {
            let outside = verdict.args.paths().map(path).filter(|path| path.is_absolute());
            self.refused.extend(
                outside
                    .filter(|path| !path.starts_with(among(work)))
                    .filter_map(|path| Some((path.clone(), to_grant(&path, verdict)?))),
            );
        }
        // A call that isn't there is no denial; and what Landlock refuses is shown to a scenario where it is an open.
        let hidden = verdict.by == Origin::Landlock && !family::OPEN.contains(verdict.call);
        if errno == Errno::ENOSYS || hidden {
            return;
        }
        self.denials.insert(Denial {
            call: verdict.call.name(),
            path: verdict.args.paths().next().and_then(|path| shown(path, work)),
            errno: errno.to_string(),
            by: match &verdict.by {
                Origin::Rule { capability, .. } => capability.clone().into_owned(),
                Origin::Landlock => "landlock".to_owned(),
                Origin::Kernel => "kernel".to_owned(),
                Origin::Handler(_) | Origin::Named(_) => "handler".to_owned(),
                Origin::Supervisor(_) => "supervisor".to_owned(),
            },
        });
    }
}

fn has_flag(verdict: &Verdict, flag: &str) -> bool {
    verdict
        .args
        .0
        .iter()
        .any(|(_, arg)| matches!(arg, Arg::Flags(_, names) if names.split('|').any(|name| name == flag)))
}

/// What must be granted for a change that Landlock refused: what is there already. `None`: it would not help, for it is none of
/// the user's, or the kernel's own.
fn to_grant(path: &Path, verdict: &Verdict) -> Option<PathBuf> {
    if ["/proc", "/sys", "/dev"].iter().any(|of| path.starts_with(of) && !path.starts_with("/dev/shm")) {
        return None;
    }
    // Where a name comes or goes it is the folder.
    let changes_folder = !family::OPEN.contains(verdict.call);
    let from = if changes_folder { path.parent()? } else { path };
    let there = from.ancestors().find(|at| at.exists())?;
    access(there, Access::WRITE_OK).is_ok().then(|| there.to_owned())
}

/// Every call that must be seen.
pub(super) fn observed() -> impl Iterator<Item = Syscall> {
    OBSERVED.iter().flat_map(|family| family.syscalls())
}

/// What work folders lie in: the harness's own, and called otherwise for another user.
pub(super) fn among(work: &Path) -> &Path {
    work.parent().unwrap_or(work)
}

/// How many folders up from the work folder that lies which must be granted for this; `None`: it is called the same
/// wherever the work folder lies.
fn above(at: &Path, work: &Path, from_work: bool) -> Option<usize> {
    let up = work.ancestors().position(|above| above == at).filter(|_| from_work);
    up.or_else(|| at.starts_with(among(work)).then_some(1))
}

fn path(text: &BytesText) -> PathBuf {
    OsStr::from_bytes(text.as_bytes()).into()
}

/// A path in the work folder, relative to it. One that is relative is taken as beginning there, where commands start.
fn inside(path: &Path, work: &Path) -> Option<PathBuf> {
    let relative = if path.is_absolute() { path.strip_prefix(work).ok()? } else { path };
    let mut inside = PathBuf::new();
    for part in relative.components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !inside.pop() {
                    return None;
                }
            }
            _ => return None,
        }
    }
    Some(inside)
}

/// A path as a pattern over verdicts writes it; `None`: it is no text, or is called otherwise in each run.
fn shown(path: &BytesText, work: &Path) -> Option<String> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    let escaped = |text: &str| {
        let special = |c: char| "\\*?[]{}".contains(c);
        text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect::<String>()
    };
    let rest = work.to_str().and_then(|work| text.strip_prefix(work));
    Some(match rest {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("$WORK{}", escaped(rest)),
        _ if Path::new(text).starts_with(among(work)) => return None,
        _ => escaped(text),
    })
}
