//! Watches every open and every process of a run, as events and as lines of JSON.
#![forbid(unsafe_code)]

use std::error::Error;

use assize_core::trace::{Body, JsonLines, Memory};
use assize_core::{Command, Policy, Sandbox};

/// A policy that lets a guest run the system's programs.
fn system() -> Policy {
    let mut policy = Policy::default();
    for path in ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"] {
        if std::path::Path::new(path).exists() {
            policy.fs.read.push(path.into());
        }
    }
    policy.fs.write.push("/dev/null".into());
    policy
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let mut policy = system();
    policy.observe.processes = true;
    policy.observe.denials = true;
    let memory = Memory::default();
    let command = Command::new("sh").args(["-c", "cat /etc/passwd; exit 1"]);
    let sandbox =
        Sandbox::new(policy, command).trace(memory.clone()).trace(JsonLines::new(std::io::stdout()));
    sandbox.run_blocking()?;
    let events = memory.drain();
    for event in &events {
        match &event.body {
            Body::Verdict(verdict) => println!("{verdict:?}"),
            other => println!("{other:?}"),
        }
    }
    assert!(events.iter().any(|event| matches!(event.body, Body::Exit { .. })));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
