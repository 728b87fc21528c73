//! The reports that programs read, and the page that people send each other: one run with every kind of outcome, and a
//! guest that writes whatever could do harm.
#![forbid(unsafe_code)]
// A test may unwrap, and so may what only tests call.
#![allow(clippy::unwrap_used)]

#[path = "lifetime/processes.rs"]
mod processes;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a guest writes, as the shell's `printf` says it.
const HOSTILE: &str =
    r"</script><script>alert(1)</script>]]>&amp;\000\033[2J\377\342\200\256evil\n::error::guest\n";

/// One that passes, one that fails, one that can't be loaded, one that can't be run, one that is ignored.
fn fixture() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put("good.yaml", "about: it ends well\nrun: [\"true\"]\n");
    put(
        "wrong.yaml",
        &format!(
            "about: it writes \"</script>\"\neach: {{ word: [one, \"<two>&]]>\"] }}\nshell: |\n  printf '{HOSTILE}'\n  \
             printf '{HOSTILE}' >&2\n  cat /proc/version\nexpect:\n  exit: 1\n  stdout: was ${{word}}\n  \
             stderr: {{ contains: nothing }}\n"
        ),
    );
    put("sub-bad.yaml", "rnu: [\"true\"]\n");
    put("cannot.yaml", "policy: { fs: { read: [$SYSTEM, /no/such/folder] } }\nrun: [\"true\"]\n");
    put("lacking.yaml", "needs: [landlock >= 99]\nrun: [\"true\"]\n");
    folder
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

fn assize(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
    for name in
        ["GITHUB_ACTIONS", "GITHUB_WORKSPACE", "XML_OUTPUT_FILE", "CARGO", "ASSIZE_REQUIRE", "NO_COLOR"]
    {
        command.env_remove(name);
    }
    command.args(args).current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    let out = command.envs(environment.iter().copied()).output().unwrap();
    Said {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

/// Every report at once.
fn reports() -> (TempDir, Said) {
    let folder = fixture();
    let args = ["--junit", "r/j.xml", "--json", "r/l.jsonl", "--html", "r/p.html", "--perfetto", "r/t.json"];
    let said = assize(folder.path(), &[&["run", "."], &args[..]].concat(), &[]);
    assert_eq!(said.code, 101, "{}{}", said.stdout, said.stderr);
    (folder, said)
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("r/l.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn all_reports_at_once_tell_of_one_run() {
    let (folder, said) = reports();
    assert!(
        said.stdout.ends_with('\n') && said.stdout.contains("result: FAILED. 1 passed; 4 failed; 1 ignored")
    );
    let names: Vec<_> = fs::read_dir(folder.path().join("r")).unwrap().collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let lines = lines(folder.path());
    let kind = |event: &Value| event["event"].as_object().unwrap().keys().next().unwrap().clone();
    assert_eq!((kind(&lines[0]), kind(lines.last().unwrap())), ("run".into(), "summary".into()));
    let of = |name: &str| -> Vec<Value> {
        let of_kind = lines.iter().filter(|line| kind(line) == name);
        of_kind.map(|line| line["event"][name].clone()).collect()
    };
    let outcomes: Vec<(String, String)> = of("scenario")
        .iter()
        .map(|one| (one["name"].as_str().unwrap().into(), one["outcome"].as_str().unwrap().into()))
        .collect();
    let expected = [
        ("cannot.yaml::cannot", "broken"),
        ("good.yaml::good", "passed"),
        ("lacking.yaml::lacking", "ignored"),
        ("sub-bad.yaml::(load)", "broken"),
        ("wrong.yaml::wrong[word=<two>&]]>]", "failed"),
        ("wrong.yaml::wrong[word=one]", "failed"),
    ];
    assert_eq!(outcomes, expected.map(|(name, outcome)| (name.to_owned(), outcome.to_owned())));
    let summary = &lines.last().unwrap()["event"]["summary"];
    assert_eq!(summary["broken"], 2);
    // Each finding of the failing scenario stands at the line that wanted it.
    let places: Vec<(String, u64)> = of("finding")
        .iter()
        .filter(|finding| finding["scenario"] == "wrong.yaml::wrong[word=one]")
        .map(|finding| (finding["file"].as_str().unwrap().into(), finding["at"]["line"].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [("wrong.yaml".to_owned(), 9), ("wrong.yaml".to_owned(), 10)]);
    assert!(of("control").iter().any(|control| control["name"] == "fs" && control["state"] == "proven"));
    let one = of("scenario").into_iter().find(|one| one["name"] == "wrong.yaml::wrong[word=one]").unwrap();
    assert!(one["stdout"]["text"].as_str().unwrap().contains("\0\u{1b}[2J\u{fffd}\u{202e}evil"));
    assert!(one["again"].as_str().unwrap().contains("--exact"));
    let trace: Value = serde_json::from_slice(&fs::read(folder.path().join("r/t.json")).unwrap()).unwrap();
    let slices = trace["traceEvents"].as_array().unwrap();
    assert!(slices.iter().any(|slice| slice["ph"] == "X" && slice["name"] == "failed"));
}

/// The shape of an XML text: `testsuite>testcase>failure`, each with its attributes. Only what this writes is read.
fn elements(xml: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for part in xml.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap();
        if tag.starts_with('?') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
            continue;
        }
        let empty = tag.ends_with('/');
        let (name, attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
        open.push(name);
        found.push((open.join(">"), attributes.to_owned()));
        if empty {
            open.pop();
        }
    }
    assert!(open.is_empty());
    found
}

fn validate(xml: &Path) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/junit/junit.xsd");
    let mut command = Command::new("xmllint");
    match command.args(["--noout", "--schema"]).arg(schema).arg(xml).output() {
        Ok(out) => assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr)),
        // What is checked besides stands in the test itself.
        Err(error) => eprintln!("left out: the schema of JUnit XML, since xmllint can't be started: {error}"),
    }
}

#[test]
fn junit_tells_failures_from_errors_and_skips() {
    let (folder, _) = reports();
    let path = folder.path().join("r/j.xml");
    let xml = fs::read_to_string(&path).unwrap();
    let allowed = |sign: char| matches!(sign, '\n' | '\t') || !(sign.is_control() || sign == '\u{202e}');
    assert!(xml.chars().all(allowed), "{xml:?}");
    assert!(xml.contains(r"\0\u{1b}[2J\xff\u{202e}evil"), "{xml}");
    let elements = elements(&xml);
    let (way, attributes) = &elements[0];
    assert_eq!(way, "testsuites");
    for count in ["tests=\"6\"", "failures=\"2\"", "errors=\"2\"", "skipped=\"1\"", "timestamp=\""] {
        assert!(attributes.contains(count), "{attributes}");
    }
    let case = |kind: &str| {
        let way = format!("testsuites>testsuite>testcase>{kind}");
        elements.iter().filter(|(found, _)| *found == way).count()
    };
    assert_eq!((case("failure"), case("error"), case("skipped")), (2, 2, 1));
    assert_eq!((case("system-out"), case("system-err")), (2, 2));
    let cell = elements
        .iter()
        .find(|(_, attributes)| attributes.contains("name=\"wrong[word=&lt;two&gt;&amp;]]&gt;]\""));
    let (_, attributes) = cell.unwrap();
    assert!(attributes.contains("file=\"wrong.yaml\"") && attributes.contains("line=\"1\""), "{attributes}");
    validate(&path);
}

#[test]
fn bazel_finds_its_report_where_it_said() {
    let folder = fixture();
    let wanted = folder.path().join("out/test.xml");
    let said = assize(folder.path(), &["run", "good.yaml"], &[("XML_OUTPUT_FILE", wanted.to_str().unwrap())]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(elements(&fs::read_to_string(&wanted).unwrap())[0].1.contains("tests=\"1\""));
    validate(&wanted);
    let wanted = wanted.to_str().unwrap();
    let said =
        assize(folder.path(), &["run", "good.yaml", "--junit", wanted], &[("XML_OUTPUT_FILE", wanted)]);
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let folder = fixture();
    fs::write(folder.path().join("file"), "").unwrap();
    // What can be known before is said before anything runs.
    let said = assize(folder.path(), &["run", "good.yaml", "--json", "file/x"], &[]);
    assert_eq!((said.code, said.stdout.as_str()), (2, ""));
    assert!(said.stderr.contains("error: the report file/x can't be written"), "{}", said.stderr);
    let said = assize(folder.path(), &["run", "good.yaml", "--json", "x", "--junit", "x"], &[]);
    assert_eq!((said.code, said.stderr.as_str()), (2, "error: two reports are to be written to x\n"));
    // And what can't, after it; the others are written all the same.
    let full = ["run", "good.yaml", "--junit", "/dev/full", "--json", "r/l.jsonl"];
    let said = assize(folder.path(), &full, &[]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stdout.contains("good.yaml::good ... ok"), "{}", said.stdout);
    assert!(
        said.stderr.contains("error: the report /dev/full can't be written: No space left"),
        "{}",
        said.stderr
    );
    assert_eq!(lines(folder.path()).last().unwrap()["event"]["summary"]["passed"], 1);
}

#[test]
fn an_interrupted_run_leaves_no_half_report() {
    use rustix::process::{Pid, Signal, kill_process};
    let folder = tempfile::tempdir().unwrap();
    let mark = processes::mark("report");
    fs::write(folder.path().join("long.yaml"), format!("shell: sleep {mark}\n")).unwrap();
    fs::create_dir(folder.path().join("r")).unwrap();
    fs::write(folder.path().join("r/l.jsonl"), "before").unwrap();
    let mut run = processes::asked(env!("CARGO_BIN_EXE_assize"))
        .args(["run", ".", "--json", "r/l.jsonl", "--html", "r/p.html"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    processes::wait_until("to see the guest", || !processes::marked(&mark).is_empty());
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let status = run.wait().unwrap();
    assert!(status.signal() == Some(Signal::INT.as_raw()) || status.code() == Some(130), "{status}");
    // A whole one, of what is known.
    let lines = lines(folder.path());
    assert_eq!(lines[1]["event"]["scenario"]["outcome"], "given-up", "{lines:?}");
    let summary = &lines.last().unwrap()["event"]["summary"];
    assert_eq!((&summary["given_up"], &summary["interrupted"]), (&1.into(), &2.into()));
    let known = ["l.jsonl", "p.html"];
    for entry in fs::read_dir(folder.path().join("r")).unwrap() {
        assert!(known.contains(&entry.unwrap().file_name().to_str().unwrap()));
    }
}

#[test]
fn a_scenario_that_is_run_several_times_is_one_entry() {
    let folder = fixture();
    let args = ["run", "good.yaml", "sub-bad.yaml", "--stress=3", "-j2", "--json", "r/l.jsonl"];
    assert_eq!(assize(folder.path(), &args, &[]).code, 101);
    let lines = lines(folder.path());
    let often: Vec<_> = lines
        .iter()
        .filter_map(|line| line["event"]["scenario"].get("repeated"))
        .map(Value::to_string)
        .collect();
    assert_eq!(often, [r#"{"failed":0,"runs":3}"#, r#"{"failed":3,"runs":3}"#]);
}

#[test]
fn a_denial_says_which_line_decided_in_every_report() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "policy:\n  fs:\n    read: [$SYSTEM]\n    deny: [/etc/shadow]\nshell: cat /etc/shadow /proc/version\n";
    fs::write(folder.path().join("a.yaml"), yaml).unwrap();
    let args = ["run", ".", "--github", "--junit", "r/j.xml", "--json", "r/l.jsonl", "--html", "r/p.html"];
    let said = assize(folder.path(), &args, &[]);
    let deny = "why: `policy.fs.deny` names `/etc/shadow`, on line 4";
    let grant = "why: nothing in `policy.fs.read` covers `/proc/version`, nor is anything above it granted";
    let allow = "to allow them: add `/proc/version` to `policy.fs.read`, at line 3, and take `/etc/shadow` out of `policy.fs.deny`";
    let notes = lines(folder.path())
        .iter()
        .find_map(|line| Some(line["event"]["finding"].as_object()?["notes"].clone()));
    let notes = notes.unwrap();
    let annotation = said.stdout.lines().find(|line| line.starts_with("::error ")).unwrap();
    let xml = fs::read_to_string(folder.path().join("r/j.xml")).unwrap();
    let page = fs::read_to_string(folder.path().join("r/p.html")).unwrap();
    for wanted in [deny, grant, allow] {
        assert!(said.stdout.contains(wanted), "{wanted}\n{}", said.stdout);
        assert!(notes.as_array().unwrap().iter().any(|note| note == wanted), "{wanted}\n{notes}");
        assert!(annotation.contains(wanted), "{wanted}\n{annotation}");
        assert!(xml.contains(wanted), "{wanted}\n{xml}");
        // There what stands between backticks is code.
        let parts: Vec<&str> = wanted.split('`').collect();
        assert!(
            page.contains(&format!("{}<code>{}</code>{}", parts[0], parts[1], parts[2])),
            "{wanted}\n{page}"
        );
    }
}

#[test]
fn github_gets_annotations_and_obeys_no_guest() {
    let folder = fixture();
    let said = assize(folder.path(), &["run", "."], &[("GITHUB_ACTIONS", "true")]);
    let lines: Vec<&str> = said.stdout.lines().collect();
    let token = lines[0].strip_prefix("::stop-commands::").unwrap();
    let end = lines.iter().position(|line| *line == format!("::{token}::")).unwrap();
    let guest = lines.iter().position(|line| line.trim_start().starts_with("::error::guest")).unwrap();
    assert!(guest < end, "{}", said.stdout);
    let errors: Vec<&&str> = lines[end..].iter().filter(|line| line.starts_with("::error ")).collect();
    // Of four failures six findings: the first of each, and then the others.
    assert!(errors[0].starts_with("::error file=cannot.yaml,line=1,col="), "{errors:?}");
    assert!(errors[0].contains(",title=cannot.yaml%3A%3Acannot::"), "{errors:?}");
    assert!(
        errors.iter().any(|line| line.starts_with("::error file=wrong.yaml,line=9,col=3,title=")),
        "{errors:?}"
    );
    assert_eq!(errors.len(), 6, "{errors:?}");
    assert!(!said.stderr.contains("::error"));
    assert!(!assize(folder.path(), &["run", "good.yaml"], &[]).stdout.contains("::stop"));
    // A program's lines stay a program's.
    let said = assize(folder.path(), &["run", ".", "--github", "--format", "json"], &[]);
    assert!(said.stdout.lines().all(|line| line.starts_with("{ ")), "{}", said.stdout);
    assert_eq!(said.stderr.lines().filter(|line| line.starts_with("::error ")).count(), 6, "{}", said.stderr);
}

#[test]
fn a_place_past_the_end_is_one_place_in_every_report() {
    for text in ["run: [echo", "run: [echo\n", "run: [echo\n\n"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("torn.yaml"), text).unwrap();
        let said = assize(folder.path(), &["run", "torn.yaml", "--github", "--json", "r.jsonl"], &[]);
        assert!(said.stdout.contains(" --> torn.yaml:1:11\n"), "{}", said.stdout);
        assert!(said.stdout.contains("file=torn.yaml,line=1,col=11,"), "{}", said.stdout);
        let json = std::fs::read_to_string(folder.path().join("r.jsonl")).unwrap();
        assert!(json.contains(r#""at":{"line":1,"column":11,"#), "{json}");
    }
}

#[test]
fn libtests_json_is_libtests() {
    let folder = fixture();
    let said = assize(folder.path(), &["run", ".", "-j", "1", "--format", "json", "--skip", "cannot"], &[]);
    let events: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The keys and their order are what `cargo test -- -Z unstable-options --format json` prints.
    let first: Vec<String> =
        said.stdout.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    assert!(first.iter().all(|line| line == "{ \"type\""), "{first:?}");
    assert_eq!(
        said.stdout.lines().next(),
        Some("{ \"type\": \"suite\", \"event\": \"started\", \"test_count\": 5 }")
    );
    assert_eq!(
        said.stdout.lines().nth(1),
        Some("{ \"type\": \"test\", \"event\": \"started\", \"name\": \"good.yaml::good\" }")
    );
    assert_eq!(
        said.stdout.lines().nth(2),
        Some("{ \"type\": \"test\", \"name\": \"good.yaml::good\", \"event\": \"ok\" }")
    );
    let ignored = events.iter().find(|event| event["event"] == "ignored").unwrap();
    assert!(ignored["message"].as_str().unwrap().contains("landlock"), "{ignored}");
    let failed: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "test" && event["event"] == "failed").collect();
    assert_eq!(failed.len(), 3);
    assert!(
        failed.iter().all(|event| event["stdout"].as_str().unwrap().starts_with("error: ")),
        "{failed:?}"
    );
    let last = said.stdout.lines().last().unwrap();
    let start = "{ \"type\": \"suite\", \"event\": \"failed\", \"passed\": 1, \"failed\": 3, \"ignored\": 1, \"measured\": 0, \
                 \"filtered_out\": 1, \"exec_time\": ";
    assert!(last.starts_with(start) && last.ends_with(" }"), "{last}");
}

#[test]
fn terse_is_a_sign_each() {
    let folder = tempfile::tempdir().unwrap();
    for nth in 0..90 {
        fs::write(folder.path().join(format!("{nth:02}.yaml")), "needs: [landlock >= 99]\nrun: [x]\n")
            .unwrap();
    }
    fs::write(folder.path().join("x.yaml"), "rnu: []\n").unwrap();
    let said = assize(folder.path(), &["run", ".", "-j", "1", "--format", "terse"], &[]);
    let begin = format!(
        "\nrunning 91 tests\n{} 87/91\niii 90/91\nx.yaml::(load) --- FAILED\n\nfailures:\n\n",
        "i".repeat(87)
    );
    assert!(
        said.stdout.starts_with(&format!("{begin}---- x.yaml::(load) stdout ----\nerror: ")),
        "{}",
        said.stdout
    );
    let end = "\n\nfailures:\n    x.yaml::(load)\n\ntest result: FAILED. 0 passed; 1 failed; 90 ignored; 0 measured; 0 filtered out; ";
    assert!(said.stdout.contains(end), "{}", said.stdout);
    // A skip has a reason in every format.
    assert!(said.stderr.starts_with("ignored: 00.yaml::00: "), "{}", said.stderr);
}

#[test]
fn colour_is_where_it_is_asked_for() {
    let folder = fixture();
    let coloured = |args: &[&str], environment: &[(&str, &str)]| {
        assize(folder.path(), &[&["run", "good.yaml"], args].concat(), environment).stdout.contains('\x1b')
    };
    assert!(!coloured(&[], &[]));
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!coloured(&["--color=never"], &[("CLICOLOR_FORCE", "1")]));
}
