//! One instruction of classic BPF, and the parts of `struct seccomp_data`.
#![forbid(unsafe_code)]

use std::fmt;

/// One instruction of classic BPF, laid out as `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions a conditional jump skips if its test holds.
    pub jt: u8,
    /// And if it doesn't.
    pub jf: u8,
    /// Its operand.
    pub k: u32,
}

/// Codes, as `<linux/bpf_common.h>` puts them together.
pub(super) mod code {
    pub(in crate::filter) const LD_W_ABS: u16 = 0x20;
    pub(in crate::filter) const LD_W_LEN: u16 = 0x80;
    pub(in crate::filter) const LDX_W_LEN: u16 = 0x81;
    pub(in crate::filter) const LD_IMM: u16 = 0x00;
    pub(in crate::filter) const LDX_IMM: u16 = 0x01;
    pub(in crate::filter) const LD_MEM: u16 = 0x60;
    pub(in crate::filter) const LDX_MEM: u16 = 0x61;
    pub(in crate::filter) const ST: u16 = 0x02;
    pub(in crate::filter) const STX: u16 = 0x03;
    pub(in crate::filter) const TAX: u16 = 0x07;
    pub(in crate::filter) const TXA: u16 = 0x87;
    pub(in crate::filter) const RET_K: u16 = 0x06;
    pub(in crate::filter) const RET_A: u16 = 0x16;
    pub(in crate::filter) const JA: u16 = 0x05;
    pub(in crate::filter) const JEQ_K: u16 = 0x15;
    pub(in crate::filter) const JGT_K: u16 = 0x25;
    pub(in crate::filter) const JGE_K: u16 = 0x35;
    pub(in crate::filter) const JSET_K: u16 = 0x45;
    pub(in crate::filter) const AND_K: u16 = 0x54;
    /// Of an arithmetic or jump code: compare or compute with X instead of the operand.
    pub(in crate::filter) const X: u16 = 0x08;
    /// The lowest bits of a code: its class.
    pub(in crate::filter) const CLASS: u16 = 0x07;
    pub(in crate::filter) const CLASS_ALU: u16 = 0x04;
    pub(in crate::filter) const CLASS_JMP: u16 = 0x05;
    /// The bits of an arithmetic or jump code that say what is done.
    pub(in crate::filter) const OP: u16 = 0xf0;
    pub(in crate::filter) const ADD: u16 = 0x00;
    pub(in crate::filter) const SUB: u16 = 0x10;
    pub(in crate::filter) const MUL: u16 = 0x20;
    pub(in crate::filter) const DIV: u16 = 0x30;
    pub(in crate::filter) const OR: u16 = 0x40;
    pub(in crate::filter) const AND: u16 = 0x50;
    pub(in crate::filter) const LSH: u16 = 0x60;
    pub(in crate::filter) const RSH: u16 = 0x70;
    pub(in crate::filter) const NEG: u16 = 0x80;
    pub(in crate::filter) const XOR: u16 = 0xa0;
}

/// Where the fields of `struct seccomp_data` lie.
pub(super) mod offset {
    pub(in crate::filter) const NUMBER: u32 = 0;
    pub(in crate::filter) const ARCH: u32 = 4;
    pub(in crate::filter) const POINTER: u32 = 8;
    pub(in crate::filter) const ARGS: u32 = 16;
    /// The size of the whole.
    pub(in crate::filter) const END: u32 = 64;

    /// The lower half of an argument; the machine is little-endian.
    pub(in crate::filter) const fn low(arg: u8) -> u32 {
        ARGS + 8 * arg as u32
    }

    /// The upper half of an argument.
    pub(in crate::filter) const fn high(arg: u8) -> u32 {
        low(arg) + 4
    }
}

impl Instruction {
    /// An instruction that doesn't jump, or jumps by its operand.
    pub(super) const fn plain(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }
}

impl fmt::Debug for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, jt, jf, k } = *self;
        match code {
            code::LD_W_ABS => write!(f, "ld [{k}]"),
            code::AND_K => write!(f, "and {k:#x}"),
            code::RET_K => write!(f, "ret {k:#x}"),
            code::JA => write!(f, "ja +{k}"),
            code::JEQ_K => write!(f, "jeq {k:#x}, +{jt}, +{jf}"),
            code::JGE_K => write!(f, "jge {k:#x}, +{jt}, +{jf}"),
            code::JGT_K => write!(f, "jgt {k:#x}, +{jt}, +{jf}"),
            code::JSET_K => write!(f, "jset {k:#x}, +{jt}, +{jf}"),
            _ => write!(f, "{code:#06x} {k:#x}, +{jt}, +{jf}"),
        }
    }
}
