//! Names that mean nothing where they stand: variables and names in brackets that are like one that is known, and globs where
//! only a name is meant.
//!
//! Commands have uses of their own for dollars and brackets, so a name that is like none is never spoken of.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;

use super::{Lint, Warning};
use crate::scenario::expect::{Expectation, FilePattern, Redactions, is_redaction_name};
use crate::scenario::files::FileSpec;
use crate::scenario::place::{Step, YamlPath};
use crate::scenario::policy::default_env;
use crate::scenario::template::{Piece, pieces};
use crate::scenario::{Action, Scenario, nearest};

/// So many names in brackets are looked at.
const MOST_NAMES: usize = 100;
/// What stands for the work folder, with a dollar or in brackets.
const WORK: &str = "WORK";

pub(super) fn look(scenario: &Scenario, found: &mut Vec<Warning>) {
    variables(scenario, found);
    brackets(scenario, found);
    absent_globs(scenario, &scenario.expect, &YamlPath::from(["expect"]), found);
    if let Some(expect) = scenario.sweep.as_ref().and_then(|sweep| sweep.expect.as_ref()) {
        absent_globs(scenario, expect, &YamlPath::from(["sweep", "expect"]), found);
    }
}

/// Whether one of the keys of a path is this.
fn has_key(at: &YamlPath, key: &str) -> bool {
    at.0.iter().any(|step| matches!(step, Step::Key(own) if own == key))
}

fn begins(at: &YamlPath, keys: &[&str]) -> bool {
    let own = at.0.iter().map(|step| if let Step::Key(key) = step { key } else { "" });
    at.0.len() >= keys.len() && own.zip(keys).all(|(own, key)| own == *key)
}

/// The name that one must have meant. Of a short name, one with another letter is another word: `WORD` is no misspelt `WORK`.
/// `strict`: so is one with a letter more or less.
fn meant<'a>(written: &str, known: impl IntoIterator<Item = &'a str>, strict: bool) -> Option<&'a str> {
    let letters = |word: &str| {
        let mut letters: Vec<char> = word.to_uppercase().chars().collect();
        letters.sort_unstable();
        letters
    };
    nearest(written, known).filter(|near| {
        let longer = !strict && near.len() == 4 && near.len() != written.len();
        near.len() > 4 || longer || letters(near) == letters(written)
    })
}

fn variables(scenario: &Scenario, found: &mut Vec<Warning>) {
    let axes = || scenario.test.cell.iter().map(|(axis, _)| axis.as_str());
    let given = scenario.env.keys().chain(scenario.policy.env.keys()).map(|name| name.0.as_str());
    // Of an axis only what a second dollar keeps from it is left.
    let given = given.chain(axes());
    let given: BTreeSet<&str> = given.chain(default_env().map(|(name, _)| name)).chain([WORK]).collect();
    for (at, text) in scenario.source.texts(scenario.document) {
        let command = begins(&at, &["run"]) || begins(&at, &["shell"]);
        // What a file says is its own affair, but for what a matrix puts there.
        let work = (command || begins(&at, &["files"]) && has_key(&at, "symlink")).then_some(WORK);
        if !command && !begins(&at, &["files"]) {
            continue;
        }
        let script = !begins(&at, &["run"]) || text.contains(char::is_whitespace);
        let mut said = BTreeSet::new();
        for piece in pieces(text) {
            let Piece::Variable { name, written } = piece else { continue };
            // What a script names without a dollar is its own, and so are small letters that no axis has.
            if script && is_bare(name, text) || given.contains(name) || !said.insert(name) {
                continue;
            }
            let work = work.filter(|_| !(script && name.contains(char::is_lowercase)));
            let warning = || {
                Warning::new(
                    Lint::Misspelt,
                    at.clone(),
                    format!("`{written}` is no variable of the scenario"),
                )
                .help(
                    "the scenario puts nothing there: it is left to the command, which may have a use for it",
                )
            };
            if let Some(near) = meant(name, axes().chain(work), script) {
                found.push(warning().label(format!("did you mean `${near}`?")));
            } else if !script && could_be_axis(scenario, name) && is_plain(text) && !is_code(scenario, &at) {
                found.push(warning().label("no axis is called so"));
            }
        }
    }
    expected_variables(scenario, found);
}

/// Whether there are axes, and one could be called so.
fn could_be_axis(scenario: &Scenario, name: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !scenario.test.cell.is_empty()
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(letters)
}

/// Whether a word of a command is one that no program would take apart: a name, a path, an option.
fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=,+@%".contains(c);
    pieces(word).all(|piece| if let Piece::Text(text) = piece { text.chars().all(plain) } else { true })
}

/// Whether a word of a command stands behind an option that takes a script.
fn is_code(scenario: &Scenario, at: &YamlPath) -> bool {
    let (Action::Run(words), Some(Step::Index(nth))) = (&scenario.action, at.0.last()) else { return false };
    let before = nth.checked_sub(1).and_then(|before| words.get(before));
    before.is_some_and(|word| word.as_str().starts_with('-') && word.as_str().ends_with(['c', 'e', 'E']))
}

/// Variables in what is expected. What a script, a file or the input says with a dollar, it may well write.
fn expected_variables(scenario: &Scenario, found: &mut Vec<Warning>) {
    let texts = scenario.source.texts(scenario.document);
    let names = |text| {
        pieces(text).filter_map(|piece| match piece {
            Piece::Variable { name, written } => Some((name, written)),
            _ => None,
        })
    };
    let own = |at: &YamlPath| ["shell", "files", "stdin", "run"].iter().any(|key| begins(at, &[key]));
    let written = texts.iter().filter(|(at, _)| own(at)).flat_map(|(_, text)| names(text));
    let axes = || scenario.test.cell.iter().map(|(axis, _)| axis.as_str());
    // Of an axis only what a second dollar keeps from it is left.
    let said: BTreeSet<&str> = written.map(|(name, _)| name).chain(axes()).collect();
    let expected = |at: &YamlPath| begins(at, &["expect"]) || begins(at, &["sweep", "expect"]);
    for (at, text) in texts.iter().filter(|(at, _)| expected(at) && !has_key(at, "matches")) {
        let unknown = names(text).find(|(name, _)| could_be_axis(scenario, name) && !said.contains(name));
        if let Some((name, written)) = unknown {
            let title = format!("`{written}` is no variable of the scenario");
            let label = match meant(name, axes(), false) {
                Some(near) => format!("did you mean `${near}`?"),
                None => "no axis is called so".to_owned(),
            };
            found.push(
                Warning::new(Lint::Misspelt, at.clone(), title)
                    .label(label)
                    .help("the scenario puts nothing there: the text itself is expected"),
            );
        }
    }
}

/// Whether a text names this without a dollar before it, as who sets a variable does.
fn is_bare(name: &str, text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(start, _)| {
        let before = text.get(..start).unwrap_or_default();
        let after = text.get(start + name.len()..).unwrap_or_default();
        !before.ends_with(|c| letter(c) || matches!(c, '$' | '{')) && !after.starts_with(letter)
    })
}

/// `[NAME]` in expected texts.
fn brackets(scenario: &Scenario, found: &mut Vec<Warning>) {
    let expected = |at: &YamlPath| begins(at, &["expect"]) || begins(at, &["sweep", "expect"]);
    // There brackets are sets of letters.
    let pattern = |at: &YamlPath| ["matches", "glob", "verdicts"].iter().any(|key| has_key(at, key));
    let texts: Vec<_> = scenario.source.texts(scenario.document);
    let texts: Vec<_> = texts.into_iter().filter(|(at, _)| expected(at) && !pattern(at)).collect();
    let captured =
        texts.iter().flat_map(|(_, text)| bracketed(text)).filter_map(|inner| inner.split_once('='));
    let captured = captured.map(|(name, _)| name).filter(|name| is_redaction_name(name));
    let known: BTreeSet<&str> = scenario.expect.redact.names().chain(captured).chain([WORK]).collect();
    not_captured_yet(&texts, &scenario.expect.redact, found);
    // Each name once, and of a text full of brackets not all.
    let mut looked_at = BTreeSet::new();
    for (at, text) in &texts {
        for name in bracketed(text).filter(|name| is_redaction_name(name) && !known.contains(name)) {
            if looked_at.len() >= MOST_NAMES || !looked_at.insert(name) {
                continue;
            }
            if let Some(near) = meant(name, known.iter().copied(), false) {
                found.push(
                    Warning::new(
                        Lint::Misspelt,
                        at.clone(),
                        format!("`[{name}]` stands for nothing but itself"),
                    )
                    .label(format!("did you mean `[{near}]`?"))
                    .help("names of your own stand under `redact:`, or are captured by `[NAME=..]`"),
                );
            }
        }
    }
}

/// `[NAME]` of what is captured in the same text, but not above; or only in another text.
fn not_captured_yet(texts: &[(YamlPath, &str)], known: &Redactions, found: &mut Vec<Warning>) {
    let captures = |text| {
        let inner = bracketed(text).filter_map(|inner| inner.split_once('='));
        let inner = inner.filter(|(_, what)| *what == ".." || known.get(what).is_some());
        inner.map(|(name, _)| name).filter(|name| is_redaction_name(name) && known.get(name).is_none())
    };
    let all: BTreeSet<&str> = texts.iter().flat_map(|(_, text)| captures(text)).collect();
    // There nothing stands for anything else.
    for (at, text) in texts.iter().filter(|(at, _)| !has_key(at, "equals")) {
        let mut captured = BTreeSet::new();
        for line in text.lines() {
            // After a backslash it is plain text.
            let plain = |name: &str| line.contains(&format!("\\[{name}]"));
            let early = bracketed(line)
                .find(|name| all.contains(name) && *name != WORK && !captured.contains(name) && !plain(name));
            if let Some(name) = early {
                let title = format!("`[{name}]` is captured in no line above this one");
                found.push(Warning::new(Lint::Misspelt, at.clone(), title).help(
                    "what `[NAME=..]` captures holds in later lines of the same text; here it is plain text",
                ));
                break;
            }
            captured.extend(captures(line));
        }
    }
}

/// What stands in brackets.
fn bracketed(text: &str) -> impl Iterator<Item = &str> {
    text.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(inner, _)| inner)
}

/// Whether a name has signs that would mean something in a glob.
pub(super) fn is_globbed(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Whether something of the work folder has this name, or the scenario says it elsewhere than `here`: then it is meant.
pub(super) fn is_meant(scenario: &Scenario, name: &str, here: impl Fn(&YamlPath) -> bool) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let own = scenario.files.iter().any(|(file, what)| {
        // What is copied is not looked into.
        file.as_str() == name
            || matches!(what, FileSpec::From(_)) && Path::new(name).starts_with(file.as_path())
    });
    let texts = || scenario.source.texts(scenario.document).into_iter();
    own || texts().any(|(at, text)| !here(&at) && text.contains(last))
}

/// A name under `files` is no glob. That one is absent which nobody would give a file is no promise.
fn absent_globs(scenario: &Scenario, expect: &Expectation, at: &YamlPath, found: &mut Vec<Warning>) {
    let expected = |at: &YamlPath| begins(at, &["expect"]) || begins(at, &["sweep", "expect"]);
    for (name, pattern) in &expect.files {
        if matches!(pattern, FilePattern::Absent) && is_globbed(name) && !is_meant(scenario, name, expected) {
            let title =
                format!("`{name}` is a name here, and no glob: that no file is called so says nothing");
            found.push(
                Warning::new(Lint::LiteralGlob, at.key("files").key(name), title)
                    .help("`changes:` says what comes to be in the work folder, and takes globs"),
            );
        }
    }
}
