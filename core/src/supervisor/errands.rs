//! Does for a run's threads, which are confined, what an unconfined one must do: read a file of procfs, mostly.
//!
//! In a serial run by a thread of the run's own, on the guests' processor and with a priority above theirs: who asked waits without
//! letting a guest run, whatever else the machine does. In all others by the threads of the runtime. Never reads a file by a name that
//! a guest gave, and never judges.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{OnceLock, mpsc};

use tokio::runtime::Handle;

use crate::Errno;
use crate::launch::standing;

type Work = Box<dyn FnOnce() + Send>;

/// Who does the errands of one run.
pub(super) struct Errands {
    runtime: Handle,
    servant: OnceLock<mpsc::Sender<Work>>,
}

impl Errands {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, servant: OnceLock::new() }
    }

    /// From now on they are done by a thread that has the caller's processor, which it inherits, and a servant's priority. It
    /// ends with the run.
    pub(super) fn serve(&self) -> std::io::Result<()> {
        let (give, take) = mpsc::channel::<Work>();
        std::thread::Builder::new().name("assize-errands".to_owned()).stack_size(256 << 10).spawn(
            move || {
                standing::serves();
                for work in take {
                    // Who asked learns of a panic by an answer that doesn't come.
                    let _ = catch_unwind(AssertUnwindSafe(work));
                }
            },
        )?;
        let _ = self.servant.set(give);
        Ok(())
    }

    /// Whether they are done by such a thread.
    pub(super) fn are_served(&self) -> bool {
        self.servant.get().is_some()
    }

    /// Has `work`, which is short, done, and waits for it: some 60 µs.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Errno> {
        let (give, take) = mpsc::sync_channel(1);
        let work = move || {
            // The one who asked may have died meanwhile.
            let _ = give.send(work());
        };
        match self.servant.get() {
            Some(servant) => servant.send(Box::new(work)).map_err(|_| Errno::EIO)?,
            None => drop(self.runtime.spawn(async move { work() })),
        }
        take.recv().map_err(|_| Errno::EIO)
    }
}
