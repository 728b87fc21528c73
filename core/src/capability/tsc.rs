//! The processor's time stamp counter, where it is to be the same in every run: each reading faults, and is answered with a
//! number that grows from reading to reading.
//!
//! A process's numbers depend on its place in the tree and on how often it has read, and on nothing else.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{AtFault, Calls, Capability, Preparation, Proof, Rule, Stage, StartError, Then};
use crate::filter::Match;
use crate::policy;
use crate::supervisor::exec::ExecStop;
use crate::supervisor::tracker::FaultStop;
use crate::sys::probe::{Expect, ProbeArg};
use crate::sys::vdso;
use crate::syscall::{Sysno, family};
use crate::trace::Place;
use crate::{Errno, Policy, Syscall};

pub(super) struct Tsc {
    read: Mutex<HashMap<Place, u64>>,
    /// The vDSO's clock reads the counter, and nobody else replaces it.
    real_clock: bool,
}

/// What a reading takes, in the counter's own ticks.
const STEP: u64 = 1000;
/// By how much a process's counter begins after its parent's: a child must not read less than its parent did before it was
/// made, however often that was.
const GENERATION: u64 = 1 << 40;

const RDTSC: [u8; 2] = [0x0f, 0x31];
const RDTSCP: [u8; 3] = [0x0f, 0x01, 0xf9];

impl Tsc {
    fn next(&self, place: &Place) -> u64 {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = place.steps().len() as u64;
        let counter = read.entry(place.clone()).or_insert_with(|| generation.wrapping_mul(GENERATION));
        *counter = counter.wrapping_add(STEP);
        *counter
    }

    fn at_fault(&self, stop: &mut FaultStop<'_>) -> Result<bool, Errno> {
        let code = stop.code();
        if code.starts_with(&RDTSC) {
            stop.answer_counter(self.next(stop.place()), None, RDTSC.len())?;
        } else if code.starts_with(&RDTSCP) {
            // The first processor of the first node.
            stop.answer_counter(self.next(stop.place()), Some(0), RDTSCP.len())?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn at_exec(&self, stop: &mut ExecStop<'_>) -> Result<(), Errno> {
        if !self.real_clock {
            return Ok(());
        }
        for (offset, code) in vdso::clocks().ok_or(Errno::ENOSYS)?.iter().copied() {
            stop.patch(offset, code);
        }
        Ok(())
    }
}

impl Capability for Tsc {
    const NAME: &'static str = "tsc";
    const STAGE: Stage = Stage::Synthesize;
    const PROMISE: &'static str = "The instructions rdtsc and rdtscp give numbers that depend on the process's place in the \
        tree and on how often it has read, and on nothing else. Each reading stops the thread for some 40 µs; one that has SIGSEGV blocked meanwhile finds it unblocked, and with its \
        default action. rdrand, rdseed and cpuid are not controlled.";
    const RULES: &'static [Rule<Self>] = &[Rule {
        calls: Calls::Family(&family::PRCTL),
        when: &[Match::eq(0, libc::PR_SET_TSC as u64)],
        then: Then::Errno(Errno::EPERM),
        doc: "would let the processor's own counter be read",
    }];
    const AT_EXEC: Option<super::AtExec<Self>> = Some(Self::at_exec);
    const AT_FAULT: Option<AtFault<Self>> = Some(Self::at_fault);

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let emulate = policy.tsc == policy::Tsc::Emulate;
        let real_clock = policy.clock.is_none() || policy.without.contains("clock");
        Ok(emulate.then(|| Self { read: Mutex::default(), real_clock }))
    }

    fn prepare(&self, preparation: &mut Preparation) {
        preparation.tsc_faults = true;
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        let number = ProbeArg::Number;
        let state = ProbeArg::memory(&[0; 4]);
        let args = [number(libc::PR_GET_TSC as u64), state, number(0), number(0), number(0), number(0)];
        let wanted = libc::PR_TSC_SIGSEGV.to_ne_bytes().to_vec();
        let expect = Expect { result: 0, memory: Some((1, 0, wanted)) };
        proof.expect(Syscall::of(Sysno::prctl), args, expect, "prctl(PR_GET_TSC)", "PR_TSC_SIGSEGV");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reads_more_than_its_parent_did() {
        let tsc = Tsc { read: Mutex::default(), real_clock: false };
        let root = Place::root();
        let before = [tsc.next(&root), tsc.next(&root)];
        assert_eq!(before, [GENERATION + STEP, GENERATION + 2 * STEP]);
        assert!(tsc.next(&root.child(0)) > before[1]);
        assert_eq!(tsc.next(&root), GENERATION + 3 * STEP);
    }
}
