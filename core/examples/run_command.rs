//! Runs a command that may read the system's folders, and says how it ended and what was in force.
#![forbid(unsafe_code)]

use std::error::Error;

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
    let command = Command::new("sh").args(["-c", "echo hello; cat /etc/passwd; exit 3"]);
    let outcome = Sandbox::new(system(), command).run_blocking()?;
    println!("it ended with {:?} after {:?}", outcome.end, outcome.took);
    println!("stdout: {}", String::from_utf8_lossy(&outcome.stdout));
    println!("stderr: {}", String::from_utf8_lossy(&outcome.stderr));
    for control in &outcome.report.controls {
        println!("{}: {:?}", control.name, control.state);
    }
    assert_eq!(outcome.stdout, b"hello\n");
    assert!(!outcome.stderr.is_empty(), "/etc/passwd is not granted");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
