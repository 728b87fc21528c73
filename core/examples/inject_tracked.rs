//! Gives a guest a descriptor of the supervisor's, and learns which number it got there.
#![forbid(unsafe_code)]

use std::error::Error;

use std::fs::File;
use std::sync::mpsc;

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
    let (tell, told) = mpsc::channel();
    let open = move |cx: &HandlerCtx| {
        let HandlerCtx { notif, notif_fd, .. } = *cx;
        let tell = tell.clone();
        async move {
            let path = read_child_cstr(notif_fd, notif.id, notif.pid, notif.data.args[1], 4096);
            if !path.is_ok_and(|path| path == b"/the/log") {
                return NotifAction::Continue;
            }
            // A file that the guest itself could not open.
            let Ok(file) = File::open("/proc/self/comm") else { return NotifAction::Errno(libc::EIO) };
            NotifAction::InjectFdSendTracked {
                srcfd: file.into(),
                newfd_flags: 0,
                on_success: Box::new(move |number| {
                    let _ = tell.send(number);
                }),
            }
        }
    };
    let command = Command::new("cat").args(["/the/log"]);
    let outcome = Sandbox::new(system(), command).run_with_handlers([(libc::SYS_openat, open)]).await?;
    let number = told.recv()?;
    println!("descriptor {number} of the guest: {}", String::from_utf8_lossy(&outcome.stdout));
    assert!(number > 2 && !outcome.stdout.is_empty());
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
