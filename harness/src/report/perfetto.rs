//! Verdict logs in the trace event format, which <https://ui.perfetto.dev> and `chrome://tracing` show.
//!
//! A scenario is a process there, a guest a track, and a verdict a slice. A verdict is a moment: that its slice is a
//! microsecond long only makes it visible.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use assize_core::trace::{Args, Body, Event, Place};
use serde::Serialize;

use super::{Run, Tested};

#[derive(Debug, Serialize)]
struct Slice<'a> {
    name: &'a str,
    cat: &'static str,
    ph: &'static str,
    /// Microseconds.
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    pid: usize,
    tid: u64,
    args: Said<'a>,
}

#[derive(Debug, Default, Serialize)]
struct Said<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a Args>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<i64>,
}

/// Which guest an event is of. Where guests were not followed, a thread is all that is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Guest {
    Run,
    Place(Place),
    Thread(u32),
}

/// Writes a run's verdict logs.
///
/// # Errors
/// What writing gives.
pub fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
    let mut first = true;
    let mut tracks = 0;
    let mut put = |slice: &Slice<'_>| -> io::Result<()> {
        out.write_all(if first { b"\n" } else { b",\n" })?;
        first = false;
        Ok(serde_json::to_writer(&mut *out, slice)?)
    };
    for (nth, tested) in run.tested.iter().enumerate() {
        scenario(nth + 1, tested, &mut tracks, &mut put)?;
    }
    out.write_all(b"\n]}\n")
}

/// A guest's line in the picture.
#[derive(Debug, Clone, Copy)]
struct Track {
    /// Where its scenario begins, in microseconds.
    base: f64,
    pid: usize,
    tid: u64,
}

impl Track {
    /// A slice, or a moment where it has no end.
    fn slice<'a>(
        self,
        name: &'a str,
        cat: &'static str,
        from: f64,
        to: Option<f64>,
        args: Said<'a>,
    ) -> Slice<'a> {
        Slice {
            name,
            cat,
            ph: if to.is_some() { "X" } else { "i" },
            ts: self.base + from,
            dur: to.map(|to| (to - from).max(0.0)),
            s: to.is_none().then_some("t"),
            pid: self.pid,
            tid: self.tid,
            args,
        }
    }
}

type Put<'a> = dyn FnMut(&Slice<'_>) -> io::Result<()> + 'a;

fn scenario(pid: usize, tested: &Tested, tracks: &mut u64, put: &mut Put<'_>) -> io::Result<()> {
    let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
    let base = micros(tested.after);
    let named = |what, tid, name: String| Slice {
        name: what,
        cat: "__metadata",
        ph: "M",
        ts: 0.0,
        dur: None,
        s: None,
        pid,
        tid,
        args: Said { name: Some(name), ..Said::default() },
    };
    // Of each guest in the order in which they are first seen: its track, and its events.
    let mut guests: BTreeMap<Guest, Vec<&Event>> = BTreeMap::new();
    for event in &tested.seen.log.events {
        guests.entry(guest(event)).or_default().push(event);
    }
    guests.entry(Guest::Run).or_default();
    put(&named("process_name", *tracks + 1, tested.name.clone()))?;
    for (guest, events) in &guests {
        *tracks += 1;
        let tid = *tracks;
        let title = match guest {
            Guest::Run => "scenario".to_owned(),
            Guest::Place(place) => format!("guest {place}"),
            Guest::Thread(thread) => format!("thread {thread}"),
        };
        put(&named("thread_name", tid, title))?;
        let track = Track { base, pid, tid };
        let whole = micros(tested.took);
        if *guest == Guest::Run {
            put(&track.slice(tested.outcome.word(), "scenario", 0.0, Some(whole), Said::default()))?;
            if tested.seen.log.left_out > 0 {
                let name = format!("{} more events are not shown", tested.seen.log.left_out);
                put(&track.slice(&name, "note", whole, None, Said::default()))?;
            }
        }
        // What the guest ran, from one exec to the next.
        let mut ran: Option<(String, f64)> = None;
        let end = events.last().map_or(0.0, |event| micros(event.at));
        for (nth, event) in events.iter().enumerate() {
            let at = micros(event.at);
            let next = events.get(nth + 1).map_or(at + 1.0, |next| micros(next.at));
            let seq = Some(event.seq);
            match &event.body {
                Body::Verdict(verdict) => {
                    let args = Said {
                        seq,
                        verdict: Some(verdict.action.to_string()),
                        by: Some(verdict.by.to_string()),
                        args: Some(&verdict.args),
                        target: verdict.target.as_ref().map(ToString::to_string),
                        result: verdict.result,
                        name: None,
                    };
                    let (name, cat) = (verdict.call.to_string(), verdict.action.word());
                    put(&track.slice(&name, cat, at, Some(next.min(at + 1.0)), args))?;
                }
                Body::Start { .. } => ran = Some(("started".to_owned(), at)),
                Body::Exec { exe, .. } => {
                    if let Some((name, from)) = ran.replace((exe.to_string(), at)) {
                        put(&track.slice(&name, "guest", from, Some(at), Said::default()))?;
                    }
                }
                Body::Exit { how, .. } => {
                    if let Some((name, from)) = ran.take() {
                        put(&track.slice(&name, "guest", from, Some(at), Said::default()))?;
                    }
                    let name = how.map_or_else(|| "ended".to_owned(), |how| how.to_string());
                    put(&track.slice(&name, "guest", at, None, Said { seq, ..Said::default() }))?;
                }
                Body::Note { text } => {
                    put(&track.slice(text, "note", at, None, Said { seq, ..Said::default() }))?
                }
                Body::Dropped { count } => {
                    let name = format!("{count} events were lost");
                    put(&track.slice(&name, "note", at, None, Said { seq, ..Said::default() }))?;
                }
            }
        }
        if let Some((name, from)) = ran {
            put(&track.slice(&name, "guest", from, Some(end), Said::default()))?;
        }
    }
    Ok(())
}

fn guest(event: &Event) -> Guest {
    match &event.body {
        Body::Verdict(verdict) => verdict.place.clone().map_or(Guest::Thread(verdict.pid), Guest::Place),
        Body::Start { place, .. } | Body::Exec { place, .. } | Body::Exit { place, .. } => {
            Guest::Place(place.clone())
        }
        Body::Dropped { .. } | Body::Note { .. } => Guest::Run,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::sample;

    #[test]
    fn a_guest_is_a_track_and_a_verdict_a_slice() {
        let mut text = Vec::new();
        write(&sample::run(), &mut text).unwrap();
        let trace: Value = serde_json::from_slice(&text).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let of = |ph: &str, name: &str| {
            events.iter().filter(|event| event["ph"] == ph && event["name"] == name).collect::<Vec<_>>()
        };
        // A process for each scenario, a track for each, and one for the one guest.
        assert_eq!((of("M", "process_name").len(), of("M", "thread_name").len()), (6, 7));
        let opens = of("X", "openat");
        assert_eq!(opens.len(), 2);
        // The scenario began 250 ms after the run, and the event is 3 ms later.
        assert_eq!((&opens[0]["ts"], &opens[0]["dur"]), (&253_000.0.into(), &1.0.into()));
        assert_eq!((&opens[0]["args"]["verdict"], &opens[0]["cat"]), (&"deny EACCES".into(), &"deny".into()));
        let guest = of("X", "started")[0];
        assert_eq!((&guest["tid"], &guest["pid"]), (&opens[0]["tid"], &1.into()));
        let whole = of("X", "failed")[0];
        assert_eq!((&whole["ts"], &whole["dur"]), (&250_000.0.into(), &1_500_000.0.into()));
        // Slices of a track lie in each other or beside each other.
        let tids: std::collections::BTreeSet<u64> =
            events.iter().filter_map(|event| event["tid"].as_u64()).collect();
        assert_eq!(tids.len(), 7);
        for tid in tids {
            let spans: Vec<(f64, f64)> = events
                .iter()
                .filter(|event| event["ph"] == "X" && event["tid"] == tid)
                .map(|event| (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap()))
                .map(|(from, long)| (from, from + long))
                .collect();
            for (from, to) in &spans {
                assert!(
                    spans.iter().all(|(a, b)| b <= from
                        || to <= a
                        || (a <= from && to <= b)
                        || (from <= a && b <= to))
                );
            }
        }
    }
}
