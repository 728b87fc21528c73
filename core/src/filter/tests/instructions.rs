//! The verifier and the interpreter, an instruction at a time.
#![forbid(unsafe_code)]

use super::super::instruction::{code, offset};
use super::*;

fn plain(code: u16, k: u32) -> Instruction {
    Instruction::plain(code, k)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

const RETURN: Instruction = Instruction::plain(code::RET_K, 0);

fn result(steps: &[Instruction]) -> u32 {
    let program = Program::new([steps, &[plain(code::RET_A, 0)]].concat()).unwrap();
    let args = [0x1111_2222_3333_4444, 0, 0, 0, 0, 0x5555_6666_7777_8888];
    program.run(&NotifData { nr: -1, arch: ARCH, instruction_pointer: 0x9999_aaaa_bbbb_cccc, args })
}

#[test]
fn every_word_of_the_data_is_where_the_kernel_has_it() {
    for (at, expected) in [
        (0, u32::MAX),
        (4, ARCH),
        (8, 0xbbbb_cccc),
        (12, 0x9999_aaaa),
        (16, 0x3333_4444),
        (20, 0x1111_2222),
        (56, 0x7777_8888),
        (60, 0x5555_6666),
    ] {
        assert_eq!(result(&[plain(code::LD_W_ABS, at)]), expected, "at {at}");
    }
    assert_eq!((offset::low(5), offset::high(5)), (56, 60));
}

#[test]
fn arithmetic_is_the_kernels() {
    let on = |a: u32, op: u16, k: u32| {
        let by_operand = result(&[plain(code::LD_IMM, a), plain(code::CLASS_ALU | op, k)]);
        let by_x = result(&[
            plain(code::LD_IMM, a),
            plain(code::LDX_IMM, k),
            plain(code::CLASS_ALU | op | code::X, 0),
        ]);
        assert_eq!(by_operand, by_x, "{op:#x}");
        by_x
    };
    assert_eq!(on(u32::MAX, code::ADD, 2), 1);
    assert_eq!(on(1, code::SUB, 2), u32::MAX);
    assert_eq!(on(1 << 31, code::MUL, 2), 0);
    assert_eq!(on(7, code::DIV, 2), 3);
    assert_eq!(on(6, code::AND, 3), 2);
    assert_eq!(on(6, code::OR, 3), 7);
    assert_eq!(on(6, code::XOR, 3), 5);
    assert_eq!(on(3, code::LSH, 31), 1 << 31);
    assert_eq!(on(u32::MAX, code::RSH, 31), 1);
    assert_eq!(result(&[plain(code::LD_IMM, 1), plain(code::CLASS_ALU | code::NEG, 0)]), u32::MAX);
    assert_eq!(
        result(&[
            plain(code::LD_IMM, 7),
            plain(code::LDX_IMM, 0),
            plain(code::CLASS_ALU | code::DIV | code::X, 0)
        ]),
        0
    );
}

#[test]
fn values_move_between_registers_and_memory() {
    let steps = [
        plain(code::LD_IMM, 5),
        plain(code::ST, 3),
        plain(code::LDX_IMM, 9),
        plain(code::STX, 15),
        plain(code::LDX_MEM, 3),
        plain(code::LD_MEM, 15),
        plain(code::TAX, 0),
        plain(code::LD_W_LEN, 0),
        plain(code::ST, 0),
        plain(code::TXA, 0),
    ];
    assert_eq!(result(&steps), 9);
    assert_eq!(result(&steps[..8]), 64);
    assert_eq!(result(&[plain(code::LDX_W_LEN, 0), plain(code::TXA, 0)]), 64);
}

#[test]
fn jumps_go_where_they_say() {
    for (code, a, k, expected) in [
        (code::JEQ_K, 1, 1, true),
        (code::JEQ_K, 1, 2, false),
        (code::JGT_K, 2, 2, false),
        (code::JGT_K, u32::MAX, 2, true),
        (code::JGE_K, 2, 2, true),
        (code::JGE_K, 1, 2, false),
        (code::JSET_K, 6, 2, true),
        (code::JSET_K, 4, 2, false),
    ] {
        let ends = [plain(code::RET_K, 10), plain(code::RET_K, 20)];
        let by_operand = [&[plain(code::LD_IMM, a), jump(code, k, 1, 0)][..], &ends].concat();
        let by_x = [
            &[
                plain(code::LD_IMM, a),
                plain(code::LDX_IMM, k),
                jump(code | code::X, 0, 1, 0),
                plain(code::JA, 0),
            ][..],
            &ends,
        ]
        .concat();
        assert_eq!(result(&by_operand), if expected { 20 } else { 10 }, "{code:#x} {a} {k}");
        // The jump by X passes over the plain one.
        assert_eq!(result(&by_x), 10, "{code:#x} {a} {k}");
    }
    assert_eq!(result(&[plain(code::JA, 1), plain(code::RET_K, 1), plain(code::RET_K, 2)]), 2);
}

#[test]
fn what_the_kernel_refuses_is_refused() {
    for (program, expected) in [
        (vec![], VerifyError::Length(0)),
        (vec![RETURN; 4097], VerifyError::Length(4097)),
        (vec![plain(code::LD_IMM, 0)], VerifyError::End),
        (vec![plain(code::LD_W_ABS, 2), RETURN], VerifyError::Load { at: 0, offset: 2 }),
        (vec![plain(code::LD_W_ABS, 64), RETURN], VerifyError::Load { at: 0, offset: 64 }),
        // A byte load, an indirect load, a modulo, and a code that doesn't exist.
        (vec![plain(0x30, 0), RETURN], VerifyError::Code { at: 0, code: 0x30 }),
        (vec![plain(0x40, 0), RETURN], VerifyError::Code { at: 0, code: 0x40 }),
        (vec![plain(0x94, 3), RETURN], VerifyError::Code { at: 0, code: 0x94 }),
        (vec![plain(0x8c, 3), RETURN], VerifyError::Code { at: 0, code: 0x8c }),
        (vec![plain(0x120, 0), RETURN], VerifyError::Code { at: 0, code: 0x120 }),
        (vec![plain(code::JA, 1), RETURN], VerifyError::Jump { at: 0 }),
        (vec![plain(code::JA, u32::MAX), RETURN], VerifyError::Jump { at: 0 }),
        (vec![jump(code::JEQ_K, 0, 1, 0), RETURN], VerifyError::Jump { at: 0 }),
        (vec![jump(code::JEQ_K, 0, 0, 255), RETURN], VerifyError::Jump { at: 0 }),
        (vec![plain(code::ST, 16), RETURN], VerifyError::Memory { at: 0, cell: 16 }),
        (vec![plain(code::LD_MEM, 0), RETURN], VerifyError::Memory { at: 0, cell: 0 }),
        (
            vec![jump(code::JEQ_K, 0, 0, 1), plain(code::ST, 2), plain(code::LD_MEM, 2), RETURN],
            VerifyError::Memory { at: 2, cell: 2 },
        ),
        (vec![plain(code::CLASS_ALU | code::DIV, 0), RETURN], VerifyError::Operand { at: 0, operand: 0 }),
        (vec![plain(code::CLASS_ALU | code::LSH, 32), RETURN], VerifyError::Operand { at: 0, operand: 32 }),
    ] {
        assert_eq!(Program::new(program), Err(expected));
    }
    assert!(Program::new(vec![RETURN; 4096]).is_ok());
}

#[test]
fn only_what_needs_no_argument_is_remembered() {
    let allow = plain(code::RET_K, libc::SECCOMP_RET_ALLOW);
    let remembered = |steps: &[Instruction]| Program::new(steps.to_vec()).unwrap().is_const_allow(39);
    assert!(remembered(&[allow]));
    assert!(!remembered(&[RETURN]));
    assert!(remembered(&[plain(code::LD_W_ABS, 0), jump(code::JEQ_K, 39, 0, 1), allow, RETURN]));
    assert!(!remembered(&[plain(code::LD_W_ABS, 0), jump(code::JEQ_K, 40, 0, 1), allow, RETURN]));
    assert!(!remembered(&[plain(code::LD_W_ABS, offset::low(0)), allow]));
    assert!(!remembered(&[plain(code::LD_W_ABS, offset::POINTER), allow]));
    // The kernel gives up on anything but the plainest instructions.
    assert!(!remembered(&[plain(code::LD_IMM, 0), allow]));
}
