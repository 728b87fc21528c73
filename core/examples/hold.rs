//! Never answers a call: its caller waits until the time is up.
#![forbid(unsafe_code)]

use std::error::Error;

use std::time::Duration;

use assize_core::outcome::End;
use assize_core::{Command, HandlerCtx, NotifAction, Policy, Sandbox};

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

async fn demonstrate() -> Result<(), Box<dyn Error>> {
    let mut policy = system();
    policy.limits.timeout = Some(Duration::from_millis(500));
    let hold = |_: &HandlerCtx| async { NotifAction::Hold };
    let command = Command::new("sh").args(["-c", "echo waiting; sync; echo not reached"]);
    let outcome = Sandbox::new(policy, command).run_with_handlers([(libc::SYS_sync, hold)]).await?;
    println!("{:?}: {}", outcome.end, String::from_utf8_lossy(&outcome.stdout));
    assert!(matches!(outcome.end, End::TimedOut(_)));
    assert_eq!(outcome.stdout, b"waiting\n");
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
