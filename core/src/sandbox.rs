//! A command under a policy: the thin front door.
#![forbid(unsafe_code)]

use std::future::Future;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};

use crate::handler::Handler;
use crate::launch::{Keeper, Stdio};
use crate::plan::Plan;
use crate::policy::Schedule;
use crate::remote::Remote;
use crate::supervisor::Run;
use crate::supervisor::recorder::Recorder;
use crate::sys::thread;
use crate::trace::Sink;
use crate::{Command, Errno, HandlerError, Outcome, Policy, Stdin, Syscall, SyscallError};

/// A command under a policy, ready to run.
pub struct Sandbox {
    policy: Policy,
    command: Command,
    sinks: Vec<Box<dyn Sink>>,
    remote: Option<Remote>,
}

/// Why a run did not take place, or cannot be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The policy can't be carried out.
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
    /// A handler can't be attached.
    #[error(transparent)]
    Handler(#[from] HandlerError),
    /// The command couldn't be started.
    #[error(transparent)]
    Launch(#[from] crate::launch::LaunchError),
    /// A control that was asked for is not in force: a probe inside the sandbox got through.
    #[error("the control `{control}` is not in force: {saw}")]
    NotInForce {
        /// The control.
        control: String,
        /// What the probe saw.
        saw: String,
    },
    /// A control that the policy requires can't be had on this host; nothing was run.
    #[error("the control `{control}` is required, and this host can't give it: {why}")]
    Unavailable {
        /// The control.
        control: String,
        /// Why.
        why: String,
    },
    /// A guest wrote more than is captured; the guests were killed.
    #[error("more than {limit} bytes were written to stdout or stderr, which are captured")]
    Output {
        /// How much is captured of each.
        limit: usize,
    },
    /// The supervisor itself failed; the guests were killed.
    #[error("the supervisor failed while {doing}: {errno}")]
    Supervisor {
        /// What it was doing.
        doing: &'static str,
        /// Why.
        errno: Errno,
    },
}

impl Sandbox {
    /// This command under this policy.
    #[must_use]
    pub fn new(policy: Policy, command: Command) -> Self {
        Self { policy, command, sinks: Vec::new(), remote: None }
    }

    /// Sends every event to `sink` too.
    #[must_use]
    pub fn trace(mut self, sink: impl Sink + 'static) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// Lets the run be given up, and signals be passed on to its command, by `remote`.
    #[must_use]
    pub fn remote(mut self, remote: &Remote) -> Self {
        self.remote = Some(remote.clone());
        self
    }

    /// Runs it and captures what it writes.
    ///
    /// # Errors
    /// [`RunError`]: it did not run, or not under the policy.
    pub async fn run(self) -> Result<Outcome, RunError> {
        self.run_with_handlers(std::iter::empty::<(i64, Box<dyn Handler>)>()).await
    }

    /// Runs it on the caller's own descriptors 1 and 2, in the caller's session.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_interactive(self) -> Result<Outcome, RunError> {
        self.run_interactive_with_handlers(std::iter::empty::<(i64, Box<dyn Handler>)>()).await
    }

    /// As [`run`](Self::run), with handlers of one's own: each is asked about one call, after every builtin rule has let
    /// it pass; the first answer that is not [`NotifAction::Continue`](crate::NotifAction::Continue) ends it.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`RunError::Handler`], before anything is started.
    pub async fn run_with_handlers<S, H>(
        self,
        handlers: impl IntoIterator<Item = (S, H)>,
    ) -> Result<Outcome, RunError>
    where
        S: TryInto<Syscall, Error = SyscallError>,
        H: Handler,
    {
        self.start(boxed(handlers)?, Stdio::Captured)?.await
    }

    /// As [`run_interactive`](Self::run_interactive), with handlers of one's own.
    ///
    /// # Errors
    /// As [`run_with_handlers`](Self::run_with_handlers).
    pub async fn run_interactive_with_handlers<S, H>(
        self,
        handlers: impl IntoIterator<Item = (S, H)>,
    ) -> Result<Outcome, RunError>
    where
        S: TryInto<Syscall, Error = SyscallError>,
        H: Handler,
    {
        self.start(boxed(handlers)?, Stdio::Inherited)?.await
    }

    /// Runs it and waits, for callers that are not async.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_blocking(self) -> Result<Outcome, RunError> {
        self.wait(Stdio::Captured)
    }

    /// Runs it with handlers and waits, for callers that are not async.
    ///
    /// # Errors
    /// As [`run_with_handlers`](Self::run_with_handlers).
    pub fn run_blocking_with_handlers<S, H>(
        self,
        handlers: impl IntoIterator<Item = (S, H)>,
    ) -> Result<Outcome, RunError>
    where
        S: TryInto<Syscall, Error = SyscallError>,
        H: Handler,
    {
        let handlers = boxed(handlers)?;
        if handlers.is_empty() { self.run_blocking() } else { self.start(handlers, Stdio::Captured)?.wait() }
    }

    /// Runs it on the caller's own descriptors and waits, for callers that are not async.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_interactive_blocking(self) -> Result<Outcome, RunError> {
        self.wait(Stdio::Inherited)
    }

    /// Keeps the run on the calling thread, which waits anyway: a thread less to make and to wake.
    fn wait(self, stdio: Stdio) -> Result<Outcome, RunError> {
        // A pipe that nobody reads must not end the caller by a signal.
        // And a serial run's keeper has a priority, which is not the caller's.
        if matches!(self.command.stdin, Stdin::Bytes(_)) || self.policy.schedule == Schedule::Serial {
            return self.start(Vec::new(), stdio)?.wait();
        }
        let keeper = self.keeper(Vec::new(), stdio, None)?;
        catch_unwind(AssertUnwindSafe(|| keeper.keep())).unwrap_or(Err(LOST))
    }

    fn start(self, handlers: Handlers, stdio: Stdio) -> Result<Running, RunError> {
        let (cancelled, cancel) = std::io::pipe().map_err(failed("making a pipe"))?;
        let keeper = self.keeper(handlers, stdio, Some(cancelled.into()))?;
        let (give, outcome) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("assize-keeper".to_owned())
            .spawn(move || {
                thread::block_signals();
                // Whoever gave the run up doesn't want to know.
                let _ = give.send(keeper.keep());
            })
            .map_err(failed("starting a thread"))?;
        Ok(Running { outcome, _cancel: cancel })
    }

    fn keeper(self, handlers: Handlers, stdio: Stdio, cancel: Option<OwnedFd>) -> Result<Keeper, RunError> {
        let calls: Vec<Syscall> = handlers.iter().map(|(call, _)| *call).collect();
        let plan = Plan::with_handlers(&self.policy, &calls)?;
        let runtime = runtime().map_err(failed("starting the runtime"))?;
        let recorder = (!self.sinks.is_empty()).then(|| Recorder::new(self.sinks));
        let handlers = handlers.into_iter().map(|(_, handler)| handler).collect();
        let run = Arc::new(Run::new(plan, handlers, recorder, runtime));
        Ok(Keeper {
            run,
            policy: self.policy,
            command: self.command,
            stdio,
            cancel,
            remote: self.remote,
            no_own_proc: None,
            drops_sigchld: thread::drops_sigchld(),
        })
    }
}

fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> RunError {
    move |error| RunError::Supervisor { doing, errno: Errno::of(&error) }
}

type Handlers = Vec<(Syscall, Box<dyn Handler>)>;

fn boxed<S, H>(handlers: impl IntoIterator<Item = (S, H)>) -> Result<Handlers, HandlerError>
where
    S: TryInto<Syscall, Error = SyscallError>,
    H: Handler,
{
    handlers
        .into_iter()
        .map(|(call, handler)| Ok((call.try_into()?, Box::new(handler) as Box<dyn Handler>)))
        .collect()
}

/// A run under way. Dropping it kills every guest: the keeper then finds the other end of `_cancel` closed.
struct Running {
    outcome: tokio::sync::oneshot::Receiver<Result<Outcome, RunError>>,
    _cancel: std::io::PipeWriter,
}

const LOST: RunError = RunError::Supervisor { doing: "keeping the run (it panicked)", errno: Errno::EIO };

impl Running {
    /// Waits on the calling thread, which may well be one of a runtime's: then it is that runtime that waits.
    fn wait(mut self) -> Result<Outcome, RunError> {
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut cx = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut cx) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Future for Running {
    type Output = Result<Outcome, RunError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(cx).map(|outcome| outcome.unwrap_or(Err(LOST)))
    }
}

const RUNTIME_THREADS: usize = 2;

/// Whether so many threads can be made at once: tokio panics where its own can't be.
fn threads_can_be_made(count: usize) -> std::io::Result<()> {
    let mut made = Vec::new();
    let mut result = Ok(());
    for _ in 0..count {
        match std::thread::Builder::new().spawn(std::thread::park) {
            Ok(thread) => made.push(thread),
            Err(error) => result = Err(error),
        }
    }
    for thread in made {
        thread.thread().unpark();
        // It has done nothing that could panic.
        let _ = thread.join();
    }
    result
}

/// The runtime that handlers, deferred answers and errands run on: one for all runs, made at the first.
///
/// Its threads are made here, by a thread that is not confined, and never by a worker.
fn runtime() -> std::io::Result<tokio::runtime::Handle> {
    // Under a lock, so that none is made in vain: a runtime must not be dropped where another one runs.
    static RUNTIME: Mutex<Option<tokio::runtime::Runtime>> = Mutex::new(None);
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*runtime {
        return Ok(runtime.handle().clone());
    }
    threads_can_be_made(RUNTIME_THREADS)?;
    let made = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        // Each handler that waits has one: they must not run out for one run because of another's.
        .max_blocking_threads(1 << 14)
        .thread_name("assize-runtime")
        .on_thread_start(thread::block_signals)
        .enable_all()
        .build()?;
    let handle = made.handle().clone();
    *runtime = Some(made);
    Ok(handle)
}
