//! Steps outside of the sandbox, as a test target allows them.
#![forbid(unsafe_code)]

use std::fs;
use std::process::Command;

use super::{OUTSIDE, Said, assize, said, target_with};

pub(crate) fn a_target_runs_outside_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let text = format!("outside: {{ before: [{{ run: [touch, {}] }}] }}\nrun: [echo, x]\n", made.display());
    fs::write(folder.path().join("one.yaml"), &text).unwrap();
    let of =
        |variables: &[(&str, &str)]| target_with(folder.path(), &["--exact", "one.yaml::one"], variables);

    let refused = of(&[]);
    assert_eq!(refused.code, 101, "{}", refused.stdout);
    assert!(refused.stdout.contains("that is not allowed here") && !refused.stdout.contains("ignored: one"));
    assert!(refused.stdout.contains(" one.yaml:1:1\n"), "{}", refused.stdout);
    assert!(!made.exists(), "refused, and run all the same");
    let told = |said: &Said| {
        let line = said.stdout.lines().find(|line| line.contains("to run it again")).map(str::to_owned);
        line.unwrap_or_default()
    };
    assert!(told(&refused).contains(": ASSIZE_ALLOW_OUTSIDE=1 cargo "), "{}", refused.stdout);
    for word in ["", "0"] {
        assert_eq!(of(&[("ASSIZE_ALLOW_OUTSIDE", word)]).code, 101, "{word:?}");
    }
    // What is neither yes nor no is told, and is no silent no.
    for word in ["true", "yes", " 1"] {
        let neither = of(&[("ASSIZE_ALLOW_OUTSIDE", word)]);
        assert_eq!(neither.code, 2, "{word:?}");
        assert!(neither.stderr.contains("error: ASSIZE_ALLOW_OUTSIDE is `"), "{}", neither.stderr);
        for what in ["run", "bless"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
            command.arg(what).arg(folder.path()).env("ASSIZE_ALLOW_OUTSIDE", word);
            let neither = said(command);
            assert_eq!(neither.code, 2, "{what} {word:?}");
            assert!(neither.stderr.contains("error: ASSIZE_ALLOW_OUTSIDE is `"), "{}", neither.stderr);
        }
    }
    for what in ["run", "bless"] {
        let refused = assize(folder.path(), &[what, "one.yaml"]);
        let text = refused.stdout.clone() + &refused.stderr;
        assert!(text.contains("`--allow-outside` (of `assize run` and `assize bless`)"), "{text}");
        assert!(what == "bless" || told(&refused).ends_with(" --allow-outside"), "{text}");
    }
    assert!(!made.exists());

    for variables in [[("ASSIZE_ALLOW_OUTSIDE", "1")], [(OUTSIDE, "1")]] {
        let allowed = of(&variables);
        assert_eq!(allowed.code, 0, "{}", allowed.stdout);
        fs::remove_file(&made).unwrap();
    }

    // Who blesses by the target has what the target allows, and is told the command that does.
    fs::write(folder.path().join("one.yaml"), text + "expect: { stdout: \"y\\n\" }\n").unwrap();
    let wrong = of(&[("ASSIZE_ALLOW_OUTSIDE", "1")]);
    assert!(told(&wrong).contains(": ASSIZE_ALLOW_OUTSIDE=1 cargo "), "{}", wrong.stdout);
    let wrong = of(&[(OUTSIDE, "1")]);
    assert!(!wrong.stdout.contains("ASSIZE_ALLOW_OUTSIDE=1 cargo"), "{}", wrong.stdout);
    let blessed = of(&[(OUTSIDE, "1"), ("ASSIZE_BLESS", "1"), ("CI", "")]);
    assert_eq!(blessed.code, 0, "{}{}", blessed.stdout, blessed.stderr);
    assert!(fs::read_to_string(folder.path().join("one.yaml")).unwrap().contains("stdout: \"x\\n\""));
}
