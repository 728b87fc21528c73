//! Denies a file within a folder that is granted, whatever name it is reached by.
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
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("public"), "public")?;
    std::fs::write(folder.path().join("secret"), "secret")?;
    let mut policy = system();
    policy.fs.write.push(folder.path().into());
    policy.fs.deny.push(folder.path().join("secret"));
    let script = "cat public; cat secret; ln secret x; cat x; ln -s secret y; cat y; mv secret z; cat z";
    let command = Command::new("sh").args(["-c", script]).cwd(folder.path());
    let outcome = Sandbox::new(policy, command).run_blocking()?;
    println!("{}", String::from_utf8_lossy(&outcome.stderr));
    assert_eq!(outcome.stdout, b"public");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
