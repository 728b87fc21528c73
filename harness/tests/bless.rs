//! `assize bless`, as a person calls it: real runs, real files.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

fn assize_with(folder: &Path, args: &[&str], ci: bool) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
    command.args(args).current_dir(folder).env_remove("CI").env_remove("CARGO").env_remove("ASSIZE_SHARD");
    if ci {
        command.env("CI", "true");
    }
    command.output().unwrap()
}

fn bless(folder: &Path, args: &[&str]) -> (i32, String) {
    let out = assize_with(folder, &[&["bless"], args].concat(), false);
    (out.status.code().unwrap(), said(&out))
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.yaml"), text).unwrap();
    folder
}

fn text(folder: &Path) -> String {
    fs::read_to_string(folder.join("s.yaml")).unwrap()
}

/// What becomes of a file that is blessed. It then passes, and there is nothing more to bless.
fn becomes(before: &str, after: &str) {
    let folder = folder(before);
    let (code, said) = bless(folder.path(), &["s.yaml"]);
    assert_eq!((code, text(folder.path()).as_str()), (0, after), "{said}");
    let run = assize_with(folder.path(), &["run", "s.yaml"], false);
    assert_eq!(run.status.code(), Some(0), "{}", self::said(&run));
    let (code, said) = bless(folder.path(), &["s.yaml"]);
    assert_eq!((code, text(folder.path()).as_str()), (1, after), "{said}");
    let all = ["1 scenario is", "2 scenarios are"].map(|all| format!("nothing to bless: {all} as expected"));
    assert!(all.iter().any(|all| said.contains(all)), "{said}");
}

/// A file that is refused stays as it is; what is said of it.
fn refused(before: &str) -> String {
    let folder = folder(before);
    let (code, said) = bless(folder.path(), &["s.yaml"]);
    assert_eq!((code, text(folder.path()).as_str()), (1, before), "{said}");
    assert!(said.contains("not blessed: "), "{said}");
    said
}

#[test]
fn values_change_and_nothing_else_does() {
    let before = "# grün\r\nabout: 'it''s' # ä\r\nrun: [sh, -c, \"echo two; echo took 7 ms; echo '[..]'; echo end; echo err >&2; exit 3\"]\r\nexpect:\r\n  \
                  exit: 0   # code\r\n  stdout: |  # of it\r\n    one\r\n    took [..] ms\r\n    ...\r\n    end\r\n\r\n  stderr: 'old'  # 😀\r\n";
    becomes(
        before,
        &before.replace("exit: 0 ", "exit: 3 ").replace("    one", "    two").replace("'old'", "'err'"),
    );
    let before = "shell: echo $((1 + 1)) > out; printf 'a\\n\\nb' > two; chmod 600 out\nexpect: { files: { out: { equals: \"1\\n\", mode: 0644 }, two: a } }\n";
    becomes(
        before,
        &before
            .replace("\"1\\n\"", "\"2\\n\"")
            .replace("0644", "0600")
            .replace("two: a ", "two: \"a\\n\\nb\" "),
    );
}

#[test]
fn what_is_captured_and_named_stays() {
    let before = "shell: |\n  echo id 77\n  echo now 77\n  echo new\nredact: { ID: \"[0-9]+\" }\nexpect:\n  stdout: |\n    id [X=ID]\n    now [X]\n    old\n";
    becomes(before, &before.replace("    old\n", "    new\n"));
}

#[test]
fn verdicts_are_brought_to_what_was_seen() {
    let head = "policy: { fs: { read: [$SYSTEM], write: [$WORK], deny: [/etc/shadow, /etc/gshadow] } }\nshell: cat /etc/shadow; cat /etc/gshadow; true\n";
    let before = format!(
        "{head}expect:\n  verdicts:\n    sees:\n      - {{ call: openat, path: /etc/shadow, verdict: deny, errno: EPERM, times: 3 }}  # c\n    \
         exhaustive: deny   # all\n"
    );
    let after = before.replace("EPERM, times: 3", "EACCES, times: 1").replace(
        "    exhaustive",
        "      - { call: openat, path: /etc/gshadow, verdict: deny, errno: EACCES, by: fs }\n    exhaustive",
    );
    becomes(&before, &after);
    let before = "attempt:\n  - { call: openat, path: /no/such, flags: O_RDONLY, expect: allow }   # a\n  - { call: chdir, path: /no/such, expect: EPERM }\n";
    let denied =
        "policy: { syscalls: { deny: [getppid] } }\nattempt:\n  - { call: getppid, expect: deny EACCES }\n";
    becomes(denied, &denied.replace("EACCES", "EPERM"));
    becomes(before, &before.replacen("allow", "ENOENT", 1).replace("EPERM", "ENOENT"));
}

#[test]
fn what_is_not_the_same_twice_is_refused() {
    let said = refused("run: [od, -An, -tx8, -N8, /dev/urandom]\nexpect:\n  stdout: none\n");
    assert!(
        said.contains("it is not the same in two runs") && said.contains("difference (- run 1, + run 2)"),
        "{said}"
    );
}

#[test]
fn a_promise_is_left_to_a_person() {
    for (text, says) in [
        ("run: [echo, hi]\nexpect: { stdout: { contains: ho } }\n", "can't be told from what was seen"),
        ("run: [echo, hi]\nexpect: { stdout: { matches: ho } }\n", "can't be told from what was seen"),
        ("run: [\"true\"]\nexpect: { files: { out: x } }\n", "out is not there"),
        ("run: [\"true\"]\nexpect: { takes: \"> 9s\" }\n", "the run took"),
        ("run: [\"true\"]\nexpect: { peak: { processes: 7 } }\n", "no more than 1 process lived at once"),
        ("run: [\"true\"]\nexpect: { peak: { memory: < 8 KiB } }\n", "of memory"),
        ("run: [\"false\"]\nexpect: { stdout: \"\" }\n", "`exit: 1` would have to be added"),
        ("run: [\"false\"]\nexpect: { exit: [0, 2] }\n", "several ends would do"),
        (
            "run: [sleep, \"9\"]\npolicy: { limits: { timeout: 50ms } }\nexpect: { exit: 0 }\n",
            "did not end by itself",
        ),
        ("run: [/no/such/program]\nexpect: { exit: 0 }\n", "can't be run"),
        (
            "shell: cat /dev/null\nexpect: { verdicts: { never: [{ call: family(open), path: /dev/null }] } }\n",
            "must never be",
        ),
        ("run: [printf, '\\377']\nexpect: { stdout: x }\n", "is no text"),
        (
            "run: [\"true\"]\nexpect: { verdicts: { sees: [{ call: mount, verdict: deny }] } }\n",
            "no such call was made",
        ),
    ] {
        let said = refused(text);
        assert!(said.contains(says), "{text}{said}");
    }
    let said = refused("run: [echo, hi]\nexpect: { stdout: { contains: ho } }\n");
    assert!(said.contains("= stdout:\n") && said.contains(" hi\n"), "{said}");
}

#[test]
fn what_is_dangerous_is_taken_only_where_it_is_asked_for() {
    let text_of = "shell: kill -9 $$\nexpect: { exit: 0 }\n";
    assert!(refused(text_of).contains("killed by SIGKILL"));
    let folder = folder(text_of);
    assert_eq!(bless(folder.path(), &["s.yaml", "--also", "signal"]).0, 0);
    assert_eq!(text(folder.path()), text_of.replace("exit: 0", "exit: SIGKILL"));
    let text_of = "attempt:\n  - { call: getppid, expect: deny }\n";
    assert!(refused(text_of).contains("a denial or an answer was wanted"));
    fs::write(folder.path().join("s.yaml"), text_of).unwrap();
    assert_eq!(bless(folder.path(), &["s.yaml", "--also", "allowed"]).0, 0);
    assert_eq!(text(folder.path()), text_of.replace("deny", "allow"));
    // So is one that was to fail, whoever has it fail.
    for (text_of, taken) in [
        ("attempt:\n  - { call: openat, path: /etc/hostname, flags: O_RDONLY, expect: EACCES }\n", "allow"),
        (
            "run: [cat, /etc/passwd]\nexpect: { verdicts: { sees: [{ call: openat, path: /etc/passwd, result: EACCES }] } }\n",
            "3",
        ),
    ] {
        let said = refused(text_of);
        assert!(said.contains("--also allowed"), "{said}");
        fs::write(folder.path().join("s.yaml"), text_of).unwrap();
        assert_eq!(bless(folder.path(), &["s.yaml", "--also", "allowed"]).0, 0, "{text_of}");
        assert_eq!(text(folder.path()), text_of.replace("EACCES", taken));
    }
}

#[test]
fn what_several_share_changes_if_all_agree() {
    let each = "each: { n: [1, 2] }\nrun: [sh, -c, \"test $n -gt 0; echo new\"]\nexpect: { stdout: old }\n";
    becomes(each, &each.replace("stdout: old", "stdout: new"));
    // One cell alone brings the others along.
    let one = folder(each);
    assert_eq!(bless(one.path(), &["s.yaml", "--exact", "s.yaml::s[n=1]"]).0, 0);
    assert_eq!(text(one.path()), each.replace("stdout: old", "stdout: new"));
    for (text, says) in [
        (each.replace("echo new", "echo $n"), "do not agree"),
        // What they agree on is not to blame.
        (
            "each: { w: [one, two] }\nrun: [echo, $w]\nexpect:\n  exit: 1\n  stdout: x\n".to_owned(),
            "5 |   stdout: x",
        ),
        (each.replace("stdout: old", "stdout: of $n"), "takes in the axis `n`"),
        ("run: [echo, x]\nexpect: { stdout: &a y, stderr: *a }\n".to_owned(), "an alias elsewhere"),
        ("run: [echo, x]\nstdin: &a y\nexpect: { stdout: *a }\n".to_owned(), "is an alias"),
    ] {
        let said = refused(&text);
        assert!(said.contains(says), "{text}{said}");
    }
    let shared = folder("extends: _shared.yaml\nrun: [echo, x]\n");
    fs::write(shared.path().join("_shared.yaml"), "expect: { stdout: y }\n").unwrap();
    let (code, said) = bless(shared.path(), &["s.yaml"]);
    assert!(
        code == 1 && said.contains("_shared.yaml:1") && said.contains("comes from what it extends"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(shared.path().join("_shared.yaml")).unwrap(), "expect: { stdout: y }\n");
}

#[test]
fn one_that_is_refused_keeps_no_other_from_it() {
    let before = "name: a\nrun: [echo, x]\nexpect: { stdout: y }\n---\nname: b\nrun: [echo, x]\nexpect: { stdout: { contains: y } }\n---\nname: c\nrun: [echo, z]\nexpect: { stdout: y }\n";
    let folder = folder(before);
    let (code, said) = bless(folder.path(), &["s.yaml"]);
    let after = before.replacen("stdout: y }", "stdout: x }", 1).replacen("stdout: y }", "stdout: z }", 1);
    assert_eq!((code, text(folder.path())), (1, after), "{said}");
}

#[test]
fn what_is_only_told_is_not_written() {
    let before = "run: [echo, x]\nexpect: { stdout: y }\n";
    let folder = folder(before);
    let (code, said) = bless(folder.path(), &["s.yaml", "--check"]);
    assert!(code == 1 && said.contains("-expect: { stdout: y }\n+expect: { stdout: x }"), "{said}");
    assert_eq!(text(folder.path()), before);
    let out = assize_with(folder.path(), &["bless", "s.yaml"], true);
    assert!(out.status.code() == Some(1) && self::said(&out).contains("where CI is set"));
    assert_eq!(text(folder.path()), before);
    assert_eq!(bless(folder.path(), &["s.yaml"]).0, 0);
    assert_eq!(bless(folder.path(), &["s.yaml", "--check"]).0, 0);
}

#[test]
fn a_file_is_replaced_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real.txt"), folder.path().join("s.yaml"));
    fs::write(&real, "\u{feff}run: [echo, x]\nexpect: { stdout: y }\n").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.txt", &link).unwrap();
    let (code, said) = bless(folder.path(), &["s.yaml"]);
    assert_eq!(code, 0, "{said}");
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "\u{feff}run: [echo, x]\nexpect: { stdout: x }\n");
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    fs::write(&real, "run: [echo, x]\nexpect: { stdout: y }\n").unwrap();
    fs::hard_link(&real, folder.path().join("other")).unwrap();
    let (code, said) = bless(folder.path(), &["s.yaml"]);
    assert!(code == 1 && said.contains("has other names"), "{said}");
}

#[test]
fn a_failure_says_how_to_accept_it_where_that_can_be() {
    let report = |text: &str| said(&assize_with(folder(text).path(), &["run", "s.yaml"], false));
    // One cell of a sweep has no values of its own.
    let swept = folder("each: { w: [a, b] }\nrun: [echo, $w]\nsweep: { calls: [openat], errno: [EIO] }\n");
    let (status, told) =
        bless(swept.path(), &["--check", "s.yaml", "--exact", "s.yaml::s[w=a,openat#1=EIO]"]);
    assert!(status == 2 && told.contains("those of `s.yaml::s[w=a]`"), "{status} {told}");
    let said = report("run: [echo, x]\nexpect: { stdout: y }\n");
    assert!(said.contains("= to accept it: assize bless s.yaml --exact 's.yaml::s'\n"), "{said}");
    for text in
        ["run: [echo, x]\nexpect: { stdout: { contains: y } }\n", "shell: kill -9 $$\nexpect: { exit: 0 }\n"]
    {
        assert!(!report(text).contains("to accept it"), "{text}");
    }
}
