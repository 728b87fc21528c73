//! Removing a folder that guests have filled. It never follows a link, and what it finds may be hostile: folders
//! without permissions, trees of any depth, names of any bytes.
//!
//! No path is built and nothing recurses: what lies in a folder of the folder is moved up, until all is flat.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::{self, Permissions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, openat, renameat, unlinkat};
use rustix::io::Errno;

/// How often it is begun anew, if somebody goes on to fill the folder.
const TURNS: usize = 8;

/// Removes what has this name in `parent`, whatever it is. That there is nothing is no error.
pub(super) fn remove(parent: impl AsFd, name: &CStr) -> Result<(), Errno> {
    let parent = parent.as_fd();
    let mut last = Errno::NOTEMPTY;
    for _ in 0..TURNS {
        let done = match open(parent, name) {
            Ok(folder) => empty(&folder).and_then(|()| unlinkat(parent, name, AtFlags::REMOVEDIR)),
            // A link, or a file: no folder.
            Err(Errno::NOTDIR | Errno::LOOP) => unlinkat(parent, name, AtFlags::empty()),
            Err(errno) => Err(errno),
        };
        match done {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(errno @ (Errno::NOTEMPTY | Errno::EXIST)) => last = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(last)
}

/// Opens a folder, not a link to one, and sees to it that its owner may change it.
fn open(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let parent = parent.as_fd();
    let folder = match openat(parent, name, flags | OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let held = openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
            // The mode of what is held, not of what the name means by now: fchmod(2) takes no such descriptor.
            let path = format!("/proc/self/fd/{}", held.as_raw_fd());
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|_| Errno::ACCESS)?;
            openat(parent, name, flags | OFlags::RDONLY, Mode::empty())?
        }
        other => other?,
    };
    fchmod(&folder, Mode::RWXU)?;
    Ok(folder)
}

fn entries(folder: &OwnedFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            found.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

/// Removes all that lies in `top`.
fn empty(top: &OwnedFd) -> Result<(), Errno> {
    let mut moved = 0_u64;
    loop {
        let found = entries(top)?;
        if found.is_empty() {
            return Ok(());
        }
        for (name, kind) in found {
            if is_unlinked(top, &name, kind)? || is_gone(unlinkat(top, &name, AtFlags::REMOVEDIR))? {
                continue;
            }
            let folder = open(top, &name)?;
            for (inner, kind) in entries(&folder)? {
                if !is_unlinked(&folder, &inner, kind)? {
                    move_up(&folder, &inner, top, &mut moved)?;
                }
            }
            is_gone(unlinkat(top, &name, AtFlags::REMOVEDIR))?;
        }
    }
}

/// Whether it was no folder, and is gone.
fn is_unlinked(folder: &OwnedFd, name: &CStr, kind: FileType) -> Result<bool, Errno> {
    if kind == FileType::Directory {
        return Ok(false);
    }
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        // A file system that doesn't tell the kind.
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether a folder was removed: one that is not empty, or may not be read, was not.
fn is_gone(removed: Result<(), Errno>) -> Result<bool, Errno> {
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Moves a folder into `top`, under a name that is free there.
fn move_up(folder: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    let mut opened = false;
    loop {
        *moved += 1;
        let Ok(free) = CString::new(format!("moved-{moved}")) else { return Err(Errno::INVAL) };
        match renameat(folder, name, top, &free) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            // To move a folder is to change it.
            Err(Errno::ACCESS) if !opened => {
                open(folder, name)?;
                opened = true;
            }
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn removed(parent: &Path, name: &str) {
        let held = fs::File::open(parent).unwrap();
        remove(&held, &CString::new(name).unwrap()).unwrap();
        assert!(parent.join(name).symlink_metadata().is_err(), "{name} is still there");
    }

    fn locked(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_a_guest_locked_or_named_oddly_goes() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        fs::write(top.join("a/b/file"), "x").unwrap();
        fs::create_dir(top.join(OsStr::from_bytes(b"\xff\n\x01"))).unwrap();
        fs::write(top.join(OsStr::from_bytes(b"\xff\n\x01")).join(OsStr::from_bytes(b"\xfe")), "x").unwrap();
        // What it moves must not fall over names like its own.
        fs::create_dir_all(top.join("moved-1/moved-2/moved-1")).unwrap();
        fs::write(top.join("moved-3"), "x").unwrap();
        for (inner, mode) in [("a/b/c", 0), ("a/b", 0o100), ("a", 0o500), ("moved-1/moved-2", 0), ("", 0)] {
            locked(&top.join(inner), mode);
        }
        removed(folder.path(), "top");
        removed(folder.path(), "nothing");
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        locked(&outside, 0o750);
        fs::create_dir_all(folder.path().join("top/inner")).unwrap();
        for link in ["top/link", "top/inner/link", "alone"] {
            symlink(&outside, folder.path().join(link)).unwrap();
        }
        removed(folder.path(), "top");
        removed(folder.path(), "alone");
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"kept");
        assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o750);
    }

    /// Deeper than a path can name, than descriptors would last, and than a recursion would stand.
    #[test]
    fn a_tree_of_any_depth_goes() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("top")).unwrap();
        let name = CString::new("d".repeat(200)).unwrap();
        let mut at: OwnedFd = fs::File::open(folder.path().join("top")).unwrap().into();
        for _ in 0..1200 {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = openat(&at, &name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        }
        drop(at);
        removed(folder.path(), "top");
    }
}
