//! JUnit XML, as CI systems read it: a suite per file, a case per scenario.
//!
//! A failure is an expectation that did not hold, an error a scenario that could not be loaded or run.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::text::{readable, readable_bytes};
use super::{Outcome, Output, Repeated, Run, Tested, came, standing, time};

/// Writes a run as JUnit XML. XML has no way to hold a control character: they are written as `\u{1b}`, and what is not
/// UTF-8 as `\xff`.
///
/// # Errors
/// What writing gives.
pub fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut report = Report::new("assize");
    report.timestamp = time(run.began).parse().ok();
    report.set_time(run.took);
    let file = |tested: &Tested| tested.name.split("::").next().unwrap_or_default().to_owned();
    let mut suites: Vec<TestSuite> = Vec::new();
    for tested in &run.tested {
        let name = readable(&file(tested));
        if suites.last().is_none_or(|suite| suite.name.as_str() != name) {
            let mut suite = TestSuite::new(name);
            suite.set_time(std::time::Duration::ZERO);
            suites.push(suite);
        }
        if let Some(suite) = suites.last_mut() {
            suite.set_time(suite.time.unwrap_or_default() + tested.took);
            suite.add_test_case(case(tested));
        }
    }
    report.add_test_suites(suites);
    report.serialize(out).map_err(io::Error::other)
}

fn case(tested: &Tested) -> TestCase {
    let (file, name) = tested.name.split_once("::").unwrap_or(("", &tested.name));
    let mut case = TestCase::new(readable(name), status(tested));
    case.set_classname(readable(file)).set_time(tested.took);
    case.extra.insert("file".into(), readable(&tested.origin.file.to_string_lossy()).into());
    case.extra.insert("line".into(), tested.origin.line.to_string().into());
    if let Some(about) = &tested.origin.about {
        case.add_property(("about", readable(about).as_str()));
    }
    for control in &tested.controls.controls {
        let (state, says) = standing(control);
        if state != "not-asked" {
            let value = if says.is_empty() { state.to_owned() } else { format!("{state}: {says}") };
            case.add_property((format!("control.{}", control.name).as_str(), readable(&value).as_str()));
        }
    }
    for cell in &tested.cells {
        case.add_property((format!("cell{}", readable(&cell.name)).as_str(), came(cell)));
    }
    if let Some(Repeated { runs, failed }) = tested.repeated {
        case.add_property(("runs", runs.to_string().as_str()));
        case.add_property(("runs.failed", failed.to_string().as_str()));
    }
    if tested.outcome.is_failure() {
        let output = |output: &Output| match output.left_out {
            0 => readable_bytes(&output.bytes),
            count => format!("({count} bytes before this)\n{}", readable_bytes(&output.bytes)),
        };
        if !tested.seen.stdout.bytes.is_empty() {
            case.set_system_out(output(&tested.seen.stdout));
        }
        if !tested.seen.stderr.bytes.is_empty() {
            case.set_system_err(output(&tested.seen.stderr));
        }
    }
    case
}

fn status(tested: &Tested) -> TestCaseStatus {
    let skipped = |why: &str| {
        let mut status = TestCaseStatus::skipped();
        status.set_message(readable(why));
        status
    };
    let (kind, kind_name) = match &tested.outcome {
        Outcome::Passed => return TestCaseStatus::success(),
        Outcome::Ignored(why) => return skipped(why),
        Outcome::NotRun => return skipped("not run: the whole run ended before"),
        Outcome::GivenUp => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("given-up").set_message("given up while it ran: the whole run was interrupted");
            return status;
        }
        Outcome::Failed => (NonSuccessKind::Failure, "finding"),
        Outcome::Broken => (NonSuccessKind::Error, "broken"),
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(kind_name);
    if let Some(first) = tested.findings.first() {
        let often = tested.repeated.map(|repeated| format!("{repeated}: ")).unwrap_or_default();
        status.set_message(often + &readable(&first.title));
    }
    status.set_description(readable(&tested.failure(false).unwrap_or_default()));
    status
}
