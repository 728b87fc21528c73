//! What files say of themselves, the same in every run: numbers by first sight, sizes that no file system decides, and
//! with a clock of the run's own its times.
//!
//! It shows each guest what the kernel would have shown it, found as the kernel would have found it; only then is it
//! rewritten. It decides nothing about who may see what.
//!
//! It does not reach everything:
//!
//! * `/proc/PID/maps`, `mountinfo` and `fdinfo` have the host's numbers, and so have links to namespaces.
//! * Which terminal one is, and which device a block device, is the host's (`st_rdev`).
//! * Of what is written without an open that could be seen, the time is known as well as the file system can tell one
//!   change from the next: those whose times are only as fine as the clock's tick tell it by chance.
//! * A socket that `bind` makes is as old as the start, and its folder does not grow younger by it.
//! * A guest that isn't dumpable can't be helped: looking at its descriptors gives `EACCES`.
#![forbid(unsafe_code)]

mod link;

use std::os::fd::AsFd;
use std::sync::OnceLock;

use rustix::fs::{SeekFrom, Timespec, Timestamps, fstatfs, futimens, seek};

use super::{Answer, Calls, Capability, Files, Proof, Rule, Stage, StartError, Then};
use crate::guest::listing::{Layout, Listing, whole};
use crate::guest::stat::{Stat, encode_file_system};
use crate::guest::{Attribute, Found, Lookup, process, resolve};
use crate::policy::Clock;
use crate::supervisor::call::Call;
use crate::supervisor::files::Looked;
use crate::supervisor::request::Pin;
use crate::supervisor::touch::Years;
use crate::sys::probe::{Expect, ProbeArg};
use crate::syscall::{Family, Sysno, family};
use crate::trace::Grounds;
use crate::{Errno, NotifAction, Policy, Syscall};

pub(super) struct Metadata {
    clock: Option<Clock>,
    /// The user and the group that guests have a name for, if they are in a user namespace.
    own_ids: OnceLock<Option<(u32, u32)>>,
}

/// What a guest is shown in place of an id that its user namespace does not have (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65534;
/// The flags of these calls.
const AT_FLAGS: u32 =
    (libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH | libc::AT_STATX_SYNC_TYPE)
        as u32;
const SYNC: u32 = libc::AT_STATX_SYNC_TYPE as u32;

/// One of these calls, whatever its spelling.
struct Look {
    file: File,
    /// Where the guest wants to have it.
    room: u64,
    /// The flags on how fresh it must be.
    sync: u32,
    /// What `statx` asks for.
    mask: Option<u32>,
}

enum File {
    Descriptor(i32),
    Path { dirfd: i32, path: u64, follow: bool, empty: bool },
}

impl Look {
    /// What is wrong is told in the kernel's order (`fs/stat.c`).
    fn of(call: &mut Call) -> Result<Self, Errno> {
        let named = |name: &str| call.named(name);
        let room = named("statbuf").or_else(|| named("buf")).unwrap_or(0);
        let dirfd = named("dirfd").map_or(libc::AT_FDCWD, |fd| fd as i32);
        let flags = named("flags").unwrap_or(0) as u32;
        let mask = named("mask").map(|mask| mask as u32);
        let (fd, path) = (named("fd"), named("path"));
        // Only `statx` looks at these.
        let sync = if mask.is_some() { flags & SYNC } else { 0 };
        let Some(path) = path else {
            let file = File::Descriptor(fd.unwrap_or(0) as i32);
            return Ok(Self { file, room, sync: 0, mask: None });
        };
        let empty = flags & libc::AT_EMPTY_PATH as u32 != 0;
        let nothing = empty && (path == 0 || call.cstr(path).is_ok_and(|path| path.is_empty()));
        if mask.is_some_and(|mask| mask & 0x8000_0000 != 0) || mask.is_some() && sync == SYNC {
            return Err(Errno::EINVAL);
        }
        if nothing && dirfd >= 0 {
            return Ok(Self { file: File::Descriptor(dirfd), room, sync, mask });
        }
        if flags & !AT_FLAGS != 0 {
            return Err(Errno::EINVAL);
        }
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW as u32 == 0 && call.syscall().name() != "lstat";
        let path = if nothing { 0 } else { path };
        Ok(Self { file: File::Path { dirfd, path, follow, empty: nothing }, room, sync, mask })
    }

    /// Finds the file, and does this with it.
    fn with<T>(
        &self,
        call: &mut Call,
        work: impl FnOnce(&dyn AsFdOf) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match self.file {
            File::Descriptor(fd) => work(&call.descriptor(fd)?),
            File::Path { dirfd, path, follow, empty } => {
                let path = if empty { Vec::new() } else { call.cstr(path)? };
                let guest = call.guest()?;
                let lookup = Lookup { follow, empty, ..Lookup::new(guest, dirfd, &path) };
                match resolve(&lookup)? {
                    Found::Existing(pinned) => work(&pinned),
                    Found::Missing { .. } => Err(Errno::ENOENT),
                }
            }
        }
    }
}

/// Something that is open.
trait AsFdOf {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_>;
}

impl<T: AsFd> AsFdOf for T {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Metadata {
    fn stat(&self, call: &mut Call) -> Answer {
        answered(self.look(call))
    }

    fn look(&self, call: &mut Call) -> Result<i64, Errno> {
        let look = Look::of(call)?;
        let stat = look.with(call, |file| Stat::of(file.fd(), look.sync))?;
        let stat = call.stands_in_for(&stat).unwrap_or(stat);
        let stat = self.ids(call, stat).of_no_file_system();
        let looked = match look.file {
            File::Descriptor(_) | File::Path { empty: true, .. } => Looked::Descriptor,
            File::Path { path, .. } if call.cstr(path).is_ok_and(|path| is_module(&path)) => Looked::Module,
            File::Path { .. } => Looked::Name,
        };
        let stat = call.show(stat, looked);
        match look.mask {
            Some(mask) => call.write(look.room, &stat.encode_x(mask))?,
            None => call.write(look.room, &stat.encode())?,
        }
        Ok(0)
    }

    /// The ids as the guest's user namespace has them. In one of its own, only its user and its group have any.
    fn ids(&self, call: &mut Call, stat: Stat) -> Stat {
        let own = self.own_ids.get_or_init(|| {
            let tid = call.guest().map(|guest| guest.tid);
            let shared = tid.and_then(process::shares_user_namespace).unwrap_or(true);
            let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
            (!shared).then(|| (user.as_raw(), group.as_raw()))
        });
        let Some((user, group)) = *own else { return stat };
        let uid = if stat.uid == user { user } else { NOBODY };
        let gid = if stat.gid == group { group } else { NOBODY };
        Stat { uid, gid, ..stat }
    }

    #[allow(clippy::unused_self)] // the shape of every handler
    fn file_system(&self, call: &mut Call) -> Answer {
        let told = Look::of(call).and_then(|look| {
            let real = look.with(call, |file| Ok(fstatfs(file.fd())?))?;
            call.write(look.room, &encode_file_system(&real)).map(|()| 0)
        });
        answered(told)
    }

    /// A link to what has no name tells its number.
    #[allow(clippy::unused_self)]
    fn link(&self, call: &mut Call) -> Answer {
        match link::read(call) {
            Ok(Some(length)) => Answer::Done(NotifAction::ReturnValue(length)),
            // What is wrong with it, the kernel will say.
            Ok(None) | Err(_) => Answer::Pass,
        }
    }

    /// A listing in the kernel's own order, where nobody sorts it.
    #[allow(clippy::unused_self)]
    fn list(&self, call: &mut Call) -> Answer {
        answered(list(call))
    }

    /// Times that are set through a descriptor; those that are set by a path are performed as all else.
    #[allow(clippy::unused_self)]
    fn set_times(&self, call: &mut Call) -> Answer {
        if !matches!(call.pinned(), Pin::Descriptor) {
            return Answer::Pass;
        }
        let set = call.times().and_then(|times| {
            if call.named("flags").is_some_and(|flags| flags as u32 != 0) {
                return Err(Errno::EINVAL);
            }
            let file = call.descriptor(call.named("dirfd").unwrap_or(0) as i32)?;
            let [last_access, last_modification] =
                times.map(|(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec });
            futimens(&file, &Timestamps { last_access, last_modification })?;
            call.note_attribute(&file, &Attribute::Times(times));
            Ok(0)
        });
        answered(set)
    }

    #[allow(clippy::unused_self)]
    fn note(&self, _: &mut Call) -> Answer {
        Answer::Pass
    }
}

fn list(call: &mut Call) -> Result<i64, Errno> {
    let layout = if call.syscall().name() == "getdents" { Layout::Old } else { Layout::New };
    let room = usize::try_from(call.arg(2) as i32).unwrap_or(0);
    let folder = call.listed_descriptor(call.arg(0) as i32)?;
    let dev = Stat::of(&folder, 0)?.identity.dev;
    let at = seek(&folder, SeekFrom::Current(0)).unwrap_or(0);
    let (listing, positions) = Listing::next(&folder, room)?;
    let numbers = call.with_numbers(dev, |number| listing.in_order(number));
    let position = |index: usize| positions.get(index.wrapping_sub(1)).copied().unwrap_or(0);
    let number = |ino| numbers.get(&ino).copied().unwrap_or(ino);
    let bytes = listing.encode(layout, 0, room, position, number);
    let written = call.write_some(call.arg(1), &bytes);
    let (entries, length) = whole(&bytes, *written.as_ref().unwrap_or(&0));
    if length < bytes.len() {
        seek(&folder, SeekFrom::Start(if entries == 0 { at } else { position(entries) }))?;
        if entries == 0 {
            return Err(written.err().unwrap_or(Errno::EFAULT));
        }
    }
    Ok(length as i64)
}

/// Whether this is a module of Python's own. Its bytecode says how old it must be, to the second: with any other time each
/// start of a program would compile it anew. So these keep their time, whatever the run's clock says.
fn is_module(path: &[u8]) -> bool {
    const AMONG: &[u8] = b"/lib/python3";
    path.ends_with(b".py") && path.windows(AMONG.len()).any(|part| part == AMONG)
}

fn answered(told: Result<i64, Errno>) -> Answer {
    match told {
        Ok(value) => Answer::Done(NotifAction::ReturnValue(value)),
        Err(errno) => Answer::kernel(errno),
    }
}

const fn noted(calls: &'static Family, doc: &'static str) -> Rule<Metadata> {
    let then = Then::Ask { by: Metadata::note, grounds: Grounds::Pinned };
    Rule { calls: Calls::Family(calls), when: &[], then, doc }
}

impl Capability for Metadata {
    const NAME: &'static str = "metadata";
    const STAGE: Stage = Stage::Synthesize;
    const PROMISE: &'static str = "What `stat` and its kin tell of files is the same in every run: devices, inodes and mounts \
        have numbers by first sight, sizes and free room are no file system's, and with a clock of the run's own, times are \
        of that clock.";
    const RULES: &'static [Rule<Self>] = &[
        Rule {
            calls: Calls::Family(&family::STAT),
            when: &[],
            then: Then::Ask { by: Self::stat, grounds: Grounds::Emulated },
            doc: "tells what the kernel does, with numbers of the run's own",
        },
        Rule {
            calls: Calls::Family(&family::STATFS),
            when: &[],
            then: Then::Ask { by: Self::file_system, grounds: Grounds::Emulated },
            doc: "tells of a file system that is half full",
        },
        Rule {
            calls: Calls::Family(&family::GETDENTS),
            when: &[],
            then: Then::Ask { by: Self::list, grounds: Grounds::Emulated },
            doc: "lists with the same numbers that are told of each file",
        },
        Rule {
            calls: Calls::Family(&family::UTIME),
            when: &[],
            then: Then::Ask { by: Self::set_times, grounds: Grounds::Pinned },
            doc: "sets a file's times, which are then shown as they were set",
        },
        Rule {
            calls: Calls::Family(&family::USTAT),
            when: &[],
            then: Then::Errno(Errno::ENOSYS),
            doc: "would tell how much room is really free; nothing has used it for long",
        },
        Rule {
            calls: Calls::Family(&family::READLINK),
            when: &[],
            then: Then::Ask { by: Self::link, grounds: Grounds::Emulated },
            doc: "names a pipe, a socket or a file without a name behind a descriptor by the run's own number",
        },
        noted(&family::OPEN, "noted, for the times of what is made or written"),
        noted(&family::TRUNCATE, "noted, for the file's times"),
        noted(&family::RENAME, "noted, for the folders' times, and since a file may be gone"),
        noted(&family::LINK, "noted, for the folder's times"),
        noted(&family::UNLINK, "noted, for the folder's times, and since a file may be gone"),
        noted(&family::MKDIR, "noted, for the times of both folders"),
        noted(&family::SYMLINK, "noted, for the link's times and the folder's"),
        noted(&family::MKNOD, "noted, for the file's times and the folder's"),
        noted(&family::CHMOD, "noted, for the time of the file's last change"),
        noted(&family::CHOWN, "noted, for the time of the file's last change"),
    ];

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        Ok(policy.metadata.then(|| Self { clock: policy.clock, own_ids: OnceLock::new() }))
    }

    fn applies(&self, rule: &Rule<Self>, call: Syscall) -> bool {
        let notes = matches!(rule.then, Then::Ask { grounds: Grounds::Pinned, .. });
        let by_path = crate::syscall::signature::path_args(call).next().is_some();
        let forgets = family::RENAME.contains(call) || family::UNLINK.contains(call);
        !notes || by_path && (self.clock.is_some() || forgets)
    }

    fn files(&self) -> Option<Files> {
        Some(Files::new(self.clock.as_ref().map(Years::begin)))
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        let number = |number: u64| ProbeArg::Number(number);
        let here = i64::from(libc::AT_FDCWD).cast_unsigned();
        let room = ProbeArg::memory(&[0; 144]);
        let args = [number(here), ProbeArg::memory(b"/\0"), room, number(0), number(0), number(0)];
        // The device and the inode that are seen first.
        let first = [rustix::fs::makedev(0, 1).to_ne_bytes(), 2_u64.to_ne_bytes()].concat();
        let expect = Expect { result: 0, memory: Some((2, 0, first)) };
        proof.expect(Syscall::of(Sysno::newfstatat), args, expect, "stat of /", "device 1, inode 2");
    }
}
