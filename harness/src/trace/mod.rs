//! Verdicts as lines that a person reads while they happen, in the notation of strace.
//!
//! It shows; what is observed, and under which policy, is decided by whoever runs the command.
#![forbid(unsafe_code)]

mod filter;
mod summary;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use assize_core::trace::{Action, Body, Event, Exit, Origin, Place, Sink};
use assize_core::{Errno, Verdict};
pub use filter::{Filter, FilterError, Filters};
pub use summary::Summary;

use crate::scenario::expect::Signal;

/// Writes events as they happen.
pub struct Lines {
    out: Box<dyn Write + Send>,
    filters: Filters,
    /// What `$WORK` of a filter stands for.
    work: PathBuf,
    /// The first guest that was seen; alone, it needs no number before its calls.
    first: Option<u32>,
    several: bool,
    /// Counts, instead of lines.
    summary: Option<Summary>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("filters", &self.filters).finish_non_exhaustive()
    }
}

impl Lines {
    /// Writes to `out` what passes the filters.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, filters: Filters, work: PathBuf) -> Self {
        Self { out, filters, work, first: None, several: false, summary: None }
    }

    /// Writes nothing but, at the end, this summary.
    #[must_use]
    pub fn only(self, summary: Summary) -> Self {
        Self { summary: Some(summary), ..self }
    }

    fn line(&mut self, pid: u32, text: &dyn fmt::Display) -> io::Result<()> {
        if self.several { writeln!(self.out, "[pid {pid}] {text}") } else { writeln!(self.out, "{text}") }
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        if let Body::Start { pid, .. } | Body::Exec { pid, .. } = &event.body {
            self.several |= *self.first.get_or_insert(*pid) != *pid;
        }
        if let Body::Verdict(verdict) = &event.body {
            self.several |= *self.first.get_or_insert(verdict.pid) != verdict.pid;
            if !self.filters.pass(verdict, &self.work) {
                return Ok(());
            }
            if let Some(summary) = &mut self.summary {
                summary.count(verdict, event.took);
                return Ok(());
            }
            return self.line(verdict.pid, &Call(verdict));
        }
        // What was lost and what went wrong is told in any case.
        match &event.body {
            Body::Dropped { count } => return writeln!(self.out, "+++ {count} events were lost +++"),
            Body::Note { text } => return writeln!(self.out, "+++ {text} +++"),
            _ => {}
        }
        // Whoever asked for some calls, or for numbers, did not ask what guests there are.
        if self.summary.is_some() || !self.filters.is_empty() {
            return Ok(());
        }
        match &event.body {
            Body::Start { place, .. } if *place == Place::root() => Ok(()),
            Body::Start { pid, place } => self.line(*pid, &format_args!("+++ started, as {place} +++")),
            Body::Exec { pid, exe, .. } => self.line(*pid, &format_args!("+++ executed {exe} +++")),
            Body::Exit { pid, how, .. } => match how {
                Some(Exit::Code(code)) => self.line(*pid, &format_args!("+++ exited with {code} +++")),
                Some(Exit::Signal(signal)) => {
                    self.line(*pid, &format_args!("+++ killed by {} +++", Signal(*signal)))
                }
                None => self.line(*pid, &"+++ exited +++"),
            },
            _ => Ok(()),
        }
    }
}

impl Sink for Lines {
    fn take(&mut self, event: &Event) -> bool {
        self.write(event).is_ok()
    }

    fn close(&mut self) -> bool {
        let written = match &self.summary {
            Some(summary) => write!(self.out, "{summary}"),
            None => Ok(()),
        };
        written.and_then(|()| self.out.flush()).is_ok()
    }
}

/// A call as strace writes it, and who answered.
struct Call<'a>(&'a Verdict);

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.0;
        write!(f, "{}({}) = ", verdict.call, verdict.args)?;
        match verdict.result {
            Some(value @ -4095..=-1) => {
                let number = -(value as i32);
                let text = io::Error::from_raw_os_error(number).to_string();
                let says = text.split(" (os error").next().unwrap_or_default();
                write!(f, "-1 {} ({says})", Errno::new(number))?;
            }
            Some(value) => write!(f, "{value}")?,
            None => f.write_str("?")?,
        }
        f.write_str("   ")?;
        // What ran is the ordinary case, and needs no word.
        if verdict.action != Action::Allow {
            write!(f, "{} ", verdict.action.word())?;
        }
        match &verdict.by {
            Origin::Rule { capability, .. } => write!(f, "by {capability}"),
            other => write!(f, "by {other}"),
        }
    }
}

#[cfg(test)]
mod tests;
