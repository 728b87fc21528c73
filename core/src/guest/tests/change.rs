//! Each change has the kernel's own outcome, and is of the object that was judged.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, RenameFlags, linkat, mkdirat, mknodat, renameat_with, symlinkat, unlinkat};

use super::*;
use crate::Errno;

fn behalf(guest: Guest, change: Change) -> Result<(), Errno> {
    let changed = ChangeRequest { guest, change }.pin()?.perform().map_err(|refusal| {
        assert!(!refusal.by_landlock);
        refusal.errno
    })?;
    assert!(!changed.rebound);
    Ok(())
}

/// Names, kinds, link counts and contents of a whole tree.
fn listing(root: &Path) -> Vec<(Vec<u8>, u32, u64, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let (mut folders, mut all) = (vec![root.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_symlink() => {
                    fs::read_link(entry.path()).unwrap().as_os_str().as_bytes().to_vec()
                }
                kind if kind.is_file() => fs::read(entry.path()).unwrap_or_default(),
                kind if kind.is_dir() => {
                    folders.push(entry.path());
                    Vec::new()
                }
                _ => Vec::new(),
            };
            let name = entry.path().strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            // An absolute link names its own tree.
            let content = if content.starts_with(root.as_os_str().as_bytes()) { Vec::new() } else { content };
            all.push((name, metadata.mode(), metadata.nlink(), content));
        }
    }
    all.sort();
    all
}

/// Two equal trees: in one changes are made on behalf, in the other by the kernel itself.
struct Twins {
    ours: tempfile::TempDir,
    theirs: tempfile::TempDir,
    sleeper: Sleeper,
    folder: File,
}

impl Twins {
    fn new() -> Self {
        let (ours, theirs) = (tree(), tree());
        let (sleeper, folder) = (Sleeper::in_folder(ours.path()), File::open(theirs.path()).unwrap());
        Self { ours, theirs, sleeper, folder }
    }

    /// Makes the same change in both and compares outcomes and trees. After a success, with a new pair.
    fn compare(
        &mut self,
        change: &Change,
        what: &str,
        kernel: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<()>,
    ) {
        let expected = kernel(self.folder.as_fd()).map_err(Errno::from);
        assert_eq!(behalf(self.sleeper.guest, change.clone()), expected, "{what}");
        if expected.is_ok() {
            assert_eq!(listing(self.ours.path()), listing(self.theirs.path()), "{what}");
            *self = Self::new();
        }
    }
}

const NAMES: [&str; 22] = [
    "file",
    "file/",
    "folder",
    "folder/",
    "folder/inner",
    "folder/inner/file",
    "link",
    "link/",
    "folder-link",
    "folder-link/",
    "dangling",
    "nothing",
    "nothing/",
    "nowhere/x",
    ".",
    "..",
    "folder/.",
    "folder/..",
    "/",
    "shut/x",
    "file/x",
    "",
];

#[test]
fn every_removal_ends_as_the_kernels_own() {
    let mut twins = Twins::new();
    for name in NAMES.into_iter().chain(["fifo", "socket", "loop", "closed", "shut", "up", "self"]) {
        for flags in [AtFlags::empty(), AtFlags::REMOVEDIR] {
            let change = Change::Remove { name: At::cwd(name), flags: flags.bits() };
            twins.compare(&change, &format!("unlinkat({name:?}, {flags:?})"), |folder| {
                unlinkat(folder, name, flags)
            });
        }
    }
}

#[test]
fn every_rename_ends_as_the_kernels_own() {
    let mut twins = Twins::new();
    let flags = [RenameFlags::empty(), RenameFlags::NOREPLACE, RenameFlags::EXCHANGE];
    for from in [
        "file",
        "folder",
        "folder/",
        "folder/inner/file",
        "link",
        "nothing",
        ".",
        "/",
        "dangling",
        "shut/file",
    ] {
        for to in NAMES {
            for flags in flags {
                let change = Change::Rename { from: At::cwd(from), to: At::cwd(to), flags: flags.bits() };
                let what = format!("renameat2({from:?}, {to:?}, {flags:?})");
                twins.compare(&change, &what, |folder| renameat_with(folder, from, folder, to, flags));
            }
        }
    }
}

#[test]
fn every_link_ends_as_the_kernels_own() {
    let mut twins = Twins::new();
    let flags = [AtFlags::empty(), AtFlags::SYMLINK_FOLLOW];
    for from in
        ["file", "folder", "link", "link/", "dangling", "nothing", "folder-link/inner/file", "loop", "fifo"]
    {
        for to in NAMES.into_iter().chain(["new", "folder/new", "folder-link/new"]) {
            for flags in flags {
                let change = Change::Link { from: At::cwd(from), to: At::cwd(to), flags: flags.bits() };
                let what = format!("linkat({from:?}, {to:?}, {flags:?})");
                twins.compare(&change, &what, |folder| linkat(folder, from, folder, to, flags));
            }
        }
    }
}

#[test]
fn every_creation_ends_as_the_kernels_own() {
    let mut twins = Twins::new();
    let umask = 0o022;
    for name in
        NAMES.into_iter().chain(["new", "new/", "folder/new", "folder-link/new/", "dangling-in-folder"])
    {
        for mode in [0o777, 0o1700] {
            let change = Change::Create { name: At::cwd(name), new: New::Folder { mode, umask } };
            twins.compare(&change, &format!("mkdirat({name:?})"), |folder| {
                mkdirat(folder, name, Mode::from_bits_retain(mode))
            });
        }
        for text in ["file", "", "nothing/"] {
            let change = Change::Create { name: At::cwd(name), new: New::Symlink { text: text.into() } };
            twins.compare(&change, &format!("symlinkat({text:?}, {name:?})"), |folder| {
                symlinkat(text, folder, name)
            });
        }
        for kind in [FileType::RegularFile, FileType::Fifo, FileType::Socket] {
            let new = New::Node { mode: kind.as_raw_mode() | 0o666, dev: 0, umask };
            let change = Change::Create { name: At::cwd(name), new };
            twins.compare(&change, &format!("mknodat({name:?}, {kind:?})"), |folder| {
                mknodat(folder, name, kind, Mode::from_bits_retain(0o666), 0)
            });
        }
    }
}

#[test]
fn a_file_is_truncated_through_links_and_descriptors() {
    let dir = tree();
    let sleeper = Sleeper::new(dir.path(), File::open(dir.path().join("file")).unwrap());
    for (path, length) in [("link", 5), ("/proc/self/fd/0", 4), ("/dev/stdin", 3), ("file", 2)] {
        behalf(sleeper.guest, Change::Truncate { file: At::cwd(path), length }).unwrap();
        assert_eq!(fs::metadata(dir.path().join("file")).unwrap().len(), length as u64);
    }
    let errno = |path: &str, length| behalf(sleeper.guest, Change::Truncate { file: At::cwd(path), length });
    assert_eq!(errno("file", -1), Err(Errno::EINVAL));
    assert_eq!(errno("folder", 0), Err(Errno::EISDIR));
    assert_eq!(errno("dangling", 0), Err(Errno::ENOENT));
    assert_eq!(errno("fifo", 0), Err(Errno::EINVAL));
    assert_eq!(errno("file/", 0), Err(Errno::ENOTDIR));
}

#[test]
fn a_descriptor_is_linked_by_itself() {
    let dir = tree();
    let sleeper = Sleeper::new(dir.path(), File::open(dir.path().join("file")).unwrap());
    let from = At { dirfd: 0, path: Vec::new() };
    let flags = AtFlags::EMPTY_PATH.bits();
    behalf(sleeper.guest, Change::Link { from: from.clone(), to: At::cwd("by-fd"), flags }).unwrap();
    assert_eq!(id(dir.path().join("by-fd")), id(dir.path().join("file")));
    let to = At::cwd("by-proc");
    let flags = AtFlags::SYMLINK_FOLLOW.bits();
    behalf(sleeper.guest, Change::Link { from: At::cwd("/proc/self/fd/0"), to, flags }).unwrap();
    assert_eq!(id(dir.path().join("by-proc")), id(dir.path().join("file")));
    let without = Change::Link { from, to: At::cwd("x"), flags: 0 };
    assert_eq!(behalf(sleeper.guest, without), Err(Errno::ENOENT));
    let unknown = Change::Link { from: At::cwd("file"), to: At::cwd("x"), flags: 1 };
    assert_eq!(behalf(sleeper.guest, unknown), Err(Errno::EINVAL));
    let unknown = Change::Rename { from: At::cwd("file"), to: At::cwd("x"), flags: 3 };
    assert_eq!(behalf(sleeper.guest, unknown), Err(Errno::EINVAL));
}

#[test]
fn a_name_that_was_bound_anew_is_judged_again() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let guest = sleeper.guest;
    let swap = || fs::rename(dir.path().join("readonly"), dir.path().join("file")).unwrap();
    let removal = ChangeRequest { guest, change: Change::Remove { name: At::cwd("file"), flags: 0 } };
    let rename = Change::Rename { from: At::cwd("file"), to: At::cwd("new"), flags: 0 };
    let rename = ChangeRequest { guest, change: rename };
    let link = Change::Link { from: At::cwd("file"), to: At::cwd("kept"), flags: 0 };
    let link = ChangeRequest { guest, change: link };
    let (removal, rename, link) = (removal.pin().unwrap(), rename.pin().unwrap(), link.pin().unwrap());
    let judged = id(dir.path().join("file"));
    fs::hard_link(dir.path().join("file"), dir.path().join("other")).unwrap();
    swap();
    assert_eq!(removal.perform(), Err(Errno::EAGAIN.into()));
    assert_eq!(rename.perform(), Err(Errno::EAGAIN.into()));
    assert_eq!(link.perform(), Ok(Changed { rebound: false }));
    assert_eq!(id(dir.path().join("kept")), judged);
}
