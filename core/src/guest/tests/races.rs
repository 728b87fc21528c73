//! Somebody outside of the sandbox, whom no supervisor holds up, swaps links and folders all the while: what was judged
//! is still what is used. A guest's own swaps are tried by scenarios.
#![forbid(unsafe_code)]

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{RenameFlags, renameat_with};

use super::*;
use crate::Errno;

const TRIES: usize = 20_000;

/// A folder in which `name` leads now to `public`, now to `secret`, by a swap of what `kind` says, and whoever looks.
fn raced(kind: &str, mut look: impl FnMut(Guest, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("public"), "public").unwrap();
    fs::write(at("secret"), "secret").unwrap();
    for (folder, file) in [("one", "../public"), ("two", "../secret")] {
        fs::create_dir(at(folder)).unwrap();
        symlink(file, at(folder).join("file")).unwrap();
    }
    let (here, there) = match kind {
        "link" => {
            symlink("public", at("name")).unwrap();
            symlink("secret", at("other")).unwrap();
            (at("name"), at("other"))
        }
        "link to a folder" => {
            symlink("one", at("door")).unwrap();
            symlink("two", at("gate")).unwrap();
            symlink("door/file", at("name")).unwrap();
            (at("door"), at("gate"))
        }
        _ => {
            symlink("one/file", at("name")).unwrap();
            (at("one"), at("two"))
        }
    };
    let sleeper = Sleeper::in_folder(dir.path());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &here, CWD, &there, RenameFlags::EXCHANGE).unwrap();
            }
        });
        // The swaps end also if a judgement was wrong, so that the test does.
        let looked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(sleeper.guest, dir.path())));
        over.store(true, Ordering::Relaxed);
        looked.unwrap();
    });
}

const KINDS: [&str; 3] = ["link", "link to a folder", "folder"];

/// The file that `name` was found to be, if it was found at all: in the midst of a swap it is not always.
fn found(guest: Guest) -> Option<Pinned> {
    match find(guest, "name") {
        Ok(file) => Some(file),
        Err(Errno::ENOENT) => None,
        Err(errno) => panic!("{errno}"),
    }
}

#[test]
fn whoever_looks_twice_is_deceived() {
    // Shows that the race is on: judged once, and then the name is followed again.
    for kind in KINDS {
        raced(kind, |guest, dir| {
            let public = id(dir.join("public"));
            let deceived = || {
                found(guest).is_some_and(|file| file.identity() == public)
                    && fs::read(dir.join("name")).is_ok_and(|content| content == b"secret")
            };
            assert!((0..TRIES * 50).any(|_| deceived()), "{kind}");
        });
    }
}

#[test]
fn what_is_opened_is_what_was_judged() {
    for kind in KINDS {
        raced(kind, |guest, dir| {
            let secret = id(dir.join("secret"));
            let request = OpenRequest::openat(guest, libc::AT_FDCWD, b"name".to_vec(), 0, 0);
            let mut refused = 0;
            for _ in 0..TRIES {
                let found = match request.pin() {
                    Ok(Found::Existing(file)) if file.identity() == secret => {
                        refused += 1;
                        continue;
                    }
                    Ok(found) => found,
                    Err(Errno::ENOENT) => continue,
                    Err(errno) => panic!("{errno}"),
                };
                let Ok(Opened::File(fd)) = request.perform(found, 0) else { panic!("not opened") };
                assert_ne!(Pinned::new(fd).unwrap().identity(), secret, "{kind}");
            }
            assert!(refused > 0 && refused < TRIES, "{kind}: {refused}");
        });
    }
}

#[test]
fn what_is_changed_is_what_was_judged() {
    for kind in KINDS {
        raced(kind, |guest, dir| {
            let secret = id(dir.join("secret"));
            let before = fs::metadata(dir.join("secret")).unwrap();
            let at = || At::cwd("name");
            let (mut changed, mut refused) = (0, 0);
            for turn in 0..TRIES {
                let work = Attribute::Mode(0o600 + (turn % 8) as u32);
                let attributes =
                    AttributeRequest { guest, file: at(), follow: true, empty: Empty::Nothing, work };
                let change = match turn % 3 {
                    0 => Change::Truncate { file: at(), length: 3 },
                    1 => Change::Link { from: at(), to: At::cwd("made"), flags: 0x400 },
                    _ => {
                        match attributes.pin() {
                            Ok(pinned) if pinned.file().identity() == secret => refused += 1,
                            Ok(pinned) => drop(pinned.perform().unwrap()),
                            Err(errno) => assert_eq!(errno, Errno::ENOENT),
                        }
                        continue;
                    }
                };
                match (ChangeRequest { guest, change }).pin() {
                    Ok(pinned) if pinned.objects().any(|object| object.identity() == secret) => refused += 1,
                    Ok(pinned) => {
                        pinned.perform().unwrap();
                        changed += 1;
                        let _ = fs::remove_file(dir.join("made"));
                    }
                    Err(errno) => assert_eq!(errno, Errno::ENOENT),
                }
            }
            let after = fs::metadata(dir.join("secret")).unwrap();
            let of = |file: &fs::Metadata| (file.mode(), file.len(), file.nlink(), file.ctime_nsec());
            assert_eq!(of(&after), of(&before), "{kind}");
            assert!(changed > 0 && refused > 0, "{kind}: {changed} {refused}");
        });
    }
}
