//! Every error message of a scenario file, as a reader sees it: what can't be loaded, and what every run is refused for.
//!
//! The files in `tests/diagnostics` hold cases: a title after `====`, the file's text, and after `----` what is shown. Other
//! files beside it follow a line `==> NAME <==`.
//! `ASSIZE_GENERATE=1 cargo test --test diagnostics` writes what is shown now; read the difference before you keep it.
#![forbid(unsafe_code)]
// A test may unwrap, and so may what only tests call.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use assize_harness::lint::lint;
use assize_harness::needs::Host;
use assize_harness::scenario::load;

struct Case {
    title: String,
    yaml: String,
    shown: String,
}

fn cases(text: &str) -> Vec<Case> {
    text.split("==== ")
        .skip(1)
        .map(|case| {
            let (title, rest) = case.split_once('\n').unwrap();
            let (yaml, shown) = rest.split_once("----\n").unwrap_or((rest, ""));
            Case { title: title.into(), yaml: yaml.into(), shown: shown.trim_end().into() }
        })
        .collect()
}

fn shown(yaml: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case.yaml");
    let (own, others) = yaml.split_once("==> ").unwrap_or((yaml, ""));
    std::fs::write(&file, own).unwrap();
    for other in others.split("==> ").filter(|other| !other.is_empty()) {
        let (name, text) = other.split_once(" <==\n").unwrap();
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let (names, found) = match load(folder.path(), &file) {
        Ok(scenarios) => {
            let names: Vec<_> = scenarios.iter().map(|scenario| scenario.test.to_string()).collect();
            (names, lint(&scenarios, &Host::probe()))
        }
        Err(diagnostics) => (Vec::new(), diagnostics),
    };
    match found.into_iter().filter(|diagnostic| diagnostic.lint.is_none()).collect::<Vec<_>>() {
        none if none.is_empty() => format!("no error: {}", names.join(", ")),
        diagnostics => {
            let text: String = diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect();
            let prefix = format!("{}/", folder.path().display());
            text.replace(&prefix, "")
                .replace(&*folder.path().to_string_lossy(), "[PROJECT]")
                .trim_end()
                .to_owned()
        }
    }
}

#[test]
fn each_mistake_is_shown_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let update = std::env::var_os("ASSIZE_GENERATE").is_some();
    let mut wrong = String::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut written = String::new();
        for case in cases(&text) {
            count += 1;
            let now = shown(&case.yaml);
            write!(written, "==== {}\n{}----\n{now}\n\n", case.title, case.yaml).unwrap();
            if now != case.shown {
                writeln!(wrong, "{}: {}\nwas:\n{}\nis:\n{now}\n", path.display(), case.title, case.shown)
                    .unwrap();
            }
        }
        if update {
            std::fs::write(&path, written).unwrap();
        }
    }
    assert!(count >= 60, "only {count} cases were found");
    assert!(update || wrong.is_empty(), "{wrong}");
}
