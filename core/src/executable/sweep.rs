//! Which instructions stand in code, found without running it.
//!
//! The bytes of an instruction also occur within others, and code has no marks where one begins. But who decodes from any
//! place soon meets the true beginnings: so what looks like an instruction is decoded up to from several places before
//! it, and is one if they agree. Data that lies between code can still be taken for code, and code that is made while a program
//! runs is not seen.
#![forbid(unsafe_code)]

use std::fmt;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use memchr::memmem::Finder;

/// How many bytes before an instruction are decoded.
pub(super) const LEAD: usize = 192;
/// The longest instruction.
pub(super) const LONGEST: usize = 15;
/// Places that are decoded from, and how many of them must agree.
const STARTS: usize = 4;
const AGREED: usize = 3;
/// How many places of a file may look like an instruction: a megabyte of code has some fifteen that do and are none.
pub(super) const PATIENCE: usize = 1 << 14;

/// An instruction by which a program asks the processor itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Asks {
    /// For a random number.
    Rdrand,
    /// For a random number, to seed others.
    Rdseed,
    /// What it is.
    Cpuid,
    /// Which of the processors it is.
    Rdpid,
    /// How long it has run.
    Rdtsc,
    /// The same, and which of the processors it is.
    Rdtscp,
}

/// An instruction, its name, and the bytes that each of its forms has after the prefixes.
struct Known {
    asks: Asks,
    mnemonic: Mnemonic,
    bytes: &'static [u8],
}

const KNOWN: &[Known] = &[
    Known { asks: Asks::Rdrand, mnemonic: Mnemonic::Rdrand, bytes: &[0x0f, 0xc7] },
    Known { asks: Asks::Rdseed, mnemonic: Mnemonic::Rdseed, bytes: &[0x0f, 0xc7] },
    Known { asks: Asks::Rdpid, mnemonic: Mnemonic::Rdpid, bytes: &[0x0f, 0xc7] },
    Known { asks: Asks::Cpuid, mnemonic: Mnemonic::Cpuid, bytes: &[0x0f, 0xa2] },
    Known { asks: Asks::Rdtsc, mnemonic: Mnemonic::Rdtsc, bytes: &[0x0f, 0x31] },
    Known { asks: Asks::Rdtscp, mnemonic: Mnemonic::Rdtscp, bytes: &[0x0f, 0x01, 0xf9] },
];

impl fmt::Display for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rdrand => "rdrand",
            Self::Rdseed => "rdseed",
            Self::Cpuid => "cpuid",
            Self::Rdpid => "rdpid",
            Self::Rdtsc => "rdtsc",
            Self::Rdtscp => "rdtscp",
        })
    }
}

/// Looks for some of the instructions.
pub(super) struct Sweep<'a> {
    wanted: &'a [Asks],
    /// A search for each sequence of bytes.
    finders: Vec<Finder<'static>>,
    /// How many more places may look like one.
    pub(super) patience: usize,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(wanted: &'a [Asks]) -> Self {
        let mut bytes: Vec<_> =
            KNOWN.iter().filter(|known| wanted.contains(&known.asks)).map(|known| known.bytes).collect();
        bytes.dedup();
        Self { wanted, finders: bytes.into_iter().map(Finder::new).collect(), patience: PATIENCE }
    }

    /// The instructions that begin in `code` at `from` or later, and where. What stands before `from` is decoded only to
    /// find where they begin.
    pub(super) fn find(&mut self, code: &[u8], from: usize) -> Vec<(Asks, usize)> {
        let mut found = Vec::new();
        for finder in &self.finders {
            for at in finder.find_iter(code) {
                if self.patience == 0 {
                    return found;
                }
                // Prefixes come before.
                if at < from {
                    continue;
                }
                // Of the register form, which all have but `cmpxchg8b` and its kin.
                if finder.needle() == [0x0f, 0xc7] && code.get(at + 2).is_none_or(|modrm| *modrm < 0xf0) {
                    continue;
                }
                self.patience -= 1;
                if let Some((asks, at)) = decoded(code, at)
                    && self.wanted.contains(&asks)
                {
                    found.push((asks, at));
                }
            }
        }
        found
    }
}

/// The instruction whose opcode stands there, and where it begins, if one does.
fn decoded(code: &[u8], at: usize) -> Option<(Asks, usize)> {
    // Code that is shorter than that begins with an instruction.
    let (starts, wanted) = match at.checked_sub(LEAD) {
        Some(first) => (first..first + STARTS, AGREED),
        None => (0..1, 1),
    };
    let mut votes = Vec::new();
    for start in starts {
        let bytes = code.get(start..(at + LONGEST).min(code.len()))?;
        let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while start + decoder.position() <= at && decoder.can_decode() {
            let begins = start + decoder.position();
            decoder.decode_out(&mut instruction);
            if start + decoder.position() <= at {
                continue;
            }
            let known = KNOWN.iter().find(|known| known.mnemonic == instruction.mnemonic());
            votes.extend(known.map(|known| (known.asks, begins)));
        }
    }
    let first = *votes.first()?;
    (votes.iter().filter(|vote| **vote == first).count() >= wanted).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Asks] = &[Asks::Rdrand, Asks::Rdseed, Asks::Cpuid, Asks::Rdpid, Asks::Rdtsc, Asks::Rdtscp];

    fn found(code: &[u8]) -> Vec<(Asks, usize)> {
        let mut found = Sweep::new(ALL).find(code, 0);
        found.sort_by_key(|(_, at)| *at);
        found
    }

    #[test]
    fn each_instruction_is_known_by_all_of_its_forms() {
        let nops = [0x90; 300];
        let forms: &[(&[u8], Asks)] = &[
            (&[0x0f, 0xc7, 0xf0], Asks::Rdrand),
            (&[0x66, 0x0f, 0xc7, 0xf1], Asks::Rdrand),
            (&[0x49, 0x0f, 0xc7, 0xf7], Asks::Rdrand),
            (&[0x48, 0x0f, 0xc7, 0xf8], Asks::Rdseed),
            (&[0xf3, 0x0f, 0xc7, 0xf9], Asks::Rdpid),
            (&[0x0f, 0xa2], Asks::Cpuid),
            (&[0x0f, 0x31], Asks::Rdtsc),
            (&[0x0f, 0x01, 0xf9], Asks::Rdtscp),
        ];
        for (form, asks) in forms {
            let code = [&nops, *form, &nops].concat();
            assert_eq!(found(&code), [(*asks, 300)], "{form:x?}");
            assert_eq!(found(&[*form, &nops].concat()), [(*asks, 0)], "{form:x?}");
            assert_eq!(found(form), [(*asks, 0)], "{form:x?}");
        }
    }

    #[test]
    fn what_is_part_of_another_instruction_is_none() {
        let nops = [0x90; 300];
        for other in [
            // mov eax, 0x31_0f_a2_0f
            &[0xb8, 0x0f, 0xa2, 0x0f, 0x31][..],
            // lea rdi, [rip + 0x…f0_c7_0f]
            &[0x48, 0x8d, 0x3d, 0x0f, 0xc7, 0xf0, 0x00],
            // cmpxchg16b [rdi]
            &[0x48, 0x0f, 0xc7, 0x0f],
            // vmptrld is no register form; movzx eax, …
            &[0x0f, 0xc7, 0x37],
        ] {
            assert_eq!(found(&[&nops, other, &nops].concat()), [], "{other:x?}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_not_looked_at_for_ever() {
        let code = [0x0f, 0xa2].repeat(PATIENCE + 1);
        let mut sweep = Sweep::new(ALL);
        sweep.find(&code, 0);
        assert_eq!(sweep.patience, 0);
    }
}
