//! Puts a descriptor of the supervisor's in the place of one of the guest's, in the middle of its run.
#![forbid(unsafe_code)]

use std::error::Error;

use std::io::{Read, Seek};
use std::os::fd::AsRawFd;

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
    let mut file = tempfile::tempfile()?;
    let (srcfd, kept) = (file.as_raw_fd(), file.try_clone()?);
    let redirect = move |_: &HandlerCtx| {
        // The descriptor must stay open for as long as handlers name it.
        let _ = &kept;
        async move { NotifAction::InjectFd { srcfd, targetfd: 1 } }
    };
    // The shell's own umask(2) is the sign: from there on, what it writes goes elsewhere.
    let command = Command::new("sh").args(["-c", "echo before; umask 077; echo after"]);
    let outcome = Sandbox::new(system(), command).run_with_handlers([(libc::SYS_umask, redirect)]).await?;
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    println!("captured: {:?}, redirected: {text:?}", String::from_utf8_lossy(&outcome.stdout));
    assert_eq!((outcome.stdout.as_slice(), text.as_str()), (&b"before\n"[..], "after\n"));
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
