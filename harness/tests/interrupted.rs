//! A test run that is killed, or asked to end, at any moment: nobody stays, and nothing that lay in a temporary folder
//! does, at the latest when the next run is over.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "lifetime/processes.rs"]
mod processes;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use processes::*;
use rustix::process::{Pid, Signal, kill_process};

/// How often the harness is killed.
const MOMENTS: u32 = 200;
/// Signals that can be taken, and one that can't.
const SIGNALS: [Signal; 4] = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP];

/// Daemons in sessions of their own, and files that are hard to remove.
const LEAVING: &str = "mkdir -p locked/inner; echo x > locked/inner/file; chmod 0 locked/inner locked\n  \
    setsid sleep MARK > /dev/null 2>&1 &\n  \
    (setsid sh -c '(setsid sleep MARK &) ; exit' > /dev/null 2>&1 &)\n  \
    sleep 0.03";

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// A folder with a scenario, and one for temporary files.
fn fixture(isolation: &str, script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "files: {{ some/file: text }}\npolicy: {{ isolation: \"{isolation}\" }}\nshell: |\n  {script}\nexpect: {{ exit: any }}\n"
    );
    fs::write(folder.path().join("scenario.yaml"), text).unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    folder
}

fn run(folder: &Path) -> Child {
    // Without a folder where Cargo builds, what is kept of a failed run would come to lie among the temporary ones.
    assize(folder)
        .args(["run", "scenario.yaml"])
        .env("TMPDIR", folder.join("tmp"))
        .env_remove("CARGO_TARGET_DIR")
        .spawn()
        .unwrap()
}

fn left(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("tmp")).unwrap();
    entries.map(|entry| entry.unwrap().path().display().to_string()).collect()
}

/// A linear congruential generator: the same moments in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

#[test]
fn at_any_moment() {
    let next = AtomicU32::new(0);
    let worker = |nth: u64| {
        let mark = mark(&format!("moment {nth}"));
        let kinds = ["auto", "off"].map(|isolation| fixture(isolation, &LEAVING.replace("MARK", &mark)));
        let since = Instant::now();
        for folder in &kinds {
            assert!(run(folder.path()).wait().unwrap().success());
            assert_eq!(left(folder.path()), [""; 0]);
        }
        // A little longer than a run lives, so that some are over.
        let mut life = u64::try_from(since.elapsed().as_micros()).unwrap() / 2 * 5 / 4;
        let mut draw = Draw(nth);
        let (mut killed, mut ended) = (0, 0);
        while next.fetch_add(1, Ordering::Relaxed) < MOMENTS {
            let folder = kinds[draw.below(2) as usize].path();
            let signal = SIGNALS[draw.below(4) as usize];
            let mut harness = run(folder);
            std::thread::sleep(Duration::from_micros(draw.below(life)));
            send(&harness, signal);
            let status = harness.wait().unwrap();
            match status.signal() {
                Some(by) => {
                    assert_eq!(by, signal.as_raw());
                    killed += 1;
                    life += life / 32;
                }
                None => {
                    assert!(status.success(), "{status}");
                    ended += 1;
                    // How long a run lives depends on what else the machine does.
                    life -= life / 8;
                }
            }
            if signal == Signal::KILL && status.signal().is_some() {
                nobody(&mark, "after SIGKILL");
            } else {
                // It has waited for every one of them.
                assert_eq!(marked(&mark), [""; 0], "{signal:?}: {status}");
            }
        }
        for folder in &kinds {
            assert!(run(folder.path()).wait().unwrap().success());
            assert_eq!(
                left(folder.path()),
                [""; 0],
                "the next run leaves nothing, nor what was there before"
            );
            assert!(folder.path().join("scenario.yaml").is_file());
        }
        (killed, ended)
    };
    let counts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|nth| scope.spawn(move || worker(nth))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    let killed: u32 = counts.iter().map(|(killed, _)| killed).sum();
    assert!(killed >= MOMENTS / 3, "only {killed} of {MOMENTS} runs were killed in their midst");
}

/// What a signal leaves at once, where it can be taken.
#[test]
fn who_is_asked_to_end_leaves_nothing_and_says_why() {
    for isolation in ["auto", "off"] {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
            let mark = mark(&format!("asked {isolation} {}", signal.as_raw()));
            let script = LEAVING.replace("sleep 0.03", "sleep MARK").replace("MARK", &mark);
            let folder = fixture(isolation, &script);
            let mut harness = run(folder.path());
            wait_until("to see the guests", || marked(&mark).len() >= 3);
            assert_ne!(left(folder.path()), [""; 0]);
            send(&harness, signal);
            assert_eq!(harness.wait().unwrap().signal(), Some(signal.as_raw()));
            assert_eq!((marked(&mark), left(folder.path())), (vec![], vec![]), "{isolation}: {signal:?}");
        }
    }
}

/// The same by a signal that can't be taken: nobody stays, but the folder does, until the next run.
#[test]
fn what_was_killed_is_reclaimed_by_the_next_run_and_nothing_else_is() {
    let mark = mark("reclaimed");
    let folder = fixture("auto", &LEAVING.replace("sleep 0.03", "sleep MARK").replace("MARK", &mark));
    let (tmp, user) = (folder.path().join("tmp"), folder.path().join("user"));
    fs::create_dir(&user).unwrap();
    fs::write(user.join("file"), "kept").unwrap();
    let mut harness = run(folder.path());
    wait_until("to see the guests", || marked(&mark).len() >= 3);
    let own = fs::read_dir(&tmp).unwrap().next().unwrap().unwrap().path();
    let work = || {
        fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.join("some").is_dir())
    };
    let abandoned = work().unwrap();
    send(&harness, Signal::KILL);
    harness.wait().unwrap();
    nobody(&mark, "after SIGKILL");
    // Out of the folder lead links that a guest has planted; the user's own things lie beside it.
    for name in ["folder", "file"] {
        symlink(user.join(if name == "file" { "file" } else { "" }), abandoned.join(name)).unwrap();
    }
    symlink(&user, own.join("planted")).unwrap();
    fs::write(own.join("planted.lock"), "").unwrap();
    fs::create_dir(tmp.join("assize-backup")).unwrap();
    fs::write(tmp.join("assize-backup/file"), "kept").unwrap();
    // One that is in use, with a mode that must stay as it is.
    let mut other = run(folder.path());
    wait_until("to see the guests", || marked(&mark).len() >= 3);
    let used = work().unwrap();
    assert!(!abandoned.join("folder").is_symlink(), "the first thing that a run does");
    fs::set_permissions(&used, fs::Permissions::from_mode(0o750)).unwrap();
    let third = fixture("auto", "exit 0");
    let status = assize(third.path()).args(["run", "scenario.yaml"]).env("TMPDIR", &tmp).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::metadata(&used).unwrap().permissions().mode() & 0o777, 0o750);
    assert!(used.join("some/file").is_file());
    send(&other, Signal::TERM);
    other.wait().unwrap();
    for kept in [user.join("file"), tmp.join("assize-backup/file")] {
        assert_eq!(fs::read(kept).unwrap(), b"kept");
    }
    assert_eq!(left(folder.path()), [tmp.join("assize-backup").display().to_string()]);
}

fn exec(folder: &Path, script: &str) -> Child {
    assize(folder)
        .args(["exec", "--", "/bin/sh", "-c", script])
        .env("TMPDIR", folder.join("tmp"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(child: Child) -> (ExitStatus, String) {
    let out = child.wait_with_output().unwrap();
    (out.status, String::from_utf8(out.stdout).unwrap())
}

#[test]
fn exec_passes_on_what_asks_it_to_end() {
    for (signal, name) in
        [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP"), (Signal::QUIT, "QUIT")]
    {
        let mark = mark(&format!("passed {name}"));
        let folder = fixture("auto", "exit 0");
        // One that takes it, one that ignores it, one that is killed by it.
        let takes = format!("trap 'echo taken; exit 7' {name}; sleep {mark} & echo ready; wait");
        let ignores = format!("trap '' {name}; echo ready; sleep 0.3; echo ignored; sleep {mark} & exit 8");
        let default = format!("setsid sleep {mark} > /dev/null & echo ready; exec sleep {mark}");
        for (script, code, text) in [
            (&takes, 7, "ready\ntaken\n"),
            (&ignores, 8, "ready\nignored\n"),
            (&default, 128 + signal.as_raw(), "ready\n"),
        ] {
            let mut child = exec(folder.path(), script);
            let mut first = [0; 6];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
            send(&child, signal);
            let (status, rest) = said(child);
            assert_eq!((status.code(), format!("ready\n{rest}").as_str()), (Some(code), text), "{script}");
            assert_eq!(marked(&mark), [""; 0], "{script}");
        }
    }
}

/// At whatever moment it comes: the command's own end, or 128 and the signal, and nobody is left.
#[test]
fn exec_ends_by_a_signal_at_any_moment() {
    let mark = mark("exec moment");
    let folder = fixture("auto", "exit 0");
    let script = format!("setsid sleep {mark} > /dev/null & sleep 0.02");
    let mut draw = Draw(7);
    for _ in 0..40 {
        let child = exec(folder.path(), &script);
        std::thread::sleep(Duration::from_micros(draw.below(60_000)));
        send(&child, Signal::TERM);
        let (status, _) = said(child);
        // Before it listens it is ended by the signal itself, as any program.
        let fine = status.code().is_some_and(|code| code == 0 || code == 143)
            || status.signal() == Some(Signal::TERM.as_raw());
        assert!(fine, "{status}");
        assert_eq!(marked(&mark), [""; 0]);
    }
}

/// What a person types reaches all in the terminal's foreground: the command must not get it twice.
#[test]
fn a_command_gets_an_interrupt_of_the_terminal_once() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let folder = fixture("auto", "exit 0");
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = || fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let held = terminal();
    let script = "import signal, sys, time\n\
        seen = []\n\
        signal.signal(signal.SIGINT, lambda *_: seen.append(1))\n\
        print('ready', flush=True)\n\
        while not seen: time.sleep(0.01)\n\
        time.sleep(0.3)\n\
        print('seen', len(seen), flush=True)";
    let mut child = std::process::Command::new("setsid")
        .args([
            "--ctty",
            "env",
            "--default-signal=INT",
            env!("CARGO_BIN_EXE_assize"),
            "exec",
            "--",
            "/usr/bin/python3",
            "-I",
            "-S",
            "-c",
            script,
        ])
        .current_dir(folder.path())
        .stdin(terminal())
        .stdout(terminal())
        .stderr(terminal())
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    let mut read_until = |text: &str| {
        let since = Instant::now();
        while !String::from_utf8_lossy(&seen).contains(text) {
            assert!(since.elapsed() < PATIENCE, "{}", String::from_utf8_lossy(&seen));
            let mut piece = [0; 256];
            let got = rustix::io::read(&master, &mut piece).unwrap();
            seen.extend_from_slice(&piece[..got]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    };
    read_until("ready");
    rustix::io::write(&master, b"\x03").unwrap();
    let text = read_until("seen ");
    assert!(child.wait().unwrap().success(), "{text}");
    assert!(read_until("\n").contains("seen 1"), "{text}");
    drop(held);
}

/// A supervisor that is stopped in the midst of an answer, as by a frozen cgroup, gives the whole answer afterwards.
#[test]
fn a_supervisor_that_is_stopped_and_continued_gives_every_answer() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    let text = "policy: { fs: { read: [$SYSTEM, $WORK], write: [$WORK], deny: [/etc/shadow] }, limits: { timeout: 120s } }\n\
        deterministic: { seed: 1 }\n\
        files:\n  guest.py: |\n\
        \x20   import os\n\
        \x20   for turn in range(4000):\n\
        \x20       fd = os.open('/etc/passwd', os.O_RDONLY)\n\
        \x20       assert fd == 3, fd\n\
        \x20       os.close(fd)\n\
        \x20       assert len(os.getrandom(8)) == 8\n\
        \x20       fd = os.open(f'{turn}', os.O_CREAT | os.O_EXCL)\n\
        \x20       assert fd == 3, fd\n\
        \x20       os.close(fd)\n\
        \x20       os.rename(f'{turn}', 'other')\n\
        run: [/usr/bin/python3, -I, -S, guest.py]\n";
    fs::write(folder.path().join("scenario.yaml"), text).unwrap();
    let mut harness = assize(folder.path())
        .args(["run", "scenario.yaml"])
        .env("TMPDIR", folder.path().join("tmp"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut draw = Draw(3);
    let mut stops = 0;
    while harness.try_wait().unwrap().is_none() {
        send(&harness, Signal::STOP);
        send(&harness, Signal::CONT);
        stops += 1;
        std::thread::sleep(Duration::from_micros(draw.below(300)));
    }
    let (status, text) = said(harness);
    assert!(status.success(), "after {stops} stops: {text}");
    assert!(stops > 200, "{stops} stops");
}
