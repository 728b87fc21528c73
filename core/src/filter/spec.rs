//! What is to become of each call.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::VerifyError;
use super::condition::Match;
use crate::syscall::signature::{self, Width};
use crate::{Errno, Syscall};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It runs.
    Allow,
    /// The supervisor is asked.
    Ask,
    /// It runs, and the tracker stops it when it begins. Without a tracer it fails with `ENOSYS`.
    Stop,
    /// It fails.
    Errno(Errno),
    /// The process is killed.
    Kill,
}

impl Action {
    /// How much stricter than allowing it is.
    fn strictness(self) -> u8 {
        match self {
            Self::Allow => 0,
            Self::Ask => 1,
            Self::Stop => 2,
            Self::Errno(_) => 3,
            Self::Kill => 4,
        }
    }

    /// What a program returns for it.
    pub(super) fn verdict(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Ask => libc::SECCOMP_RET_USER_NOTIF,
            Self::Stop => libc::SECCOMP_RET_TRACE,
            Self::Errno(errno) => {
                libc::SECCOMP_RET_ERRNO | (errno.value().unsigned_abs() & libc::SECCOMP_RET_DATA)
            }
            Self::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// One case of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Case {
    /// All of these hold; none: always.
    pub when: Vec<Match>,
    /// What becomes of the call then.
    pub then: Action,
}

impl Case {
    /// In any case.
    #[must_use]
    pub fn always(then: Action) -> Self {
        Self { when: Vec::new(), then }
    }

    /// When all of these hold.
    #[must_use]
    pub fn when(when: impl Into<Vec<Match>>, then: Action) -> Self {
        Self { when: when.into(), then }
    }
}

/// Why a spec makes no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A condition on an argument that the call doesn't have.
    #[error("{call} has no argument {arg}")]
    NoSuchArgument {
        /// The call.
        call: Syscall,
        /// The argument.
        arg: u8,
    },
    /// A condition on bits that the kernel doesn't look at.
    #[error("argument {arg} of {call} is compared with {value:#x}, but the kernel looks at {width} bits of it", width = width.mask().count_ones())]
    TooWide {
        /// The call.
        call: Syscall,
        /// The argument.
        arg: u8,
        /// What it is compared with.
        value: u64,
        /// How wide it is.
        width: Width,
    },
    /// A condition that always holds, or never.
    #[error("the condition on argument {arg} of {call} decides nothing: {test:?}")]
    DecidesNothing {
        /// The call.
        call: Syscall,
        /// The argument.
        arg: u8,
        /// What was to be tested.
        test: super::Test,
    },
    /// More instructions than the kernel takes.
    #[error("the filter has {0} instructions, and the kernel takes 4096")]
    TooLong(usize),
    /// The program is not one that the kernel takes: a mistake in the assembler.
    #[error("the filter is not a valid program: {0}")]
    Invalid(#[from] VerifyError),
}

/// What becomes of each call; of those not mentioned, nothing: they run.
///
/// The strictest case that matches wins: kill, then errno, then stop, then ask, then allow. Among equally strict ones it is an
/// unconditional one, then the one that was added first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spec {
    calls: BTreeMap<Syscall, Vec<Case>>,
}

impl Spec {
    /// Everything runs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a case of a call.
    ///
    /// # Errors
    /// [`FilterError`] if a condition doesn't fit the call.
    pub fn add(&mut self, call: Syscall, case: Case) -> Result<(), FilterError> {
        case.when.iter().try_for_each(|condition| check(call, *condition))?;
        self.calls.entry(call).or_default().push(case);
        Ok(())
    }

    /// Makes a call fail in any case.
    pub fn deny(&mut self, call: Syscall, errno: Errno) {
        self.always(call, Action::Errno(errno));
    }

    /// Asks the supervisor about a call in any case.
    pub fn ask(&mut self, call: Syscall) {
        self.always(call, Action::Ask);
    }

    /// Adds a case that always matches.
    pub fn always(&mut self, call: Syscall, then: Action) {
        self.calls.entry(call).or_default().push(Case::always(then));
    }

    /// The calls that are mentioned.
    pub fn calls(&self) -> impl Iterator<Item = Syscall> + '_ {
        self.calls.keys().copied()
    }

    /// Whether the call has any case; it runs if not.
    #[must_use]
    pub fn mentions(&self, call: Syscall) -> bool {
        self.calls.contains_key(&call)
    }

    /// The cases of a call in the order in which they are tried. The last one is unconditional.
    #[must_use]
    pub fn cases(&self, call: Syscall) -> Vec<Case> {
        let given = self.calls.get(&call).map_or(&[][..], Vec::as_slice);
        // `max_by_key` would take the last of equals; the first one added is meant.
        let last = given.iter().filter(|case| case.when.is_empty()).map(|case| case.then).fold(
            Action::Allow,
            |strictest, then| {
                if then.strictness() > strictest.strictness() { then } else { strictest }
            },
        );
        let mut cases: Vec<Case> = Vec::new();
        for case in given {
            let stricter = case.then.strictness() > last.strictness();
            if !case.when.is_empty() && stricter && !cases.contains(case) {
                cases.push(case.clone());
            }
        }
        cases.sort_by_key(|case| std::cmp::Reverse(case.then.strictness()));
        cases.push(Case::always(last));
        cases
    }

    /// What becomes of a call with these registers, straight from the cases as they were added.
    #[must_use]
    pub fn decide(&self, call: Syscall, registers: &[u64; 6]) -> Action {
        let matches = |case: &&Case| case.when.iter().all(|condition| holds(call, *condition, registers));
        let rank = |case: &&Case| (std::cmp::Reverse(case.then.strictness()), !case.when.is_empty());
        let given = self.calls.get(&call).map_or(&[][..], Vec::as_slice);
        given.iter().filter(matches).min_by_key(rank).map_or(Action::Allow, |case| case.then)
    }
}

/// Whether a condition fits the call.
fn check(call: Syscall, Match { arg, test }: Match) -> Result<(), FilterError> {
    let width = signature::width(call, arg.into()).ok_or(FilterError::NoSuchArgument { call, arg })?;
    if test.bits() & !width.mask() != 0 {
        return Err(FilterError::TooWide { call, arg, value: test.bits(), width });
    }
    if !test.decides() {
        return Err(FilterError::DecidesNothing { call, arg, test });
    }
    Ok(())
}

fn holds(call: Syscall, condition: Match, registers: &[u64; 6]) -> bool {
    let register = registers.get(usize::from(condition.arg));
    let width = signature::width(call, condition.arg.into());
    register.zip(width).is_some_and(|(register, width)| condition.test.holds(*register, width))
}
