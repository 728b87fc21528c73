//! Gives a guest a file that does not exist, with a content that is made up.
#![forbid(unsafe_code)]

use std::error::Error;

use assize_core::handler::read_child_cstr;
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
    let open = |cx: &HandlerCtx| {
        let HandlerCtx { notif, notif_fd, .. } = *cx;
        async move {
            // int openat(int dirfd, const char *path, int flags, mode_t mode)
            match read_child_cstr(notif_fd, notif.id, notif.pid, notif.data.args[1], 4096) {
                Ok(path) if path == b"/motd" => {
                    NotifAction::inject_bytes(b"Good morning.\n").unwrap_or(NotifAction::Errno(libc::EIO))
                }
                Ok(_) => NotifAction::Continue,
                Err(error) => NotifAction::Errno(error.errno().value()),
            }
        }
    };
    let command = Command::new("cat").args(["/motd"]);
    let outcome = Sandbox::new(system(), command).run_with_handlers([(libc::SYS_openat, open)]).await?;
    println!("{}", String::from_utf8_lossy(&outcome.stdout));
    assert_eq!(outcome.stdout, b"Good morning.\n");
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
