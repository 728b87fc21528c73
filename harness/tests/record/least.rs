//! What was recorded grants the least, wherever temporary folders lie, and asks the host for what it uses.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{Test, folder, granted, recorded, said, server};

pub(super) const TESTS: &[Test] = &[
    ("a_place_that_is_held_is_not_granted", Some("python3"), a_place_that_is_held_is_not_granted),
    ("a_script_that_asks_a_server", Some("curl"), a_script_that_asks_a_server),
    ("a_folder_above_is_granted_from_the_work_folder", None, a_folder_above_is_granted_from_the_work_folder),
    ("where_temporary_folders_lie_holds_no_grant", None, where_temporary_folders_lie_holds_no_grant),
    ("what_holds_all_is_granted_alone_and_said", None, what_holds_all_is_granted_alone_and_said),
    ("where_it_ran_is_not_expected", None, where_it_ran_is_not_expected),
    ("what_a_script_starts_is_needed", None, what_a_script_starts_is_needed),
    ("what_make_starts_is_needed", Some("make"), what_make_starts_is_needed),
];

/// Runs it where temporary folders lie elsewhere, and deeper.
fn passes_elsewhere(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("a/b");
    fs::create_dir_all(&temporary).unwrap();
    fs::write(folder.path().join("s.yaml"), text).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_assize"));
    run.args(["run", "--keep", "none", "s.yaml"]).current_dir(folder.path()).env("TMPDIR", &temporary);
    let out = run.output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{text}\n{}", said(&out));
}

fn needs(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("needs: ")).unwrap_or_default()
}

fn a_place_that_is_held_is_not_granted() {
    let folder = folder(&[("page.txt", "hi\n")]);
    let code = "import os; os.open('/', os.O_PATH); print(open('page.txt').read())";
    let text = recorded(folder.path(), &[], &["python3", "-c", code]);
    assert_eq!((granted(&text, "read"), granted(&text, "write")), ("[$SYSTEM, $WORK]", "[]"), "{text}");
}

fn a_script_that_asks_a_server() {
    let folder = folder(&[("ask.sh", &format!("curl -s http://{}/\n", server()))]);
    let text = recorded(folder.path(), &[], &["sh", "ask.sh"]);
    assert_eq!((granted(&text, "read"), granted(&text, "write")), ("[$SYSTEM, $WORK]", "[]"), "{text}");
    assert_eq!(needs(&text), "[curl, sh]", "{text}");
}

fn a_folder_above_is_granted_from_the_work_folder() {
    let folder = folder(&[("page.txt", "hi\n")]);
    for script in
        ["cat page.txt; : >..", "ls .. >/dev/null; cat page.txt", "ls \"${PWD%/*}\" >/dev/null; cat page.txt"]
    {
        let text = recorded(folder.path(), &[], &["sh", "-c", script]);
        let lists = script.contains("ls ");
        assert_eq!(granted(&text, "read").contains("$WORK/.."), lists, "{text}");
        assert_eq!(text.contains("# What lies above $WORK is the harness's own"), lists, "{text}");
        assert!(!text.contains("/assize-") && text.contains("hi\n"), "{text}");
        passes_elsewhere(&text);
    }
}

fn where_temporary_folders_lie_holds_no_grant() {
    let folder = folder(&[("page.txt", "hi\n")]);
    // What the work folders of this host lie in lies nowhere above those of another one.
    let above = std::env::temp_dir().canonicalize().unwrap();
    let script = format!("ls {} >/dev/null; cat page.txt", above.display());
    let text = recorded(folder.path(), &[], &["sh", "-c", &script]);
    let read = granted(&text, "read");
    assert!(read.contains(above.to_str().unwrap()) && read.contains("$WORK"), "{text}");
    passes_elsewhere(&text);
    // Nor does what holds them and may be written to.
    let above = tempfile::tempdir().unwrap();
    let at = above.path().canonicalize().unwrap();
    let temporary = at.join("t");
    fs::create_dir(&temporary).unwrap();
    let script = format!("mkdir -p {}/made; cat page.txt >out", at.display());
    let mut record = Command::new(env!("CARGO_BIN_EXE_assize"));
    record.args(["record", "-q", "-o", "-", "--write", at.to_str().unwrap(), "--", "sh", "-c", &script]);
    let out = record.current_dir(folder.path()).env("TMPDIR", &temporary).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(granted(&text, "write"), format!("[$WORK, {}]", at.display()), "{text}");
    passes_elsewhere(&text);
}

fn what_holds_all_is_granted_alone_and_said() {
    let folder = folder(&[("page.txt", "hi\n")]);
    let text = recorded(folder.path(), &[], &["sh", "-c", "ls / | grep -x usr; cat page.txt"]);
    assert_eq!((granted(&text, "read"), granted(&text, "write")), ("[/]", "[]"), "{text}");
    assert!(text.contains("# It reads the folder `/`"), "{text}");
}

fn where_it_ran_is_not_expected() {
    let script = "dirname \"$PWD\" | tee out; echo \"$PWD\"; echo x > \"${PWD%/*}/y\"";
    let text = recorded(folder(&[]).path(), &[], &["sh", "-c", script]);
    assert!(!text.contains("/assize-") && text.contains("    [WORK]\n"), "{text}");
    assert!(text.contains("    out: \"/[..]\\n\"") || text.contains("    out: |\n      /[..]\n"), "{text}");
    assert!(text.contains("verdict: deny, errno: EACCES, by: landlock"), "{text}");
    passes_elsewhere(&text);
}

fn what_a_script_starts_is_needed() {
    let folder = folder(&[
        ("all.sh", "(sort in.txt | uniq) ; sh more.sh; ./mine; env X=1 sed -n p in.txt\n"),
        ("more.sh", "exec cut -c1 in.txt\n"),
        ("mine", "#!/usr/bin/awk -f\nBEGIN { print 1 }\n"),
        ("in.txt", "a\n"),
    ]);
    fs::set_permissions(folder.path().join("mine"), fs::Permissions::from_mode(0o755)).unwrap();
    let wanted = "[\"program(awk)\", \"program(cut)\", env, \"program(sed)\", sh, \"program(sort)\", \"program(uniq)\"]";
    let wanted = if Path::new("/usr/bin/awk").exists() {
        wanted.to_owned()
    } else {
        wanted.replace("\"program(awk)\", ", "")
    };
    let text = recorded(folder.path(), &[], &["sh", "all.sh"]);
    assert_eq!(needs(&text), wanted, "{text}");
    let text = recorded(folder.path(), &[], &["env", "X=1", "sort", "in.txt"]);
    assert_eq!(needs(&text), "[env, \"program(sort)\"]", "{text}");
}

fn what_make_starts_is_needed() {
    let folder = folder(&[("Makefile", "out: in.txt\n\t@sort in.txt | uniq >out\n"), ("in.txt", "a\n")]);
    let text = recorded(folder.path(), &[], &["make"]);
    assert_eq!(needs(&text), "[make, sh, \"program(sort)\", \"program(uniq)\"]", "{text}");
}
