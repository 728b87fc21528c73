//! Every way to name a file leads to that file, and none to the supervisor's own process.
#![forbid(unsafe_code)]

use std::os::fd::AsRawFd;

use rustix::fs::{OFlags, open};

use super::*;
use crate::Errno;

#[test]
fn every_door_leads_to_the_file() {
    let dir = tree();
    let file = id(dir.path().join("file"));
    let base = dir.path().display().to_string();
    let by_stdin = Sleeper::new(dir.path(), File::open(dir.path().join("file")).unwrap());
    let pid = by_stdin.guest.tgid;
    for path in [
        "file".to_owned(),
        "./file".to_owned(),
        ".//./file".to_owned(),
        "folder/../file".to_owned(),
        "folder/inner/../..//file".to_owned(),
        "link".to_owned(),
        "link-to-link".to_owned(),
        "own-absolute".to_owned(),
        "folder-link/../file".to_owned(),
        "through-self".to_owned(),
        "self/cwd/file".to_owned(),
        "self/fd/0".to_owned(),
        "chain-40".to_owned(),
        format!("{base}/file"),
        format!("//{base}//file"),
        format!("/proc/self/root{base}/file"),
        "/proc/self/cwd/file".to_owned(),
        "/proc/thread-self/cwd/file".to_owned(),
        "/proc/self/fd/0".to_owned(),
        "/proc/self/task/../fd/0".to_owned(),
        format!("/proc/self/task/{pid}/fd/0"),
        format!("/proc/self/task/{pid}/../../../../..{base}/file"),
        "/dev/fd/0".to_owned(),
        "/dev/stdin".to_owned(),
        format!("/proc/{pid}/root{base}/file"),
        format!("/proc/{pid}/cwd/file"),
        format!("/proc/{pid}/fd/0"),
        format!("/proc/{pid}/task/{pid}/root/proc/self/root{base}/link"),
        format!("{}{base}/file", "/../..".repeat(20)),
    ] {
        // The thread that looks has another cwd, other descriptors and another `self`.
        let found = find(by_stdin.guest, &path);
        assert_eq!(found.map(|pin| pin.identity()).map_err(|e| (path.clone(), e)), Ok(file), "{path}");
    }
    assert_eq!(find(by_stdin.guest, "chain-41").unwrap_err(), Errno::ELOOP);
    assert_eq!(find(by_stdin.guest, "loop").unwrap_err(), Errno::ELOOP);
    assert_eq!(find(by_stdin.guest, "loop-a").unwrap_err(), Errno::ELOOP);
    assert_eq!(find(by_stdin.guest, "self/fd/0/").unwrap_err(), Errno::ENOTDIR);
    assert_eq!(find(by_stdin.guest, "/proc/self/fd/77").unwrap_err(), Errno::ENOENT);
    assert_eq!(find(by_stdin.guest, "").unwrap_err(), Errno::ENOENT);
}

#[test]
fn a_descriptor_is_a_folder_to_start_from() {
    let dir = tree();
    let elsewhere = tempfile::tempdir().unwrap();
    for flags in [OFlags::RDONLY, OFlags::PATH] {
        let folder = open(dir.path(), flags | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let sleeper = Sleeper::new(elsewhere.path(), folder);
        let look = |dirfd, path: &str| {
            resolve(&Lookup::new(sleeper.guest, dirfd, path.as_bytes()))?.existing().map(|pin| pin.identity())
        };
        assert_eq!(look(0, "file"), Ok(id(dir.path().join("file"))));
        assert_eq!(look(0, "folder-link/inner"), Ok(id(dir.path().join("folder/inner"))));
        assert_eq!(look(0, "/"), Ok(id("/")));
        assert_eq!(look(77, "file"), Err(Errno::EBADF));
        assert_eq!(look(-1, "file"), Err(Errno::EBADF));
        assert_eq!(look(77, "/"), Ok(id("/")));
        assert_eq!(look(1, "file"), Err(Errno::ENOTDIR), "descriptor 1 is a pipe");
    }
}

#[test]
fn an_empty_path_is_the_descriptor() {
    let dir = tree();
    let sleeper = Sleeper::new(dir.path(), File::open(dir.path().join("file")).unwrap());
    let look = |dirfd, directory| {
        let lookup = Lookup { empty: true, directory, ..Lookup::new(sleeper.guest, dirfd, b"") };
        resolve(&lookup)?.existing().map(|pin| pin.kind())
    };
    assert_eq!(look(0, false), Ok(FileKind::File));
    assert_eq!(look(0, true), Err(Errno::ENOTDIR));
    assert_eq!(look(1, false), Ok(FileKind::Fifo));
    assert_eq!(look(libc::AT_FDCWD, false), Ok(FileKind::Folder));
}

#[test]
fn the_supervisor_itself_is_out_of_reach() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let own = std::process::id();
    let (tell, told) = std::sync::mpsc::channel();
    let (_alive, stay) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let _ = stay.recv();
    });
    let thread = told.recv().unwrap();
    let secret = File::open(dir.path().join("file")).unwrap();
    let fd = secret.as_raw_fd();
    for path in [
        format!("/proc/{own}/status"),
        format!("/proc/{own}/fd/{fd}"),
        format!("/proc/{own}/cwd"),
        format!("/proc/{own}/cwd/"),
        format!("/proc/{own}/root/etc/passwd"),
        format!("/proc/{own}/exe"),
        format!("/proc/{own}/mem"),
        format!("/proc/{own}"),
        format!("/proc/{own}/fd"),
        format!("/proc/{own}/task"),
        format!("/proc/{own}/task/{thread}/environ"),
        format!("/proc/{own}/task/{thread}/cwd"),
        format!("/proc/{thread}/environ"),
        format!("/proc/{thread}/root/etc/passwd"),
        format!("/proc/{thread}/fd/{fd}"),
        format!("/proc/self/../{own}/status"),
        format!("/proc/self/root/proc/{own}/status"),
        format!("/proc/self/root/proc/{thread}/fd/{fd}"),
        format!("/proc/{}/../{own}/ns/mnt", sleeper.guest.tgid),
    ] {
        assert_eq!(find(sleeper.guest, &path).map(|pin| pin.path()).unwrap_err(), Errno::EACCES, "{path}");
    }
    // The guest's own, for comparison.
    for path in
        ["/proc/self/status", "/proc/self/fd", "/proc/self/exe", "/proc/self/ns/mnt", "/proc/self/mem"]
    {
        let file = find(sleeper.guest, path).unwrap();
        if let Some(rest) = path.strip_prefix("/proc/self").filter(|_| file.on_procfs().unwrap()) {
            assert_eq!(file.path().unwrap(), format!("/proc/{}{rest}", sleeper.guest.tgid).into_bytes());
        }
    }
    assert_eq!(find(sleeper.guest, "/proc/self/exe").unwrap().identity(), id(which("sleep")));
}

fn which(name: &str) -> std::path::PathBuf {
    ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists()).unwrap()
}

#[test]
fn a_descriptor_of_the_supervisors_files_is_no_way_in() {
    let dir = tree();
    let own = std::process::id();
    let path_only = |path: String| open(path, OFlags::PATH, Mode::empty()).unwrap();
    let sleeper = Sleeper::new(dir.path(), path_only(format!("/proc/{own}")));
    for path in ["/proc/self/fd/0", "/proc/self/fd/0/status", "/dev/fd/0/cwd/file", "/proc/self/fd/0/task"] {
        assert_eq!(find(sleeper.guest, path).unwrap_err(), Errno::EACCES, "{path}");
    }
    let at = |dirfd, path: &'static [u8]| {
        resolve(&Lookup { empty: true, ..Lookup::new(sleeper.guest, dirfd, path) })
    };
    assert_eq!(at(0, b"status").unwrap_err(), Errno::EACCES);
    assert_eq!(at(0, b"").unwrap_err(), Errno::EACCES);
    assert_eq!(at(0, b"root/etc").unwrap_err(), Errno::EACCES);
    let sleeper = Sleeper::new(dir.path(), path_only(format!("/proc/{own}/environ")));
    assert_eq!(find(sleeper.guest, "/proc/self/fd/0").unwrap_err(), Errno::EACCES);
    // From within as well.
    let sleeper = Sleeper::in_folder(Path::new(&format!("/proc/{own}")));
    for path in ["status", "fd/0", "cwd", ".", "task/../environ"] {
        assert_eq!(find(sleeper.guest, path).unwrap_err(), Errno::EACCES, "{path}");
    }
    assert_eq!(find(sleeper.guest, "../self/cwd/../uptime").unwrap().identity(), id("/proc/uptime"));
}

#[test]
fn names_are_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tree();
    let name = b"no\xfftext\xfe";
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    let sleeper = Sleeper::in_folder(dir.path());
    let file = find(sleeper.guest, name).unwrap();
    assert!(file.path().unwrap().ends_with(name));
    assert_eq!(
        find(sleeper.guest, [b"/proc/self/cwd/", &name[..]].concat()).unwrap().identity(),
        file.identity()
    );
}

#[test]
fn paths_are_as_long_as_the_kernel_allows() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let long = |start: &str, len: usize| {
        let mut path = start.to_owned();
        path.extend(std::iter::repeat_n('/', len - start.len() - 4));
        path + "file"
    };
    let file = id(dir.path().join("file"));
    for start in [".", "/proc/self/cwd"] {
        assert_eq!(find(sleeper.guest, long(start, 4095)).map(|pin| pin.identity()), Ok(file));
        assert_eq!(find(sleeper.guest, long(start, 4096)).unwrap_err(), Errno::ENAMETOOLONG);
    }
    assert!(find(sleeper.guest, "n".repeat(255)).is_ok());
    assert_eq!(find(sleeper.guest, "n".repeat(256)).unwrap_err(), Errno::ENAMETOOLONG);
    assert_eq!(
        find(sleeper.guest, "/proc/self/cwd/".to_owned() + &"n".repeat(256)).unwrap_err(),
        Errno::ENAMETOOLONG
    );
}

#[test]
fn an_unlinked_cwd_is_still_a_folder() {
    let dir = tree();
    let gone = dir.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let sleeper = Sleeper::in_folder(&gone);
    fs::remove_dir(&gone).unwrap();
    assert_eq!(find(sleeper.guest, ".").unwrap().kind(), FileKind::Folder);
    assert_eq!(find(sleeper.guest, "x").unwrap_err(), Errno::ENOENT);
    assert_eq!(find(sleeper.guest, "../file").unwrap().identity(), id(dir.path().join("file")));
    let request =
        OpenRequest::openat(sleeper.guest, libc::AT_FDCWD, b"new".to_vec(), libc::O_CREAT as u32, 0o600);
    let refusal = request.perform(request.pin().unwrap(), 0o022).unwrap_err();
    assert_eq!(refusal, Refusal { errno: Errno::ENOENT, by_landlock: false });
}

#[test]
fn a_name_is_that_of_the_file_now() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let base = dir.path().canonicalize().unwrap();
    let name = |file: &Pinned| String::from_utf8(file.path().unwrap()).unwrap();
    let file = find(sleeper.guest, "file").unwrap();
    assert_eq!(name(&file), base.join("file").display().to_string());
    fs::rename(dir.path().join("file"), dir.path().join("moved")).unwrap();
    assert_eq!(name(&file), base.join("moved").display().to_string());
    fs::remove_file(dir.path().join("moved")).unwrap();
    assert_eq!(name(&file), base.join("moved").display().to_string());
    fs::write(dir.path().join("odd (deleted)"), "").unwrap();
    let odd = find(sleeper.guest, "odd (deleted)").unwrap();
    assert_eq!(name(&odd), base.join("odd (deleted)").display().to_string());
}

/// The scopes of `openat2`, compared with the kernel's, from a folder and from `/proc`.
#[test]
fn scopes_are_kept() {
    let dir = tree();
    let file = File::open(dir.path()).unwrap();
    let sleeper = Sleeper::in_folder(dir.path());
    let flags = [
        ResolveFlags::empty(),
        ResolveFlags::BENEATH,
        ResolveFlags::IN_ROOT,
        ResolveFlags::NO_SYMLINKS,
        ResolveFlags::NO_MAGICLINKS,
        ResolveFlags::NO_XDEV,
        ResolveFlags::BENEATH | ResolveFlags::NO_XDEV,
        ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS,
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    ];
    let paths = [
        "file",
        "link",
        "../x",
        "folder/../file",
        "folder/../../x",
        "up",
        "up/up",
        "absolute",
        "absolute/passwd",
        "/file",
        "/",
        "/..",
        "own-absolute",
        "folder/inner/../../link",
        "/folder/../../link",
        "loop",
        "chain-40",
        "chain-41",
        "nothing",
        "dangling",
        ".",
        "..",
        "folder-link/..",
        "/proc/uptime",
    ];
    let how = OFlags::PATH | OFlags::CLOEXEC;
    for resolve_flags in flags {
        for path in paths {
            let kernel = rustix::fs::openat2(&file, path, how, Mode::empty(), resolve_flags);
            let kernel = kernel.map(|fd| Pinned::new(fd).unwrap().identity()).map_err(Errno::from);
            let lookup = Lookup { resolve: resolve_flags, ..Lookup::new(sleeper.guest, 0, path.as_bytes()) };
            // Once as it comes, and once through the walk that usually serves for procfs alone.
            let fast = resolve(&lookup).and_then(Found::existing).map(|pin| pin.identity());
            assert_eq!(fast, kernel, "{path} {resolve_flags:?}");
            let base = procfs::descriptor(sleeper.guest, 0).unwrap();
            let base = (!path.starts_with('/') || lookup.scoped()).then_some(base);
            let slow = walk::walk(&lookup, base).and_then(Found::existing).map(|pin| pin.identity());
            assert_eq!(slow, kernel, "walked {path} {resolve_flags:?}");
        }
    }
}

#[test]
fn scopes_are_kept_on_procfs() {
    let dir = tree();
    let sleeper = Sleeper::new(dir.path(), File::open("/proc").unwrap());
    let pid = sleeper.guest.tgid;
    let look = |path: &str, flags| {
        let lookup = Lookup { resolve: flags, ..Lookup::new(sleeper.guest, 0, path.as_bytes()) };
        resolve(&lookup).and_then(Found::existing).map(|pin| pin.path().unwrap())
    };
    let status = Ok(format!("/proc/{pid}/status").into_bytes());
    for flags in
        [ResolveFlags::BENEATH, ResolveFlags::IN_ROOT, ResolveFlags::NO_MAGICLINKS, ResolveFlags::NO_XDEV]
    {
        assert_eq!(look("self/status", flags), status, "{flags:?}");
        assert_eq!(look("self/task/../../self/status", flags), status, "{flags:?}");
        let magic = if flags == ResolveFlags::NO_MAGICLINKS { Errno::ELOOP } else { Errno::EXDEV };
        assert_eq!(look("self/cwd/file", flags), Err(magic), "{flags:?}");
    }
    assert_eq!(look("self/status", ResolveFlags::NO_SYMLINKS), Err(Errno::ELOOP));
    assert_eq!(look("self/status", ResolveFlags::CACHED), Err(Errno::EAGAIN));
    assert_eq!(look("self/../..", ResolveFlags::BENEATH), Err(Errno::EXDEV));
    assert_eq!(look("../../self/status", ResolveFlags::IN_ROOT), status);
}
