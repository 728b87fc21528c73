//! Runs a command in a sandbox that may read the system's folders, and prints what was decided.
#![allow(missing_docs)]
use assize_core::trace::{JsonLines, Memory};
use assize_core::{Command, Policy, Sandbox};

fn main() {
    let mut args = std::env::args_os().skip(1);
    let mut policy = Policy::default();
    for path in ["/usr", "/bin", "/lib", "/lib64", "/etc", "/dev/null", "/dev/urandom", "/proc", "/tmp/box"] {
        if std::path::Path::new(path).exists() {
            policy.fs.read.push(path.into());
        }
    }
    if std::path::Path::new("/tmp/box").exists() {
        policy.fs.write.push("/tmp/box".into());
    }
    if let Ok(seed) = std::env::var("SEED") {
        policy.seed = seed.parse().ok();
        policy.hostname = Some("box".into());
    }
    if let Ok(path) = std::env::var("DENY") {
        policy.fs.deny.push(path.into());
    }
    if std::env::var("NONS").is_ok() {
        policy.isolation = assize_core::policy::Isolation::Off;
    }
    if std::env::var("OBS").is_ok() {
        policy.observe.denials = true;
        policy.observe.processes = true;
    }
    if let Ok(t) = std::env::var("TIMEOUT") {
        policy.limits.timeout = Some(std::time::Duration::from_millis(t.parse().unwrap()));
    }
    let program = args.next().unwrap();
    let mut sandbox = Sandbox::new(policy, Command::new(program).args(args));
    if std::env::var("TRACE").is_ok() {
        sandbox = sandbox.trace(JsonLines::new(std::io::stderr()));
    }
    let _ = Memory::default();
    match sandbox.run_blocking() {
        Ok(o) => {
            use std::io::Write;
            std::io::stdout().write_all(&o.stdout).unwrap();
            std::io::stderr().write_all(&o.stderr).unwrap();
            eprintln!("{:?} {:?}", o.end, o.took);
            if std::env::var("REPORT").is_ok() {
                for c in o.report.controls {
                    eprintln!("  {}: {:?}", c.name, c.state);
                }
            }
        }
        Err(e) => {
            eprintln!("error: {e}");
        }
    }
}
