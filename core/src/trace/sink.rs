//! Where events go.
#![forbid(unsafe_code)]

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Body, Event, SCHEMA_VERSION};

/// Takes events as they happen, in order. Called on the supervisor's own thread: it must be quick and may not block
/// on a guest.
pub trait Sink: Send {
    /// Takes one event. `false`: it was lost; the loss itself then becomes an event.
    fn take(&mut self, event: &Event) -> bool;

    /// The run is over: nothing more will come. `false`: what was taken could not be kept, such as on a full disk.
    fn close(&mut self) -> bool {
        true
    }
}

/// Keeps events in memory, up to a limit.
#[derive(Debug, Clone)]
pub struct Memory {
    events: Arc<Mutex<Vec<Event>>>,
    limit: usize,
}

impl Memory {
    /// Keeps at most `limit` events.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { events: Arc::default(), limit }
    }

    /// Takes out what has come so far.
    #[must_use]
    pub fn drain(&self) -> Vec<Event> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Memory {
    /// A million events: some hundreds of megabytes.
    fn default() -> Self {
        Self::new(1_000_000)
    }
}

impl Sink for Memory {
    fn take(&mut self, event: &Event) -> bool {
        let mut events = self.lock();
        if events.len() < self.limit {
            events.push(event.clone());
            return true;
        }
        let Body::Dropped { count: more } = event.body else { return false };
        // The one event past the limit says how many were lost.
        match events.last_mut().map(|last| &mut last.body) {
            Some(Body::Dropped { count }) => *count += more,
            _ => events.push(event.clone()),
        }
        true
    }
}

/// Writes one JSON object per event and line, each with the format's version `v`.
#[derive(Debug)]
pub struct JsonLines<W: Write + Send> {
    out: std::io::BufWriter<W>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `out`, through a buffer.
    pub fn new(out: W) -> Self {
        Self { out: std::io::BufWriter::new(out) }
    }
}

#[derive(serde::Serialize)]
struct Line<'a> {
    v: u32,
    seq: u64,
    t: f64,
    event: &'a Body,
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn take(&mut self, event: &Event) -> bool {
        let line = Line { v: SCHEMA_VERSION, seq: event.seq, t: event.at.as_secs_f64(), event: &event.body };
        serde_json::to_writer(&mut self.out, &line).is_ok() && self.out.write_all(b"\n").is_ok()
    }

    fn close(&mut self) -> bool {
        self.out.flush().is_ok()
    }
}
