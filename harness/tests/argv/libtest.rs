//! The same command lines to a test target and to a libtest program with tests of the same names: the same tests, in the
//! same words.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Said, said, target};

/// Each test: file, name, what comes of it.
const TESTS: [(&str, &str, Comes); 7] = [
    ("alpha", "alpha", Comes::Good),
    ("beta", "one", Comes::Good),
    ("beta", "two", Comes::Good),
    ("beta", "twofold", Comes::Good),
    ("gamma", "lacking_one", Comes::Ignored),
    ("gamma", "present", Comes::Good),
    ("zeta", "fails", Comes::Bad),
];

#[derive(Clone, Copy)]
enum Comes {
    Good,
    Bad,
    Ignored,
}

/// A name as libtest can have it, whose file is a module.
fn as_module(text: &str) -> String {
    text.replace(".yaml::", "_yaml::")
}

fn scenarios(root: &Path) {
    // What is kept of a failed one comes to lie there, and not among the temporary folders.
    fs::create_dir(root.join("target")).unwrap();
    fs::write(root.join("Cargo.toml"), "").unwrap();
    for (file, name, comes) in TESTS {
        let (needs, code) = match comes {
            Comes::Good => ("", 0),
            Comes::Bad => ("", 1),
            Comes::Ignored => ("needs: [landlock >= 99]\n", 0),
        };
        let path = root.join(format!("{file}.yaml"));
        let before = fs::read_to_string(&path).map(|text| format!("{text}---\n")).unwrap_or_default();
        fs::write(path, format!("{before}name: {name}\n{needs}shell: exit {code}\n")).unwrap();
    }
}

fn libtest(root: &Path) -> std::path::PathBuf {
    let mut source = String::new();
    for (file, name, comes) in TESTS {
        let (attribute, body) = match comes {
            Comes::Good => ("", ""),
            Comes::Bad => ("", "panic!()"),
            Comes::Ignored => ("#[ignore]", "panic!()"),
        };
        let module = format!("mod {file}_yaml {{\n");
        if !source.contains(&module) {
            source.push_str(&module);
            source.push_str("}\n");
        }
        let test = format!("{module}    #[test] {attribute} fn {name}() {{ {body} }}\n");
        source = source.replace(&module, &test);
    }
    fs::write(root.join("libtest.rs"), source).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc
        .args(["--test", "--edition=2024", "-A", "warnings", "libtest.rs", "-o", "libtest"])
        .current_dir(root);
    let built = said(rustc);
    assert_eq!(built.code, 0, "{}", built.stderr);
    root.join("libtest")
}

/// What must be the same: everything but times, what a failure says of itself, and blanks, which libtest-mimic puts to
/// align results.
fn told(said: &Said, args: &[&str]) -> (i32, Vec<String>) {
    let threads = !args.contains(&"--test-threads=1");
    let mut details = false;
    let mut lines: Vec<_> = as_module(&said.stdout)
        .lines()
        .filter_map(|line| {
            let line = line.split("; finished in").next().unwrap_or(line);
            if line.starts_with("---- ") {
                details = true;
            } else if line == "failures:" {
                details = false;
            }
            // Where names are given, no other file is opened, so nobody knows how many there are.
            let line = match line.split_once("0 measured; ") {
                Some((result, _)) if args.contains(&"--exact") => result,
                _ => line,
            };
            let words: Vec<_> = line.split_whitespace().collect();
            let mut text = words.join(" ");
            // A sign for each test.
            if threads && text.chars().all(|c| matches!(c, '.' | 'i')) {
                let mut signs: Vec<_> = text.chars().collect();
                signs.sort_unstable();
                text = signs.into_iter().collect();
            }
            (!details && !words.is_empty()).then_some(text)
        })
        .collect();
    if threads {
        lines.sort();
    }
    (said.code, lines)
}

pub(crate) fn command_lines_mean_what_they_mean_to_libtest() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    scenarios(folder.path());
    let program = libtest(other.path());
    let two = "beta.yaml::two";
    for args in [
        &["--list"][..],
        &["--list", "--format", "terse"],
        &["--list", "--format=pretty"],
        &["--list", "-q"],
        &["--list", "--quiet", "one"],
        &["--list", "--ignored"],
        &["--list", "--include-ignored"],
        &["--list", "one", "two"],
        &["--list", "two", "--skip", "twofold"],
        &["--list", "--skip", "one", "--skip=alpha"],
        &["--list", "--exact", two, "alpha.yaml::alpha"],
        &["--list", "--exact", "two"],
        &["--list", "--exact", two, two],
        &["--list", "--exact", "--skip", two],
        &["--list", "nothing"],
        &["--list", "--test"],
        &[],
        // A failure libtest-mimic shows as the `F` that libtest had before it began to write names.
        &["-q", "--skip", "fails"],
        &["--quiet", "two"],
        &["--format", "terse", "--skip=fails"],
        &["--format=pretty", "one"],
        &["one", "lacking"],
        &["--ignored"],
        &["--ignored", "alpha"],
        &["--include-ignored"],
        &["--include-ignored", "--skip", "lacking"],
        &["--skip", "fails"],
        &["--skip", "fails", "--skip", "one"],
        &["two", "--skip", "twofold"],
        &["one", "two", "--skip", "fold"],
        &["nothing"],
        &["nothing", "two"],
        &["--exact", "two"],
        &["--exact", two],
        &["--exact", two, "alpha.yaml::alpha"],
        &["--exact", "beta.yaml::two", "--skip", two],
        &["--nocapture", "alpha"],
        &["--no-capture", "alpha"],
        &["--color", "never", "alpha"],
        &["--", "alpha"],
    ] {
        for threads in ["--test-threads=1", "--test-threads=3"] {
            // What follows `--` is no option.
            let args = [&[threads], args].concat();
            let ours = target(folder.path(), &args);
            let mut command = Command::new(&program);
            command.args(args.iter().map(|arg| as_module(arg))).current_dir(other.path());
            let theirs = said(command);
            assert_eq!(
                told(&ours, &args),
                told(&theirs, &args),
                "{args:?}:\n{}\n{}",
                ours.stdout,
                theirs.stdout
            );
        }
    }
}
