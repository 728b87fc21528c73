//! What a call asks for, whatever its spelling: read from the guest once, and pinned once.
//!
//! The spellings of an operation differ in which arguments they have; the signature table names those, so no list of
//! spellings is needed here.
#![forbid(unsafe_code)]

use super::attribute::{Attributing, word};
use super::call::Call;
use crate::Errno;
use crate::guest::{At, Change, ChangeRequest, Found, New, OpenRequest, Pinned, Prepared};
use crate::syscall::{family, signature};
use crate::trace::BytesText;

/// What a call's paths led to.
pub(crate) enum Pin {
    /// An open.
    Open(OpenRequest, Found),
    /// A change of names or lengths.
    Change(Prepared),
    /// A program that is to be executed.
    Program(Pinned),
    /// A work on a file's attributes.
    Attributes(Attributing),
    /// There is no path: the registers name a descriptor, and nothing that could change until the kernel looks.
    Descriptor,
    /// There is nothing to do: the kernel doesn't look at the path either.
    Nothing,
    /// The paths can't be resolved: what the kernel says to that.
    Failed(Errno),
}

/// `struct open_how` of `openat2`: flags, mode, resolve.
const OPEN_HOW: usize = 24;
/// Where it lies.
const HOW: &str = "how";
pub(super) const PAGE: usize = 4096;

impl Call {
    /// The register of the argument with this name.
    pub(crate) fn named(&self, name: &str) -> Option<u64> {
        let place = signature::params(self.syscall()).iter().position(|param| param.name == name)?;
        Some(self.arg(place))
    }

    pub(super) fn at(&mut self, dirfd: &str, path: &str) -> Result<At, Errno> {
        let dirfd = self.named(dirfd).map_or(libc::AT_FDCWD, |fd| fd as i32);
        let address = self.named(path).ok_or(Errno::ENOSYS)?;
        Ok(At { dirfd, path: self.cstr(address)? })
    }

    /// Whether an open's flags are no register, so that they can change until the kernel reads them.
    pub(super) fn flags_in_memory(&self) -> bool {
        self.named(HOW).is_some()
    }

    /// The open that this call asks for.
    pub(crate) fn open_request(&mut self) -> Result<OpenRequest, Errno> {
        if let Some(Pin::Open(request, _)) = &self.pin {
            return Ok(request.clone());
        }
        let guest = self.guest()?;
        if let Some(how) = self.named(HOW) {
            // `man 2 openat2`: a longer structure is fine as long as what we don't know is zero.
            let size = usize::try_from(self.named("size").unwrap_or(0)).unwrap_or(usize::MAX);
            if size < OPEN_HOW {
                return Err(Errno::EINVAL);
            }
            if size > PAGE {
                return Err(Errno::E2BIG);
            }
            let how = self.read(how, size)?;
            let (known, unknown) = how.split_at(OPEN_HOW);
            if unknown.iter().any(|byte| *byte != 0) {
                return Err(Errno::E2BIG);
            }
            let (flags, mode, resolve) = (word(known, 0), word(known, 8), word(known, 16));
            let At { dirfd, path } = self.at("dirfd", "path")?;
            return Ok(OpenRequest::openat2(guest, dirfd, path, flags, mode, resolve));
        }
        let At { dirfd, path } = self.at("dirfd", "path")?;
        // creat has no flags.
        let creat = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64;
        let flags = self.named("flags").unwrap_or(creat);
        let mode = self.named("mode").unwrap_or(0);
        Ok(OpenRequest::openat(guest, dirfd, path, flags as u32, mode as u32))
    }

    /// The change that this call asks for, pinned. A path that can't be read is told only when the kernel would have
    /// come to it: it checks flags before, and follows a first path before it looks at a second.
    fn change(&mut self) -> Result<Prepared, Errno> {
        let guest = self.guest()?;
        let call = self.syscall();
        let flags = self.named("flags").unwrap_or(0) as u32;
        let mut fault = None;
        let mut at = |call: &mut Self, dirfd, path| match fault {
            None => call.at(dirfd, path).unwrap_or_else(|errno| {
                fault = Some(errno);
                At::cwd(".")
            }),
            Some(_) => At::cwd("."),
        };
        let change = if family::TRUNCATE.contains(call) {
            let length = self.named("length").unwrap_or(0).cast_signed();
            Change::Truncate { file: at(self, "dirfd", "path"), length }
        } else if family::RENAME.contains(call) {
            let from = at(self, "olddirfd", "oldpath");
            Change::Rename { from, to: at(self, "newdirfd", "newpath"), flags }
        } else if family::LINK.contains(call) {
            let from = at(self, "olddirfd", "oldpath");
            Change::Link { from, to: at(self, "newdirfd", "newpath"), flags }
        } else if family::MKDIR.contains(call) {
            let new = New::Folder { mode: self.mode(), umask: self.umask()? };
            Change::Create { name: at(self, "dirfd", "path"), new }
        } else if family::MKNOD.contains(call) {
            let dev = self.named("dev").unwrap_or(0);
            let new = New::Node { mode: self.mode(), dev, umask: self.umask()? };
            Change::Create { name: at(self, "dirfd", "path"), new }
        } else if family::SYMLINK.contains(call) {
            let target = self.named("target").ok_or(Errno::ENOSYS)?;
            let new = New::Symlink { text: self.cstr(target)? };
            Change::Create { name: at(self, "newdirfd", "linkpath"), new }
        } else {
            // rmdir is the spelling of unlinkat's flag.
            let rmdir = call.name() == "rmdir";
            let flags = if rmdir { libc::AT_REMOVEDIR as u32 } else { flags };
            Change::Remove { name: at(self, "dirfd", "path"), flags }
        };
        let pinned = ChangeRequest { guest, change }.pin()?;
        fault.map_or(Ok(pinned), Err)
    }

    fn mode(&self) -> u32 {
        self.named("mode").unwrap_or(0) as u32
    }

    /// What an exec is for.
    pub(super) fn program(&mut self) -> Result<Pinned, Errno> {
        use crate::guest::{Lookup, resolve};
        let guest = self.guest()?;
        let At { dirfd, path } = self.at("dirfd", "path")?;
        let flags = self.named("flags").unwrap_or(0) as i32;
        let lookup = Lookup {
            follow: flags & libc::AT_SYMLINK_NOFOLLOW == 0,
            empty: flags & libc::AT_EMPTY_PATH != 0,
            ..Lookup::new(guest, dirfd, &path)
        };
        match resolve(&lookup)? {
            Found::Existing(pinned) => Ok(pinned),
            Found::Missing { .. } => Err(Errno::ENOENT),
        }
    }

    /// What the call's paths led to. Resolved at the first call of this function, and never again.
    pub(crate) fn pinned(&mut self) -> &Pin {
        if self.pin.is_none() {
            let pin = self.resolve().unwrap_or_else(Pin::Failed);
            // Only a verdict shows it: a run without an observer need not ask the kernel.
            let shown = match &pin {
                _ if !self.is_shown() => None,
                Pin::Open(_, Found::Existing(pinned)) | Pin::Program(pinned) => pinned.path().ok(),
                Pin::Open(_, Found::Missing { parent, name }) => parent.path().ok().map(|mut path| {
                    if path != b"/" {
                        path.push(b'/');
                    }
                    path.extend_from_slice(name);
                    path
                }),
                Pin::Change(prepared) => prepared.objects().next().and_then(|object| object.path().ok()),
                Pin::Attributes(attributing) => attributing.work.file().path().ok(),
                Pin::Failed(_) | Pin::Descriptor | Pin::Nothing => None,
            };
            self.target = shown.map(BytesText);
            self.pin = Some(pin);
        }
        self.pin.as_ref().unwrap_or(&Pin::Failed(Errno::EIO))
    }

    fn resolve(&mut self) -> Result<Pin, Errno> {
        let call = self.syscall();
        if family::OPEN.contains(call) {
            let request = self.open_request()?;
            let found = request.pin()?;
            Ok(Pin::Open(request, found))
        } else if family::EXEC.contains(call) {
            self.program().map(Pin::Program)
        } else if family::ATTRIBUTES.iter().any(|family| family.contains(call)) {
            self.attributing()
        } else {
            Ok(Pin::Change(self.change()?))
        }
    }

    /// Resolves again, after somebody else created what was missing.
    pub(crate) fn pin_again(&mut self) {
        self.pin = None;
        self.opened = None;
        self.of_process = None;
        self.pinned();
    }
}
