//! Fails a system call with an errno of one's own choosing.
#![forbid(unsafe_code)]

use std::error::Error;

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
    let refuse = |_: &HandlerCtx| async { NotifAction::Errno(libc::EROFS) };
    let command = Command::new("sh").args(["-c", "mkdir /tmp/x"]);
    let sandbox = Sandbox::new(system(), command);
    let outcome = sandbox.run_with_handlers([(libc::SYS_mkdir, refuse)]).await?;
    let text = String::from_utf8_lossy(&outcome.stderr).into_owned();
    println!("{text}");
    assert!(text.contains("Read-only file system"), "{text}");
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
