//! The Landlock ruleset of a policy.
//!
//! Everything asked for is required: on a kernel that lacks a right the ruleset is an error, never a weaker one. Knows
//! nothing of seccomp or of single calls.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, RestrictionStatus, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs};

use crate::Errno;
use crate::policy::FsPolicy;

/// The version of the kernel's interface whose rights are all handled: Linux 6.12. `man 7 landlock`
const REQUIRED: ABI = ABI::V6;

/// A ruleset, to be entered.
pub(crate) struct Ruleset {
    made: RulesetCreated,
    /// What it grants of a procfs that is not mounted yet.
    later: Vec<(PathBuf, &'static str, BitFlags<AccessFs>)>,
}

/// Why there is no ruleset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LandlockError {
    /// The kernel can't restrict what the policy asks for.
    #[error("this kernel's Landlock can't enforce the policy (version 6 is needed, Linux 6.12): {0}")]
    Unsupported(#[source] RulesetError),
    /// The process has no descriptor, or the kernel no memory, left for it.
    #[error("the Landlock ruleset could not be made: {errno}")]
    Exhausted {
        /// Which.
        errno: Errno,
    },
    /// A granted path can't be opened.
    #[error("{path:?} is granted by fs.{grant}, but opening it gave {errno}")]
    Path {
        /// The path.
        path: PathBuf,
        /// `read`, `write` or `exec`.
        grant: &'static str,
        /// Why.
        errno: Errno,
    },
}

impl From<RulesetError> for LandlockError {
    fn from(error: RulesetError) -> Self {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<std::io::Error>()
                && let errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) = Errno::of(io)
            {
                return Self::Exhausted { errno };
            }
            source = cause.source();
        }
        Self::Unsupported(error)
    }
}

impl Ruleset {
    /// The ruleset of this policy. With `own_proc` it grants nothing of the procfs that is mounted now: what the policy says
    /// of it is said of one that comes, in [`grant_later`](Self::grant_later).
    pub(crate) fn of(policy: &FsPolicy, own_proc: bool) -> Result<Self, LandlockError> {
        let all = AccessFs::from_all(REQUIRED);
        // init, which then stands outside of the domain, is ended by the death of the thread that enters it. To guests the
        // domain beneath forbids signals.
        let scopes = if own_proc { Scope::AbstractUnixSocket.into() } else { Scope::from_all(REQUIRED) };
        let mut made = landlock::Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(all)?
            .scope(scopes)?
            .create()?;
        let mut later = Vec::new();
        for (grant, paths, access) in grants(policy) {
            for path in paths {
                let failed = |errno| LandlockError::Path { path: path.clone(), grant, errno };
                let fd = open(path).map_err(failed)?;
                if own_proc && fstatfs(&fd).is_ok_and(|fs| fs.f_type == PROC_SUPER_MAGIC) {
                    later.push((std::path::absolute(path).unwrap_or_else(|_| path.clone()), grant, access));
                } else {
                    made = grant_beneath(made, fd, access, failed)?;
                }
            }
        }
        Ok(Self { made, later })
    }

    /// Grants what the policy says of a procfs, by what `open` finds.
    pub(crate) fn grant_later(
        mut self,
        open: impl Fn(&Path) -> Result<OwnedFd, Errno>,
    ) -> Result<Self, LandlockError> {
        for (path, grant, access) in std::mem::take(&mut self.later) {
            let failed = |errno| LandlockError::Path { path: path.clone(), grant, errno };
            self.made = grant_beneath(self.made, open(&path).map_err(failed)?, access, failed)?;
        }
        Ok(self)
    }

    /// Restricts the calling thread, and what it clones, for good.
    pub(crate) fn enter(self) -> Result<(), Errno> {
        match self.made.restrict_self() {
            Ok(RestrictionStatus { ruleset: RulesetStatus::FullyEnforced, .. }) => Ok(()),
            Ok(_) => Err(Errno::EOPNOTSUPP),
            Err(_) => Err(Errno::of(&std::io::Error::last_os_error())),
        }
    }
}

/// What each list of the policy grants.
fn grants(policy: &FsPolicy) -> [(&'static str, &[PathBuf], BitFlags<AccessFs>); 3] {
    let execute = BitFlags::from(AccessFs::Execute);
    let implied = if policy.exec.is_none() { execute } else { BitFlags::EMPTY };
    let read = AccessFs::ReadFile | AccessFs::ReadDir | implied;
    let write = (AccessFs::from_all(REQUIRED) & !execute) | implied;
    let exec: &[PathBuf] = policy.exec.as_deref().unwrap_or_default();
    [("read", policy.read.as_slice(), read), ("write", &policy.write, write), ("exec", exec, execute)]
}

/// One rule of the ruleset, for a reader.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Granted {
    /// The file, or the folder with all that lies beneath it.
    pub path: PathBuf,
    /// By which list of the policy: `read`, `write` or `exec`.
    pub grant: &'static str,
    /// The rights, as `man 7 landlock` calls them, in its spelling without underscores: `ReadFile`.
    pub rights: Vec<String>,
}

/// The rules of this policy's ruleset.
#[must_use]
pub fn granted(policy: &FsPolicy) -> Vec<Granted> {
    let rules = grants(policy).into_iter().flat_map(|(grant, paths, access)| {
        paths.iter().map(move |path| {
            let access = if path.is_dir() { access } else { access & AccessFs::from_file(REQUIRED) };
            let rights = access.iter().map(|right| format!("{right:?}")).collect();
            Granted { path: path.clone(), grant, rights }
        })
    });
    rules.collect()
}

/// A second ruleset, for guests alone, who then stand beneath the supervisor's worker and beneath init.
///
/// In one domain with these, a guest of the same user could read and write their memory and send them signals.
/// It grants whatever the first one does: it must name a right on files, or moves between folders would be refused. It
/// is the same for all runs, and made once.
pub(crate) fn beneath() -> Result<&'static OwnedFd, LandlockError> {
    static RULESET: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(ruleset) = RULESET.get() {
        return Ok(ruleset);
    }
    let made = make_beneath()?;
    Ok(RULESET.get_or_init(|| made))
}

fn make_beneath() -> Result<OwnedFd, LandlockError> {
    let root = Path::new("/");
    let path = |errno| LandlockError::Path { path: root.into(), grant: "read", errno };
    let fd = open(root).map_err(path)?;
    let ruleset = landlock::Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)?
        .scope(Scope::from_all(REQUIRED))?
        .create()?
        .add_rule(PathBeneath::new(fd, AccessFs::Refer))?;
    Option::<OwnedFd>::from(ruleset).ok_or_else(|| path(Errno::EOPNOTSUPP))
}

fn grant_beneath(
    ruleset: RulesetCreated,
    fd: OwnedFd,
    access: BitFlags<AccessFs>,
    failed: impl Fn(Errno) -> LandlockError,
) -> Result<RulesetCreated, LandlockError> {
    let mode = fstat(&fd).map_err(|errno| failed(errno.into()))?.st_mode;
    // A file has no entries: rights on them are for folders.
    let is_folder = FileType::from_raw_mode(mode) == FileType::Directory;
    let access = if is_folder { access } else { access & AccessFs::from_file(REQUIRED) };
    Ok(ruleset.add_rule(PathBeneath::new(fd, access))?)
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}
