//! Which programs the kernel takes: `bpf_check_classic` and `seccomp_check_filter`.
#![forbid(unsafe_code)]

use super::assembler::LENGTH_MAX;
use super::instruction::{Instruction, code, offset};

/// How many words of memory a program has.
pub(super) const MEMORY: usize = 16;

/// Why the kernel would not take a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is empty, or longer than 4096 instructions.
    #[error("{0} instructions: it takes 1 to 4096")]
    Length(usize),
    /// An instruction that seccomp doesn't allow.
    #[error("instruction {at}: no program may hold code {code:#06x}")]
    Code {
        /// Its place.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// A jump past the end.
    #[error("instruction {at}: a jump past the end")]
    Jump {
        /// Its place.
        at: usize,
    },
    /// A load that is not aligned, or past the end of the data.
    #[error("instruction {at}: a load at {offset}")]
    Load {
        /// Its place.
        at: usize,
        /// Where it loads from.
        offset: u32,
    },
    /// A cell of memory that doesn't exist, or is read before it is written on some way there.
    #[error("instruction {at}: memory cell {cell}")]
    Memory {
        /// Its place.
        at: usize,
        /// The cell.
        cell: u32,
    },
    /// A division by zero, or a shift by 32 bits or more.
    #[error("instruction {at}: operand {operand}")]
    Operand {
        /// Its place.
        at: usize,
        /// The operand.
        operand: u32,
    },
    /// The last instruction doesn't return.
    #[error("the last instruction does not return")]
    End,
}

/// Checks a program.
pub(super) fn verify(program: &[Instruction]) -> Result<(), VerifyError> {
    if program.is_empty() || program.len() > LENGTH_MAX {
        return Err(VerifyError::Length(program.len()));
    }
    for (at, instruction) in program.iter().enumerate() {
        check(at, *instruction, program.len() - at - 1)?;
    }
    if !matches!(program.last(), Some(Instruction { code: code::RET_K | code::RET_A, .. })) {
        return Err(VerifyError::End);
    }
    check_memory(program)
}

/// Checks one instruction that `after` others follow.
fn check(at: usize, instruction: Instruction, after: usize) -> Result<(), VerifyError> {
    let Instruction { code, jt, jf, k } = instruction;
    match code {
        code::LD_W_ABS if k % 4 != 0 || k >= offset::END => Err(VerifyError::Load { at, offset: k }),
        code::LD_MEM | code::LDX_MEM | code::ST | code::STX if k as usize >= MEMORY => {
            Err(VerifyError::Memory { at, cell: k })
        }
        code::LD_W_ABS
        | code::LD_W_LEN
        | code::LDX_W_LEN
        | code::LD_IMM
        | code::LDX_IMM
        | code::LD_MEM
        | code::LDX_MEM
        | code::ST
        | code::STX
        | code::TAX
        | code::TXA
        | code::RET_K
        | code::RET_A => Ok(()),
        code::JA if k as usize >= after => Err(VerifyError::Jump { at }),
        code::JA => Ok(()),
        _ => match (code & code::CLASS, code & code::OP, code & code::X != 0) {
            _ if code > 0xff => Err(VerifyError::Code { at, code }),
            (code::CLASS_JMP, 0x10 | 0x20 | 0x30 | 0x40, _) => match usize::from(jt.max(jf)) {
                far if far >= after => Err(VerifyError::Jump { at }),
                _ => Ok(()),
            },
            (code::CLASS_ALU, code::DIV, false) if k == 0 => Err(VerifyError::Operand { at, operand: k }),
            (code::CLASS_ALU, code::LSH | code::RSH, false) if k >= 32 => {
                Err(VerifyError::Operand { at, operand: k })
            }
            (code::CLASS_ALU, code::NEG, false) => Ok(()),
            (
                code::CLASS_ALU,
                code::ADD
                | code::SUB
                | code::MUL
                | code::DIV
                | code::OR
                | code::AND
                | code::LSH
                | code::RSH
                | code::XOR,
                _,
            ) => Ok(()),
            _ => Err(VerifyError::Code { at, code }),
        },
    }
}

/// Every cell of memory is written before it is read, whichever way leads there (`check_load_and_stores`).
fn check_memory(program: &[Instruction]) -> Result<(), VerifyError> {
    // Which cells are written on every way to an instruction, a bit for each.
    let mut written = vec![u16::MAX; program.len()];
    let mut cells = 0_u16;
    for (at, instruction) in program.iter().enumerate() {
        cells &= written[at];
        let mut meet = |far: usize, cells: u16| {
            if let Some(there) = written.get_mut(at + 1 + far) {
                *there &= cells;
            }
        };
        match instruction.code {
            code::ST | code::STX => cells |= 1 << instruction.k,
            code::LD_MEM | code::LDX_MEM if cells & (1 << instruction.k) == 0 => {
                return Err(VerifyError::Memory { at, cell: instruction.k });
            }
            code::JA => {
                meet(instruction.k as usize, cells);
                cells = u16::MAX;
            }
            code if code & code::CLASS == code::CLASS_JMP => {
                meet(instruction.jt.into(), cells);
                meet(instruction.jf.into(), cells);
                cells = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}
