//! What the threads of one run share.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::errands::Errands;
use super::files::Files;
use super::peak::Peak;
use super::perform::Job;
use super::processes::Processes;
use super::recorder::{Held, Recorder};
use super::stand_in::StandIns;
use super::time::Time;
use crate::handler::Handler;
use crate::outcome::Why;
use crate::plan::Plan;
use crate::sys::pid_namespace;
use crate::sys::seccomp::Listener;
use crate::trace::{Body, Place};
use crate::{Errno, RunError, guest};

/// The process that all guests descend from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Init {
    /// As we number it.
    pub(super) pid: u32,
    /// Whether it is the first of a pid namespace, in which guests name nobody but guests and it.
    pub(super) has_namespaces: bool,
}

/// init's number in a pid namespace.
const INIT: u32 = 1;
/// So many programs' names are known: then all are forgotten.
const MOST_BROUGHT: usize = 4096;

/// One run.
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) handlers: Vec<Box<dyn Handler>>,
    pub(crate) runtime: Handle,
    pub(super) recorder: Option<Recorder>,
    listener: OnceLock<Listener>,
    processes: Mutex<Processes>,
    /// The guests' own time, if they have one.
    pub(crate) time: Option<Time>,
    /// init.
    init: OnceLock<Init>,
    /// The guests' pid namespace, once somebody has asked who a number in it is.
    pids: OnceLock<Option<OwnedFd>>,
    stand_ins: Mutex<StandIns>,
    files: Option<Mutex<Files>>,
    peak: Option<Mutex<Peak>>,
    /// The guest still runs our own code: its probes, and the exec of the command.
    probing: AtomicBool,
    /// A guest has changed its umask, so it must be asked for.
    pub(super) umask_changed: AtomicBool,
    errands: Errands,
    /// Answers that were deferred and are not given yet.
    pub(super) pending: AtomicUsize,
    /// Takes calls that must be performed, from threads that stand outside of the guests' domain.
    pub(super) performer: OnceLock<mpsc::Sender<Job>>,
    /// How many callbacks are under way.
    pub(super) calling: watch::Sender<usize>,
    /// Who sent a signal to the command, and which: the last.
    sent: Mutex<Option<(i32, Why)>>,
    failure: Mutex<Option<RunError>>,
    /// Programs that lie in memory, as guests call them.
    brought: Mutex<HashSet<Vec<u8>>>,
    /// In nanoseconds.
    waited_for_disks: AtomicU64,
    ended: watch::Sender<bool>,
    /// The guests are to end now: whatever takes long is of no use any more.
    to_end: AtomicBool,
}

impl Run {
    pub(crate) fn new(
        plan: Plan,
        handlers: Vec<Box<dyn Handler>>,
        recorder: Option<Recorder>,
        runtime: Handle,
    ) -> Self {
        let time = plan.clock().map(Time::new);
        let files = plan.files().map(Mutex::new);
        let errands = Errands::new(runtime.clone());
        let peak = plan.measures().then(Mutex::default);
        Self {
            plan,
            time,
            handlers,
            runtime,
            recorder,
            listener: OnceLock::new(),
            processes: Mutex::default(),
            init: OnceLock::new(),
            pids: OnceLock::new(),
            stand_ins: Mutex::default(),
            files,
            peak,
            probing: AtomicBool::new(true),
            umask_changed: AtomicBool::new(false),
            errands,
            pending: AtomicUsize::new(0),
            performer: OnceLock::new(),
            calling: watch::Sender::new(0),
            sent: Mutex::default(),
            failure: Mutex::default(),
            brought: Mutex::default(),
            waited_for_disks: AtomicU64::new(0),
            ended: watch::Sender::new(false),
            to_end: AtomicBool::new(false),
        }
    }

    /// The listener. Set before the first guest runs, so that its absence is a call that is gone.
    pub(crate) fn listener(&self) -> Result<&Listener, Errno> {
        self.listener.get().ok_or(Errno::ENOENT)
    }

    pub(crate) fn set_listener(&self, listener: Listener) {
        // A run has one listener; a second would be dropped, which closes it.
        let _ = self.listener.set(listener);
    }

    pub(crate) fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command itself begins. Its place.
    pub(crate) fn root(&self, tgid: u32) -> Place {
        self.processes().root(tgid)
    }

    /// The command itself begins, and nobody follows it.
    pub(crate) fn begins(&self, tgid: u32) {
        let place = self.root(tgid);
        self.record(|| Body::Start { pid: tgid, place });
    }

    /// A signal goes to the command, and this is why.
    pub(super) fn sends(&self, signal: i32, why: Why) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        // The tracker sees only that a handler's signal comes from outside.
        if !matches!(&*sent, Some((known, Why::Handler(_))) if *known == signal) {
            *sent = Some((signal, why));
        }
    }

    /// Why the command was killed by `signal`, as far as that is known.
    pub(crate) fn why_killed_by(&self, signal: i32, followed: bool) -> Option<Why> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).take();
        match sent.filter(|(known, _)| *known == signal) {
            Some((_, why)) => Some(why),
            // The tracker is shown every signal that is sent, but not the filter's.
            None if followed && signal == libc::SIGSYS => Some(Why::Filter),
            None => None,
        }
    }

    /// Whoever descends from `init` is a guest.
    pub(super) fn set_init(&self, init: Init) {
        let _ = self.init.set(init);
    }

    /// Whether the guests have namespaces of their own: said when they stand ready.
    pub(super) fn has_namespaces(&self) -> bool {
        self.init.get().is_some_and(|init| init.has_namespaces)
    }

    /// Whether the thread with this number, as guests number it, is a guest.
    pub(super) fn is_guest(&self, thread: u32) -> bool {
        match self.init.get() {
            Some(Init { has_namespaces: true, .. }) => thread != INIT,
            Some(Init { pid, .. }) => guest::process::descends(thread, *pid),
            None => false,
        }
    }

    /// Whether the thread that we know by this number is init's or a guest's, also one that has ended and that nobody has
    /// waited for yet.
    pub(super) fn is_ours(&self, thread: u32) -> bool {
        let Some(init) = self.init.get() else { return false };
        thread == init.pid
            || self.processes().of(thread).is_some()
            || guest::process::descends(thread, init.pid)
    }

    /// The guest's thread that guests know by this number, as we number it; one that has ended and that nobody has waited for
    /// yet as well.
    pub(super) fn numbered(&self, thread: u32) -> Option<u32> {
        let init = self.init.get()?;
        if !init.has_namespaces {
            return guest::process::descends(thread, init.pid).then_some(thread);
        }
        if thread == INIT {
            return None;
        }
        // A guest's domain may not look there.
        let path = format!("/proc/{}/ns/pid", init.pid);
        let pids = self
            .pids
            .get_or_init(|| self.errand(move || std::fs::File::open(path).ok()).ok()?.map(Into::into));
        pid_namespace::tid_from(pids.as_ref()?.as_fd(), thread).ok()
    }

    pub(super) fn stand_ins(&self) -> MutexGuard<'_, StandIns> {
        self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that guests have seen, where they are shown with numbers of their own.
    pub(super) fn files(&self) -> Option<MutexGuard<'_, Files>> {
        self.files.as_ref().map(|files| files.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The most that guests have had at once, where that is to be measured.
    pub(crate) fn peak(&self) -> Option<MutexGuard<'_, Peak>> {
        self.peak.as_ref().map(|peak| peak.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.probing.load(Ordering::Acquire)
    }

    pub(crate) fn command_runs(&self) {
        self.probing.store(false, Ordering::Release);
    }

    /// The guests run one at a time: errands too take place at once. Call it from a thread that has the guests'
    /// processor.
    pub(crate) fn runs_serially(&self) -> std::io::Result<()> {
        self.errands.serve()
    }

    /// Whether the guests run one at a time.
    pub(super) fn is_serial(&self) -> bool {
        self.errands.are_served()
    }

    /// Whether the program that is called so was [brought](Self::brought) into memory.
    pub(super) fn has_brought(&self, path: &[u8]) -> bool {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    /// How long guests have waited altogether until something was read for them.
    pub(super) fn waited_for_disks(&self) -> Duration {
        Duration::from_nanos(self.waited_for_disks.load(Ordering::Relaxed))
    }

    /// One has waited so long.
    pub(super) fn waits_for_disks(&self, more: Duration) {
        let more = u64::try_from(more.as_nanos()).unwrap_or(u64::MAX);
        self.waited_for_disks.fetch_add(more, Ordering::Relaxed);
    }

    /// The program that is called so lies in memory, with its interpreter.
    pub(super) fn brought(&self, path: &[u8]) {
        // What is named from a folder is another program elsewhere.
        if path.starts_with(b"/") {
            let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
            if brought.len() >= MOST_BROUGHT {
                brought.clear();
            }
            brought.insert(path.to_vec());
        }
    }

    /// Whether the guests run one at a time, and by a clock that need not run as the real one: what waits by that clock then
    /// ends in its order.
    pub(super) fn is_in_order(&self) -> bool {
        self.is_serial() && self.time.as_ref().is_some_and(|time| !time.is_real())
    }

    /// Records an event, if anybody listens.
    pub(crate) fn record(&self, body: impl FnOnce() -> Body) {
        if let Some(recorder) = &self.recorder {
            recorder.record(body());
        }
    }

    /// See [`Recorder::hold`]. Whoever holds it may not record by any other way.
    pub(super) fn hold(&self) -> Option<Held<'_>> {
        self.recorder.as_ref().map(Recorder::hold)
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        if let Some(recorder) = &self.recorder {
            recorder.note(text);
        }
    }

    /// The run can't be believed: whoever waits for it will hear why. The first reason stands.
    pub(crate) fn fail(&self, error: RunError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            *failure = Some(error);
        }
    }

    pub(crate) fn take_failure(&self) -> Option<RunError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A capability did not let a program that was executed run.
    pub(crate) fn exec_refused(&self, capability: &'static str, errno: Errno, place: &Place) {
        match errno {
            // By decision: the program is a denied one.
            Errno::EACCES => {
                if *place == Place::root() {
                    self.sends(libc::SIGKILL, Why::Denied);
                }
                self.note(format!("{place} executed a denied file and was killed before it ran"));
            }
            // It died by itself.
            Errno::ESRCH => {}
            errno => self.fail(RunError::NotInForce {
                control: capability.to_owned(),
                saw: format!("setting it up in a program that {place} executed failed with {errno}"),
            }),
        }
    }

    /// No more events will come. How many were lost.
    pub(crate) fn close_trace(&self) -> u64 {
        self.recorder.as_ref().map_or(0, Recorder::close)
    }

    /// All guests are about to be killed.
    pub(crate) fn kills(&self) {
        self.to_end.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_to_end(&self) -> bool {
        self.to_end.load(Ordering::Relaxed)
    }

    /// No guest is left: whatever still works for one may stop.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Resolves when no guest is left.
    pub(crate) async fn wait_ended(&self) {
        // An error means that the run itself is gone, which comes to the same.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Has `work`, which is short, done on a thread that is not confined, and waits for it: some 60 µs.
    pub(crate) fn errand<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Errno> {
        self.errands.run(work)
    }
}
