//! What a caller's own limits, niceness, umask and variables leave in a run that is to be the same everywhere: nothing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

const SHOWN: &str = "ulimit -S -n; ulimit -S -s; ulimit -S -l; ulimit -H -n; nice; umask; env; trap";

/// Runs `shell`, which prepares itself and then executes `"$@"`: the command, under the policy of `--deterministic`.
fn run_by(shell: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{shell}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_assize"), "exec", "-v"])
        .args(["--deterministic", "--", "sh", "-c", SHOWN])
        .current_dir(folder.path())
        .output()
        .map(|output| Output {
            stdout: String::from_utf8(output.stdout)
                .unwrap()
                .replace(&*folder.path().to_string_lossy(), "[WORK]")
                .into_bytes(),
            ..output
        })
        .unwrap()
}

#[test]
fn a_callers_own_leave_no_trace() {
    let plain = run_by(":");
    assert!(plain.status.success(), "{plain:?}");
    // Soft limits alone: hard ones can't be raised again.
    for caller in [
        "ulimit -S -n 300",
        "ulimit -S -s 4096",
        "ulimit -S -l 8",
        "umask 077",
        "trap '' INT QUIT",
        "TZ=Europe/Berlin LC_ALL=C EDITOR=ed; export TZ LC_ALL EDITOR",
    ] {
        let other = run_by(caller);
        assert_eq!(
            String::from_utf8_lossy(&other.stdout),
            String::from_utf8_lossy(&plain.stdout),
            "{caller}: {}",
            String::from_utf8_lossy(&other.stderr)
        );
    }
}

#[test]
fn a_lower_hard_limit_is_told() {
    let lower = run_by("ulimit -n 600");
    let report = String::from_utf8_lossy(&lower.stderr);
    let seen = String::from_utf8_lossy(&lower.stdout);
    // Who may raise it has done so.
    let raised = seen.starts_with("1024\n") && report.contains("environment  proven");
    let told = seen.starts_with("600\n") && report.contains("hard limit NOFILE is 600, lower than 1024");
    assert!(raised || told, "{seen}\n{report}");
}

/// What a caller's own niceness leaves of init, whom guests see in a procfs of their own.
#[test]
fn init_is_as_nice_whoever_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "policy: { fs: { read: [$SYSTEM, /proc], write: [$WORK] } }\ndeterministic: true\n";
    std::fs::write(folder.path().join("policy.yaml"), policy).unwrap();
    let output = Command::new("nice")
        .args(["-n", "7", env!("CARGO_BIN_EXE_assize"), "exec", "-v", "--policy", "policy.yaml", "--"])
        .args(["sh", "-c", "cut -d' ' -f1,18,19 /proc/1/stat /proc/self/stat"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (seen, report) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}");
    // Who may make itself less nice has done so; and where /proc is the host's, 1 is somebody else.
    let same = seen.starts_with("1 20 0\n") && seen.ends_with(" 20 0\n");
    let told = report.contains("and setting it to 0 gave") || report.contains("pids  NOT available here");
    assert!(same || told, "{seen}\n{report}");
}

/// What a thread has from its maker, as a program that says it.
const OF_A_THREAD: &str = "
import ctypes
call = ctypes.CDLL(None, use_errno=True).syscall
mode = ctypes.c_int(-1)
call(239, ctypes.byref(mode), None, 0, None, 0)
print('ioprio', call(252, 1, 0), 'memory policy', mode.value, 'memory failure', call(157, 34, 0, 0, 0, 0))
";

/// Gives the thread an I/O priority, a memory policy and a way to end when memory fails, says what it has, and executes the
/// rest.
const OTHER_THREAD: &str = "
import ctypes, os, sys
call = ctypes.CDLL(None, use_errno=True).syscall
node = ctypes.c_ulong(1)
call(251, 1, 0, 3 << 13)
call(238, 1, ctypes.byref(node), 64)
call(157, 33, 1, 1, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
";

#[test]
fn a_callers_thread_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &[&str]| {
        let output = Command::new("python3")
            .args(["-Sc", OTHER_THREAD])
            .args(command)
            .args(["python3", "-Sc", OF_A_THREAD])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let without = run(&["env"]);
    assert!(without.starts_with("ioprio 24576 ") && without.ends_with("memory failure 1\n"), "{without}");
    let assize = env!("CARGO_BIN_EXE_assize");
    for how in [&[assize, "exec", "--"][..], &[assize, "exec", "--deterministic", "--"]] {
        assert_eq!(run(how), "ioprio 0 memory policy 0 memory failure 2\n", "{how:?}");
    }
}
