//! A handler of one's own: the guest believes that it is user 12345.
#![forbid(unsafe_code)]

use assize_core::{Command, HandlerCtx, NotifAction, Policy, Sandbox};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut policy = Policy::default();
    policy.fs.read = vec!["/usr".into(), "/lib".into(), "/lib64".into(), "/etc".into()];
    let user = |_: &HandlerCtx| async { NotifAction::ReturnValue(12345) };
    let sandbox = Sandbox::new(policy, Command::new("/usr/bin/id").args(["-u"]));
    let outcome = sandbox.run_with_handlers([(libc::SYS_geteuid, user)]).await?;
    assert_eq!(outcome.stdout, b"12345\n");
    print!("{}", String::from_utf8(outcome.stdout)?);
    Ok(())
}
