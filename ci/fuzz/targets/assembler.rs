//! A spec's program does what the spec says, and any program that is taken ends.
#![no_main]
#![forbid(unsafe_code)]

use arbitrary::Arbitrary;
use assize_core::filter::{Action, Case, FilterError, Instruction, Match, Program, Spec, Test, assemble};
use assize_core::handler::NotifData;
use assize_core::{Errno, Syscall};
use libfuzzer_sys::fuzz_target;

const X86_64: u32 = 0xc000_003e;
const X32: u32 = 1 << 30;

#[derive(Debug, Arbitrary)]
struct Input {
    cases: Vec<(u16, Vec<(u8, Tried)>, Then)>,
    instructions: Vec<(u16, u8, u8, u32)>,
    made: Vec<(u16, [u64; 6])>,
    odd: Vec<(u32, i32, [u64; 6])>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Tried {
    Eq(u64),
    Ne(u64),
    MaskedEq(u64, u64),
    AnyBit(u64),
    /// Cut to what the kernel looks at, so that it is taken.
    Narrow(u8, u16),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Then {
    Allow,
    Ask,
    Stop,
    Errno(u16),
    Kill,
}

fn known(number: u16) -> Syscall {
    let count = Syscall::all().count();
    Syscall::all().nth(usize::from(number) % count).expect("within the table")
}

fn returned(action: Action) -> u32 {
    match action {
        Action::Allow => libc::SECCOMP_RET_ALLOW,
        Action::Ask => libc::SECCOMP_RET_USER_NOTIF,
        Action::Stop => libc::SECCOMP_RET_TRACE,
        Action::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno.value().unsigned_abs(),
        Action::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    }
}

fn wanted(spec: &Spec, data: &NotifData) -> u32 {
    if data.arch != X86_64 {
        return libc::SECCOMP_RET_KILL_PROCESS;
    }
    match Syscall::checked(data.nr.into()) {
        Ok(call) => returned(spec.decide(call, &data.args)),
        Err(_) => returned(Action::Errno(Errno::ENOSYS)),
    }
}

fuzz_target!(|input: Input| {
    let mut spec = Spec::new();
    let mut tried = Vec::new();
    for (number, conditions, then) in &input.cases {
        let call = known(*number);
        let when: Vec<Match> = conditions
            .iter()
            .map(|(arg, tried)| {
                let arg = arg % 6;
                let test = match *tried {
                    Tried::Eq(value) => Test::Eq(value),
                    Tried::Ne(value) => Test::Ne(value),
                    Tried::MaskedEq(mask, value) => Test::MaskedEq { mask, value },
                    Tried::AnyBit(bits) => Test::AnyBit(bits),
                    Tried::Narrow(kind, value) => match kind % 3 {
                        0 => Test::Eq(value.into()),
                        1 => Test::Ne(value.into()),
                        _ => Test::AnyBit(value.into()),
                    },
                };
                Match { arg, test }
            })
            .collect();
        let then = match *then {
            Then::Allow => Action::Allow,
            Then::Ask => Action::Ask,
            Then::Stop => Action::Stop,
            Then::Errno(errno) => Action::Errno(Errno::new(errno.into())),
            Then::Kill => Action::Kill,
        };
        for Match { arg, test } in &when {
            for value in [test.bits(), !test.bits(), test.bits().wrapping_add(1), test.bits() ^ 1 << 32] {
                let mut args = [0; 6];
                args[usize::from(*arg)] = value;
                tried.push((call.number(), args));
            }
        }
        // What doesn't fit the call is refused, and leaves nothing behind.
        let before = spec.clone();
        if spec.add(call, Case::when(when, then)).is_err() {
            assert_eq!(spec, before);
        }
    }
    match assemble(&spec) {
        Ok(program) => {
            program.verify().expect("a program that the kernel takes");
            let same = |data: NotifData| {
                let (is, wanted) = (program.run(&data), wanted(&spec, &data));
                assert_eq!(is, wanted, "{data:x?} under {spec:?}");
                if program.is_const_allow(data.nr) && data.arch == X86_64 {
                    assert_eq!(is, libc::SECCOMP_RET_ALLOW, "{data:x?}");
                }
            };
            let made = input.made.iter().map(|(number, args)| (known(*number).number(), *args));
            for (number, args) in made.chain(tried) {
                for nr in [number, number | X32, number | 1 << 31] {
                    same(NotifData { nr: nr.cast_signed(), arch: X86_64, instruction_pointer: 0, args });
                }
            }
            for (arch, nr, args) in &input.odd {
                same(NotifData { nr: *nr, arch: *arch, instruction_pointer: u64::MAX, args: *args });
                same(NotifData { nr: *nr, arch: X86_64, instruction_pointer: 0, args: *args });
            }
        }
        Err(error) => assert!(matches!(error, FilterError::TooLong(_)), "{error}"),
    }
    let instructions = input.instructions.iter().map(|(code, jt, jf, k)| Instruction {
        // Mostly one that exists.
        code: code & 0x00ff,
        jt: *jt,
        jf: *jf,
        k: *k,
    });
    if let Ok(program) = Program::new(instructions.collect()) {
        for (number, args) in input.made.iter().take(8) {
            let nr = i32::from(*number);
            let verdict = program.run(&NotifData { nr, arch: X86_64, instruction_pointer: 0, args: *args });
            if program.is_const_allow(nr) {
                assert_eq!(verdict, libc::SECCOMP_RET_ALLOW);
            }
        }
    }
});
