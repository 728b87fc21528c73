//! Steps outside of the sandbox at work: as the harness itself would do them, with its rights, its environment and `WORK`.
//!
//! None runs that whoever runs the tests has not allowed: that is asked before anything else of a run is done.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{PidfdFlags, pidfd_open};

use super::group::Group;
use super::{Engine, RunnerError};
use crate::interrupt;
use crate::matcher::Finding;
use crate::scenario::Scenario;
use crate::scenario::expect::Signal;
use crate::scenario::outside::OutsideStep;
use crate::scenario::place::YamlPath;
use crate::yes_no::says_yes;

/// How long a step may take that says nothing of it.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Set to `1`, it allows steps outside of the sandbox.
pub(crate) const VARIABLE: &str = "ASSIZE_ALLOW_OUTSIDE";

/// How long it may go unseen that the test run is to end.
const GLANCE: Duration = Duration::from_millis(50);
/// So many lines of a failed step's output are shown.
const SHOWN_LINES: usize = 20;
/// More of what a step writes is not kept.
const KEPT: usize = 16 << 10;
/// So much is read at once.
const PIECE: usize = 64 << 10;
/// How often that is done once the step is over: who stayed behind may write for ever.
const LAST_PIECES: usize = 16;

/// Whether the environment allows steps outside of the sandbox.
pub(crate) fn allowed_by_environment() -> bool {
    says_yes(VARIABLE) == Ok(true)
}

/// Refuses a scenario whose steps nobody has allowed.
pub(super) fn allowed(scenario: &Scenario, engine: &dyn Engine) -> Result<(), RunnerError> {
    if scenario.outside.is_empty() || engine.allows_outside() {
        return Ok(());
    }
    Err(RunnerError::OutsideNotAllowed)
}

/// The steps before the run, until one fails.
pub(super) fn before(scenario: &Scenario, work: &Path) -> Result<(), RunnerError> {
    for (nth, step) in scenario.outside.before.iter().enumerate() {
        if interrupt::is_ending() {
            return Err(RunnerError::Interrupted);
        }
        let came = perform(step, work, &interrupt::is_ending);
        if matches!(came.end, Ok(End::GivenUp)) {
            return Err(RunnerError::Interrupted);
        }
        if let Some(mut finding) = came.finding("before", nth, step, work) {
            finding.notes.push("the command was not run".to_owned());
            return Err(RunnerError::Outside { error: None, findings: vec![finding] });
        }
    }
    Ok(())
}

/// All steps after the run, also where the test run is to end: what is wrong with them.
pub(super) fn after(scenario: &Scenario, work: &Path) -> Vec<Finding> {
    let steps = scenario.outside.after.iter().enumerate();
    steps.filter_map(|(nth, step)| perform(step, work, &|| false).finding("after", nth, step, work)).collect()
}

/// How a step ended.
enum End {
    /// By itself, or killed by somebody else.
    Ended(ExitStatus),
    /// Its time was up.
    Late(Duration),
    /// Nobody wants it any more.
    GivenUp,
}

/// What came of a step.
struct Came {
    end: io::Result<End>,
    wrote: Tail,
}

/// Does a step, until it ends, its time is up, or it is not wanted any more.
fn perform(step: &OutsideStep, work: &Path, unwanted: &dyn Fn() -> bool) -> Came {
    let mut wrote = Tail::default();
    Came { end: ended(step, work, unwanted, &mut wrote), wrote }
}

fn ended(step: &OutsideStep, work: &Path, unwanted: &dyn Fn() -> bool, wrote: &mut Tail) -> io::Result<End> {
    let (mut output, input) = io::pipe()?;
    ioctl_fionbio(&output, true)?;
    let argv = step.argv(work);
    let (program, args) = argv.split_first().ok_or(ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(args).current_dir(work).env("WORK", work);
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    let group = Group::start(&mut command)?;
    // It holds the pipe's other end.
    drop(command);
    let limit = step.timeout.map_or(DEFAULT_TIMEOUT, |limit| limit.0);
    let late = wait(&group, limit, unwanted, &mut output, wrote);
    // Who is left in its group ends before the rest of what they wrote is read.
    let status = group.end()?;
    for _ in 0..LAST_PIECES {
        if !wrote.take(&mut output)? {
            break;
        }
    }
    Ok(late?.unwrap_or(End::Ended(status)))
}

/// Waits until the leader has ended; says why, if it does not wait for that.
fn wait(
    group: &Group,
    limit: Duration,
    unwanted: &dyn Fn() -> bool,
    output: &mut PipeReader,
    wrote: &mut Tail,
) -> io::Result<Option<End>> {
    let since = Instant::now();
    let leader = pidfd_open(group.pid(), PidfdFlags::empty())?;
    let mut open = true;
    loop {
        let left = limit.saturating_sub(since.elapsed());
        if unwanted() {
            return Ok(Some(End::GivenUp));
        }
        if left.is_zero() {
            return Ok(Some(End::Late(limit)));
        }
        let mut files = vec![PollFd::new(&leader, PollFlags::IN)];
        if open {
            files.push(PollFd::new(&*output, PollFlags::IN));
        }
        let pause = left.min(GLANCE);
        let pause = Timespec { tv_sec: 0, tv_nsec: i64::from(pause.subsec_nanos()) };
        match poll(&mut files, Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |nth: usize| files.get(nth).is_some_and(|file| !file.revents().is_empty());
        let (over, readable) = (is_ready(0), is_ready(1));
        drop(files);
        if over {
            return Ok(None);
        }
        if readable {
            open = wrote.take(output)?;
        }
    }
}

impl Came {
    /// What is wrong with it.
    fn finding(&self, list: &str, nth: usize, step: &OutsideStep, work: &Path) -> Option<Finding> {
        let what = match &self.end {
            Ok(End::Ended(status)) if status.success() => return None,
            Ok(End::Ended(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exited with code {code}"),
                (None, Some(signal)) => format!("was killed by {}", Signal(signal)),
                (None, None) => "ended otherwise than by itself".to_owned(),
            },
            Ok(End::Late(limit)) => format!("was not over after {} s, and was killed", limit.as_secs_f64()),
            Ok(End::GivenUp) => "was given up".to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                "names a program that is not there".to_owned()
            }
            Err(error) => format!("could not be run: {error}"),
        };
        Some(Finding {
            title: format!("a step {list} the run {what}"),
            at: YamlPath::from(["outside"]).key(list).index(nth).key(step.key()),
            label: "outside of the sandbox".to_owned(),
            notes: self.wrote.shown(work).into_iter().collect(),
            related: None,
        })
    }
}

/// The last of what a step wrote.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    /// Reads some more, if there is any now. Whether there may be more after that.
    fn take(&mut self, output: &mut PipeReader) -> io::Result<bool> {
        let mut piece = vec![0; PIECE];
        match output.read(&mut piece) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.bytes.extend(piece.iter().take(count));
                if self.bytes.len() > KEPT {
                    self.cut = true;
                    self.bytes.drain(..self.bytes.len() - KEPT);
                }
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// It, as a reader wants it; `None`: it wrote nothing.
    fn shown(&self, work: &Path) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = match work.to_str() {
            Some(path) => text.replace(path, "$WORK"),
            None => text.into_owned(),
        };
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let last = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default();
        let what =
            if self.cut || last.len() < lines.len() { "the last lines that it wrote" } else { "it wrote" };
        (!last.is_empty()).then(|| format!("{what}:\n{}", last.join("\n")))
    }
}
