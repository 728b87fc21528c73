//! A temporary folder that is gone when its process is: the next one removes what one left behind that was killed.
//!
//! They lie together in a folder that belongs to the user alone: `assize-UID` among the system's temporary ones. Beside
//! each lies a file that its process holds locked (`man 2 flock`). The kernel lets the lock go when the process ends,
//! however it does, so whoever gets the lock of a folder knows that nobody uses it. What has no such file is nobody's
//! business, and no link is followed.
//!
//! Guests see where they run, and write it into what they make. So a folder is called after its purpose, whatever else
//! runs meanwhile; only where the same is under way twice at once does the second have another name.
#![forbid(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::ffi::{CStr, CString};
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, fchmod, flock, fstat, mkdirat, open,
    openat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::remove::remove;
use crate::bazel;

/// Another user may have taken the first name: so many are tried.
const NAMES: u32 = 8;
/// How often a folder is tried to be made: the one that it lies in may be removed meanwhile, and a name may be taken.
const TRIES: usize = 100;
/// How often the first name is tried, and how long it is waited for each time.
const PATIENT: usize = 20;
const MOMENT: Duration = Duration::from_millis(1);
/// How long a folder's path is, wherever the system's temporary folder lies, unless that alone leaves too little: the
/// strings on a program's stack, and with them its addresses, then don't tell.
const LENGTH: usize = 48;
/// The shortest name.
const SHORTEST: usize = 6;
/// What it is called, but for the user.
const STEM: &str = "assize";
const LOCK: &str = ".lock";

/// A temporary folder that nobody else uses, until it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    among: OwnedFd,
    name: String,
    path: PathBuf,
    /// Held as long as this lives; let go by its end.
    lock: OwnedFd,
}

/// A name to try.
struct Name {
    name: String,
    /// Who has it may be done with it in a moment.
    waits: bool,
}

/// Where they lie: the first of a process removes what was left behind.
fn among() -> io::Result<PathBuf> {
    static RECLAIMED: Once = Once::new();
    let among = bazel::temporary().unwrap_or_else(std::env::temp_dir).canonicalize()?;
    RECLAIMED.call_once(|| reclaim(&among));
    Ok(among)
}

/// The lock of this name, which nobody else has.
fn try_lock(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = openat(folder, format!("{name}{LOCK}"), flags, Mode::RUSR | Mode::WUSR)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    if fstat(&lock)?.st_nlink == 0 {
        return Err(Errno::NOENT);
    }
    Ok(lock)
}

/// How long names are in this folder.
fn length(path: &Path) -> usize {
    LENGTH.saturating_sub(path.as_os_str().len() + 1).max(SHORTEST)
}

/// The same for the same purpose, today and in a year.
fn hash(purpose: &str) -> u64 {
    // FNV-1a: the standard library's hashes may change from one version to the next.
    purpose
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Session {
    /// A fresh one, called after nothing: it holds the folder that all lie in.
    pub(super) fn make() -> io::Result<Self> {
        Self::make_in(&among()?, |turn, _| Some(Name { name: format!("{turn:06}"), waits: false }))
    }

    /// A fresh one, called after its purpose: the same for the same, but where that is taken and `is_own` says that it is
    /// so by this process, or it stays so.
    pub(super) fn make_for(purpose: &str, is_own: impl Fn(&str) -> bool) -> io::Result<Self> {
        let among = among()?;
        Self::make_in(&among, |turn, path| {
            // The first name is waited for: who tidies up has it for a moment.
            let (nth, waits) = (turn.saturating_sub(PATIENT), turn < PATIENT);
            let name = match nth {
                0 => spelled(hash(purpose), length(path)),
                nth => spelled(hash(&format!("{purpose} {nth}")), length(path)),
            };
            (!is_own(&name)).then_some(Name { name, waits })
        })
    }

    fn make_in(among: &Path, name: impl Fn(usize, &Path) -> Option<Name>) -> io::Result<Self> {
        let mut last = Errno::EXIST;
        for turn in 0..TRIES {
            let (folder, path) = match own_folder(among, STEM) {
                // Others who tidy up removed it in the moment in which it was made.
                Err((_, Errno::NOENT)) => {
                    last = Errno::NOENT;
                    continue;
                }
                Err((_, errno)) => return Err(errno.into()),
                Ok(own) => own,
            };
            let Some(Name { name, waits }) = name(turn, &path) else { continue };
            let made = Self::try_make(&folder, &name);
            let made = match made {
                // Whoever had it may have been killed.
                Err(Errno::EXIST) if is_abandoned(&folder, &name) => Self::try_make(&folder, &name),
                made => made,
            };
            match made {
                Ok(lock) => {
                    return Ok(Self { path: path.join(&name), among: folder, name, lock });
                }
                // The folder was removed meanwhile, the name is taken, or somebody who reclaims was faster.
                Err(errno @ (Errno::NOENT | Errno::EXIST | Errno::WOULDBLOCK)) => last = errno,
                Err(errno) => return Err(errno.into()),
            }
            if waits {
                std::thread::sleep(MOMENT);
            }
        }
        Err(last.into())
    }

    /// The lock.
    fn try_make(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
        let lock = try_lock(folder, name)?;
        if let Err(errno) = mkdirat(folder, name, Mode::RWXU) {
            let _ = unlinkat(folder, format!("{name}{LOCK}"), AtFlags::empty());
            return Err(errno);
        }
        Ok(lock)
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives it a name that nobody asks for.
    pub(super) fn move_aside(&mut self) -> io::Result<()> {
        for _ in 0..TRIES {
            let name = spelled(random(), self.name.len());
            let lock = match try_lock(&self.among, &name) {
                Ok(lock) => lock,
                Err(Errno::EXIST | Errno::WOULDBLOCK | Errno::NOENT) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let (from, to) = (self.name.as_str(), name.as_str());
            match renameat_with(&self.among, from, &self.among, to, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    let _ = unlinkat(&self.among, format!("{}{LOCK}", self.name), AtFlags::empty());
                    self.lock = lock;
                    self.path.set_file_name(&name);
                    self.name = name;
                    return Ok(());
                }
                Err(errno) => {
                    let _ = unlinkat(&self.among, format!("{name}{LOCK}"), AtFlags::empty());
                    if errno != Errno::EXIST {
                        return Err(errno.into());
                    }
                }
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Where it is. Without symbolic links, so that it reads as the kernel names it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What can't be removed now stays with its lock's file, for the next run to try.
        if let Ok(name) = CString::new(self.name.as_str())
            && remove_both(&self.among, &name).is_ok()
            && let Some(path) = self.path.parent()
        {
            // The last one out; it fails if there are others.
            let _ = fs::remove_dir(path);
        }
    }
}

fn remove_both(folder: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    remove(folder, name)?;
    unlinkat(folder, [name.to_bytes(), LOCK.as_bytes()].concat(), AtFlags::empty())
}

/// A number that nobody else has.
pub(crate) fn random() -> u64 {
    // Each has keys of its own.
    RandomState::new().build_hasher().finish()
}

/// A number as a name of so many signs, the last of which are the same in every name where there are many.
fn spelled(number: u64, len: usize) -> String {
    const SIGNS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut rest = number;
    let sign = |_| {
        let sign = SIGNS[(rest % SIGNS.len() as u64) as usize];
        rest /= SIGNS.len() as u64;
        char::from(sign)
    };
    (0..len).map(sign).collect()
}

fn names(among: &Path, stem: &str) -> impl Iterator<Item = PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    (0..NAMES).map(move |nth| match nth {
        0 => among.join(format!("{stem}-{uid}")),
        nth => among.join(format!("{stem}-{uid}.{nth}")),
    })
}

/// Opens a folder if it is one, no link to one, and the user's own.
fn open_own(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open(path, flags, Mode::empty())?;
    let found = fstat(&folder)?;
    if found.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Errno::PERM);
    }
    // A guest may have changed it: the folder is the user's alone.
    if found.st_mode & 0o7777 != 0o700 {
        fchmod(&folder, Mode::RWXU)?;
    }
    Ok(folder)
}

/// A folder that belongs to the user alone, made where it is missing.
///
/// # Errors
/// The folder that could not be had, the last one of those that would do, and why.
pub(crate) fn own_folder(among: &Path, stem: &str) -> Result<(OwnedFd, PathBuf), (PathBuf, Errno)> {
    let mut last = (among.join(stem), Errno::EXIST);
    for path in names(among, stem) {
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err((path, errno)),
        }
        match open_own(&path) {
            Ok(folder) => return Ok((folder, path)),
            // Another user's, a link, a file: that it will be for everybody else as well.
            Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP)) => last = (path, errno),
            Err(errno) => return Err((path, errno)),
        }
    }
    Err(last)
}

/// Removes the folders that nobody uses any more. What can't be removed stays: that is no reason not to run.
fn reclaim(among: &Path) {
    for path in names(among, STEM) {
        if let Ok(folder) = open_own(&path) {
            let _ = reclaim_in(&folder);
            let _ = fs::remove_dir(&path);
        }
    }
}

fn reclaim_in(folder: &OwnedFd) -> Result<(), Errno> {
    let mut locks = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown)
            && let Some(name) = entry.file_name().to_bytes().strip_suffix(LOCK.as_bytes())
            && let Ok(name) = CString::new(name)
        {
            locks.push((name, entry.file_name().to_owned()));
        }
    }
    for (name, lock_name) in locks {
        let _ = reclaim_one(folder, &name, &lock_name);
    }
    Ok(())
}

/// Whether nobody used the folder of this name any more: it is removed then.
fn is_abandoned(folder: &OwnedFd, name: &str) -> bool {
    let named = (CString::new(name), CString::new(format!("{name}{LOCK}")));
    matches!(named, (Ok(name), Ok(lock_name)) if reclaim_one(folder, &name, &lock_name))
}

fn reclaim_one(folder: &OwnedFd, name: &CStr, lock_name: &CStr) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(lock) = openat(folder, lock_name, flags, Mode::empty()) else { return false };
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return false;
    }
    // Whoever used it may have removed both meanwhile, and another may use the name again.
    let Ok(held) = fstat(&lock) else { return false };
    let named = rustix::fs::statat(folder, lock_name, AtFlags::SYMLINK_NOFOLLOW);
    let is_it = named.is_ok_and(|named| (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino));
    is_it && remove_both(folder, name).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn only(among: &Path) -> PathBuf {
        names(among, STEM).next().unwrap()
    }

    fn make_in(among: &Path) -> io::Result<Session> {
        Session::make_in(among, |turn, _| Some(Name { name: format!("{turn:06}"), waits: false }))
    }

    fn listed(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// As a run that was killed leaves it: the files are there, the lock is not held.
    fn abandoned(among: &Path, name: &str) -> PathBuf {
        let name = |_, _: &Path| Some(Name { name: name.to_owned(), waits: false });
        let made = Session::make_in(among, name).unwrap();
        let path = made.path().to_owned();
        let lock = made.lock.try_clone().unwrap();
        flock(&lock, FlockOperation::Unlock).unwrap();
        std::mem::forget(made);
        path
    }

    #[test]
    fn a_folder_is_gone_with_its_run_and_so_is_what_held_it() {
        let among = tempfile::tempdir().unwrap();
        let (one, two) = (make_in(among.path()).unwrap(), make_in(among.path()).unwrap());
        assert_ne!(one.path(), two.path());
        fs::write(one.path().join("file"), "x").unwrap();
        let mode = fs::metadata(only(among.path())).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700);
        drop(one);
        assert!(two.path().is_dir());
        drop(two);
        assert_eq!(listed(among.path()), [""; 0]);
    }

    #[test]
    fn what_was_left_behind_is_reclaimed_and_what_is_used_is_not() {
        let among = tempfile::tempdir().unwrap();
        let live = make_in(among.path()).unwrap();
        fs::write(live.path().join("file"), "used").unwrap();
        fs::set_permissions(live.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let left = ["one", "two", "three"].map(|name| abandoned(among.path(), name));
        fs::create_dir(left[0].join("inner")).unwrap();
        for path in [left[0].join("inner"), left[0].clone(), left[1].with_extension("lock")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
        }
        // Killed before its folder was made.
        fs::remove_dir(&left[2]).unwrap();
        reclaim(among.path());
        let name = live.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(listed(&only(among.path())), [name.to_owned(), format!("{name}.lock")]);
        assert_eq!(fs::read(live.path().join("file")).unwrap(), b"used");
        assert_eq!(fs::metadata(live.path()).unwrap().mode() & 0o777, 0o500);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let among = tempfile::tempdir().unwrap();
        let user = among.path().join("user");
        fs::create_dir(&user).unwrap();
        fs::write(user.join("file"), "kept").unwrap();
        fs::create_dir(among.path().join("assize-backup")).unwrap();
        let held = make_in(among.path()).unwrap();
        let own = only(among.path());
        // No lock's file of its own, and links where folders and locks are expected.
        fs::create_dir(own.join("folder")).unwrap();
        symlink(&user, own.join("link")).unwrap();
        fs::write(own.join("link.lock"), "").unwrap();
        symlink(user.join("file"), own.join("user.lock")).unwrap();
        symlink("/", own.join("x.lock")).unwrap();
        reclaim(among.path());
        assert_eq!(
            listed(among.path()),
            [own.file_name().unwrap().to_str().unwrap(), "assize-backup", "user"]
        );
        assert_eq!(fs::read(user.join("file")).unwrap(), b"kept");
        assert!(own.join("folder").is_dir() && own.join("user.lock").is_symlink());
        assert!(!own.join("link").is_symlink(), "the link itself had a lock that nobody held");
        drop(held);
        assert!(own.join("folder").is_dir());
    }

    #[test]
    fn a_name_that_is_taken_is_passed_over() {
        let among = tempfile::tempdir().unwrap();
        let user = tempfile::tempdir().unwrap();
        fs::write(user.path().join("x.lock"), "").unwrap();
        let all: Vec<_> = names(among.path(), STEM).collect();
        symlink(user.path(), &all[0]).unwrap();
        fs::write(&all[1], "a file").unwrap();
        reclaim(among.path());
        let made = make_in(among.path()).unwrap();
        assert_eq!(made.path().parent(), Some(all[2].as_path()));
        drop(made);
        assert!(all[0].is_symlink() && all[1].is_file() && user.path().join("x.lock").exists());
        for path in &all[2..] {
            symlink("/", path).unwrap();
        }
        assert!(make_in(among.path()).is_err());
    }

    #[test]
    fn a_name_whose_owner_was_killed_is_had_again() {
        let among = tempfile::tempdir().unwrap();
        let path = abandoned(among.path(), "000000");
        fs::write(path.join("left"), "x").unwrap();
        let made = make_in(among.path()).unwrap();
        assert_eq!(made.path(), path);
        assert!(!path.join("left").exists());
        // One that lives has it.
        let other = make_in(among.path()).unwrap();
        assert_ne!(other.path(), path);
    }

    #[test]
    fn who_moves_aside_leaves_its_name_and_nothing_else() {
        let among = tempfile::tempdir().unwrap();
        let mut made = make_in(among.path()).unwrap();
        let path = made.path().to_owned();
        fs::write(path.join("file"), "x").unwrap();
        made.move_aside().unwrap();
        assert!(!path.exists() && made.path().join("file").exists());
        let next = make_in(among.path()).unwrap();
        assert_eq!(next.path(), path);
        reclaim(among.path());
        assert!(next.path().is_dir() && made.path().is_dir());
        drop((made, next));
        assert_eq!(listed(among.path()), [""; 0]);
    }

    /// Whoever makes one while others reclaim gets one that stays his.
    #[test]
    fn many_at_once_disturb_nobody() {
        let among = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let made = make_in(among.path()).unwrap();
                        fs::write(made.path().join("file"), "x").unwrap();
                        reclaim(among.path());
                        assert_eq!(fs::read(made.path().join("file")).unwrap(), b"x");
                    }
                });
            }
        });
        assert_eq!(listed(among.path()), [""; 0]);
    }
}
