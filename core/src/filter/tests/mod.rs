//! The program against the spec it was made from, over the whole space of numbers.
#![forbid(unsafe_code)]

mod instructions;
mod oracle;
mod random;

use super::assembler::{ARCH, X32_BIT};
use super::*;
use crate::handler::NotifData;
use crate::syscall::signature;
use crate::{Errno, Syscall};

const ENOSYS: Action = Action::Errno(Errno::ENOSYS);
const EPERM: Action = Action::Errno(Errno::EPERM);

fn call(name: &str) -> Syscall {
    Syscall::named(name).unwrap()
}

fn data(number: u32, args: [u64; 6]) -> NotifData {
    NotifData { nr: number as i32, arch: ARCH, instruction_pointer: 0x1234_5678_9abc_def0, args }
}

/// The spec that denies, asks about and tests what a real one does.
fn ordinary() -> Spec {
    let mut spec = Spec::new();
    for name in ["ptrace", "mount", "bpf", "io_uring_setup", "keyctl", "kexec_load"] {
        spec.deny(call(name), Errno::EPERM);
    }
    spec.deny(call("clone3"), Errno::ENOSYS);
    spec.ask(call("openat"));
    spec.ask(call("execve"));
    for request in [0x5412, 0x541c] {
        spec.add(call("ioctl"), Case::when([Match::eq(1, request)], EPERM)).unwrap();
    }
    for name in ["clone", "unshare"] {
        spec.add(call(name), Case::when([Match::any_bit(0, 0x7e02_0000)], EPERM)).unwrap();
    }
    spec.add(call("personality"), Case::when([Match::ne(0, 0xffff_ffff)], EPERM)).unwrap();
    spec
}
