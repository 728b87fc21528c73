//! The command lines: what `cargo test`, `cargo nextest` and a person say to a test target and to `assize`.
//!
//! This test target is its own fixture: with `ASSIZE_TEST_ROOT` set it is a test target over that folder, as a user
//! would write it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "argv/advice.rs"]
mod advice;
#[path = "argv/blessing.rs"]
mod blessing;
#[path = "argv/libtest.rs"]
mod libtest;
#[path = "argv/outside.rs"]
mod outside;
#[path = "lifetime/processes.rs"]
mod processes;
#[path = "argv/readme.rs"]
mod readme;
#[path = "argv/running.rs"]
mod running;
#[path = "argv/shards.rs"]
mod shards;
#[path = "argv/spellings.rs"]
mod spellings;

use std::borrow::BorrowMut;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;

const ROOT: &str = "ASSIZE_TEST_ROOT";
/// That target allows steps outside of the sandbox.
const OUTSIDE: &str = "ASSIZE_TEST_OUTSIDE";

fn main() -> ExitCode {
    if let Some(root) = std::env::var_os(ROOT) {
        if std::env::var_os(OUTSIDE).is_some() {
            return assize_harness::Target::new(root).allow_outside().main();
        }
        return assize_harness::main(root);
    }
    let tests: &[(&str, fn())] = &[
        ("listing_prints_names_and_nothing_else", listing_prints_names_and_nothing_else),
        ("listing_ignored_prints_only_those", listing_ignored_prints_only_those),
        ("exact_runs_one_and_prints_only_the_protocol", exact_runs_one_and_prints_only_the_protocol),
        ("any_of_several_filters_will_do", any_of_several_filters_will_do),
        ("options_of_libtest_are_taken", options_of_libtest_are_taken),
        ("bad_options_are_refused", bad_options_are_refused),
        ("a_skip_says_why_and_is_never_a_pass", a_skip_says_why_and_is_never_a_pass),
        ("a_file_that_cannot_be_loaded_is_a_failing_test", a_file_that_cannot_be_loaded_is_a_failing_test),
        ("a_failure_says_how_to_run_it_again", a_failure_says_how_to_run_it_again),
        ("exec_passes_the_commands_end_on", exec_passes_the_commands_end_on),
        ("bazel_gets_its_report_of_a_test_target", bazel_gets_its_report_of_a_test_target),
        ("an_empty_folder_is_an_error", an_empty_folder_is_an_error),
        ("the_command_lists_and_filters", the_command_lists_and_filters),
        ("a_shuffled_run_has_an_order_of_its_own", a_shuffled_run_has_an_order_of_its_own),
        ("the_command_says_what_is_wrong", the_command_says_what_is_wrong),
        ("exec_says_that_the_fault_is_not_the_commands", exec_says_that_the_fault_is_not_the_commands),
        (
            "a_test_target_that_is_asked_to_end_leaves_nothing",
            a_test_target_that_is_asked_to_end_leaves_nothing,
        ),
        (
            "command_lines_mean_what_they_mean_to_libtest",
            libtest::command_lines_mean_what_they_mean_to_libtest,
        ),
        ("asked_by_a_variable_a_target_blesses_first", blessing::asked_by_a_variable_a_target_blesses_first),
        ("a_target_runs_outside_what_is_allowed", outside::a_target_runs_outside_what_is_allowed),
        ("each_runs_once_by_option", shards::each_runs_once_by_option),
        ("each_runs_once_by_variable", shards::each_runs_once_by_variable),
        ("each_runs_once_by_bazel", shards::each_runs_once_by_bazel),
        ("a_new_scenario_moves_no_other", shards::a_new_scenario_moves_no_other),
        ("the_longest_begin_first", running::the_longest_begin_first),
        ("no_more_begin_once_one_has_failed", running::no_more_begin_once_one_has_failed),
        ("the_last_failed_are_run_alone", running::the_last_failed_are_run_alone),
        (
            "under_stress_it_is_said_how_often_each_failed",
            running::under_stress_it_is_said_how_often_each_failed,
        ),
        ("an_order_that_is_drawn_is_printed", running::an_order_that_is_drawn_is_printed),
        (
            "one_of_a_group_runs_at_a_time_in_all_processes",
            running::one_of_a_group_runs_at_a_time_in_all_processes,
        ),
        (
            "waiting_for_a_group_is_no_part_of_a_time_limit",
            running::waiting_for_a_group_is_no_part_of_a_time_limit,
        ),
        ("who_costs_all_jobs_runs_alone", running::who_costs_all_jobs_runs_alone),
        ("who_is_interrupted_says_what_was_known", running::who_is_interrupted_says_what_was_known),
        ("a_terminal_shows_what_goes_on", running::a_terminal_shows_what_goes_on),
        ("who_is_interrupted_waits_for_no_reader", running::who_is_interrupted_waits_for_no_reader),
        ("the_commands_of_the_readme_run", readme::the_commands_of_the_readme_run),
        ("the_scenarios_of_the_readme_run", readme::the_scenarios_of_the_readme_run),
        ("no_two_runs_share_a_folder", running::no_two_runs_share_a_folder),
        (
            "a_scenario_lies_where_it_always_lies_whatever_else_runs",
            running::a_scenario_lies_where_it_always_lies_whatever_else_runs,
        ),
        ("a_group_that_cannot_be_locked_fails", running::a_group_that_cannot_be_locked_fails),
        ("no_spelling_leads_out_of_the_project", spellings::no_spelling_leads_out_of_the_project),
        ("what_is_advised_works_when_it_is_pasted", advice::what_is_advised_works_when_it_is_pasted),
        ("what_keeps_a_program_from_running_is_told", advice::what_keeps_a_program_from_running_is_told),
        ("a_second_run_is_told_and_has_its_bounds", advice::a_second_run_is_told_and_has_its_bounds),
        ("what_every_program_asks_for_is_no_advice", advice::what_every_program_asks_for_is_no_advice),
        ("a_cell_of_a_sweep_is_run_alone_by_its_name", running::a_cell_of_a_sweep_is_run_alone_by_its_name),
        ("what_failed_is_remembered_without_cargo", running::what_failed_is_remembered_without_cargo),
        ("what_is_no_file_is_named_all_the_same", spellings::what_is_no_file_is_named_all_the_same),
    ];
    let by_nextest: &[(&str, fn())] = &[
        (
            "the_commands_of_the_readme_run_under_nextest",
            readme::the_commands_of_the_readme_run_under_nextest,
        ),
        ("each_runs_once_by_nextest", shards::each_runs_once_by_nextest),
        ("an_archive_of_nextest_runs_elsewhere", shards::an_archive_of_nextest_runs_elsewhere),
        (
            "one_of_a_group_runs_at_a_time_beside_nextest",
            running::one_of_a_group_runs_at_a_time_beside_nextest,
        ),
        ("who_costs_all_jobs_runs_alone_under_nextest", running::who_costs_all_jobs_runs_alone_under_nextest),
    ];
    let trial = |(name, test): &(&str, fn())| {
        let test = *test;
        Trial::test(*name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    let mut trials: Vec<_> = tests.iter().map(trial).collect();
    let arguments = Arguments::from_args();
    let has_nextest = Command::new("cargo-nextest").args(["nextest", "--version"]).output();
    let ignored = !has_nextest.is_ok_and(|output| output.status.success());
    if ignored && !arguments.list {
        eprintln!("ignored: what is to be seen under nextest: cargo-nextest is not installed");
    }
    trials.extend(by_nextest.iter().map(trial).map(|trial| trial.with_ignored_flag(ignored)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A folder of scenarios: two that can run in three cells, one that is ignored, one that can't be loaded.
fn fixture() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put("good.yaml", "about: it ends well\nrun: [\"true\"]\n");
    put("cells.yaml", "each: { word: [one, two] }\nshell: echo ${word}\nexpect: { stdout: \"${word}\" }\n");
    put("lacking.yaml", "needs: [landlock >= 99]\nrun: [\"true\"]\n");
    fs::create_dir(folder.path().join("sub")).unwrap();
    put("sub/bad.yaml", "rnu: [\"true\"]\n");
    folder
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

/// What a caller of these tests may have set, and they have not.
const CALLERS: [&str; 17] = [
    "CARGO",
    "RUST_TEST_THREADS",
    "NEXTEST",
    "NEXTEST_EXECUTION_MODE",
    "CARGO_MANIFEST_DIR",
    "CARGO_TARGET_DIR",
    "ASSIZE_BLESS",
    "ASSIZE_REQUIRE",
    "ASSIZE_SHARD",
    "ASSIZE_ALLOW_OUTSIDE",
    "GITHUB_ACTIONS",
    "TEST_TOTAL_SHARDS",
    "TEST_SHARD_INDEX",
    "TEST_SHARD_STATUS_FILE",
    "TESTBRIDGE_TEST_ONLY",
    "TEST_TMPDIR",
    "XML_OUTPUT_FILE",
];

fn said(mut command: impl BorrowMut<Command>) -> Said {
    let command = command.borrow_mut();
    for name in CALLERS {
        if command.get_envs().all(|(known, _)| known != name) {
            command.env_remove(name);
        }
    }
    // Outside of Cargo's projects what failed is remembered among the user's own state.
    if command.get_envs().all(|(known, _)| known != "XDG_STATE_HOME") {
        command.env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/state"));
    }
    let out = command.output().unwrap();
    Said {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

/// The test target over this folder.
fn target(root: &Path, args: &[&str]) -> Said {
    target_with(root, args, &[])
}

/// The same, with these variables.
fn target_with(root: &Path, args: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(args).env(ROOT, root).envs(variables.iter().copied()).current_dir(root);
    said(command)
}

/// The command, in this folder.
fn assize(root: &Path, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
    command.args(args).current_dir(root);
    said(command)
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

const ALL: [&str; 5] = [
    "cells.yaml::cells[word=one]: test",
    "cells.yaml::cells[word=two]: test",
    "good.yaml::good: test",
    "lacking.yaml::lacking: test",
    "sub/bad.yaml::(load): test",
];

fn listing_prints_names_and_nothing_else() {
    let folder = fixture();
    let list = target(folder.path(), &["--list", "--format", "terse"]);
    assert_eq!((list.code, lines(&list.stdout), list.stderr.as_str()), (0, ALL.to_vec(), ""));
}

fn listing_ignored_prints_only_those() {
    let folder = fixture();
    let list = target(folder.path(), &["--list", "--format", "terse", "--ignored"]);
    assert_eq!((list.code, lines(&list.stdout)), (0, vec![ALL[3]]));
}

fn exact_runs_one_and_prints_only_the_protocol() {
    let folder = fixture();
    let run = target(folder.path(), &["good.yaml::good", "--exact", "--nocapture"]);
    let said = lines(&run.stdout);
    assert_eq!(
        said[..5],
        ["", "running 1 test", "test good.yaml::good ... ok", "", said[4]],
        "{}",
        run.stdout
    );
    assert!(said[4].starts_with("test result: ok. 1 passed; 0 failed; 0 ignored;"), "{}", run.stdout);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    // Another file is not even opened: one that can't be loaded is no hindrance, and no test.
    assert!(!run.stdout.contains("bad.yaml"), "{}", run.stdout);
    assert!(target(folder.path(), &["good.yaml", "--exact"]).stdout.contains("running 0 tests"));
}

fn any_of_several_filters_will_do() {
    let folder = fixture();
    let list = |args: &[&str]| {
        let args = [&["--list", "--format", "terse"], args].concat();
        target(folder.path(), &args).stdout
    };
    assert_eq!(lines(&list(&["good", "one"])), [ALL[0], ALL[2]]);
    assert_eq!(lines(&list(&["good"])), [ALL[2]]);
    assert_eq!(lines(&list(&["cells", "good", "--skip", "one"])), [ALL[1], ALL[2]]);
    assert_eq!(
        lines(&list(&["--exact", "good.yaml::good", "cells.yaml::cells[word=two]"])),
        [ALL[1], ALL[2]]
    );
}

fn options_of_libtest_are_taken() {
    let folder = fixture();
    let root = folder.path();
    for args in [&["--no-capture"][..], &["--nocapture"], &["--test-threads", "1"], &["--test-threads=2"]] {
        let list = target(root, &[args, &["--list", "--format=terse"]].concat());
        assert_eq!((list.code, list.stdout.lines().count()), (0, ALL.len()), "{args:?}: {}", list.stderr);
    }
    // No more threads are started than there are tests: as many as this would never all be started.
    let many = target(root, &["--test-threads=1000000000000", "good"]);
    assert_eq!(many.code, 0, "{}", many.stderr);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--list"]).env(ROOT, root).env("RUST_TEST_THREADS", "2").current_dir(root);
    assert_eq!(said(command).code, 0);
}

fn bad_options_are_refused() {
    let folder = fixture();
    let root = folder.path();
    for args in [&["--test-threads", "0"][..], &["--test-threads=0"], &["--no-such-option"]] {
        let refused = target(root, args);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{args:?}");
        assert!(refused.stderr.contains("error:"), "{args:?}: {}", refused.stderr);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROOT, root).env("RUST_TEST_THREADS", "0").current_dir(root);
    let refused = said(command);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("RUST_TEST_THREADS is `0`"), "{}", refused.stderr);
}

fn a_skip_says_why_and_is_never_a_pass() {
    let folder = fixture();
    let run = target(folder.path(), &["lacking"]);
    assert_eq!(run.code, 0);
    assert!(run.stdout.contains("test lacking.yaml::lacking ... ignored"), "{}", run.stdout);
    assert!(run.stderr.starts_with("ignored: lacking.yaml::lacking: "), "{}", run.stderr);
    let forced = target(folder.path(), &["lacking", "--ignored"]);
    assert_eq!(forced.code, 101);
    assert!(forced.stdout.contains("this host lacks"), "{}", forced.stdout);

    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .arg("good")
        .env(ROOT, folder.path())
        .env("ASSIZE_REQUIRE", "seccomp, landlock=99")
        .current_dir(folder.path());
    // Whether or not a scenario needs it.
    let required = said(command);
    assert_eq!(required.code, 2, "{}{}", required.stdout, required.stderr);
    assert!(!required.stdout.contains("good"), "{}", required.stdout);
    for words in ["ASSIZE_REQUIRE", "landlock >= 99"] {
        assert!(required.stderr.contains(words), "{}", required.stderr);
    }
    let run = |required: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
        let folder = folder.path();
        command.args(["run", "good.yaml"]).env("ASSIZE_REQUIRE", required).current_dir(folder);
        said(command)
    };
    assert_eq!(run("landlock=99").code, 2);
    assert_eq!(run("landlock=1").code, 0);
}

fn a_file_that_cannot_be_loaded_is_a_failing_test() {
    let folder = fixture();
    for args in [&["bad"][..], &["sub/bad.yaml::(load)", "--exact"]] {
        let run = target(folder.path(), args);
        assert_eq!(run.code, 101, "{args:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.contains("test sub/bad.yaml::(load) ... FAILED"), "{}", run.stdout);
        assert!(run.stdout.contains("did you mean `run`?"), "{}", run.stdout);
        assert!(run.stdout.contains("sub/bad.yaml:1:1"), "{}", run.stdout);
    }
}

fn a_failure_says_how_to_run_it_again() {
    let folder = fixture();
    let root = folder.path();
    fs::create_dir(root.join("target")).unwrap();
    fs::write(root.join("Cargo.toml"), "").unwrap();
    fs::write(root.join("wrong.yaml"), "shell: echo is > out; echo is\nexpect: { stdout: was }\n").unwrap();
    let run = target(root, &["wrong.yaml::wrong", "--exact"]);
    assert_eq!(run.code, 101, "{}{}", run.stdout, run.stderr);
    for wanted in [
        "error: stdout is not what was expected\n",
        "wrong.yaml:2:11\n",
        "-was\n",
        "+is\n",
        "= to run it again: cargo test --test argv -- --exact 'wrong.yaml::wrong'\n",
        "= kept: target/assize/wrong/ (stdout, stderr, verdicts.jsonl, work/)\n",
    ] {
        assert!(run.stdout.contains(wanted), "{wanted}\n{}", run.stdout);
    }
    assert_eq!(fs::read_to_string(root.join("target/assize/wrong/work/out")).unwrap(), "is\n");
    let run = assize(root, &["run", "wrong.yaml", "good.yaml"]);
    assert_eq!(run.code, 101);
    assert!(run.stdout.contains("good.yaml::good ... ok\n"), "{}", run.stdout);
    assert!(run.stdout.contains(" run wrong.yaml --exact 'wrong.yaml::wrong'\n"), "{}", run.stdout);
    assert_eq!(assize(root, &["run", "wrong.yaml", "good.yaml", "--exact", "good.yaml::good"]).code, 0);
}

fn exec_passes_the_commands_end_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let exec = |args: &[&str]| assize(root, &[&["exec"], args].concat());
    let said = exec(&["--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (7, "out\n", "err\n"));
    assert_eq!(exec(&["sh", "-c", "kill -9 $$"]).code, 137);
    assert_eq!(exec(&["no-such-program"]).code, 127);
    assert_eq!(exec(&["/etc/passwd"]).code, 126);
    // Without a policy nothing can be written; with one, what it grants.
    assert_ne!(exec(&["touch", "made"]).code, 0);
    fs::write(root.join("policy"), "policy: { limits: { timeout: 2s } }\nenv: { A: b }\n").unwrap();
    assert_eq!(exec(&["--policy", "policy", "sh", "-c", "echo $A > made"]).code, 0);
    assert_eq!(fs::read_to_string(root.join("made")).unwrap(), "b\n");
    let said = exec(&["--policy", "policy", "sleep", "9"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (124, "assize: killed by the time limit of 2s, while sleep was in clock_nanosleep\n")
    );
    fs::write(root.join("lost"), "policy:\n  fs: { read: [$SYSTEM, /no/such/folder] }\n").unwrap();
    let said = exec(&["--policy", "lost", "true"]);
    assert_eq!(said.code, 125);
    for wanted in ["/no/such/folder", "lost:2:3\n", "the policy can't be used"] {
        assert!(said.stderr.contains(wanted), "{wanted}\n{}", said.stderr);
    }
    assert_eq!(exec(&["--deterministic", "uname", "-n"]).stdout, "assize\n");
    let said = exec(&["--trace", "log.jsonl", "-v", "cat", "/root/x"]);
    assert!(said.stderr.contains("fs         proven: "), "{}", said.stderr);
    let log = fs::read_to_string(root.join("log.jsonl")).unwrap();
    assert!(log.lines().count() > 3 && log.lines().all(|line| line.starts_with("{\"v\":1,")), "{log}");
}

fn bazel_gets_its_report_of_a_test_target() {
    let folder = fixture();
    let report = folder.path().join("out/test.xml");
    let run = |args: &[&str], report: &Path| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(args).env(ROOT, folder.path()).env("XML_OUTPUT_FILE", report).current_dir(folder.path());
        said(command)
    };
    // A list is no run.
    assert_eq!(run(&["--list"], &report).code, 0);
    assert!(!report.exists());
    assert_eq!(run(&["--skip", "good"], &report).code, 101);
    let xml = fs::read_to_string(&report).unwrap();
    assert!(xml.contains("tests=\"4\" skipped=\"1\" failures=\"0\" errors=\"1\""), "{xml}");
    assert!(xml.contains("name=\"cells[word=one]\"") && !xml.contains("good.yaml"), "{xml}");
    let unwritten = run(&["good"], Path::new("/dev/full"));
    assert_eq!(unwritten.code, 101);
    assert!(
        unwritten.stderr.contains("error: the report /dev/full can't be written"),
        "{}",
        unwritten.stderr
    );
}

fn an_empty_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let run = target(folder.path(), &[]);
    assert_eq!(run.code, 101);
    assert!(run.stderr.contains("no scenario"), "{}", run.stderr);
    fs::remove_dir(folder.path()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROOT, folder.path()).current_dir("/");
    assert_eq!(said(command).code, 101);
}

fn the_command_lists_and_filters() {
    let folder = fixture();
    let list = assize(folder.path(), &["list", "."]);
    let names: Vec<&str> = list.stdout.lines().map(|line| line.split(" (").next().unwrap_or(line)).collect();
    let all: Vec<&str> = ALL.iter().map(|line| line.strip_suffix(": test").unwrap()).collect();
    assert_eq!(names, all);
    assert!(list.stdout.contains("lacking.yaml::lacking (ignored: "), "{}", list.stdout);
    let list = assize(folder.path(), &["list", "good.yaml"]);
    assert_eq!(list.stdout, "good.yaml::good\n");
    let none = assize(folder.path(), &["run", ".", "--filter", "no such"]);
    assert_eq!((none.code, none.stdout.as_str()), (4, ""));
    assert_eq!(assize(folder.path(), &["run", ".", "--exact", "no.yaml::such"]).code, 4);
    assert_eq!(assize(folder.path(), &["run", "gone"]).code, 2);
}

fn a_shuffled_run_has_an_order_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        fs::write(folder.path().join(format!("{name}.yaml")), "run: [\"true\"]\n").unwrap();
    }
    let order = |seed: &str| {
        let said = assize(folder.path(), &["run", ".", "-j", "1", &format!("--shuffle={seed}")]);
        assert_eq!(said.code, 0, "{}", said.stdout);
        lines(&said.stdout).into_iter().skip(1).take(5).map(str::to_owned).collect::<Vec<_>>()
    };
    let orders: std::collections::BTreeSet<_> = ["1", "2", "3", "4"].map(order).into();
    assert!(orders.len() > 1, "{orders:?}");
    assert_eq!(order("1"), order("1"));
}

fn the_command_says_what_is_wrong() {
    let folder = fixture();
    let check = assize(folder.path(), &["check", "."]);
    assert_eq!(check.code, 1);
    assert!(check.stderr.contains("did you mean `run`?"), "{}", check.stderr);
    assert!(check.stderr.ends_with("4 scenarios can be loaded; 1 error, 1 warning\n"), "{}", check.stderr);
    assert_eq!(assize(folder.path(), &["check", "good.yaml"]).code, 0);
    let run = assize(folder.path(), &["run", ".", "--filter", "bad", "--filter", "lacking"]);
    assert_eq!(run.code, 101);
    assert!(run.stdout.contains("sub/bad.yaml::(load) ... FAILED"), "{}", run.stdout);
    assert!(run.stdout.contains("\nignored:\n    lacking.yaml::lacking: "), "{}", run.stdout);
    assert!(
        run.stdout.contains("result: FAILED. 0 passed; 1 failed; 1 ignored; 3 filtered out"),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains('\x1b'), "colours are for terminals");
}

fn exec_says_that_the_fault_is_not_the_commands() {
    let folder = fixture();
    fs::write(folder.path().join("policy"), "polcy: {}\n").unwrap();
    for policy in ["gone", "policy"] {
        let exec = assize(folder.path(), &["exec", "--policy", policy, "--", "true"]);
        assert_eq!(exec.code, 125, "{}", exec.stderr);
    }
    let exec = assize(folder.path(), &["exec", "--policy", "policy", "--", "true"]);
    assert!(exec.stderr.contains("did you mean `policy`?"), "{}", exec.stderr);
    assert_eq!(assize(folder.path(), &["exec"]).code, 2);
}

fn a_test_target_that_is_asked_to_end_leaves_nothing() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::INT, Signal::TERM] {
        let folder = tempfile::tempdir().unwrap();
        let (tmp, scenarios) = (folder.path().join("tmp"), folder.path().join("scenarios"));
        let mark = processes::mark(&format!("target {}", signal.as_raw()));
        for path in [&tmp, &scenarios] {
            fs::create_dir(path).unwrap();
        }
        // More than run at once: none of the others may begin.
        for nth in 0..6 {
            let text = format!("shell: setsid sleep {mark} & sleep {mark}\n");
            fs::write(scenarios.join(format!("{nth}.yaml")), text).unwrap();
        }
        let mut target = processes::asked(std::env::current_exe().unwrap())
            .arg("--test-threads=2")
            .env(ROOT, &scenarios)
            .env("TMPDIR", &tmp)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        processes::wait_until("to see the guests", || processes::marked(&mark).len() >= 4);
        kill_process(Pid::from_child(&target), signal).unwrap();
        assert_eq!(target.wait().unwrap().signal(), Some(signal.as_raw()));
        assert_eq!(processes::marked(&mark), [""; 0]);
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
    }
}
