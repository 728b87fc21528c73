//! Each open has the kernel's own outcome.
#![forbid(unsafe_code)]

use rustix::fs::{OFlags, fcntl_getfl, fstat, openat};

use super::*;
use crate::Errno;

const UMASK: u32 = 0o022;

/// What can be compared of an open: its errno, or the kind, length, mode and flags of what it opened.
type Seen = Result<(FileType, i64, u32, u32), Errno>;

fn seen(fd: &OwnedFd) -> Seen {
    let stat = fstat(fd).unwrap();
    // A documented difference.
    let ours = OFlags::NOFOLLOW;
    Ok((
        kind(fd),
        stat.st_size * i64::from(kind(fd) == FileType::RegularFile),
        stat.st_mode,
        (fcntl_getfl(fd).unwrap() - ours).bits(),
    ))
}

fn kernel(dir: &Path, path: &str, flags: i32, mode: u32) -> Seen {
    let dir = File::open(dir).unwrap();
    let flags = OFlags::from_bits_retain(flags as u32) | OFlags::CLOEXEC | OFlags::NOCTTY;
    seen(&openat(&dir, path, flags, Mode::from_bits_retain(mode))?)
}

fn behalf(dir: &Path, path: &str, flags: i32, mode: u32) -> Seen {
    let sleeper = Sleeper::in_folder(dir);
    let request = OpenRequest::openat(sleeper.guest, libc::AT_FDCWD, path.into(), flags as u32, mode);
    let at_once = request.at_once().map(|fd| seen(&fd));
    let performed = performed(&request);
    // Where there is a short way, it leads to the same.
    if let Some(at_once) = at_once {
        assert_eq!(at_once, performed, "{path} {flags:o}");
    }
    performed
}

fn performed(request: &OpenRequest) -> Seen {
    match request.perform(request.pin()?, UMASK).map_err(|refusal| {
        assert!(!refusal.by_landlock, "{request:?}");
        refusal.errno
    })? {
        Opened::File(fd) => seen(&fd),
        Opened::MayBlock(_) => panic!("{request:?} may block"),
        other => panic!("{request:?}: {other:?}"),
    }
}

#[test]
fn only_what_nobody_notices_is_opened_at_once() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let opened = |path: &str, flags: i32| {
        OpenRequest::openat(sleeper.guest, libc::AT_FDCWD, path.into(), flags as u32, 0o600).at_once()
    };
    let file = opened("file", libc::O_RDONLY).unwrap();
    assert_eq!(Pinned::new(file.try_clone().unwrap()).unwrap().identity(), id(dir.path().join("file")));
    assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
    let file = opened("link", libc::O_NONBLOCK).unwrap();
    assert!(fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
    assert!(opened("folder", libc::O_DIRECTORY).is_some() && opened("/usr/bin", 0).is_some());
    for (path, flags) in [
        ("file", libc::O_WRONLY),
        ("file", libc::O_RDWR),
        ("file", libc::O_TRUNC),
        ("file", libc::O_CREAT),
        ("file", libc::O_PATH),
        ("folder", libc::O_TMPFILE | libc::O_RDWR),
        ("file", libc::O_DIRECTORY),
        ("link", libc::O_NOFOLLOW),
        ("new", libc::O_RDONLY),
        ("fifo", libc::O_RDONLY | libc::O_NONBLOCK),
        ("socket", libc::O_RDONLY),
        ("/dev/null", libc::O_RDONLY),
        ("/proc/self/status", libc::O_RDONLY),
        ("/proc/self/fd/0", libc::O_RDONLY),
        ("/proc/self/cwd", libc::O_RDONLY),
        ("/proc", libc::O_RDONLY),
    ] {
        assert!(opened(path, flags).is_none(), "{path} {flags:o}");
    }
}

#[test]
fn every_open_ends_as_the_kernels_own() {
    let paths = [
        "file",
        "file/",
        "readonly",
        "closed",
        "folder",
        "folder/",
        "folder/.",
        "folder/..",
        "folder/inner/file",
        "folder/new",
        "new",
        "new/",
        "new/deep",
        "new//deep//er/still/",
        "new/../file",
        "new/./deep/er",
        "new/1/2/3/4/5/6/7/8/9/10",
        "folder-link/new/deep/er",
        "dangling/deep/er",
        "loop/deep/er",
        "shut/new/deep/er",
        "file/new/deep/er",
        "link",
        "link/",
        "link-to-link",
        "folder-link",
        "folder-link/",
        "folder-link/new",
        "slash-link",
        "file-slash-link",
        "dangling",
        "dangling/",
        "dangling-slash",
        "dangling-deep",
        "dangling-in-folder",
        "loop",
        "loop-a",
        "chain-40",
        "chain-41",
        "socket",
        "shut/file",
        "shut/new",
        "shut",
        "file/x",
        "file/..",
        "folder/../file",
        ".",
        "..",
        "/",
        "//",
        "/dev/null",
        "/nothing",
        "/nothing/at/all",
        "",
    ];
    let flags = [
        libc::O_RDONLY,
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_ACCMODE,
        libc::O_RDONLY | libc::O_NOFOLLOW,
        libc::O_RDONLY | libc::O_DIRECTORY,
        libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW,
        libc::O_RDWR | libc::O_DIRECTORY,
        libc::O_RDONLY | libc::O_TRUNC,
        libc::O_WRONLY | libc::O_TRUNC,
        libc::O_WRONLY | libc::O_APPEND | libc::O_NONBLOCK,
        libc::O_RDONLY | libc::O_EXCL,
        libc::O_RDONLY | libc::O_CREAT,
        libc::O_RDWR | libc::O_CREAT,
        libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
        libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL,
        libc::O_WRONLY | libc::O_CREAT | libc::O_NOFOLLOW,
        libc::O_WRONLY | libc::O_CREAT | libc::O_DIRECTORY,
        libc::O_TMPFILE | libc::O_RDWR,
        libc::O_TMPFILE | libc::O_WRONLY | libc::O_EXCL,
        libc::O_TMPFILE,
        libc::O_RDWR | (libc::O_TMPFILE & !libc::O_DIRECTORY),
        libc::O_RDWR | libc::O_SYNC | libc::O_CLOEXEC,
        libc::O_RDONLY | libc::O_NOATIME,
        0x4000_0000,
    ];
    let mut compared = 0;
    for flags in flags {
        for mode in [0o644, 0o7666] {
            let creates = flags & (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) != 0;
            if mode == 0o7666 && !creates {
                continue;
            }
            let (ours, theirs) = (tree(), tree());
            for path in paths {
                let outside = path.starts_with('/') || path == "..";
                if outside && creates && flags & libc::O_TMPFILE == libc::O_TMPFILE {
                    continue;
                }
                let expected = kernel(theirs.path(), path, flags, mode);
                let got = behalf(ours.path(), path, flags, mode);
                assert_eq!(got, expected, "open({path:?}, {flags:#o}, {mode:#o})");
                compared += 1;
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn an_open_through_procfs_ends_as_the_kernels_own() {
    let flags = [
        libc::O_RDONLY,
        libc::O_RDWR,
        libc::O_CREAT | libc::O_RDWR,
        libc::O_CREAT | libc::O_EXCL | libc::O_RDWR,
    ];
    let rests = [
        "file",
        "new",
        "folder",
        "dangling",
        "dangling-in-folder",
        "new/",
        "nowhere/x",
        "no/where/x",
        "closed",
        "link",
    ];
    for flags in flags {
        let (ours, theirs) = (tree(), tree());
        let sleeper = Sleeper::in_folder(theirs.path());
        for rest in rests {
            let expected =
                kernel(Path::new("/"), &format!("/proc/{}/cwd/{rest}", sleeper.guest.tgid), flags, 0o640);
            assert_eq!(
                behalf(ours.path(), &format!("/proc/self/cwd/{rest}"), flags, 0o640),
                expected,
                "{rest}"
            );
        }
        for path in [
            "/proc/self/status",
            "/proc/self/nothing",
            "/proc/self/no/thing",
            "/proc/self",
            "/proc/nothing",
            "/proc/no/thing",
            "/proc/self/fd/1/x",
        ] {
            let theirs = path.replace("self", &sleeper.guest.tgid.to_string());
            let expected = kernel(Path::new("/"), &theirs, flags, 0o640).map(|seen| seen.0);
            assert_eq!(
                behalf(ours.path(), path, flags, 0o640).map(|seen| seen.0),
                expected,
                "{path} {flags:o}"
            );
        }
    }
}

#[test]
fn what_openat2_refuses_is_refused() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let both = (ResolveFlags::BENEATH | ResolveFlags::IN_ROOT).bits();
    let creat = libc::O_CREAT as u64;
    for (flags, mode, resolve, errno) in [
        (1 << 40, 0, 0, Errno::EINVAL),
        (0x4000_0000, 0, 0, Errno::EINVAL),
        (0, 0o600, 0, Errno::EINVAL),
        (creat, 0o10000, 0, Errno::EINVAL),
        (creat, 1 << 40, 0, Errno::EINVAL),
        (0, 0, 1 << 30, Errno::EINVAL),
        (0, 0, both, Errno::EINVAL),
        ((libc::O_PATH | libc::O_RDWR) as u64, 0, 0, Errno::EINVAL),
        (creat | libc::O_TRUNC as u64, 0o600, ResolveFlags::CACHED.bits(), Errno::EAGAIN),
    ] {
        let request = OpenRequest::openat2(sleeper.guest, 0, b"file".to_vec(), flags, mode, resolve);
        assert_eq!(request.pin().unwrap_err(), errno, "{flags:o} {mode:o} {resolve:x}");
    }
    let path = OpenRequest::openat2(sleeper.guest, 0, b"file".to_vec(), libc::O_PATH as u64, 0, 0);
    assert!(matches!(path.perform(path.pin().unwrap(), UMASK), Ok(Opened::Path)));
}

#[test]
fn what_may_wait_is_not_waited_for() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let open = |path: &str, flags: i32| {
        let request = OpenRequest::openat(sleeper.guest, libc::AT_FDCWD, path.into(), flags as u32, 0);
        request.perform(request.pin().unwrap(), UMASK)
    };
    // First: a process that another test is just starting holds for a moment what was open here.
    assert_eq!(open("fifo", libc::O_WRONLY | libc::O_NONBLOCK).unwrap_err(), Errno::ENXIO.into());
    let Ok(Opened::MayBlock(reader)) = open("fifo", libc::O_RDONLY) else { panic!("waited") };
    let Ok(Opened::MayBlock(writer)) = open("fifo", libc::O_WRONLY) else { panic!("waited") };
    let reader = std::thread::spawn(|| reader.open());
    assert!(writer.open().is_ok() && reader.join().unwrap().is_ok());
    assert!(matches!(open("fifo", libc::O_RDWR), Ok(Opened::File(_))));
    assert!(matches!(open("fifo", libc::O_RDONLY | libc::O_NONBLOCK), Ok(Opened::File(_))));
    assert!(matches!(open("/dev/zero", libc::O_RDONLY), Ok(Opened::File(_))));
}

#[test]
fn a_lease_is_not_waited_for() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let held = File::open(dir.path().join("file")).unwrap();
    crate::sys::file::lease(&held).unwrap();
    let request =
        OpenRequest::openat(sleeper.guest, libc::AT_FDCWD, b"file".to_vec(), libc::O_WRONLY as u32, 0);
    assert!(matches!(request.perform(request.pin().unwrap(), UMASK), Ok(Opened::MayBlock(_))));
}

#[test]
fn the_supervisors_terminal_is_not_the_guests() {
    if !Path::new("/dev/tty").exists() {
        return;
    }
    let dir = tree();
    let child = Command::new("setsid").args(["sleep", "1000"]).current_dir(dir.path()).spawn().unwrap();
    let guest = Guest { tid: child.id(), tgid: child.id() };
    let _sleeper = Sleeper { child, guest };
    let request = OpenRequest::openat(guest, libc::AT_FDCWD, b"/dev/tty".to_vec(), libc::O_RDWR as u32, 0);
    // `setsid` makes its session right after its start.
    for _ in 0..100 {
        if crate::sys::group::session_of(guest.tid) != Ok(crate::sys::group::own_session()) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(request.perform(request.pin().unwrap(), UMASK).unwrap_err(), Errno::ENXIO.into());
}

#[test]
fn a_file_that_was_created_meanwhile_is_judged_again() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    for (flags, again) in [(libc::O_CREAT, true), (libc::O_CREAT | libc::O_EXCL, false)] {
        let flags = (flags | libc::O_WRONLY | libc::O_TRUNC) as u32;
        let request = OpenRequest::openat(sleeper.guest, libc::AT_FDCWD, b"new".to_vec(), flags, 0o666);
        let found = request.pin().unwrap();
        fs::write(dir.path().join("new"), "another's").unwrap();
        match request.perform(found, UMASK) {
            Ok(Opened::Again) => assert!(again),
            Err(refusal) => assert!(!again && refusal == Errno::EEXIST.into()),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(dir.path().join("new")).unwrap(), b"another's");
        fs::remove_file(dir.path().join("new")).unwrap();
    }
}

#[test]
fn a_path_that_is_swapped_after_the_judgement_changes_nothing() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let request =
        OpenRequest::openat(sleeper.guest, libc::AT_FDCWD, b"link".to_vec(), libc::O_RDONLY as u32, 0);
    let found = request.pin().unwrap();
    fs::remove_file(dir.path().join("link")).unwrap();
    fs::rename(dir.path().join("folder/inner/file"), dir.path().join("link")).unwrap();
    let Ok(Opened::File(fd)) = request.perform(found, UMASK) else { panic!("not opened") };
    assert_eq!(Pinned::new(fd).unwrap().identity(), id(dir.path().join("file")));
}
