//! Gives a whole tree of processes a time limit: daemons are found too.
#![forbid(unsafe_code)]

use std::error::Error;

use std::time::Duration;

use assize_core::outcome::End;
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
    policy.limits.timeout = Some(Duration::from_millis(500));
    let command = Command::new("sh").args(["-c", "(setsid sleep 60 &); echo started; sleep 60"]);
    let outcome = Sandbox::new(policy, command).run_blocking()?;
    println!("{:?} after {:?}", outcome.end, outcome.took);
    assert!(matches!(outcome.end, End::TimedOut(_)));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
