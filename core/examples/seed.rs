//! Makes everything random that a guest can ask the kernel for a function of a seed.
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
    let draw = |seed| -> Result<Vec<u8>, Box<dyn Error>> {
        let mut policy = system();
        policy.seed = Some(seed);
        policy.fs.read.push("/dev/urandom".into());
        let command = Command::new("od").args(["-An", "-tx1", "-N16", "/dev/urandom"]);
        Ok(Sandbox::new(policy, command).run_blocking()?.stdout)
    };
    println!("{}", String::from_utf8_lossy(&draw(1)?));
    assert_eq!(draw(1)?, draw(1)?);
    assert_ne!(draw(1)?, draw(2)?);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
