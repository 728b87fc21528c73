//! The last line of a terminal while scenarios run: how many are done, and which run.
//!
//! It is for a person who waits. Where nobody watches a terminal, or asks for plain text, nothing of it is written.
#![forbid(unsafe_code)]

use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::board::Board;

/// How often the time is shown anew.
const TICK: Duration = Duration::from_millis(250);

/// The line, where there is one.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// No line.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// For a run of so many.
    pub(crate) fn of(total: usize) -> Self {
        if !wanted() {
            return Self(None);
        }
        let Ok(style) = ProgressStyle::with_template("{pos}/{len} in {elapsed} {wide_msg}") else {
            return Self(None);
        };
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(u64::try_from(total).ok(), target).with_style(style);
        bar.enable_steady_tick(TICK);
        Self(Some(bar))
    }

    /// Shows what is known now.
    pub(crate) fn show(&self, board: &Board) {
        let Some(bar) = &self.0 else { return };
        bar.set_position(u64::try_from(board.done()).unwrap_or(u64::MAX));
        let mut text = match board.counts.failed.len() {
            0 => String::new(),
            failed => format!("{failed} failed; "),
        };
        let running: Vec<_> = board.running().collect();
        if !running.is_empty() {
            text.push_str(&format!("running {}", running.join(", ")));
        }
        bar.set_message(text);
    }

    /// Writes something above the line.
    pub(crate) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Removes the line.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn wanted() -> bool {
    let said = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && io::stderr().is_terminal() && !said("NO_COLOR") && !said("CI") && !dumb
}
