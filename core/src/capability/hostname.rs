//! The host's name, as the guest sees it.
#![forbid(unsafe_code)]

use super::{Answer, Calls, Capability, Proof, Rule, Stage, StartError, Then, VirtualFile};
use crate::supervisor::call::Call;
use crate::supervisor::utsname::{Field, LONGEST, SIZE, Utsname};
use crate::sys::probe::{Expect, ProbeArg};
use crate::syscall::{Sysno, family};
use crate::trace::Grounds;
use crate::{Policy, Syscall};

pub(super) struct Hostname {
    name: String,
}

impl Hostname {
    fn uname(&self, call: &mut Call) -> Answer {
        let mut utsname = Utsname::of_the_kernel();
        utsname.set(Field::Nodename, &self.name);
        call.answer_with_utsname(&utsname)
    }

    fn file(&self, call: &mut Call) -> Answer {
        call.answer_with_content(format!("{}\n", self.name).as_bytes())
    }

    /// Who may not read the host's file, or means to write to it, is answered by the kernel.
    fn hosts(&self, call: &mut Call) -> Answer {
        match call.read_opened() {
            Some(hosts) => call.answer_with_content(&with_host(hosts, &self.name)),
            None => Answer::Pass,
        }
    }
}

/// A `hosts` (`man 5 hosts`) that has this host too, as this very machine. What stands there already comes first.
fn with_host(mut hosts: Vec<u8>, name: &str) -> Vec<u8> {
    if !matches!(hosts.last(), None | Some(b'\n')) {
        hosts.push(b'\n');
    }
    hosts.extend_from_slice(format!("127.0.0.1 {name}\n").as_bytes());
    hosts
}

impl Capability for Hostname {
    const NAME: &'static str = "hostname";
    const STAGE: Stage = Stage::Synthesize;
    const PROMISE: &'static str = "The guest sees the host's name that the policy gives, from uname and from files, and finds it in /etc/hosts, \
         where the host has that.";
    const RULES: &'static [Rule<Self>] = &[Rule {
        calls: Calls::Family(&family::UNAME),
        when: &[],
        then: Then::Ask { by: Self::uname, grounds: Grounds::Emulated },
        doc: "answers with the policy's host name; all else is the kernel's",
    }];
    const FILES: &'static [VirtualFile<Self>] = &[
        VirtualFile { path: "/proc/sys/kernel/hostname", open: Self::file, doc: "the policy's host name" },
        VirtualFile { path: "/etc/hostname", open: Self::file, doc: "the policy's host name" },
        VirtualFile {
            path: "/etc/hosts",
            open: Self::hosts,
            doc: "the host's own, for whoever may read that, and the policy's host name as 127.0.0.1",
        },
    ];

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let Some(name) = &policy.hostname else { return Ok(None) };
        let wrong = |why: String| Err(StartError::Value { what: "hostname", why });
        if name.is_empty() || name.len() > LONGEST {
            return wrong(format!("has {} bytes; 1 to {LONGEST} are allowed", name.len()));
        }
        if let Some(bad) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        {
            return wrong(format!("may not contain {bad:?}"));
        }
        Ok(Some(Self { name: name.clone() }))
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        let zero = || ProbeArg::Number(0);
        let args = [ProbeArg::memory(&[0; SIZE]), zero(), zero(), zero(), zero(), zero()];
        let mut name = self.name.clone().into_bytes();
        name.push(0);
        let expect = Expect { result: 0, memory: Some((0, Field::Nodename.offset(), name)) };
        proof.expect(Syscall::of(Sysno::uname), args, expect, "uname", self.name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_line_of_its_own() {
        let shown = |hosts: &str| String::from_utf8(with_host(hosts.into(), "guest")).unwrap();
        assert_eq!(shown(""), "127.0.0.1 guest\n");
        assert_eq!(shown("::1 localhost\n"), "::1 localhost\n127.0.0.1 guest\n");
        assert_eq!(shown("::1 localhost"), "::1 localhost\n127.0.0.1 guest\n");
    }
}
