//! The keeper: one run from its first descriptor to its outcome.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::Timespec;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::doing::doing;
use super::pipes::{Capture, Feed, MOST, pipe, pump};
use super::program::Texts;
use super::standing::Standing;
use super::turns::Turns;
use super::{CORE_LIMIT, LaunchError, forbids_namespaces, forbids_own_proc, tree};
use crate::capability::SCHEDULE;
use crate::command::{Command, Program, Stdin};
use crate::landlock::{self, Ruleset};
use crate::outcome::{Control, ControlState, End, ISOLATION, TIMEOUT, Why};
use crate::plan::required::available;
use crate::policy::Isolation;
use crate::remote::{Held, Remote};
use crate::supervisor::Run;
use crate::supervisor::tracker::Tracker;
use crate::supervisor::worker::{Reply, Told, Work, work};
use crate::sys::clone::{Failure, LOWEST_FREE, Start, Step};
use crate::sys::probe::{Expect, Probe, ProbeArg};
use crate::sys::{image, memfd, thread};
use crate::syscall::{Sysno, family};
use crate::trace::Exit;
use crate::{Errno, Outcome, Policy, RunError, Syscall};

/// Where the guests' descriptors 0, 1 and 2 lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdio {
    /// What is written is captured.
    Captured,
    /// They are the caller's own.
    Inherited,
}

/// One run.
pub(crate) struct Keeper {
    pub(crate) run: Arc<Run>,
    pub(crate) policy: Policy,
    pub(crate) command: Command,
    pub(crate) stdio: Stdio,
    /// Readable once the run is to be given up; without it, nobody can.
    pub(crate) cancel: Option<OwnedFd>,
    /// The same, and signals for the command.
    pub(crate) remote: Option<Remote>,
    /// Why `/proc` is the host's, where it was to be the guests' own and that was tried in vain.
    pub(crate) no_own_proc: Option<String>,
    /// Whether the caller has no use for SIGCHLD.
    pub(crate) drops_sigchld: bool,
}

/// What stands around the guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    Nothing,
    /// A user and a pid namespace.
    Namespaces,
    /// And a mount namespace, with a procfs of that pid namespace.
    OwnProc,
}

/// The init program, made once.
fn init_image() -> Result<&'static OwnedFd, Errno> {
    static IMAGE: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(image) = IMAGE.get() {
        return Ok(image);
    }
    let made = memfd::sealed(c"assize-init", &image::init()).map_err(|error| Errno::of(&error))?;
    Ok(IMAGE.get_or_init(|| made))
}

/// What one attempt to start needs and leaves.
struct Prepared {
    start: Start,
    descriptors: Vec<OwnedFd>,
    stdout: Capture,
    stderr: Capture,
    feed: Feed,
    status: File,
}

/// A run whose guests stand ready.
struct Started {
    worker: JoinHandle<()>,
    tracker: Option<JoinHandle<()>>,
    /// What this host can't give, by control.
    lacking: Lacking,
    /// Where guests run one at a time.
    turns: Option<Turns>,
    init: OwnedFd,
    init_pid: u32,
    root: u32,
    /// Lets signals be passed on to the command.
    _held: Option<Held>,
    stdout: Capture,
    stderr: Capture,
    feed: Feed,
    status: File,
}

/// A start that came so far that the command may go on.
struct Ready {
    init: OwnedFd,
    init_pid: u32,
    root: u32,
    tracker: Option<JoinHandle<()>>,
    lacking: Lacking,
    turns: Option<Turns>,
    held: Option<Held>,
}

type Lacking = Vec<(&'static str, String)>;

/// The tracker, and the number of its thread.
type Followed = (JoinHandle<()>, u32);

fn step(step: Step) -> impl Fn(rustix::io::Errno) -> RunError {
    move |errno| LaunchError::from(Failure { step, errno: errno.into() }).into()
}

impl Keeper {
    /// Runs the command to its end.
    pub(crate) fn keep(mut self) -> Result<Outcome, RunError> {
        let since = Instant::now();
        let wanted =
            !matches!(self.policy.isolation, Isolation::Off) && !self.policy.without.contains(ISOLATION);
        let mut isolation = if self.policy.without.contains(ISOLATION) {
            ControlState::LeftOut
        } else if wanted && self.shows_isolation() {
            ControlState::Proven("getpid gave 2".to_owned())
        } else if wanted {
            ControlState::InForce("a user and a pid namespace".to_owned())
        } else {
            ControlState::NotAsked
        };
        let mut started = Err(Refused::NotTried);
        if wanted && self.run.plan.preparation().own_proc {
            started = self.start(Around::OwnProc);
            if let Err(Refused::Failed(failure)) = &started
                && forbids_own_proc(failure.step)
            {
                self.no_own_proc = Some(format!("{}: {}", failure.step.words(), failure.errno));
                started = Err(Refused::NotTried);
            }
        }
        if wanted && matches!(started, Err(Refused::NotTried)) {
            started = self.start(Around::Namespaces);
            if let Err(Refused::Failed(failure)) = &started
                && forbids_namespaces(failure.step)
            {
                let errno = failure.errno;
                if self.policy.isolation == Isolation::Require {
                    return Err(LaunchError::NoNamespaces { errno }.into());
                }
                let why = format!("{}: {errno}", failure.step.words());
                available(&self.policy, [(ISOLATION, why.as_str())])?;
                isolation = ControlState::Unavailable(why);
                started = Err(Refused::NotTried);
            }
        }
        if matches!(started, Err(Refused::NotTried)) {
            started = self.start(Around::Nothing);
        }
        let started = started.map_err(|refused| match refused {
            Refused::Failed(failure) => self.launch_error(failure),
            Refused::Error(error) => error,
            Refused::NotTried => self.launch_error(Failure { step: Step::Lost, errno: Errno::ECANCELED }),
        })?;
        let namespaces = matches!(isolation, ControlState::Proven(_) | ControlState::InForce(_));
        self.finish(started, namespaces, isolation, since)
    }

    /// Whether a probe can show that the guests have a pid namespace.
    fn shows_isolation(&self) -> bool {
        !self.run.plan.denies(Syscall::of(Sysno::getpid))
    }

    /// Whether the policy lifts the denial of what is found by numbers and names of the IPC namespace. Only then the guests
    /// have one of their own: making it takes as long as making the other two.
    fn may_use_ipc(&self) -> bool {
        let allowed = &self.policy.syscalls.allow;
        [family::SYSV_IPC, family::MESSAGE_QUEUE]
            .iter()
            .any(|ipc| allowed.iter().any(|call| ipc.contains(*call)))
    }

    fn launch_error(&self, failure: Failure) -> RunError {
        self.named(LaunchError::from(failure)).into()
    }

    fn named(&self, error: LaunchError) -> LaunchError {
        match error {
            LaunchError::Exec { errno, .. } => {
                let program = match &self.command.program {
                    Program::Path(path) => path,
                    Program::Image { name, .. } => name,
                };
                LaunchError::Exec { program: program.to_string_lossy().into_owned(), errno }
            }
            other => other,
        }
    }

    fn start(&mut self, around: Around) -> Result<Started, Refused> {
        let namespaces = around != Around::Nothing;
        let ruleset = if self.policy.without.contains("fs") {
            None
        } else {
            let ruleset =
                Ruleset::of(&self.policy.fs, around == Around::OwnProc).map_err(crate::plan::PlanError::from);
            Some(ruleset.map_err(RunError::from)?)
        };
        let Prepared { start, descriptors, stdout, stderr, feed, status } = self.prepare(around)?;
        let (tell, told) = channel();
        let (reply, replies) = channel();
        let performer = self.run.plan.has_handlers_before_performing();
        let run = Arc::clone(&self.run);
        let attended = self.follows(namespaces) || self.remote.is_some() || self.run.plan.acts_at_start();
        let all = Work { run, ruleset, start, descriptors, tell, replies, performer, attended };
        let worker = std::thread::Builder::new()
            .name("assize-worker".to_owned())
            .spawn(move || work(all))
            .map_err(|error| RunError::Supervisor { doing: "starting a thread", errno: Errno::of(&error) })?;
        match self.attend(&told, &reply, namespaces, attended) {
            Ok(Ready { init, init_pid, root, tracker, lacking, turns, held }) => Ok(Started {
                worker,
                tracker,
                lacking,
                turns,
                init,
                init_pid,
                root,
                _held: held,
                stdout,
                stderr,
                feed,
                status,
            }),
            Err(refused) => {
                drop(reply);
                // The worker leaves nothing behind: it waits for its children and then ends.
                let _ = worker.join();
                Err(refused)
            }
        }
    }

    /// Does for the worker what its confinement forbids, until the guests stand ready.
    fn attend(
        &self,
        told: &Receiver<Told>,
        reply: &Sender<Reply>,
        namespaces: bool,
        attended: bool,
    ) -> Result<Ready, Refused> {
        loop {
            match told.recv() {
                Ok(Told::MapIds(pid)) => {
                    let answer = match tree::map_ids(pid) {
                        Ok(()) => Reply::Go,
                        Err(errno) => Reply::Stop(Failure { step: Step::IdMaps, errno }),
                    };
                    let _ = reply.send(answer);
                }
                // The command goes on already.
                Ok(Told::Ready { init, init_pid, root, .. }) if !attended => {
                    return Ok(Ready {
                        init,
                        init_pid,
                        root,
                        tracker: None,
                        lacking: Vec::new(),
                        turns: None,
                        held: None,
                    });
                }
                Ok(Told::Ready { init, init_pid, root, worker }) => {
                    let mut servants = vec![worker];
                    let tracker = match self.track(root, namespaces) {
                        Ok(followed) => followed.map(|(tracker, id)| {
                            servants.push(id);
                            tracker
                        }),
                        Err(errno) => {
                            let _ = reply.send(Reply::Stop(Failure { step: Step::Tracker, errno }));
                            continue;
                        }
                    };
                    let mut standing =
                        Standing::new(root, init_pid, servants, namespaces, self.no_own_proc.clone());
                    self.run.plan.at_start(&mut standing);
                    if standing.is_serial() {
                        let failed = |error| RunError::Supervisor {
                            doing: "starting a thread",
                            errno: Errno::of(&error),
                        };
                        self.run.runs_serially().map_err(failed)?;
                    }
                    let turns = standing.is_serial().then(|| Turns::new(init_pid));
                    let lacking = standing.into_lacking();
                    available(&self.policy, lacking.iter().map(|(name, why)| (*name, why.as_str())))?;
                    // Without it signals don't reach the command, and no more.
                    let held = self.remote.as_ref().and_then(|remote| remote.hold(root).ok());
                    let _ = reply.send(Reply::Go);
                    return Ok(Ready { init, init_pid, root, tracker, lacking, turns, held });
                }
                Ok(Told::Failed(failure)) => return Err(failure.into()),
                Ok(Told::Refused(error)) => return Err(Refused::Error(*error)),
                Err(_) => return Err(Failure { step: Step::Lost, errno: Errno::ECHILD }.into()),
            }
        }
    }

    /// Follows the guests where the plan needs it, and where nothing else would end them if this process is killed:
    /// without a pid namespace only their tracer's end does (`PTRACE_O_EXITKILL`).
    fn track(&self, root: u32, namespaces: bool) -> Result<Option<Followed>, Errno> {
        if self.follows(namespaces) {
            match self.follow(root, namespaces) {
                Ok(tracker) => return Ok(Some(tracker)),
                Err(errno) if self.run.plan.is_tracked() => return Err(errno),
                Err(_) => {}
            }
        }
        self.run.begins(root);
        Ok(None)
    }

    fn follows(&self, namespaces: bool) -> bool {
        let ptrace = Syscall::of(Sysno::ptrace);
        self.run.plan.is_tracked() || !namespaces && !self.policy.syscalls.allow.contains(&ptrace)
    }

    fn follow(&self, root: u32, namespaces: bool) -> Result<Followed, Errno> {
        let (tell, told) = channel();
        let run = Arc::clone(&self.run);
        let drops_sigchld = self.drops_sigchld;
        let tracker = std::thread::Builder::new()
            .name("assize-tracker".to_owned())
            .spawn(move || {
                thread::block_signals();
                if drops_sigchld {
                    thread::drop_signals_of_stops();
                }
                match Tracker::seize(run, root, namespaces) {
                    Ok(tracker) => {
                        let _ = tell.send(Ok(thread::id()));
                        tracker.follow();
                    }
                    Err(errno) => {
                        let _ = tell.send(Err(errno));
                    }
                }
            })
            .map_err(|error| Errno::of(&error))?;
        told.recv().unwrap_or(Err(Errno::EIO)).map(|id| (tracker, id))
    }

    fn prepare(&mut self, around: Around) -> Result<Prepared, RunError> {
        let namespaces = around != Around::Nothing;
        let own_proc = around == Around::OwnProc;
        let texts = Texts::of(&self.command, &self.policy)?;
        let mut descriptors = Vec::new();
        let mut place = |fd: std::os::fd::BorrowedFd<'_>| -> Result<RawFd, RunError> {
            let high = rustix::io::fcntl_dupfd_cloexec(fd, LOWEST_FREE).map_err(|errno| match errno {
                // So it is called where the limit lies below that number.
                rustix::io::Errno::INVAL => rustix::io::Errno::MFILE,
                errno => errno,
            });
            let high = high.map_err(step(Step::Descriptors))?;
            let number = high.as_raw_fd();
            descriptors.push(high);
            Ok(number)
        };
        let (mut stdout, mut stderr, mut feed) = (Capture::default(), Capture::default(), Feed::default());
        let failed = step(Step::Descriptors);
        let mut fds = Vec::new();
        match &mut self.command.stdin {
            Stdin::Null => {
                let null =
                    open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(&failed)?;
                fds.push(place(null.as_fd())?);
            }
            Stdin::Bytes(bytes) => {
                let (feeding, end) = Feed::new(bytes.clone()).map_err(&failed)?;
                feed = feeding;
                fds.push(place(end.as_fd())?);
            }
            Stdin::Inherit => fds.push(place(std::io::stdin().as_fd())?),
        }
        match self.stdio {
            Stdio::Captured => {
                for capture in [&mut stdout, &mut stderr] {
                    let (capturing, end) = Capture::new().map_err(&failed)?;
                    *capture = capturing;
                    fds.push(place(end.as_fd())?);
                }
            }
            Stdio::Inherited => {
                fds.push(place(std::io::stdout().as_fd())?);
                fds.push(place(std::io::stderr().as_fd())?);
            }
        }
        for fd in &self.command.inherit {
            fds.push(place(fd.as_fd())?);
        }
        let folder = self.command.cwd.clone().unwrap_or_else(|| ".".into());
        let cwd = open(&folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| LaunchError::Folder { folder, errno: errno.into() })?;
        let cwd = place(cwd.as_fd())?;
        let image = match &self.command.program {
            Program::Image { image, .. } => Some(place(image.as_fd())?),
            Program::Path(_) => None,
        };
        let beneath = if self.policy.without.contains("fs") {
            None
        } else {
            let ruleset = landlock::beneath().map_err(crate::plan::PlanError::from)?;
            Some(place(ruleset.as_fd())?)
        };
        let (status, status_end) = pipe().map_err(&failed)?;
        let status_end = place(status_end.as_fd())?;
        let init =
            init_image().map_err(|errno| LaunchError::from(Failure { step: Step::ExecInit, errno }))?;
        let init = place(init.as_fd())?;
        let mut probes = self.run.plan.probes(own_proc);
        if namespaces && self.shows_isolation() {
            let nothing = || ProbeArg::Number(0);
            let args = [nothing(), nothing(), nothing(), nothing(), nothing(), nothing()];
            // init is 1.
            let expect = Expect { result: 2, memory: None };
            probes.push(Probe::new(Syscall::of(Sysno::getpid), args, Some(expect)));
        }
        let start = Start {
            namespaces,
            ipc_namespace: namespaces && self.may_use_ipc(),
            own_proc,
            core_limit: (!self.policy.without.contains("guard")).then_some(CORE_LIMIT),
            preparation: self.run.plan.preparation(),
            new_session: self.stdio == Stdio::Captured,
            fds,
            cwd,
            beneath,
            reset_signals: thread::ignored_signals(),
            filter: self.run.plan.filter(),
            probes,
            programs: texts.programs,
            image,
            args: texts.args,
            env: texts.env,
            status: status_end,
            init,
        };
        Ok(Prepared { start, descriptors, stdout, stderr, feed, status: status.into() })
    }

    /// Keeps the run until nobody is left.
    fn finish(
        self,
        mut started: Started,
        namespaces: bool,
        isolation: ControlState,
        since: Instant,
    ) -> Result<Outcome, RunError> {
        let limit = self.policy.limits.timeout;
        let mut status = None;
        let mut stopped = None;
        let mut seen = None;
        let mut status_open = true;
        while status_open {
            let left = limit.map(|limit| limit.saturating_sub(since.elapsed()));
            if let (Some(limit), Some(left)) = (limit, left)
                && left.is_zero()
                && stopped.is_none()
            {
                stopped = Some(End::TimedOut(limit));
                seen = doing(started.root);
                kill(&self.run, &started, namespaces);
            }
            let left = left.filter(|_| stopped.is_none());
            let look = started.turns.as_mut().map(|turns| {
                turns.look();
                turns.left()
            });
            let time = left.into_iter().chain(look).min().and_then(|time| Timespec::try_from(time).ok());
            let given_up = self.remote.as_ref().filter(|_| stopped.is_none()).map(Remote::given_up);
            let cancelled = self.cancel.as_ref().filter(|_| stopped.is_none()).map(AsFd::as_fd);
            let others = [Some(started.status.as_fd()), cancelled, given_up];
            let readable = pump(
                &mut [&mut started.stdout, &mut started.stderr],
                &mut started.feed,
                &others,
                time.as_ref(),
            );
            if readable[0] {
                let mut bytes = [0; 4];
                match started.status.read(&mut bytes) {
                    Ok(4) => status = Some(i32::from_le_bytes(bytes)),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    // init is gone.
                    _ => {}
                }
                status_open = false;
            }
            if (started.stdout.overflows || started.stderr.overflows) && stopped.is_none() {
                stopped = Some(End::Cancelled);
                kill(&self.run, &started, namespaces);
            }
            if (readable[1] || readable[2]) && stopped.is_none() {
                stopped = Some(End::Cancelled);
                kill(&self.run, &started, namespaces);
            }
        }
        let took = since.elapsed();
        // The command is gone. Nobody else of the tree may stay.
        kill(&self.run, &started, namespaces);
        let gone = || waitid(WaitId::PidFd(started.init.as_fd()), WaitIdOptions::EXITED);
        // This may be the caller's own thread, which signals reach.
        while gone().is_err_and(|errno| errno == rustix::io::Errno::INTR) {}
        // No guest is left to write, so this finds the rest and the end of each pipe.
        pump(
            &mut [&mut started.stdout, &mut started.stderr],
            &mut started.feed,
            &[],
            Some(&Timespec::default()),
        );
        let followed = started.tracker.is_some();
        let worker = started.worker.join();
        // It still has to say how the last guests ended; there is nobody left to follow.
        let tracker = started.tracker.map_or(Ok(()), JoinHandle::join);
        self.run.end();
        pump(
            &mut [&mut started.stdout, &mut started.stderr],
            &mut started.feed,
            &[],
            Some(&Timespec::default()),
        );

        self.run.wait_called();
        let events_lost = self.run.close_trace();
        if tracker.is_err() {
            return Err(RunError::Supervisor {
                doing: "following the guests (it panicked)",
                errno: Errno::EIO,
            });
        }
        if worker.is_err() {
            return Err(RunError::Supervisor { doing: "answering a call (it panicked)", errno: Errno::EIO });
        }
        if started.stdout.overflows || started.stderr.overflows {
            return Err(RunError::Output { limit: MOST });
        }
        match self.run.take_failure() {
            Some(RunError::Launch(error)) => return Err(self.named(error).into()),
            Some(error) => return Err(error),
            None => {}
        }
        let end = match (stopped, status) {
            (Some(end), _) => end,
            (None, Some(status)) => End::Exit(Exit::from_wait_status(status)),
            // init was killed, and with it everybody.
            (None, None) => End::Exit(Exit::Signal(libc::SIGKILL)),
        };
        let why = match end {
            End::Exit(Exit::Signal(signal)) => self.run.why_killed_by(signal, followed),
            End::Exit(Exit::Code(_)) => None,
            End::TimedOut(_) | End::Cancelled => seen.map(Why::Doing),
        };
        let mut controls = self.run.plan.controls();
        for (name, why) in started.lacking {
            if let Some(control) = controls.iter_mut().find(|control| control.name == name) {
                control.state = ControlState::Unavailable(why);
            }
        }
        let schedule = controls.iter_mut().find(|control| control.name == SCHEDULE);
        if let (Some(control), Some(turns)) = (schedule, &started.turns) {
            control.seen.extend(turns.told());
        }
        controls.push(Control::new(ISOLATION, isolation));
        let state = limit.map_or(ControlState::NotAsked, |limit| ControlState::InForce(format!("{limit:?}")));
        controls.push(Control::new(TIMEOUT, state));
        let report = crate::outcome::Report { controls, events_lost };
        let (stdout, stderr) = (started.stdout.bytes, started.stderr.bytes);
        let peak = self.run.peak().map(|peak| peak.measured());
        Ok(Outcome { end, why, stdout, stderr, report, took, peak })
    }
}

/// Kills the whole tree.
fn kill(run: &Run, started: &Started, namespaces: bool) {
    run.kills();
    if !namespaces {
        tree::kill_descendants(started.init_pid);
    }
    let _ = pidfd_send_signal(&started.init, Signal::KILL);
}

/// Why an attempt to start failed.
enum Refused {
    /// There was none yet.
    NotTried,
    Failed(Failure),
    Error(RunError),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<RunError> for Refused {
    fn from(error: RunError) -> Self {
        Self::Error(error)
    }
}
