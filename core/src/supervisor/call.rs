//! One call of one guest, while it waits for its answer.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::Run;
use super::device::{Device, device};
use super::files::Looked;
use super::process_file::ProcessFile;
use super::request::Pin;
use crate::capability::Answer;
use crate::guest::stat::Stat;
use crate::guest::{Found, Guest, Identity, OpenRequest, guard_listing, process, view};
use crate::handler::memory_cstr;
use crate::sys::seccomp::Notif;
use crate::sys::{memfd, memory};
use crate::syscall::{decode, family};
use crate::trace::{Args, BytesText, Place};
use crate::{Errno, NotifAction, Syscall};

/// The place in the tree of whoever makes the probes, as text: no guest has it.
pub(crate) const PROBE_PLACE: &str = "";

/// One call of one guest, while it waits for its answer.
///
/// What is read of the guest's memory is read once and kept, so that what was judged is what is used.
pub struct Call {
    pub(super) run: Arc<Run>,
    pub(super) notif: Notif,
    syscall: Syscall,
    /// When it was received, if anybody listens.
    pub(super) received: Option<Instant>,
    guest: Option<Guest>,
    strings: Vec<(u64, Vec<u8>)>,
    pub(super) pin: Option<Pin>,
    pub(super) target: Option<BytesText>,
    /// [`opened_identity`](Self::opened_identity), once it was asked for: each virtual file asks.
    pub(super) opened: Option<Identity>,
    /// [`opened_of_process`](Self::opened_of_process), once it was asked for.
    pub(super) of_process: Option<Option<ProcessFile>>,
    /// Its process's time is known as it is while this waits.
    pub(super) has_time: AtomicBool,
}

impl Call {
    pub(super) fn new(run: Arc<Run>, notif: Notif, syscall: Syscall) -> Self {
        let received = run.recorder.is_some().then(Instant::now);
        Self {
            run,
            notif,
            syscall,
            received,
            guest: None,
            strings: Vec::new(),
            pin: None,
            target: None,
            opened: None,
            of_process: None,
            has_time: AtomicBool::new(false),
        }
    }

    /// Which.
    #[must_use]
    pub fn syscall(&self) -> Syscall {
        self.syscall
    }

    /// A register, whole.
    #[must_use]
    pub fn arg(&self, index: usize) -> u64 {
        self.notif.data.args.get(index).copied().unwrap_or(0)
    }

    /// Whether this is the exec of the command itself, which the supervisor's own code makes.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.run.is_probing() && family::EXEC.contains(self.syscall)
    }

    /// The thread and the process.
    pub(crate) fn guest(&mut self) -> Result<Guest, Errno> {
        if let Some(guest) = self.guest {
            return Ok(guest);
        }
        let tid = self.notif.pid;
        let known = self.run.processes().of(tid).map(|(tgid, _)| Guest { tid, tgid });
        let guest = match known {
            Some(guest) => guest,
            None => Guest::of(tid)?,
        };
        self.guest = Some(guest);
        Ok(guest)
    }

    /// Whether the thread that the caller knows by this number is a guest of this run.
    #[must_use]
    pub fn is_guest(&self, thread: u32) -> bool {
        self.run.is_guest(thread)
    }

    /// The thread that makes it, as we number it.
    pub(crate) fn tid(&self) -> u32 {
        self.notif.pid
    }

    /// The guest's thread that the caller knows by this number, as we number it; one that nobody has waited for yet as well.
    pub(crate) fn numbered(&self, thread: u32) -> Option<u32> {
        self.run.numbered(thread)
    }

    /// The place in the tree of a thread's process, and whether it is the process's first. `tid` is our number.
    pub(crate) fn place_of(&self, tid: u32) -> Option<(Place, bool)> {
        self.run.processes().of(tid).map(|(tgid, process)| (process.place.clone(), tgid == tid))
    }

    /// The place in the tree of the process that asks.
    ///
    /// # Errors
    /// `ESRCH`: it is not known, because this run is not tracked.
    pub fn place(&self) -> Result<Place, Errno> {
        if self.run.is_probing() {
            return Ok(Place::probe());
        }
        self.run.processes().of(self.notif.pid).map(|(_, process)| process.place.clone()).ok_or(Errno::ESRCH)
    }

    /// The string at this address of the guest, of at most 4,096 bytes with its end.
    ///
    /// # Errors
    /// What the kernel would give to a path there: `EFAULT`, `ENAMETOOLONG`.
    pub fn cstr(&mut self, address: u64) -> Result<Vec<u8>, Errno> {
        if let Some((_, text)) = self.strings.iter().find(|(known, _)| *known == address) {
            return Ok(text.clone());
        }
        let text = memory_cstr(self.notif.pid, address, 4096).map_err(|error| error.errno())?;
        self.strings.push((address, text.clone()));
        Ok(text)
    }

    /// Bytes of the guest.
    ///
    /// # Errors
    /// `EFAULT`: not all of them are mapped.
    pub fn read(&self, address: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; len];
        if memory::read(self.notif.pid, address, &mut bytes)? < len { Err(Errno::EFAULT) } else { Ok(bytes) }
    }

    /// Writes to the guest, if it still waits and could write there itself.
    ///
    /// # Errors
    /// `EFAULT`; `ESRCH`: the guest is gone.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        // A number that was given to another process meanwhile must not be written to.
        if !self.run.listener()?.is_waiting(self.notif.id) {
            return Err(Errno::ESRCH);
        }
        if memory::write(self.notif.pid, address, bytes)? < bytes.len() { Err(Errno::EFAULT) } else { Ok(()) }
    }

    /// Writes to the guest as [`write`](Self::write) does, as much as there is room for. How much that was.
    pub(crate) fn write_some(&self, address: u64, bytes: &[u8]) -> Result<usize, Errno> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if !self.run.listener()?.is_waiting(self.notif.id) {
            return Err(Errno::ESRCH);
        }
        memory::write(self.notif.pid, address, bytes)
    }

    /// The file that the guest has open as `fd`: its own, with its position.
    ///
    /// # Errors
    /// `EBADF`; `EACCES` if the guest can't be helped, since it isn't dumpable; `ESRCH` if it is gone.
    pub(crate) fn descriptor(&self, fd: i32) -> Result<OwnedFd, Errno> {
        let found = process::get_fd(self.notif.pid, fd);
        if !self.run.listener()?.is_waiting(self.notif.id) {
            return Err(Errno::ESRCH);
        }
        found.map_err(|errno| if errno == Errno::EPERM { Errno::EACCES } else { errno })
    }

    /// The folder that the guest has open as `fd`, to be listed for it.
    ///
    /// # Errors
    /// As [`descriptor`](Self::descriptor); `EACCES` if it tells of the supervisor.
    pub(crate) fn listed_descriptor(&mut self, fd: i32) -> Result<OwnedFd, Errno> {
        let folder = self.descriptor(fd)?;
        guard_listing(self.guest()?, folder.as_fd())?;
        Ok(folder)
    }

    /// The answer to an open: a file with this content.
    pub fn answer_with_content(&mut self, content: &[u8]) -> Answer {
        match self.open_for_reading() {
            Err(answer) => answer,
            Ok(cloexec) => match memfd::sealed(c"assize-content", content) {
                Ok(srcfd) => inject(srcfd, cloexec),
                Err(error) => Answer::errno(Errno::of(&error)),
            },
        }
    }

    /// The answer to an open: a character device, from which the guest reads what `feed` writes.
    ///
    /// It is one end of a terminal without a name, in raw mode. A read of up to 64 bytes is whole; a longer
    /// one gives 64 (the kernel hands a terminal's bytes on in such pieces), and its reader has to go on.
    pub fn answer_with_device(&mut self, feed: impl FnOnce(Device) + Send + 'static) -> Answer {
        // What is only written to gives nothing that could differ: the device itself takes it, if it is granted.
        let writes = |request: OpenRequest| request.flags & libc::O_ACCMODE as u64 == libc::O_WRONLY as u64;
        if self.open_request().is_ok_and(writes) {
            return Answer::Pass;
        }
        let cloexec = match self.open_for_reading() {
            Err(answer) => return answer,
            Ok(cloexec) => cloexec,
        };
        let Some(original) = self.opened_identity() else { return Answer::errno(Errno::EIO) };
        let stat = match &self.pin {
            Some(Pin::Open(_, Found::Existing(pinned))) => Stat::of(pinned, 0).ok(),
            _ => None,
        };
        let path = self.target.clone();
        let run = Arc::clone(&self.run);
        // A descriptor of it can be opened again by its number, which must lead here again.
        match self.run.errand(move || {
            device(|slave| run.stand_ins().add(slave, original, stat, path), {
                let run = Arc::clone(&run);
                move |device, stand_in| {
                    feed(device);
                    run.stand_ins().remove(stand_in);
                }
            })
        }) {
            Ok(Ok(srcfd)) => inject(srcfd, cloexec),
            Ok(Err(errno)) | Err(errno) => Answer::errno(errno),
        }
    }

    /// Has `work`, which is short, done on a thread that is not confined, and waits for it: some 60 µs.
    ///
    /// # Errors
    /// `EIO`: it was not done.
    pub fn errand<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Errno> {
        self.run.errand(work)
    }

    /// The file that was pinned for an open, or the one that it stands in for.
    pub(crate) fn opened_identity(&mut self) -> Option<Identity> {
        if self.opened.is_some() {
            return self.opened;
        }
        let Pin::Open(_, Found::Existing(pinned)) = self.pinned() else { return None };
        let identity = pinned.identity();
        let run = Arc::clone(&self.run);
        let stand_ins = run.stand_ins();
        if let Some(path) = stand_ins.path(identity) {
            self.target = Some(path);
        }
        self.opened = Some(view::known(stand_ins.original(identity)));
        self.opened
    }

    /// What the file says of itself that this one stands in for, if it does.
    pub(crate) fn stands_in_for(&self, stat: &Stat) -> Option<Stat> {
        self.run.stand_ins().stat(stat.identity)
    }

    /// The same file with the numbers and times that guests are shown.
    pub(crate) fn show(&self, stat: Stat, looked: Looked) -> Stat {
        let Some(mut files) = self.run.files() else { return stat };
        let stat = files.show(stat, || self.own_time(), looked);
        // A touch is something that has happened. What was set to be a file's time need not have come yet.
        let seen = files.has_years().then_some(stat.changed);
        drop(files);
        if let Some(seen) = seen {
            self.has_seen(seen);
        }
        stat
    }

    /// Works with what tells the number that a file of this device is shown with which is listed, and not looked at.
    pub(crate) fn with_numbers<T>(&self, dev: u64, work: impl FnOnce(&mut dyn FnMut(u64) -> u64) -> T) -> T {
        match self.run.files() {
            Some(mut files) => work(&mut |ino| files.number_of_listed(Identity { dev, ino })),
            None => work(&mut |ino| ino),
        }
    }

    /// Whether an open for reading wants close-on-exec; the answer to one that is not for reading.
    fn open_for_reading(&mut self) -> Result<bool, Answer> {
        let request = self.open_request().map_err(Answer::errno)?;
        let flags = request.flags;
        if flags & libc::O_PATH as u64 != 0 {
            return Err(Answer::Pass);
        }
        if flags & libc::O_DIRECTORY as u64 != 0 {
            return Err(Answer::errno(Errno::ENOTDIR));
        }
        if flags & (libc::O_CREAT | libc::O_EXCL) as u64 == (libc::O_CREAT | libc::O_EXCL) as u64 {
            return Err(Answer::errno(Errno::EEXIST));
        }
        if flags & libc::O_ACCMODE as u64 != libc::O_RDONLY as u64 {
            return Err(Answer::errno(Errno::EACCES));
        }
        Ok(flags & libc::O_CLOEXEC as u64 != 0)
    }

    /// The arguments, decoded, for a verdict.
    pub(super) fn args(&mut self) -> Args {
        let (syscall, registers) = (self.syscall, self.notif.data.args);
        decode::decode(syscall, &registers, self)
    }
}

impl decode::Memory for Call {
    fn cstr(&mut self, address: u64) -> Option<Vec<u8>> {
        Self::cstr(self, address).ok()
    }

    fn bytes(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
        Self::read(self, address, len).ok()
    }
}

fn inject(srcfd: OwnedFd, cloexec: bool) -> Answer {
    Answer::Done(NotifAction::InjectFdSend {
        srcfd,
        newfd_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
    })
}
