//! `assize record`: what it writes passes as it stands, and is no more than it needs to be.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "record/again.rs"]
mod again;
#[path = "record/least.rs"]
mod least;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;

fn assize(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
    command.args(args).current_dir(folder).env("TMPDIR", std::env::temp_dir());
    command.output().unwrap()
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Whether the guest finds it.
fn is_installed(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|at| Path::new(at).join(program).is_file())
}

type Test = (&'static str, Option<&'static str>, fn());

/// Each test, and the program without which it is ignored.
const TESTS: &[Test] = &[
    ("a_file_that_is_read_and_one_that_is_not", None, a_file_that_is_read_and_one_that_is_not),
    (
        "what_was_recorded_fails_once_it_is_no_longer_so",
        None,
        what_was_recorded_fails_once_it_is_no_longer_so,
    ),
    ("a_search_through_folders", None, a_search_through_folders),
    ("a_compiler", Some("gcc"), a_compiler),
    ("an_interpreter_with_modules", Some("python3"), an_interpreter_with_modules),
    ("a_repository", Some("git"), a_repository),
    ("an_archive_of_files", None, an_archive_of_files),
    ("a_pipeline_of_a_shell", None, a_pipeline_of_a_shell),
    ("a_talk_with_a_server", Some("curl"), a_talk_with_a_server),
    ("a_script_that_is_executed_itself_is_live", None, a_script_that_is_executed_itself_is_live),
    ("what_varies_is_left_open", None, what_varies_is_left_open),
    ("what_runs_at_once_comes_in_any_order", None, what_runs_at_once_comes_in_any_order),
    ("the_number_of_a_process_has_a_name", None, the_number_of_a_process_has_a_name),
    ("what_a_clock_measured_is_left_open", None, what_a_clock_measured_is_left_open),
    ("a_program_of_one_s_own_is_tested_as_it_is_now", None, a_program_of_one_s_own_is_tested_as_it_is_now),
    ("what_a_script_executes_is_a_program", None, what_a_script_executes_is_a_program),
    ("what_is_too_much_for_a_text_is_copied", None, what_is_too_much_for_a_text_is_copied),
    ("the_modules_of_a_program_are_live", Some("python3"), the_modules_of_a_program_are_live),
    ("what_was_recorded_says_nothing_twice", None, what_was_recorded_says_nothing_twice),
    (
        "a_command_line_that_can_not_work_says_what_would",
        None,
        a_command_line_that_can_not_work_says_what_would,
    ),
    ("a_listing_shows_what_is_there", None, a_listing_shows_what_is_there),
    (
        "what_is_denied_is_expected_and_options_are_passed_on",
        None,
        what_is_denied_is_expected_and_options_are_passed_on,
    ),
    ("what_is_there_is_not_overwritten", None, what_is_there_is_not_overwritten),
    ("what_can_not_be_recorded_is_said", None, what_can_not_be_recorded_is_said),
];

fn main() {
    let arguments = Arguments::from_args();
    let trials = TESTS.iter().chain(again::TESTS).chain(least::TESTS).map(|(name, program, test)| {
        let missing = program.filter(|program| !is_installed(program));
        if let (Some(program), false) = (missing, arguments.list) {
            eprintln!("ignored: {name}: {program} is not installed");
        }
        let run = || {
            test();
            Ok(())
        };
        Trial::test(*name, run).with_ignored_flag(missing.is_some())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// Records the command, sees it pass elsewhere, and gives the scenario. The folder is as it was.
fn recorded(folder: &Path, options: &[&str], command: &[&str]) -> String {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("s.yaml");
    let before = listing(folder);
    let args = [&["record", "-o", file.to_str().unwrap()], options, &["--"], command].concat();
    let out = assize(folder, &args);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let text = fs::read_to_string(&file).unwrap();
    for _ in 0..2 {
        let out = assize(elsewhere.path(), &["run", "--keep", "none", "s.yaml"]);
        assert_eq!(out.status.code(), Some(0), "{text}\n{}", said(&out));
    }
    let out = assize(elsewhere.path(), &["check", "--deny", "warnings", "s.yaml"]);
    assert_eq!(out.status.code(), Some(0), "{text}\n{}", said(&out));
    assert_eq!(listing(folder), before);
    text
}

/// What lies in a folder: nobody else's paths, names and contents.
fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// The value of `read:` or `write:` in the policy, or what holds without one.
fn granted<'a>(text: &'a str, list: &str) -> &'a str {
    if !text.contains("\npolicy:\n") {
        return if list == "read" { "[$SYSTEM]" } else { "[$WORK]" };
    }
    let line = text.lines().find_map(|line| line.trim().strip_prefix(list)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("{text}"))
}

fn a_file_that_is_read_and_one_that_is_not() {
    let folder = folder(&[("in.txt", "some\n\ttext\n"), ("other.txt", "unread\n")]);
    let text = recorded(folder.path(), &[], &["cat", "in.txt"]);
    assert_eq!((granted(&text, "read"), granted(&text, "write")), ("[$SYSTEM, $WORK]", "[]"), "{text}");
    assert!(text.contains("  in.txt: |\n    some\n    \ttext\n"), "{text}");
    assert!(!text.contains("other.txt"), "{text}");
    assert!(text.contains("run: [cat, in.txt]\n") && text.contains("needs: [cat]\n"), "{text}");
    assert!(text.contains("exhaustive: deny"), "{text}");
}

fn what_was_recorded_fails_once_it_is_no_longer_so() {
    let folder = folder(&[("in.txt", "one\n")]);
    let text = recorded(folder.path(), &[], &["cat", "in.txt"]);
    for (from, to) in [
        ("stdout: |\n    one", "stdout: |\n    two"),
        ("read: [$SYSTEM, $WORK]", "read: [$SYSTEM]"),
        ("path: in.txt", "path: out.txt"),
        ("exit: 0", "exit: 1"),
    ] {
        assert!(text.contains(from), "{text}");
        fs::write(folder.path().join("s.yaml"), text.replace(from, to)).unwrap();
        let out = assize(folder.path(), &["run", "--keep", "none", "s.yaml"]);
        assert_eq!(out.status.code(), Some(101), "{to}: {}", said(&out));
    }
}

fn a_search_through_folders() {
    let folder = folder(&[("a/x", "hello\n"), ("a/y", "nothing\n"), ("b", "say hello\n")]);
    let text = recorded(folder.path(), &[], &["grep", "-r", "hello", "."]);
    for wanted in ["  a/x: |\n", "  a/y: |\n", "  b: |\n"] {
        assert!(text.contains(wanted), "{text}");
    }
    assert_eq!(granted(&text, "write"), "[]", "{text}");
}

fn a_compiler() {
    let source = "#include \"m.h\"\nint main(void) { return X; }\n";
    let folder = folder(&[("m.c", source), ("m.h", "#define X 0\n"), ("n.c", "unread\n")]);
    let text = recorded(folder.path(), &[], &["gcc", "-o", "m", "m.c"]);
    assert!(text.contains("    m: present\n") && text.contains("  m.h: |\n"), "{text}");
    assert_eq!(granted(&text, "write"), "[$WORK]", "{text}");
    assert!(!text.contains("n.c"), "{text}");
}

fn an_interpreter_with_modules() {
    let folder = folder(&[("mine.py", "import json, hashlib, subprocess\nprint(json.dumps({'a': 1}))\n")]);
    let text = recorded(folder.path(), &[], &["python3", "mine.py"]);
    assert!(text.contains("    {\"a\": 1}\n") || text.contains("stdout: \"{\\\"a\\\": 1}\\n\""), "{text}");
    assert!(granted(&text, "read").contains("$SYSTEM"), "{text}");
}

fn a_repository() {
    let folder = folder(&[("a", "one\n"), ("b", "two\n")]);
    for args in [
        &["init", "-q"][..],
        &["add", "a"],
        &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ] {
        let mut git = Command::new("git");
        git.args(args).current_dir(folder.path()).env("HOME", folder.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        assert!(git.status().unwrap().success());
    }
    let text = recorded(folder.path(), &[], &["git", "status", "--short"]);
    assert!(text.contains("?? b"), "{text}");
}

fn an_archive_of_files() {
    let folder = folder(&[("d/x", "one\n"), ("d/y", "two\n")]);
    let run = folder.path().join("d/run");
    fs::write(&run, "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    let text = recorded(folder.path(), &[], &["tar", "cf", "d.tar", "d"]);
    assert!(text.contains("    d.tar: present\n") && text.contains("mode: 0755"), "{text}");
    for wanted in ["  d/x: |\n", "  d/y: |\n", "  d/run:\n"] {
        assert!(text.contains(wanted), "{text}");
    }
}

fn a_pipeline_of_a_shell() {
    let folder = folder(&[("in", "b\na\nb\n")]);
    let text = recorded(folder.path(), &[], &["sh", "-c", "sort in | uniq -c | tee out; echo $WORK"]);
    assert!(text.contains("shell: ") && text.contains("program(uniq)"), "{text}");
    assert!(text.contains("[WORK]") && text.contains("    out: "), "{text}");
}

fn a_talk_with_a_server() {
    let to = format!("http://{}/", server());
    let folder = folder(&[]);
    let text = recorded(folder.path(), &[], &["curl", "-s", &to]);
    assert!(text.contains("hello") && text.contains("call: family(connect), to: "), "{text}");
    assert!(!text.contains("never:"), "{text}");
}

/// A server of ours, which says hello to whoever asks: where it is.
fn server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n");
        }
    });
    at
}

fn what_varies_is_left_open() {
    let folder = folder(&[]);
    let script = "echo before; od -An -tx8 -N8 /dev/urandom; date +%s; hostname; echo after; exit 3";
    let text = recorded(folder.path(), &[], &["sh", "-c", script]);
    assert!(text.contains("    before\n     [..]\n    [..]\n    [..]\n    after\n"), "{text}");
    assert!(text.contains("exit: 3\n"), "{text}");
    // Seconds do not differ within one, unless the clock is another.
    let text = recorded(folder.path(), &[], &["date", "+at %Y"]);
    assert!(text.contains("stdout: \"at [..]\\n\"") || text.contains("    at [..]\n"), "{text}");
    assert!(text.contains("# Not in it:\n# - what it writes of the time"), "{text}");
}

fn a_listing_shows_what_is_there() {
    let folder = folder(&[("in.txt", "one\n"), ("d/x", "two\n")]);
    std::os::unix::fs::symlink("in.txt", folder.path().join("link")).unwrap();
    let text = recorded(folder.path(), &[], &["ls", "-la", "--time-style=+"]);
    assert!(text.contains(" link -> in.txt\n") && text.contains("  link: { symlink: in.txt }\n"), "{text}");
    assert!(text.contains(" in.txt\n") && text.contains(" d\n"), "{text}");
}

fn what_is_denied_is_expected_and_options_are_passed_on() {
    let folder = folder(&[("in", "mine\n")]);
    let aside = tempfile::tempdir().unwrap();
    let target = aside.path().join("made");
    let script = format!("cat; echo $MINE; echo x > {}", target.display());
    let options = ["--stdin", "in", "--env", "MINE=$5", "--name", "other", "--about", "it: tries"];
    let text = recorded(folder.path(), &options, &["sh", "-c", &script]);
    assert!(!target.exists());
    assert!(text.contains("verdict: deny, errno: EACCES, by: landlock"), "{text}");
    assert!(text.contains("stdin: \"mine\\n\"") || text.contains("stdin: |\n  mine\n"), "{text}");
    assert!(text.contains("    mine\n    $5\n") && text.contains("name: other\n"), "{text}");
    assert!(text.contains("about: \"it: tries\"\n"), "{text}");
}

fn what_is_there_is_not_overwritten() {
    let folder = folder(&[("cat.yaml", "mine\n")]);
    let named = ["record", "--name", "cat", "--", "cat", "/dev/null"];
    let out = assize(folder.path(), &named);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("cat.yaml is there already"), "{}", said(&out));
    assert_eq!(fs::read_to_string(folder.path().join("cat.yaml")).unwrap(), "mine\n");
    // Where scenarios lie, there it goes.
    fs::create_dir(folder.path().join("scenarios")).unwrap();
    let out = assize(folder.path(), &["record", "--", "cat", "/dev/null"]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert!(folder.path().join("scenarios/cat.yaml").is_file());
}

fn what_can_not_be_recorded_is_said() {
    let folder = folder(&[]);
    let random = "[ $(od -An -tu1 -N1 /dev/urandom) -gt 300 ]; exit $(od -An -tu1 -N1 /dev/urandom)";
    for (args, says) in [
        (&["--timeout", "200ms", "--", "sleep", "60"][..], "did not end within 200ms"),
        (&["--runs", "9", "--", "sh", "-c", random], "nothing could be expected of it"),
        (&["--", "no-such-program"], "ENOENT"),
    ] {
        let out = assize(folder.path(), &[&["record", "-o", "-"], args].concat());
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        assert!(said(&out).contains(says), "{}", said(&out));
        // One that does not end is not run again.
        assert!(says != "did not end within 200ms" || !said(&out).contains("run 2"), "{}", said(&out));
        assert!(out.stdout.is_empty());
    }
}

fn what_runs_at_once_comes_in_any_order() {
    let folder = folder(&[]);
    let script = "for i in 1 2 3; do (echo $i) & done; wait";
    for _ in 0..2 {
        let text = recorded(folder.path(), &[], &["sh", "-c", script]);
        assert!(text.contains("stdout: { lines: { unordered: [\"1\", \"2\", \"3\"] } }\n"), "{text}");
    }
    // Also where the one is nearly always earlier.
    let text = recorded(folder.path(), &[], &["sh", "-c", "(echo 1) & (/bin/true; echo 2) & wait"]);
    assert!(text.contains("stdout: { lines: { unordered: [\"1\", \"2\"] } }\n"), "{text}");
    // What comes one after the other stays so.
    let text = recorded(folder.path(), &[], &["sh", "-c", "for i in 1 2 3; do (echo $i); done"]);
    assert!(text.contains("    1\n    2\n    3\n"), "{text}");
}

fn the_number_of_a_process_has_a_name() {
    let folder = folder(&[]);
    // In a namespace the command is number 2: only its own number varies.
    let text = recorded(folder.path(), &[], &["sh", "-c", "echo $$ 2; echo 2"]);
    assert!(text.contains("    [PID] 2\n    2\n"), "{text}");
    assert!(text.contains("\npolicy:\n"), "{text}");
    fs::write(folder.path().join("bare.yaml"), text.replace("policy:\n", "policy:\n  isolation: off\n"))
        .unwrap();
    run_is(folder.path(), "bare.yaml", 0);
}

fn what_a_clock_measured_is_left_open() {
    let folder = folder(&[("wait.txt", "wait 5 s\n")]);
    let script = "echo took $((1 - 1)) ms; cat wait.txt; echo 7 s";
    let text = recorded(folder.path(), &[], &["sh", "-c", script]);
    // What only looks like that stands in what the command was given.
    assert!(text.contains("    took [..] ms\n    wait 5 s\n    7 s\n"), "{text}");
    assert!(text.contains("# - how long things took"), "{text}");
}

/// Records into the folder itself, and gives the scenario.
fn recorded_here(folder: &Path, args: &[&str]) -> String {
    let out = assize(folder, &[&["record", "-o"], args].concat());
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    fs::read_to_string(folder.join(args[0])).unwrap()
}

fn run_is(folder: &Path, scenario: &str, code: i32) {
    let out = assize(folder, &["run", "--keep", "none", scenario]);
    assert_eq!(out.status.code(), Some(code), "{}", said(&out));
}

fn a_program_of_one_s_own_is_tested_as_it_is_now() {
    for (at, from) in [
        ("s.yaml", "report.sh"),
        ("scenarios/s.yaml", "../report.sh"),
        // A folder of another name does not say what it tests.
        ("my/deep/s.yaml", "../../report.sh, outside: true"),
    ] {
        let folder = folder(&[("report.sh", "tr a-z A-Z <\"$1\" >\"$2\"\n"), ("in.txt", "one\n")]);
        fs::create_dir_all(folder.path().join(at).parent().unwrap()).unwrap();
        let text = recorded_here(folder.path(), &[at, "--", "sh", "report.sh", "in.txt", "out.txt"]);
        assert!(text.contains(&format!("  report.sh: {{ from: {from} }}\n")), "{text}");
        assert!(text.contains("# Live, copied anew at each run: report.sh.\n"), "{text}");
        assert!(text.contains("# Frozen, as when it was recorded: in.txt.\n"), "{text}");
        run_is(folder.path(), at, 0);
        if at.starts_with("scenarios") {
            run_is(folder.path(), "scenarios", 0);
        }
        // What it reads stays; what is tested does not.
        fs::write(folder.path().join("in.txt"), "two\n").unwrap();
        run_is(folder.path(), at, 0);
        fs::write(folder.path().join("report.sh"), "cat \"$1\" >\"$2\"\n").unwrap();
        run_is(folder.path(), at, 101);
        let out = assize(folder.path(), &["bless", "--check", at]);
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    }
}

fn what_a_script_executes_is_a_program() {
    let folder = folder(&[("tool", "#!/bin/sh\necho mine\n")]);
    let tool = folder.path().join("tool");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let text = recorded_here(folder.path(), &["s.yaml", "--", "sh", "-c", "./tool | tr a-z A-Z"]);
    assert!(text.contains("  tool: { from: tool }\n"), "{text}");
    run_is(folder.path(), "s.yaml", 0);
    fs::write(&tool, "#!/bin/sh\necho other\n").unwrap();
    run_is(folder.path(), "s.yaml", 101);
}

fn what_is_too_much_for_a_text_is_copied() {
    let long = "a line\n".repeat(4000);
    let folder = folder(&[("in.txt", "one\n"), ("long.txt", &long), ("d/x", "1\n"), ("d/y", "2\n")]);
    fs::write(folder.path().join("data.bin"), [0xff; 99]).unwrap();
    let command = ["sh", "-c", "cat in.txt long.txt data.bin d/x | wc -c"];
    let text = recorded_here(folder.path(), &[&["s.yaml", "--live", "d", "--"][..], &command].concat());
    let copied =
        ["  data.bin: { from: data.bin }\n", "  long.txt: { from: long.txt }\n", "  d: { from: d }\n"];
    assert!(copied.iter().all(|line| text.contains(line)), "{text}");
    assert!(
        text.contains("  in.txt: |\n") && !text.contains("base64") && !text.contains("  d/x: "),
        "{text}"
    );
    assert!(text.contains("# Live, copied anew at each run: d, data.bin, long.txt.\n"), "{text}");
    run_is(folder.path(), "s.yaml", 0);
    fs::write(folder.path().join("d/x"), "longer\n").unwrap();
    run_is(folder.path(), "s.yaml", 101);
    let out = assize(folder.path(), &["record", "--live", "../x", "--", "cat", "in.txt"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("../x is nothing that lies in the current folder"), "{}", said(&out));
}

fn the_modules_of_a_program_are_live() {
    let main = "import mine\nprint(mine.said(open('in.txt').read()))\n";
    let folder = folder(&[("main.py", main), ("in.txt", "x"), ("__pycache__/mine.cpython-311.pyc", "old")]);
    let module = folder.path().join("mine.py");
    fs::write(&module, "def said(text): return text.upper()\n").unwrap();
    let text = recorded_here(folder.path(), &["s.yaml", "--", "python3", "main.py"]);
    for wanted in ["  main.py: { from: main.py }\n", "  mine.py: { from: mine.py }\n", "  in.txt: x\n"] {
        assert!(text.contains(wanted), "{text}");
    }
    // What Python keeps of a module is no input.
    assert!(!text.contains("  __pycache__/mine.cpython-311.pyc: old\n"), "{text}");
    run_is(folder.path(), "s.yaml", 0);
    fs::write(&module, "def said(text): return text\n").unwrap();
    run_is(folder.path(), "s.yaml", 101);
}

fn a_script_that_is_executed_itself_is_live() {
    let folder = folder(&[("p.sh", "#!/bin/sh\necho hi\n")]);
    let script = folder.path().join("p.sh");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let text = recorded_here(folder.path(), &["s.yaml", "--", "./p.sh"]);
    assert!(text.contains("p.sh: { from: p.sh }"), "{text}");
    run_is(folder.path(), "s.yaml", 0);
    fs::write(&script, "#!/bin/sh\necho broken\n").unwrap();
    run_is(folder.path(), "s.yaml", 101);
}

fn what_was_recorded_says_nothing_twice() {
    let folder = folder(&[("in.txt", "b\na\n")]);
    // To read the system and to write its own folder is what any scenario may do.
    let text = recorded(folder.path(), &[], &["sort", "-o", "out.txt", "in.txt"]);
    assert!(!text.contains("policy:"), "{text}");
}

fn a_command_line_that_can_not_work_says_what_would() {
    let folder = folder(&[]);
    for command in [&["run"][..], &["list"], &["check"], &["bless"]] {
        let out = assize(folder.path(), command);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        assert!(said(&out).contains("help: name the folder of scenarios, or a file"), "{}", said(&out));
    }
    for command in ["exec", "trace", "record"] {
        let out = assize(folder.path(), &[command, "--", "gcc x.c && ./m 'a' b"]);
        let hint = r"for a script: sh -c 'gcc x.c && ./m '\''a'\'' b'";
        assert!(said(&out).contains(hint), "{}", said(&out));
        let out = assize(folder.path(), &[command, "--", "no-such-program"]);
        assert!(!said(&out).contains("for a script"), "{}", said(&out));
    }
}
