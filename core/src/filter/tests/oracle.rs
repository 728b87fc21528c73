//! Every number, and the values next to those that are compared.
#![forbid(unsafe_code)]

use super::*;

/// What must come out, by a way that shares nothing with the assembler.
pub(super) fn expected(spec: &Spec, data: &NotifData) -> u32 {
    let number = data.nr as u32;
    if data.arch != ARCH {
        return Action::Kill.verdict();
    }
    if number >= X32_BIT {
        return ENOSYS.verdict();
    }
    match Syscall::checked(number.into()) {
        Ok(call) => spec.decide(call, &data.args).verdict(),
        Err(_) => ENOSYS.verdict(),
    }
}

/// Registers that are worth a try: each value that a condition of this call mentions, the ones beside it, and the
/// same with other bits where the kernel does not look.
pub(super) fn registers(spec: &Spec, call: Syscall) -> Vec<[u64; 6]> {
    let conditions: Vec<Match> = spec.cases(call).into_iter().flat_map(|case| case.when).collect();
    let mut interesting = vec![[0; 6], [u64::MAX; 6], [0xdead_beef_cafe_f00d; 6]];
    for Match { arg, test } in &conditions {
        let mut values = vec![test.bits(), !test.bits(), test.bits() & test.bits().wrapping_neg()];
        if let Test::MaskedEq { mask, value } = test {
            values.extend([*value, value ^ (mask & mask.wrapping_neg()), value | !mask]);
        }
        for value in values.clone() {
            values.extend([value.wrapping_add(1), value.wrapping_sub(1)]);
        }
        for value in values.clone() {
            values.extend([0xdead_beef_0000_0000 ^ value, 1 << 32 ^ value, 1 << 63 ^ value, 1 << 16 ^ value]);
        }
        // Alone, and with every other condition's value in its place.
        let others = conditions.iter().fold([0; 6], |mut registers: [u64; 6], other| {
            registers[usize::from(other.arg)] = other.test.bits();
            registers
        });
        for value in values {
            for mut registers in [[0; 6], others] {
                registers[usize::from(*arg)] = value;
                interesting.push(registers);
            }
        }
    }
    // Of hundreds of conditions a part will do: an odd step meets every kind of value.
    let step = (interesting.len() / 2000) | 1;
    interesting.into_iter().step_by(step).collect()
}

/// The program does what the spec says, for every number.
pub(super) fn check(spec: &Spec, program: &Program) {
    program.verify().unwrap();
    let odd = [X32_BIT - 1, X32_BIT, X32_BIT + 1, X32_BIT | 257, 0x7fff_ffff, 0x8000_0000, u32::MAX, 5000];
    for number in (0..=1024).chain(odd) {
        let known = Syscall::checked(number.into()).ok();
        let registers = known.map_or_else(|| vec![[0; 6], [7; 6]], |call| registers(spec, call));
        for args in registers {
            let data = data(number, args);
            assert_eq!(
                program.run(&data),
                expected(spec, &data),
                "number {number} with {args:x?}: {:?}",
                known.map(|call| spec.cases(call))
            );
        }
        for arch in [0, 0x4000_0003, 0xc000_00b7, ARCH ^ 1] {
            let data = NotifData { arch, ..data(number, [0; 6]) };
            assert_eq!(program.run(&data), libc::SECCOMP_RET_KILL_PROCESS, "{number} of {arch:#x}");
        }
    }
}

/// The calls that are plainly allowed, and no others, are those that the kernel remembers.
pub(super) fn check_remembered(spec: &Spec, program: &Program) {
    for call in Syscall::all() {
        let plain = spec.cases(call) == [Case::always(Action::Allow)];
        assert_eq!(program.is_const_allow(call.number() as i32), plain, "{call}");
    }
    for number in [335 + 3, 423, 470, 1000, -1] {
        assert!(!program.is_const_allow(number), "{number}");
    }
}

#[test]
fn an_ordinary_spec_does_what_it_says() {
    let spec = ordinary();
    let program = assemble(&spec).unwrap();
    check(&spec, &program);
    check_remembered(&spec, &program);
    assert!(program.instructions().len() < 100, "{} instructions", program.instructions().len());
}

#[test]
fn an_empty_spec_allows_what_is_known() {
    let program = assemble(&Spec::new()).unwrap();
    check(&Spec::new(), &program);
    check_remembered(&Spec::new(), &program);
    assert_eq!(program.run(&data(39, [0; 6])), libc::SECCOMP_RET_ALLOW);
    assert_eq!(program.run(&data(470, [0; 6])), ENOSYS.verdict());
}

#[test]
fn the_kernels_view_of_a_request_is_compared() {
    let program = assemble(&ordinary()).unwrap();
    for garbage in [0, 1 << 32, 0xffff_ffff_0000_0000] {
        assert_eq!(program.run(&data(16, [0, garbage | 0x5412, 0, 0, 0, 0])), EPERM.verdict());
        assert_eq!(program.run(&data(16, [0, garbage | 0x5413, 0, 0, 0, 0])), libc::SECCOMP_RET_ALLOW);
        assert_eq!(program.run(&data(135, [garbage | 0xffff_ffff, 0, 0, 0, 0, 0])), libc::SECCOMP_RET_ALLOW);
        assert_eq!(program.run(&data(135, [garbage, 0, 0, 0, 0, 0])), EPERM.verdict());
    }
}

#[test]
fn the_strictest_case_wins() {
    let mut spec = Spec::new();
    let openat = call("openat");
    spec.always(openat, Action::Allow);
    spec.ask(openat);
    spec.add(openat, Case::when([Match::eq(2, 1)], Action::Allow)).unwrap();
    spec.add(openat, Case::when([Match::eq(2, 1)], Action::Ask)).unwrap();
    spec.add(openat, Case::when([Match::eq(2, 1)], EPERM)).unwrap();
    spec.add(openat, Case::when([Match::eq(2, 1)], EPERM)).unwrap();
    spec.add(openat, Case::when([Match::eq_int(0, -100)], Action::Kill)).unwrap();
    assert_eq!(
        spec.cases(openat),
        [
            Case::when([Match::eq_int(0, -100)], Action::Kill),
            Case::when([Match::eq(2, 1)], EPERM),
            Case::always(Action::Ask)
        ]
    );
    check(&spec, &assemble(&spec).unwrap());
    spec.deny(openat, Errno::EACCES);
    spec.deny(openat, Errno::EIO);
    assert_eq!(spec.cases(openat).last(), Some(&Case::always(Action::Errno(Errno::EACCES))));
    assert_eq!(spec.cases(openat).len(), 2);
    check(&spec, &assemble(&spec).unwrap());
}

#[test]
fn conditions_that_do_not_fit_are_refused() {
    let mut spec = Spec::new();
    let mut add = |name: &str, condition| spec.add(call(name), Case::when([condition], EPERM)).unwrap_err();
    assert!(matches!(add("ioctl", Match::eq(1, 1 << 32)), FilterError::TooWide { arg: 1, .. }));
    assert!(matches!(add("chmod", Match::any_bit(1, 1 << 16)), FilterError::TooWide { arg: 1, .. }));
    assert!(matches!(add("ioctl", Match::eq(3, 0)), FilterError::NoSuchArgument { arg: 3, .. }));
    assert!(matches!(add("ioctl", Match::any_bit(1, 0)), FilterError::DecidesNothing { .. }));
    assert!(matches!(add("ioctl", Match::masked_eq(1, 1, 2)), FilterError::DecidesNothing { .. }));
    assert_eq!(
        add("ioctl", Match::eq(1, 1 << 32)).to_string(),
        "argument 1 of ioctl is compared with 0x100000000, but the kernel looks at 32 bits of it"
    );
}

#[test]
fn calls_with_the_same_cases_share_their_tests() {
    let shared = |names: &[&str]| {
        let mut spec = Spec::new();
        for name in names {
            for value in 0..50 {
                spec.add(call(name), Case::when([Match::eq(1, value)], EPERM)).unwrap();
            }
        }
        assemble(&spec).unwrap().instructions().len()
    };
    assert!(shared(&["ioctl", "fcntl"]) < shared(&["ioctl"]) + 10);
}

/// Far more than a conditional jump reaches, in the tree and in the tests.
#[test]
fn long_programs_jump_where_they_should() {
    let mut spec = Spec::new();
    // No two neighbours alike, so that every number is a run of its own.
    for (place, call) in Syscall::all().enumerate() {
        spec.deny(call, Errno::new(1 + i32::try_from(place % 90).unwrap()));
    }
    let program = assemble(&spec).unwrap();
    check(&spec, &program);

    let mut spec = Spec::new();
    let wide = Syscall::all().filter(|call| signature::params(*call).len() > 2);
    for (place, call) in wide.step_by(3).take(60).enumerate() {
        for value in 0..10 {
            let then = [EPERM, Action::Ask, Action::Stop, Action::Errno(Errno::EACCES), Action::Kill]
                [(place + value) % 5];
            let value = (place * 100 + value) as u64;
            let second = Match::any_bit(1, 1 << (value % 16));
            spec.add(call, Case::when([Match::eq(0, value & 0xffff), second], then)).unwrap();
        }
    }
    let program = assemble(&spec).unwrap();
    assert!(program.instructions().len() > 1000, "{} instructions", program.instructions().len());
    check(&spec, &program);
    check_remembered(&spec, &program);
}

#[test]
fn a_program_that_the_kernel_would_not_take_is_an_error() {
    let mut spec = Spec::new();
    for value in 0..5000 {
        spec.add(call("ioctl"), Case::when([Match::eq(1, value), Match::eq(2, value)], EPERM)).unwrap();
    }
    assert!(matches!(assemble(&spec), Err(FilterError::TooLong(length)) if length > 4096));
}

#[test]
fn hundreds_of_values_of_one_argument_fit() {
    let mut spec = Spec::new();
    for value in 0..900 {
        spec.add(call("ioctl"), Case::when([Match::eq(1, value * 7)], EPERM)).unwrap();
    }
    let program = assemble(&spec).unwrap();
    check(&spec, &program);
}

#[test]
fn conditions_are_described_by_the_names_of_the_call() {
    for (name, condition, words) in [
        ("ioctl", Match::eq(1, 0x5412), "request is TIOCSTI"),
        ("personality", Match::ne(0, 0xffff_ffff), "persona is not 0xffffffff"),
        ("clone", Match::any_bit(0, 0x3000_0000), "flags has any of CLONE_NEWUSER|CLONE_NEWPID"),
        ("mmap", Match::masked_eq(2, 4, 4), "prot has PROT_EXEC"),
        ("unshare", Match::no_bit(0, 0x1000_0000), "flags has none of CLONE_NEWUSER"),
        ("openat", Match::eq_int(0, -100), "dirfd is AT_FDCWD"),
        ("chmod", Match::masked_eq(1, 0o7000, 0o4000), "mode under 0o7000 is 0o4000"),
        ("tuxcall", Match::eq(5, 16), "arg5 is 0x10"),
    ] {
        assert_eq!(condition.describe(call(name)), words);
    }
}
