//! In which order scenarios run, how many at once, and what is known when no more begin.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::shards::{Built, PLAINLY, reported};
use super::{CALLERS, ROOT, Said, assize, processes, target};

/// A folder in which what is remembered finds its place, and these scenarios.
fn remembering(scenarios: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("target")).unwrap();
    fs::write(folder.path().join("Cargo.toml"), "").unwrap();
    fs::create_dir(folder.path().join("scenarios")).unwrap();
    put(folder.path(), scenarios);
    folder
}

fn put(folder: &Path, scenarios: &[(&str, &str)]) {
    for (name, text) in scenarios {
        fs::write(folder.join("scenarios").join(format!("{name}.yaml")), text).unwrap();
    }
}

/// Which tests came to something, in this order, and to what.
fn came(said: &Said) -> Vec<&str> {
    said.stdout.lines().filter(|line| line.contains(" ... ")).collect()
}

pub(crate) fn the_longest_begin_first() {
    // One at a time, so that the order in which they begin is that in which they end; and long enough for the end of one to
    // be printed before that of the next, which other threads do.
    let one = "cost: 2\nrun: [sleep, \"0.2\"]\n";
    let folder = remembering(&[("a", one), ("b", one), ("c", one), ("d", one)]);
    let root = folder.path();
    assert_eq!(assize(root, &["run", "-j2"]).code, 0);
    let path = root.join("target/assize/history.json");
    let mut history: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let tests = history["tests"].as_object_mut().unwrap();
    assert_eq!(tests.len(), 4, "{tests:?}");
    // Nobody knows of `d`.
    tests.retain(|name, _| !name.contains("/d.yaml"));
    for (name, past) in tests.iter_mut() {
        past["ms"] = if name.contains("/b.yaml") {
            3000
        } else if name.contains("/c.yaml") {
            200
        } else {
            7
        }
        .into();
    }
    let remembered = history.to_string();
    let order = |said: &Said| came(said).iter().map(|line| line.replace("test ", "")).collect::<Vec<_>>();
    let longest = ["d.yaml::d ... ok", "b.yaml::b ... ok", "c.yaml::c ... ok", "a.yaml::a ... ok"];
    let by_name = ["a.yaml::a ... ok", "b.yaml::b ... ok", "c.yaml::c ... ok", "d.yaml::d ... ok"];
    for (jobs, wanted) in [("2", longest), ("1", by_name)] {
        fs::write(&path, &remembered).unwrap();
        assert_eq!(order(&assize(root, &["run", "-j", jobs])), wanted);
        fs::write(&path, &remembered).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--test-threads", jobs]).env(ROOT, "scenarios").current_dir(root);
        assert_eq!(order(&super::said(command)), wanted);
    }
    // By whatever path: it is the same test.
    fs::write(&path, &remembered).unwrap();
    assert_eq!(order(&assize(root, &["run", "-j2", "scenarios/c.yaml", "scenarios/b.yaml"])), longest[1..3]);
    // Garbage is no history, and no mistake.
    fs::write(&path, "garbage").unwrap();
    assert_eq!(order(&assize(root, &["run", "-j2"])), by_name);
}

pub(crate) fn no_more_begin_once_one_has_failed() {
    let good = "run: [\"true\"]\n";
    let folder = remembering(&[("a", good), ("b", "run: [\"false\"]\n"), ("c", good), ("d", good)]);
    let run = assize(folder.path(), &["run", "-j1", "--fail-fast"]);
    assert_eq!((run.code, came(&run)), (101, vec!["a.yaml::a ... ok", "b.yaml::b ... FAILED"]));
    assert!(
        run.stdout.contains("result: FAILED. 1 passed; 1 failed; 0 ignored; 2 not run; 0 filtered out"),
        "{}",
        run.stdout
    );
    let run = assize(folder.path(), &["run", "-j1"]);
    assert_eq!((run.code, came(&run).len()), (101, 4));
}

pub(crate) fn the_last_failed_are_run_alone() {
    let good = "run: [\"true\"]\n";
    let bad = ("b", "run: [\"false\"]\n");
    let folder = remembering(&[("a", good), bad, ("c", good)]);
    let root = folder.path();
    let none = "last failed: none of these, so all are run\n";
    let last = || assize(root, &["run", "-j1", "--last-failed"]);
    let run = last();
    assert!(run.stdout.starts_with(none) && run.code == 101, "{}", run.stdout);
    let run = last();
    assert!(run.stdout.starts_with("last failed: 1 of 3\n"), "{}", run.stdout);
    assert_eq!((run.code, came(&run)), (101, vec!["b.yaml::b ... FAILED"]));
    assert!(run.stdout.contains("2 filtered out"), "{}", run.stdout);
    // Another selection has none of them.
    assert!(assize(root, &["run", "--last-failed", "--filter", "c.yaml"]).stdout.starts_with(none));
    put(root, &[("b", good)]);
    let run = last();
    assert_eq!((run.code, came(&run)), (0, vec!["b.yaml::b ... ok"]));
    assert!(last().stdout.starts_with(none));
    // What `cargo test` has seen fail counts as well.
    put(root, &[bad]);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROOT, "scenarios").current_dir(root);
    assert_eq!(super::said(command).code, 101);
    assert_eq!(came(&last()), ["b.yaml::b ... FAILED"]);
    // A file that could not be loaded, and now can be.
    put(root, &[("b", good), ("c", "rnu: [\"true\"]\n")]);
    assert_eq!(assize(root, &["run", "-j1"]).code, 101);
    assert_eq!(came(&last()), ["c.yaml::(load) ... FAILED"]);
    put(root, &[("c", good)]);
    assert_eq!(came(&last()), ["c.yaml::c ... ok"]);
    assert!(last().stdout.starts_with(none));
}

/// Where Cargo has no project, the user's state has a folder for each.
pub(crate) fn what_failed_is_remembered_without_cargo() {
    let (state, one, two) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&one, &two] {
        fs::create_dir(folder.path().join("scenarios")).unwrap();
        let told = folder.path().display();
        let bad = format!("shell: echo {told} > out; echo {told}; false\n");
        put(folder.path(), &[("a", "run: [\"true\"]\n"), ("b", &bad), ("project", "run: [\"false\"]\n")]);
    }
    // Whatever the name of a folder is: nothing is built here.
    fs::create_dir(one.path().join("target")).unwrap();
    let run = |root: &Path, args: &[&str], home: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
        command.arg("run").args(args).env("XDG_STATE_HOME", home).env_remove("HOME").current_dir(root);
        super::said(command)
    };
    let kept = |said: &Said| {
        assert!(said.stdout.contains("= kept: "), "{}", said.stdout);
        let (_, rest) = said.stdout.split_once("= kept: ").unwrap();
        rest.split(" (").next().unwrap().trim_end_matches('/').to_owned()
    };
    let mut all = Vec::new();
    for folder in [&one, &two] {
        let root = folder.path();
        let first = run(root, &["-j1"], state.path());
        let place = kept(&first);
        assert!(place.starts_with(state.path().to_str().unwrap()), "{place}");
        // Whatever it is called, what it left is kept.
        assert_eq!(first.stdout.matches("= kept: ").count(), 2, "{}", first.stdout);
        let last = run(root, &["-j1", "--last-failed", "-f", "b.yaml"], state.path());
        assert_eq!((last.code, came(&last)), (101, vec!["b.yaml::b ... FAILED"]));
        // The next run of the same scenario takes the place of the last.
        assert_eq!(kept(&last), place);
        all.push((place, root.display().to_string()));
    }
    for (place, root) in &all {
        assert_eq!(fs::read_to_string(format!("{place}/work/out")).unwrap(), format!("{root}\n"));
    }
    // Nothing is put beside the scenarios.
    for folder in [&one, &two] {
        assert!(!folder.path().join(".assize").exists() && !folder.path().join("target/assize").exists());
    }
    // Where the user has no state either.
    let refused = run(one.path(), &["--last-failed"], Path::new("relative"));
    assert!(refused.code == 2 && refused.stderr.contains("nothing is remembered"), "{}", refused.stderr);
}

/// By the name that its report says, with a matrix or without.
pub(crate) fn a_cell_of_a_sweep_is_run_alone_by_its_name() {
    let swept = "files: { in: text }\nshell: for n in 1 2 3 4 5 6 7 8 9 10 11 12; do cat in; done; true\n\
                 sweep: { calls: [family(open)], path: $WORK/in, errno: [EIO] }\n\
                 expect: { exit: 0, stdout: texttexttexttexttexttexttexttexttexttexttexttext }\n";
    let folder = remembering(&[
        ("s", swept),
        ("m", &format!("each: {{ word: [a, b] }}\nenv: {{ W: $word }}\n{swept}")),
    ]);
    let root = folder.path();
    let whole = assize(root, &["run", "scenarios/s.yaml"]);
    assert_eq!(whole.code, 101);
    assert!(whole.stdout.contains("12 of 12 cells failed (the last 2 are not shown): "), "{}", whole.stdout);
    let named = |nth: u32| format!("'s.yaml::s[family(open)#{nth}=EIO]'");
    for nth in 1..=12 {
        let command = format!("to run this cell alone: assize run scenarios/s.yaml --exact {}\n", named(nth));
        assert_eq!(whole.stdout.contains(&command), nth <= 10, "{nth}: {}", whole.stdout);
    }
    for (name, code) in [
        ("s.yaml::s[family(open)#12=EIO]", 101),
        ("m.yaml::m[word=b,family(open)#3=EIO]", 101),
        ("s.yaml::s", 101),
        // It is not reached.
        ("s.yaml::s[family(open)#13=EIO]", 101),
        ("s.yaml::s[family(open)#0=EIO]", 4),
        ("s.yaml::s[family(open)#03=EIO]", 4),
        ("s.yaml::s[family(open)#3=EPERM]", 4),
        ("s.yaml::s[openat#3=EIO]", 4),
    ] {
        let alone = assize(root, &["run", "--exact", name]);
        assert_eq!(alone.code, code, "{name}: {}", alone.stdout);
        if code == 101 {
            assert!(alone.stdout.contains(&format!("{name} ... FAILED")), "{}", alone.stdout);
        }
        if name.contains("#13") {
            assert_eq!(alone.stdout.matches("error: ").count(), 1, "{}", alone.stdout);
            assert!(alone.stdout.contains("the injection never fired"), "{}", alone.stdout);
        }
        if name.contains("#12") {
            assert_eq!(alone.stdout.matches("error: ").count(), 1, "{}", alone.stdout);
            assert!(alone.stdout.contains("error: [family(open)#12=EIO] stdout"), "{}", alone.stdout);
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name]).env(ROOT, "scenarios").current_dir(root);
        let target = super::said(command);
        // As libtest has it, a target in which nothing matches passes.
        assert_eq!(target.code, if code == 4 { 0 } else { code }, "{name}: {}", target.stdout);
    }
}

pub(crate) fn under_stress_it_is_said_how_often_each_failed() {
    let folder =
        remembering(&[("good", "run: [\"true\"]\n"), ("lacking", "needs: [landlock >= 99]\nrun: [x]\n")]);
    let root = folder.path();
    let taken = root.join("taken");
    fs::create_dir(&taken).unwrap();
    // What writes outside of its work folder is not run once more to be explained.
    let shell = format!(
        "policy: {{ fs: {{ read: [$SYSTEM], write: [$WORK, {0}] }} }}\nshell: for name in 1 2; do mkdir {0}/$name && exit 1; done; exit 0\n",
        taken.display()
    );
    put(root, &[("odd", &shell)]);
    let run = assize(root, &["run", "-j1", "--stress", "5"]);
    let mut lines = came(&run);
    lines.sort_unstable();
    let wanted = [
        "good.yaml::good ... ok (0 of 5 runs failed)",
        "lacking.yaml::lacking ... ignored",
        "odd.yaml::odd ... FAILED (2 of 5 runs failed)",
    ];
    assert_eq!((run.code, lines), (101, wanted.to_vec()), "{}", run.stdout);
    assert!(run.stdout.contains("1 passed; 1 failed; 1 ignored; 0 filtered"), "{}", run.stdout);
    for name in ["1", "2"] {
        fs::remove_dir(taken.join(name)).unwrap();
    }
    let run = assize(root, &["run", "-j1", "--stress=5", "--fail-fast"]);
    assert_eq!(
        came(&run),
        ["lacking.yaml::lacking ... ignored", "odd.yaml::odd ... FAILED (1 of 1 runs failed)"],
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("0 passed; 1 failed; 1 ignored; 1 not run; 0 filtered"), "{}", run.stdout);
}

pub(crate) fn an_order_that_is_drawn_is_printed() {
    let names: Vec<_> = ('a'..'k').map(|name| name.to_string()).collect();
    let scenarios: Vec<_> = names.iter().map(|name| (name.as_str(), "run: [\"true\"]\n")).collect();
    let folder = remembering(&scenarios);
    let drawn = assize(folder.path(), &["run", "-j1", "--shuffle"]);
    let option = drawn.stdout.strip_prefix("shuffled: ").and_then(|text| text.split(' ').next()).unwrap();
    let again = assize(folder.path(), &["run", "-j1", option]);
    assert_eq!(came(&drawn), came(&again));
    let others = (0..5).map(|_| assize(folder.path(), &["run", "-j1", "--shuffle"]));
    assert!(others.into_iter().any(|other| came(&other) != came(&drawn)));
}

/// Starts the command, the test target and, where it is installed, nextest, in this folder at once: all pass.
fn at_once(crate_folder: &Path, built: Option<&Built>, names: usize) {
    std::thread::scope(|scope| {
        let command = scope.spawn(|| assize(crate_folder, &["run", "-j4"]));
        let target = scope.spawn(|| target(&crate_folder.join("scenarios"), &["--test-threads=4"]));
        let nextest = built.map(|built| scope.spawn(|| built.nextest(&[&["run"][..], &PLAINLY].concat())));
        for run in [command, target] {
            let run = run.join().unwrap();
            assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
            assert_eq!(run.stdout.matches(" ... ok").count(), names, "{}", run.stdout);
        }
        if let Some(nextest) = nextest {
            let run = nextest.join().unwrap();
            assert_eq!((run.code, reported(&run).len()), (0, names), "{}{}", run.stdout, run.stderr);
        }
    });
}

pub(crate) fn one_of_a_group_runs_at_a_time_in_all_processes() {
    groups(None);
}

pub(crate) fn one_of_a_group_runs_at_a_time_beside_nextest() {
    groups(Some(&Built::new()));
}

fn groups(built: Option<&Built>) {
    let own = remembering(&[]);
    let root = built.map_or(own.path(), |built| built.crate_folder.path());
    fs::create_dir_all(root.join("scenarios")).unwrap();
    let taken = root.join("taken");
    fs::create_dir(&taken).unwrap();
    let taken = taken.display();
    for nth in 0..8 {
        let text = format!(
            "group: argv-{}\npolicy: {{ fs: {{ read: [$SYSTEM], write: [$WORK, {taken}] }}}}\n\
             shell: mkdir {taken}/now || exit 9; sleep 0.1; rmdir {taken}/now\n",
            std::process::id()
        );
        put(root, &[(&format!("g{nth}"), &text)]);
    }
    at_once(root, built, 8);
}

/// The last of them waits for longer than its own time.
pub(crate) fn waiting_for_a_group_is_no_part_of_a_time_limit() {
    let text = format!(
        "group: argv-waits-{}\npolicy: {{ limits: {{ timeout: 4s }} }}\nrun: [sleep, \"1.5\"]\n",
        std::process::id()
    );
    let folder = remembering(&[("a", &text), ("b", &text), ("c", &text), ("d", &text)]);
    let run = assize(folder.path(), &["run", "-j4"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
}

pub(crate) fn who_costs_all_jobs_runs_alone() {
    costs(None);
}

pub(crate) fn who_costs_all_jobs_runs_alone_under_nextest() {
    costs(Some(&Built::new()));
}

fn costs(built: Option<&Built>) {
    let own = remembering(&[]);
    let root = built.map_or(own.path(), |built| built.crate_folder.path());
    fs::create_dir_all(root.join("scenarios")).unwrap();
    let taken = root.join("taken");
    fs::create_dir(&taken).unwrap();
    let shown = taken.display();
    for nth in 0..8 {
        let head = format!("policy: {{ fs: {{ read: [$SYSTEM], write: [$WORK, {shown}] }} }}\n");
        let light = format!(
            "{head}shell: mkdir {shown}/{nth}; sleep 0.05; [ ! -e {shown}/heavy ] && rmdir {shown}/{nth}\n"
        );
        // More than there are: that is all of them.
        let heavy = format!(
            "cost: 64\n{head}shell: mkdir {shown}/heavy && [ $(ls {shown}) = heavy ] && sleep 0.05 && [ $(ls {shown}) = heavy ] && rmdir {shown}/heavy\n"
        );
        put(root, &[(&format!("c{nth}"), if nth % 4 == 1 { &heavy } else { &light })]);
    }
    let run = match built {
        Some(built) => built.nextest(&[&["run"][..], &PLAINLY].concat()),
        None => assize(root, &["run", "-j4"]),
    };
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    if built.is_none() {
        let run = target(&root.join("scenarios"), &["--test-threads=4"]);
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    }
}

fn begun(mut command: Command) -> Child {
    CALLERS.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn who_is_interrupted_says_what_was_known() {
    let mark = processes::mark("interrupted run");
    let long = format!("run: [sleep, \"{mark}\"]\n");
    let folder = remembering(&[
        ("a", "run: [\"true\"]\n"),
        ("b", "shell: echo seen >&2; exit 3\n"),
        ("c", &long),
        ("d", &long),
        ("e", &long),
    ]);
    let root = folder.path();
    let mut by_command = processes::asked(env!("CARGO_BIN_EXE_assize"));
    by_command.args(["run", "-j2"]).current_dir(root);
    let mut by_target = processes::asked(std::env::current_exe().unwrap());
    by_target.arg("--test-threads=2").env(ROOT, "scenarios").current_dir(root);
    for (command, signal) in [(by_command, Signal::INT), (by_target, Signal::TERM)] {
        // Whoever was given up has no time, and whoever failed is remembered.
        let _ = fs::remove_dir_all(root.join("target/assize"));
        let child = begun(command);
        processes::wait_until("to see both", || processes::marked(&mark).len() >= 2);
        // As `timeout` sends it, to the process and then to its group: that is asked once.
        for pause in [0, 1, 4] {
            std::thread::sleep(std::time::Duration::from_millis(pause));
            kill_process(Pid::from_child(&child), signal).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(signal.as_raw()));
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        for wanted in [
            "a.yaml::a ... ok\n".to_owned(),
            "the command ended with exit code 3".to_owned(),
            "\ngiven up while they ran:\n    c.yaml::c\n    d.yaml::d\n".to_owned(),
            "\nfailures:\n    b.yaml::b\n".to_owned(),
            format!(
                "result: INTERRUPTED by signal {}. 1 passed; 1 failed; 0 ignored; 2 given up; 1 not run; ",
                signal.as_raw()
            ),
        ] {
            assert!(text.contains(&wanted), "{wanted}\n{text}");
        }
        assert_eq!(processes::marked(&mark), [""; 0]);
        let history = fs::read_to_string(root.join("target/assize/history.json")).unwrap();
        let history: BTreeMap<String, serde_json::Value> = serde_json::from_str(&history).unwrap();
        assert_eq!(history["tests"].as_object().unwrap().len(), 2, "{history:?}");
    }
}

/// What is written to a terminal, by the command with these variables.
fn on_a_terminal(folder: &Path, variables: &[(&str, &str)]) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = || fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
    command.args(["run", "-j1"]).current_dir(folder).stdout(terminal()).stderr(terminal());
    CALLERS.iter().chain(&["NO_COLOR", "CI"]).for_each(|name| {
        command.env_remove(name);
    });
    command.env("TERM", "xterm").envs(variables.iter().copied());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    // The last one to close the other end is the command.
    while let Ok(got @ 1..) = rustix::io::read(&master, &mut piece) {
        seen.extend_from_slice(&piece[..got]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(seen).unwrap()
}

pub(crate) fn a_terminal_shows_what_goes_on() {
    let folder = remembering(&[("a", "run: [\"true\"]\n"), ("b", "shell: sleep 0.6\n")]);
    let seen = on_a_terminal(folder.path(), &[]);
    assert!(seen.contains("1/2 in ") && seen.contains("running b.yaml::b"), "{seen:?}");
    assert!(seen.contains("\x1b[32mok\x1b[0m\r\n"), "{seen:?}");
    assert!(seen.trim_end().ends_with('s') && seen.contains("\nresult: "), "nothing stays behind: {seen:?}");
    for plain in [("NO_COLOR", "1"), ("CI", "true"), ("TERM", "dumb")] {
        let seen = on_a_terminal(folder.path(), &[plain]);
        assert!(!seen.contains("running ") && !seen.contains("1/2"), "{plain:?}: {seen:?}");
        assert!(plain.0 == "CI" || plain.0 == "TERM" || !seen.contains('\x1b'), "{plain:?}: {seen:?}");
        assert!(seen.contains("b.yaml::b ... "), "{seen:?}");
    }
    let plain = assize(folder.path(), &["run", "-j1"]);
    assert_eq!(plain.stderr, "");
    assert!(!plain.stdout.contains('\r') && !plain.stdout.contains('\x1b'), "{}", plain.stdout);
}

/// A reader that doesn't read keeps nobody from ending.
pub(crate) fn who_is_interrupted_waits_for_no_reader() {
    let mark = processes::mark("no reader");
    let loud = "shell: head -c 300000 /dev/zero | tr '\\0' x\nexpect: { stdout: short }\n";
    let folder = remembering(&[("a", loud), ("b", &format!("run: [sleep, \"{mark}\"]\n"))]);
    let mut command = processes::asked(env!("CARGO_BIN_EXE_assize"));
    command.args(["run", "-j2"]).current_dir(folder.path());
    let mut child = begun(command);
    processes::wait_until("to see the other", || processes::marked(&mark).len() == 1);
    // More than a pipe takes is written by then.
    let kept = folder.path().join("target/assize/a/stdout");
    processes::wait_until("to see what is kept", || kept.exists());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::INT.as_raw()));
    assert_eq!(processes::marked(&mark), [""; 0]);
}

/// Guests write into what they make where they run: beside other runs it is the same place.
pub(crate) fn a_scenario_lies_where_it_always_lies_whatever_else_runs() {
    let mark = processes::mark("beside");
    let folder = remembering(&[("long", &format!("run: [sleep, \"{mark}\"]\n"))]);
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let out = out.display();
    put(
        folder.path(),
        &[(
            "here",
            &format!(
                "policy: {{ fs: {{ read: [$SYSTEM], write: [$WORK, {out}] }}}}\nshell: pwd >> {out}/places\n"
            ),
        )],
    );
    let here = || assert_eq!(assize(folder.path(), &["run", "-f", "here"]).code, 0);
    here();
    let mut command = processes::asked(env!("CARGO_BIN_EXE_assize"));
    command.args(["run", "-f", "long"]).current_dir(folder.path());
    let child = begun(command);
    processes::wait_until("to see the other", || processes::marked(&mark).len() == 1);
    here();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    child.wait_with_output().unwrap();
    let places = fs::read_to_string(format!("{out}/places")).unwrap();
    let places: Vec<_> = places.lines().collect();
    assert!(places.len() == 2 && places[0] == places[1], "{places:?}");
}

/// However many processes run a scenario, and however often each: each run has its own folder, and each failure is kept
/// whole.
pub(crate) fn no_two_runs_share_a_folder() {
    let folder = remembering(&[
        ("own", "shell: mkdir own && sleep 0.02 && [ \"$(ls)\" = own ]\n"),
        ("kept", "shell: echo is > out; echo is\nexpect: { stdout: was, verdicts: { exhaustive: deny } }\n"),
    ]);
    let root = folder.path();
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..6).map(|_| scope.spawn(|| assize(root, &["run", "-j4", "--stress=6"]))).collect();
        for run in runs {
            let run = run.join().unwrap();
            assert!(run.stdout.contains("own.yaml::own ... ok (0 of 6 runs failed)"), "{}", run.stdout);
            assert!(run.stdout.contains("kept.yaml::kept ... FAILED (6 of 6 runs failed)"), "{}", run.stdout);
            assert!(run.stdout.contains("= kept: target/assize/kept/"), "{}", run.stdout);
        }
    });
    let mut left: Vec<_> = fs::read_dir(root.join("target/assize"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["history.json", "history.lock", "keep.lock", "kept"]);
    assert_eq!(fs::read_to_string(root.join("target/assize/kept/work/out")).unwrap(), "is\n");
}

/// A group that can't be had is no reason to run without.
pub(crate) fn a_group_that_cannot_be_locked_fails() {
    let folder = remembering(&[("a", "group: a\nrun: [\"true\"]\n"), ("b", "cost: 2\nrun: [\"true\"]\n")]);
    let locked_in = |locks: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
        command.args(["run", "-j1"]).env("ASSIZE_LOCKS", locks).current_dir(folder.path());
        super::said(command)
    };
    let run = locked_in(Path::new("/no/such/folder"));
    assert_eq!((run.code, came(&run)), (101, vec!["a.yaml::a ... FAILED", "b.yaml::b ... ok"]));
    let why = "the scenario can't have its turn: no lock can be had: /no/such/folder: /no is no folder";
    assert!(run.stdout.contains(why), "{}", run.stdout);
    // What is in the way is named as it is called.
    let locks = folder.path().join("locks");
    fs::create_dir(&locks).unwrap();
    let own = format!("assize-locks-{}", rustix::process::geteuid().as_raw());
    for nth in 0..200 {
        let own = if nth == 0 { own.clone() } else { format!("{own}.{nth}") };
        fs::write(locks.join(own), "").unwrap();
    }
    let run = locked_in(&locks);
    assert!(run.stdout.contains(&format!("/locks/{own}")), "{}", run.stdout);
    // One that isn't there is made.
    fs::remove_dir_all(&locks).unwrap();
    let run = locked_in(&locks);
    assert_eq!(run.code, 0, "{}", run.stdout);
    assert!(locks.join(own).is_dir());
}
