//! One run of a command that is being recorded, in a copy of its folder.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use assize_core::outcome::End;
use assize_core::policy::{Clock, ClockMode, Isolation, Observe, Order, Timestamp};
use assize_core::trace::Memory;
use assize_core::{Command, Stdin};

use super::aside::Aside;
use super::draft::Ran;
use super::seen::{self, Facts};
use super::tree::{self, Age, Entry, Tree};
use super::vary::Written;
use super::{Options, RecordError, relocated};
use crate::runner::scratch::Scratch;
use crate::runner::{Engine, Handlers, Kernel};
use crate::scenario::policy::PolicySpec;
use crate::scenario::template::Template;

/// In what a run differs from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In nothing.
    Plain,
    /// It has no namespaces, so that numbers of processes are the host's; who writes first is held up; files are as old as
    /// those that they are copies of; and folders are listed in order.
    Bare {
        /// How long the one before took: so much slower may be whoever it is to let pass.
        before: Duration,
    },
    /// It has another clock and another host name, folders are listed the other way round, and what a file system counts
    /// and dates is another's.
    Elsewhere { clock: Timestamp },
}

impl Way {
    /// As the user is told.
    pub(super) fn says(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bare { .. } => ", without namespaces and in another order",
            Self::Elsewhere { .. } => ", with another clock and host name, and another order in folders",
        }
    }

    /// What the command can't do without where it ends otherwise.
    pub(super) fn names(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bare { .. } => Some(
                "a run without namespaces, in which who writes first is held up, and files are as old as yours",
            ),
            Self::Elsewhere { .. } => Some("another time, another host name or another file system"),
        }
    }
}

/// What came of it.
pub(super) struct Take {
    pub(super) way: Way,
    /// Which of the runs.
    pub(super) nth: u32,
    /// What its work folder lay in.
    pub(super) among: PathBuf,
    pub(super) began: SystemTime,
    pub(super) took: Duration,
    pub(super) end: End,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) after: Tree,
    pub(super) facts: Facts,
}

impl Take {
    /// A text in which what its work folder lay in is called as in no other run: another user's is called otherwise.
    pub(super) fn moved(&self, text: &str) -> String {
        self.among
            .to_str()
            .map_or_else(|| text.to_owned(), |among| text.replace(among, &format!("/run-{}", self.nth)))
    }

    /// A text that it wrote.
    pub(super) fn written<'a>(&'a self, text: &'a str) -> Written<'a> {
        Written { text, pids: matches!(self.way, Way::Bare { .. }).then_some(&self.facts.pids) }
    }
}

pub(super) fn take(
    options: &Options,
    ran: &Ran,
    before: &Tree,
    nth: u32,
    way: Way,
) -> Result<Take, RecordError> {
    if crate::interrupt::is_ending() {
        return Err(RecordError::Interrupted);
    }
    let work = Scratch::make(&format!("record {nth}")).map_err(RecordError::Scratch)?;
    // The folder above shows how many there are, to whoever lists it.
    let beside = || Scratch::make("record beside").map_err(RecordError::Scratch);
    let _beside = if matches!(way, Way::Elsewhere { .. }) { Some((beside()?, beside()?)) } else { None };
    let age = match way {
        Way::Plain => Age::New,
        Way::Bare { .. } => Age::Original,
        Way::Elsewhere { clock } => Age::Of(clock),
    };
    before.write(work.path(), &options.folder, age)?;
    let mut policy = PolicySpec::default().compile(work.path());
    policy.fs.read = vec!["/".into()];
    policy.fs.write.extend(options.write.iter().cloned());
    policy.limits.timeout = Some(options.timeout);
    for (name, value) in &env(options) {
        policy.env.insert(name.into(), Template(value.clone()).expand(work.path()));
    }
    policy.observe = Observe {
        calls: seen::observed().collect(),
        denials: true,
        processes: true,
        in_passing: false,
        readings: false,
        peak: false,
    };
    let mut handlers: Handlers = Vec::new();
    match way {
        Way::Plain => {}
        Way::Bare { before } => {
            policy.isolation = Isolation::Off;
            policy.directories = Some(Order::Sorted);
            handlers = super::order::held_up(before);
        }
        Way::Elsewhere { clock: start } => {
            policy.clock = Some(Clock { start, mode: ClockMode::Offset });
            policy.hostname = Some("another-host".to_owned());
            policy.directories = Some(Order::Reversed);
            policy.metadata = true;
        }
    }
    let argv = ran.argv(work.path());
    let Some((program, args)) = argv.split_first() else {
        return Err(RecordError::NotText(OsString::new()));
    };
    let stdin = options.stdin.as_ref().map_or(Stdin::Null, |text| Stdin::Bytes(text.clone().into_bytes()));
    let command = Command::new(program).args(args).cwd(work.path()).stdin(stdin);
    let log = Memory::default();
    let (began, now) = (SystemTime::now(), Instant::now());
    let outcome = Kernel.run(policy, command, handlers, log.clone())?;
    let took = now.elapsed();
    if outcome.end == End::Cancelled {
        return Err(RecordError::Interrupted);
    }
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        work.path().to_str().map_or_else(|| text.to_string(), |work| text.replace(work, "[WORK]"))
    };
    let aside = Aside::of(options);
    let mut after = Tree::read(work.path(), &|path| aside.after(path))?;
    // As the scenario will compare them.
    for entry in after.entries.values_mut() {
        if let Entry::Symlink(target) = entry {
            *target = tree::moved(target, work.path(), &options.folder);
        }
    }
    Ok(Take {
        way,
        nth,
        among: seen::among(work.path()).to_owned(),
        began,
        took,
        end: outcome.end,
        stdout: text(&outcome.stdout),
        stderr: text(&outcome.stderr),
        after,
        facts: Facts::of(&log.drain(), work.path()),
    })
}

/// Its variables as a scenario writes them.
pub(super) fn env(options: &Options) -> BTreeMap<String, String> {
    let template = |value: &String| relocated(&value.replace('$', "$$"), &options.folder);
    options.env.iter().map(|(name, value)| (name.clone(), template(value))).collect()
}
