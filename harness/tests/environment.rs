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
