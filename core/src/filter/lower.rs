//! From conditions to tests of 32-bit words, which is all that classic BPF has.
#![forbid(unsafe_code)]

use super::condition::{Match, Test};
use super::instruction::offset;
use super::spec::Case;
use crate::Syscall;
use crate::syscall::signature::{self, Width};

/// A test of one 32-bit word of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct WordTest {
    /// Where the word lies.
    pub(super) offset: u32,
    /// The bits of it that count.
    pub(super) mask: u32,
    /// What is tested of them.
    pub(super) op: WordOp,
}

/// What is tested of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum WordOp {
    /// It is this.
    Is(u32),
    /// One of these bits is set.
    AnyBit(u32),
}

/// A condition: these tests, and what holds if they do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Condition {
    /// Every one of these holds.
    All(Vec<WordTest>),
    /// Some one of these holds.
    Any(Vec<WordTest>),
    /// Some one of these fails.
    NotAll(Vec<WordTest>),
}

/// A case with its conditions as word tests, and what the program returns for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LowCase {
    pub(super) when: Vec<Condition>,
    pub(super) verdict: u32,
}

impl LowCase {
    /// Where the only word that the case tests lies, if it is the whole word.
    pub(super) fn only_word(&self) -> Option<u32> {
        let [Condition::All(words) | Condition::Any(words) | Condition::NotAll(words)] = self.when.as_slice()
        else {
            return None;
        };
        match words.as_slice() {
            [WordTest { offset, mask: u32::MAX, .. }] => Some(*offset),
            _ => None,
        }
    }
}

/// The cases of a call as word tests, at the widths of the call's arguments.
pub(super) fn lower(call: Syscall, cases: &[Case]) -> Vec<LowCase> {
    cases
        .iter()
        .map(|case| LowCase {
            when: case.when.iter().map(|condition| condition_of(call, *condition)).collect(),
            verdict: case.then.verdict(),
        })
        .collect()
}

fn condition_of(call: Syscall, Match { arg, test }: Match) -> Condition {
    // A spec takes no condition on an argument that isn't there.
    let width = signature::width(call, arg.into()).unwrap_or(Width::W64);
    let equal = |mask: u64, value: u64| {
        let words = halves(arg, mask).into_iter().zip([value >> 32, value]);
        words
            .filter(|((_, mask), _)| *mask != 0)
            .map(|((offset, mask), value)| WordTest { offset, mask, op: WordOp::Is(value as u32) })
            .collect()
    };
    match test {
        Test::Eq(value) => Condition::All(equal(width.mask(), value)),
        Test::Ne(value) => Condition::NotAll(equal(width.mask(), value)),
        Test::MaskedEq { mask, value } => Condition::All(equal(mask, value)),
        Test::AnyBit(bits) => Condition::Any(
            halves(arg, bits)
                .into_iter()
                .filter(|(_, bits)| *bits != 0)
                .map(|(offset, bits)| WordTest { offset, mask: u32::MAX, op: WordOp::AnyBit(bits) })
                .collect(),
        ),
    }
}

/// Both words of an argument and their part of a mask, the upper one first.
fn halves(arg: u8, mask: u64) -> [(u32, u32); 2] {
    [(offset::high(arg), (mask >> 32) as u32), (offset::low(arg), mask as u32)]
}
