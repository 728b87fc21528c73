//! A verdict log as the page's script reads it.
//!
//! Texts stand once each, and rows name them by number: a log says the same few things again and again.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use assize_core::trace::{Body, Event};
use serde::{Serialize, Serializer};

use crate::report::text::readable;

/// A log as the page holds it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Log {
    texts: Vec<String>,
    guests: Vec<Guest>,
    rows: Vec<Row>,
    #[serde(skip)]
    known: HashMap<String, usize>,
    #[serde(skip)]
    places: HashMap<String, usize>,
}

#[derive(Debug, Serialize)]
struct Guest {
    name: String,
    exe: String,
}

/// Written as an array: place in the run, microseconds, guest; then four texts: what it is, what was asked, what was
/// answered, by whom.
#[derive(Debug)]
struct Row {
    seq: u64,
    at: u64,
    guest: usize,
    texts: [usize; 4],
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [word, asked, answered, by] = self.texts;
        (self.seq, self.at, self.guest, word, asked, answered, by).serialize(serializer)
    }
}

impl Log {
    /// Of these events.
    pub(super) fn of(events: &[Event]) -> Self {
        let mut log = Self::default();
        for event in events {
            log.add(event);
        }
        log
    }

    fn add(&mut self, event: &Event) {
        let (guest, texts) = match &event.body {
            Body::Verdict(verdict) => {
                let exe = verdict.exe.as_ref().map(ToString::to_string).unwrap_or_default();
                let name = match &verdict.place {
                    Some(place) => place.to_string(),
                    None => format!("thread {}", verdict.pid),
                };
                let mut asked = format!("{}({})", verdict.call, verdict.args);
                if let Some(target) = &verdict.target
                    && verdict.args.paths().all(|path| path != target)
                {
                    asked.push_str(&format!(" on {target:?}"));
                }
                let answered = match verdict.result {
                    Some(result @ 0..) => format!("{} = {result}", verdict.action.word()),
                    _ => verdict.action.to_string(),
                };
                let word = verdict.action.word().to_owned();
                (self.guest(name, exe), [word, asked, answered, verdict.by.to_string()])
            }
            Body::Start { pid, place } => {
                let guest = self.guest(place.to_string(), String::new());
                (guest, ["start".into(), format!("started as process {pid}"), String::new(), String::new()])
            }
            Body::Exec { place, exe, .. } => {
                let guest = self.guest(place.to_string(), exe.to_string());
                (guest, ["exec".into(), exe.to_string(), String::new(), String::new()])
            }
            Body::Exit { place, how, .. } => {
                let how = how.map_or_else(|| "ended".to_owned(), |how| how.to_string());
                (
                    self.guest(place.to_string(), String::new()),
                    ["exit".into(), how, String::new(), String::new()],
                )
            }
            Body::Dropped { count } => {
                let lost = format!("{count} events were lost");
                (self.guest("run".into(), String::new()), ["note".into(), lost, String::new(), String::new()])
            }
            Body::Note { text } => {
                let texts = ["note".into(), text.clone(), String::new(), String::new()];
                (self.guest("run".into(), String::new()), texts)
            }
        };
        let at = u64::try_from(event.at.as_micros()).unwrap_or(u64::MAX);
        let texts = texts.map(|text| self.text(&text));
        self.rows.push(Row { seq: event.seq, at, guest, texts });
    }

    /// The guest of this name. What it ran last is what it is known by.
    fn guest(&mut self, name: String, exe: String) -> usize {
        let guests = &mut self.guests;
        let place = *self.places.entry(name).or_insert_with_key(|name| {
            guests.push(Guest { name: readable(name), exe: String::new() });
            guests.len() - 1
        });
        if !exe.is_empty()
            && let Some(guest) = guests.get_mut(place)
        {
            guest.exe = readable(&exe);
        }
        place
    }

    fn text(&mut self, text: &str) -> usize {
        if let Some(place) = self.known.get(text) {
            return *place;
        }
        self.texts.push(readable(text));
        self.known.insert(text.to_owned(), self.texts.len() - 1);
        self.texts.len() - 1
    }
}
