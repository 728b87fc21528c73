//! Steps outside of the sandbox: when they run, with what, and what becomes of them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "lifetime/processes.rs"]
mod processes;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use processes::{marked, nobody, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// A folder with this scenario, in whose text `LOG` stands for a file outside of its work folder.
struct Fixture(tempfile::TempDir);

impl Fixture {
    fn of(yaml: &str) -> Self {
        let fixture = Self(tempfile::tempdir().unwrap());
        fixture.put(yaml);
        fs::write(fixture.log(), "").unwrap();
        fixture
    }

    fn put(&self, yaml: &str) {
        let text = yaml.replace("LOG", self.log().to_str().unwrap());
        fs::write(self.0.path().join("one.yaml"), text).unwrap();
    }

    fn log(&self) -> std::path::PathBuf {
        self.0.path().join("log")
    }

    /// What steps have written there.
    fn logged(&self) -> Vec<String> {
        fs::read_to_string(self.log()).unwrap().lines().map(str::to_owned).collect()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
        command.args(args).current_dir(self.0.path());
        for name in ["ASSIZE_ALLOW_OUTSIDE", "CARGO", "CI", "GITHUB_ACTIONS", "ASSIZE_SHARD"] {
            command.env_remove(name);
        }
        command.env("CARGO_TARGET_DIR", self.0.path().join("target"));
        command
    }

    /// The exit code, and all that is said.
    fn assize(&self, args: &[&str]) -> (Option<i32>, String) {
        let out = self.command(args).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
        (out.status.code(), said)
    }

    fn allowed(&self) -> (Option<i32>, String) {
        self.assize(&["run", "one.yaml", "--allow-outside"])
    }

    fn passes(&self) {
        let (code, said) = self.allowed();
        assert_eq!(code, Some(0), "{said}");
    }

    fn begun(&self) -> Child {
        let mut command = self.command(&["run", "one.yaml", "--allow-outside"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

/// A number of seconds that only the steps of one test sleep. None of them stays, also if the test fails: who slept on would keep
/// whatever the tests were started with.
struct Mark(String);

impl Mark {
    fn of(test: &str) -> Self {
        Self(processes::mark(test))
    }
}

impl std::ops::Deref for Mark {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // Another test's number may begin with this one.
        let is_own = |shown: &String| {
            shown.split(|c: char| !c.is_ascii_digit() && c != '.').any(|word| word == self.0)
        };
        for shown in marked(self).into_iter().filter(is_own) {
            let number = shown.split(':').next().and_then(|number| number.parse().ok());
            if let Some(pid) = number.and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn nothing_runs_outside_without_consent() {
    let fixture = Fixture::of("outside: { before: [{ shell: echo ran >> LOG }] }\nrun: [\"true\"]\n");
    let (code, said) = fixture.assize(&["run", "one.yaml"]);
    assert_eq!(code, Some(101), "{said}");
    assert!(said.contains("not allowed here") && said.contains("one.yaml:1:1"), "{said}");
    assert!(said.contains("0 passed; 1 failed; 0 ignored"), "{said}");
    for args in [
        ["run", "one.yaml", "--stress=2"].as_slice(),
        &["list", "one.yaml"],
        &["check", "one.yaml"],
        &["explain", "one.yaml"],
        &["doctor", "one.yaml"],
        &["bless", "one.yaml", "--check"],
    ] {
        fixture.assize(args);
    }
    assert_eq!(fixture.logged(), [""; 0]);
    fixture.passes();
    let mut command = fixture.command(&["run", "one.yaml"]);
    let allowed = command.env("ASSIZE_ALLOW_OUTSIDE", "1").stdout(Stdio::null()).status().unwrap();
    assert!(allowed.success());
    assert_eq!(fixture.logged(), ["ran", "ran"]);
    // Where there is no step, nothing has to be allowed.
    fixture.put("outside: { after: [] }\nrun: [\"true\"]\n");
    assert_eq!(fixture.assize(&["run", "one.yaml"]).0, Some(0));
}

#[test]
fn what_steps_make_is_there_before_the_run_and_no_change_of_it() {
    let fixture = Fixture::of(
        "files: { given: text, closed: { dir: true, mode: 0555 } }\n\
         deterministic: { clock: 2001-02-03T00:00:00Z }\n\
         outside:\n  before:\n    \
           - { shell: cat given > made; echo x > closed/inner }\n    \
           - { run: [cp, made, $WORK/again] }\n  \
         after:\n    - { shell: cat by-the-guest >> LOG; touch too-late }\n\
         run: [sh, -c, 'cat again; stat -c %Y again closed/inner; stat -c %a closed; echo hello > by-the-guest']\n\
         expect:\n  stdout: \"text981158400\\n981158400\\n555\\n\"\n  \
           files: { too-late: absent }\n  changes: { added: [by-the-guest] }\n",
    );
    fixture.passes();
    assert_eq!(fixture.logged(), ["hello"]);
}

/// The folder's mode is for the folder alone, not for what a step lays in its place.
#[test]
fn a_mode_follows_no_link_that_a_step_has_made() {
    let fixture = Fixture::of("");
    let own = fixture.0.path().join("own");
    fs::create_dir(&own).unwrap();
    fixture.put(&format!(
        "files: {{ d: {{ dir: true, mode: 0111 }} }}\n\
         outside: {{ before: [{{ shell: rmdir d; ln -s {} d }}] }}\nrun: [\"true\"]\n",
        own.display()
    ));
    let before = fs::metadata(&own).unwrap().permissions();
    fixture.passes();
    assert_eq!(fs::metadata(&own).unwrap().permissions(), before);
}

#[test]
fn a_step_has_the_callers_environment_and_no_input() {
    let fixture = Fixture::of(
        "outside:\n  before:\n    - shell: |\n        \
           echo $FROM_THE_CALLER >> LOG\n        test $WORK = $PWD && echo here >> LOG\n        \
           cat >> LOG\n        ulimit -t > /dev/null && echo end >> LOG\nrun: [\"true\"]\n",
    );
    let mut command = fixture.command(&["run", "one.yaml", "--allow-outside"]);
    let mut child =
        command.env("FROM_THE_CALLER", "hello").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // It stays open: who read it would wait.
    let input = child.stdin.take();
    assert!(child.wait().unwrap().success());
    drop(input);
    assert_eq!(fixture.logged(), ["hello", "here", "end"]);
}

#[test]
fn every_run_has_its_steps() {
    let steps = "outside:\n  before: [{ shell: echo b >> LOG }]\n  after: [{ shell: echo a >> LOG }]\n";
    let times = |more: &str, runs: usize| {
        let fixture = Fixture::of(&format!("{steps}{more}"));
        fixture.passes();
        assert_eq!(fixture.logged(), ["b", "a"].repeat(runs), "{more}");
    };
    times("run: [\"true\"]\nrepeat: 3\n", 3);
    times("each: { word: [\"true\", /bin/true] }\nrun: [$word]\ncost: 4000\n", 2);
    // A run without failures, one in which it is counted, and one for each of two occurrences.
    times(
        "shell: mkdir a; mkdir b; true\n\
         sweep: { calls: [family(mkdir)], errno: [EIO], expect: { exit: 0 } }\n",
        4,
    );
}

#[test]
fn the_command_is_not_run_where_a_step_before_it_fails() {
    let fixture = Fixture::of(
        "outside:\n  before:\n    - { shell: echo why; exit 5 }\n    - { shell: echo second >> LOG }\n  \
         after:\n    - { shell: test -e made && echo made >> LOG; exit 6 }\n    - { shell: echo after >> LOG }\n\
         shell: echo x > made\n",
    );
    let (code, said) = fixture.allowed();
    assert_eq!(code, Some(101), "{said}");
    assert_eq!(fixture.logged(), ["after"]);
    for part in
        ["a step before the run exited with code 5", "one.yaml:3:9", "why", "with code 6", "one.yaml:6:9"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let report = fixture.0.path().join("report.xml");
    fixture.assize(&["run", "one.yaml", "--allow-outside", "--junit", report.to_str().unwrap()]);
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains("exited with code 5") && report.contains("exited with code 6"), "{report}");
}

#[test]
fn steps_after_the_run_are_done_whatever_came_of_it() {
    let after = "outside: { after: [{ shell: exit 2 }, { shell: echo after >> LOG }] }\n";
    for (run, wanted) in [
        ("run: [\"false\"]\n", "the command ended with exit code 1"),
        ("run: [sleep, \"100\"]\npolicy: { limits: { timeout: 200ms } }\n", "was not over"),
        ("run: [no-such-program]\n", "no-such-program"),
        ("run: [\"true\"]\nhandlers: { missing: [getuid] }\n", "there is no handler `missing`"),
    ] {
        let fixture = Fixture::of(&format!("{after}{run}"));
        let (code, said) = fixture.allowed();
        assert_eq!(code, Some(101), "{said}");
        assert!(fixture.logged().iter().all(|line| line == "after") && !fixture.logged().is_empty(), "{run}");
        let wanted = if run.contains("timeout") { "time" } else { wanted };
        assert!(said.contains(wanted) && said.contains("exited with code 2"), "{said}");
    }
}

/// Its time limit, or its own end: nobody of its group stays.
#[test]
fn a_step_ends_with_its_group() {
    let mark = Mark::of("a step and its group");
    // Who is killed need not be gone at once.
    let gone =
        "for i in $(seq 200); do grep -qs sleep /proc/$(cat pid)/cmdline || exit 0; sleep 0.05; done; exit 1";
    let fixture = Fixture::of(&format!(
        "outside:\n  before:\n    - {{ shell: \"sleep {mark} & echo $! > pid\" }}\n    - {{ shell: {gone} }}\n  \
         after:\n    - {{ shell: \"sleep {mark} & sleep {mark}; echo never >> LOG\", timeout: 300ms }}\nrun: [\"true\"]\n"
    ));
    let since = Instant::now();
    let (code, said) = fixture.allowed();
    assert!(since.elapsed() < Duration::from_secs(50), "it waited for somebody who holds the output");
    assert_eq!(code, Some(101), "{said}");
    assert!(said.contains("a step after the run was not over after 0.3 s, and was killed"), "{said}");
    assert!(!said.contains("before the run"), "{said}");
    nobody(&mark, "after the steps");
    assert!(!fixture.logged().contains(&"never".to_owned()));
}

/// The harness takes signals in a thread of its own; what it starts must not inherit that they are blocked.
#[test]
fn a_step_can_be_asked_to_end() {
    for name in ["TERM", "INT", "HUP", "QUIT"] {
        let fixture = Fixture::of(&format!(
            "outside: {{ before: [{{ shell: kill -{name} $$; echo survived >> LOG }}] }}\nrun: [\"true\"]\n"
        ));
        let (_, said) = fixture.allowed();
        assert!(said.contains(&format!("was killed by SIG{name}")), "{said}");
        assert_eq!(fixture.logged(), [""; 0]);
    }
}

/// Who writes without end is read to his end, and no more of it is kept than is shown.
#[test]
fn what_a_step_writes_keeps_it_from_nothing() {
    let fixture = Fixture::of(
        "outside:\n  before: [{ shell: head -c 5000000 /dev/zero; yes | head -c 5000000; echo last; exit 1 }]\nrun: [\"true\"]\n",
    );
    let (_, said) = fixture.allowed();
    assert!(said.contains("last\n") && said.len() < 4000, "{} bytes: {said:.4000}", said.len());
}

#[test]
fn who_is_interrupted_cleans_up_first() {
    // While the command runs, and while a step before it does.
    for slow in ["before: [{ shell: sleep MARK }]", "before: []"] {
        let mark = Mark::of(&format!("interrupted {slow}"));
        let fixture = Fixture::of(&format!(
            "outside:\n  {}\n  after: [{{ shell: exit 1 }}, {{ shell: sleep 0.2; echo after >> LOG }}]\nrun: [sleep, \"{mark}\"]\n",
            slow.replace("MARK", &mark)
        ));
        let mut harness = fixture.begun();
        wait_until("to see who sleeps", || !marked(&mark).is_empty());
        let since = Instant::now();
        send(&harness, Signal::INT);
        assert_eq!(harness.wait().unwrap().signal(), Some(Signal::INT.as_raw()));
        assert_eq!((fixture.logged(), marked(&mark)), (vec!["after".to_owned()], vec![]), "{slow}");
        // Long before the step's own time is up.
        assert!(since.elapsed() < Duration::from_secs(40), "{slow}: it was waited for");
    }
}

#[test]
fn who_asks_twice_waits_for_no_step() {
    let mark = Mark::of("asked twice");
    let fixture = Fixture::of(&format!(
        "outside: {{ after: [{{ shell: echo began >> LOG; sleep {mark}; echo never >> LOG }}] }}\nrun: [\"true\"]\n"
    ));
    let mut harness = fixture.begun();
    wait_until("to see the step", || !marked(&mark).is_empty());
    send(&harness, Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    assert!(harness.try_wait().unwrap().is_none(), "the first one waits for the step");
    send(&harness, Signal::TERM);
    assert_eq!(harness.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    nobody(&mark, "after a second signal");
    assert_eq!(fixture.logged(), ["began"]);
}

/// It can't tidy up, but whoever it waits for ends with it.
#[test]
fn a_step_dies_with_a_harness_that_is_killed() {
    let mark = Mark::of("killed");
    let fixture =
        Fixture::of(&format!("outside: {{ before: [{{ run: [sleep, \"{mark}\"] }}] }}\nrun: [\"true\"]\n"));
    let mut harness = fixture.begun();
    wait_until("to see the step", || !marked(&mark).is_empty());
    send(&harness, Signal::KILL);
    harness.wait().unwrap();
    nobody(&mark, "after SIGKILL");
}

#[test]
fn who_blesses_needs_consent_as_well() {
    let fixture = Fixture::of(
        "outside:\n  before: [{ shell: echo ran >> LOG; echo new > input }]\nrun: [cat, input]\nexpect: { stdout: \"old\\n\" }\n",
    );
    let text = || fs::read_to_string(fixture.0.path().join("one.yaml")).unwrap();
    let (code, said) = fixture.assize(&["bless", "one.yaml"]);
    assert!(code == Some(1) && said.contains("not allowed here"), "{said}");
    assert!(text().contains("old") && fixture.logged().is_empty());
    let (code, said) = fixture.assize(&["bless", "one.yaml", "--allow-outside"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(text().contains("stdout: \"new\\n\""), "{}", text());
    // What a step did after it is not as it should be: nothing is taken of such a run.
    fixture.put("outside: { after: [{ run: [\"false\"] }] }\nrun: [echo, x]\nexpect: { stdout: \"y\\n\" }\n");
    let (code, said) = fixture.assize(&["bless", "one.yaml", "--allow-outside"]);
    assert!(code == Some(1) && said.contains("a step after the run exited with code 1"), "{said}");
}

#[test]
fn a_report_says_how_to_run_it_again() {
    let fixture =
        Fixture::of("outside: { after: [{ run: [\"true\"] }] }\nrun: [echo, x]\nexpect: { stdout: y }\n");
    let (_, said) = fixture.allowed();
    for command in [
        "assize run one.yaml --exact 'one.yaml::one' --allow-outside",
        "assize bless one.yaml --exact 'one.yaml::one' --allow-outside",
    ] {
        assert!(said.contains(command), "{said}");
    }
    // Whoever was refused is told the command with which it is not.
    let (_, said) = fixture.assize(&["run", "one.yaml"]);
    assert!(said.contains("--exact 'one.yaml::one' --allow-outside\n"), "{said}");
}

#[test]
fn steps_are_explained_whole() {
    let fixture = Fixture::of(
        "outside:\n  before:\n    - { run: [cp, \"a b\", $WORK/c], timeout: 1.5s }\n    - shell: |\n        one\n        two\nrun: [\"true\"]\n",
    );
    let (code, said) = fixture.assize(&["explain", "one.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    let wanted = "  before, line 3, 1.5 s at most:\n    \"cp\" \"a b\" \"$WORK/c\"\n  before, line 4, 60 s at most:\n    one\n    two\n";
    assert!(said.contains(wanted), "{said}");
    let shared = Path::new("_shared.yaml");
    fs::write(fixture.0.path().join(shared), "outside: { after: [{ run: [x] }] }\n").unwrap();
    fixture.put("extends: _shared.yaml\nrun: [\"true\"]\n");
    let (_, said) = fixture.assize(&["explain", "one.yaml"]);
    assert!(said.contains("  after, _shared.yaml:1, 60 s at most:\n    \"x\"\n"), "{said}");
    // What a shared part brings needs consent as well.
    assert_eq!(fixture.assize(&["run", "one.yaml"]).0, Some(101));
}
