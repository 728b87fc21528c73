//! How much memory a supervisor takes.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use assize_core::{Policy, Sandbox};

use crate::measure::{Row, Table, Target};
use crate::start::system;

const FURTHER: usize = 32;

/// The resident memory of a process, in MiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

/// `assize exec` while its command runs.
fn one() -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize"));
    command.args(["exec", "--", "/bin/sh", "-c", "echo ready; read line"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let memory = resident(child.id());
    drop(child.stdin.take());
    child.wait().unwrap();
    memory
}

/// What each sandbox beyond the first adds to this process.
fn further() -> f64 {
    let policy = Policy { seed: Some(42), ..system() };
    let gates: Vec<_> = (0..=FURTHER).map(|_| std::io::pipe().unwrap()).collect();
    let (tell, started) = mpsc::channel();
    let mut memory = Vec::new();
    std::thread::scope(|scope| {
        let mut held = Vec::new();
        for (nth, (gate, opened)) in gates.into_iter().enumerate() {
            let (policy, tell) = (policy.clone(), tell.clone());
            scope.spawn(move || {
                let mut command = assize_core::Command::new("/bin/sh").args(["-c", "cat <&3"]);
                command.inherit.push(gate.into());
                let run = Sandbox::new(policy, command);
                tell.send(()).unwrap();
                run.run_blocking().unwrap();
            });
            started.recv().unwrap();
            held.push(opened);
            if nth == 0 || nth == FURTHER {
                // The last one is still starting; nothing tells when it rests.
                std::thread::sleep(Duration::from_millis(300));
                memory.push(resident(std::process::id()));
            }
        }
        drop(held);
    });
    (memory[1] - memory[0]) / FURTHER as f64
}

pub(crate) fn rows(table: &mut Table) {
    table.row(Row {
        name: "the harness's own memory, one sandbox",
        unit: "MiB",
        rounds: 3,
        ways: vec![("Assize", Box::new(one))],
        target: Target::Most(10.0),
    });
    table.row(Row {
        name: "memory of a further sandbox",
        unit: "MiB",
        rounds: 3,
        ways: vec![("Assize", Box::new(further))],
        target: Target::Most(1.0),
    });
}
