//! Numbers events and hands them to the sinks.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::trace::{Body, Event, Sink};

/// Takes events from every thread of a run, in one order.
pub(crate) struct Recorder {
    state: Mutex<State>,
    since: Instant,
}

struct State {
    next: u64,
    lost: u64,
    sinks: Vec<(Box<dyn Sink>, u64)>,
}

impl Recorder {
    pub(crate) fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        let sinks = sinks.into_iter().map(|sink| (sink, 0)).collect();
        Self { state: Mutex::new(State { next: 1, lost: 0, sinks }), since: Instant::now() }
    }

    pub(crate) fn record(&self, body: Body) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.since.elapsed();
        let event = Event { seq: state.next, at, body };
        state.next += 1;
        let State { next, lost, sinks } = &mut *state;
        for (sink, behind) in sinks {
            // A loss becomes an event of its own, as soon as the sink takes one again.
            if *behind > 0 {
                let dropped = Event { seq: *next, at, body: Body::Dropped { count: *behind } };
                if sink.take(&dropped) {
                    *next += 1;
                    *behind = 0;
                }
            }
            if !sink.take(&event) {
                *behind += 1;
                *lost += 1;
            }
        }
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.record(Body::Note { text: text.into() });
    }

    /// The run is over. How many events were lost.
    pub(crate) fn close(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (sink, _) in &mut state.sinks {
            sink.close();
        }
        state.lost
    }
}
