//! No file takes a test run down: whatever lies in it, loading ends soon, with scenarios or with what is wrong.
#![forbid(unsafe_code)]
// A test may unwrap, and so may what only tests call.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use assize_harness::diagnostic::Diagnostic;
use assize_harness::scenario::{Scenario, discover, load, load_named};

fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, content).unwrap();
    file
}

fn loaded(content: &[u8]) -> Result<Vec<Scenario>, Vec<Diagnostic>> {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path(), &write(folder.path(), "case.yaml", content))
}

/// Loads it and renders what is wrong, plain and in colour.
fn rendered(content: &[u8]) -> String {
    match loaded(content) {
        Ok(scenarios) => format!("{} scenarios", scenarios.len()),
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            diagnostics.iter().for_each(|diagnostic| assert!(!diagnostic.render(true).is_empty()));
            diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect()
        }
    }
}

#[test]
fn what_is_no_text_is_said() {
    let shown = rendered(b"run: [true]\nabout: \xff\xfe\n");
    assert!(shown.contains("the file is not UTF-8") && shown.contains("case.yaml:2:8"), "{shown}");
    let shown = rendered(b"run: [true]\n\0policy: {}\n");
    assert!(shown.contains("U+0000") && shown.contains("case.yaml:2:1"), "{shown}");
    let shown = rendered(b"run: [\"\x1b[2J\"]\n");
    assert!(shown.contains("U+001B") && !shown.contains('\x1b'), "{shown}");
    let shown = rendered(&vec![b' '; (1 << 20) + 1]);
    assert!(shown.contains("larger than 1024 KiB"), "{shown}");
}

#[test]
fn a_byte_order_mark_is_no_content() {
    assert_eq!(loaded("\u{feff}run: [true]\n".as_bytes()).unwrap().len(), 1);
    let shown = rendered("\u{feff}rnu: [true]\n".as_bytes());
    assert!(shown.contains("case.yaml:1:1"), "{shown}");
}

#[test]
fn line_ends_of_other_systems_are_line_ends() {
    assert_eq!(loaded(b"run: [true]\r\nabout: x\r\n").unwrap().len(), 1);
    let shown = rendered(b"run: [true]\r\nabuot: x\r\n");
    assert!(shown.contains("case.yaml:2:1"), "{shown}");
}

/// How much of a processor's time this thread has had: whatever else the machine does is not in it.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[test]
fn large_files_end_soon() {
    let fill = |piece: &str| piece.repeat((1 << 20) / piece.len()).into_bytes();
    let with = |head: &str, piece: &str, tail: &str| {
        let count = ((1 << 20) - head.len() - tail.len()) / piece.len();
        format!("{head}{}{tail}", piece.repeat(count)).into_bytes()
    };
    let keys: String = (0..60_000).map(|key| format!("key{key}: x\n")).collect();
    let indented: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let anchors: String = (0..60).map(|depth| format!("&a{depth} [")).collect();
    let cells: String = {
        let values: Vec<_> = (0..999).map(|value| value.to_string()).collect();
        format!("each: {{ a: [{}] }}\nrun: [\"$a\", {}]", values.join(","), "x,".repeat(400_000))
    };
    let long = format!("each: {{ a: [\"{}\"] }}\nrun: [{}]", "x".repeat(500_000), "$a,".repeat(150_000));
    let aliases = format!("about: &a \"{}\"\nrun: [{}]", "x".repeat(500_000), "*a ,".repeat(120_000));
    let axes: String = (0..60_000).map(|axis| format!("a{axis}: [1], ")).collect();
    let axes = format!("each: {{ {axes} }}\nrun: [true]\n");
    let heavy: String = (0..999).map(|value| format!("{value},")).collect();
    let heavy = format!("each: {{ a: [\"{}\"], b: [{heavy}] }}\nrun: [$a, $b]\n", "x".repeat(1_000_000));
    let cases = [
        axes.into_bytes(),
        heavy.into_bytes(),
        fill("["),
        fill("{a: "),
        fill("- "),
        fill("? "),
        fill("---\n"),
        fill("--- a\n"),
        fill("name: x\nrun: [true]\n---\n"),
        fill("\n"),
        fill("#\n"),
        fill("&a "),
        fill("!!str "),
        fill("*a "),
        fill("\""),
        fill("'"),
        fill("x"),
        fill("x "),
        fill("x: "),
        fill("ß: ä\n"),
        fill("%TAG ! x\n"),
        with("run: \"", "x", "\""),
        with("run: |\n", " x\n", ""),
        with("run: [", "a,", "]"),
        with("run: {", "a,", "}"),
        with("policy: { syscalls: { deny: [", "opne,", "] } }"),
        with("needs: [", "x,", "]"),
        with("shell: ", "$a", "\n"),
        with("each: { a: [1] }\nshell: ", "$a", "\n"),
        with("each: { a: [1] }\nshell: ", "$$", "\n"),
        with("each: { a: [1] }\nshell: ", "${", "\n"),
        with("env: { A: '", "${", "' }"),
        with("env: { A: \"", "\\x41", "\" }"),
        with("attempt: [", "{ call: openat, path: /x, expect: deny },", "]"),
        with("attempt: [", "{ call: family(mount), expect: deny },", "]"),
        with("files: { a: { base64: ", "AAAA", " } }"),
        with("files: {", "a/b: c,", "}"),
        with("files: { ", "a/", "a: \"\" }"),
        with("expect: { stdout: { matches: \"", "(a*)*", "\" } }"),
        with("expect: { stdout: \"", "[..]", "\" }"),
        keys.into_bytes(),
        indented.into_bytes(),
        anchors.into_bytes(),
        cells.into_bytes(),
        long.into_bytes(),
        aliases.into_bytes(),
    ];
    for content in cases {
        let head = String::from_utf8_lossy(&content[..content.len().min(60)]).into_owned();
        let start = worked();
        let shown = rendered(&content);
        let took = worked() - start;
        assert!(took < Duration::from_secs(20), "{head:?} took {took:?}");
        if std::env::var_os("ASSIZE_TIMES").is_some() {
            println!("{took:>10.1?} {head:?} {}", shown.lines().next().unwrap_or_default());
        }
    }
}

/// Whatever was written, what is said of it can be read.
#[test]
fn what_is_wrong_is_said_in_few_words() {
    let long = "x".repeat(200_000);
    for case in [
        format!("needs: [{long}]\nrun: [a]"),
        format!("needs: [kernel >= {long}]\nrun: [a]"),
        format!("needs: [kernel <> {long}]\nrun: [a]"),
        format!("needs: [\"program({long}\"]\nrun: [a]"),
        format!("without: [{long}]\nrun: [a]"),
        format!("run: [a]\nexpect: {{ exit: {long} }}"),
        format!("run: [a]\nexpect: {{ exit: {{ signal: {long} }} }}"),
        format!("run: [a]\nexpect: {{ stdout: {{ matches: \"({long}\" }} }}"),
        format!("run: [a]\nexpect: {{ stdout: {{ glob: \"[{long}\" }} }}"),
        format!("run: [a]\nexpect: {{ files: {{ a: {{ mode: {long} }} }} }}"),
        format!("run: [a]\nexpect: {{ verdicts: {{ sees: [{{ call: {long} }}] }} }}"),
        format!("run: [a]\nexpect: {{ verdicts: {{ sees: [{{ call: open, flags: {long} }}] }} }}"),
        format!("run: [a]\nexpect: {{ verdicts: {{ sees: [{{ call: open, errno: {long} }}] }} }}"),
        format!("run: [a]\nexpect: {{ verdicts: {{ sees: [{{ call: open, by: {long} }}] }} }}"),
        format!("run: [a]\nexpect: {{ verdicts: {{ sees: [{{ call: open, pid: {long} }}] }} }}"),
        format!("run: [a]\nexpect: {{ verdicts: {{ sees: [{{ call: open, to: {long} }}] }} }}"),
        format!("run: [a]\nexpect: {{ verdicts: {{ sees: [{{ call: open, times: {long} }}] }} }}"),
        format!("run: [a]\nexpect: {{ verdicts: {{ sees: [{{ call: open, args: {{ {long}: 1 }} }}] }} }}"),
        format!("attempt: [{{ call: openat, flags: {long}, expect: deny }}]"),
        format!("attempt: [{{ call: openat, mode: {long}, expect: deny }}]"),
        format!("attempt: [{{ call: openat, dirfd: {long}, expect: deny }}]"),
        format!("attempt: [{{ call: connect, to: {long}, expect: deny }}]"),
        format!("attempt: [{{ call: openat, args: {{ {long}: 1 }}, expect: deny }}]"),
        format!("attempt: [{{ call: openat, registers: {{ {long}: 1 }}, expect: deny }}]"),
        format!("attempt: [{{ call: openat, path: /x, read: {long}, expect: deny }}]"),
        format!("attempt: [{{ call: openat, expect: {long} }}]"),
        format!("policy: {{ fs: {{ read: [{long}] }} }}\nrun: [a]"),
        format!("policy: {{ limits: {{ timeout: {long} }} }}\nrun: [a]"),
        format!("policy: {{ env: {{ \"={long}\": a }} }}\nrun: [a]"),
        format!("policy: {{ hostname: {long} }}\nrun: [a]"),
        format!("policy: {{ isolation: {long} }}\nrun: [a]"),
        format!("env: {{ A: ${long} }}\nrun: [a]"),
        format!("files: {{ a: {{ mode: {long} }} }}\nrun: [a]"),
        format!("run: {long}"),
        format!("run: [!{long} a]"),
        format!("name: \"[{long}\"\nrun: [a]"),
        format!("each: {{ {long}: [1] }}\nrun: [a]"),
        format!("each: {{ a: [1], exclude: [{{ {long}: 1 }}] }}\nrun: [$a]"),
        format!("{long}: a\nrun: [a]"),
    ] {
        let wrong = loaded(case.as_bytes()).unwrap_err();
        for diagnostic in wrong {
            let said = [&diagnostic.title, &diagnostic.label].into_iter().chain(&diagnostic.notes);
            for text in said.chain(&diagnostic.help) {
                assert!(text.chars().count() <= 2001, "{} bytes for {:.80}: {text:.200}", text.len(), case);
            }
            assert!(diagnostic.span.is_some(), "{}", diagnostic.title);
        }
    }
}

/// Small changes to files that are nearly right find what large ones don't.
#[test]
fn mangled_files_end_in_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let yaml = text.split("==== ").skip(1).filter_map(|case| case.split_once('\n'));
        texts.extend(yaml.map(|(_, rest)| rest.split("----\n").next().unwrap_or(rest).as_bytes().to_vec()));
    }
    texts.sort();
    // A linear congruential generator: the same files in every run.
    let mut state: u64 = 42;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    const ODD: &[&str] = &[
        "\n",
        " ",
        "\t",
        ":",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&a",
        "*a",
        "!",
        "|",
        ">",
        "\"",
        "'",
        "#",
        "%",
        "@",
        "`",
        "$",
        "$$",
        "${",
        "$a",
        "~",
        "null",
        "\u{85}",
        "\u{2028}",
        "ä",
        "\u{feff}",
        "---\n",
        "...\n",
        "? ",
        "<<: ",
        "0",
        "-1",
        "1e9",
        "18446744073709551616",
        "family(",
        ")",
        "\\",
        "/",
        "..",
        "\r",
    ];
    for _ in 0..4000 {
        let mut text = texts[draw(texts.len())].clone();
        for _ in 0..=draw(3) {
            let at = draw(text.len() + 1);
            match draw(4) {
                0 => drop(text.splice(at..at, ODD[draw(ODD.len())].bytes())),
                1 => text.truncate(at),
                2 => {
                    let end = (at + draw(8)).min(text.len());
                    drop(text.drain(at..end));
                }
                _ => {
                    let other = texts[draw(texts.len())].clone();
                    let from = draw(other.len() + 1);
                    drop(text.splice(at..at, other[from..].iter().copied()));
                }
            }
        }
        rendered(&text);
    }
}

#[test]
fn what_is_no_file_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("dir.yaml")).unwrap();
    let said = |name: &str| load(folder.path(), &folder.path().join(name)).unwrap_err()[0].title.clone();
    assert_eq!(said("dir.yaml"), "this is not a regular file");
    assert!(said("none.yaml").starts_with("the file can't be read: "));
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.yaml")).unwrap();
    assert_eq!(said("zero.yaml"), "this is not a regular file");
}

#[test]
fn scenario_files_are_found_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in [
        "b.yaml",
        "a.yml",
        "_c.yaml",
        ".d.yaml",
        "e.txt",
        "sub/f.yaml",
        "_sub/g.yaml",
        ".sub/h.yaml",
        "yaml",
        "sub/deep/i.yaml",
    ] {
        write(root, name, b"run: [true]");
    }
    std::os::unix::fs::symlink(root, root.join("sub/loop")).unwrap();
    let found: Vec<_> = discover(root)
        .unwrap()
        .into_iter()
        .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, ["a.yml", "b.yaml", "sub/deep/i.yaml", "sub/f.yaml"]);
    assert!(discover(&root.join("none")).is_err());
}

#[test]
fn a_test_is_loaded_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "dir/one.yaml", b"each: { a: [1, 2] }\nrun: [echo, $a]");
    write(root, "two.yaml", b"name: a test\nrun: [\"true\"]\n---\nname: another\nrun: [\"true\"]");
    write(root, "broken.yaml", b"rnu: [true]");
    let name = |name: &str| load_named(root, name).unwrap().map(|scenario| scenario.test.to_string());
    for known in ["dir/one.yaml::one[a=1]", "dir/one.yaml::one[a=2]", "two.yaml::a test", "two.yaml::another"]
    {
        assert_eq!(name(known).as_deref(), Some(known));
    }
    for unknown in [
        "dir/one.yaml::one",
        "dir/one.yaml::one[a=3]",
        "one.yaml::one",
        "../two.yaml::a test",
        "/etc/passwd::x",
        "",
        "::",
        "two.yaml",
        "dir::x",
        "dir/../two.yaml::another",
    ] {
        assert_eq!(name(unknown), None, "{unknown}");
    }
    assert!(load_named(root, "broken.yaml::broken").is_err());
    assert!(load_named(root, "broken.yaml").is_err());
}
