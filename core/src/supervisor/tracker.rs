//! Follows every guest from birth to end, by ptrace's events alone: no call is stopped for it. Calls that a capability wants
//! stopped are stopped here (`core/src/supervisor/stop.rs`).
//!
//! It knows each process before that process runs its first instruction, so a place in the tree is never a guess. At
//! each exec it lets capabilities work on the new program while it stands still, and so it does where the processor has
//! refused a guest's instruction. It decides no call. Runs only in runs that need it: those with a seed or a clock, with
//! denied paths (what was executed is judged here), with processors or a counter of the policy's, or with an observer.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Run;
use super::quiet::Watch;
use super::stop::{self, Underway, Waits};
use super::time;
use crate::guest::Identity;
use crate::outcome::{Sender, Why};
use crate::sys::{memory, ptrace};
use crate::trace::{Body, BytesText, Exit, Place};
use crate::{Errno, guest};

/// How the guests of a pid namespace number the command: init is 1.
const NAMESPACED_COMMAND: u32 = 2;

/// How long the tracker waits between two looks while a guest sleeps: shortly after something has happened, and later.
const BRIEFLY: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// From when on it is worth looking at all guests.
const LOOKING: Duration = Duration::from_micros(400);

/// A guest that has just executed a program and has not run its first instruction.
pub struct ExecStop<'a> {
    pub(super) tid: u32,
    pub(super) place: &'a Place,
}

/// A guest whose instruction the processor has refused.
pub struct FaultStop<'a> {
    tid: u32,
    place: &'a Place,
    code: [u8; LONGEST_CODE],
    known: usize,
}

/// As much of the code as tells which instruction it is.
const LONGEST_CODE: usize = 3;

impl<'a> FaultStop<'a> {
    fn at(tid: u32, place: &'a Place) -> Result<Self, Errno> {
        let mut code = [0; LONGEST_CODE];
        // At the end of a mapping there may be less.
        let known = memory::read(tid, ptrace::instruction_pointer(tid)?, &mut code)?;
        Ok(Self { tid, place, code, known })
    }

    /// Its process's place in the tree.
    #[must_use]
    pub fn place(&self) -> &Place {
        self.place
    }

    /// The first bytes of the instruction.
    #[must_use]
    pub fn code(&self) -> &[u8] {
        self.code.get(..self.known).unwrap_or_default()
    }

    /// Carries out an instruction of `len` bytes that reads a counter, and what `aux` says with it.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn answer_counter(&self, counter: u64, aux: Option<u32>, len: usize) -> Result<(), Errno> {
        ptrace::answer_counter(self.tid, counter, aux, len as u64)
    }
}

/// A file that a program was mapped from: its own, its interpreter's.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) identity: Identity,
    /// Its name, as it may be meant: a line's end is written as `\012`, but so may be a name that has these signs.
    pub(crate) names: [Vec<u8>; 2],
}

/// The files of a table of mappings, in its order.
pub(crate) fn mapped(table: &[u8]) -> Vec<Mapped> {
    let mapped = |line: &[u8]| {
        let path = line.iter().position(|byte| *byte == b'/').and_then(|start| line.get(start..))?;
        let mut fields = std::str::from_utf8(line.strip_suffix(path)?).ok()?.split_ascii_whitespace().skip(3);
        let (major, minor) = fields.next()?.split_once(':')?;
        let number = |text| u32::from_str_radix(text, 16).ok();
        let dev = rustix::fs::makedev(number(major)?, number(minor)?);
        let ino = fields.next()?.parse().ok()?;
        Some(Mapped { identity: Identity { dev, ino }, names: [path.to_vec(), unescaped(path)] })
    };
    let mut files: Vec<_> = table.split(|byte| *byte == b'\n').filter_map(mapped).collect();
    files.dedup_by_key(|file| file.identity);
    files
}

impl ExecStop<'_> {
    /// The files that the program was mapped from (`man 5 proc_pid_maps`).
    pub(crate) fn mapped(&self) -> Result<Vec<Mapped>, Errno> {
        let table = std::fs::read(format!("/proc/{}/maps", self.tid)).map_err(|error| Errno::of(&error))?;
        Ok(mapped(&table))
    }

    /// Its place in the tree.
    #[must_use]
    pub fn place(&self) -> &Place {
        self.place
    }

    /// Its process, as the host numbers it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.tid
    }

    /// What the kernel told the program about itself (`man 3 getauxval`).
    ///
    /// # Errors
    /// What the kernel gives for a guest that died, or `EIO` if the vector has no end.
    pub fn auxv(&self) -> Result<Vec<(u64, u64)>, Errno> {
        // On the stack: argc, argv, NULL, environ, NULL, then pairs until AT_NULL.
        const STEP: usize = 1024;
        let mut at = ptrace::stack_pointer(self.tid)?;
        let mut words = Vec::<u64>::new();
        let mut nulls = 0;
        let mut scanned = 1;
        let mut start = None;
        // An argument list has at most 6 MiB of strings; each has a pointer here.
        while words.len() < (8 << 20) {
            let mut bytes = [0; STEP * 8];
            let got = memory::read(self.tid, at, &mut bytes)?;
            at += got as u64;
            words.extend(
                bytes[..got]
                    .chunks_exact(8)
                    .map(|word| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))),
            );
            while start.is_none() && scanned < words.len() {
                if words[scanned] == 0 {
                    nulls += 1;
                    if nulls == 2 {
                        start = Some(scanned + 1);
                    }
                }
                scanned += 1;
            }
            if let Some(start) = start {
                let pairs = words[start..].chunks_exact(2).map(|pair| (pair[0], pair[1]));
                let vector: Vec<_> = pairs.take_while(|(key, _)| *key != libc::AT_NULL).collect();
                if words[start..].len() / 2 > vector.len() {
                    return Ok(vector);
                }
            }
            if got < STEP * 8 {
                break;
            }
        }
        Err(Errno::EIO)
    }

    /// Writes to the program's memory, where it could write itself.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        if memory::write(self.tid, address, bytes)? < bytes.len() { Err(Errno::EFAULT) } else { Ok(()) }
    }

    /// Writes eight bytes to the program's memory, also where it may only read.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn patch(&self, address: u64, word: u64) -> Result<(), Errno> {
        ptrace::poke(self.tid, address, word)
    }
}

/// Whether there is such a process, and it has not ended (`man 5 proc_pid_stat`).
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|close| stat.get(close + 2));
    state.is_some_and(|state| !matches!(state, b'Z' | b'X'))
}

/// The number of a process in its own pid namespace (`man 5 proc_pid_status`).
fn own_number(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().next_back()?.parse().ok()
}

/// A name of a table of mappings with its lines' ends.
fn unescaped(path: &[u8]) -> Vec<u8> {
    const END: &[u8] = br"\012";
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let escaped = rest.starts_with(END);
        plain.push(if escaped { b'\n' } else { *first });
        rest = if escaped { rest.get(END.len()..).unwrap_or_default() } else { after };
    }
    plain
}

/// A tracker that has taken hold of the first guest.
pub(crate) struct Tracker {
    run: Arc<Run>,
    root: u32,
    /// Whether the guests have a pid namespace, and so number each other.
    namespaces: bool,
    /// Threads that stand still because their birth has not been reported by their parent.
    early: HashMap<u32, ()>,
    /// Whose birth was reported before they stopped for the first time.
    awaited: HashMap<u32, ()>,
    /// Calls between their begin and their end.
    underway: HashMap<u32, Underway>,
    watch: Watch,
}

impl Tracker {
    /// Takes hold of the command's process, which waits for the start. The calling thread must then [`follow`].
    ///
    /// [`follow`]: Self::follow
    pub(crate) fn seize(run: Arc<Run>, root: u32, namespaces: bool) -> Result<Self, Errno> {
        ptrace::seize(root)?;
        let place = run.root(root);
        run.record(|| Body::Start { pid: root, place: place.clone() });
        if namespaces {
            run.processes().set_number(root, NAMESPACED_COMMAND);
        }
        Ok(Self {
            run,
            root,
            namespaces,
            early: HashMap::new(),
            awaited: HashMap::new(),
            underway: HashMap::new(),
            watch: Watch::default(),
        })
    }

    /// Follows all guests until none is left.
    pub(crate) fn follow(mut self) {
        loop {
            match self.next() {
                Ok((tid, stop)) => self.step(tid, stop),
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// The next stop. While guests sleep whose time need not pass in reality, it looks for the moment at which nobody else
    /// can run.
    fn next(&mut self) -> Result<(u32, ptrace::Stop), Errno> {
        if !self.sleeps() {
            return ptrace::wait();
        }
        self.watch.disturb();
        let mut pause = BRIEFLY;
        loop {
            if let Some(stop) = ptrace::look()? {
                return Ok(stop);
            }
            std::thread::sleep(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
            if pause >= LOOKING && self.watch.is_quiet(&self.run) {
                self.end_a_sleep();
            }
        }
    }

    /// Whether some guest sleeps, by a clock that need not run as the real one.
    fn sleeps(&self) -> bool {
        let virtual_time = self.run.time.as_ref().is_some_and(|time| !time.is_real());
        virtual_time && self.underway.values().any(|call| call.waits().is_some_and(|waits| waits.sleeps))
    }

    /// Nobody can run: the earliest sleep ends now, unless something that runs in real time comes first.
    fn end_a_sleep(&mut self) {
        let place = |tid: u32| self.run.processes().of(tid).map(|(_, process)| process.place.clone());
        let waiting = self.underway.iter().filter_map(|(tid, call)| call.waits().map(|waits| (*tid, waits)));
        // Of several it is the one that is first in the tree, whatever the numbers.
        let first = waiting.min_by_key(|(tid, waits)| (waits.until, waits.sleeps, place(*tid), *tid));
        // Who sleeps for ever is not woken.
        let ends = |waits: &Waits| waits.sleeps && waits.until < time::NEVER;
        let Some((tid, _)) = first.filter(|(_, waits)| ends(waits)) else { return };
        if self.run.processes().times().any(time::OwnTime::has_timers) {
            return;
        }
        if let Some(call) = self.underway.get_mut(&tid)
            && ptrace::interrupt(tid).is_ok()
        {
            call.cut_short = true;
        }
    }

    /// A call begins that was to be stopped.
    fn begins(&mut self, tid: u32) -> Result<(), Errno> {
        let known = self.underway.remove(&tid);
        match stop::begin(&self.run, tid, known)? {
            Some(underway) => {
                self.underway.insert(tid, underway);
                ptrace::resume_to_end(tid)
            }
            None => ptrace::resume(tid, 0),
        }
    }

    /// It ends.
    fn ends(&mut self, tid: u32) -> Result<(), Errno> {
        if let Some(underway) = self.underway.remove(&tid)
            && let Some(underway) = stop::end(&self.run, tid, underway)?
        {
            self.underway.insert(tid, underway);
        }
        ptrace::resume(tid, 0)
    }

    fn step(&mut self, tid: u32, stop: ptrace::Stop) {
        // A guest that was killed meanwhile gives ESRCH; its end will be reported.
        let _ = match stop {
            ptrace::Stop::Born { child } => {
                if child != 0 {
                    self.born(tid, child);
                }
                ptrace::resume(tid, 0)
            }
            ptrace::Stop::Attached => {
                if self.awaited.remove(&tid).is_some() || self.run.processes().of(tid).is_some() {
                    ptrace::resume(tid, 0)
                } else {
                    // It must not run before we know whose child it is.
                    self.early.insert(tid, ());
                    Ok(())
                }
            }
            ptrace::Stop::Begin => self.begins(tid),
            ptrace::Stop::End => self.ends(tid),
            ptrace::Stop::Exec => {
                self.exec(tid);
                ptrace::resume(tid, 0)
            }
            ptrace::Stop::Group => ptrace::listen(tid),
            ptrace::Stop::Signal(libc::SIGSEGV) if self.is_dealt_with(tid) => ptrace::resume(tid, 0),
            ptrace::Stop::Signal(signal) => {
                self.signalled(tid, signal);
                ptrace::resume(tid, signal)
            }
            ptrace::Stop::Gone(status) => {
                self.adopt_orphans(tid);
                self.early.remove(&tid);
                self.awaited.remove(&tid);
                self.underway.remove(&tid);
                let gone = self.run.processes().gone(tid);
                if let Some(place) = gone {
                    let how = Some(Exit::from_wait_status(status));
                    self.run.record(|| Body::Exit { pid: tid, place, how });
                }
                Ok(())
            }
        };
    }

    /// Whether a capability has dealt with the fault that a guest's own instruction raised.
    fn is_dealt_with(&self, tid: u32) -> bool {
        if !ptrace::is_refusal(tid) {
            return false;
        }
        let Some(place) = self.run.processes().of(tid).map(|(_, process)| process.place.clone()) else {
            return false;
        };
        FaultStop::at(tid, &place).is_ok_and(|mut stop| self.run.plan.at_fault(&mut stop).unwrap_or(false))
    }

    /// The command may be killed by it: who sent it is then worth knowing.
    fn signalled(&self, tid: u32, signal: i32) {
        // Who shares the command's memory but for its threads is another process.
        let of_command =
            tid == self.root || self.run.processes().of(tid).is_some_and(|(tgid, _)| tgid == self.root);
        if !of_command {
            return;
        }
        let Ok(source) = ptrace::source(tid) else { return };
        let itself = if self.namespaces { NAMESPACED_COMMAND } else { self.root };
        let sender = match source {
            ptrace::Source::Kernel => Sender::Kernel,
            // The kernel names whoever wrote to a pipe without readers as if he had sent it.
            ptrace::Source::Process(_) if signal == libc::SIGPIPE => return,
            ptrace::Source::Process(pid) if pid == itself => Sender::Itself,
            ptrace::Source::Process(0) => Sender::Outside,
            ptrace::Source::Process(pid) if self.namespaces || self.run.processes().of(pid).is_some() => {
                Sender::Guest
            }
            ptrace::Source::Process(pid) if is_alive(pid) => Sender::Outside,
            // It may have been a guest.
            ptrace::Source::Process(_) => return,
        };
        self.run.sends(signal, Why::Sent(sender));
    }

    /// A guest that is killed in the midst of making a process doesn't report it. The newborn must not wait for ever.
    fn adopt_orphans(&mut self, gone: u32) {
        let orphan = |child: &u32| {
            let parent = guest::process::open(*child).and_then(guest::process::info).map(|info| info.ppid);
            parent.is_ok_and(|parent| parent == gone || self.run.processes().of(parent).is_none())
        };
        let orphans: Vec<_> = self.early.keys().copied().filter(orphan).collect();
        for child in orphans {
            self.born(gone, child);
        }
    }

    fn born(&mut self, parent: u32, child: u32) {
        let tgid = guest::Guest::of(child).map_or(child, |guest| guest.tgid);
        if tgid == child {
            let born = self.run.processes().born(parent, child);
            // How guests number each other is asked of a process that stands still, and only where it matters.
            if self.namespaces
                && self.run.time.is_some()
                && let Some(number) = own_number(child)
            {
                self.run.processes().set_number(child, number);
            }
            if let Some(place) = born {
                self.run.record(|| Body::Start { pid: child, place });
            }
        } else {
            self.run.processes().thread(child, tgid);
        }
        if self.early.remove(&child).is_some() {
            let _ = ptrace::resume(child, 0);
        } else {
            self.awaited.insert(child, ());
        }
    }

    fn exec(&mut self, tid: u32) {
        let exe = std::fs::read_link(format!("/proc/{tid}/exe")).ok().map(|exe| {
            use std::os::unix::ffi::OsStringExt;
            BytesText(exe.into_os_string().into_vec())
        });
        let place = {
            let mut processes = self.run.processes();
            processes.executed(tid);
            self.underway.retain(|thread, _| *thread != tid && processes.of(*thread).is_some());
            let Some(process) = processes.get_mut(tid) else { return };
            process.exe.clone_from(&exe);
            process.place.clone()
        };
        self.run.record(|| Body::Exec { pid: tid, place: place.clone(), exe: exe.unwrap_or_default() });
        if let Some(time) = &self.run.time {
            time.begin();
        }
        let mut stop = ExecStop { tid, place: &place };
        if let Err((capability, errno)) = self.run.plan.at_exec(&mut stop) {
            // One that was killed meanwhile fails in many ways, and none of them matters any more.
            let killed = ptrace::stack_pointer(tid) == Err(Errno::ESRCH);
            let errno = if killed { Errno::ESRCH } else { errno };
            // A control that could not be set up must not be missing in silence: the program never runs.
            let _ = rustix::process::Pid::from_raw(tid.cast_signed())
                .map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
            self.run.exec_refused(capability, errno, &place);
        }
    }
}
