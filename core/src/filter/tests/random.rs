//! Random specs, against the spec itself and against a second compiler.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::oracle::{check, check_remembered, registers};
use super::*;
use crate::syscall::signature::Width;

fn any_call() -> impl Strategy<Value = Syscall> {
    let calls: Vec<Syscall> = Syscall::all().collect();
    prop::sample::select(calls)
}

/// A value as rules have them: small, a single bit, near an edge, or anything.
fn any_value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..20_u64,
        (0..64_u32).prop_map(|bit| 1 << bit),
        Just(u64::MAX),
        Just(u64::from(u32::MAX)),
        any::<u64>()
    ]
}

/// A condition that fits the call, if the call has arguments.
fn condition(call: Syscall, arg: u8, kind: u8, first: u64, second: u64) -> Option<Match> {
    let count = u8::try_from(signature::params(call).len()).ok().filter(|count| *count > 0)?;
    let arg = arg % count;
    let mask = signature::width(call, arg.into())?.mask();
    let (value, other) = (first & mask, second & mask);
    let condition = match kind % 4 {
        0 => Match::eq(arg, value),
        1 => Match::ne(arg, value),
        2 => Match::masked_eq(arg, other, value & other),
        _ => Match::any_bit(arg, value),
    };
    condition.test.decides().then_some(condition)
}

type Seed = (Syscall, Vec<(u8, u8, u64, u64)>, u8);

fn any_case(kinds: u8) -> impl Strategy<Value = Seed> {
    let conditions = prop::collection::vec((any::<u8>(), 0..kinds, any_value(), any_value()), 1..4);
    (any_call(), conditions, any::<u8>())
}

fn any_action(pick: u8) -> Action {
    match pick % 6 {
        0 => Action::Allow,
        1 => Action::Ask,
        2 => EPERM,
        3 => Action::Stop,
        4 => Action::Errno(Errno::new(1 + i32::from(pick % 120))),
        _ => Action::Kill,
    }
}

fn spec_of(denied: &[(Syscall, u8)], cases: &[Seed], action: impl Fn(u8) -> Action) -> Spec {
    let mut spec = Spec::new();
    for (call, pick) in denied {
        spec.always(*call, action(*pick));
    }
    for (call, conditions, pick) in cases {
        let when: Vec<Match> =
            conditions.iter().filter_map(|(arg, kind, a, b)| condition(*call, *arg, *kind, *a, *b)).collect();
        if !when.is_empty() {
            spec.add(*call, Case::when(when, action(*pick))).unwrap();
        }
    }
    spec
}

/// What a second compiler makes of the same denials.
fn second_opinion(spec: &Spec) -> Program {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in spec.calls() {
        let cases = spec.cases(call);
        let entry = rules.entry(call.number().into()).or_default();
        // An empty list denies always: seccompiler takes it so only where no rule follows.
        if cases.len() == 1 && cases[0].then != Action::Allow {
            continue;
        }
        for case in cases.iter().filter(|case| !case.when.is_empty()) {
            let conditions = case.when.iter().map(|condition| {
                let width = signature::width(call, condition.arg.into()).unwrap();
                let len = if width == Width::W64 { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
                let (op, value) = match condition.test {
                    Test::Eq(value) if width == Width::W16 => (SeccompCmpOp::MaskedEq(0xffff), value),
                    Test::Eq(value) => (SeccompCmpOp::Eq, value),
                    Test::Ne(value) => (SeccompCmpOp::Ne, value),
                    Test::MaskedEq { mask, value } => (SeccompCmpOp::MaskedEq(mask), value),
                    Test::AnyBit(_) => unreachable!("not generated here"),
                };
                SeccompCondition::new(condition.arg, len, op, value).unwrap()
            });
            entry.push(SeccompRule::new(conditions.collect()).unwrap());
        }
        if entry.is_empty() {
            rules.remove(&i64::from(call.number()));
        }
    }
    let deny = SeccompAction::Errno(Errno::EPERM.value().unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, deny, TargetArch::x86_64).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    let instructions =
        program.into_iter().map(|step| Instruction { code: step.code, jt: step.jt, jf: step.jf, k: step.k });
    Program::new(instructions.collect()).unwrap()
}

/// Both programs say the same of every known call.
fn compare(spec: &Spec) {
    let (ours, theirs) = (assemble(spec).unwrap(), second_opinion(spec));
    for call in Syscall::all() {
        for args in registers(spec, call) {
            let data = data(call.number(), args);
            assert_eq!(ours.run(&data), theirs.run(&data), "{call} with {args:x?}: {:?}", spec.cases(call));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_spec_does_what_it_says(
        denied in prop::collection::vec((any_call(), any::<u8>()), 0..460),
        cases in prop::collection::vec(any_case(4), 0..150),
    ) {
        let spec = spec_of(&denied, &cases, any_action);
        match assemble(&spec) {
            Ok(program) => {
                check(&spec, &program);
                check_remembered(&spec, &program);
            }
            Err(error) => prop_assert!(matches!(error, FilterError::TooLong(_)), "{error}"),
        }
    }

    #[test]
    fn a_few_calls_with_hundreds_of_cases_do_what_they_say(
        calls in prop::collection::vec(any_call(), 1..5),
        cases in prop::collection::vec(any_case(4), 100..400),
    ) {
        let cases: Vec<Seed> =
            cases.into_iter().enumerate().map(|(n, (_, when, pick))| (calls[n % calls.len()], when, pick)).collect();
        let spec = spec_of(&[], &cases, any_action);
        match assemble(&spec) {
            Ok(program) => {
                for call in calls {
                    for args in registers(&spec, call) {
                        let data = data(call.number(), args);
                        prop_assert_eq!(program.run(&data), super::oracle::expected(&spec, &data));
                    }
                }
            }
            Err(error) => prop_assert!(matches!(error, FilterError::TooLong(_)), "{error}"),
        }
    }

    #[test]
    fn a_second_compiler_makes_the_same_of_denials(
        denied in prop::collection::vec(any_call(), 0..460),
        cases in prop::collection::vec(any_case(3), 0..60),
    ) {
        let denied: Vec<_> = denied.into_iter().map(|call| (call, 0)).collect();
        // Width 16 knows no inequality over there.
        let cases: Vec<Seed> = cases
            .into_iter()
            .filter(|(call, ..)| signature::params(*call).iter().all(|param| param.kind.width() != Width::W16))
            .collect();
        compare(&spec_of(&denied, &cases, |_| EPERM));
    }
}
