//! What the README says of many scenarios, run as it stands there.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::shards::Built;
use super::{ROOT, assize, said};

/// The blocks of this kind in the README's section.
fn blocks(kind: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("\n## Many of them\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("```{kind}\n");
    let parts = section.split(&fence).skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

/// Each line of the commands that are nextest's, or that are not, in a crate with three scenarios.
fn run_lines(of_nextest: bool) {
    let built = Built::wrapping();
    let root = built.crate_folder.path();
    fs::create_dir(root.join("scenarios")).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(root.join(format!("scenarios/{name}.yaml")), "run: [\"true\"]\n").unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let own = Path::new(env!("CARGO_BIN_EXE_assize")).parent().unwrap();
    let path = std::env::join_paths(std::iter::once(PathBuf::from(own)).chain(std::env::split_paths(&path)));
    let path = path.unwrap();
    let mut count = 0;
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        if line.contains("nextest") == of_nextest {
            let mut command = Command::new("sh");
            command.args(["-c", line]).env("PATH", &path).env(ROOT, "scenarios").current_dir(root);
            let ran = said(command.env("CARGO_NET_OFFLINE", "true"));
            assert_eq!(ran.code, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
            count += 1;
        }
    }
    assert!(count >= 3, "only {count} lines were found");
}

pub(crate) fn the_commands_of_the_readme_run() {
    run_lines(false);
}

pub(crate) fn the_commands_of_the_readme_run_under_nextest() {
    run_lines(true);
}

pub(crate) fn the_scenarios_of_the_readme_run() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = blocks("yaml");
    assert_eq!(blocks.len(), 1);
    fs::write(folder.path().join("shown.yaml"), &blocks[0]).unwrap();
    let run = assize(folder.path(), &["run", "shown.yaml"]);
    assert_eq!(run.code, 0, "{}", run.stdout);
}
