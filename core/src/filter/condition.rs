//! Conditions on registers: all that a filter can test, for it follows no pointer.
//!
//! A condition doesn't say how wide its argument is. The signature of the call does, so that exactly those bits are
//! compared that the kernel looks at.
#![forbid(unsafe_code)]

use crate::Syscall;
use crate::syscall::signature::{self, Kind, Width};

/// What is tested of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Test {
    /// It is this.
    Eq(u64),
    /// It is not this.
    Ne(u64),
    /// Under a mask it is this.
    MaskedEq {
        /// The bits that count.
        mask: u64,
        /// What they are.
        value: u64,
    },
    /// One of these bits is set.
    AnyBit(u64),
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Match {
    /// Which, from 0 up.
    pub arg: u8,
    /// What is tested of it.
    pub test: Test,
}

impl Match {
    /// The argument is this.
    #[must_use]
    pub const fn eq(arg: u8, value: u64) -> Self {
        Self { arg, test: Test::Eq(value) }
    }

    /// The argument is not this.
    #[must_use]
    pub const fn ne(arg: u8, value: u64) -> Self {
        Self { arg, test: Test::Ne(value) }
    }

    /// The argument, an `int`, is this: `AT_FDCWD`, -1.
    #[must_use]
    pub const fn eq_int(arg: u8, value: i32) -> Self {
        Self::eq(arg, value as u32 as u64)
    }

    /// Under a mask the argument is this.
    #[must_use]
    pub const fn masked_eq(arg: u8, mask: u64, value: u64) -> Self {
        Self { arg, test: Test::MaskedEq { mask, value } }
    }

    /// One of these bits of the argument is set.
    #[must_use]
    pub const fn any_bit(arg: u8, bits: u64) -> Self {
        Self { arg, test: Test::AnyBit(bits) }
    }

    /// None of these bits of the argument is set.
    #[must_use]
    pub const fn no_bit(arg: u8, bits: u64) -> Self {
        Self::masked_eq(arg, bits, 0)
    }

    /// The condition in words, with the names that this call has: `request is TIOCSTI`.
    #[must_use]
    pub fn describe(self, call: Syscall) -> String {
        let param = signature::params(call).get(usize::from(self.arg));
        let name = param.map_or_else(|| format!("arg{}", self.arg), |param| param.name.to_owned());
        let show = |value: u64| match param.map(|param| param.kind) {
            Some(Kind::Flags(set) | Kind::Flags64(set)) => set.render(value),
            Some(Kind::Mode) => format!("{value:#o}"),
            Some(Kind::DirFd) if value == Self::eq_int(0, libc::AT_FDCWD).test.bits() => {
                "AT_FDCWD".to_owned()
            }
            Some(Kind::Int | Kind::Fd | Kind::DirFd | Kind::Pid) => (value as u32 as i32).to_string(),
            _ => format!("{value:#x}"),
        };
        match self.test {
            Test::Eq(value) => format!("{name} is {}", show(value)),
            Test::Ne(value) => format!("{name} is not {}", show(value)),
            Test::MaskedEq { mask, value: 0 } => format!("{name} has none of {}", show(mask)),
            Test::MaskedEq { mask, value } if mask == value => format!("{name} has {}", show(value)),
            Test::MaskedEq { mask, value } => format!("{name} under {} is {}", show(mask), show(value)),
            Test::AnyBit(bits) => format!("{name} has any of {}", show(bits)),
        }
    }
}

impl Match {
    /// Whether a register tells: the argument lies in one, or is an address and all that is asked is whether there is one.
    #[must_use]
    pub fn is_in_register(&self, call: Syscall) -> bool {
        let known = signature::width(call, usize::from(self.arg)).is_some();
        signature::is_scalar(call, self.arg) || known && self.test == Test::Ne(0)
    }

    /// Whether it holds for this call with this register, in the bits that the kernel looks at. Not for an argument that
    /// the call doesn't have.
    #[must_use]
    pub fn holds(&self, call: Syscall, register: u64) -> bool {
        signature::width(call, usize::from(self.arg)).is_some_and(|width| self.test.holds(register, width))
    }
}

impl Test {
    /// Whether it holds for an argument of this width.
    #[must_use]
    pub const fn holds(self, register: u64, width: Width) -> bool {
        let seen = register & width.mask();
        match self {
            Self::Eq(value) => seen == value,
            Self::Ne(value) => seen != value,
            Self::MaskedEq { mask, value } => seen & mask == value,
            Self::AnyBit(bits) => seen & bits != 0,
        }
    }

    /// Every bit that it mentions.
    #[must_use]
    pub const fn bits(self) -> u64 {
        match self {
            Self::Eq(bits) | Self::Ne(bits) | Self::AnyBit(bits) => bits,
            Self::MaskedEq { mask, value } => mask | value,
        }
    }

    /// Whether it can hold for some value and fail for another.
    #[must_use]
    pub const fn decides(self) -> bool {
        match self {
            Self::Eq(_) | Self::Ne(_) => true,
            Self::AnyBit(bits) => bits != 0,
            Self::MaskedEq { mask, value } => mask != 0 && value & !mask == 0,
        }
    }
}
