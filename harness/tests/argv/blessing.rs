//! `ASSIZE_BLESS=1 cargo test`: files are blessed before they are tested.
#![forbid(unsafe_code)]

use std::fs;

use super::target_with;

pub(crate) fn asked_by_a_variable_a_target_blesses_first() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = |expected: &str| format!("run: [echo, new]\nexpect: {{ stdout: {expected} }}  # of it\n");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let reset = || ["a.yaml", "b.yaml"].iter().for_each(|name| write(name, &scenario("old")));
    let blessed =
        |args: &[&str], ci: &str| target_with(folder.path(), args, &[("ASSIZE_BLESS", "1"), ("CI", ci)]);
    reset();
    let ran = blessed(&[], "");
    assert_eq!(
        (ran.code, read("a.yaml"), read("b.yaml")),
        (0, scenario("new"), scenario("new")),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("+expect: { stdout: new }  # of it") && !ran.stdout.contains("+expect"));
    // The filters hold for it.
    for args in [&["b.yaml"][..], &["--exact", "b.yaml::b"]] {
        reset();
        assert_eq!(blessed(args, "").code, 0);
        assert_eq!((read("a.yaml"), read("b.yaml")), (scenario("old"), scenario("new")));
    }
    // Listing runs nothing, and where CI is set nothing is written.
    reset();
    assert_eq!((blessed(&["--list"], "").code, blessed(&[], "true").code), (0, 101));
    assert_eq!((read("a.yaml"), read("b.yaml")), (scenario("old"), scenario("old")));
    // What is refused fails as it does otherwise.
    write("a.yaml", "run: [echo, x]\nexpect: { stdout: { contains: y } }\n");
    let ran = blessed(&[], "");
    assert!(
        ran.code == 101 && ran.stderr.contains("not blessed: ") && read("b.yaml") == scenario("new"),
        "{}",
        ran.stderr
    );
    // Nobody waits for what doesn't come: neither yes nor no is refused.
    reset();
    for (value, code) in [("true", 2), ("yes", 2), (" 1", 2), ("0", 101), ("", 101)] {
        let ran = target_with(folder.path(), &["b.yaml"], &[("ASSIZE_BLESS", value), ("CI", "")]);
        assert_eq!((ran.code, read("b.yaml")), (code, scenario("old")), "{value}: {}", ran.stderr);
        assert_eq!(ran.stderr.contains("ASSIZE_BLESS is"), code == 2, "{value}: {}", ran.stderr);
    }
}
