//! Attaches handlers of several types, some of them to one call: the first answer that is not Continue wins.
#![forbid(unsafe_code)]

use std::error::Error;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assize_core::handler::HandlerFuture;
use assize_core::{Command, Handler, HandlerCtx, NotifAction, Policy, Sandbox};

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

/// Counts calls and lets them pass.
#[derive(Default)]
struct Counter {
    calls: AtomicU64,
}

impl Handler for Counter {
    fn handle<'a>(&'a self, _: &'a HandlerCtx) -> HandlerFuture<'a> {
        Box::pin(async {
            self.calls.fetch_add(1, Ordering::Relaxed);
            NotifAction::Continue
        })
    }
}

async fn demonstrate() -> Result<(), Box<dyn Error>> {
    let counter = Arc::new(Counter::default());
    let counting: Arc<dyn Handler> = counter.clone();
    let handlers: Vec<(i64, Box<dyn Handler>)> = vec![
        (libc::SYS_sync, Box::new(Arc::clone(&counting))),
        (libc::SYS_getcwd, Box::new(counting)),
        (libc::SYS_sync, Box::new(|_: &HandlerCtx| async { NotifAction::ReturnValue(0) })),
        (libc::SYS_sync, Box::new(|_: &HandlerCtx| async { unreachable!("the one before has answered") })),
    ];
    let command = Command::new("sh").args(["-c", "sync; sync; sync"]);
    let outcome = Sandbox::new(system(), command).run_with_handlers(handlers).await?;
    let count = counter.calls.load(Ordering::Relaxed);
    println!("{:?} after {count} calls", outcome.end);
    assert!(count >= 3);
    Ok(())
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
