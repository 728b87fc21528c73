//! Copies files and folders into a work folder: `from`.
//!
//! Contents are shared with the original where the file system can do that. Links are copied as they are and never
//! followed; what is neither file, folder nor link is refused.
#![forbid(unsafe_code)]

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use assize_core::command::wait_for_writers;
use rustix::fs::{AtFlags, CWD, OFlags, Timespec, Timestamps, ioctl_ficlone, utimensat};

/// More is a mistake: somebody else's home, or all of a disk.
const MOST_FILES: usize = 100_000;
const MOST_BYTES: u64 = 4 << 30;
const DEEPEST: usize = 200;
/// Who copies a program owns it, so it must not run as its owner.
const MODE: u32 = 0o1777;

/// What may still be copied.
struct Room {
    files: usize,
    bytes: u64,
}

/// Copies what lies at `from` to `to`, which lies in `work` and is not there yet, or is a folder.
pub(super) fn copy(from: &Path, to: &Path, work: &Path) -> io::Result<()> {
    if work.canonicalize()?.starts_with(from) {
        return Err(refused(from, "holds the work folder itself"));
    }
    copy_one(from, to, &mut Room { files: MOST_FILES, bytes: MOST_BYTES }, DEEPEST)
}

fn copy_one(from: &Path, to: &Path, room: &mut Room, depth: usize) -> io::Result<()> {
    let found = fs::symlink_metadata(from).map_err(|error| at(from, &error))?;
    let too_much = || refused(from, "is too much to copy");
    room.files = room.files.checked_sub(1).ok_or_else(too_much)?;
    let kind = found.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if kind.is_dir() {
        let depth = depth.checked_sub(1).ok_or_else(|| refused(from, "lies too deep"))?;
        // Until it is full it must be open to its maker.
        match fs::DirBuilder::new().mode(0o700).create(to) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for entry in fs::read_dir(from).map_err(|error| at(from, &error))? {
            let entry = entry?;
            copy_one(&entry.path(), &to.join(entry.file_name()), room, depth)?;
        }
        fs::set_permissions(to, Permissions::from_mode(found.mode() & MODE))?;
    } else if kind.is_file() {
        room.bytes = room.bytes.checked_sub(found.size()).ok_or_else(too_much)?;
        content(from, to).map_err(|error| at(from, &error))?;
        can_be_executed(to, found.mode())?;
        fs::set_permissions(to, Permissions::from_mode(found.mode() & MODE))?;
    } else {
        return Err(refused(from, "is neither a file nor a folder nor a link"));
    }
    times(to, &found)
}

/// A file that will have this mode is written: where it is a program, a guest may execute it from now on.
pub(super) fn can_be_executed(file: &Path, mode: u32) -> io::Result<()> {
    // What other threads of this process start lets go of it sooner or later; what outlasts this is for the guest to meet.
    const PATIENCE: Duration = Duration::from_secs(2);
    if mode & 0o111 == 0 {
        return Ok(());
    }
    match wait_for_writers(file, PATIENCE) {
        Err(error) if error.kind() != io::ErrorKind::ExecutableFileBusy => Err(error),
        _ => Ok(()),
    }
}

fn content(from: &Path, to: &Path) -> io::Result<()> {
    // It may have become something else since it was looked at: nothing is followed, and nothing waits.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut from = File::options().read(true).custom_flags(flags).open(from)?;
    let mut to = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    if ioctl_ficlone(&to, &from).is_err() {
        // By `copy_file_range`, where that can be.
        io::copy(&mut from, &mut to)?;
    }
    Ok(())
}

fn times(to: &Path, found: &Metadata) -> io::Result<()> {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(found.atime(), found.atime_nsec()),
        last_modification: time(found.mtime(), found.mtime_nsec()),
    };
    Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} {why}", path.display()))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn modes_times_and_links_are_kept() {
        let (from, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |path: &str| from.path().join(path);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/run"), "x".repeat(100_000)).unwrap();
        fs::set_permissions(at("sub/run"), Permissions::from_mode(0o4755)).unwrap();
        symlink("/etc/passwd", at("out")).unwrap();
        fs::set_permissions(at("sub"), Permissions::from_mode(0o555)).unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        File::open(at("sub/run")).unwrap().set_modified(old).unwrap();
        let to = work.path().join("copy");
        copy(from.path(), &to, work.path()).unwrap();
        let found = fs::symlink_metadata(to.join("sub/run")).unwrap();
        assert_eq!((found.len(), found.mode() & 0o7777, found.mtime()), (100_000, 0o755, 1000));
        assert_eq!(fs::symlink_metadata(to.join("sub")).unwrap().mode() & 0o7777, 0o555);
        assert_eq!(fs::read_link(to.join("out")).unwrap(), Path::new("/etc/passwd"));
        for folder in [at("sub"), to.join("sub")] {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn what_would_wait_or_never_end_is_refused() {
        let (from, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let _socket = UnixListener::bind(from.path().join("socket")).unwrap();
        let error = copy(from.path(), &work.path().join("copy"), work.path()).unwrap_err();
        assert!(error.to_string().contains("socket is neither a file"), "{error}");
        let error = copy(work.path(), &work.path().join("copy"), work.path()).unwrap_err();
        assert!(error.to_string().contains("holds the work folder itself"), "{error}");
    }
}
