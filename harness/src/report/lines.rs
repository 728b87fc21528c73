//! JSON lines: one event per line, `{"v":1,"event":{...}}`, in a format that `harness/REPORTS.md` describes.
//!
//! The types here are the format. A test compares the page with them.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use serde::Serialize;

use super::{Outcome, Output, Repeated, Run, Tested, standing, time};
use crate::diagnostic::Diagnostic;

/// The version of the format, written with every line. It grows when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct Line<'a> {
    v: u32,
    event: Event<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Event<'a> {
    Run {
        assize: &'static str,
        began: String,
        scenarios: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        shuffled: Option<u64>,
    },
    Scenario {
        name: &'a str,
        file: String,
        line: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        about: Option<&'a str>,
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'a str>,
        after: f64,
        took: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        repeated: Option<Often>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stdout: Option<Written>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stderr: Option<Written>,
        #[serde(skip_serializing_if = "Option::is_none")]
        again: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kept: Option<String>,
    },
    Finding {
        scenario: &'a str,
        title: &'a str,
        file: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<Place<'a>>,
        others: Vec<Place<'a>>,
        notes: &'a [String],
        help: &'a [String],
    },
    Control {
        scenario: &'a str,
        name: &'a str,
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        says: Option<String>,
    },
    Cell {
        scenario: &'a str,
        name: &'a str,
        passed: bool,
    },
    Summary {
        passed: usize,
        failed: usize,
        broken: usize,
        ignored: usize,
        given_up: usize,
        not_run: usize,
        filtered_out: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        interrupted: Option<i32>,
        took: f64,
    },
}

#[derive(Debug, Serialize)]
struct Written {
    text: String,
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
}

#[derive(Debug, Serialize)]
struct Often {
    runs: u32,
    failed: u32,
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    line: usize,
    column: usize,
    says: &'a str,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Written {
    /// What is held of an output, of a scenario that did not pass.
    fn of(output: &Output, tested: &Tested) -> Option<Self> {
        let shown = tested.outcome.is_failure() && !output.bytes.is_empty();
        shown.then(|| Self {
            text: String::from_utf8_lossy(&output.bytes).into_owned(),
            left_out: output.left_out,
        })
    }
}

/// Writes a run as JSON lines.
///
/// # Errors
/// What writing gives.
pub fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let tally = run.tally();
    let mut line = |event| -> io::Result<()> {
        serde_json::to_writer(&mut *out, &Line { v: VERSION, event })?;
        out.write_all(b"\n")
    };
    line(Event::Run {
        assize: env!("CARGO_PKG_VERSION"),
        began: time(run.began),
        scenarios: run.tested.len(),
        shuffled: run.shuffled,
    })?;
    for tested in &run.tested {
        line(scenario(tested))?;
        for diagnostic in &tested.findings {
            line(finding(&tested.name, diagnostic))?;
        }
        for control in &tested.controls.controls {
            let (state, says) = standing(control);
            let says = Some(says).filter(|says| !says.is_empty());
            line(Event::Control { scenario: &tested.name, name: &control.name, state, says })?;
        }
        for cell in &tested.cells {
            line(Event::Cell { scenario: &tested.name, name: &cell.name, passed: cell.passed })?;
        }
    }
    line(Event::Summary {
        passed: tally.passed,
        failed: tally.failed,
        broken: tally.broken,
        ignored: tally.ignored,
        given_up: tally.given_up,
        not_run: tally.not_run,
        filtered_out: run.filtered_out,
        interrupted: run.interrupted,
        took: run.took.as_secs_f64(),
    })
}

fn scenario(tested: &Tested) -> Event<'_> {
    Event::Scenario {
        name: &tested.name,
        file: tested.origin.file.to_string_lossy().into_owned(),
        line: tested.origin.line,
        about: tested.origin.about.as_deref(),
        outcome: tested.outcome.word(),
        why: if let Outcome::Ignored(why) = &tested.outcome { Some(why) } else { None },
        after: tested.after.as_secs_f64(),
        took: tested.took.as_secs_f64(),
        repeated: tested.repeated.map(|Repeated { runs, failed }| Often { runs, failed }),
        stdout: Written::of(&tested.seen.stdout, tested),
        stderr: Written::of(&tested.seen.stderr, tested),
        again: tested.again.as_deref(),
        kept: tested.kept.as_ref().map(|kept| kept.to_string_lossy().into_owned()),
    }
}

fn finding<'a>(scenario: &'a str, diagnostic: &'a Diagnostic) -> Event<'a> {
    let at =
        diagnostic.span.map(|span| Place { line: span.line, column: span.column, says: &diagnostic.label });
    let others = diagnostic.others.iter();
    Event::Finding {
        scenario,
        title: &diagnostic.title,
        file: diagnostic.file.to_string_lossy().into_owned(),
        at,
        others: others.map(|(span, says)| Place { line: span.line, column: span.column, says }).collect(),
        notes: &diagnostic.notes,
        help: &diagnostic.help,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::report::sample;

    /// Every key of a value, with the way to it; of a list, those of its items.
    fn keys(value: &Value, way: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                let way = if way.is_empty() { key.clone() } else { format!("{way}.{key}") };
                keys(value, &way, found);
                found.insert(way);
            }),
            Value::Array(items) => items.iter().for_each(|item| keys(item, &format!("{way}[]"), found)),
            _ => {}
        }
    }

    #[test]
    fn the_page_describes_every_field_and_no_other() {
        let mut text = Vec::new();
        write(&sample::run(), &mut text).unwrap();
        let mut found = BTreeSet::new();
        for line in std::str::from_utf8(&text).unwrap().lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["v"], VERSION);
            keys(&value["event"], "", &mut found);
        }
        let page = include_str!("../../REPORTS.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `event."));
        let told: BTreeSet<String> = rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned())).collect();
        assert_eq!(told, found);
        assert!(page.contains(&format!("The version is {VERSION}.")));
    }

    #[test]
    fn each_line_is_json_whatever_a_guest_wrote() {
        let mut text = Vec::new();
        write(&sample::run(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains(|sign: char| sign.is_control() && sign != '\n'), "{text:?}");
        let values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = &values.last().unwrap()["event"]["summary"];
        assert_eq!((&last["passed"], &last["failed"]), (&1.into(), &1.into()));
        assert_eq!((&last["broken"], &last["ignored"]), (&1.into(), &1.into()));
        let failed = values.iter().find(|value| value["event"]["scenario"]["outcome"] == "failed").unwrap();
        let stdout = failed["event"]["scenario"]["stdout"]["text"].as_str().unwrap();
        assert_eq!(stdout.as_bytes(), String::from_utf8_lossy(sample::HOSTILE).as_bytes());
    }
}
