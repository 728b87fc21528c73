//! Makes system calls from a script: no program is needed to try a policy.
#![forbid(unsafe_code)]

use std::error::Error;

use assize_core::prober::{Script, Value};
use assize_core::{Policy, Sandbox, Syscall};

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let mut script = Script::default();
    let zero = Value::Number(0);
    let path = script.bytes(b"/etc/passwd\0");
    let here = Value::Number(i64::from(libc::AT_FDCWD).cast_unsigned());
    let opened = script.call(Syscall::named("openat")?, [here, Value::Data(path), zero, zero, zero, zero]);
    let traced = script.call(Syscall::named("ptrace")?, [zero; 6]);
    let (command, run) = script.build()?;
    Sandbox::new(Policy::default(), command).run_blocking()?;
    let results = run.results()?;
    println!("openat gave {:?}, ptrace gave {:?}", results[opened], results[traced]);
    assert_eq!(results[opened], Some(-i64::from(libc::EACCES)));
    assert_eq!(results[traced], Some(-i64::from(libc::EPERM)));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run()
}
