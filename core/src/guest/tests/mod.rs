//! Real processes stand in for guests: their cwd, their descriptors, their `/proc/self`.
#![forbid(unsafe_code)]

mod attribute;
mod change;
mod denied;
mod domain;
mod doors;
mod listing;
mod open;
mod process;
mod races;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, mkfifoat};

use super::*;

/// A process that sleeps: cwd `folder`, descriptor 0 `stdin`, descriptor 1 a pipe.
pub(super) struct Sleeper {
    child: Child,
    pub(super) guest: Guest,
}

impl Sleeper {
    pub(super) fn new(folder: &Path, stdin: impl Into<OwnedFd>) -> Self {
        let child = Command::new("sleep")
            .arg("1000")
            .current_dir(folder)
            .stdin(Stdio::from(stdin.into()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let guest = Guest { tid: child.id(), tgid: child.id() };
        Self { child, guest }
    }

    pub(super) fn in_folder(folder: &Path) -> Self {
        Self::new(folder, File::open(folder).unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with a file of every kind, under the same names each time.
pub(super) fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (name, mode) in [("file", 0o644), ("readonly", 0o444), ("closed", 0o000)] {
        fs::write(at(name), "content").unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir_all(at("folder/inner")).unwrap();
    fs::write(at("folder/inner/file"), "inner").unwrap();
    fs::create_dir(at("shut")).unwrap();
    fs::write(at("shut/file"), "shut").unwrap();
    for (target, name) in [
        ("file", "link"),
        ("./link", "link-to-link"),
        ("folder", "folder-link"),
        ("folder/", "slash-link"),
        ("file/", "file-slash-link"),
        ("nothing", "dangling"),
        ("nothing/", "dangling-slash"),
        ("nowhere/nothing", "dangling-deep"),
        ("folder/nothing", "dangling-in-folder"),
        ("loop", "loop"),
        ("loop-b", "loop-a"),
        ("loop-a", "loop-b"),
        ("..", "up"),
        ("/etc", "absolute"),
        ("/proc/self/cwd/file", "through-self"),
        ("/proc/self", "self"),
    ] {
        symlink(target, at(name)).unwrap();
    }
    symlink(at("file"), at("own-absolute")).unwrap();
    symlink("file", at("chain-1")).unwrap();
    for link in 2..=41 {
        symlink(format!("chain-{}", link - 1), at(&format!("chain-{link}"))).unwrap();
    }
    fs::write(at(&"n".repeat(255)), "long").unwrap();
    mkfifoat(CWD, at("fifo"), Mode::RWXU).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    fs::set_permissions(at("shut"), fs::Permissions::from_mode(0o000)).unwrap();
    dir
}

pub(super) fn kind(fd: &OwnedFd) -> FileType {
    FileType::from_raw_mode(rustix::fs::fstat(fd).unwrap().st_mode)
}

pub(super) fn find(guest: Guest, path: impl AsRef<[u8]>) -> Result<Pinned, crate::Errno> {
    resolve(&Lookup::new(guest, libc::AT_FDCWD, path.as_ref()))?.existing()
}

/// What the kernel says of a file: device and number.
pub(super) fn id(path: impl AsRef<Path>) -> Identity {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).unwrap();
    Identity { dev: metadata.dev(), ino: metadata.ino() }
}
