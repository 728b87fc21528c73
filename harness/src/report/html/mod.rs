//! One page of HTML, complete in itself: no other file, no network, no script but its own.
//!
//! What people must be able to read stands in the page as text; its script adds filters and draws verdict logs. Nothing
//! that a guest wrote can become markup: `escape` is the only way in.
#![forbid(unsafe_code)]

mod case;
mod escape;
mod log;
mod snippet;

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use self::escape::text;
use super::{Outcome, Run, Tally, Tested, time};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How much of the large things is left for the page to hold.
#[derive(Debug)]
struct Left {
    /// Events of verdict logs.
    events: usize,
    /// Bytes of outputs.
    outputs: usize,
    /// Findings.
    findings: usize,
    /// Events that were left out.
    without: usize,
}

impl Default for Left {
    fn default() -> Self {
        Self { events: 100_000, outputs: 8 << 20, findings: 2_000, without: 0 }
    }
}

/// Writes a run as a page. Failures come first, and have first claim on what it can hold.
///
/// # Errors
/// What writing gives.
pub fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let tally = run.tally();
    let title = title(tally, run.interrupted.is_some());
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; script-src '{}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title} · Assize</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        hash(STYLE),
        hash(SCRIPT)
    )?;
    head(run, tally, &title, out)?;
    out.write_all(b"<main id=\"scenarios\">\n")?;
    let mut left = Left::default();
    let mut tested: Vec<&Tested> = run.tested.iter().collect();
    // Failures first; else in the order that they have.
    tested.sort_by_key(|tested| match tested.outcome {
        Outcome::Failed => 0,
        Outcome::Broken => 1,
        Outcome::GivenUp => 2,
        Outcome::NotRun => 3,
        Outcome::Ignored(_) => 4,
        Outcome::Passed => 5,
    });
    for (nth, tested) in tested.into_iter().enumerate() {
        case::write(nth, tested, &mut left, out)?;
    }
    out.write_all(b"</main>\n<footer>\n")?;
    if left.without > 0 {
        writeln!(
            out,
            "<p>{} events of verdict logs are not on this page, so that it stays one that opens. \
             <code>--perfetto FILE</code> writes more of them, <code>--keep all</code> all.</p>",
            left.without
        )?;
    }
    out.write_all(
        b"<p><kbd>/</kbd> search, <kbd>j</kbd> <kbd>k</kbd> next and previous scenario, <kbd>Enter</kbd> open.</p>\n\
          <noscript><p>Filters and verdict logs need JavaScript, which is off here.</p></noscript>\n</footer>\n<script>",
    )?;
    out.write_all(SCRIPT.as_bytes())?;
    out.write_all(b"</script>\n</body>\n</html>\n")
}

fn hash(text: &str) -> String {
    format!("sha256-{}", escape::base64(&Sha256::digest(text.as_bytes())))
}

/// The run in a sentence.
fn title(tally: Tally, interrupted: bool) -> String {
    let ran = tally.passed + tally.failed + tally.broken;
    let bad = tally.failed + tally.broken;
    let scenarios =
        |count: usize| if count == 1 { "1 scenario".to_owned() } else { format!("{count} scenarios") };
    let title = match (bad, ran) {
        (0, 0) => "No scenario was run".to_owned(),
        (0, _) => format!("{} passed", scenarios(ran)),
        _ => format!("{bad} of {} failed", scenarios(ran)),
    };
    if interrupted { format!("Interrupted: {title}") } else { title }
}

/// The kinds in the order of the page, each with its word and how many there are.
fn kinds(tally: Tally) -> [(&'static str, &'static str, usize); 6] {
    [
        ("failed", "Failed", tally.failed),
        ("broken", "Broken", tally.broken),
        ("given-up", "Given up", tally.given_up),
        ("not-run", "Not run", tally.not_run),
        ("ignored", "Ignored", tally.ignored),
        ("passed", "Passed", tally.passed),
    ]
}

fn head(run: &Run, tally: Tally, title: &str, out: &mut dyn Write) -> io::Result<()> {
    let began = time(run.began);
    let began = began.split('.').next().unwrap_or_default().replace('T', " ");
    write!(
        out,
        "<a class=\"skip\" href=\"#scenarios\">To the scenarios</a>\n<header>\n<h1>{title}</h1>\n\
         <p class=\"soft\">{} UTC, in {}, by Assize {}",
        text(&began),
        case::seconds(run.took),
        env!("CARGO_PKG_VERSION")
    )?;
    if let Some(signal) = run.interrupted {
        write!(out, "; interrupted by signal {signal}")?;
    }
    if let Some(seed) = run.shuffled {
        write!(out, "; in the order of <code>--shuffle={seed}</code>")?;
    }
    if run.filtered_out > 0 {
        write!(out, "; {} were left out by filters", run.filtered_out)?;
    }
    write!(
        out,
        "</p>\n<svg class=\"bar\" viewBox=\"0 0 {} 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
        run.tested.len().max(1)
    )?;
    let mut from = 0;
    for (kind, _, count) in kinds(tally) {
        write!(out, "<rect class=\"{kind}\" x=\"{from}\" width=\"{count}\" height=\"1\"/>")?;
        from += count;
    }
    out.write_all(b"</svg>\n</header>\n<div class=\"filters\" role=\"search\">\n")?;
    for (kind, word, count) in kinds(tally).into_iter().filter(|(.., count)| *count > 0) {
        writeln!(
            out,
            "<label class=\"chip\"><input type=\"checkbox\" value=\"{kind}\" checked> {word} <b>{count}</b></label>"
        )?;
    }
    out.write_all(
        b"<input type=\"search\" id=\"search\" placeholder=\"Search names, findings, outputs\" \
          aria-label=\"Search names, findings and outputs\">\n<output id=\"shown\"></output>\n</div>\n",
    )
}

#[cfg(test)]
mod tests;
