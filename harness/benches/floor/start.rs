//! What a start and an end cost, above a bare command's.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use assize_core::policy::Isolation;
use assize_core::syscall::Sysno;
use assize_core::{Policy, Sandbox, Syscall, floor};

use crate::measure::{Row, Table, Target, milliseconds};

const ROUNDS: usize = 200;

/// May read and execute the system's programs.
pub(crate) fn system() -> Policy {
    let mut policy = Policy::default();
    for path in ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc"] {
        if Path::new(path).exists() {
            policy.fs.read.push(path.into());
        }
    }
    policy.fs.write.push("/dev/null".into());
    policy
}

/// What a program without needs makes, and this bench's guests: everything else can be denied.
const NEEDED: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "close",
    "execve",
    "exit",
    "exit_group",
    "fstat",
    "futex",
    "getppid",
    "getrandom",
    "gettid",
    "ioctl",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "newfstatat",
    "openat",
    "poll",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_getaffinity",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "statx",
    "write",
    "clock_gettime",
];

/// As large as a policy gets: every call denied that isn't needed, and two hundred grants.
pub(crate) fn largest() -> Policy {
    let mut policy = system();
    let deniable = Syscall::all().filter(|call| call.is_filtered());
    policy.syscalls.deny = deniable.filter(|call| !NEEDED.contains(&call.name())).collect();
    let programs = std::fs::read_dir("/usr/bin").unwrap().flatten();
    policy.fs.read.extend(programs.map(|entry| entry.path()).filter(|path| path.exists()).take(200));
    policy
}

/// A static ELF program of a hundred bytes, which ends at once.
fn no_op(folder: &Path) -> std::path::PathBuf {
    const BASE: u64 = 0x40_0000;
    // mov edi, 0; mov eax, 60 (exit); syscall
    let code = [0xbf, 0, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |elf: &mut Vec<u8>, value: u16| elf.extend(value.to_le_bytes());
    let word = |elf: &mut Vec<u8>, value: u32| elf.extend(value.to_le_bytes());
    let long = |elf: &mut Vec<u8>, value: u64| elf.extend(value.to_le_bytes());
    half(&mut elf, 2);
    half(&mut elf, 62);
    word(&mut elf, 1);
    long(&mut elf, BASE + 120);
    long(&mut elf, 64);
    long(&mut elf, 0);
    word(&mut elf, 0);
    for value in [64, 56, 1, 0, 0, 0] {
        half(&mut elf, value);
    }
    word(&mut elf, 1);
    word(&mut elf, 5);
    for value in [0, BASE, BASE, 120 + code.len() as u64, 120 + code.len() as u64, 4096] {
        long(&mut elf, value);
    }
    elf.extend(code);
    let path = folder.join("no-op");
    std::fs::write(&path, elf).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn bare(program: &Path) -> f64 {
    milliseconds(|| {
        let output = Command::new(program).env_clear().stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success());
    })
}

/// A thread in a Landlock domain, a filter with a listener, and the program: no namespaces, no init, nothing captured but
/// what it writes.
fn raw(program: &Path, policy: &Policy) -> f64 {
    let mut command = Command::new(program);
    command.env_clear();
    milliseconds(|| {
        assert!(
            floor::run(command, &[(Sysno::getrandom, floor::Answer::Fill)], &policy.fs).unwrap().is_empty()
        );
    })
}

fn unisolated(program: &Path, policy: &Policy) -> f64 {
    boxed(program, &Policy { isolation: Isolation::Off, ..policy.clone() })
}

fn boxed(program: &Path, policy: &Policy) -> f64 {
    let policy = policy.clone();
    let command = assize_core::Command::new(program);
    milliseconds(|| {
        let outcome = Sandbox::new(policy, command).run_blocking().unwrap();
        assert!(outcome.stdout.is_empty() && outcome.stderr.is_empty(), "{outcome:?}");
    })
}

pub(crate) fn rows(table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let no_op = no_op(folder.path());
    let with = |mut policy: Policy| {
        policy.fs.read.push(folder.path().to_owned());
        policy
    };
    let followed = Policy { seed: Some(42), hostname: Some("box".to_owned()), ..system() };
    let programs = [("a static no-op", no_op.as_path(), 0.25), ("/bin/true", Path::new("/bin/true"), 0.4)];
    let policies = [
        ("minimal policy", with(system()), true),
        ("largest policy", with(largest()), true),
        ("with a seed and a host name", with(followed), false),
    ];
    for (what, program, most) in programs {
        for (name, policy, promised) in &policies {
            table.row(Row {
                name: &format!("start and end of {what}, {name}"),
                unit: "ms",
                rounds: ROUNDS,
                ways: vec![
                    ("floor", Box::new(move || raw(program, policy))),
                    ("without isolation", Box::new(move || unisolated(program, policy))),
                    ("bare", Box::new(move || bare(program))),
                    ("Assize", Box::new(move || boxed(program, policy))),
                ],
                target: if *promised { Target::More(most) } else { Target::None },
            });
        }
    }
}
