//! Performs calls on the guest's behalf, so that what was judged is what is used, and the result is the kernel's own.
#![forbid(unsafe_code)]

use super::{Answer, Calls, Capability, Rule, Stage, StartError, Then};
use crate::Policy;
use crate::supervisor::call::Call;
use crate::syscall::family;
use crate::trace::Grounds;

pub(super) struct Broker;

impl Broker {
    #[allow(clippy::unused_self)] // the shape of every handler
    fn open(&self, call: &mut Call) -> Answer {
        call.perform_open()
    }

    #[allow(clippy::unused_self)]
    fn change(&self, call: &mut Call) -> Answer {
        call.perform_change()
    }

    #[allow(clippy::unused_self)]
    fn umask(&self, call: &mut Call) -> Answer {
        call.umask_changes();
        Answer::Pass
    }
}

impl Capability for Broker {
    const NAME: &'static str = super::BROKER;
    const STAGE: Stage = Stage::Broker;
    const PROMISE: &'static str = "A call that is judged by the file that its path leads to is performed by the \
        supervisor, through the very file that was judged, in the guest's own Landlock domain and with its \
        credentials. Only where a rule or an observer needs it.";
    const RULES: &'static [Rule<Self>] = &[
        Rule {
            calls: Calls::Family(&family::OPEN),
            when: &[],
            then: Then::Perform { by: Self::open },
            doc: "opened on the guest's behalf, and injected",
        },
        Rule {
            calls: Calls::Family(&family::TRUNCATE),
            when: &[],
            then: Then::Perform { by: Self::change },
            doc: "truncated on the guest's behalf",
        },
        Rule {
            calls: Calls::Family(&family::RENAME),
            when: &[],
            then: Then::Perform { by: Self::change },
            doc: "renamed on the guest's behalf",
        },
        Rule {
            calls: Calls::Family(&family::LINK),
            when: &[],
            then: Then::Perform { by: Self::change },
            doc: "linked on the guest's behalf",
        },
        Rule {
            calls: Calls::Family(&family::UNLINK),
            when: &[],
            then: Then::Perform { by: Self::change },
            doc: "removed on the guest's behalf",
        },
        Rule {
            calls: Calls::Family(&family::MKDIR),
            when: &[],
            then: Then::Perform { by: Self::change },
            doc: "a folder, made on the guest's behalf",
        },
        Rule {
            calls: Calls::Family(&family::SYMLINK),
            when: &[],
            then: Then::Perform { by: Self::change },
            doc: "a symbolic link, made on the guest's behalf",
        },
        Rule {
            calls: Calls::Family(&family::MKNOD),
            when: &[],
            then: Then::Perform { by: Self::change },
            doc: "a FIFO, socket, device or file, made on the guest's behalf",
        },
        Rule {
            calls: Calls::Family(&family::UMASK),
            when: &[],
            then: Then::Ask { by: Self::umask, grounds: Grounds::Registers },
            doc: "remembered for the files that are created on the guest's behalf",
        },
    ];

    fn start(_: &Policy) -> Result<Option<Self>, StartError> {
        Ok(Some(Self))
    }

    fn applies(&self, rule: &Rule<Self>, call: crate::Syscall) -> bool {
        // Spellings that take a descriptor name no file by path.
        !matches!(rule.then, Then::Perform { .. })
            || crate::syscall::signature::path_args(call).next().is_some()
    }
}
