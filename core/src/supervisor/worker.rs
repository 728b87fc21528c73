//! The worker: enters the guests' domain, starts the first guest, and serves them all until none is left.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::DupFlags;

use super::answer::{Asked, let_run, pass, settle};
use super::call::Call;
use super::placement::Placement;
use super::run::Init;
use super::{Run, handlers, perform};
use crate::guest::view::View;
use crate::landlock::Ruleset;
use crate::launch::UMASK;
use crate::sys::clone::{Failure, Start, Starting, Step};
use crate::sys::own_proc::View as Seen;
use crate::sys::seccomp::{Listener, Notif, fetch_fd};
use crate::sys::thread;
use crate::{Errno, Syscall, guest};

/// What the worker needs of an unconfined thread while it starts, and what it has to tell.
pub(crate) enum Told {
    /// Write the id maps of this process's user namespace.
    MapIds(u32),
    /// init and the first guest stand ready.
    Ready {
        /// init's pidfd.
        init: OwnedFd,
        /// init, as we number it.
        init_pid: u32,
        /// The first guest, as we number it.
        root: u32,
        /// The worker's own thread.
        worker: u32,
    },
    /// The start failed.
    Failed(Failure),
    /// The policy can't be carried out.
    Refused(Box<crate::RunError>),
}

/// The answer to it.
pub(crate) enum Reply {
    /// Go on.
    Go,
    /// Give up.
    Stop(Failure),
}

/// Everything the worker is given.
pub(crate) struct Work {
    pub(crate) run: Arc<Run>,
    pub(crate) ruleset: Option<Ruleset>,
    pub(crate) start: Start,
    /// The descriptors that `start` names by number.
    pub(crate) descriptors: Vec<OwnedFd>,
    pub(crate) tell: Sender<Told>,
    pub(crate) replies: Receiver<Reply>,
    /// Whether handlers may let pass what must then be performed.
    pub(crate) performer: bool,
    /// Whether the keeper has something to do before the command may go on.
    pub(crate) attended: bool,
}

/// The worker's life.
pub(crate) fn work(mut work: Work) {
    let started = match begin(&mut work) {
        Ok(started) => started,
        Err(failed) => {
            let _ = work.tell.send(match failed {
                Failed::Step(failure) => Told::Failed(failure),
                Failed::Error(error) => Told::Refused(error),
            });
            return;
        }
    };
    let init = started.init();
    serve(&work.run, started);
    work.run.end();
    // init dies with this thread, and it still has to say how the command ended.
    if let Some(init) = init {
        let mut gone = [PollFd::new(&init, PollFlags::IN)];
        while poll(&mut gone, None) == Err(rustix::io::Errno::INTR) {}
    }
}

/// Why a start failed, when the child is not who failed.
fn failure(step: Step) -> impl Fn(Errno) -> Failure {
    move |errno| Failure { step, errno }
}

fn begin(work: &mut Work) -> Result<Starting, Failed> {
    thread::unshare_fs().map_err(failure(Step::Domain))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(UMASK));
    thread::block_signals();
    thread::no_new_privs().map_err(failure(Step::Domain))?;
    let starting = if work.start.own_proc { begin_above(work)? } else { begin_within(work)? };
    let (pidfd, number) = starting.wait_armed()?;
    work.descriptors.clear();
    let listener = fetch_fd(pidfd.as_fd(), number).map_err(failure(Step::Listener))?;
    work.run.set_listener(Listener::new(listener));
    let root = guest::process::info(&pidfd).map_err(failure(Step::Listener))?.pid;
    let init = starting.init().ok_or(Failure { step: Step::Lost, errno: Errno::ECHILD })?;
    work.run.set_init(Init { pid: starting.init_pid, has_namespaces: starting.has_namespaces() });
    if work.performer {
        perform::start_performer(&work.run).map_err(failure(Step::Domain))?;
    }
    // From here on nothing fails.
    let worker = thread::id();
    let ready = Told::Ready { init, init_pid: starting.init_pid, root, worker };
    if work.attended {
        ask(work, ready)?;
    } else {
        work.run.begins(root);
        let gone = Failure { step: Step::Lost, errno: Errno::ECANCELED };
        work.tell.send(ready).map_err(|_| gone)?;
    }
    starting.go();
    Ok(starting)
}

/// Enters the domain, and makes init in it, and init the guest.
fn begin_within(work: &mut Work) -> Result<Starting, Failed> {
    if let Some(ruleset) = work.ruleset.take() {
        ruleset.enter().map_err(failure(Step::Domain))?;
    }
    thread::drop_capabilities().map_err(failure(Step::Capabilities))?;
    let starting = Starting::begin(std::mem::take(&mut work.start))?;
    map_ids(work, &starting)?;
    Ok(starting)
}

/// Makes init above the domain, where it may mount; enters the domain, with what was mounted; and makes the guest there.
fn begin_above(work: &mut Work) -> Result<Starting, Failed> {
    // init's own mounts are a copy of ours, and it stands in them where this thread does in ours.
    let cwd = work.start.cwd;
    let folder = work.descriptors.iter().find(|fd| fd.as_raw_fd() == cwd);
    let folder = folder.ok_or(Failure { step: Step::Folder, errno: Errno::EBADF })?;
    let folder_path = if guest::pinned::is_on_procfs(folder).map_err(failure(Step::Folder))? {
        Some(guest::pinned::path_of(folder).map_err(failure(Step::Folder))?)
    } else {
        None
    };
    rustix::process::fchdir(folder).map_err(|errno| Failure { step: Step::Folder, errno: errno.into() })?;
    let mut starting = Starting::begin(std::mem::take(&mut work.start))?;
    let _ = rustix::process::chdir("/");
    map_ids(work, &starting)?;
    starting.wait_mounted()?;
    let view = view_of(work, &starting).map_err(failure(Step::Mount))?;
    for fd in work.descriptors.iter_mut().filter(|fd| fd.as_raw_fd() != cwd) {
        put_in_view(&view, fd).map_err(failure(Step::Descriptors))?;
    }
    if let Some(path) = folder_path {
        let folder = view.open(path, OFlags::DIRECTORY).map_err(failure(Step::Folder))?;
        starting.replace_folder(folder);
    }
    if let Some(ruleset) = work.ruleset.take() {
        let ruleset = ruleset.grant_later(|path| view.open(path, OFlags::empty()));
        let ruleset = ruleset.map_err(|error| crate::RunError::from(crate::plan::PlanError::from(error)))?;
        ruleset.enter().map_err(failure(Step::Domain))?;
    }
    thread::drop_capabilities().map_err(failure(Step::Capabilities))?;
    starting.join()?;
    guest::view::enter(Arc::new(view));
    Ok(starting)
}

fn map_ids(work: &Work, starting: &Starting) -> Result<(), Failed> {
    if starting.has_namespaces() {
        ask(work, Told::MapIds(starting.init_pid))?;
        starting.ids_are_mapped();
    }
    Ok(())
}

/// A folder that the command inherits lies in our mounts, from where `..` would lead on. Behind the same number it is then the
/// same folder in the guests' mounts.
fn put_in_view(view: &View, fd: &mut OwnedFd) -> Result<(), Errno> {
    let own = rustix::fs::fstat(&*fd)?;
    if FileType::from_raw_mode(own.st_mode) != FileType::Directory {
        return Ok(());
    }
    let there = view.open(guest::pinned::path_of(fd)?, OFlags::DIRECTORY)?;
    // By its name another one may be found, and of a procfs another always is.
    if !guest::pinned::is_on_procfs(&*fd)?
        && guest::identity(&rustix::fs::fstat(&there)?) != guest::identity(&own)
    {
        return Err(Errno::ESTALE);
    }
    let flags = rustix::fs::fcntl_getfl(&*fd)?;
    let there = if flags.contains(OFlags::PATH) {
        there
    } else {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        guest::pinned::by_own_name(&there, |folder, name| {
            rustix::fs::openat(folder, name, flags, Mode::empty())
        })?
    };
    Ok(rustix::io::dup3(&there, fd, DupFlags::CLOEXEC)?)
}

/// What guests will see.
fn view_of(work: &Work, starting: &Starting) -> Result<View, Errno> {
    let seen = |what| {
        starting.view(what).ok_or(Errno::EBADF)?.try_clone_to_owned().map_err(|error| Errno::of(&error))
    };
    let mut view = View::new(seen(Seen::Root)?, seen(Seen::Pids)?, work.ruleset.is_some())?;
    for (path, identity) in work.run.plan.virtual_files() {
        view.add(path, identity);
    }
    Ok(view)
}

/// Why a start failed.
enum Failed {
    Step(Failure),
    Error(Box<crate::RunError>),
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self::Step(failure)
    }
}

impl From<crate::RunError> for Failed {
    fn from(error: crate::RunError) -> Self {
        Self::Error(Box::new(error))
    }
}

fn ask(work: &Work, told: Told) -> Result<(), Failure> {
    let gone = Failure { step: Step::Lost, errno: Errno::ECANCELED };
    work.tell.send(told).map_err(|_| gone)?;
    match work.replies.recv() {
        Ok(Reply::Go) => Ok(()),
        Ok(Reply::Stop(failure)) => Err(failure),
        Err(_) => Err(gone),
    }
}

fn serve(run: &Arc<Run>, starting: Starting) {
    let Ok(listener) = run.listener() else { return };
    let mut starting = Some(starting);
    let mut placement = Placement::new(run);
    loop {
        match placement.receive(listener) {
            Ok(notif) => {
                if starting.as_ref().is_some_and(Starting::has_left) {
                    started(run, starting.take());
                }
                dispatch(run, notif);
            }
            // A guest died, or all did.
            Err(Errno::ENOENT) => {
                if nobody_left(listener) {
                    break;
                }
            }
            Err(Errno::EINTR) => {}
            Err(errno) => {
                run.fail(crate::RunError::Supervisor { doing: "receiving a call", errno });
                break;
            }
        }
    }
    started(run, starting.take());
}

/// The command runs, or could not be executed.
fn started(run: &Arc<Run>, starting: Option<Starting>) {
    let Some(starting) = starting else { return };
    if let Some(failure) = starting.failure() {
        let error = match starting.failed_probe() {
            Some((probe, result)) => run.plan.not_in_force(probe, result, starting.has_own_proc()),
            None => crate::launch::LaunchError::from(failure).into(),
        };
        run.fail(error);
    }
    run.command_runs();
}

fn nobody_left(listener: &Listener) -> bool {
    let mut listener = [PollFd::new(listener, PollFlags::empty())];
    let at_once = Timespec::default();
    match poll(&mut listener, Some(&at_once)) {
        Ok(_) => listener[0].revents().contains(PollFlags::HUP),
        Err(_) => false,
    }
}

fn dispatch(run: &Arc<Run>, notif: Notif) {
    // The filter lets no other number come here.
    let Ok(syscall) = Syscall::checked(i64::from(notif.data.nr)) else {
        let unknown = crate::sys::seccomp::Reply::Value(-i64::from(Errno::ENOSYS.value()));
        if let Ok(listener) = run.listener() {
            let _ = listener.reply(notif.id, unknown);
        }
        return;
    };
    let mut call = Call::new(Arc::clone(run), notif, syscall);
    if let Some((ask, answer)) = run.plan.judge(&mut call) {
        return settle(call, answer, Asked { by: ask.origin(), grounds: ask.grounds });
    }
    let entry = run.plan.entry(syscall);
    let perform = entry.and_then(|entry| entry.perform.clone());
    match entry.map(|entry| &entry.handlers) {
        Some(handlers) if !handlers.is_empty() && !run.is_probing() => {
            handlers::ask(call, Arc::clone(handlers));
        }
        _ => match perform {
            Some(ask) => perform::perform(call, &ask),
            None if entry.is_some_and(|entry| !entry.shown) => pass(&call),
            None => let_run(call),
        },
    }
}
