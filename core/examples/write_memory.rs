//! Changes what a guest reads: its memory is written to before the call is answered.
#![forbid(unsafe_code)]

use std::error::Error;

use assize_core::handler::write_child_mem;
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
    let getcwd = |cx: &HandlerCtx| {
        let HandlerCtx { notif, notif_fd, .. } = *cx;
        async move {
            // int getcwd(char *buffer, size_t size): the length with the terminating zero.
            let path = b"/somewhere/else\0";
            match write_child_mem(notif_fd, notif.id, notif.pid, notif.data.args[0], path) {
                Ok(()) => NotifAction::ReturnValue(path.len() as i64),
                Err(error) => NotifAction::Errno(error.errno().value()),
            }
        }
    };
    let command = Command::new("/bin/pwd");
    let outcome = Sandbox::new(system(), command).run_with_handlers([(libc::SYS_getcwd, getcwd)]).await?;
    println!("{}", String::from_utf8_lossy(&outcome.stdout));
    assert_eq!(outcome.stdout, b"/somewhere/else\n");
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
