//! Each work on attributes has the kernel's own outcome, and is done to the file that was judged.
#![forbid(unsafe_code)]

use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, OFlags, Timespec, Timestamps, chmodat, chownat, open, utimensat};

use super::*;
use crate::Errno;

fn request(guest: Guest, path: &str, follow: bool, work: Attribute) -> AttributeRequest {
    AttributeRequest { guest, file: At::cwd(path), follow, empty: Empty::Nothing, work }
}

fn behalf(guest: Guest, path: &str, follow: bool, work: Attribute) -> Result<Told, Errno> {
    request(guest, path, follow, work).pin()?.perform()
}

/// Mode, owner and times of whatever a name stands for.
fn says(dir: &Path, name: &str) -> Option<(u32, u32, u32, i64, i64)> {
    let found = fs::symlink_metadata(dir.join(name)).ok()?;
    Some((found.mode(), found.uid(), found.gid(), found.atime(), found.mtime()))
}

const NAMES: [&str; 16] = [
    "file",
    "file/",
    "folder",
    "folder/",
    "link",
    "link/",
    "folder-link",
    "folder-link/",
    "dangling",
    "nothing",
    "loop",
    "closed",
    "shut/file",
    ".",
    "fifo",
    "",
];

#[test]
fn every_work_ends_as_the_kernels_own() {
    let (ours, theirs) = (tree(), tree());
    let (sleeper, folder) = (Sleeper::in_folder(ours.path()), File::open(theirs.path()).unwrap());
    let times = Timestamps {
        last_access: Timespec { tv_sec: 3, tv_nsec: 0 },
        last_modification: Timespec { tv_sec: -4, tv_nsec: 0 },
    };
    const COMPARED: [&str; 7] = ["file", "folder", "link", "folder-link", "dangling", "loop", "fifo"];
    // One tree may have been made a second before the other.
    for (name, tree) in COMPARED.iter().flat_map(|name| [(name, &ours), (name, &theirs)]) {
        let made = Timestamps {
            last_access: Timespec { tv_sec: 1, tv_nsec: 0 },
            last_modification: Timespec { tv_sec: 1, tv_nsec: 0 },
        };
        let folder = File::open(tree.path()).unwrap();
        utimensat(&folder, *name, &made, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    for name in NAMES {
        for follow in [true, false] {
            let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
            if follow {
                let kernel = chmodat(&folder, name, Mode::from_raw_mode(0o751), flags).map_err(Errno::from);
                let got = behalf(sleeper.guest, name, follow, Attribute::Mode(0o751)).map(drop);
                assert_eq!(got, kernel, "chmod {name:?}");
            }
            let kernel = chownat(&folder, name, None, None, flags).map_err(Errno::from);
            let work = Attribute::Owner { owner: u32::MAX, group: u32::MAX };
            assert_eq!(
                behalf(sleeper.guest, name, follow, work).map(drop),
                kernel,
                "chown {name:?} {flags:?}"
            );
            let kernel = utimensat(&folder, name, &times, flags).map_err(Errno::from);
            let got = behalf(sleeper.guest, name, follow, Attribute::Times([(3, 0), (-4, 0)])).map(drop);
            assert_eq!(got, kernel, "utimensat {name:?} {flags:?}");
        }
        for name in COMPARED {
            assert_eq!(says(ours.path(), name), says(theirs.path(), name), "{name}");
        }
    }
    // A link itself has no mode.
    assert_eq!(behalf(sleeper.guest, "link", false, Attribute::Mode(0o600)), Err(Errno::EOPNOTSUPP));
}

#[test]
fn a_path_that_is_swapped_after_the_judgement_changes_nothing() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let pinned = request(sleeper.guest, "link", true, Attribute::Mode(0o700)).pin().unwrap();
    assert_eq!(pinned.file().identity(), id(dir.path().join("file")));
    let before = says(dir.path(), "readonly");
    fs::remove_file(dir.path().join("link")).unwrap();
    symlink("readonly", dir.path().join("link")).unwrap();
    pinned.perform().unwrap();
    assert_eq!(says(dir.path(), "readonly"), before);
    assert_eq!(says(dir.path(), "file").unwrap().0 & 0o7777, 0o700);
}

#[test]
fn an_empty_path_is_the_descriptor_if_the_call_takes_it_so() {
    let dir = tree();
    for (flags, opened) in [(OFlags::RDONLY, true), (OFlags::PATH, false)] {
        let file = open(dir.path().join("file"), flags, Mode::empty()).unwrap();
        let sleeper = Sleeper::new(dir.path(), file);
        let by_descriptor = |empty| {
            let file = At { dirfd: 0, path: Vec::new() };
            let work = Attribute::Times([(1, 0), (1, 0)]);
            AttributeRequest { guest: sleeper.guest, file, follow: true, empty, work }
                .pin()?
                .perform()
                .map(drop)
        };
        assert_eq!(by_descriptor(Empty::Nothing), Err(Errno::ENOENT));
        assert_eq!(by_descriptor(Empty::Descriptor), Ok(()));
        assert_eq!(by_descriptor(Empty::Opened), if opened { Ok(()) } else { Err(Errno::EBADF) });
    }
}

#[test]
fn what_is_read_fits_the_room() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let work = |work| behalf(sleeper.guest, "file", true, work);
    let name = || b"user.assize".to_vec();
    let set = |flags| work(Attribute::Set { name: name(), value: b"value".to_vec(), flags });
    // A file system without them has nothing to be read.
    if set(0) == Err(Errno::EOPNOTSUPP) {
        return;
    }
    let told = |bytes: &[u8], value| Ok(Told { value, bytes: bytes.to_vec() });
    assert_eq!(set(libc::XATTR_CREATE as u32), Err(Errno::EEXIST));
    assert_eq!(work(Attribute::Get { name: name(), room: 0 }), told(b"", 5));
    assert_eq!(work(Attribute::Get { name: name(), room: 4 }), Err(Errno::ERANGE));
    assert_eq!(work(Attribute::Get { name: name(), room: 5 }), told(b"value", 5));
    assert_eq!(work(Attribute::Get { name: name(), room: usize::MAX }), told(b"value", 5));
    assert_eq!(work(Attribute::List { room: 0 }), told(b"", 12));
    assert_eq!(work(Attribute::List { room: 100 }), told(b"user.assize\0", 12));
    assert_eq!(work(Attribute::Remove { name: name() }), told(b"", 0));
    assert_eq!(work(Attribute::Get { name: name(), room: 5 }), Err(Errno::ENODATA));
}
