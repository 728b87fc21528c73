//! Kills the process group of a guest that makes a certain call.
#![forbid(unsafe_code)]

use std::error::Error;

use assize_core::outcome::End;
use assize_core::trace::Exit;
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
    let kill = |cx: &HandlerCtx| {
        let pid = rustix::process::Pid::from_raw(cx.notif.pid.cast_signed());
        let group = rustix::process::getpgid(pid);
        async move {
            match group {
                Ok(group) => NotifAction::Kill { sig: libc::SIGKILL, pgid: group.as_raw_nonzero().get() },
                Err(_) => NotifAction::Errno(libc::ESRCH),
            }
        }
    };
    let command = Command::new("sh").args(["-c", "echo before; sync; echo not reached"]);
    let outcome = Sandbox::new(system(), command).run_with_handlers([(libc::SYS_sync, kill)]).await?;
    println!("{:?}: {}", outcome.end, String::from_utf8_lossy(&outcome.stdout));
    assert_eq!(outcome.end, End::Exit(Exit::Signal(libc::SIGKILL)));
    assert_eq!(outcome.stdout, b"before\n");
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
