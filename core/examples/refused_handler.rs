//! A handler can weaken no denial, and can be attached to nothing but a system call.
#![forbid(unsafe_code)]

use std::error::Error;

use assize_core::{Command, HandlerCtx, HandlerError, NotifAction, Policy, RunError, Sandbox};

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
    let handler = |_: &HandlerCtx| async { NotifAction::Continue };
    let sandbox = || Sandbox::new(system(), Command::new("true"));
    let denied = sandbox().run_with_handlers([(libc::SYS_ptrace, handler)]).await;
    let unknown = sandbox().run_with_handlers([(99_999, handler)]).await;
    for refused in [denied, unknown] {
        match refused {
            Err(RunError::Handler(error)) => {
                println!("{error}");
                assert!(matches!(
                    error,
                    HandlerError::OnDenySyscall { .. } | HandlerError::InvalidSyscall(_)
                ));
            }
            other => return Err(format!("it was not refused: {other:?}").into()),
        }
    }
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
