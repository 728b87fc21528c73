//! One scenario of the page.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::time::Duration;

use super::escape::{bytes, json, prose, text};
use super::log::Log;
use super::{Left, snippet};
use crate::report::{Outcome, Output, Tested, came, standing};

/// More findings of one scenario say little more.
const MOST_FINDINGS: usize = 50;
/// More events of one scenario are not shown.
const MOST_EVENTS: usize = 5_000;
/// More cells of one scenario are not shown.
const MOST_CELLS: usize = 500;
/// So many failures are open from the beginning.
const OPEN: usize = 3;

/// A time as a person reads it.
pub(super) fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        long if long >= 1.0 => format!("{long:.1} s"),
        short => format!("{:.0} ms", short * 1000.0),
    }
}

/// Writes the `nth` scenario of the page.
pub(super) fn write(nth: usize, tested: &Tested, left: &mut Left, out: &mut dyn Write) -> io::Result<()> {
    let kind = tested.outcome.word();
    let sign = match tested.outcome {
        Outcome::Passed => "✓",
        Outcome::Failed => "✗",
        Outcome::Broken => "!",
        Outcome::Ignored(_) | Outcome::NotRun => "–",
        Outcome::GivenUp => "…",
    };
    let open = if tested.outcome.is_failure() && nth < OPEN { " open" } else { "" };
    write!(
        out,
        "<details class=\"case {kind}\" id=\"s{nth}\" data-kind=\"{kind}\"{open}>\n<summary>\
         <span class=\"badge\" data-sign=\"{sign}\">{kind}</span> <span class=\"name\">{}</span> \
         <span class=\"took\">{}</span>",
        text(&tested.name),
        if tested.took.is_zero() { String::new() } else { seconds(tested.took) }
    )?;
    let lead = match (&tested.outcome, tested.findings.first()) {
        (Outcome::Ignored(why), _) => Some(why),
        (_, Some(first)) => Some(&first.title),
        _ => tested.origin.about.as_ref(),
    };
    if let Some(lead) = lead {
        let often = tested.repeated.filter(|repeated| repeated.failed > 0);
        let often = often.map(|repeated| format!("{repeated}: ")).unwrap_or_default();
        write!(out, " <span class=\"lead\">{often}{}</span>", prose(lead))?;
    }
    out.write_all(b"</summary>\n<div class=\"body\">\n")?;
    findings(tested, left, out)?;
    outputs(tested, left, out)?;
    log(nth, tested, left, out)?;
    facts(tested, out)?;
    out.write_all(b"</div>\n</details>\n")
}

fn findings(tested: &Tested, left: &mut Left, out: &mut dyn Write) -> io::Result<()> {
    let shown = tested.findings.len().min(MOST_FINDINGS).min(left.findings);
    left.findings -= shown;
    for finding in tested.findings.iter().take(shown) {
        write!(out, "<section class=\"finding\">\n<h3>{}</h3>\n<div>\n", prose(&finding.title))?;
        out.write_all(snippet::of(finding).as_bytes())?;
        out.write_all(b"<div>\n")?;
        for note in &finding.notes {
            out.write_all(self::note(note).as_bytes())?;
        }
        for help in &finding.help {
            writeln!(out, "<p class=\"note allow\">help: {}</p>", text(help))?;
        }
        out.write_all(b"</div>\n</div>\n</section>\n")?;
    }
    match tested.findings.len() - shown {
        0 => Ok(()),
        more => writeln!(out, "<p class=\"soft\">{more} more findings are not on this page.</p>"),
    }
}

/// How a note begins that quotes a verdict.
const QUOTING: [&str; 3] = ["seen: #", "nearest: #", "denied meanwhile: #"];

/// A note: its first line, and below it what it quotes. Of a difference, what is missing and what is too much.
fn note(note: &str) -> String {
    let (first, rest) = note.split_once('\n').unwrap_or((note, ""));
    let kind = match first {
        line if line.starts_with("to allow it") => " allow",
        line if line.starts_with("why: ") => " why",
        _ => "",
    };
    if rest.is_empty() {
        let quoted = QUOTING.iter().any(|begin| first.starts_with(begin));
        let shown = match first.split_once(": ").filter(|_| quoted) {
            Some((label, verdict)) => {
                format!("{}: <code class=\"said\">{}</code>", text(label), text(verdict))
            }
            None => prose(first),
        };
        return format!("<p class=\"note{kind}\">{shown}</p>\n");
    }
    let is_difference = first.starts_with("difference");
    // What is no quotation is prose that was broken into lines.
    if !is_difference && !first.ends_with(':') {
        return format!("<p class=\"note{kind}\">{}</p>\n", prose(note));
    }
    let lines: String = rest
        .lines()
        .map(|line| match line.chars().next() {
            Some('-') if is_difference => format!("<del>{}</del>", text(line)),
            Some('+') if is_difference => format!("<ins>{}</ins>", text(line)),
            _ => format!("{}\n", text(line)),
        })
        .collect();
    format!("<div class=\"note{kind}\">{}<pre>{lines}</pre></div>\n", prose(first))
}

fn outputs(tested: &Tested, left: &mut Left, out: &mut dyn Write) -> io::Result<()> {
    let outputs = [("stdout", &tested.seen.stdout), ("stderr", &tested.seen.stderr)];
    let written = outputs.into_iter().filter(|(_, output)| !output.bytes.is_empty());
    for (nth, (name, Output { bytes: held, left_out })) in written.enumerate() {
        if nth == 0 {
            out.write_all(b"<h2>Outputs</h2>\n")?;
        }
        // The end explains most. A byte may take up some twenty when it has to be made visible.
        let shown = held.len().min(left.outputs);
        left.outputs -= shown;
        let before = left_out + held.len() - shown;
        let open = if tested.outcome.is_failure() { " open" } else { "" };
        let total = left_out + held.len();
        write!(out, "<details class=\"out\"{open}><summary>{name}, {total} bytes</summary><pre>")?;
        if before > 0 {
            writeln!(out, "<span class=\"soft\">({before} bytes before this are left out)</span>")?;
        }
        writeln!(out, "{}</pre></details>", bytes(held.get(held.len() - shown..).unwrap_or_default()))?;
    }
    Ok(())
}

fn log(nth: usize, tested: &Tested, left: &mut Left, out: &mut dyn Write) -> io::Result<()> {
    let held = &tested.seen.log;
    let total = held.events.len() + held.left_out;
    if total == 0 {
        return Ok(());
    }
    let shown = held.events.len().min(MOST_EVENTS).min(left.events);
    left.events -= shown;
    left.without += total - shown;
    writeln!(out, "<h2>Verdict log</h2>")?;
    if shown < total {
        let kept = tested.kept.as_ref().map(|kept| {
            format!("; the whole of it is in <code>{}/verdicts.jsonl</code>", text(&kept.to_string_lossy()))
        });
        writeln!(
            out,
            "<p class=\"soft\">The first {shown} of {total} events{}.</p>",
            kept.unwrap_or_default()
        )?;
    }
    let log = serde_json::to_string(&Log::of(held.events.get(..shown).unwrap_or_default()))?;
    writeln!(out, "<script type=\"application/json\" id=\"log{nth}\">{}</script>", json(&log))?;
    writeln!(
        out,
        "<div data-log=\"log{nth}\"><p class=\"soft\">{shown} events, shown by the page's script.</p></div>"
    )
}

fn facts(tested: &Tested, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"<h2>Run</h2>\n<dl class=\"facts\">\n")?;
    let mut fact = |name: &str, says: String| writeln!(out, "<dt>{}</dt><dd>{says}</dd>", text(name));
    let origin = &tested.origin;
    fact("file", format!("<code>{}:{}</code>", text(&origin.file.to_string_lossy()), origin.line))?;
    if let Some(about) = &origin.about {
        fact("about", text(about))?;
    }
    if let Some(again) = &tested.again {
        fact("to run it again", format!("<code>{}</code>", text(again)))?;
    }
    if let Some(kept) = &tested.kept {
        fact("kept", format!("<code>{}/</code>", text(&kept.to_string_lossy())))?;
    }
    if let Some(repeated) = tested.repeated {
        fact("repeated", repeated.to_string())?;
    }
    for control in &tested.controls.controls {
        let (state, says) = standing(control);
        if state == "not-asked" {
            continue;
        }
        let says = if says.is_empty() { String::new() } else { format!(": {}", text(&says)) };
        fact(&format!("control {}", control.name), format!("{}{says}", state.replace('-', " ")))?;
    }
    for cell in tested.cells.iter().take(MOST_CELLS) {
        fact(&format!("cell {}", cell.name), came(cell).to_owned())?;
    }
    if let Some(more @ 1..) = tested.cells.len().checked_sub(MOST_CELLS) {
        let failed = tested.cells.iter().skip(MOST_CELLS).filter(|cell| !cell.passed).count();
        fact("more cells", format!("{more} are not on this page; {failed} of these failed"))?;
    }
    out.write_all(b"</dl>\n")
}
