//! Answers a system call later, while other guests go on.
#![forbid(unsafe_code)]

use std::error::Error;

use std::time::{Duration, Instant};

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
    let later = |_: &HandlerCtx| async {
        NotifAction::defer(async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            NotifAction::ReturnValue(0)
        })
    };
    let command = Command::new("sh").args(["-c", "(sync; echo synced) & echo meanwhile; wait"]);
    let since = Instant::now();
    let outcome = Sandbox::new(system(), command).run_with_handlers([(libc::SYS_sync, later)]).await?;
    println!("{} after {:?}", String::from_utf8_lossy(&outcome.stdout), since.elapsed());
    assert_eq!(outcome.stdout, b"meanwhile\nsynced\n");
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
