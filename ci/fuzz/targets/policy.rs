//! A policy's plan does what its rules say, call by call.
#![no_main]
#![forbid(unsafe_code)]

use arbitrary::Arbitrary;
use assize_core::capability::ALL;
use assize_core::fuzzing::Meanings;
use assize_core::handler::NotifData;
use assize_core::policy::{Clock, ClockMode, Timestamp};
use assize_core::{Plan, Policy, Syscall};
use libfuzzer_sys::fuzz_target;

const X86_64: u32 = 0xc000_003e;

#[derive(Debug, Arbitrary)]
struct Input {
    deny: Vec<u16>,
    all_denied_but: Option<Vec<u16>>,
    allow: Vec<u16>,
    calls: Vec<u16>,
    denials: bool,
    processes: bool,
    seed: Option<u64>,
    hostname: Option<String>,
    /// Whether it goes on as the real one.
    clock: Option<bool>,
    denied_paths: u8,
    without: Vec<u8>,
    made: Vec<Made>,
}

#[derive(Debug, Arbitrary)]
struct Made {
    number: Number,
    arch: Option<u32>,
    pointer: u64,
    args: [u64; 6],
}

#[derive(Debug, Arbitrary)]
enum Number {
    Known(u16),
    Any(i32),
}

fn known(number: u16) -> Syscall {
    let count = Syscall::all().count();
    Syscall::all().nth(usize::from(number) % count).expect("within the table")
}

fn calls(numbers: &[u16]) -> impl Iterator<Item = Syscall> + '_ {
    numbers.iter().map(|number| known(*number))
}

fuzz_target!(|input: Input| {
    let mut policy = Policy { seed: input.seed, hostname: input.hostname, ..Policy::default() };
    policy.clock = input.clock.map(|real| Clock {
        start: Timestamp { seconds: 0, nanoseconds: 0 },
        mode: if real { ClockMode::Offset } else { ClockMode::Frozen },
    });
    policy.syscalls.deny = calls(&input.deny).collect();
    if let Some(not) = input.all_denied_but {
        policy.syscalls.deny = Syscall::all().filter(|call| call.is_filtered()).collect();
        for call in calls(&not) {
            policy.syscalls.deny.remove(&call);
        }
    }
    policy.syscalls.allow = calls(&input.allow).collect();
    policy.observe.calls = calls(&input.calls).collect();
    policy.observe.denials = input.denials;
    policy.observe.processes = input.processes;
    let paths = ["/etc/passwd", "/etc/apt", "/none/such", "/etc/../etc/hosts"];
    let chosen = paths.iter().enumerate().filter(|(place, _)| input.denied_paths >> place & 1 == 1);
    policy.fs.deny = chosen.map(|(_, path)| path.into()).collect();
    let names = input.without.iter().filter_map(|place| ALL.get(usize::from(*place)));
    policy.without = names.map(|declared| declared.name.to_owned()).collect();
    // What can't be carried out says so; never for the length of its program.
    let plan = match Plan::of(&policy) {
        Ok(plan) => plan,
        Err(error) => {
            assert!(!matches!(error, assize_core::plan::PlanError::Filter(_)), "{error}");
            return;
        }
    };
    plan.program().verify().expect("a program that the kernel takes");
    let meanings = Meanings::of(&policy).expect("it has just been planned");
    let same = |data: NotifData| {
        assert_eq!(plan.meaning(&data), Some(meanings.meaning(&data)), "{data:x?} under {policy:?}");
    };
    for made in &input.made {
        let nr = match made.number {
            Number::Known(number) => known(number).number().cast_signed(),
            Number::Any(number) => number,
        };
        let arch = made.arch.unwrap_or(X86_64);
        same(NotifData { nr, arch, instruction_pointer: made.pointer, args: made.args });
    }
    for nr in 0..600 {
        same(NotifData { nr, arch: X86_64, instruction_pointer: 0, args: [0; 6] });
    }
});
