//! The temporary folder of a process that runs scenarios: it is gone when the process is, and the next one removes what
//! one left behind that was killed.
//!
//! They lie together in a folder that belongs to the user alone: `assize-UID` among the system's temporary ones. Beside
//! each lies a file that its process holds locked (`man 2 flock`). The kernel lets the lock go when the process ends,
//! however it does, so whoever gets the lock of a folder knows that nobody uses it. What has no such file is nobody's
//! business, and no link is followed.
#![forbid(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::ffi::{CStr, CString};
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Once;

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, fchmod, flock, fstat, mkdirat, open, openat,
    unlinkat,
};
use rustix::io::Errno;

use super::remove::remove;
use crate::bazel;

/// Another user may have taken the first name: so many are tried.
const NAMES: u32 = 8;
/// How often a folder is tried to be made: the one that it lies in may be removed meanwhile, and a name may be taken.
const TRIES: usize = 100;
/// So many processes at once have numbers for names.
const ORDERLY: usize = 50;
/// What it is called, but for the user.
const STEM: &str = "assize";
const LOCK: &str = ".lock";

/// A temporary folder that nobody else uses, until it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    among: OwnedFd,
    folder: OwnedFd,
    name: String,
    path: PathBuf,
    /// Held as long as this lives; let go by its end.
    _lock: OwnedFd,
}

impl Session {
    /// A fresh one. The first of a process removes what was left behind.
    pub(super) fn make() -> io::Result<Self> {
        static RECLAIMED: Once = Once::new();
        let among = bazel::temporary().unwrap_or_else(std::env::temp_dir).canonicalize()?;
        RECLAIMED.call_once(|| reclaim(&among));
        Self::make_in(&among)
    }

    fn make_in(among: &Path) -> io::Result<Self> {
        let mut last = Errno::EXIST;
        for turn in 0..TRIES {
            let (folder, path) = match own_folder(among, STEM) {
                // Others who tidy up removed it in the moment in which it was made.
                Err(Errno::NOENT) => {
                    last = Errno::NOENT;
                    continue;
                }
                other => other?,
            };
            // One process after the other has the same: guests see it, and write it into what they make.
            let name = if turn < ORDERLY { format!("{turn:06}") } else { spelled(random(), SHORTEST) };
            match Self::try_make(folder, &path, name) {
                Ok(made) => return Ok(made),
                // The folder was removed meanwhile, the name is taken, or somebody who reclaims was faster.
                Err(errno @ (Errno::NOENT | Errno::EXIST | Errno::WOULDBLOCK)) => last = errno,
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(last.into())
    }

    fn try_make(folder: OwnedFd, path: &Path, name: String) -> Result<Self, Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock_name = format!("{name}{LOCK}");
        let lock = openat(&folder, lock_name.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        if fstat(&lock)?.st_nlink == 0 {
            return Err(Errno::NOENT);
        }
        if let Err(errno) = mkdirat(&folder, name.as_str(), Mode::RWXU) {
            let _ = unlinkat(&folder, lock_name.as_str(), AtFlags::empty());
            return Err(errno);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&folder, name.as_str(), flags, Mode::empty())?;
        Ok(Self { among: folder, folder: made, path: path.join(&name), name, _lock: lock })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
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

/// The shortest name.
pub(super) const SHORTEST: usize = 6;

/// A number as a name of so many signs, the last of which are the same in every name where there are many.
pub(super) fn spelled(number: u64, len: usize) -> String {
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
pub(crate) fn own_folder(among: &Path, stem: &str) -> Result<(OwnedFd, PathBuf), Errno> {
    let mut last = Errno::EXIST;
    for path in names(among, stem) {
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        match open_own(&path) {
            Ok(folder) => return Ok((folder, path)),
            // Another user's, a link, a file: that it will be for everybody else as well.
            Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP)) => last = errno,
            Err(errno) => return Err(errno),
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
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(lock) = openat(folder, lock_name.as_c_str(), flags, Mode::empty()) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        // Whoever used it may have removed both meanwhile, and another may use the name again.
        let held = fstat(&lock)?;
        let named = rustix::fs::statat(folder, lock_name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW);
        if named.is_ok_and(|named| (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)) {
            let _ = remove_both(folder, &name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn only(among: &Path) -> PathBuf {
        names(among, STEM).next().unwrap()
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
    fn abandoned(among: &Path) -> PathBuf {
        let made = Session::make_in(among).unwrap();
        let path = made.path().to_owned();
        let lock = made._lock.try_clone().unwrap();
        flock(&lock, FlockOperation::Unlock).unwrap();
        std::mem::forget(made);
        path
    }

    #[test]
    fn a_folder_is_gone_with_its_run_and_so_is_what_held_it() {
        let among = tempfile::tempdir().unwrap();
        let (one, two) = (Session::make_in(among.path()).unwrap(), Session::make_in(among.path()).unwrap());
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
        let live = Session::make_in(among.path()).unwrap();
        fs::write(live.path().join("file"), "used").unwrap();
        fs::set_permissions(live.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let left: Vec<_> = (0..3).map(|_| abandoned(among.path())).collect();
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
        let held = Session::make_in(among.path()).unwrap();
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
        let made = Session::make_in(among.path()).unwrap();
        assert_eq!(made.path().parent(), Some(all[2].as_path()));
        drop(made);
        assert!(all[0].is_symlink() && all[1].is_file() && user.path().join("x.lock").exists());
        for path in &all[2..] {
            symlink("/", path).unwrap();
        }
        assert!(Session::make_in(among.path()).is_err());
    }

    /// Whoever makes one while others reclaim gets one that stays his.
    #[test]
    fn many_at_once_disturb_nobody() {
        let among = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let made = Session::make_in(among.path()).unwrap();
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
