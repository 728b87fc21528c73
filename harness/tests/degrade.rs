//! On a host that lacks what a policy needs nothing runs: confinement never degrades in silence.
//!
//! The host is made to lack it by a filter that the command is started under.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::process::Command;

use assize_core::{Errno, Syscall};

/// Makes the calls with these numbers fail with this errno, and executes the rest of its arguments.
const LACKING: &str = "import ctypes, os, struct, sys\n\
    libc = ctypes.CDLL(None, use_errno=True)\n\
    errno, numbers = int(sys.argv[1]), [int(number) for number in sys.argv[2].split(',') if number]\n\
    code = struct.pack('HBBI', 0x20, 0, 0, 0)\n\
    for place, number in enumerate(numbers): code += struct.pack('HBBI', 0x15, len(numbers) - place, 0, number)\n\
    code += struct.pack('HBBI', 6, 0, 0, 0x7fff0000) + struct.pack('HBBI', 6, 0, 0, 0x50000 | errno)\n\
    code = ctypes.create_string_buffer(code)\n\
    program = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', len(numbers) + 3, ctypes.addressof(code)))\n\
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0\n\
    os.execv(sys.argv[3], sys.argv[3:])";

/// The exit code of `assize exec -- echo ran` there, its output, and what it says.
fn exec(errno: i32, lacking: &[&str]) -> (Option<i32>, String, String) {
    let numbers: Vec<String> =
        lacking.iter().map(|name| Syscall::named(name).unwrap().number().to_string()).collect();
    let out = Command::new("/usr/bin/python3")
        .args(["-I", "-S", "-c", LACKING, &errno.to_string(), &numbers.join(",")])
        .args([env!("CARGO_BIN_EXE_assize"), "exec", "--", "echo", "ran"])
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn nothing_runs_where_a_control_can_not_be_had() {
    assert_eq!(exec(Errno::ENOSYS.value(), &[]).1, "ran\n");
    for (errno, lacking) in [
        (Errno::ENOSYS.value(), "landlock_create_ruleset"),
        (Errno::EOPNOTSUPP.value(), "landlock_create_ruleset"),
        (Errno::EINVAL.value(), "landlock_add_rule"),
        (Errno::EPERM.value(), "landlock_restrict_self"),
        // A call that says that it was done, and was not: only the probes see that.
        (0, "seccomp"),
        (Errno::ENOSYS.value(), "seccomp"),
        (Errno::EBUSY.value(), "seccomp"),
        (Errno::ENOSYS.value(), "pidfd_getfd"),
        (Errno::EPERM.value(), "capset"),
        (Errno::EPERM.value(), "prlimit64"),
    ]
    .into_iter()
    // The command stands ready when this one fails, and must not run while it is being killed.
    .chain([(Errno::ENOSYS.value(), "pidfd_getfd"); 20])
    {
        let (code, out, said) = exec(errno, &[lacking]);
        if lacking == "prlimit64" {
            // A limit that is lower already can't be raised, and that is no failure.
            assert_eq!((code, out.as_str()), (Some(0), "ran\n"), "{said}");
            continue;
        }
        assert_eq!((code, out.as_str()), (Some(125), ""), "{errno} for {lacking}: {said}");
        assert!(said.starts_with("assize: "), "{said}");
    }
}
