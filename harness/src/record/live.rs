//! Which files a scenario copies anew at each run, and which it holds as they were when it was recorded.
//!
//! A program of one's own is what is tested: a copy of it would go on passing whatever became of the program. What a
//! program reads is what the test is made of, and stays. It reads names and words, and runs nothing.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::tree::{Entry, Tree};

/// A larger input is no part of the scenario's text.
const LARGEST_INLINE: usize = 16 << 10;

/// Programs that are given a program as a file, by name without a version; what they are given it by.
const INTERPRETERS: &[(&str, Given)] = &[
    ("python", Given::First),
    ("pypy", Given::First),
    ("pytest", Given::First),
    ("perl", Given::First),
    ("ruby", Given::First),
    ("node", Given::First),
    ("nodejs", Given::First),
    ("deno", Given::First),
    ("bun", Given::First),
    ("php", Given::First),
    ("lua", Given::First),
    ("luajit", Given::First),
    ("Rscript", Given::First),
    ("julia", Given::First),
    ("java", Given::First),
    ("tclsh", Given::First),
    ("guile", Given::First),
    ("sh", Given::First),
    ("bash", Given::First),
    ("dash", Given::First),
    ("zsh", Given::First),
    ("ksh", Given::First),
    ("fish", Given::First),
    (".", Given::First),
    ("source", Given::First),
    ("awk", Given::After("-f")),
    ("gawk", Given::After("-f")),
    ("mawk", Given::After("-f")),
    ("sed", Given::After("-f")),
];

/// Where a program's file stands among the words.
#[derive(Debug, Clone, Copy)]
enum Given {
    /// The first that is no option.
    First,
    /// The one behind this option.
    After(&'static str),
}

/// The programs of one's own: what was executed, what the command gives to an interpreter, and what of the same kind such a
/// program used.
pub(super) fn programs(
    words: &[String],
    executed: &BTreeSet<PathBuf>,
    used: &BTreeSet<PathBuf>,
    before: &Tree,
    folder: &Path,
) -> BTreeSet<PathBuf> {
    let is_file = |path: &PathBuf| matches!(before.entries.get(path), Some(Entry::File { .. }));
    let mut found: BTreeSet<PathBuf> = executed.iter().filter(|path| is_file(path)).cloned().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Of a script that is executed itself, its interpreter is all that is seen.
    let itself = words.first().filter(|word| word.contains('/')).and_then(|word| file(word, before, folder));
    found.extend(itself);
    for script in scripts(&words, &|word| file(word, before, folder)) {
        found.insert(script);
    }
    // The modules of a program are programs.
    let kinds: BTreeSet<&OsStr> = found.iter().filter_map(|path| path.extension()).collect();
    let alike = |path: &&PathBuf| path.extension().is_some_and(|kind| kinds.contains(kind));
    let modules: Vec<PathBuf> =
        used.iter().filter(alike).filter(|path| is_file(path) && !is_state(path)).cloned().collect();
    found.extend(modules);
    found
}

/// Whether an input is too much, or no text, for a scenario's own text to hold it.
pub(super) fn is_bulky(path: &Path, bytes: &[u8]) -> bool {
    let bulky = bytes.len() > LARGEST_INLINE || std::str::from_utf8(bytes).is_err();
    bulky && !is_state(path)
}

/// What lies in a hidden folder is some program's state, as a repository: of that either all is as it was, or all as it is.
fn is_state(path: &Path) -> bool {
    let hidden =
        |folder: &Path| folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    path.ancestors().skip(1).any(hidden)
}

/// Each script that the words of a command give to an interpreter. `file`: the file that a word names.
fn scripts(words: &[&str], file: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let known = words.iter().enumerate().find_map(|(nth, word)| Some((nth, *word, interpreter(word)?)));
    let Some((nth, name, given)) = known else { return Vec::new() };
    let rest = words.get(nth + 1..).unwrap_or_default();
    if let Given::After(option) = given {
        let behind = rest.windows(2).filter(|pair| pair.first() == Some(&option));
        return behind.filter_map(|pair| file(pair.last()?)).collect();
    }
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match *word {
            // The program is a word itself.
            "-c" if is_shell(name) => {
                return rest.next().map_or_else(Vec::new, |script| in_script(script, file));
            }
            // What a shell fails at.
            "-e" if is_shell(name) => {}
            "-c" | "-e" | "--eval" => return Vec::new(),
            "-m" => {
                let module = rest.next().map(|name| name.replace('.', "/")).unwrap_or_default();
                let forms = [format!("{module}.py"), format!("{module}/__main__.py")];
                return forms.iter().find_map(|form| file(form)).into_iter().collect();
            }
            option if option.starts_with('-') => {}
            word => {
                let class = format!("{word}.class");
                // `pytest x.py::test`
                let plain = word.split("::").next().unwrap_or(word);
                if let Some(found) = file(word).or_else(|| file(plain)).or_else(|| file(&class)) {
                    return vec![found];
                }
            }
        }
    }
    Vec::new()
}

/// The file that a command gives to an interpreter, if it does: what is recorded of it is called after that.
pub(crate) fn script(words: &[String], folder: &Path) -> Option<PathBuf> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_text = words.first().is_some_and(|word| is_shell(word)) && words.contains(&"-c");
    let file = |word: &str| folder.join(word).is_file().then(|| PathBuf::from(word));
    if is_text { None } else { scripts(&words, &file).into_iter().next() }
}

/// As far as a script's words show it.
fn in_script(script: &str, file: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let commands = script.split(|c: char| ";|&\n(){}`".contains(c));
    let mut found = Vec::new();
    for command in commands {
        let words: Vec<&str> =
            command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        found.extend(scripts(&words, file));
    }
    found
}

fn interpreter(word: &str) -> Option<Given> {
    // `.` has no name as a path.
    let name = Path::new(word).file_name().and_then(OsStr::to_str).unwrap_or(word);
    let plain = if word == "." {
        word
    } else {
        name.trim_end_matches(|c: char| c.is_ascii_digit() || ".-".contains(c))
    };
    INTERPRETERS.iter().find(|(known, _)| *known == plain).map(|(_, given)| *given)
}

/// Who runs a file that is executed itself, as its first line says (`man 2 execve`).
pub(super) fn interpreted_by(entry: &Entry) -> Option<PathBuf> {
    let Entry::File { bytes, .. } = entry else { return None };
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line).ok()?.split_whitespace().next().map(PathBuf::from)
}

fn is_shell(word: &str) -> bool {
    let name = Path::new(word).file_name().and_then(OsStr::to_str).unwrap_or(word);
    ["sh", "bash", "dash", "zsh", "ksh", "fish"].contains(&name)
}

/// The file of the folder that a word names.
fn file(word: &str, before: &Tree, folder: &Path) -> Option<PathBuf> {
    let path = inside(Path::new(word), folder)?;
    match before.entries.get(&path) {
        Some(Entry::File { .. }) => Some(path),
        // A link is kept as one; the program is what it leads to.
        Some(Entry::Symlink(_)) => {
            let leads = folder.join(&path).canonicalize().ok()?.strip_prefix(folder).ok()?.to_owned();
            matches!(before.entries.get(&leads), Some(Entry::File { .. })).then_some(leads)
        }
        _ => None,
    }
}

/// A path of the folder, relative to it.
pub(super) fn inside(path: &Path, folder: &Path) -> Option<PathBuf> {
    let plain = crate::lexical::plain(&folder.join(path));
    let inside = plain.strip_prefix(folder).ok()?;
    (!inside.as_os_str().is_empty()).then(|| inside.to_owned())
}

/// A path as it reads in another folder. Where they have nothing but the root in common, it stays.
pub(super) fn relative(path: &Path, folder: &Path) -> PathBuf {
    let shared = path.components().zip(folder.components()).take_while(|(one, two)| one == two).count();
    if shared < 2 {
        return path.to_owned();
    }
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(path.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interpreter_is_given_is_a_program() {
        let file = |word: &str| {
            ["report.py", "in.csv", "lib.sh", "p/__main__.py", "t.awk"]
                .contains(&word)
                .then(|| PathBuf::from(word))
        };
        for (command, wanted) in [
            ("python3 report.py in.csv out", "report.py"),
            ("/usr/bin/python3.11 -W ignore report.py in.csv", "report.py"),
            ("env X=1 python report.py", "report.py"),
            ("python3 -m p in.csv", "p/__main__.py"),
            ("python3 -c code in.csv", ""),
            ("cat in.csv", ""),
            ("bash -eu lib.sh in.csv", "lib.sh"),
            ("sh -e lib.sh in.csv", "lib.sh"),
            ("perl -e code in.csv", ""),
            ("awk -f t.awk in.csv", "t.awk"),
            ("awk code in.csv", ""),
        ] {
            let words: Vec<&str> = command.split(' ').collect();
            let found: Vec<_> =
                scripts(&words, &file).iter().map(|path| path.display().to_string()).collect();
            assert_eq!(found.join(" "), wanted, "{command}");
        }
        let script = ". lib.sh; cat in.csv | python3 'report.py' - && sort in.csv";
        let found = scripts(&["sh", "-c", script], &file);
        assert_eq!(found, [PathBuf::from("lib.sh"), PathBuf::from("report.py")]);
    }

    #[test]
    fn a_path_is_said_from_where_it_is_read() {
        let of =
            |path: &str, folder: &str| relative(Path::new(path), Path::new(folder)).display().to_string();
        assert_eq!(of("/a/b/x", "/a/b"), "x");
        assert_eq!(of("/a/b/x", "/a/b/scenarios"), "../x");
        assert_eq!(of("/a/b/x", "/a/c/d"), "../../b/x");
        assert_eq!(of("/a/x", "/b"), "/a/x");
    }

    #[test]
    fn a_state_is_of_one_piece() {
        assert!(is_bulky(Path::new("a.bin"), b"\xff"));
        assert!(is_bulky(Path::new("a.txt"), &[b'a'; LARGEST_INLINE + 1]));
        assert!(!is_bulky(Path::new("a.txt"), b"a"));
        assert!(!is_bulky(Path::new(".git/index"), b"\xff"));
        assert!(is_bulky(Path::new(".hidden"), b"\xff"));
    }
}
