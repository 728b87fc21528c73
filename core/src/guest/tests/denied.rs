//! What is denied stays denied, whatever it is called.
#![forbid(unsafe_code)]

use std::os::unix::fs::symlink;

use super::*;

fn covered(denied: &Denied, guest: Guest, path: impl AsRef<[u8]>) -> bool {
    denied.covers(&find(guest, path).unwrap()).unwrap()
}

#[test]
fn a_denied_file_is_denied_by_every_name() {
    let dir = tree();
    let at = |name: &str| dir.path().join(name);
    let sleeper = Sleeper::new(dir.path(), File::open(at("file")).unwrap());
    let guest = sleeper.guest;
    fs::hard_link(at("file"), at("before")).unwrap();
    let denied = Denied::new([at("file")]).unwrap();
    fs::hard_link(at("file"), at("folder/after")).unwrap();
    for path in
        ["file", "link", "before", "folder/after", "/proc/self/fd/0", "/proc/self/cwd/before", "chain-7"]
    {
        assert!(covered(&denied, guest, path), "{path}");
    }
    for path in ["readonly", "folder", ".", "folder/inner/file", "/"] {
        assert!(!covered(&denied, guest, path), "{path}");
    }
    fs::rename(at("file"), at("folder/moved")).unwrap();
    assert!(covered(&denied, guest, "folder/moved"));
    // The name is denied too, for what replaces the file.
    fs::write(at("file"), "new").unwrap();
    assert!(covered(&denied, guest, "file"));
    assert!(denied.covers_or_contains(&find(guest, ".").unwrap()).unwrap());
    assert!(!denied.covers_or_contains(&find(guest, "folder").unwrap()).unwrap());
}

#[test]
fn a_denied_folder_is_denied_wherever_it_is_moved() {
    let dir = tree();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("folder/twice"), "").unwrap();
    fs::hard_link(at("folder/twice"), at("outside")).unwrap();
    fs::create_dir(at("folder-not")).unwrap();
    let sleeper = Sleeper::in_folder(dir.path());
    let guest = sleeper.guest;
    let denied = Denied::new([at("folder-link")]).unwrap();
    for path in ["folder", "folder/inner", "folder/inner/file", "folder-link/inner/file", "outside"] {
        assert!(covered(&denied, guest, path), "{path}");
    }
    assert!(!covered(&denied, guest, "folder-not") && !covered(&denied, guest, "file"));
    fs::rename(at("folder"), at("moved")).unwrap();
    assert!(covered(&denied, guest, "moved/inner/file") && covered(&denied, guest, "moved"));
    // A file that was removed keeps the name that it had.
    let file = find(guest, "moved/inner/file").unwrap();
    fs::remove_file(at("moved/inner/file")).unwrap();
    assert!(denied.covers(&file).unwrap());
    assert!(denied.covers_or_contains(&find(guest, ".").unwrap()).unwrap());
}

#[test]
fn what_does_not_exist_yet_is_denied_when_it_does() {
    let dir = tree();
    let at = |name: &str| dir.path().join(name);
    symlink("folder/by-link", at("to-come")).unwrap();
    let sleeper = Sleeper::in_folder(dir.path());
    let guest = sleeper.guest;
    let denied = Denied::new([at("folder/new"), at("folder/deep/er/new"), at("to-come")]).unwrap();
    let missing = |path: &str| {
        let lookup = Lookup { create: true, ..Lookup::new(guest, libc::AT_FDCWD, path.as_bytes()) };
        denied.covers_found(&resolve(&lookup).unwrap()).unwrap()
    };
    assert!(missing("folder/new") && missing("/proc/self/cwd/folder-link/new") && missing("folder/by-link"));
    assert!(missing("to-come"));
    assert!(!missing("folder/deep") && !missing("folder/newer") && !missing("new"));
    fs::write(at("folder/new"), "").unwrap();
    fs::create_dir_all(at("folder/deep/er")).unwrap();
    assert!(missing("folder/deep/er/new") && covered(&denied, guest, "folder/new"));
    fs::rename(at("folder"), at("moved")).unwrap();
    assert!(covered(&denied, guest, "moved/new") && missing("moved/deep/er/new"));
    assert!(denied.covers_or_contains(&find(guest, "moved/deep").unwrap()).unwrap());
}

#[test]
fn a_change_is_judged_by_its_names_and_its_objects() {
    let dir = tree();
    let at = |name: &str| dir.path().join(name);
    let sleeper = Sleeper::in_folder(dir.path());
    let denied = Denied::new([at("folder/inner/file"), at("folder/new")]).unwrap();
    let judged = |change: Change| {
        let prepared = ChangeRequest { guest: sleeper.guest, change }.pin().unwrap();
        prepared.objects().any(|object| denied.covers(object).unwrap())
            || prepared.entries().any(|entry| denied.covers_entry(entry).unwrap())
    };
    let rename = |from: &str, to: &str| Change::Rename { from: At::cwd(from), to: At::cwd(to), flags: 0 };
    assert!(judged(rename("folder/inner/file", "mine")));
    assert!(judged(rename("folder/inner", "mine")) && judged(rename("folder", "mine")));
    assert!(judged(rename("file", "folder/inner/file")) && judged(rename("file", "folder/new")));
    assert!(judged(rename("file", "folder-link/new")) && !judged(rename("file", "folder/newer")));
    assert!(judged(Change::Link { from: At::cwd("folder/inner/file"), to: At::cwd("mine"), flags: 0 }));
    assert!(judged(Change::Remove { name: At::cwd("folder/inner/file"), flags: 0 }));
    assert!(judged(Change::Truncate { file: At::cwd("folder/inner/file"), length: 0 }));
    assert!(!judged(Change::Truncate { file: At::cwd("file"), length: 0 }));
}

#[test]
fn what_cannot_be_kept_is_refused_at_the_start() {
    let dir = tree();
    let unclear = Denied::new([dir.path().join("nowhere/../file")]);
    assert!(matches!(unclear, Err(DeniedError::Unclear { .. })), "{unclear:?}");
    let lost = Denied::new([dir.path().join("loop")]);
    assert!(matches!(lost, Err(DeniedError::Unreachable { errno: crate::Errno::ELOOP, .. })), "{lost:?}");
    assert!(Denied::new::<&Path>([]).unwrap().is_empty());
    let all = Denied::new(["/proc"]).unwrap();
    assert!(all.covers(&Pinned::new(File::open("/proc/uptime").unwrap().into()).unwrap()).unwrap());
}

#[test]
fn what_cannot_be_looked_at_is_denied_by_its_name() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    let denied = Denied::new([dir.path().join("shut/file"), dir.path().join("shut/nothing/at/all")]).unwrap();
    // Root may look.
    assert_eq!(denied.unscanned().is_empty(), rustix::process::geteuid().is_root());
    fs::set_permissions(dir.path().join("shut"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(dir.path().join("shut/nothing/at/all")).unwrap();
    assert!(
        covered(&denied, sleeper.guest, "shut/file")
            && covered(&denied, sleeper.guest, "shut/nothing/at/all")
    );
    assert!(!covered(&denied, sleeper.guest, "shut") && !covered(&denied, sleeper.guest, "shut/nothing"));
}
