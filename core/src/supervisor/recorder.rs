//! Numbers events and hands them to the sinks.
#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};
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
    closed: bool,
    sinks: Vec<Behind>,
}

struct Behind {
    to: Box<dyn Sink>,
    /// How many events before the current one it could not take.
    behind: u64,
}

impl Behind {
    /// Says what was lost right before `next`, in the place of the first that was. Whether nothing is left to say.
    fn own_up(&mut self, next: &Event) -> bool {
        let count = self.behind;
        if count > 0
            && self.to.take(&Event {
                seq: next.seq - count,
                at: next.at,
                took: None,
                body: Body::Dropped { count },
            })
        {
            self.behind = 0;
        }
        self.behind == 0
    }
}

impl Recorder {
    pub(crate) fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        let sinks = sinks.into_iter().map(|to| Behind { to, behind: 0 }).collect();
        let state = State { next: 1, lost: 0, closed: false, sinks };
        Self { state: Mutex::new(state), since: Instant::now() }
    }

    /// Keeps everybody else from recording, so that what happens meanwhile has its place in the trace.
    pub(crate) fn hold(&self) -> Held<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Held { state, since: self.since }
    }

    pub(crate) fn record(&self, body: Body) {
        self.hold().record(body);
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.record(Body::Note { text: text.into() });
    }

    /// The run is over: what comes now comes too late. How many events were lost.
    pub(crate) fn close(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        let end =
            Event { seq: state.next, at: self.since.elapsed(), took: None, body: Body::Dropped { count: 0 } };
        let mut unkept = 0;
        for sink in &mut state.sinks {
            sink.own_up(&end);
            if !sink.to.close() {
                // How many of those that it took are gone, it can't tell.
                unkept += 1;
            }
        }
        state.lost + unkept
    }
}

/// See [`Recorder::hold`].
pub(crate) struct Held<'a> {
    state: MutexGuard<'a, State>,
    since: Instant,
}

impl Held<'_> {
    pub(crate) fn record(self, body: Body) {
        self.record_after(body, None);
    }

    /// As [`record`](Self::record), for what began at this moment.
    pub(crate) fn record_after(mut self, body: Body, began: Option<Instant>) {
        if self.state.closed {
            return;
        }
        let took = began.map(|began| began.elapsed());
        let event = Event { seq: self.state.next, at: self.since.elapsed(), took, body };
        self.state.next += 1;
        let State { lost, sinks, .. } = &mut *self.state;
        for sink in sinks {
            // A loss becomes an event of its own, as soon as the sink takes one again.
            if !(sink.own_up(&event) && sink.to.take(&event)) {
                sink.behind += 1;
                *lost += 1;
            }
        }
    }
}
