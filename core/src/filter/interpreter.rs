//! What a program does, without a kernel: the oracle of every test, and the reason given by `explain`.
#![forbid(unsafe_code)]

use super::assembler::ARCH;
use super::instruction::{Instruction, code, offset};
use super::program::Program;
use super::verifier::MEMORY;
use crate::handler::NotifData;

/// What is returned where no verified program gets to.
const LOST: u32 = libc::SECCOMP_RET_KILL_PROCESS;

impl Program {
    /// What the program returns for this call.
    #[must_use]
    pub fn run(&self, data: &NotifData) -> u32 {
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
        let mut memory = [0_u32; MEMORY];
        while let Some(Instruction { code, jt, jf, k }) = self.instructions().get(at).copied() {
            at += 1;
            let operand = if code & code::X == 0 { k } else { x };
            match code {
                code::RET_K => return k,
                code::RET_A => return a,
                code::LD_W_ABS => a = word(data, k),
                code::LD_W_LEN => a = offset::END,
                code::LDX_W_LEN => x = offset::END,
                code::LD_IMM => a = k,
                code::LDX_IMM => x = k,
                code::LD_MEM => a = memory.get(k as usize).copied().unwrap_or(0),
                code::LDX_MEM => x = memory.get(k as usize).copied().unwrap_or(0),
                code::ST | code::STX => {
                    if let Some(cell) = memory.get_mut(k as usize) {
                        *cell = if code == code::ST { a } else { x };
                    }
                }
                code::TAX => x = a,
                code::TXA => a = x,
                code::JA => at += k as usize,
                _ if code & code::CLASS == code::CLASS_JMP => {
                    let holds = jump_holds(code, a, operand);
                    at += usize::from(if holds { jt } else { jf });
                }
                _ => match compute(code, a, operand) {
                    Some(value) => a = value,
                    // The kernel ends a program that divides by zero with 0.
                    None => return 0,
                },
            }
        }
        LOST
    }

    /// Whether the kernel sees that this call is always allowed, and then doesn't run the program for it: what
    /// `seccomp_is_const_allow` does.
    #[must_use]
    pub fn is_const_allow(&self, number: i32) -> bool {
        let (mut a, mut at) = (0_u32, 0_usize);
        while let Some(Instruction { code, jt, jf, k }) = self.instructions().get(at).copied() {
            at += 1;
            match code {
                code::LD_W_ABS => match k {
                    offset::NUMBER => a = number as u32,
                    offset::ARCH => a = ARCH,
                    _ => return false,
                },
                code::RET_K => return k == libc::SECCOMP_RET_ALLOW,
                code::JA => at += k as usize,
                code::JEQ_K | code::JGE_K | code::JGT_K | code::JSET_K => {
                    at += usize::from(if jump_holds(code, a, k) { jt } else { jf });
                }
                code::AND_K => a &= k,
                _ => return false,
            }
        }
        false
    }
}

fn jump_holds(code: u16, a: u32, operand: u32) -> bool {
    match code & !code::X {
        code::JEQ_K => a == operand,
        code::JGT_K => a > operand,
        code::JGE_K => a >= operand,
        _ => a & operand != 0,
    }
}

fn compute(code: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match code & code::OP {
        code::ADD => a.wrapping_add(operand),
        code::SUB => a.wrapping_sub(operand),
        code::MUL => a.wrapping_mul(operand),
        code::DIV => return a.checked_div(operand),
        code::OR => a | operand,
        code::AND => a & operand,
        code::XOR => a ^ operand,
        // The kernel's own machine takes a shift modulo 32.
        code::LSH => a.wrapping_shl(operand),
        code::RSH => a.wrapping_shr(operand),
        _ => a.wrapping_neg(),
    })
}

/// A word of `struct seccomp_data`.
fn word(data: &NotifData, offset: u32) -> u32 {
    let half =
        |value: u64, offset: u32| if offset.is_multiple_of(8) { value as u32 } else { (value >> 32) as u32 };
    match offset {
        offset::NUMBER => data.nr as u32,
        offset::ARCH => data.arch,
        offset if offset < offset::ARGS => half(data.instruction_pointer, offset - offset::POINTER),
        offset => {
            let arg = data.args.get(((offset - offset::ARGS) / 8) as usize);
            arg.map_or(0, |arg| half(*arg, offset))
        }
    }
}
