//! Whole programs, with every open observed.

use std::path::Path;
use std::process::{Command, Stdio};

use assize_core::floor::{self, Answer};
use assize_core::syscall::Sysno;
use assize_core::trace::Memory;
use assize_core::{Policy, Sandbox, Syscall};

use crate::measure::{Row, Table, Target, milliseconds};
use crate::start::system;

const ROUNDS: usize = 5;
const FILES: usize = 21;
pub(crate) const TWENTY_STARTS: &str =
    "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do python3 -c 0; done";
pub(crate) const MAKE: &str = "rm -f *.o program; make -j2";
const OPENS: [Sysno; 4] = [Sysno::open, Sysno::openat, Sysno::openat2, Sysno::creat];

fn observed(work: &Path, in_passing: bool) -> Policy {
    let mut policy = system();
    policy.fs.write.push(work.to_owned());
    policy.env.insert("PATH".into(), "/usr/bin:/bin".into());
    policy.env.insert("TMPDIR".into(), work.into());
    policy.observe.in_passing = in_passing;
    for call in OPENS {
        policy.observe.calls.insert(Syscall::of(call));
    }
    policy
}

pub(crate) fn bare(script: &str, work: &Path) -> f64 {
    milliseconds(|| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(work).env_clear().env("PATH", "/usr/bin:/bin");
        let output = command.env("TMPDIR", work).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    })
}

/// As the floor does it: each of these calls is asked about, and let run.
pub(crate) fn raw(script: &str, work: &Path, policy: &Policy, calls: &[Sysno]) -> f64 {
    let answers: Vec<_> = calls.iter().map(|call| (*call, Answer::Continue)).collect();
    milliseconds(|| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(work).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("TMPDIR", work).stderr(Stdio::null());
        floor::run(command, &answers, &policy.fs).unwrap();
    })
}

pub(crate) fn boxed(script: &str, work: &Path, policy: &Policy) -> f64 {
    let command = assize_core::Command::new("/bin/sh").args(["-c", script]).cwd(work);
    let sandbox = Sandbox::new(policy.clone(), command).trace(Memory::default());
    milliseconds(|| {
        let outcome = sandbox.run_blocking().unwrap();
        assert_eq!(outcome.report.events_lost, 0);
        let ended = assize_core::outcome::End::Exit(assize_core::trace::Exit::Code(0));
        assert_eq!(outcome.end, ended, "{}", String::from_utf8_lossy(&outcome.stderr));
    })
}

/// The cost of one program of a shell's, from two runs of different lengths: a start and its end cancel out.
pub(crate) fn each(run: impl Fn(&str) -> f64) -> f64 {
    let script = |count: u32| format!("i=0; while [ $i -lt {count} ]; do /bin/true; i=$((i+1)); done");
    let (few, many) = (20, 220);
    (run(&script(many)) - run(&script(few))) / f64::from(many - few)
}

/// A program of so many C files, and how to make it.
pub(crate) fn sources(work: &Path) {
    let mut objects = String::new();
    for nth in 0..FILES {
        let body: String = (0..40)
            .map(|f| format!("int f{nth}_{f}(int x) {{ char b[64]; snprintf(b, sizeof b, \"%d\", x); return strlen(b) * {f} + x; }}\n"))
            .collect();
        let main = if nth == 0 { "int main(void) { return f0_0(0); }\n" } else { "" };
        let text = format!(
            "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n{body}{main}"
        );
        std::fs::write(work.join(format!("part{nth}.c")), text).unwrap();
        objects.push_str(&format!(" part{nth}.o"));
    }
    std::fs::write(
        work.join("Makefile"),
        format!("all: program\nprogram:{objects}\n\tcc -o $@ $^\n%.o: %.c\n\tcc -O1 -c -o $@ $<\n"),
    )
    .unwrap();
}

pub(crate) fn rows(table: &mut Table) {
    let work = tempfile::tempdir().unwrap();
    let work = work.path().canonicalize().unwrap();
    sources(&work);
    let rows: [(&str, &str, &[&str], f64); 4] = [
        ("20 starts of python3", TWENTY_STARTS, &["/usr/bin/python3"], 1.15),
        ("find /usr/share/doc", "find /usr/share/doc > /dev/null", &["/usr/bin/find", "/usr/share/doc"], 1.5),
        (
            "grep -r over /usr/include",
            "! grep -r no-such-word-there /usr/include",
            &["/usr/bin/grep", "/usr/include"],
            1.6,
        ),
        ("make of 21 C files, -j2", MAKE, &["/usr/bin/make", "/usr/bin/cc"], 1.15),
    ];
    for (name, script, needs, most) in rows {
        if let Some(missing) = needs.iter().find(|path| !Path::new(path).exists()) {
            table.leave_out(name, &format!("there is no {missing}"));
            continue;
        }
        let work = work.as_path();
        let (passing, performed) = (&observed(work, true), &observed(work, false));
        table.row(Row {
            name: &format!("{name}, every open observed"),
            unit: "ms",
            rounds: ROUNDS,
            ways: vec![
                ("floor", Box::new(move || raw(script, work, passing, &OPENS))),
                ("with results", Box::new(move || boxed(script, work, performed))),
                ("bare", Box::new(move || bare(script, work))),
                ("Assize", Box::new(move || boxed(script, work, passing))),
            ],
            target: Target::Times(most),
        });
    }
    let mut measured = system();
    measured.observe.peak = true;
    let (measured, work) = (&measured, work.as_path());
    table.row(Row {
        name: "fork, exec and end of /bin/true in a run, its peak measured",
        unit: "ms",
        rounds: ROUNDS,
        ways: vec![
            ("bare", Box::new(move || each(|script| bare(script, work)))),
            ("Assize", Box::new(move || each(|script| boxed(script, work, measured)))),
        ],
        target: Target::None,
    });
}
