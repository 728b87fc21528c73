//! Which files a guest may use: Landlock grants, and denials within what is granted.
//!
//! Landlock can't take back what it has granted on a folder. So what is denied is known by identity, and every call
//! that could reach it is judged by the file that its path led to, whatever the path's text.
#![forbid(unsafe_code)]

use super::{Answer, AtExec, Calls, Capability, ExecStop, Proof, Rule, Stage, StartError, Then};
use crate::guest::{Denied, Pinned, Prepared};
use crate::supervisor::call::Call;
use crate::supervisor::request::Pin;
use crate::syscall::{Family, family, signature};
use crate::trace::Grounds;
use crate::{Errno, Policy, Syscall};

pub(super) struct Fs {
    denied: Denied,
    /// A path that is denied, exists, and lies in a folder that is granted: the one that is probed.
    probe: Option<std::path::PathBuf>,
    /// Something that nothing grants.
    not_granted: Option<std::path::PathBuf>,
}

impl Fs {
    fn judge(&self, call: &mut Call) -> Answer {
        let covered = match call.pinned() {
            Pin::Open(_, found) => self.denied.covers_found(found),
            Pin::Program(pinned) => self.denied.covers(pinned),
            Pin::Change(prepared) => self.covers_change(prepared),
            Pin::Attributes(attributing) => self.denied.covers(attributing.work.file()),
            // There is nothing to judge: what a descriptor stands for could be opened, and the guest gets the kernel's own
            // error.
            Pin::Failed(_) | Pin::Descriptor | Pin::Nothing => Ok(false),
        };
        // What can't be told is taken for a yes.
        if covered.unwrap_or(true) { Answer::errno(Errno::EACCES) } else { Answer::Pass }
    }

    fn covers_change(&self, prepared: &Prepared) -> Result<bool, Errno> {
        // A creation replaces nothing and takes nothing away: what counts is the name alone. `mkdir -p` asks for
        // folders that are there.
        if let Some(entry) = prepared.created() {
            return self.denied.covers_name(&entry.parent, &entry.name);
        }
        for entry in prepared.entries() {
            if self.denied.covers_entry(entry)? {
                return Ok(true);
            }
        }
        for object in prepared.objects() {
            if self.denied.covers_or_contains(object)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whatever the path said when it was judged: what counts is what was executed, and with which interpreter: its
    /// name stands in the program, and the kernel opens it by itself.
    fn at_exec(&self, stop: &mut ExecStop<'_>) -> Result<(), Errno> {
        if self.denied.is_empty() {
            return Ok(());
        }
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
        let exe = format!("/proc/{}/exe", stop.pid());
        let exe = Pinned::new(rustix::fs::open(exe, flags, rustix::fs::Mode::empty())?)?;
        let mut denied = self.denied.covers(&exe)?;
        for mapped in stop.mapped()? {
            for name in &mapped.names {
                denied |= self.denied.covers_mapped(mapped.identity, name)?;
            }
        }
        if denied { Err(Errno::EACCES) } else { Ok(()) }
    }
}

const fn judged(calls: &'static Family, doc: &'static str) -> Rule<Fs> {
    Rule {
        calls: Calls::Family(calls),
        when: &[],
        then: Then::Ask { by: Fs::judge, grounds: Grounds::Pinned },
        doc,
    }
}

impl Capability for Fs {
    const NAME: &'static str = "fs";
    const STAGE: Stage = Stage::Guard;
    const PROMISE: &'static str = "Landlock grants the policy's files and nothing else: what the supervisor reads for a guest, \
        such as a file of a process that is shown in another form, it reads with the same grants. Files whose whole content is made up, which \
        are listed here with those who make it, are answered without a grant too, unless they are denied: nothing of the host \
        stands in them that a call would not tell. A denied file is not opened, \
        executed, truncated, renamed, linked or removed, whatever name it is reached by; nor are its mode, owner, times \
        or extended attributes changed, or the latter read. So with anything beneath a denied folder, where nothing is \
        made either.";
    const RULES: &'static [Rule<Self>] = &[
        judged(&family::OPEN, "a denied file is not opened"),
        judged(&family::EXEC, "a denied file is not executed"),
        judged(&family::TRUNCATE, "a denied file is not truncated"),
        judged(&family::RENAME, "a denied file is not renamed, nor is another put in its place"),
        judged(&family::LINK, "a denied file gets no further name"),
        judged(&family::UNLINK, "a denied file is not removed"),
        judged(&family::MKDIR, "no folder is made where a path is denied"),
        judged(&family::SYMLINK, "no symbolic link is made where a path is denied"),
        judged(&family::MKNOD, "no FIFO, socket, device or file is made where a path is denied"),
        judged(&family::CHMOD, "a denied file's mode is not changed"),
        judged(&family::CHOWN, "a denied file's owner is not changed"),
        judged(&family::UTIME, "a denied file's times are not changed"),
        judged(&family::XATTR_SET, "no extended attribute of a denied file is set"),
        judged(&family::XATTR_GET, "no extended attribute of a denied file is read"),
        judged(&family::XATTR_LIST, "the extended attributes of a denied file are not listed"),
        judged(&family::XATTR_REMOVE, "no extended attribute of a denied file is removed"),
        judged(&family::FILE_SETATTR, "a denied file's inode flags are not changed"),
    ];
    const AT_EXEC: Option<AtExec<Self>> = Some(Self::at_exec);

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        let denied = Denied::new(&policy.fs.deny).map_err(StartError::Denied)?;
        let fs = &policy.fs;
        let granted = || fs.read.iter().chain(&fs.write);
        let probe =
            fs.deny.iter().find(|path| path.exists() && granted().any(|grant| path.starts_with(grant)));
        let root = std::path::Path::new("/");
        let not_granted = granted().all(|grant| grant != root).then(|| root.to_path_buf());
        Ok(Some(Self { denied, probe: probe.cloned(), not_granted }))
    }

    fn applies(&self, _: &Rule<Self>, call: Syscall) -> bool {
        !self.denied.is_empty() && signature::path_args(call).next().is_some()
    }

    fn follows_guests(&self) -> bool {
        !self.denied.is_empty()
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        for path in [&self.not_granted, &self.probe].into_iter().flatten() {
            proof.refused(path, Errno::EACCES);
        }
    }
}
