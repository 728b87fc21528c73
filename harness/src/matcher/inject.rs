//! Injections: one that hits nothing tests nothing.
#![forbid(unsafe_code)]

use assize_core::trace::Origin;

use super::observation::Injected;
use super::verdict::nearest;
use super::{Finding, Observation};

/// What verdicts call an injection, before they say which.
pub(crate) const NAME: &str = "inject";

/// Whether an injection has decided.
pub(super) fn has_made(by: &Origin) -> bool {
    matches!(by, Origin::Named(name) if name.split(' ').next() == Some(NAME))
}

/// What is wrong with how often an injection fired.
pub(super) fn judge(injected: &Injected, seen: &Observation) -> Option<Finding> {
    let Injected { at, pattern, times, matched, fired, failed } = injected;
    if let Some(why) = failed {
        let title = format!("an injection failed, and its call with it: {why}");
        return Some(Finding::new(title, at.clone(), "asked for here"));
    }
    if times.holds(i64::try_from(*fired).unwrap_or(i64::MAX)) {
        return None;
    }
    let often = |count: u64| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let title = match fired {
        0 => "the injection never fired, so it tests nothing".to_owned(),
        fired => format!("the injection fired {}", often(*fired)),
    };
    let finding = Finding::new(title, at.clone(), format!("{times} wanted"));
    Some(match matched {
        0 => finding.notes(nearest(pattern, seen)).note("where it need not fire: `times: \">= 0\"`"),
        matched => finding.note(format!("calls like {pattern} were seen {}", often(*matched))),
    })
}
