//! Files in every style: only the value that was to change does.
#![forbid(unsafe_code)]

use std::path::Path;

use proptest::prelude::*;

use super::change::{Change, To};
use super::splice::splice;
use super::{Also, Why, change};
use crate::matcher::sample;
use crate::scenario::Scenario;
use crate::scenario::expect::TextPattern;
use crate::scenario::load::load_bytes;
use crate::scenario::place::YamlPath;

fn load(text: &str) -> Vec<Scenario> {
    let loaded = load_bytes(Path::new("/s"), Path::new("/s/x.yaml"), text.as_bytes().to_vec());
    loaded.unwrap_or_else(|wrong| panic!("{text}\n{wrong:?}"))
}

fn stdout(scenario: &Scenario) -> &str {
    match &scenario.expect.stdout {
        Some(TextPattern::Whole(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn to(text: &str) -> Change {
    Change { at: YamlPath::from(["expect", "stdout"]), to: To::Text(text.to_owned()) }
}

/// A value of `stdout`, after its key, as lines behind each other; `four`: how deep a block stands.
fn values() -> impl Strategy<Value = String> {
    let line = "[a-zäß😀][a-z \\[\\].#:'\"$ä]{0,12}[a-z]";
    let lines = prop::collection::vec(line, 1..5);
    let block = (lines.clone(), "\\||\\|-|\\|\\+|\\|2|\\|-2|\\|2-|>|>-", any::<bool>(), 0..3_usize);
    let block = block.prop_map(|(lines, head, comment, blank)| {
        let comment = if comment { "  # of it é" } else { "" };
        let between = if head.starts_with('>') { "\n\n" } else { "\n" };
        let lines: Vec<String> = lines.iter().map(|line| format!("    {line}")).collect();
        format!("{head}{comment}\n{}\n{}", lines.join(between), "\n".repeat(blank))
    });
    prop_oneof![
        4 => block,
        1 => "[a-z]{1,8}( [a-zä]{1,5})?  # plain".prop_map(|text| text + "\n"),
        1 => "'[a-zä# ]{0,9}'  # single".prop_map(|text| text + "\n"),
        1 => "\"[a-z😀# ]{0,9}(\\\\n)?\"".prop_map(|text| text + "\n"),
        1 => Just("\"\"\n".to_owned()),
        1 => Just("&own |\n    anchored\n".to_owned()),
        1 => Just("!!str 7\n".to_owned()),
    ]
}

/// What a program may have written.
fn seen() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[a-zäß😀 \\[\\].#:'\"$&*!|>%@`{},-]{0,14}",
        "[a-z]{1,3}",
        Just("---".to_owned()),
        "\t[a-z]",
        "[a-z]\u{1b}\\[0m\u{7f}"
    ];
    (prop::collection::vec(line, 0..6), any::<bool>()).prop_map(|(lines, ends)| {
        let text = lines.join("\n");
        if ends && !text.is_empty() { text + "\n" } else { text }
    })
}

fn file(value: &str, crlf: bool) -> String {
    let text = format!(
        "# grün\nname: one\nabout: \"ünder # test\"\nenv: {{ A: &a 'x', B: *a }}   # aliases\nrun: [\"true\"]\nexpect:\n  # before\n  stdout: \
         {value}  # behind, 😀\n  stderr: 'it''s'   # stays\n  files:\n    out: |-\n      one\n\n      two\n---\nname: two\nrun: [\"true\"]\n"
    );
    if crlf { text.replace('\n', "\r\n") } else { text }
}

/// Everything of a scenario that is not `stdout`.
fn rest(scenario: &Scenario) -> String {
    let Scenario { test, about, env, action, expect, .. } = scenario;
    format!("{test:?} {about:?} {env:?} {action:?} {:?} {:?} {:?}", expect.stderr, expect.files, expect.exit)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_the_value_changes(value in values(), new in seen(), crlf in any::<bool>()) {
        let before = file(&value, crlf);
        let scenarios = load(&before);
        let after = splice(&before, 0, &[], &[to(&new)]).unwrap();
        let loaded = load(&after);
        prop_assert_eq!(stdout(&loaded[0]), &new);
        prop_assert_eq!(rest(&loaded[0]), rest(&scenarios[0]));
        prop_assert_eq!(rest(&loaded[1]), rest(&scenarios[1]));
        // What stands before and behind it, byte for byte.
        let parts = |text: &str| {
            let (head, tail) = text.split_once("stdout: ").unwrap();
            let (_, tail) = tail.rsplit_once("  # behind, 😀").unwrap();
            (head.to_owned(), tail.to_owned())
        };
        prop_assert_eq!(parts(&before), parts(&after));
        for comment in ["# of it é", "# plain", "# single", "&own"] {
            prop_assert_eq!(before.contains(comment), after.contains(comment), "{}", after);
        }
        prop_assert_eq!(crlf, !after.replace("\r\n", "").contains('\n') && after.contains("\r\n"));
        // The same once more, and back to what was there.
        prop_assert_eq!(&splice(&after, 0, &[], &[to(&new)]).unwrap(), &after);
        let old = stdout(&scenarios[0]).to_owned();
        prop_assert_eq!(&splice(&before, 0, &[], &[to(&old)]).unwrap(), &before);
    }

    #[test]
    fn lines_that_stay_keep_their_bytes(nth in 0..4_usize, crlf in any::<bool>()) {
        let before = file("|  # c\n    a\n      \n    \tb  \n     c\n", crlf);
        let mut lines: Vec<String> = stdout(&load(&before)[0]).lines().map(str::to_owned).collect();
        lines[nth] = "new".to_owned();
        let new = lines.join("\n") + "\n";
        let after = splice(&before, 0, &[], &[to(&new)]).unwrap();
        let differ: Vec<_> = before.split('\n').zip(after.split('\n')).filter(|(one, two)| one != two).collect();
        prop_assert_eq!(differ.len(), 1, "{}", after);
        prop_assert_eq!(before.split('\n').count(), after.split('\n').count());
    }
}

#[test]
fn what_stands_for_others_is_refused() {
    let refused = |text: &str, axes: &[&str]| {
        let axes: Vec<String> = axes.iter().map(|axis| (*axis).to_owned()).collect();
        splice(text, 0, &axes, &[to("new\n")]).unwrap_err().1
    };
    let head = "name: x\nrun: [\"true\"]\n";
    assert_eq!(refused(&format!("{head}expect: {{ stdout: &a x, stderr: *a }}\n"), &[]), Why::Shared);
    assert_eq!(refused(&format!("{head}expect: {{ stderr: &a x, stdout: *a }}\n"), &[]), Why::Alias);
    assert_eq!(refused(&format!("{head}stdin: y\nexpect: {{ stderr: x }}\n"), &[]), Why::Absent);
    assert_eq!(
        refused(&format!("{head}each: {{ n: [1] }}\nexpect: {{ stdout: of $n }}\n"), &["n"]),
        Why::Template("n".to_owned())
    );
    // An anchor that nobody uses stands for nobody else.
    let text = format!("{head}expect: {{ stdout: &a x }}\n");
    assert_eq!(splice(&text, 0, &[], &[to("new")]).unwrap(), text.replace("&a x", "&a new"));
}

#[test]
fn lines_are_put_at_the_end_of_a_list() {
    let more = |text: &str| {
        let at = YamlPath::from(["expect", "verdicts", "sees"]);
        let change = Change { at, to: To::More(vec!["{ call: open }".to_owned()]) };
        splice(text, 0, &[], &[change]).unwrap()
    };
    for (before, after) in [
        ("    sees: []", "    sees: [{ call: open }]"),
        ("    sees: [ { call: kill } ]", "    sees: [ { call: kill }, { call: open } ]"),
        ("    sees:\n    - { call: kill } # c", "    sees:\n    - { call: kill } # c\n    - { call: open }"),
        (
            "    sees:\n      - call: kill\n        times: 2   # c\n      # of never",
            "    sees:\n      - call: kill\n        times: 2   # c\n      - { call: open }\n      # of never",
        ),
    ] {
        let file = |sees: &str| format!("expect:\n  verdicts:\n{sees}\n    exhaustive: deny\n");
        assert_eq!(more(&file(before)), file(after));
        assert_eq!(more(&file(before).replace('\n', "\r\n")), file(after).replace('\n', "\r\n"));
    }
    assert_eq!(
        more("expect:\n  verdicts:\n    # c\n    exhaustive: deny\n"),
        "expect:\n  verdicts:\n    # c\n    sees:\n      - { call: open }\n    exhaustive: deny\n"
    );
    assert_eq!(
        more("expect: { verdicts: { exhaustive: deny } }\n"),
        "expect: { verdicts: { sees: [{ call: open }], exhaustive: deny } }\n"
    );
}

#[test]
fn a_denial_that_is_gone_is_not_taken() {
    use assize_core::trace::{Action, Origin};
    let text =
        "run: [\"true\"]\nexpect: { verdicts: { sees: [{ call: openat, path: /etc/x, verdict: deny }] } }\n";
    let mut seen = sample::quiet();
    seen.events = sample::events(vec![sample::open("/etc/x", "O_RDONLY", Action::Allow, Origin::Kernel)]);
    let changes = |also: Also| change::changes(&load(text)[0], &seen, &also);
    assert!(matches!(changes(Also::default()), Err((_, Why::Pattern { .. }))));
    let taken = changes(Also { allowed: true, ..Also::default() }).unwrap();
    assert_eq!(
        taken.iter().map(|change| change.at.to_string()).collect::<Vec<_>>(),
        ["expect.verdicts.sees[0].verdict"]
    );
}
