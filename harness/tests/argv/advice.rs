//! What a report advises is pasted, and then works; and what it says of second runs.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::{Said, assize};

/// Runs a scenario.
fn run(root: &Path, yaml: &str) -> Said {
    fs::write(root.join("x.yaml"), yaml).unwrap();
    assize(root, &["run", "x.yaml"])
}

/// The scenario with what its report advises: a line of its own, or something that is added to what stands there, or taken out.
fn pasted(yaml: &str, report: &str) -> String {
    let advice: Vec<&str> =
        report.lines().filter_map(|line| line.trim_start().strip_prefix("= to allow ")).collect();
    // More than one could say the same key twice.
    assert_eq!(advice.len(), 1, "not one advice: {report}");
    let (_, advice) = advice[0].split_once(": ").unwrap();
    // What would help instead is left to a person.
    let advice = advice.split("; ").next().unwrap();
    let mut yaml = yaml.to_owned();
    for edit in advice.split(", and ") {
        let parts: Vec<&str> = edit.split('`').collect();
        if edit.starts_with('`') {
            yaml = format!("{}\n{yaml}", parts[1]);
            continue;
        }
        if edit.starts_with("leave `policy.fs` out") {
            let (before, after) = yaml.split_once("policy: { fs: {").unwrap();
            let (_, after) = after.split_once("} }").unwrap();
            yaml = format!("{before}{after}");
            continue;
        }
        let (what, key) = (parts[1], parts[3].rsplit('.').next().unwrap());
        let begins = yaml.find(&format!("{key}: ")).unwrap() + key.len() + 2;
        let (before, after) = yaml.split_at(begins + 1);
        yaml = if edit.starts_with("add ") {
            format!("{before} {what}, {after}")
        } else {
            assert!(edit.starts_with("take "), "{edit}");
            let after = after.replacen(&format!("{what}, "), "", 1);
            format!("{before}{}", if after.contains(what) { after.replacen(what, "", 1) } else { after })
        };
    }
    yaml
}

pub(crate) fn what_is_advised_works_when_it_is_pasted() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let out = outside.path().canonicalize().unwrap();
    fs::create_dir(out.join("new")).unwrap();
    fs::write(out.join("text"), "is\n").unwrap();
    fs::copy("/bin/true", out.join("program")).unwrap();
    fs::write(out.join("script"), "#!/bin/sh\ntrue\n").unwrap();
    std::os::unix::fs::symlink(out.join("text"), out.join("a b")).unwrap();
    assert!(
        std::process::Command::new("chmod").args(["755"]).arg(out.join("script")).status().unwrap().success()
    );
    let out = out.display();
    for yaml in [
        format!("run: [cat, {out}/text]\n"),
        format!("run: [cat, \"{out}/a b\"]\n"),
        format!("shell: echo x > {out}/new/file\n"),
        "shell: echo x > /tmp/assize-hardcoded; rm /tmp/assize-hardcoded\n".to_owned(),
        format!("policy: {{ limits: {{ timeout: 1m }} }}\nrun: [cat, {out}/text]\n"),
        format!("policy: {{ fs: {{ read: [$SYSTEM] }} }}\nrun: [cat, {out}/text]\n"),
        format!("policy: {{ fs: {{ read: [$SYSTEM] }} }}\nshell: echo x > {out}/new/file\n"),
        format!("policy: {{ fs: {{ read: [$SYSTEM], write: [$WORK] }} }}\nshell: echo x > {out}/new/file\n"),
        "run: [python3, -I, -S, -c, \"open('/proc/self/maps').read()\"]\n".to_owned(),
        // Who may write may read: what was granted for reading is taken out.
        "policy: { fs: { read: [$WORK, $SYSTEM] } }\nshell: echo x > a\n".to_owned(),
        "policy: { fs: { read: [$SYSTEM, $WORK, /proc] } }\nshell: echo x > a\n".to_owned(),
        format!("policy: {{ fs: {{ read: [$SYSTEM, {out}/new] }} }}\nshell: echo x > {out}/new/file\n"),
        // All at once.
        format!(
            "policy: {{ fs: {{ read: [$SYSTEM], deny: [{out}/script, /etc/shadow] }} }}\nshell: cat {out}/script; cat {out}/text\n"
        ),
        format!("shell: cat {out}/text; cat {out}/script; echo x > {out}/new/file\n"),
        format!(
            "policy: {{ fs: {{ read: [$SYSTEM] }} }}\nshell: cat {out}/script; cat {out}/text; echo x > {out}/new/file\n"
        ),
        format!(
            "attempt:\n  - {{ call: openat, path: {out}/text, flags: O_RDONLY, expect: allow }}\n  \
             - {{ call: openat, path: {out}/new, flags: O_RDONLY, expect: allow }}\n  - {{ call: socket, args: {{ domain: 1, type: 1, protocol: 0 }}, expect: allow }}\n"
        ),
        // The program itself.
        format!("run: [{out}/program]\n"),
        format!("run: [{out}/script]\n"),
        format!("policy: {{ fs: {{ read: [$SYSTEM] }} }}\nrun: [{out}/program]\n"),
        format!(
            "policy: {{ fs: {{ read: [$SYSTEM, {out}], exec: [{out}/script] }} }}\nrun: [{out}/script]\n"
        ),
        format!(
            "policy: {{ fs: {{ read: [$SYSTEM, {out}], exec: [{out}/program] }} }}\nrun: [{out}/program]\n"
        ),
    ] {
        let failed = run(folder.path(), &yaml);
        assert_eq!(failed.code, 101, "{yaml}{}", failed.stdout);
        let mut advised = pasted(&yaml, &failed.stdout);
        let mut passed = run(folder.path(), &advised);
        // A path may lead on to another.
        if passed.code != 0 && yaml.contains("a b") {
            advised = pasted(&advised, &passed.stdout);
            passed = run(folder.path(), &advised);
        }
        assert_eq!(passed.code, 0, "{}\n{advised}\n{}", failed.stdout, passed.stdout);
        // Nor does it leave a line that says nothing more.
        let checked = assize(folder.path(), &["check", "x.yaml"]);
        assert!(checked.stderr.contains(" 0 errors, 0 warnings"), "{advised}\n{}", checked.stderr);
    }
}

pub(crate) fn what_keeps_a_program_from_running_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let script = |more: &str| format!("files: {{ x: {{ text: \"#!/bin/sh\\n\"{more} }} }}\nrun: [./x]\n");
    let failed = run(folder.path(), &script(""));
    assert!(
        failed.stdout.contains("`$WORK/x` has mode 0644")
            && failed.stdout.contains("`mode: 0755` in `files`"),
        "{}",
        failed.stdout
    );
    assert_eq!(run(folder.path(), &script(", mode: 0755")).code, 0);
    let limited =
        format!("policy: {{ fs: {{ read: [$SYSTEM, $WORK], exec: [$WORK] }} }}\n{}", script(", mode: 0755"));
    let failed = run(folder.path(), &limited).stdout;
    assert!(
        failed.contains("names the interpreter `/bin/sh`, and nothing in `policy.fs.exec` covers `/bin/sh`")
            && failed.contains("add `$SYSTEM` to `policy.fs.exec`, at line 1"),
        "{failed}"
    );
    // Nobody waits for who would write into it.
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o755.into(), 0).unwrap();
    let fifo = fifo.canonicalize().unwrap();
    let policy = "policy: { fs: { read: [$SYSTEM, $PWD], write: [$WORK] }, limits: { timeout: 2s } }\nrun: [$PWD/fifo]\n";
    let failed = run(folder.path(), &policy.replace("$PWD", fifo.parent().unwrap().to_str().unwrap())).stdout;
    assert!(failed.contains("fifo` is no regular file"), "{failed}");
}

pub(crate) fn a_second_run_is_told_and_has_its_bounds() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let second = |said: &Said| said.stdout.contains("second run");
    let failed = run(folder.path(), "run: [cat, /proc/version]\n");
    assert!(
        failed.stdout.contains("= seen in a second run, of which more was watched:\n"),
        "{}",
        failed.stdout
    );
    let failed = run(folder.path(), "run: [\"false\"]\n");
    assert!(
        failed.stdout.contains("= a second run, of which more was watched, showed no more\n"),
        "{}",
        failed.stdout
    );
    // Where its time was up, nobody waits for it again.
    let began = Instant::now();
    let failed = run(folder.path(), "policy: { limits: { timeout: 2s } }\nrun: [sleep, \"60\"]\n");
    let took = began.elapsed().as_secs_f64();
    assert!(!second(&failed) && took < 3.9, "{took} s: {}", failed.stdout);
    assert!(
        failed.stdout.contains("`policy.limits.timeout` says how long it may run, at line 1"),
        "{}",
        failed.stdout
    );
    // What lies outside of the work folder would be changed twice.
    let out = outside.path().canonicalize().unwrap();
    let counting = |policy: &str| {
        let log = out.join("log");
        let _ = fs::remove_file(&log);
        let said = run(folder.path(), &format!("{policy}\nshell: echo x >> {}; false\n", log.display()));
        (second(&said), fs::read_to_string(log).unwrap_or_default())
    };
    let granted = format!("policy: {{ fs: {{ read: [$SYSTEM], write: [$WORK, {}] }} }}", out.display());
    assert_eq!(counting(&granted), (false, "x\n".to_owned()));
    assert_eq!(counting("without: [fs]"), (false, "x\n".to_owned()));
    assert_eq!(counting(""), (true, String::new()));
    // So it is where a link in the work folder leads.
    let _ = fs::remove_file(out.join("log"));
    let linked = format!(
        "policy: {{ fs: {{ read: [$SYSTEM], write: [$WORK, $WORK/out] }} }}\nfiles: {{ out: {{ symlink: {} }} }}\n\
         shell: echo x >> out/log; false\n",
        out.display()
    );
    let said = run(folder.path(), &linked);
    assert!(!second(&said), "{}", said.stdout);
    assert_eq!(fs::read_to_string(out.join("log")).unwrap(), "x\n");
    // So it is with the runs that look for where two parted.
    let parting = |policy: &str| {
        let yaml = format!("{policy}\nrepeat: 2\nshell: echo $$ > /dev/null; date +%N\n");
        run(folder.path(), &yaml).stdout.contains("two more runs")
    };
    assert_eq!((parting(""), parting(&granted)), (true, false));
}

pub(crate) fn what_every_program_asks_for_is_no_advice() {
    let folder = tempfile::tempdir().unwrap();
    let usual = "shell: |\n  cat /proc/filesystems 2> /dev/null\n";
    let failed = run(folder.path(), &format!("{usual}  exit 2\n")).stdout;
    assert!(
        failed.contains("denied meanwhile: ") && failed.contains("the C library asks for this"),
        "{failed}"
    );
    assert!(!failed.contains("to allow it"), "{failed}");
    // Beside what may be the cause it isn't told at all.
    let failed = run(folder.path(), &format!("{usual}  cat /proc/version\n")).stdout;
    assert!(failed.contains("\"/proc/version\"") && !failed.contains("filesystems"), "{failed}");
    // Who names it wanted it.
    let failed = run(folder.path(), "run: [cat, /proc/mounts]\n").stdout;
    assert!(failed.contains("\"/proc/mounts\"") && failed.contains("to allow it"), "{failed}");
}
