//! How a command starts, or why it does not; what it reads, writes and inherits.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use assize_core::command::{Program, wait_for_writers};
use assize_core::handler::content_memfd;
use assize_core::launch::LaunchError;
use assize_core::outcome::End;
use assize_core::plan::PlanError;
use assize_core::policy::Isolation;
use assize_core::{Command, Errno, Policy, RunError, Sandbox, Stdin};

use crate::support::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn error(policy: Policy, command: Command) -> RunError {
    Sandbox::new(policy, command).run_blocking().expect_err("it ran")
}

fn exec_error(policy: Policy, command: Command, wanted: Errno) -> String {
    let error = error(policy, command);
    let text = error.to_string();
    match error {
        RunError::Launch(LaunchError::Exec { errno, .. }) => assert_eq!(errno, wanted, "{text}"),
        other => panic!("{other:?}"),
    }
    text
}

fn both() -> [Policy; 2] {
    [Isolation::Auto, Isolation::Off].map(|isolation| Policy { isolation, ..policy() })
}

fn file(folder: &Path, name: &str, content: &str, mode: u32) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    wait_for_writers(&path, PATIENCE).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn who_has_a_program_open_to_write_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let program = file(folder.path(), "program", "#!/bin/sh\n", 0o755);
    let writer = std::fs::File::options().append(true).open(&program).unwrap();
    let busy = wait_for_writers(&program, Duration::ZERO).unwrap_err();
    assert_eq!(busy.kind(), std::io::ErrorKind::ExecutableFileBusy);
    let closed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            closed.store(true, Ordering::SeqCst);
            drop(writer);
        });
        wait_for_writers(&program, PATIENCE).unwrap();
        assert!(closed.load(Ordering::SeqCst));
    });
    let gone = wait_for_writers(&folder.path().join("gone"), PATIENCE).unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_program_that_cannot_be_executed_says_which_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for mut policy in both() {
        let not_granted = policy.clone();
        policy.fs.read.push(folder.into());
        for name in ["/no/such/program", "no-such-program-anywhere", "", "/etc/passwd/x"] {
            let wanted = if name.ends_with("/x") { Errno::ENOTDIR } else { Errno::ENOENT };
            let text = exec_error(policy.clone(), Command::new(name), wanted);
            assert!(text.contains(name) && text.contains(&wanted.to_string()), "{text}");
        }
        let plain = file(folder, "plain", "#!/bin/sh\n", 0o644);
        let text = exec_error(policy.clone(), Command::new(&plain), Errno::EACCES);
        assert!(text.contains("plain") && text.contains("EACCES"), "{text}");
        exec_error(policy.clone(), Command::new(folder), Errno::EACCES);
        let lost = file(folder, "lost", "#!/no/such/interpreter\n", 0o755);
        let text = exec_error(policy.clone(), Command::new(lost), Errno::ENOENT);
        assert!(text.contains("interpreter"), "{text}");
        let text_file = file(folder, "text", "no program\n", 0o755);
        exec_error(policy.clone(), Command::new(text_file), Errno::ENOEXEC);
        let good = file(folder, "good", "#!/bin/sh\nexit 4\n", 0o755);
        let text = exec_error(not_granted, Command::new(&good), Errno::EACCES);
        assert!(text.contains("grant"), "{text}");
        exited(&Sandbox::new(policy.clone(), Command::new(&good)).run_blocking().unwrap(), 4);
        let long = Command::new(&good).args(["x".repeat(200 << 10)]);
        exec_error(policy, long, Errno::E2BIG);
    }
}

#[test]
fn a_program_without_a_slash_is_looked_for_in_the_policys_path() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "here", "#!/bin/sh\nexit 5\n", 0o755);
    let mut policy = policy();
    policy.fs.read.push(folder.path().into());
    exec_error(policy.clone(), Command::new("here"), Errno::ENOENT);
    let path = format!("/no/such:{}", folder.path().display());
    policy.env.insert("PATH".into(), path.into());
    exited(&Sandbox::new(policy, Command::new("here")).run_blocking().unwrap(), 5);
}

#[test]
fn a_folder_that_cannot_be_entered_says_which_and_why() {
    for (folder, wanted) in [("/no/such/folder", Errno::ENOENT), ("/etc/passwd", Errno::ENOTDIR)] {
        let error = error(policy(), sh("exit 0").cwd(folder));
        assert!(error.to_string().contains(folder), "{error}");
        match error {
            RunError::Launch(LaunchError::Folder { errno, .. }) => assert_eq!(errno, wanted),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_zero_byte_says_where_it_is() {
    let mut with_variable = policy();
    with_variable.env.insert("NAME".into(), "a\0b".into());
    for (policy, command, wanted) in [
        (policy(), sh("x").args(["a\0b"]), "an argument"),
        (policy(), Command::new("/bin/s\0h"), "the program's name"),
        (policy(), Command::new("s\0h"), "the program's name"),
        (with_variable, sh("x"), "a variable of the environment"),
    ] {
        let error = error(policy, command);
        assert!(error.to_string().contains(wanted), "{error}");
        assert!(matches!(error, RunError::Launch(LaunchError::Zero { .. })), "{error:?}");
    }
}

#[test]
fn a_granted_path_that_does_not_exist_says_which() {
    let missing = Path::new("/no/such/grant");
    for which in ["read", "write", "exec"] {
        let mut policy = policy();
        match which {
            "read" => policy.fs.read.push(missing.into()),
            "write" => policy.fs.write.push(missing.into()),
            _ => policy.fs.exec = Some(vec![missing.into()]),
        }
        let error = error(policy, sh("exit 0"));
        let text = error.to_string();
        assert!(matches!(error, RunError::Plan(PlanError::Landlock(_))), "{error:?}");
        assert!(text.contains("/no/such/grant") && text.contains(which) && text.contains("ENOENT"), "{text}");
    }
    // What is denied need not exist.
    let mut policy = policy();
    policy.fs.deny.push(missing.into());
    exited(&Sandbox::new(policy, sh("exit 0")).run_blocking().unwrap(), 0);
}

#[test]
fn a_policy_that_contradicts_itself_is_refused() {
    let mut both = policy();
    let socket = assize_core::Syscall::named("socket").unwrap();
    both.syscalls.deny.insert(socket);
    both.syscalls.allow.insert(socket);
    assert!(error(both, sh("x")).to_string().contains("socket"));
    let mut unknown = policy();
    unknown.without.insert("nonsense".into());
    let text = error(unknown, sh("x")).to_string();
    assert!(text.contains("nonsense") && text.contains("guard"), "{text}");
}

#[test]
fn much_goes_in_and_comes_out() {
    let bytes: Vec<u8> =
        (0..3_000_000_u32).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let command = Command::new("/bin/cat").stdin(Stdin::Bytes(bytes.clone()));
    let outcome = Sandbox::new(policy(), command).run_blocking().unwrap();
    exited(&outcome, 0);
    assert!(outcome.stdout == bytes, "{} of {} bytes", outcome.stdout.len(), bytes.len());
}

#[test]
fn both_outputs_are_taken_at_once() {
    let script = "import os\n\
                  for _ in range(64):\n\
                  \x20   os.write(1, b'o' * 40000)\n\
                  \x20   os.write(2, b'e' * 40000)";
    let outcome = Sandbox::new(policy(), python(script)).run_blocking().unwrap();
    exited(&outcome, 0);
    assert!(outcome.stdout == vec![b'o'; 64 * 40000] && outcome.stderr == vec![b'e'; 64 * 40000]);
}

#[test]
fn a_guest_need_not_read_what_it_is_fed() {
    for script in ["exec <&-; echo done", "head -c 5 > /dev/null; echo done", "echo done"] {
        let command = sh(script).stdin(Stdin::Bytes(vec![b'x'; 2 << 20]));
        let outcome = Sandbox::new(policy(), command).run_blocking().unwrap();
        exited(&outcome, 0);
        assert_eq!(stdout(&outcome), "done\n", "{script}");
    }
}

#[test]
fn a_guest_without_input_reads_nothing() {
    for stdin in [Stdin::Null, Stdin::Bytes(Vec::new())] {
        let outcome = Sandbox::new(policy(), Command::new("/usr/bin/wc").args(["-c"]).stdin(stdin))
            .run_blocking()
            .unwrap();
        assert_eq!(stdout(&outcome), "0\n");
    }
}

#[test]
fn output_without_end_does_not_outlast_the_time_limit() {
    let since = Instant::now();
    // Endless, but slower than what is captured at most.
    let outcome = Sandbox::new(within(300, policy()), sh("while :; do echo y; done")).run_blocking().unwrap();
    assert_eq!(outcome.end, End::TimedOut(Duration::from_millis(300)));
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
    assert!(!outcome.stdout.is_empty());
}

#[test]
fn a_daemon_that_keeps_the_output_open_delays_nobody() {
    for mut policy in both() {
        policy.limits.timeout = Some(Duration::from_secs(90));
        let since = Instant::now();
        let outcome = Sandbox::new(policy, sh("setsid sleep 60 & echo done")).run_blocking().unwrap();
        exited(&outcome, 0);
        assert_eq!(stdout(&outcome), "done\n");
        assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
    }
}

/// Lists its own descriptors.
const LIST: &str = "import os\n\
    for fd in sorted(os.listdir('/proc/self/fd'), key=int):\n\
    \x20   try: print(fd, os.readlink('/proc/self/fd/' + fd).split(':')[0])\n\
    \x20   except OSError: pass";

#[test]
fn a_guest_inherits_no_descriptor_that_was_not_declared() {
    // One that would be inherited by any program that this process starts.
    let stray = std::fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
    for policy in both() {
        let outcome = Sandbox::new(policy, python(LIST)).run_blocking().unwrap();
        exited(&outcome, 0);
        assert_eq!(stdout(&outcome), "0 /dev/null\n1 pipe\n2 pipe\n");
    }
}

#[test]
fn declared_descriptors_come_as_three_and_on() {
    let mut command = python(LIST);
    for text in ["first", "second"] {
        command.inherit.push(content_memfd(text.as_bytes()).unwrap());
    }
    let outcome = Sandbox::new(policy(), command).run_blocking().unwrap();
    exited(&outcome, 0);
    let wanted = "0 /dev/null\n1 pipe\n2 pipe\n3 /memfd\n4 /memfd\n";
    assert_eq!(stdout(&outcome), wanted);
    let mut command = sh("cat <&3; cat <&4");
    for text in ["first", "second"] {
        command.inherit.push(content_memfd(text.as_bytes()).unwrap());
    }
    let outcome = Sandbox::new(policy(), command).run_blocking().unwrap();
    assert_eq!(stdout(&outcome), "firstsecond");
}

#[test]
fn many_descriptors_can_be_declared() {
    let mut command = python("import os; print(os.read(202, 9))");
    for nth in 0..200 {
        command.inherit.push(content_memfd(format!("{nth}").as_bytes()).unwrap());
    }
    let outcome = Sandbox::new(policy(), command).run_blocking().unwrap();
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "b'199'\n");
}

#[test]
fn a_program_may_be_a_descriptor() {
    let image: OwnedFd = std::fs::File::open("/bin/echo").unwrap().into();
    let mut command = Command::new("").args(["by", "descriptor"]);
    command.program = Program::Image { image, name: "called".into() };
    let outcome = Sandbox::new(policy(), command).run_blocking().unwrap();
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "by descriptor\n");
}

#[test]
fn a_guest_has_the_policys_environment_and_no_other() {
    let mut policy = policy();
    policy.env.clear();
    let outcome = Sandbox::new(policy.clone(), Command::new("/usr/bin/env")).run_blocking().unwrap();
    assert_eq!(stdout(&outcome), "");
    policy.env.insert("NAME".into(), "value with = and spaces".into());
    let outcome = Sandbox::new(policy, Command::new("/usr/bin/env")).run_blocking().unwrap();
    assert_eq!(stdout(&outcome), "NAME=value with = and spaces\n");
}

#[test]
fn a_guest_starts_in_its_folder_with_default_signals_and_no_privilege() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "pwd; umask; grep -E '^(SigBlk|SigIgn|CapEff|CapPrm|CapBnd|CapAmb|NoNewPrivs):' /proc/self/status";
    let outcome = Sandbox::new(policy(), sh(script).cwd(folder.path())).run_blocking().unwrap();
    let zero = "0000000000000000";
    let text = stdout(&outcome);
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("CapBnd")).collect();
    let wanted = [
        folder.path().to_str().unwrap().to_owned(),
        "0022".to_owned(),
        format!("SigBlk:\t{zero}"),
        format!("SigIgn:\t{zero}"),
        format!("CapPrm:\t{zero}"),
        format!("CapEff:\t{zero}"),
        format!("CapAmb:\t{zero}"),
        "NoNewPrivs:\t1".to_owned(),
    ];
    assert_eq!(lines, wanted);
}

/// Without a user namespace, and with nothing that is performed on its behalf.
#[test]
fn no_guest_takes_hold_of_the_supervisor_or_of_init() {
    let attack = "import os\n\
        def parent(pid): return open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1]\n\
        def opens(pid, file, flags):\n\
        \x20   try: os.close(os.open(f'/proc/{pid}/{file}', flags)); return True\n\
        \x20   except OSError: return False\n\
        init = parent('self')\n\
        for pid in [init, *os.listdir(f'/proc/{parent(init)}/task')]:\n\
        \x20   for file, flags in ('mem', os.O_RDWR), ('mem', os.O_RDONLY), ('environ', os.O_RDONLY):\n\
        \x20       if opens(pid, file, flags): print(pid, file)\n\
        print(opens('self', 'mem', os.O_RDWR))";
    for isolation in [Isolation::Off, Isolation::Auto] {
        let mut policy = policy();
        policy.fs.write.push("/proc".into());
        policy.isolation = isolation;
        let outcome = handled(policy, python(attack), Vec::new());
        exited(&outcome, 0);
        assert_eq!(stdout(&outcome), "True\n");
    }
}

#[test]
fn who_writes_without_end_ends_the_run_and_not_the_supervisor() {
    for script in ["yes", "yes >&2", "(setsid yes &); sleep 60", "head -c 300M /dev/zero"] {
        let since = Instant::now();
        let mut policy = policy();
        policy.fs.read.push("/dev/zero".into());
        let error = error(policy, sh(script));
        assert!(matches!(error, RunError::Output { limit: 0x1000_0000 }), "{error}");
        assert!(since.elapsed() < Duration::from_secs(40));
    }
}

/// A program that belongs to somebody else and has the set-user-ID bit: root makes it, whoever else finds one of root's.
fn of_somebody_else(folder: &Path) -> Option<std::path::PathBuf> {
    if rustix::process::geteuid().is_root() {
        const SOMEBODY: u32 = 12345;
        let path = folder.join("program");
        std::fs::copy("/usr/bin/id", &path).unwrap();
        wait_for_writers(&path, PATIENCE).unwrap();
        std::os::unix::fs::chown(&path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o6755)).unwrap();
        return Some(path);
    }
    let of_roots = |path: &std::path::PathBuf| {
        let found = std::fs::metadata(path);
        found.is_ok_and(|found| found.uid() == 0 && found.permissions().mode() & 0o4000 != 0)
    };
    ["gpasswd", "passwd", "chsh", "umount"]
        .map(|name| Path::new("/usr/bin").join(name))
        .into_iter()
        .find(of_roots)
}

/// Without the sandbox such a program gains what it is for: otherwise this host, or what these tests were started in, shows nothing.
#[test]
fn nobody_gains_by_a_program_of_somebody_elses() {
    // Who has ended, and was not waited for, still has its numbers.
    const GAINED: &str = "import os, subprocess, sys\n\
        null = subprocess.DEVNULL\n\
        program = subprocess.Popen(sys.argv[1:], stdin=null, stdout=null, stderr=null)\n\
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)\n\
        lines = open(f'/proc/{program.pid}/status').read().splitlines()\n\
        effective = [int(line.split()[2]) for line in lines if line.startswith(('Uid:', 'Gid:'))]\n\
        print('nothing' if effective == [os.getuid(), os.getgid()] else 'another user')";
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = of_somebody_else(folder.path()) else {
        eprintln!("ignored: no program here belongs to somebody else and has the set-user-ID bit");
        return;
    };
    let bare = std::process::Command::new("/usr/bin/python3")
        .args(["-I", "-S", "-c", GAINED])
        .arg(&program)
        .output();
    if bare.unwrap().stdout != b"another user\n" {
        eprintln!("ignored: {} gains nothing without the sandbox either", program.display());
        return;
    }
    // In a user namespace whoever isn't mapped gives nothing anyway, and the host's /proc has other numbers.
    let mut policy = Policy { isolation: Isolation::Off, ..policy() };
    policy.fs.read.push(folder.path().into());
    let outcome = Sandbox::new(policy, python(GAINED).args([&program])).run_blocking().unwrap();
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "nothing\n", "{}", program.display());
}
