//! What a deterministic run costs, against the bare command and, where it is installed, against libfaketime.

use std::path::Path;
use std::process::{Command, Stdio};

use assize_core::plan::{Plan, Way as Becomes};
use assize_core::policy::Schedule;
use assize_core::syscall::{Sysno, family};
use assize_core::{Policy, Sandbox, Syscall};
use assize_harness::scenario::deterministic::Deterministic;

use crate::calls::{executable, figure};
use crate::measure::{Row, Table, Target, Way, milliseconds};
use crate::programs::{MAKE, TWENTY_STARTS, bare, boxed, each, raw, sources};
use crate::start::system;

const ROUNDS: usize = 5;
const ENTRIES: usize = 1000;

/// As `deterministic: true` has it: one guest at a time, on one processor.
fn policy(work: &Path) -> Policy {
    let mut policy = system();
    for path in ["/sys", "/dev/urandom"] {
        policy.fs.read.push(path.into());
    }
    policy.fs.read.push(executable());
    policy.fs.write.push(work.to_owned());
    policy.env.insert("PATH".into(), "/usr/bin:/bin".into());
    policy.env.insert("TMPDIR".into(), work.into());
    Deterministic::default().apply(&mut policy);
    policy
}

/// The same with `schedule: any`: on all processors.
fn at_once(policy: &Policy) -> Policy {
    Policy { schedule: Schedule::Any, ..policy.clone() }
}

/// The calls that such a run asks about, whatever their arguments are; but for exec, which the floor itself has to do first.
fn asked(policy: &Policy) -> Vec<Sysno> {
    let plan = Plan::of(policy).unwrap();
    let asks =
        |call: &Syscall| matches!(plan.way(*call), Becomes::Seen | Becomes::Asked | Becomes::Performed);
    let asks = |call: &Syscall| asks(call) && !family::EXEC.contains(*call);
    Syscall::all().filter(asks).map(Syscall::sysno).collect()
}

/// The library that does the same to clocks from within, where it is installed.
fn libfaketime() -> Option<String> {
    let places = ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/faketime", "/usr/lib64/faketime"];
    places.iter().map(|place| format!("{place}/libfaketime.so.1")).find(|path| Path::new(path).exists())
}

fn outside(words: &[&str], preload: Option<&str>) -> f64 {
    let mut command = Command::new(executable());
    command.arg("guest").args(words).env_clear().stdin(Stdio::null());
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library).env("FAKETIME", "@2000-01-01 00:00:00");
    }
    figure(&command.output().unwrap().stdout)
}

fn inside(words: &[&str], policy: &Policy) -> f64 {
    let command = assize_core::Command::new(executable()).args(["guest"]).args(words);
    let outcome = Sandbox::new(policy.clone(), command).run_blocking().unwrap();
    // The guest's own clock is the virtual one: what a call takes is told from outside, by all of them together.
    assert!(outcome.stderr.is_empty(), "{}", String::from_utf8_lossy(&outcome.stderr));
    outcome.took.as_secs_f64()
}

/// The cost of one call, from two runs of different lengths: a start and its end cancel out.
fn call(name: &str, count: u32, path: &str, policy: &Policy) -> f64 {
    let few = (count / 10).max(1);
    let run = |count: u32| inside(&[name, &count.to_string(), path], policy);
    let (short, long) = (run(few), run(few + count));
    // A tenth more than what is measured is made to warm up.
    (long - short) / (f64::from(count) * 1.1) * 1e6
}

pub(crate) fn rows(table: &mut Table) {
    let work = tempfile::tempdir().unwrap();
    let work = work.path().canonicalize().unwrap();
    sources(&work);
    let folder = work.join("entries");
    std::fs::create_dir(&folder).unwrap();
    for nth in 0..ENTRIES {
        std::fs::write(folder.join(format!("entry-{nth}")), "").unwrap();
    }
    let policy = policy(&work);
    let (policy, at_once, work) = (&policy, &at_once(&policy), work.as_path());
    let folder = folder.to_str().unwrap().to_owned();
    let preload = libfaketime();
    let calls: [(&str, &str, u32, &str, Target); 4] = [
        ("clock_gettime", "clock", 5_000_000, "", Target::Times(1.0)),
        ("getrandom", "getrandom", 20_000, "", Target::None),
        ("stat", "stat", 20_000, "/usr/bin/env", Target::None),
        ("a listing of 1,000 entries", "list", 200, &folder, Target::Times(2.0)),
    ];
    for (title, name, count, path, target) in calls {
        let mut ways: Vec<(&str, Way<'_>)> = Vec::new();
        if let (Some(library), "clock") = (&preload, name) {
            ways.push((
                "libfaketime",
                Box::new(move || outside(&[name, &count.to_string(), path], Some(library))),
            ));
        }
        ways.push(("bare", Box::new(move || outside(&[name, &count.to_string(), path], None))));
        ways.push(("Assize", Box::new(move || call(name, count, path, policy))));
        table
            .row(Row { name: &format!("deterministic: {title}"), unit: "µs", rounds: ROUNDS, ways, target });
    }
    let ways: Vec<(&str, Way<'_>)> = vec![
        ("bare", Box::new(move || each(|script| bare(script, work)))),
        ("Assize", Box::new(move || each(|script| boxed(script, work, policy)))),
    ];
    let name = "deterministic: fork, exec and end of /bin/true in a run";
    table.row(Row { name, unit: "ms", rounds: ROUNDS, ways, target: Target::More(0.3) });
    let (python, make) = (Some("/usr/bin/python3"), Some("/usr/bin/make"));
    let programs = [
        ("start and end of /bin/true", "exec /bin/true", None, 20, Target::None, policy),
        ("20 starts of python3", TWENTY_STARTS, python, ROUNDS, Target::Times(1.3), policy),
        ("make of 21 C files, -j2", MAKE, make, ROUNDS, Target::Times(1.3), policy),
        ("make of 21 C files, -j2, `schedule: any`", MAKE, make, ROUNDS, Target::Times(1.3), at_once),
    ];
    for (title, script, needs, rounds, target, policy) in programs {
        let name = format!("deterministic: {title}");
        if let Some(missing) = needs.filter(|path| !Path::new(path).exists()) {
            table.leave_out(&name, &format!("there is no {missing}"));
            continue;
        }
        let mut ways: Vec<(&str, Way<'_>)> = Vec::new();
        if let Some(library) = &preload {
            ways.push(("libfaketime", Box::new(move || faked(script, work, library))));
        }
        let calls = asked(policy);
        ways.push(("floor", Box::new(move || raw(script, work, policy, &calls))));
        ways.push(("bare", Box::new(move || bare(script, work))));
        ways.push(("Assize", Box::new(move || boxed(script, work, policy))));
        table.row(Row { name: &name, unit: "ms", rounds, ways, target });
    }
}

fn faked(script: &str, work: &Path, library: &str) -> f64 {
    milliseconds(|| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(work).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("LD_PRELOAD", library).env("FAKETIME", "@2000-01-01 00:00:00");
        let output = command.env("TMPDIR", work).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    })
}
