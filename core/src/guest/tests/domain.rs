//! In one Landlock domain with its guest, the supervisor has the guest's own outcomes, and knows who refused.
#![forbid(unsafe_code)]

use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, path_beneath_rules};
use rustix::fs::{OFlags, RenameFlags, linkat, openat, renameat_with};

use super::*;
use crate::Errno;

/// Runs `check` on a thread that may read `folder` and the system, and write `inner` in it.
fn confined(check: impl FnOnce(&Path) + Send + 'static) {
    let dir = tree();
    let abi = ABI::V5;
    std::thread::spawn(move || {
        let system = ["/usr", "/bin", "/lib", "/lib64", "/etc"].map(Path::new);
        let readable = dir.path().join("folder");
        let writable = dir.path().join("folder/inner");
        Ruleset::default()
            .handle_access(AccessFs::from_all(abi))
            .unwrap()
            .create()
            .unwrap()
            .add_rules(path_beneath_rules(system, AccessFs::from_read(abi)))
            .unwrap()
            .add_rules(path_beneath_rules([&readable], AccessFs::from_read(abi)))
            .unwrap()
            .add_rules(path_beneath_rules([&writable], AccessFs::from_all(abi)))
            .unwrap()
            .restrict_self()
            .unwrap();
        check(dir.path());
        // The rest of the tree can't be removed from in here.
        dir
    })
    .join()
    .unwrap();
}

#[test]
fn opens_have_the_domains_own_outcome() {
    confined(|dir| {
        let inner = dir.join("folder/inner");
        let sleeper = Sleeper::in_folder(&inner);
        let here = File::open(&inner).unwrap();
        let landlock = |errno| Err(Refusal { errno, by_landlock: true });
        for (path, flags, expected) in [
            ("file", libc::O_RDWR, Ok(())),
            ("/proc/self/cwd/file", libc::O_RDWR, Ok(())),
            ("/proc/self/fd/0/file", libc::O_RDWR, Ok(())),
            ("new", libc::O_RDWR | libc::O_CREAT, Ok(())),
            (".", libc::O_TMPFILE | libc::O_RDWR, Ok(())),
            ("..", libc::O_RDONLY | libc::O_DIRECTORY, Ok(())),
            ("../new", libc::O_RDWR | libc::O_CREAT, landlock(Errno::EACCES)),
            ("..", libc::O_TMPFILE | libc::O_RDWR, landlock(Errno::EACCES)),
            ("../../file", libc::O_RDONLY, landlock(Errno::EACCES)),
            ("/proc/self/root/proc/self/cwd/../../file", libc::O_RDONLY, landlock(Errno::EACCES)),
            ("../../file", libc::O_WRONLY | libc::O_TRUNC, landlock(Errno::EACCES)),
            ("/proc/self/status", libc::O_RDONLY, landlock(Errno::EACCES)),
            ("/proc/version", libc::O_RDONLY, landlock(Errno::EACCES)),
            ("/dev/null", libc::O_RDONLY, landlock(Errno::EACCES)),
            ("../../nothing", libc::O_RDONLY, Err(Errno::ENOENT.into())),
            ("../../file/x", libc::O_RDONLY, Err(Errno::ENOTDIR.into())),
        ] {
            let request =
                OpenRequest::openat(sleeper.guest, libc::AT_FDCWD, path.into(), flags as u32, 0o600);
            let found = request.pin().map_err(Refusal::from);
            let got = found.and_then(|found| request.perform(found, 0o022)).map(drop);
            assert_eq!(got, expected, "{path} {flags:o}");
            if !path.starts_with("/proc/self") {
                let flags = OFlags::from_bits_retain(flags as u32);
                let kernel = openat(&here, path, flags, Mode::RUSR).map(drop).map_err(Errno::from);
                assert_eq!(got.map_err(|refusal| refusal.errno), kernel, "{path} {flags:?}");
            }
        }
    });
}

#[test]
fn changes_have_the_domains_own_outcome() {
    confined(|dir| {
        let inner = dir.join("folder/inner");
        let sleeper = Sleeper::in_folder(&inner);
        let here = File::open(&inner).unwrap();
        let perform = |change| {
            let prepared = ChangeRequest { guest: sleeper.guest, change }.pin()?;
            prepared.perform().map(|changed| assert!(!changed.rebound))
        };
        for (from, to) in
            [("../nothing", "x"), ("file", "../x"), ("../../file", "x"), ("..", "x"), ("file", "ok")]
        {
            let kernel = renameat_with(&here, from, &here, to, RenameFlags::empty()).map_err(Errno::from);
            if kernel.is_ok() {
                fs::rename(inner.join(to), inner.join(from)).unwrap();
            }
            let got = perform(Change::Rename { from: At::cwd(from), to: At::cwd(to), flags: 0 });
            assert_eq!(got.map_err(|refusal: Refusal| refusal.errno), kernel, "{from} {to}");
            if let Err(refusal) = got {
                let landlock = matches!(refusal.errno, Errno::EACCES | Errno::EXDEV);
                assert_eq!(refusal.by_landlock, landlock, "{from} {to} {refusal:?}");
            }
        }
        let flags = rustix::fs::AtFlags::empty();
        let kernel = linkat(&here, "../../file", &here, "linked", flags).map_err(Errno::from).unwrap_err();
        let got = perform(Change::Link { from: At::cwd("../../file"), to: At::cwd("linked"), flags: 0 });
        assert_eq!(got, Err(Refusal { errno: kernel, by_landlock: true }));
        let landlock = Err(Refusal { errno: Errno::EACCES, by_landlock: true });
        assert_eq!(perform(Change::Truncate { file: At::cwd("../../file"), length: 0 }), landlock);
        assert_eq!(perform(Change::Remove { name: At::cwd("../../file"), flags: 0 }), landlock);
        let new = New::Folder { mode: 0o700, umask: 0o022 };
        assert_eq!(perform(Change::Create { name: At::cwd("../made"), new: new.clone() }), landlock);
        assert_eq!(perform(Change::Create { name: At::cwd("made"), new }), Ok(()));
        assert_eq!(perform(Change::Truncate { file: At::cwd("ok"), length: 0 }), Ok(()));
        assert_eq!(perform(Change::Remove { name: At::cwd("ok"), flags: 0 }), Ok(()));
    });
}
