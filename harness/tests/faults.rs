//! What becomes of a run whose host runs out of something: it passes, or says what is missing. Nothing hangs, and nobody
//! stays.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "lifetime/processes.rs"]
mod processes;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use processes::*;

/// Guests are followed, and their opens performed.
const DENIES: &str = "{ fs: { read: [$SYSTEM, $WORK], write: [$WORK, /dev/null], deny: [/etc/shadow] } }";
const ASSIZE: &str = env!("CARGO_BIN_EXE_assize");

fn fixture(scenario: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scenario.yaml"), scenario).unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    folder
}

/// A shell that limits itself and then becomes `assize`.
fn limited(folder: &Path, limit: &str, rest: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{limit}; exec {ASSIZE} {rest}")]).current_dir(folder).stdin(Stdio::null());
    command.env("TMPDIR", folder.join("tmp")).env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO");
    command.env("CARGO_TARGET_DIR", folder.join("target")).env_remove("RUST_BACKTRACE");
    command
}

/// Its whole output, or a failure if it does not end.
fn ends(mut command: Command, what: &str) -> Output {
    // What the host must have, it has; what runs here is to lack something.
    command.env_remove("ASSIZE_REQUIRE");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{what} hangs");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

#[test]
fn with_too_few_descriptors_a_run_says_so() {
    for (kind, policy) in [("plain", "{}"), ("followed", DENIES)] {
        let mark = mark(&format!("descriptors {kind}"));
        let folder = fixture(&format!(
            "policy: {policy}\nshell: setsid sleep {mark} > /dev/null & cat /etc/passwd > out\n"
        ));
        let (mut failed, mut passed) = (0, 0);
        for limit in (4..40).chain((40..160).step_by(6)) {
            let what = format!("{kind} with {limit} descriptors");
            let out = ends(limited(folder.path(), &format!("ulimit -n {limit}"), "run scenario.yaml"), &what);
            let said = text(&out);
            if out.status.success() {
                passed += 1;
            } else {
                failed += 1;
                let known = ["EMFILE", "Too many open files", "error while loading shared libraries"];
                assert!(known.iter().any(|word| said.contains(word)), "{what}: {}: {said}", out.status);
                assert!(!said.contains("panicked"), "{what}: {said}");
            }
            assert_eq!(marked(&mark), [""; 0], "{what}");
        }
        assert!(failed > 10 && passed > 3, "{failed} failed, {passed} passed");
        let next = ends(limited(folder.path(), ":", "run scenario.yaml"), "the next run");
        assert!(next.status.success(), "{}", text(&next));
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0, "{kind}");
    }
}

/// A library can't answer a missing page: the process is aborted. What holds then is that nobody and nothing stays.
#[test]
fn with_too_little_memory_nobody_stays() {
    let mark = mark("memory");
    let folder = fixture(&format!(
        "policy: {DENIES}\nshell: setsid sleep {mark} > /dev/null & cat /etc/passwd > out\n"
    ));
    let (mut failed, mut passed) = (0, 0);
    for mebibytes in (8..80).step_by(4).chain((80..800).step_by(60)) {
        let what = format!("with {mebibytes} MiB");
        // The guests have the same limit, and some of them need more than the supervisor.
        let out = ends(
            limited(folder.path(), &format!("ulimit -v {}", mebibytes << 10), "run scenario.yaml"),
            &what,
        );
        if out.status.success() {
            passed += 1
        } else {
            failed += 1
        }
        nobody(&mark, &what);
    }
    assert!(failed > 3 && passed > 3, "{failed} failed, {passed} passed");
    let next = ends(limited(folder.path(), ":", "run scenario.yaml"), "the next run");
    assert!(next.status.success(), "{}", text(&next));
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

/// As a user who may have no more processes. The limit does not bind root, and it counts all that the user has.
#[test]
fn where_no_thread_can_be_made_a_run_says_so() {
    let mark = mark("threads");
    let folder = fixture(&format!("shell: setsid sleep {mark} > /dev/null & cat /etc/passwd > /dev/null\n"));
    let own = rustix::process::geteuid();
    let copy = folder.path().join("assize");
    fs::copy(ASSIZE, &copy).unwrap();
    for path in [
        folder.path().to_owned(),
        folder.path().join("tmp"),
        folder.path().join("scenario.yaml"),
        copy.clone(),
    ] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let (mut failed, mut passed) = (0, 0);
    for limit in (1..16).chain((16..64).step_by(8)) {
        let what = format!("with {limit} processes");
        let nproc = format!("--nproc={limit}");
        // A user who has no other process; in a namespace of one's own, where only what is in it counts.
        let user: &[&str] = if own.is_root() {
            &["setpriv", "--reuid=64123", "--regid=64123", "--clear-groups"]
        } else {
            &["unshare", "--user", "--map-current-user"]
        };
        let program = copy.to_str().unwrap();
        let words = [user, &["prlimit", &nproc, program, "run", "-j", "2", "scenario.yaml"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(folder.path()).stdin(Stdio::null());
        command.env("TMPDIR", folder.path().join("tmp")).env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO");
        let out = ends(command, &what);
        let said = text(&out);
        if out.status.success() {
            passed += 1;
        } else {
            failed += 1;
            let known = ["EAGAIN", "Resource temporarily unavailable", "Cannot fork", "fork"];
            assert!(known.iter().any(|word| said.contains(word)), "{what}: {}: {said}", out.status);
            assert!(!said.contains("panicked"), "{what}: {said}");
        }
        nobody(&mark, &what);
    }
    assert!(failed > 3 && passed > 0, "{failed} failed, {passed} passed");
}

/// Runs a script in a user and a mount namespace of its own, whose `full` is a disk of 256 KiB.
fn with_small_disk(folder: &Path, script: &str) -> Option<Output> {
    fs::create_dir_all(folder.join("full")).unwrap();
    let mount = "mount -t tmpfs -o size=256k,mode=0777 none full || exit 99";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &format!("{mount}\n{script}")]);
    command.current_dir(folder).stdin(Stdio::null());
    command
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO")
        .env("CARGO_TARGET_DIR", folder.join("target"));
    let out = ends(command, script);
    if out.status.code() == Some(99) || text(&out).contains("unshare:") {
        eprintln!("ignored: this host gives no user namespace to mount in: {}", text(&out));
        return None;
    }
    Some(out)
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let large = "x".repeat(600 << 10);
    let folder = fixture(&format!("files: {{ large: {large} }}\nrun: [\"true\"]\n"));
    let script = format!("TMPDIR=$PWD/full {ASSIZE} run scenario.yaml; echo ended $?; ls -A full");
    let Some(out) = with_small_disk(folder.path(), &script) else { return };
    let said = text(&out);
    assert!(said.contains("the work folder could not be made: large: No space left on device"), "{said}");
    assert!(said.contains("\nended 101\n") && out.stdout.ends_with(b"ended 101\n"), "{said}");
}

#[test]
fn a_guest_on_a_full_disk_is_told_and_so_is_the_reader() {
    let script = "head -c 600K /dev/zero > out; echo status $?";
    let folder = fixture(&format!("policy: {DENIES}\nshell: {script}\n"));
    // What a failed run leaves can't be kept where there is no room; what is wrong is said all the same.
    let run = format!(
        "export TMPDIR=$PWD/full CARGO_TARGET_DIR=$PWD/full/target\nmkdir full/target\n\
         sed -i 's/^shell: /expect: {{ stdout: status 0 }}\\nshell: /' scenario.yaml\n\
         {ASSIZE} run scenario.yaml; echo ended $?; ls -A full"
    );
    let Some(out) = with_small_disk(folder.path(), &run) else { return };
    let said = text(&out);
    assert!(said.contains("No space left on device") && said.contains("+status 1"), "{said}");
    assert!(!said.contains("kept:") && out.stdout.ends_with(b"ended 101\ntarget\n"), "{said}");
}

#[test]
fn a_trace_that_is_not_whole_is_said_to_be_so() {
    let folder = fixture("run: [\"true\"]\n");
    let script = "i=0; while [ $i -lt 60 ]; do cat /etc/passwd > /dev/null; i=$((i + 1)); done";
    let exec = |trace: &str| {
        format!(
            "echo 'policy: {DENIES}' > policy.yaml\n\
             {ASSIZE} exec --policy policy.yaml --trace {trace} -- sh -c '{script}'; echo ended $?"
        )
    };
    let Some(out) = with_small_disk(folder.path(), &exec("full/log")) else { return };
    let said = text(&out);
    assert!(said.contains("events could not be written to full/log"), "{said}");
    // The command's own end all the same.
    assert!(said.contains("ended 0"), "{said}");
    let out = with_small_disk(folder.path(), &exec("log")).unwrap();
    assert_eq!(text(&out), "ended 0\n");
}
