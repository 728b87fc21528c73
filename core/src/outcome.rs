//! How a run ended, and which controls were in force. Data only.
#![forbid(unsafe_code)]

use std::time::Duration;

use serde::Serialize;

use crate::trace::Exit;

/// How a run ended, and what was in force.
#[derive(Debug)]
pub struct Outcome {
    /// How the command itself ended.
    pub end: End,
    /// What it and its children wrote to descriptor 1, where that was captured.
    pub stdout: Vec<u8>,
    /// And to descriptor 2.
    pub stderr: Vec<u8>,
    /// Which controls were in force.
    pub report: Report,
    /// From the start of the command to its end.
    pub took: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// By itself, or by a signal.
    Exit(Exit),
    /// Killed with all its children when its time was up.
    TimedOut(Duration),
    /// Killed because the caller gave the run up.
    Cancelled,
}

/// Which controls were in force in a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// A line per control.
    pub controls: Vec<Control>,
    /// Events that a sink could not take; at least one if a sink could not keep what it took.
    pub events_lost: u64,
}

/// A control, and whether it was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Control {
    /// What it is called: `fs`, `random`, `isolation`, ...
    pub name: String,
    /// Whether it was.
    pub state: ControlState,
}

/// Whether a control was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlState {
    /// Asked for, and shown by a probe inside the sandbox to be in force: what the probe saw.
    Proven(String),
    /// Asked for and set up; no probe can show it.
    InForce(String),
    /// Not asked for.
    NotAsked,
    /// Left out by `without`.
    LeftOut,
    /// This host cannot give it, and the policy allowed that: why.
    Unavailable(String),
}
