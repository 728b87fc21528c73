//! Keeps the house as `core/ARCHITECTURE.md` says that it is. It reads sources; it runs nothing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use assize_core::capability::{ALL, document};
use source::Source;

/// Lines of a file, without blank ones and comments.
const LONGEST: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file beneath a folder, as a path from the workspace's root.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root().join(&folder)).into_iter().flatten() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let paths = folders.iter().flat_map(|folder| files(folder)).filter(|path| path.ends_with(".rs"));
    let found: Vec<_> = paths.map(|path| Source::of(&path, &read(&path))).collect();
    assert!(!found.is_empty(), "no sources beneath {folders:?}");
    found
}

const SRC: &[&str] = &["core/src", "harness/src"];

/// Fails with everything that is wrong, not with the first.
fn none(wrong: impl IntoIterator<Item = String>) {
    let wrong: Vec<_> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

#[test]
fn unsafe_code_stands_in_sys_alone() {
    let mut wrong = Vec::new();
    for source in sources(SRC) {
        let path = &source.path;
        if path.starts_with("core/src/sys/") {
            continue;
        }
        if source.words().any(|word| word == "unsafe") {
            wrong.push(format!("{path}: `unsafe` outside of core/src/sys"));
        }
        let allows = source.code.matches("allow(unsafe_code)").count();
        // The root of a crate that has a module with unsafe code can't forbid it: it denies, and allows in one place.
        let (head, allowed) = match path.as_str() {
            "core/src/lib.rs" => ("#![deny(unsafe_code)]", 1),
            _ => ("#![forbid(unsafe_code)]", 0),
        };
        if source.after_docs() != Some(head) {
            wrong.push(format!("{path}: after its module docs must stand {head}"));
        }
        if allows != allowed {
            wrong.push(format!("{path}: `allow(unsafe_code)` stands {allows} times, not {allowed}"));
        }
    }
    none(wrong);
}

#[test]
fn syscalls_are_listed_in_the_vocabulary_alone() {
    let names: BTreeSet<&str> = assize_core::Syscall::all().map(|call| call.name()).collect();
    let mut wrong = Vec::new();
    for source in sources(SRC) {
        let path = &source.path;
        if path.starts_with("core/src/sys/") || path.starts_with("core/src/syscall/") || source.is_test() {
            continue;
        }
        // Evading the next test by a chain of statements is a list as well.
        let all = source.tested_code().matches("Sysno::").count();
        if all > 3 {
            wrong.push(format!("{path}: {all} `Sysno::` in one file"));
        }
        for statement in source.statements() {
            let numbers = statement.code.matches("Sysno::").count();
            if numbers > 1 && !statement.code.trim_start().starts_with("use ") {
                wrong.push(format!("{path}:{}: {numbers} `Sysno::` in one statement", statement.line));
            }
            if statement.words().any(|word| word.starts_with("SYS_")) {
                wrong.push(format!("{path}:{}: a bare number (`SYS_…`)", statement.line));
            }
            // `read` and `write` are words of policies as well, so two are no list yet.
            let named: BTreeSet<_> =
                statement.strings.iter().filter(|text| names.contains(text.as_str())).collect();
            if named.len() > 2 {
                wrong.push(format!("{path}:{}: syscalls listed by name: {named:?}", statement.line));
            }
        }
    }
    none(wrong.into_iter().map(|line| format!("{line}; name a family of core/src/syscall/family.rs")));
}

#[test]
fn every_file_says_what_it_is_for() {
    none(sources(&["core", "harness"]).iter().filter_map(|source| {
        let first = source.text.lines().next().unwrap_or_default();
        (!first.starts_with("//! ")).then(|| format!("{}: begins without module docs", source.path))
    }));
}

#[test]
fn a_file_is_about_one_noun() {
    none(sources(&["core", "harness"]).iter().filter_map(|source| {
        let lines = source.code.lines().filter(|line| !line.trim().is_empty()).count();
        (lines > LONGEST).then(|| format!("{}: {lines} lines of code, more than {LONGEST}", source.path))
    }));
}

#[test]
fn nothing_is_left_for_later() {
    let macros = ["todo!", "unimplemented!", "dbg!"];
    let words = ["TODO", "FIXME", "XXX", "HACK", "WIP"];
    let mut wrong = Vec::new();
    for source in sources(&["core", "harness"]) {
        if source.path == "core/tests/tidy.rs" {
            continue;
        }
        for (nth, line) in source.code.lines().enumerate() {
            for name in macros.iter().filter(|name| line.contains(**name)) {
                wrong.push(format!("{}:{}: {name}", source.path, nth + 1));
            }
            // Both make errors that know no place.
            for name in ["untagged", "flatten"] {
                if line.contains("serde(") && line.contains(name) {
                    wrong.push(format!("{}:{}: serde's `{name}`", source.path, nth + 1));
                }
            }
        }
        for (nth, line) in source.text.lines().enumerate() {
            for name in words.iter().filter(|word| source::words(line).any(|this| this == **word)) {
                wrong.push(format!("{}:{}: {name}", source.path, nth + 1));
            }
        }
    }
    none(wrong);
}

#[test]
fn arrows_point_one_way() {
    let manifest = read("core/Cargo.toml");
    let mut wrong = Vec::new();
    for name in ["assize-harness", "yaml", "libtest", "clap"] {
        if manifest.contains(name) {
            wrong.push(format!("core/Cargo.toml: core depends on {name}"));
        }
    }
    for source in sources(&["harness/src"]) {
        let path = &source.path;
        let is_trial = path == "harness/src/trial.rs" || path.starts_with("harness/src/trial/");
        if source.code.contains("libtest_mimic") && !is_trial {
            wrong.push(format!("{path}: only harness/src/trial knows libtest-mimic"));
        }
        if source.code.contains("assize_core::filter") {
            wrong.push(format!("{path}: the harness knows no BPF"));
        }
        if path.starts_with("harness/src/matcher/") && !source.is_test() {
            for name in ["std::fs", "File::", "std::process", "std::net", "std::env", "std::io", "println!"] {
                if source.tested_code().contains(name) {
                    wrong.push(format!("{path}: the matcher does no I/O, and this is `{name}`"));
                }
            }
        }
    }
    none(wrong);
}

/// A capability is its own file (or folder) and one line of `ALL`.
#[test]
fn a_capability_needs_no_other_file() {
    const LIST: &str = "core/src/capability/mod.rs";
    let mut wrong = Vec::new();
    let all = sources(&["core/src"]);
    let mut modules = BTreeSet::new();
    for source in &all {
        let Some(rest) = source.path.strip_prefix("core/src/capability/") else { continue };
        let module = rest.trim_end_matches(".rs").split('/').next().unwrap_or_default();
        if !["mod", "document", "envelope"].contains(&module) {
            modules.insert(module.to_owned());
        }
    }
    let list = all.iter().find(|source| source.path == LIST).unwrap();
    for module in &modules {
        let own = format!("core/src/capability/{module}");
        let places = list.code.matches(&format!("declared::<{module}::")).count();
        if places != 1 {
            wrong.push(format!("{LIST}: `{module}` stands {places} times in ALL"));
        }
        for source in all.iter().filter(|source| !source.path.starts_with(&own)) {
            let allowed = usize::from(source.path == LIST);
            let is_near = source.path.starts_with("core/src/capability/");
            let named = source.paths_to(module, is_near);
            if named > allowed {
                wrong.push(format!("{}: names the capability `{module}`", source.path));
            }
        }
    }
    if modules.len() != ALL.len() {
        wrong.push(format!("{LIST}: {} modules and {} capabilities", modules.len(), ALL.len()));
    }
    none(wrong);
}

/// A rule is known by its capability, its calls and what it is for: in verdicts, and in the list of rules not yet seen.
#[test]
fn every_rule_has_a_name() {
    let mut seen = BTreeSet::new();
    none(ALL.iter().flat_map(|declared| {
        (declared.rules)()
            .into_iter()
            .filter_map(|rule| {
                let twice = !seen.insert((declared.name, rule.calls, rule.doc));
                twice.then(|| format!("{}: two rules for {} say {:?}", declared.name, rule.calls, rule.doc))
            })
            .collect::<Vec<_>>()
    }));
}

#[test]
fn the_page_of_capabilities_is_current() {
    const PAGE: &str = "core/CAPABILITIES.md";
    let made = document();
    if std::env::var_os("ASSIZE_GENERATE").is_some_and(|value| value == "1") {
        fs::write(root().join(PAGE), &made).unwrap();
    }
    assert!(read(PAGE) == made, "{PAGE} is not what the rules say; ASSIZE_GENERATE=1 writes it");
}

/// A heading names a folder in backticks; the list beneath it names that folder's files.
#[test]
fn the_code_map_is_true() {
    let page = read("core/ARCHITECTURE.md");
    let mut folder = None;
    let mut named = BTreeSet::new();
    let mut wrong = Vec::new();
    for line in page.lines() {
        let quoted = line.split('`').nth(1);
        if line.starts_with('#') {
            folder = quoted.filter(|name| name.ends_with('/')).map(str::to_owned);
            if let Some(folder) = &folder
                && !root().join(folder).is_dir()
            {
                wrong.push(format!("{folder} is in the code map and does not exist"));
            }
        } else if let (Some(folder), true, Some(file)) = (&folder, line.starts_with("* `"), quoted) {
            let file = format!("{folder}{file}");
            if !root().join(&file).is_file() {
                wrong.push(format!("{file} is in the code map and does not exist"));
            }
            if !named.insert(file.clone()) {
                wrong.push(format!("{file} stands twice in the code map"));
            }
        }
    }
    for path in SRC.iter().flat_map(|folder| files(folder)) {
        let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
        if !is_test && !named.contains(&path) {
            wrong.push(format!("{path} is missing in the code map of core/ARCHITECTURE.md"));
        }
    }
    none(wrong);
}

/// What a page names in backticks or links to exists, and a block that says which file it is, is that file.
#[test]
fn the_pages_are_true() {
    let mut wrong = Vec::new();
    for page in ["README.md", "SECURITY.md", "core/ARCHITECTURE.md"] {
        let text = read(page);
        let folder = Path::new(page).parent().unwrap();
        for line in text.lines() {
            for quoted in line.split('`').skip(1).step_by(2) {
                let starts = ["core/", "harness/", "scenarios/", "ci/", ".ci/", "fixtures/"];
                let is_path = starts.iter().any(|start| quoted.starts_with(start))
                    && !quoted.contains([' ', '*', '<', ':'])
                    && quoted.chars().all(|c| !c.is_uppercase() || quoted.ends_with(".md"));
                if is_path && !root().join(quoted).exists() {
                    wrong.push(format!("{page}: `{quoted}` does not exist"));
                }
            }
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let local = !link.contains("://") && !link.starts_with('#');
                if local && !root().join(folder).join(link).exists() {
                    wrong.push(format!("{page}: the link to {link} leads nowhere"));
                }
            }
        }
        for block in text.split("\n<!-- file: ").skip(1) {
            let (path, rest) = block.split_once(" -->\n").unwrap();
            let shown = rest.split_once("```").and_then(|(_, rest)| rest.split_once('\n'));
            let shown = shown.and_then(|(_, rest)| rest.split_once("```")).map(|(shown, _)| shown);
            if shown != Some(&read(path)) {
                wrong.push(format!("{page}: the block of {path} is not that file"));
            }
        }
    }
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    if !read("README.md").contains(&format!("Rust {}", version.trim_matches('"'))) {
        wrong.push(format!("README.md does not name the minimum version, Rust {version}"));
    }
    none(wrong);
}

/// Each row of its tables says how Assize fares, and names what shows it, or why nothing does. (That what is named exists
/// is for `the_pages_are_true`.)
#[test]
fn the_page_of_escapes_is_whole() {
    const PAGE: &str = "SECURITY.md";
    let text = read(PAGE);
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let (mut tables, mut known, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [what, .., shown] = cells.as_slice() else { continue };
        if *shown == "shown by" {
            tables += 1;
            continue;
        }
        if cells.len() != 4 {
            wrong.push(format!("{what}: {} cells, not 4", cells.len()));
        }
        if !known.insert(what.to_owned()) {
            wrong.push(format!("{what}: stands twice"));
        }
        let fares = |cell: &&str| cell.starts_with("holds") || cell.starts_with("not promised");
        if cells.iter().filter(|cell| fares(cell)).count() != 1 {
            wrong.push(format!("{what}: says neither `holds` nor `not promised`"));
        }
        let starts = ["`scenarios/", "`core/", "`harness/"];
        let reason = shown.strip_prefix("no scenario: ").is_some_and(|reason| reason.len() > 10);
        if !reason && !shown.split(", ").all(|file| starts.iter().any(|start| file.starts_with(start))) {
            wrong.push(format!("{what}: names neither scenarios nor tests, nor why there is none"));
        }
    }
    assert!(tables == 2 && known.len() > 40, "{PAGE}: {tables} tables with {} rows", known.len());
    // A scenario that can't fail shows nothing: its twin must, which leaves the defence out, or a comment says why there is none.
    for path in text.split('`').filter(|quoted| quoted.starts_with("scenarios/") && quoted.ends_with(".yaml"))
    {
        let scenario = read(path);
        let says = |line: &str| {
            line.starts_with("without:") || line.trim_start().starts_with("# ") && line.contains("twin")
        };
        if !scenario.lines().any(says) {
            wrong.push(format!(
                "{path} has no twin with `without:`, and no comment says which one is or why there is none"
            ));
        }
    }
    // An attack that nobody counts among the ways out is one that nobody reads about.
    for path in files("scenarios/attack") {
        if !text.contains(&path) {
            wrong.push(format!("{path} stands in no row"));
        }
    }
    none(wrong.into_iter().map(|line| format!("{PAGE}: {line}")));
}

/// Sorted, each line a rule that exists, with a reason. That they are the right ones is for `harness/tests/rules.rs`.
#[test]
fn the_list_of_rules_not_yet_seen_is_tidy() {
    const LIST: &str = "ci/rules-not-yet-seen.txt";
    let mut known = BTreeSet::new();
    for declared in ALL {
        for rule in (declared.rules)() {
            known.insert(format!("{}/{}: {}", declared.name, rule.calls, rule.doc));
        }
    }
    let text = read(LIST);
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut wrong = String::new();
    if !lines.is_sorted() {
        wrong.push_str("it is not sorted\n");
    }
    for line in lines {
        match line.split_once(" — ") {
            Some((rule, reason)) if known.contains(rule) && reason.trim().len() > 10 => {}
            Some((rule, _)) if known.contains(rule) => {
                let _ = writeln!(wrong, "{rule}: without a reason");
            }
            _ => {
                let _ = writeln!(wrong, "{line}: not `capability/calls: rule — reason`, or no such rule");
            }
        }
    }
    assert!(wrong.is_empty(), "{LIST}:\n{wrong}");
}

/// The page of nondeterminism names scenarios that are there, and controls that are.
#[test]
fn every_source_of_nondeterminism_is_shown_by_a_scenario() {
    use assize_core::capability::envelope::{ENVELOPE, Hold};
    let known: Vec<_> = assize_core::capability::ALL.iter().map(|capability| capability.name).collect();
    for source in ENVELOPE {
        assert_eq!(source.by.is_none(), source.hold == Hold::NotControlled, "{}", source.what);
        assert_eq!(source.by.is_none(), source.shown_by.is_none(), "{}", source.what);
        assert!(source.by.is_none_or(|by| known.contains(&by)), "{}: {:?}", source.what, source.by);
        if let Some(path) = source.shown_by {
            assert!(root().join("scenarios").join(path).is_file(), "{}: {path}", source.what);
        }
    }
}
