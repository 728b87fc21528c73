//! What was recorded holds elsewhere: on another day, on another file system, and when what the recording itself made is gone.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Test, assize, folder, granted, recorded, recorded_here, run_is, said};

pub(super) const TESTS: &[Test] = &[
    ("a_date_holds_on_another_day", None, a_date_holds_on_another_day),
    ("the_age_of_files_is_left_open", None, the_age_of_files_is_left_open),
    ("folders_come_in_any_order", None, folders_come_in_any_order),
    ("what_the_recording_made_is_not_needed", None, what_the_recording_made_is_not_needed),
    ("a_server_on_this_host_is_named", Some("curl"), a_server_on_this_host_is_named),
    ("a_server_among_the_guests_is_not_named", Some("python3"), a_server_among_the_guests_is_not_named),
    ("a_write_that_was_refused_is_said", None, a_write_that_was_refused_is_said),
    ("a_failure_is_said", None, a_failure_is_said),
    ("what_varies_later_is_a_gap_in_its_line", None, what_varies_later_is_a_gap_in_its_line),
    ("a_script_gives_the_name", None, a_script_gives_the_name),
    ("earlier_recordings_are_no_inputs", None, earlier_recordings_are_no_inputs),
    ("what_python_keeps_is_not_expected", Some("python3"), what_python_keeps_is_not_expected),
];

/// Runs it with these keys as well.
fn passes_with(text: &str, keys: &str) {
    let elsewhere = tempfile::tempdir().unwrap();
    let text = text.replacen("\nexpect:\n", &format!("\n{keys}\n\nexpect:\n"), 1);
    assert!(text.contains(keys), "{text}");
    fs::write(elsewhere.path().join("s.yaml"), &text).unwrap();
    let out = assize(elsewhere.path(), &["run", "--keep", "none", "s.yaml"]);
    assert_eq!(out.status.code(), Some(0), "{text}\n{}", said(&out));
}

/// What a scenario says before its first key.
fn head(text: &str) -> &str {
    text.split("\nabout: ").next().unwrap_or_default()
}

const DAYS: [&str; 3] = ["2003-05-17T23:59:58Z", "2029-10-28T00:00:01Z", "2032-02-29T12:34:56Z"];

fn a_date_holds_on_another_day() {
    let folder = folder(&[]);
    for command in [&["date"][..], &["date", "+%A %B %d %I %p %M"]] {
        let text = recorded(folder.path(), &[], command);
        for day in DAYS {
            passes_with(&text, &format!("deterministic: {{ clock: {day} }}"));
        }
    }
}

fn the_age_of_files_is_left_open() {
    let folder = folder(&[("old", "1\n"), ("new", "22\n")]);
    let old = SystemTime::now() - Duration::from_secs(2000 * 86_400);
    fs::File::open(folder.path().join("old")).unwrap().set_modified(old).unwrap();
    for command in [&["ls", "-l", "old"][..], &["ls", "-l", "--time-style=full-iso"], &["stat", "old"]] {
        let text = recorded(folder.path(), &[], command);
        for day in DAYS {
            passes_with(&text, &format!("deterministic: {{ clock: {day} }}"));
        }
    }
    let text = recorded(folder.path(), &[], &["find", ".", "-name", "old", "-mtime", "+30"]);
    assert!(
        !text.contains("\n  stdout: ") && head(&text).contains("# - what it writes to stdout: "),
        "{text}"
    );
}

fn folders_come_in_any_order() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i/j", "i/k"].map(|name| (name, "hello\n"));
    let folder = folder(&names);
    for command in [&["grep", "-r", "hello", "."][..], &["find", ".", "-type", "f"], &["ls", "-U"]] {
        let text = recorded(folder.path(), &[], command);
        assert!(text.contains("stdout: { lines: { unordered: ["), "{text}");
        passes_with(&text, "deterministic: { dirs: true }");
    }
    // What is sorted is not: its order is a promise.
    let text = recorded(folder.path(), &[], &["ls"]);
    assert!(text.contains("  stdout: |\n    a\n    b\n    c\n"), "{text}");
}

fn what_the_recording_made_is_not_needed() {
    for (script, kept) in
        [("echo hi > DIR/made", "DIR"), ("echo hi > DIR/old", "DIR/old"), ("mkdir -p DIR/made", "DIR")]
    {
        let (folder, aside) = (folder(&[]), folder(&[("old", "1\n")]));
        let aside = aside.path().canonicalize().unwrap();
        let at = |text: &str| text.replace("DIR", aside.to_str().unwrap());
        let options = ["--write", aside.to_str().unwrap()];
        let command = ["s.yaml", options[0], options[1], "--", "sh", "-c", &at(script)];
        let text = recorded_here(folder.path(), &command);
        assert_eq!(granted(&text, "write"), format!("[{}]", at(kept)), "{text}");
        let _ = fs::remove_file(aside.join("made"));
        let _ = fs::remove_dir(aside.join("made"));
        run_is(folder.path(), "s.yaml", 0);
        assert_eq!(aside.join("made").exists(), script.contains("made"));
    }
}

fn a_server_on_this_host_is_named() {
    let to = super::server();
    let text = recorded(folder(&[]).path(), &[], &["curl", "-s", &format!("http://{to}/")]);
    assert!(head(&text).contains(&format!("# - what {to} answers")), "{text}");
}

fn a_server_among_the_guests_is_not_named() {
    let talk = "import socket\n\
        s = socket.create_server(('127.0.0.1', 0))\n\
        c = socket.create_connection(s.getsockname())\n\
        s.accept()[0].sendall(b'hello')\n\
        print(c.recv(5))\n";
    let text = recorded(folder(&[("talk.py", talk)]).path(), &[], &["python3", "talk.py"]);
    assert!(text.contains("b'hello'") && !head(&text).contains("127.0.0.1"), "{text}");
    assert!(!text.contains("never:"), "{text}");
}

fn a_write_that_was_refused_is_said() {
    let (folder, aside) = (folder(&[]), tempfile::tempdir().unwrap());
    let at = aside.path().canonicalize().unwrap();
    for (script, exit) in [("echo hi > DIR/made", 2), ("mkdir DIR/made", 1)] {
        let script = script.replace("DIR", at.to_str().unwrap());
        let out = assize(folder.path(), &["record", "-q", "-o", "-", "--", "sh", "-c", &script]);
        assert_eq!(out.status.code(), Some(0), "{}", said(&out));
        let says = format!("he sandbox did not let it write to {0}/made: `--write {0}` would", at.display());
        let (text, stderr) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
        assert!(head(&text).contains(&says) && stderr.contains(&says), "{text}\n{stderr}");
        assert!(stderr.contains(&format!("ended with exit code {exit}")), "{stderr}");
        // What it wrote is as it is in the scenario.
        assert!(!text.contains("not the same") && text.contains("  stderr: "), "{text}");
    }
}

fn a_failure_is_said() {
    let folder = folder(&[]);
    for (script, says) in [
        ("exit 2", Some("the command ended with exit code 2")),
        ("kill -9 $$", Some("the command was ended by SIGKILL")),
        ("exit 0", None),
    ] {
        let out = assize(folder.path(), &["record", "-q", "-o", "-", "--", "sh", "-c", script]);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(0), "{stderr}");
        match says {
            Some(says) => assert!(stderr.contains(says), "{stderr}"),
            None => assert!(stderr.is_empty(), "{stderr}"),
        }
    }
}

fn what_varies_later_is_a_gap_in_its_line() {
    // The same in the three runs that are compared, and another afterwards.
    let (folder, count) = (folder(&[]), folder(&[("n", "0\n")]));
    let at = count.path().canonicalize().unwrap();
    let script = "n=$(cat DIR/n); echo $((n + 1)) > DIR/n; echo first; echo \"x $((n / 3)) z\"; echo last";
    let script = script.replace("DIR", at.to_str().unwrap());
    let text = recorded(folder.path(), &["--write", at.to_str().unwrap()], &["sh", "-c", &script]);
    assert!(text.contains("  stdout: |\n    first\n    x [..] z\n    last\n"), "{text}");
    assert!(!text.contains("not the same"), "{text}");
}

fn a_script_gives_the_name() {
    let folder = folder(&[("a.sh", "echo a\n"), ("d/b.sh", "echo b\n")]);
    let wrote = |args: &[&str], name: &str| {
        let out = assize(folder.path(), &[&["record", "-q"], args].concat());
        assert_eq!(out.status.code(), Some(0), "{}", said(&out));
        assert!(said(&out).contains(&format!("wrote {name};")), "{}", said(&out));
        run_is(folder.path(), name, 0);
    };
    wrote(&["--", "sh", "a.sh"], "a.yaml");
    wrote(&["--", "sh", "-e", "d/b.sh"], "b.yaml");
    wrote(&["--", "sh", "a.sh", "again"], "a-2.yaml");
    wrote(&["--", "sh", "-c", "echo c"], "sh.yaml");
    wrote(&["--", "true"], "true.yaml");
    wrote(&["--", "true"], "true-2.yaml");
    wrote(&["--name", "mine", "--", "true"], "mine.yaml");
    let out = assize(folder.path(), &["record", "-q", "--name", "mine", "--", "true"]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(said(&out).contains("mine.yaml is there already"), "{}", said(&out));
}

fn earlier_recordings_are_no_inputs() {
    let record = |at: &Path| assize(at, &["record", "-q", "--", "grep", "-r", "hello", "."]);
    for scenarios in [false, true] {
        let folder = folder(&[("in.txt", "hello\n"), ("other.yaml", "x: hello\n")]);
        if scenarios {
            fs::create_dir(folder.path().join("scenarios")).unwrap();
        }
        let at = |name: &str| folder.path().join(if scenarios { "scenarios" } else { "" }).join(name);
        for name in ["grep.yaml", "grep-2.yaml"] {
            let out = record(folder.path());
            assert_eq!(out.status.code(), Some(0), "{}", said(&out));
            let text = fs::read_to_string(at(name)).unwrap();
            assert!(text.contains("unordered: [./in.txt:hello, \"./other.yaml:x: hello\"]"), "{text}");
            assert_eq!(head(&text).contains("it did not see"), name == "grep-2.yaml", "{text}");
        }
        // What the command names it sees.
        let named = if scenarios { "scenarios/grep.yaml" } else { "grep.yaml" };
        let text = recorded(folder.path(), &[], &["grep", "-c", "Recorded from", named]);
        assert!(text.contains("stdout: \"1\\n\"") || text.contains("    1\n"), "{text}");
    }
    // A folder of that name that holds none is as any other.
    let folder = folder(&[("scenarios/x", "hello\n")]);
    let text = recorded(folder.path(), &[], &["grep", "-r", "hello", "."]);
    assert!(text.contains("./scenarios/x:hello"), "{text}");
}

fn what_python_keeps_is_not_expected() {
    let folder = folder(&[("main.py", "import mine\n"), ("mine.py", "print('x')\n")]);
    let text = recorded(folder.path(), &[], &["python3", "main.py"]);
    assert!(!text.contains("__pycache__"), "{text}");
}
