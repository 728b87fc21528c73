//! The numbers of processes and threads, as the guests see them. They are the pid namespace's; what is done here is to say
//! how far that goes.
#![forbid(unsafe_code)]

use super::{AtStart, Capability, Rule, Stage, StartError};
use crate::Policy;
use crate::launch::standing::Standing;

pub(super) struct Pids;

impl Pids {
    #[allow(clippy::unused_self)] // the shape of every handler
    fn at_start(&self, standing: &mut Standing) {
        standing.lacks(if standing.has_namespaces() {
            "processes are numbered from 1 up by order of creation, but /proc, where it is granted, is the host's"
        } else {
            "without a pid namespace processes have the host's numbers"
        });
    }
}

impl Capability for Pids {
    const NAME: &'static str = "pids";
    const STAGE: Stage = Stage::Account;
    const PROMISE: &'static str = "Not kept whole anywhere yet, and the report says so: in a pid namespace processes and \
        threads are numbered from 1 up by order of creation (init is 1, the command 2), but /proc, where a policy grants it, \
        shows the host's processes by the host's numbers.";
    const RULES: &'static [Rule<Self>] = &[];
    const AT_START: Option<AtStart<Self>> = Some(Self::at_start);

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        Ok(policy.own_proc.then_some(Self))
    }
}
