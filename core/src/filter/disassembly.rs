//! A program as a reader sees it: one instruction a line, jumps by where they lead, numbers by what they stand for.
#![forbid(unsafe_code)]

use std::fmt;

use super::instruction::{Instruction, code, offset};
use super::program::Program;
use crate::{Errno, Syscall};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was loaded last: the tree over the numbers stands before all tests of arguments.
        let mut loaded = None;
        for (at, this) in self.instructions().iter().enumerate() {
            let Instruction { code, jt, jf, k } = *this;
            let to = |far: u8| at + 1 + usize::from(far);
            let text = match code {
                code::JA => format!("ja {}", at + 1 + k as usize),
                code::JEQ_K => format!("jeq {k:#x}, {}, {}", to(jt), to(jf)),
                code::JGE_K => format!("jge {k:#x}, {}, {}", to(jt), to(jf)),
                code::JGT_K => format!("jgt {k:#x}, {}, {}", to(jt), to(jf)),
                code::JSET_K => format!("jset {k:#x}, {}, {}", to(jt), to(jf)),
                _ => format!("{this:?}"),
            };
            let says = match code {
                code::LD_W_ABS => {
                    loaded = Some(k);
                    field(k)
                }
                code::RET_K => returned(k),
                code::JEQ_K | code::JGE_K if loaded == Some(offset::NUMBER) => {
                    let call = Syscall::checked(k.into()).map(Syscall::name).unwrap_or_default();
                    if code == code::JGE_K && !call.is_empty() {
                        format!("{call} or later")
                    } else {
                        call.to_owned()
                    }
                }
                _ => String::new(),
            };
            if says.is_empty() {
                writeln!(f, "{at:5}: {text}")?;
            } else {
                writeln!(f, "{at:5}: {text:28}; {says}")?;
            }
        }
        Ok(())
    }
}

/// A part of `struct seccomp_data`.
fn field(at: u32) -> String {
    match at {
        offset::NUMBER => "the call's number".to_owned(),
        offset::ARCH => "the architecture".to_owned(),
        offset::POINTER..offset::ARGS => "the instruction pointer".to_owned(),
        _ => {
            let half = if at.is_multiple_of(8) { "low" } else { "high" };
            format!("argument {}, {half} half", (at - offset::ARGS) / 8)
        }
    }
}

/// What the kernel does by a returned value.
fn returned(value: u32) -> String {
    match value & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_ALLOW => "it runs".to_owned(),
        libc::SECCOMP_RET_USER_NOTIF => "the supervisor is asked".to_owned(),
        libc::SECCOMP_RET_TRACE => "the tracker stops it".to_owned(),
        libc::SECCOMP_RET_KILL_PROCESS => "the process is killed".to_owned(),
        libc::SECCOMP_RET_ERRNO => {
            let errno = i32::try_from(value & libc::SECCOMP_RET_DATA).unwrap_or(0);
            format!("it fails with {}", Errno::new(errno))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Case, Match, Spec, assemble};
    use super::*;

    #[test]
    fn a_program_reads_as_what_it_does() {
        let call = |name| Syscall::named(name).unwrap();
        let mut spec = Spec::new();
        spec.deny(call("ptrace"), Errno::EPERM);
        spec.ask(call("getrandom"));
        let case = Case::when([Match::eq(0, 1)], super::super::Action::Errno(Errno::EACCES));
        spec.add(call("socket"), case).unwrap();
        let program = assemble(&spec).unwrap();
        let text = program.to_string();
        assert_eq!(text.lines().count(), program.instructions().len());
        for says in [
            "; the architecture",
            "; the call's number",
            "; ptrace or later",
            "; the supervisor is asked",
            "; it fails with EPERM",
            "; it fails with EACCES",
            "; it fails with ENOSYS",
            "; argument 0, low half",
            "; the process is killed",
            "; it runs",
        ] {
            assert!(text.contains(says), "{says}:\n{text}");
        }
        // Where a jump leads is a line of it.
        let target =
            |line: &str| line.split([',', ' ', ';']).filter_map(|word| word.parse::<usize>().ok()).max();
        assert!(text.lines().filter_map(target).all(|line| line < program.instructions().len()), "{text}");
    }
}
