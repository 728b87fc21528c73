//! What becomes of a test run that is asked to end, by Ctrl-C or a service manager: its runs are given up, nobody and
//! nothing of theirs stays, what is known is shown, and then the signal has its effect. A second signal has it at once.
#![forbid(unsafe_code)]

use std::sync::{Condvar, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use assize_core::{Remote, ending};

use crate::runner::{group, scratch};

/// The runs of this process.
static RUNS: Runs = Runs { state: Mutex::new(State { live: 0, ending: false }), changed: Condvar::new() };

/// How long may be read what is shown: a pager that is not scrolled must not keep the process from its end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Signals that come within so short a time are one: `timeout` sends its own to the process, and then to its group.
const ONCE: Duration = Duration::from_millis(200);

/// How long reports may be written.
const MOST: Duration = Duration::from_secs(60);

/// Writes down what is known, and then shows it.
type Hook = Box<dyn FnOnce(i32) -> Show + Send>;
/// Shows what is known.
pub(crate) type Show = Box<dyn FnOnce()>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Has `hook` called before the signal, which it is told, has its effect; and then what it gives, as long as somebody reads.
pub(crate) fn at_end(hook: impl FnOnce(i32) -> Show + Send + 'static) {
    *HOOK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
}

/// Has it called no more: everything is known, and shown. Waits while it is called; then the process ends.
pub(crate) fn no_more() {
    *HOOK.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

struct Runs {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    live: usize,
    ending: bool,
}

/// By which the runs are given up. `None`: the process has no descriptor left for it.
pub(crate) fn remote() -> Option<&'static Remote> {
    static REMOTE: OnceLock<Option<Remote>> = OnceLock::new();
    REMOTE.get_or_init(|| Remote::new().ok()).as_ref()
}

/// Takes the signals that ask this process to end. To be called before any other thread is started.
pub(crate) fn watch() {
    let endings = ending::block();
    let watched = std::thread::Builder::new().name("assize-signals".to_owned()).spawn(move || {
        let first = endings.wait();
        let began = Instant::now();
        RUNS.state.lock().unwrap_or_else(PoisonError::into_inner).ending = true;
        if let Some(remote) = remote() {
            remote.cancel();
        }
        let tidied = std::thread::Builder::new().spawn(move || {
            RUNS.wait_until_none_lives();
            scratch::let_go();
            show(first.signal);
            ending::end_by(first.signal)
        });
        if tidied.is_ok() {
            // Who asks twice doesn't want to wait.
            loop {
                let _ = endings.wait();
                if began.elapsed() > ONCE {
                    break;
                }
            }
        }
        let _none_begins = group::kill_all();
        ending::end_by(first.signal)
    });
    if let Err(error) = watched {
        eprintln!("warning: signals are not heard, since no thread could be started: {error}");
    }
}

/// Has what is known written down, and shown as far as somebody reads it.
fn show(signal: i32) {
    let (sender, shown) = mpsc::channel::<()>();
    let shows = std::thread::Builder::new().spawn(move || {
        let mut hook = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
        let shows = hook.take().map(|hook| hook(signal));
        let _ = sender.send(());
        if let Some(show) = shows {
            show();
        }
        drop(sender);
        // Whoever wants to say that nothing more is to be shown waits for the end of the process.
        loop {
            std::thread::park();
        }
    });
    if shows.is_ok() && shown.recv_timeout(MOST).is_ok() {
        let _ = shown.recv_timeout(PATIENCE);
    }
}

impl Runs {
    fn wait_until_none_lives(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.live > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Does `work`, which the end of the process waits for. Where the process is to end, it does not come back: what came
/// of a run that was given up is nobody's business.
pub(crate) fn living<T>(work: impl FnOnce() -> T) -> T {
    let came = {
        let _live = Live::enter();
        work()
    };
    if is_ending() {
        loop {
            std::thread::park();
        }
    }
    came
}

/// Whether the process is to end.
pub(crate) fn is_ending() -> bool {
    RUNS.state.lock().unwrap_or_else(PoisonError::into_inner).ending
}

struct Live;

impl Live {
    fn enter() -> Self {
        RUNS.state.lock().unwrap_or_else(PoisonError::into_inner).live += 1;
        Self
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        RUNS.state.lock().unwrap_or_else(PoisonError::into_inner).live -= 1;
        RUNS.changed.notify_all();
    }
}
