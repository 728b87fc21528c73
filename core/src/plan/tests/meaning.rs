//! Whole policies: what the plan makes of a call is what the rules say of it, for every number on every architecture
//! and for the values of each argument that could matter.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;
use crate::capability::ALL;
use crate::filter::{Match, Test};
use crate::plan::make::start;
use crate::plan::meaning::{Meaning, Meanings};

/// The bit that marks a number of the x32 table.
const X32: u32 = 1 << 30;
/// Past the end of the table by far.
const NUMBERS: u32 = 1024;

fn data(arch: u32, number: u32, args: [u64; 6]) -> NotifData {
    NotifData { nr: number.cast_signed(), arch, instruction_pointer: 0x7fff_1234_5678, args }
}

/// Each number of the table and past its end, and the same with bits that could be lost on the way.
fn numbers() -> impl Iterator<Item = u32> {
    let plain = 0..NUMBERS;
    let marked = [X32, 1 << 31, X32 | 1 << 31, 0xffff_0000, 1 << 16, 0xffff_fc00]
        .map(|bits| (0..NUMBERS).map(move |number| number | bits));
    let odd = [X32 - 1, i32::MAX as u32, 1 << 31, (1 << 31) + 1, u32::MAX - 1, u32::MAX];
    plain.chain(marked.into_iter().flatten()).chain(odd)
}

/// The values of one argument that could matter to a condition: those that it names, the ones beside them, their
/// complements, single bits of a mask, and all of these with whatever lies where the kernel does not look.
fn values(test: Test) -> Vec<u64> {
    let named = match test {
        Test::Eq(value) | Test::Ne(value) => vec![value],
        Test::MaskedEq { mask, value } => vec![value, mask, value | !mask, value & !mask],
        Test::AnyBit(bits) => {
            let single = (0..64).map(|bit| 1 << bit).filter(|bit| bits & bit != 0);
            single.chain([bits]).collect()
        }
    };
    let mut near: Vec<u64> = Vec::new();
    for value in named {
        near.extend([value, value.wrapping_add(1), value.wrapping_sub(1), !value]);
    }
    near.extend([0, 1, u64::MAX, u64::from(u32::MAX), 1 << 31]);
    let garbage = [0, 1 << 32, 1 << 63, 0xdead_beef_0000_0000, 0xffff_ffff_0000_0000];
    near.iter().flat_map(|value| garbage.map(|garbage| value ^ garbage)).collect()
}

/// Registers that could matter to this call under the rules of any capability.
fn registers(conditions: &[Match]) -> Vec<[u64; 6]> {
    let mut all = vec![[0; 6], [u64::MAX; 6], [0xdead_beef_cafe_f00d; 6]];
    for Match { arg, test } in conditions {
        for value in values(*test) {
            for others in [0, u64::MAX] {
                let mut registers = [others; 6];
                registers[usize::from(*arg)] = value;
                all.push(registers);
            }
        }
    }
    all
}

fn conditions(policy: &Policy, call: Syscall) -> Vec<Match> {
    let (capabilities, _) = start(policy).unwrap();
    let rules = capabilities.iter().flat_map(|capability| capability.rules());
    rules.filter(|rule| rule.calls.contains(&call)).flat_map(|rule| rule.when.to_vec()).collect()
}

/// The plan does what the policy says, for every number on every word of an architecture.
fn check(policy: &Policy) -> usize {
    let plan = Plan::of(policy).unwrap();
    plan.program().verify().unwrap();
    let meanings = Meanings::of(policy).unwrap();
    let same = |data: NotifData| {
        assert_eq!(plan.meaning(&data), Some(meanings.meaning(&data)), "{data:x?} under {policy:?}");
    };
    for number in numbers() {
        let call = Syscall::checked(number.cast_signed().into()).ok();
        let tried = call.map_or_else(|| registers(&[]), |call| registers(&conditions(policy, call)));
        tried.into_iter().for_each(|args| same(data(X86_64, number, args)));
        same(data(X86_64 ^ 1 << (number % 32), number, [0; 6]));
    }
    // Whoever is not asked about anything is not slowed down by arguments either.
    for call in Syscall::all() {
        let never = registers(&conditions(policy, call))
            .into_iter()
            .all(|args| meanings.meaning(&data(X86_64, call.number(), args)) == Meaning::Runs);
        assert_eq!(
            plan.program().is_const_allow(call.number().cast_signed()),
            never,
            "{call} under {policy:?}"
        );
    }
    plan.program().instructions().len()
}

/// Every machine there could be, with each of the bits that tell its variants apart (`<linux/audit.h>`).
#[test]
fn every_other_architecture_is_killed() {
    let policies = policies();
    let plans: Vec<_> = policies.iter().map(|policy| Plan::of(policy).unwrap()).collect();
    for machine in 0..=u32::from(u16::MAX) {
        for variant in 0..16 {
            let arch = variant << 28 | machine;
            for (plan, number) in plans.iter().zip([0, 59, X32 | 59, u32::MAX, 335]) {
                let killed = plan.meaning(&data(arch, number, [0; 6])) == Some(Meaning::Killed);
                assert_eq!(killed, arch != X86_64, "{number} of {arch:#x}");
            }
        }
    }
}

#[test]
fn a_policy_s_plan_does_what_its_rules_say() {
    for policy in policies() {
        check(&policy);
    }
    for without in ALL.iter().map(|declared| declared.name) {
        let mut policy = Policy { seed: Some(1), hostname: Some("box".into()), ..Policy::default() };
        policy.fs.deny.push("/etc/passwd".into());
        policy.observe.calls.extend(family::UMASK.syscalls());
        policy.without.insert(without.to_owned());
        check(&policy);
    }
}

/// A policy lists calls and nothing of their arguments. So its longest program is the one in which no two neighbours
/// among the numbers are treated alike, and it is far from what the kernel refuses.
#[test]
fn no_policy_s_program_is_too_long() {
    let minimal = check(&Policy::default());
    let mut longest = 0;
    for turn in 0..3 {
        let mut policy = Policy { seed: Some(1), hostname: Some("box".into()), ..Policy::default() };
        policy.fs.deny.push("/etc/passwd".into());
        for call in filtered() {
            match (call.number() as usize + turn) % 3 {
                0 => drop(policy.syscalls.deny.insert(call)),
                1 => drop(policy.observe.calls.insert(call)),
                _ => {}
            }
        }
        longest = longest.max(check(&policy));
    }
    let mut all = Policy::default();
    all.syscalls.deny = filtered().collect();
    println!("instructions: {minimal} at least, {longest} at most, {} where all is denied", check(&all));
    assert!(longest < 1200, "{longest} instructions");
}

fn any_calls(most: usize) -> impl Strategy<Value = Vec<Syscall>> {
    let calls: Vec<Syscall> = filtered().collect();
    let most = most.min(calls.len());
    prop::sample::subsequence(calls, 0..=most)
}

prop_compose! {
    fn any_policy()(
        deny in any_calls(usize::MAX),
        allow in any_calls(40),
        observed in prop_oneof![Just(Vec::new()), any_calls(60)],
        denials in any::<bool>(),
        seed in prop::option::of(any::<u64>()),
        hostname in any::<bool>(),
        clock in prop::sample::select(vec![None, Some(LOGICAL), Some(OFFSET)]),
        paths in prop::sample::subsequence(vec!["/etc/passwd", "/etc/apt", "/none/such"], 0..=3),
        without in prop::option::weighted(0.2, prop::sample::select(ALL.iter().map(|one| one.name).collect::<Vec<_>>())),
    ) -> Policy {
        let mut policy = Policy { seed, hostname: hostname.then(|| "box".to_owned()), clock, ..Policy::default() };
        policy.syscalls.deny = deny.into_iter().collect();
        policy.syscalls.allow =
            allow.into_iter().filter(|call| !policy.syscalls.deny.contains(call) && call.sysno() != Sysno::ptrace).collect();
        policy.observe.calls = observed.into_iter().collect();
        policy.observe.denials = denials;
        policy.fs.deny = paths.into_iter().map(Into::into).collect();
        policy.without = without.map(str::to_owned).into_iter().collect();
        policy
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_policy_s_plan_does_what_its_rules_say(policy in any_policy()) {
        check(&policy);
    }
}
