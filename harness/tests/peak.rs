//! `expect.peak`: that it fails, where, and what is said then.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Whether `assize run` is content with this file, and what it says.
fn run(files: &[(&str, &str)], args: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    in_folder(folder.path(), args)
}

fn in_folder(folder: &Path, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
    command.args(["run", "s.yaml"]).args(args).current_dir(folder);
    command.env("CARGO_TARGET_DIR", folder.join("target")).env_remove("CARGO").env_remove("ASSIZE_SHARD");
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.success(), said)
}

/// Fails, and says this.
fn fails(text: &str, says: &[&str]) {
    let (passed, said) = run(&[("s.yaml", text)], &[]);
    assert!(!passed, "{text}\n{said}");
    for part in says {
        assert!(said.contains(part), "{part}\n{text}\n{said}");
    }
}

/// What takes 48 MiB at once.
const DD: &str = "dd if=/dev/zero of=/dev/null bs=48M count=1 status=none";

#[test]
fn a_broken_bound_is_shown_where_it_stands() {
    fails(
        &format!("shell: {DD} & wait\nexpect:\n  peak:\n    memory: < 48 MiB\n    processes: 1\n"),
        &["--> s.yaml:4:5", "--> s.yaml:5:5", "2 processes lived at once", "seen: /0/0, which ran ", "/dd\n"],
    );
    fails(&format!("run: [sh, -c, exec {DD}]\nexpect: {{ peak: {{ memory: < 48 MiB }} }}\n"), &["of memory"]);
    fails("run: [\"true\"]\nexpect: { peak: { processes: 2 } }\n", &["no more than 1 process lived"]);
    fails("run: [\"true\"]\nexpect: { peak: { memory: \">= 1 GiB\" } }\n", &["a process had "]);
}

#[test]
fn each_run_of_several_must_keep_it() {
    // Outside of the work folder it is remembered that there was a run.
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    fs::create_dir(&seen).unwrap();
    let text = format!(
        "repeat: 2\npolicy: {{ fs: {{ read: [$SYSTEM, {seen}], write: [$WORK, {seen}] }} }}\n\
         shell: if test -e {seen}/one; then sleep 0 & fi; echo > {seen}/one; wait\n\
         expect: {{ peak: {{ processes: 1 }} }}\n",
        seen = seen.display()
    );
    fs::write(folder.path().join("s.yaml"), text).unwrap();
    let (passed, said) = in_folder(folder.path(), &[]);
    assert!(!passed && said.contains("2 processes lived at once"), "{said}");
}

#[test]
fn it_may_be_shared_and_laid_out_in_cells() {
    let shared = "expect: { peak: { processes: \"<= $n\", memory: < 1 GiB } }\n";
    let own = "extends: _part.yaml\neach: { n: [1, 2] }\nshell: sleep 0 & wait\n";
    let (passed, said) = run(&[("s.yaml", own), ("_part.yaml", shared)], &[]);
    assert!(!passed && said.contains("1 passed; 1 failed"), "{said}");
    assert!(said.contains("--> _part.yaml:1:19") && said.contains("s[n=1] ... FAILED"), "{said}");
}

#[test]
fn a_sweep_has_one_of_its_own() {
    let text = "shell: cat in > /dev/null || sleep 0 & wait\nfiles: { in: x }\n\
                sweep: { calls: [openat], path: \"*/in\", errno: [EIO], expect: { stderr: { contains: in }, peak: { processes: PROCESSES } } }\n";
    let (passed, said) = run(&[("s.yaml", &text.replace("PROCESSES", "3"))], &[]);
    assert!(passed, "{said}");
    fails(&text.replace("PROCESSES", "2"), &["[openat#1=EIO] 3 processes lived at once"]);
}

#[test]
fn what_is_not_measured_fails() {
    fails(
        "run: [\"true\"]\nwithout: [peak]\nexpect: { peak: { processes: 1 } }\n",
        &["how much guests had at once was not measured", "--> s.yaml:3:11"],
    );
    // One follows guests by ptrace, or they use it.
    fails(
        "run: [\"true\"]\npolicy: { syscalls: { allow: [ptrace] } }\nexpect: { peak: { processes: 1 } }\n",
        &["a peak to be measured", "ptrace"],
    );
    fails(
        "run: [\"true\"]\npolicy: { syscalls: { allow: [clone3] } }\nexpect: { peak: { processes: 1 } }\n",
        &["clone3", "no peak can be measured", "--> s.yaml:2:"],
    );
}

#[test]
fn reports_of_every_kind_have_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.yaml"), "run: [\"true\"]\nexpect: { peak: { processes: 2 } }\n").unwrap();
    let (passed, said) =
        in_folder(folder.path(), &["--json", "r.json", "--junit", "r.xml", "--html", "r.html"]);
    assert!(!passed, "{said}");
    for name in ["r.json", "r.xml", "r.html"] {
        let report = fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(report.contains("no more than 1 process lived at once"), "{name}\n{report}");
    }
}
