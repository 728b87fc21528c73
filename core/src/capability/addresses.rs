//! Where programs lie in memory: at the same addresses in every run.
#![forbid(unsafe_code)]

use super::{Capability, Preparation, Proof, Rule, Stage, StartError};
use crate::sys::probe::{Expect, ProbeArg};
use crate::syscall::Sysno;
use crate::{Policy, Syscall};

pub(super) struct Addresses;

/// The argument by which `personality` only tells.
const QUERY: u64 = 0xffff_ffff;

impl Capability for Addresses {
    const NAME: &'static str = "addresses";
    const STAGE: Stage = Stage::Account;
    const PROMISE: &'static str = "Programs, libraries, heap, stack and vDSO lie at the same addresses in every run, and no \
        personality(2) is inherited from the caller. The stack begins where the lengths of arguments and environment put it, \
        the length of the work folder's path among them: it is the same in runs whose strings are as long. Everything below it \
        lies where the limit of the stack puts it, which `environment` fixes.";
    const RULES: &'static [Rule<Self>] = &[];

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        Ok(policy.fixed_addresses.then_some(Self))
    }

    fn prepare(&self, preparation: &mut Preparation) {
        preparation.personality = Some(libc::ADDR_NO_RANDOMIZE.cast_unsigned());
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        let number = ProbeArg::Number;
        let args = [number(QUERY), number(0), number(0), number(0), number(0), number(0)];
        let expect = Expect { result: libc::ADDR_NO_RANDOMIZE.into(), memory: None };
        proof.expect(Syscall::of(Sysno::personality), args, expect, "personality", "ADDR_NO_RANDOMIZE");
    }
}
