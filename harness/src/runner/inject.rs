//! Injections at work: they count calls and answer those that are due.
//!
//! A call is counted by every injection that it is like, also where an earlier one of the list answers it. What is
//! injected is judged by nobody here, and nothing that a policy denies reaches this.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use assize_core::handler::{HandlerFuture, content_memfd};
use assize_core::trace::{Arg, Args, BytesText};
use assize_core::{Errno, Handler, HandlerCtx, NotifAction};

use super::Handlers;
use crate::lexical::plain;
use crate::matcher::{self, Injected};
use crate::scenario::Scenario;
use crate::scenario::expect::Range;
use crate::scenario::inject::{Answer, Injection};
use crate::scenario::place::YamlPath;

/// The injections of one run.
pub(super) struct Injections(Arc<Shared>);

struct Shared {
    all: Vec<One>,
    /// The work folder's bytes.
    work: Vec<u8>,
}

/// One injection, and how far it has come.
struct One {
    injection: Injection,
    at: YamlPath,
    /// What verdicts call it.
    name: String,
    /// What its lots are drawn from.
    lots: u64,
    matched: AtomicU64,
    fired: Arc<AtomicU64>,
    failed: Arc<Mutex<Option<String>>>,
}

/// An injection that is not the scenario's own, and what part of the scenario wants it.
#[derive(Debug, Clone)]
pub(super) struct Extra {
    pub(super) injection: Injection,
    pub(super) at: YamlPath,
}

impl Injections {
    /// Those of a scenario, and others.
    pub(super) fn of(scenario: &Scenario, extra: &[Extra], work: &Path) -> Self {
        let inject = YamlPath::from(["inject"]);
        let own = scenario.inject.iter().enumerate().map(|(nth, injection)| (injection, inject.index(nth)));
        let extra = extra.iter().map(|extra| (&extra.injection, extra.at.clone()));
        let seed = scenario.deterministic.as_ref().and_then(|given| given.seed).unwrap_or(0);
        let all = own.chain(extra).zip(0_u64..).map(|((injection, at), nth)| One {
            injection: injection.clone(),
            name: format!("{} ({})", matcher::inject::NAME, scenario.line(&at)),
            at,
            // Each injection has lots of its own.
            lots: seed.wrapping_add(nth.wrapping_mul(0xd134_2543_de82_ef95)),
            matched: AtomicU64::new(0),
            fired: Arc::new(AtomicU64::new(0)),
            failed: Arc::default(),
        });
        Self(Arc::new(Shared { all: all.collect(), work: work.as_os_str().as_bytes().to_vec() }))
    }

    /// A handler for each call of each.
    pub(super) fn handlers(&self) -> Handlers {
        let each = self.0.all.iter().enumerate().flat_map(|(place, one)| {
            one.injection.pattern.call.iter().flat_map(|calls| calls.calls()).map(move |call| (place, *call))
        });
        each.map(|(place, call)| {
            let handler = Answering { shared: Arc::clone(&self.0), place };
            (i64::from(call.number()), Box::new(handler) as Box<dyn Handler>)
        })
        .collect()
    }

    /// What came of them.
    pub(super) fn came(&self) -> Vec<Injected> {
        let each = self.0.all.iter().map(|one| Injected {
            at: one.at.clone(),
            pattern: one.injection.pattern.clone(),
            times: one.injection.times,
            matched: one.matched.load(Ordering::Acquire),
            fired: one.fired.load(Ordering::Acquire),
            failed: one.failed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        });
        each.collect()
    }
}

/// An injection that only counts.
pub(super) fn counting(pattern: crate::scenario::expect::VerdictPattern) -> Injection {
    use crate::scenario::inject::Due;
    // No call has this number.
    let due = Due::nth(0);
    let times = Range { least: 0, most: i64::MAX };
    Injection { pattern, due, answer: Answer::GoOn, delay: None, times }
}

/// Answers the calls of one injection.
struct Answering {
    shared: Arc<Shared>,
    place: usize,
}

impl Handler for Answering {
    fn handle<'a>(&'a self, cx: &'a HandlerCtx) -> HandlerFuture<'a> {
        Box::pin(std::future::ready(self.answer(cx).unwrap_or(NotifAction::Continue)))
    }

    fn name(&self) -> Option<Cow<'static, str>> {
        self.shared.all.get(self.place).map(|one| Cow::Owned(one.name.clone()))
    }
}

impl Answering {
    fn answer(&self, cx: &HandlerCtx) -> Option<NotifAction> {
        let (call, args) = cx.args().ok()?;
        let mut rest = self.shared.all.iter().skip(self.place);
        let own = rest.next()?;
        let has_path = args.paths().next().is_some();
        let asks = own.injection.pattern.path.is_some()
            || rest.clone().any(|later| later.injection.pattern.path.is_some());
        let whole = if has_path && asks { whole_paths(&args, cx.notif.pid) } else { Vec::new() };
        let fits =
            |one: &One| matcher::asks_for(&one.injection.pattern, call, &args, &whole, &self.shared.work);
        if !fits(own) {
            return None;
        }
        let number = own.matched.fetch_add(1, Ordering::AcqRel) + 1;
        if !own.injection.due.holds(number, own.lots) {
            return None;
        }
        // They are not asked about a call that is answered, and it counts for them all the same.
        for later in rest.filter(|later| fits(later)) {
            later.matched.fetch_add(1, Ordering::AcqRel);
        }
        let cloexec = args.0.iter().any(|(_, arg)| {
            matches!(arg, Arg::Flags(_, names) if names.split('|').any(|name| name == "O_CLOEXEC"))
        });
        let answer = own.action(cx, cloexec);
        Some(match own.injection.delay {
            Some(delay) => {
                let failed = Arc::clone(&own.failed);
                NotifAction::after(delay, answer).when_refused(move |errno| {
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.get_or_insert_with(|| {
                        format!("a sandbox delays at most 64 calls at once, and this was one more ({errno})")
                    });
                })
            }
            None => answer,
        })
    }
}

impl One {
    fn action(&self, cx: &HandlerCtx, cloexec: bool) -> NotifAction {
        let fired = || self.fired.fetch_add(1, Ordering::AcqRel);
        match &self.injection.answer {
            // What is told only of an injection that succeeded is counted then.
            Answer::Content(bytes) => match content_memfd(bytes) {
                Ok(srcfd) => {
                    let fired = Arc::clone(&self.fired);
                    let count = move |_: RawFd| {
                        fired.fetch_add(1, Ordering::AcqRel);
                    };
                    let newfd_flags = if cloexec { O_CLOEXEC } else { 0 };
                    NotifAction::InjectFdSendTracked { srcfd, newfd_flags, on_success: Box::new(count) }
                }
                Err(error) => self.fail(&error),
            },
            Answer::ContentAt(bytes, number) => match content_memfd(bytes) {
                Ok(srcfd) => {
                    fired();
                    NotifAction::InjectOwnedFd { srcfd, targetfd: *number }
                }
                Err(error) => self.fail(&error),
            },
            Answer::Kill(signal) => match group_of(cx.notif.pid) {
                Some(pgid) => {
                    fired();
                    NotifAction::Kill { sig: signal.0, pgid }
                }
                // It has ended meanwhile.
                None => NotifAction::Errno(Errno::ESRCH.value()),
            },
            Answer::GoOn => {
                fired();
                NotifAction::Continue
            }
            Answer::Errno(errno) => {
                fired();
                NotifAction::Errno(errno.value())
            }
            Answer::Return(value) => {
                fired();
                NotifAction::ReturnValue(*value)
            }
            Answer::Hold => {
                fired();
                NotifAction::Hold
            }
        }
    }

    fn fail(&self, error: &std::io::Error) -> NotifAction {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert_with(|| error.to_string());
        NotifAction::Errno(Errno::EIO.value())
    }
}

const O_CLOEXEC: u32 = rustix::fs::OFlags::CLOEXEC.bits();

/// The process group of a thread, as the host numbers it.
fn group_of(tid: u32) -> Option<i32> {
    let tid = rustix::process::Pid::from_raw(i32::try_from(tid).ok()?)?;
    rustix::process::getpgid(Some(tid)).ok().map(rustix::process::Pid::as_raw_pid)
}

/// The relative paths of a call as paths from the root: of text, so no link is followed.
fn whole_paths(args: &Args, tid: u32) -> Vec<BytesText> {
    let mut folder: Option<i32> = None;
    let mut whole = Vec::new();
    for (name, arg) in &args.0 {
        match arg {
            Arg::Fd(fd) if name.contains("dirfd") => folder = Some(*fd),
            Arg::Path(path) if !path.as_bytes().starts_with(b"/") => {
                let from = match folder {
                    Some(fd) if fd >= 0 => format!("/proc/{tid}/fd/{fd}"),
                    _ => format!("/proc/{tid}/cwd"),
                };
                if let Ok(from) = fs::read_link(from) {
                    let path = plain(&from.join(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()))));
                    whole.push(BytesText(path.into_os_string().into_vec()));
                }
            }
            _ => {}
        }
    }
    whole
}
