//! Follows every guest from birth to end, by ptrace's events alone: no call is stopped for it. Calls that a capability wants
//! stopped are stopped here (`core/src/supervisor/stop.rs`).
//!
//! It knows each process before that process runs its first instruction, so a place in the tree is never a guess. At
//! each exec it lets capabilities work on the new program while it stands still, and so it does where the processor has
//! refused a guest's instruction. It decides no call. Runs only in runs that need it: those with a seed or a clock, with
//! denied paths (what was executed is judged here), with processors or a counter of the policy's, with a peak to be
//! measured, or with an observer.
#![forbid(unsafe_code)]

mod waits;

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::waits::Quiet;
use super::Run;
use super::descriptors::Found;
use super::exec::ExecStop;
use super::overdue::Overdue;
use super::peak::high_water;
use super::process_status::ProcessStatus;
use super::quiet::Watch;
use super::restart;
use super::stop::{self, Underway, Waits};
use super::time;
use crate::outcome::{Sender, Why};
use crate::sys::alarm::Alarm;
use crate::sys::{memory, pid_namespace, ptrace, thread};
use crate::trace::{Body, BytesText, Exit, Place};
use crate::{Errno, guest};

/// How the guests of a pid namespace number the command: init is 1.
const NAMESPACED_COMMAND: u32 = 2;

/// How long the tracker waits between two looks while a guest sleeps: shortly after something has happened, and later.
const BRIEFLY: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// The same while no wait can end yet: it is then this part of how long nothing has happened, up to that.
const IDLE_PART: u32 = 16;
const LONGEST_IDLE: Duration = Duration::from_millis(8);
/// From when on it is worth looking at all guests.
const LOOKING: Duration = Duration::from_micros(400);
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

/// Whether there is such a process or thread, and it has not ended (`man 5 proc_pid_stat`).
pub(super) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|close| stat.get(close + 2));
    state.is_some_and(|state| !matches!(state, b'Z' | b'X'))
}

/// The number of a process in its own pid namespace (`man 5 proc_pid_status`).
fn own_number(pid: u32) -> Option<u32> {
    let status = ProcessStatus::of(pid).ok()?;
    status.field("NSpid")?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// The pid namespace of the command's process; `None`: it doesn't tell how processes are numbered in there (before Linux 6.11).
fn pids(root: u32) -> Option<OwnedFd> {
    let pids = OwnedFd::from(std::fs::File::open(format!("/proc/{root}/ns/pid")).ok()?);
    (pid_namespace::tid_in(pids.as_fd(), root) == Ok(NAMESPACED_COMMAND)).then_some(pids)
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
    /// Threads that job control has stopped.
    stopped: HashSet<u32>,
    watch: Watch,
    overdue: Overdue,
    quiet: Quiet,
    /// What was found among the descriptors since a guest ran.
    looked: Option<Found>,
    /// Their pid namespace, where it tells their numbers.
    pids: Option<OwnedFd>,
    /// Ends its waiting, once that was needed; `None`: there is none to be had.
    alarm: OnceCell<Option<Alarm>>,
}

/// Who was just born.
struct Newborn {
    /// Its process.
    tgid: u32,
    /// How guests number it, if somebody has said so.
    number: Option<u32>,
}

impl Tracker {
    /// Takes hold of the command's process, which waits for the start. The calling thread must then [`follow`].
    ///
    /// [`follow`]: Self::follow
    pub(crate) fn seize(run: Arc<Run>, root: u32, namespaces: bool) -> Result<Self, Errno> {
        ptrace::seize(root, run.plan.is_read_within() || run.plan.measures())?;
        let place = run.root(root);
        if let Some(mut peak) = run.peak() {
            peak.stands_ready(root);
        }
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
            stopped: HashSet::new(),
            watch: Watch::default(),
            overdue: Overdue::default(),
            quiet: Quiet::default(),
            looked: None,
            pids: if namespaces { pids(root) } else { None },
            alarm: OnceCell::new(),
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

    /// The next stop, if there is one by then. One that came is dealt with at once: else others could run meanwhile, as far as
    /// the host's speed lets them.
    fn next_within(&self, time: Duration) -> Result<Option<(u32, ptrace::Stop)>, Errno> {
        if let Some(stop) = ptrace::look()? {
            return Ok(Some(stop));
        }
        let alarm = self.alarm.get_or_init(|| Alarm::new().ok()).as_ref();
        let Some(alarm) = alarm.filter(|_| thread::can_be_interrupted()) else {
            std::thread::sleep(time);
            return ptrace::look();
        };
        match alarm.within(time, ptrace::wait) {
            Err(Errno::EINTR) => Ok(None),
            stop => stop.map(Some),
        }
    }

    /// The next stop. While guests wait whom it has to wake, it looks for the moment at which nobody else can run.
    fn next(&mut self) -> Result<(u32, ptrace::Stop), Errno> {
        let Some(first) = self.first_end() else { return ptrace::wait() };
        self.watch.disturb();
        self.quiet.is_interrupted();
        self.looked = None;
        let since = Instant::now();
        let mut pause = BRIEFLY;
        loop {
            self.end_an_overdue_wait();
            if let Some(stop) = self.next_within(pause)? {
                return Ok(stop);
            }
            let left = Duration::from_nanos(first.saturating_sub(time::real()));
            pause = LONGEST_PAUSE.min(pause * 2);
            if !left.is_zero() {
                let idle = LONGEST_IDLE.min(since.elapsed() / IDLE_PART);
                pause = idle.max(pause).min(left.max(BRIEFLY));
            } else if pause < LOOKING {
                continue;
            } else if self.watch.is_quiet(&self.run, &self.stopped) {
                self.overdue.begin_anew();
                self.end_a_wait();
            } else {
                self.quiet.is_interrupted();
                self.looked = None;
            }
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
        self.stopped.remove(&tid);
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
            ptrace::Stop::Ending => {
                // Its memory is still there, and tells how far it has come.
                let _ = self.run.processes().with_time(tid, |_| ());
                if let Some(mut peak) = self.run.peak() {
                    let bytes = high_water(tid);
                    let known = self.run.processes();
                    let tgid = known.of(tid).map_or(tid, |(tgid, _)| tgid);
                    peak.ends(tgid, bytes, &known);
                }
                ptrace::resume(tid, 0)
            }
            ptrace::Stop::Group => {
                self.stopped.insert(tid);
                ptrace::listen(tid)
            }
            ptrace::Stop::Signal(libc::SIGSEGV) if self.is_dealt_with(tid) => ptrace::resume(tid, 0),
            ptrace::Stop::Signal(signal) => {
                self.signalled(tid, signal);
                let _ = restart::make_again(tid);
                ptrace::resume(tid, signal)
            }
            ptrace::Stop::Gone { status, most_resident } => {
                self.adopt_orphans(tid);
                self.early.remove(&tid);
                self.awaited.remove(&tid);
                self.underway.remove(&tid);
                if let Some(mut peak) = self.run.peak() {
                    peak.gone(tid, most_resident, &self.run.processes());
                }
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

    fn newborn(&self, child: u32) -> Result<Newborn, Errno> {
        let Some(pids) = self.pids.as_ref().map(AsFd::as_fd) else {
            let tgid = guest::Guest::of(child)?.tgid;
            return Ok(Newborn { tgid, number: None });
        };
        let number = pid_namespace::tid_in(pids, child)?;
        Ok(Newborn { tgid: pid_namespace::tgid_from(pids, number)?, number: Some(number) })
    }

    fn born(&mut self, parent: u32, child: u32) {
        let known = self.newborn(child);
        let is_known = known.is_ok();
        let Newborn { tgid, number } = known.unwrap_or(Newborn { tgid: child, number: None });
        if tgid == child {
            let born = self.run.processes().born(parent, child);
            // Of whom nothing is left, not even a zombie, may have been a thread.
            if let (true, Some(mut peak)) = (is_known, self.run.peak()) {
                peak.born(child, is_alive(child));
            }
            // How guests number each other is asked of a process that stands still, and only where it matters.
            if self.namespaces
                && self.run.time.is_some()
                && let Some(number) = number.or_else(|| own_number(child))
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
        if let Some(mut peak) = self.run.peak() {
            peak.executed(tid);
        }
        let named = std::fs::read_link(format!("/proc/{tid}/exe")).ok();
        let exe = named.as_ref().map(|exe| BytesText(exe.as_os_str().as_bytes().to_vec()));
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
        let mut stop = ExecStop::new(&self.run, tid, &place, named);
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
