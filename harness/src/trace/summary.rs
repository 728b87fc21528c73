//! How often each call was made, how often it failed, and how long it waited.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use assize_core::trace::Action;
use assize_core::{Syscall, Verdict};

/// Counts by call.
#[derive(Debug, Clone, Default)]
pub struct Summary(BTreeMap<Syscall, Row>);

#[derive(Debug, Clone, Copy, Default)]
struct Row {
    calls: u64,
    /// Of these: failed, as far as that is known.
    errors: u64,
    /// Of these: by decision of a rule, a handler or Landlock.
    denied: u64,
    waited: Duration,
}

impl Row {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.denied += other.denied;
        self.waited += other.waited;
    }
}

impl Summary {
    /// Counts one.
    pub fn count(&mut self, verdict: &Verdict, took: Option<Duration>) {
        // The answer that it announces is counted when it comes.
        if verdict.action == Action::Defer {
            return;
        }
        self.0.entry(verdict.call).or_default().add(Row {
            calls: 1,
            errors: u64::from(matches!(verdict.result, Some(-4095..=-1))),
            denied: u64::from(matches!(verdict.action, Action::Deny(_))),
            waited: took.unwrap_or_default(),
        });
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<_> = self.0.iter().map(|(call, row)| (call.name(), *row)).collect();
        rows.sort_by(|(one, left), (two, right)| right.waited.cmp(&left.waited).then(one.cmp(two)));
        let mut total = Row::default();
        rows.iter().for_each(|(_, row)| total.add(*row));
        rows.push(("total", total));
        writeln!(f, "% time     seconds  usecs/call     calls    errors    denied  syscall")?;
        for (name, Row { calls, errors, denied, waited }) in rows {
            let share = 100.0 * waited.as_secs_f64() / total.waited.as_secs_f64().max(f64::MIN_POSITIVE);
            let each = waited.as_micros() / u128::from(calls.max(1));
            let seconds = waited.as_secs_f64();
            writeln!(f, "{share:6.2} {seconds:11.6} {each:11} {calls:9} {errors:9} {denied:9}  {name}")?;
        }
        f.write_str(
            "(the time is what calls waited for their answer; what the kernel then took is not in it)\n",
        )
    }
}
