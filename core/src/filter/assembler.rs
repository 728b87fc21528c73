//! From a spec to a program.
//!
//! The order is always the same: a foreign architecture, the x32 bit, then a balanced tree over the numbers, whose
//! holes are `ENOSYS`, and only behind it, for the calls that have conditions, tests of arguments. So a call that is
//! plainly allowed touches no argument, and the kernel remembers that it is always allowed.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::instruction::{Instruction, code, offset};
use super::lower::{Condition, LowCase, WordOp, WordTest, lower};
use super::program::Program;
use super::spec::{Action, FilterError, Spec};
use super::verifier::VerifyError;
use crate::{Errno, Syscall};

/// `AUDIT_ARCH_X86_64` of `<linux/audit.h>`.
pub(super) const ARCH: u32 = 0xc000_003e;
/// The bit that marks a number of the x32 table.
pub(super) const X32_BIT: u32 = 0x4000_0000;
/// `BPF_MAXINSNS`.
pub(super) const LENGTH_MAX: usize = 4096;

/// Makes a program of a spec.
///
/// # Errors
/// [`FilterError::TooLong`]; anything else would be a mistake in here.
pub fn assemble(spec: &Spec) -> Result<Program, FilterError> {
    let mut assembler = Assembler::default();
    let unknown = Target::Return(Action::Errno(Errno::ENOSYS).verdict());
    let foreign = assembler.label_of(Target::Return(Action::Kill.verdict()));
    let unknown_label = assembler.label_of(unknown);

    assembler.load(offset::ARCH);
    let native = assembler.label();
    assembler.branch(code::JEQ_K, ARCH, native, foreign);
    assembler.bind(native);
    assembler.load(offset::NUMBER);
    let in_table = assembler.label();
    assembler.branch(code::JGE_K, X32_BIT, unknown_label, in_table);
    assembler.bind(in_table);

    let mut tails = Tails::default();
    let runs = runs(spec, unknown, &mut tails);
    assembler.tree(&runs);
    assembler.returns();
    for (id, tail) in tails.cases.iter().enumerate() {
        assembler.tail(Target::Tail(id), tail);
    }
    assembler.returns();
    let instructions = assembler.resolve()?;
    if instructions.len() > LENGTH_MAX {
        return Err(FilterError::TooLong(instructions.len()));
    }
    Ok(Program::new(instructions)?)
}

/// Where a number leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    /// To this return value.
    Return(u32),
    /// To these argument tests.
    Tail(usize),
}

/// Argument tests, each list of them once.
#[derive(Default)]
struct Tails {
    cases: Vec<Vec<LowCase>>,
    known: HashMap<Vec<LowCase>, usize>,
}

impl Tails {
    fn target(&mut self, cases: Vec<LowCase>) -> Target {
        if let [LowCase { when, verdict }] = cases.as_slice()
            && when.is_empty()
        {
            return Target::Return(*verdict);
        }
        let id = *self.known.entry(cases.clone()).or_insert(self.cases.len());
        if id == self.cases.len() {
            self.cases.push(cases);
        }
        Target::Tail(id)
    }
}

/// Numbers that lead to one place, as the first number of each run.
fn runs(spec: &Spec, unknown: Target, tails: &mut Tails) -> Vec<(u32, Target)> {
    let mut runs: Vec<(u32, Target)> = Vec::new();
    let mut push = |first: u32, target: Target| {
        if runs.last().is_none_or(|(_, last)| *last != target) {
            runs.push((first, target));
        }
    };
    let mut next = 0;
    for call in Syscall::all() {
        let number = call.number();
        if number > next {
            push(next, unknown);
        }
        // Most calls are not mentioned.
        push(
            number,
            match spec.mentions(call) {
                true => tails.target(lower(call, &spec.cases(call))),
                false => Target::Return(Action::Allow.verdict()),
            },
        );
        next = number + 1;
    }
    push(next, unknown);
    runs
}

/// A place in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label(usize);

/// An instruction whose jumps are not yet distances.
enum Step {
    Plain(Instruction),
    Branch { code: u16, k: u32, then: Label, otherwise: Label },
    Bind(Label),
}

#[derive(Default)]
struct Assembler {
    steps: Vec<Step>,
    labels: usize,
    /// Where a target is to be found; one that is still to be placed, in `wanted` too.
    targets: HashMap<Target, Label>,
    wanted: Vec<Target>,
}

impl Assembler {
    fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    fn label_of(&mut self, target: Target) -> Label {
        if let Some(label) = self.targets.get(&target) {
            return *label;
        }
        let label = self.label();
        self.targets.insert(target, label);
        self.wanted.push(target);
        label
    }

    fn bind(&mut self, label: Label) {
        self.steps.push(Step::Bind(label));
    }

    fn load(&mut self, offset: u32) {
        self.steps.push(Step::Plain(Instruction::plain(code::LD_W_ABS, offset)));
    }

    fn branch(&mut self, code: u16, k: u32, then: Label, otherwise: Label) {
        self.steps.push(Step::Branch { code, k, then, otherwise });
    }

    /// A balanced tree that leads each number to its target.
    fn tree(&mut self, runs: &[(u32, Target)]) {
        match runs {
            [] => {}
            // A tree of one leaf: nothing is to be decided.
            [(_, target)] => {
                let label = self.label_of(*target);
                self.branch(code::JGE_K, 0, label, label);
            }
            _ => {
                let (lower, upper) = runs.split_at(runs.len() / 2);
                let low = self.subtree(lower);
                let high = self.subtree(upper);
                self.branch(code::JGE_K, upper[0].0, high, low);
                for (label, part) in [(low, lower), (high, upper)] {
                    if part.len() > 1 {
                        self.bind(label);
                        self.tree(part);
                    }
                }
            }
        }
    }

    fn subtree(&mut self, runs: &[(u32, Target)]) -> Label {
        match runs {
            [(_, target)] => self.label_of(*target),
            _ => self.label(),
        }
    }

    /// Places the return instructions that are wanted so far. Jumps only go forward: what comes later has its own.
    fn returns(&mut self) {
        for target in std::mem::take(&mut self.wanted) {
            match (target, self.targets.get(&target)) {
                (Target::Return(verdict), Some(label)) => {
                    self.bind(*label);
                    self.steps.push(Step::Plain(Instruction::plain(code::RET_K, verdict)));
                    self.targets.remove(&target);
                }
                _ => self.wanted.push(target),
            }
        }
    }

    /// The cases of one call, or of several that share them, in order.
    fn tail(&mut self, target: Target, cases: &[LowCase]) {
        let start = self.label_of(target);
        self.bind(start);
        for (place, LowCase { when, verdict }) in cases.iter().enumerate() {
            if when.is_empty() {
                self.steps.push(Step::Plain(Instruction::plain(code::RET_K, *verdict)));
                return;
            }
            // A case that made one test leaves its word loaded for the next.
            let held = place.checked_sub(1).and_then(|before| cases[before].only_word());
            let found = self.label_of(Target::Return(*verdict));
            let fail = self.label();
            for (place, condition) in when.iter().enumerate() {
                let last = place + 1 == when.len();
                let pass = if last { found } else { self.label() };
                let held = held.filter(|_| place == 0);
                self.condition(condition, held, pass, fail);
                if !last {
                    self.bind(pass);
                }
            }
            self.bind(fail);
        }
    }

    fn condition(&mut self, condition: &Condition, held: Option<u32>, pass: Label, fail: Label) {
        let (words, each_goes_on, otherwise, end) = match condition {
            Condition::All(words) => (words, true, fail, pass),
            Condition::NotAll(words) => (words, true, pass, fail),
            Condition::Any(words) => (words, false, pass, fail),
        };
        for (place, word) in words.iter().enumerate() {
            let last = place + 1 == words.len();
            let next = if last { end } else { self.label() };
            let (then, otherwise) = if each_goes_on { (next, otherwise) } else { (otherwise, next) };
            if place > 0 || held != Some(word.offset) {
                self.load(word.offset);
            }
            self.word(*word, then, otherwise);
            if !last {
                self.bind(next);
            }
        }
    }

    fn word(&mut self, WordTest { mask, op, .. }: WordTest, then: Label, otherwise: Label) {
        if mask != u32::MAX {
            self.steps.push(Step::Plain(Instruction::plain(code::AND_K, mask)));
        }
        match op {
            WordOp::Is(value) => self.branch(code::JEQ_K, value, then, otherwise),
            WordOp::AnyBit(bits) => self.branch(code::JSET_K, bits, then, otherwise),
        }
    }

    /// Turns labels into distances. A conditional jump reaches 255 instructions far; what is farther away is reached
    /// over a plain jump, whose distance has 32 bits, right behind it.
    fn resolve(self) -> Result<Vec<Instruction>, FilterError> {
        let mut long = vec![(false, false); self.steps.len()];
        loop {
            let places = self.places(&long);
            let mut grown = false;
            for (step, (at, long)) in self.steps.iter().zip(places.steps.iter().zip(&mut long)) {
                let Step::Branch { then, otherwise, .. } = step else { continue };
                // A jump that became long stays long, so that this ends.
                for (label, long) in [(then, &mut long.0), (otherwise, &mut long.1)] {
                    if !*long && distance(*at, places.labels[label.0]).is_none_or(|far| far > u8::MAX.into())
                    {
                        *long = true;
                        grown = true;
                    }
                }
            }
            if !grown {
                return self.emit(&long, &places);
            }
            // Not the kernel's limit: that is checked on the result. Only a bound for hopeless input.
            if places.length > 16 * LENGTH_MAX {
                return Err(FilterError::TooLong(places.length));
            }
        }
    }

    fn places(&self, long: &[(bool, bool)]) -> Places {
        let mut places =
            Places { steps: Vec::with_capacity(self.steps.len()), labels: vec![0; self.labels], length: 0 };
        for (step, long) in self.steps.iter().zip(long) {
            places.steps.push(places.length);
            match step {
                Step::Bind(label) => places.labels[label.0] = places.length,
                Step::Plain(_) => places.length += 1,
                Step::Branch { .. } => places.length += 1 + usize::from(long.0) + usize::from(long.1),
            }
        }
        places
    }

    fn emit(&self, long: &[(bool, bool)], places: &Places) -> Result<Vec<Instruction>, FilterError> {
        let mut out = Vec::with_capacity(places.length);
        for (step, (at, long)) in self.steps.iter().zip(places.steps.iter().zip(long)) {
            let lost = FilterError::Invalid(VerifyError::Jump { at: *at });
            let jump = |from: usize, label: Label| {
                let far = distance(from, places.labels[label.0]).and_then(|far| u32::try_from(far).ok());
                far.map(|far| Instruction::plain(code::JA, far)).ok_or(lost.clone())
            };
            match step {
                Step::Bind(_) => {}
                Step::Plain(instruction) => out.push(*instruction),
                Step::Branch { code, k, then, otherwise } => {
                    let short = |label: &Label| {
                        let far =
                            distance(*at, places.labels[label.0]).and_then(|far| u8::try_from(far).ok());
                        far.ok_or(lost.clone())
                    };
                    // The plain jumps stand right behind: first that of the one, then that of the other.
                    let jt = if long.0 { 0 } else { short(then)? };
                    let jf = if long.1 { u8::from(long.0) } else { short(otherwise)? };
                    out.push(Instruction { code: *code, jt, jf, k: *k });
                    if long.0 {
                        out.push(jump(*at + 1, *then)?);
                    }
                    if long.1 {
                        out.push(jump(*at + 1 + usize::from(long.0), *otherwise)?);
                    }
                }
            }
        }
        Ok(out)
    }
}

/// Where steps and labels come to lie.
struct Places {
    steps: Vec<usize>,
    labels: Vec<usize>,
    length: usize,
}

/// How many instructions a jump at `from` skips to get to `to`; nothing jumps back.
fn distance(from: usize, to: usize) -> Option<usize> {
    to.checked_sub(from + 1)
}
