//! Every lint, as a reader sees it, and what is no reason for one.
//!
//! The files in `tests/lints` hold cases as those in `tests/diagnostics` do: a title after `====`, the file's text, and after
//! `----` what is shown; other files follow a line `==> NAME <==`. `ASSIZE_GENERATE=1 cargo test --test lints` writes what is shown now; read the difference before you keep it.
#![forbid(unsafe_code)]
// A test may unwrap, and so may what only tests call.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use assize_harness::lint::{Lint, lint};
use assize_harness::needs::Host;
use assize_harness::scenario::load;

fn shown(yaml: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case.yaml");
    let (own, others) = yaml.split_once("==> ").unwrap_or((yaml, ""));
    std::fs::write(&file, own).unwrap();
    for other in others.split("==> ").filter(|other| !other.is_empty()) {
        let (name, text) = other.split_once(" <==\n").unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let found = match load(folder.path(), &file) {
        Ok(scenarios) => lint(&scenarios, &Host::probe()),
        Err(errors) => errors,
    };
    let text: Vec<_> = found.iter().map(|diagnostic| diagnostic.render(false)).collect();
    let text = text.join("\n").replace(&format!("{}/", folder.path().display()), "");
    if text.is_empty() { "nothing".to_owned() } else { text.trim_end().to_owned() }
}

#[test]
fn each_lint_is_shown_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lints");
    let update = std::env::var_os("ASSIZE_GENERATE").is_some_and(|value| value == "1");
    let (mut wrong, mut all, mut quiet) = (String::new(), String::new(), 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let mut written = String::new();
        for case in std::fs::read_to_string(&path).unwrap().split("==== ").skip(1) {
            let (title, rest) = case.split_once('\n').unwrap();
            let (yaml, was) = rest.split_once("----\n").unwrap_or((rest, ""));
            let now = shown(yaml);
            assert!(!now.contains("error"), "{}: {title}: {now}", path.display());
            quiet += usize::from(now == "nothing");
            write!(written, "==== {title}\n{yaml}----\n{now}\n\n").unwrap();
            if now != was.trim_end() {
                writeln!(wrong, "{}: {title}\nwas:\n{was}\nis:\n{now}\n", path.display()).unwrap();
            }
        }
        all.push_str(&written);
        if update {
            std::fs::write(&path, written).unwrap();
        }
    }
    assert!(update || wrong.is_empty(), "{wrong}");
    assert!(quiet >= 10, "only {quiet} cases show nothing");
    for lint in Lint::ALL {
        assert!(all.contains(&format!("warning[{}]", lint.code())), "no case shows {}", lint.code());
    }
}

#[test]
fn a_warning_fails_the_check_where_it_is_denied() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.yaml"), "run: [\"true\"]\nrepeat: 1\n").unwrap();
    let check = |words: &[&str]| {
        let assize =
            Command::new(env!("CARGO_BIN_EXE_assize")).arg("check").arg(folder.path()).args(words).output();
        let output = assize.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, text) = check(&[]);
    assert!(text.contains("warning[repeats-default]") && text.contains("0 errors, 1 warning\n"), "{text}");
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(check(&["--deny", "warnings"]).0, Some(1));
    std::fs::write(folder.path().join("one.yaml"), "run: [\"true\"]\n").unwrap();
    assert_eq!(check(&["--deny", "warnings"]).0, Some(0));
}

#[test]
fn a_folder_is_looked_at_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let assize = |words: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_assize")).args(words).current_dir(folder.path()).output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    std::fs::create_dir(folder.path().join("s")).unwrap();
    for command in ["check", "list", "run", "bless"] {
        assert_eq!(assize(&[command, "s"]).0, Some(4), "{command}");
    }
    put("s/UP.YAML", "extends: _used.yaml\nrun: [cat, a]\nfiles: { a: { from: _data/a.yaml } }\n");
    put("s/_used.yaml", "about: a part\n");
    put("s/_data/a.yaml", "no: part\n");
    put("s/_axis.yaml", "repeat: $n\n");
    put("s/_parts/_good.yml", "extends: ../_used.yaml\npolicy: {}\n");
    let (status, said) = assize(&["check", "s"]);
    assert_eq!((status, said.as_str()), (Some(0), "1 scenario can be loaded; 0 errors, 0 warnings\n"));
    assert!(assize(&["list", "s"]).1.contains("UP.YAML::UP"));
    // A part that nobody extends, in a folder that is shared, and one that is no YAML.
    put("s/_parts/bad.yaml", "polic: {}\nexpect: { exti: 0 }\n");
    put("s/_torn.yaml", "a: [\n");
    let (status, said) = assize(&["check", "s"]);
    assert_eq!(status, Some(1), "{said}");
    for wanted in ["s/_parts/bad.yaml:1:1", "s/_parts/bad.yaml:2:11", "s/_torn.yaml:1:", "3 errors"] {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
    // What a scenario extends is told of once.
    put("s/bad.yaml", "extends: _parts/bad.yaml\nrun: [\"true\"]\n");
    let (status, said) = assize(&["check", "s"]);
    assert!(status == Some(1) && said.contains("2 errors") && !said.contains("_torn"), "{said}");
    let (status, said) = assize(&["run", "s/UP.YAML", "rep"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("`-f rep`"), "{said}");
    let (status, said) = assize(&["run", "-j", "0", "s"]);
    assert!(status == Some(2) && said.contains("write a number from 1 up"), "{said}");
}

#[test]
fn what_is_recorded_has_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.txt"), "x\n").unwrap();
    let assize = |words: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_assize")).args(words).current_dir(folder.path()).output();
        let output = output.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for command in [&["record", "--", "cat", "in.txt"][..], &["check", "cat.yaml", "--deny", "warnings"]] {
        let (good, said) = assize(command);
        assert!(good, "{command:?}: {said}");
    }
}

#[test]
fn the_shipped_scenarios_have_none() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("scenarios");
    let output = Command::new(env!("CARGO_BIN_EXE_assize")).arg("check").arg(&scenarios).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.ends_with("0 errors, 0 warnings\n"), "{text}");
}
