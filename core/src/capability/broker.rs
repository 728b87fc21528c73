//! Performs calls on the guest's behalf, so that what was judged is what is used, and the result is the kernel's own.
#![forbid(unsafe_code)]

use super::{Answer, Calls, Capability, HandlerFn, Rule, Stage, StartError, Then};
use crate::Policy;
use crate::supervisor::call::Call;
use crate::syscall::{Family, family};
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
    fn attribute(&self, call: &mut Call) -> Answer {
        call.perform_attribute()
    }

    #[allow(clippy::unused_self)]
    fn umask(&self, call: &mut Call) -> Answer {
        call.umask_changes();
        Answer::Pass
    }
}

const fn performed(calls: &'static Family, by: HandlerFn<Broker>, doc: &'static str) -> Rule<Broker> {
    Rule { calls: Calls::Family(calls), when: &[], then: Then::Perform { by }, doc }
}

impl Capability for Broker {
    const NAME: &'static str = super::BROKER;
    const STAGE: Stage = Stage::Broker;
    const PROMISE: &'static str = "A call that is judged by the file that its path leads to is performed by the \
        supervisor, through the very file that was judged, in the guest's own Landlock domain and with its \
        credentials. Only where a rule or an observer needs it.";
    const RULES: &'static [Rule<Self>] = &[
        performed(&family::OPEN, Self::open, "opened on the guest's behalf, and injected"),
        performed(&family::TRUNCATE, Self::change, "truncated on the guest's behalf"),
        performed(&family::RENAME, Self::change, "renamed on the guest's behalf"),
        performed(&family::LINK, Self::change, "linked on the guest's behalf"),
        performed(&family::UNLINK, Self::change, "removed on the guest's behalf"),
        performed(&family::MKDIR, Self::change, "a folder, made on the guest's behalf"),
        performed(&family::SYMLINK, Self::change, "a symbolic link, made on the guest's behalf"),
        performed(&family::MKNOD, Self::change, "a FIFO, socket, device or file, made on the guest's behalf"),
        performed(&family::CHMOD, Self::attribute, "its mode is changed on the guest's behalf"),
        performed(&family::CHOWN, Self::attribute, "its owner is changed on the guest's behalf"),
        performed(&family::UTIME, Self::attribute, "its times are changed on the guest's behalf"),
        performed(&family::XATTR_SET, Self::attribute, "an extended attribute, set on the guest's behalf"),
        performed(&family::XATTR_GET, Self::attribute, "an extended attribute, read on the guest's behalf"),
        performed(&family::XATTR_LIST, Self::attribute, "extended attributes, listed on the guest's behalf"),
        performed(
            &family::XATTR_REMOVE,
            Self::attribute,
            "an extended attribute, removed on the guest's behalf",
        ),
        performed(
            &family::FILE_SETATTR,
            Self::attribute,
            "its inode flags are changed on the guest's behalf",
        ),
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
