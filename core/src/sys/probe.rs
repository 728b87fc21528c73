//! Probes: calls that the guest makes after its filter is armed and before its exec, to show that a control is in force.

use std::cell::UnsafeCell;
use std::sync::atomic::AtomicI64;

/// A call that the guest makes after its filter is armed and before its exec, to show that a control is in force.
#[derive(Debug)]
pub(crate) struct Probe {
    /// The syscall's number.
    pub(crate) number: u32,
    /// Its arguments.
    pub(crate) args: [ProbeArg; 6],
    /// What must come of it, or the command is not executed.
    pub(crate) expect: Option<Expect>,
    /// What came of it; `i64::MIN` until then.
    pub(super) result: AtomicI64,
}

/// What a probe must show.
#[derive(Debug)]
pub(crate) struct Expect {
    /// What the call returns.
    pub(crate) result: i64,
    /// What then lies in the memory of an argument: which argument, how far in, these bytes.
    pub(crate) memory: Option<(usize, usize, Vec<u8>)>,
}

/// An argument of a probe.
#[derive(Debug)]
pub(crate) enum ProbeArg {
    /// A register.
    Number(u64),
    /// The address of these bytes, which the call may overwrite.
    Memory(Box<UnsafeCell<[u8]>>),
}

impl ProbeArg {
    /// The address of a copy of `bytes`.
    pub(crate) fn memory(bytes: &[u8]) -> Self {
        let cell: Box<UnsafeCell<[u8]>> = {
            // SAFETY: UnsafeCell<[u8]> has the layout of [u8] (repr(transparent)).
            unsafe { Box::from_raw(Box::into_raw(Box::<[u8]>::from(bytes)) as *mut UnsafeCell<[u8]>) }
        };
        Self::Memory(cell)
    }
}

impl Probe {
    /// A call that was not made yet.
    pub(crate) fn new(call: crate::Syscall, args: [ProbeArg; 6], expect: Option<Expect>) -> Self {
        Self { number: call.number(), args, expect, result: AtomicI64::new(i64::MIN) }
    }

    /// Whether it came as it must. Called by the child that made it.
    pub(super) fn has_failed(&self, result: i64) -> bool {
        let Some(expect) = &self.expect else { return false };
        let memory = expect.memory.as_ref().is_none_or(|(arg, start, bytes)| match self.args.get(*arg) {
            // SAFETY: only the calling child writes to it, and it does not now.
            Some(ProbeArg::Memory(seen)) => unsafe {
                let seen: &[u8] = &*seen.get();
                seen.get(*start..start.saturating_add(bytes.len())) == Some(bytes)
            },
            _ => false,
        });
        result != expect.result || !memory
    }
}
