//! What a scenario expects: the typed form of `expect:`.
//!
//! Data only: it is checked as it is read, so that a pattern that could never match is an error with a place in the
//! file. It never looks at a run; that is the matcher's.
#![forbid(unsafe_code)]

mod address;
mod changes;
mod control;
mod exit;
mod file;
pub(crate) mod form;
mod glob;
mod json;
mod observable;
mod peak;
mod range;
mod redact;
mod signal;
mod sizes;
mod takes;
mod text;
mod verdict;

use std::collections::BTreeMap;

pub use address::AddressPattern;
use assize_core::policy::Observe;
pub use changes::{Changed, ChangedPath, Changes};
pub use exit::{ExitPattern, Exits};
pub use file::{FilePattern, Mode};
pub use form::FormError;
pub use glob::Glob;
pub use json::{JsonPattern, Pointer};
pub use peak::PeakPattern;
pub use range::Range;
pub use redact::Redactions;
pub(crate) use redact::is_redaction_name;
use schemars::JsonSchema;
use serde::Deserialize;
pub use signal::Signal;
pub use sizes::Sizes;
pub use takes::Takes;
pub use text::{Pattern, TextPattern, TextTest};
pub use verdict::{
    ArgPattern, ByPattern, ErrnoName, FlagsPattern, KnownPattern, PidPattern, ResultPattern, VerdictPattern,
    VerdictWord,
};

/// What must be seen of a run.
///
/// Without `exit` a run must exit with code 0: a scenario that says nothing of the end still promises a good one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a map of what must come of the run: `exit`, `stdout`, `stderr`, `files`, `changes`, `verdicts`, `controls`, `peak`, `takes`"
)]
pub struct Expectation {
    /// How the command ends. Without it: by exit code 0.
    pub exit: Option<Exits>,
    /// What it writes to descriptor 1.
    pub stdout: Option<TextPattern>,
    /// What it writes to descriptor 2.
    pub stderr: Option<TextPattern>,
    /// What lies in the work folder afterwards, by path relative to it; or, by an absolute path, what lies elsewhere.
    #[serde(deserialize_with = "file::by_path")]
    #[schemars(with = "BTreeMap<file::FilePath, FilePattern>")]
    pub files: BTreeMap<String, FilePattern>,
    /// All that changes in the work folder.
    pub changes: Option<Changes>,
    /// What was asked of the sandbox, and what it answered.
    pub verdicts: Verdicts,
    /// What the report says of controls, by their names: `NOT available here: …`, say, or `in force`.
    #[serde(deserialize_with = "control::by_name")]
    #[schemars(with = "BTreeMap<control::ControlName, TextPattern>")]
    pub controls: BTreeMap<String, TextPattern>,
    /// The most that its processes have at once.
    pub peak: Option<PeakPattern>,
    /// How long it takes.
    pub takes: Option<Takes>,
    /// The scenario's names for what differs from run to run.
    #[serde(skip)]
    pub redact: Redactions,
}

/// What was asked of the sandbox, and what it answered.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a map of what the verdicts must be: `sees`, `order`, `never`, `exhaustive`"
)]
pub struct Verdicts {
    /// Each at least once, or as often as its `times` says.
    pub sees: Vec<VerdictPattern>,
    /// Each after the one before it.
    #[serde(deserialize_with = "verdict::ordered")]
    pub order: Vec<VerdictPattern>,
    /// None at all. Where that can't be told, because nobody looked at what came of a call that the kernel ran, it fails too.
    #[serde(deserialize_with = "verdict::never")]
    pub never: Vec<VerdictPattern>,
    /// Which verdicts must all stand in `sees` or `order`.
    pub exhaustive: Option<Exhaustive>,
}

/// Which verdicts must all be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", expecting = "`deny` or `all`")]
pub enum Exhaustive {
    /// Every denial.
    Deny,
    /// Every verdict that the run gave, whatever it was. Those are the calls that the policy or a pattern needs to be
    /// asked about, and all denials; a call that neither needs runs unseen, as it always does.
    All,
}

impl Verdicts {
    /// The patterns that list what may be seen, each with where it stands: `sees` or `order`, and its place there.
    pub fn listed(&self) -> impl Iterator<Item = (&'static str, usize, &VerdictPattern)> {
        let sees = self.sees.iter().enumerate().map(|(nth, pattern)| ("sees", nth, pattern));
        sees.chain(self.order.iter().enumerate().map(|(nth, pattern)| ("order", nth, pattern)))
    }

    /// Every pattern.
    pub fn patterns(&self) -> impl Iterator<Item = &VerdictPattern> {
        self.sees.iter().chain(&self.order).chain(&self.never)
    }
}

impl Expectation {
    /// What a run must make visible for this to be judged: no more, so that a run pays for what it asks.
    #[must_use]
    pub fn observe(&self) -> Observe {
        let mut observe = Observe {
            denials: self.verdicts.exhaustive.is_some(),
            peak: self.peak.is_some(),
            ..Observe::default()
        };
        for pattern in self.verdicts.patterns() {
            match &pattern.call {
                Some(call) => observe.calls.extend(call.calls()),
                None => {
                    observe.denials |= pattern.verdict.is_none_or(|word| word == VerdictWord::Deny);
                    observe.readings |= pattern.may_be_a_reading();
                }
            }
            observe.processes |= pattern.pid.is_some() || pattern.exe.is_some();
        }
        // Who only counts calls needs neither their true path nor their result.
        observe.in_passing =
            !observe.calls.is_empty() && self.verdicts.patterns().all(VerdictPattern::only_counts);
        observe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> Result<Expectation, String> {
        form::read(yaml)
    }

    #[test]
    fn a_full_expectation_is_read() {
        let expect = parse(
            r#"
exit: 0
stdout: |
  rows: 1
  took [..] ms
stderr: { empty: true }
files: { out/report.txt: { matches: "total: \\d+", mode: 0644 }, out/tmp: absent, here: present }
verdicts:
  sees:
    - { call: openat, path: /etc/shadow, verdict: deny, errno: EACCES }
    - { call: getrandom, verdict: emulate, times: ">= 1" }
  never:
    - { call: connect, to: "10.0.0.0/8:443" }
  exhaustive: deny
"#,
        )
        .unwrap();
        assert_eq!(expect.verdicts.sees.len(), 2);
        let observe = expect.observe();
        assert!(observe.denials && !observe.processes);
        let calls: Vec<_> = observe.calls.iter().map(|call| call.name()).collect();
        assert_eq!(calls, ["connect", "openat", "getrandom"]);
    }

    #[test]
    fn only_what_is_asked_is_made_visible() {
        assert_eq!(parse("{}").unwrap().observe(), Observe::default());
        let peak = parse("peak: { processes: 1 }").unwrap().observe();
        assert_eq!(peak, Observe { peak: true, ..Observe::default() });
        let observe = parse("verdicts: { sees: [{ call: openat, pid: /0/1 }] }").unwrap().observe();
        assert!(observe.processes && !observe.denials && observe.in_passing);
        for wanted in
            ["path: /x", "errno: EACCES", "result: 3", "verdict: allow", "by: fs", "flags: O_RDONLY"]
        {
            let text = format!("verdicts: {{ sees: [{{ call: openat, {wanted} }}, {{ call: open }}] }}");
            assert!(!parse(&text).unwrap().observe().in_passing, "{wanted}");
        }
        assert!(parse("verdicts: { sees: [{ verdict: deny }] }").unwrap().observe().denials);
        let observe = |text: &str| parse(&format!("verdicts: {{ sees: [{text}] }}")).unwrap().observe();
        let emulated = observe("{ verdict: emulate, by: random }");
        assert!(!emulated.denials && !emulated.readings);
        assert!(observe("{ verdict: emulate, by: clock }").readings && observe("{ pid: /0 }").readings);
        assert!(!observe("{ verdict: deny }").readings && !observe("{ call: openat, by: clock }").readings);
    }

    #[test]
    fn a_wrong_word_names_the_right_one() {
        let cases = [
            ("verdicts: { sees: [{ call: openatt }] }", "did you mean `openat`?"),
            ("verdicts: { sees: [{ call: openat, errno: EACCESS }] }", "did you mean `EACCES`?"),
            ("verdicts: { sees: [{ call: openat, verdict: denyy }] }", "did you mean `deny`?"),
            ("verdicts: { sees: [{ call: openat, known: preformed }] }", "did you mean `performed`?"),
            ("verdicts: { sees: [{ call: openat, flags: O_CREATE }] }", "did you mean `O_CREAT`?"),
            ("verdicts: { sees: [{ call: openat, args: { pathh: x } }] }", "did you mean `path`?"),
            ("verdicts: { sees: [{ call: family(opne) }] }", "did you mean `open`?"),
            ("verdicts: { sees: [{ call: openat, by: landlok }] }", "did you mean `landlock`?"),
            ("exit: SIGKIL", "did you mean `SIGKILL`?"),
            ("exit: { signal: SIGTREM }", "did you mean `SIGTERM`?"),
            ("stdout: { contain: x }", "did you mean `contains`?"),
            ("files: { a: { mod: 0644 } }", "did you mean `mode`?"),
            ("verdicts: { sees: [{ call: openat, pth: /x }] }", "did you mean `path`?"),
            ("exti: 0", "did you mean `exit`?"),
            ("stdout: { contains: a, contains: b }", "twice"),
        ];
        for (yaml, wanted) in cases {
            let error = parse(yaml).unwrap_err();
            assert!(error.contains(wanted), "{yaml}: {error}");
        }
    }

    #[test]
    fn an_error_stands_where_the_mistake_is() {
        let yaml = "exit: 0\nverdicts:\n  sees:\n    - call: openat\n      path: x\n      errno: EACCESS\n";
        let error = parse(yaml).unwrap_err();
        assert!(error.starts_with("6:14: "), "{error}");
    }

    #[test]
    fn a_never_that_could_not_be_seen_is_refused() {
        let error = parse("verdicts: { never: [{ path: /etc/passwd }] }").unwrap_err();
        assert!(error.contains("would go unseen"), "{error}");
        let error = parse("verdicts: { never: [{ call: openat, times: 2 }] }").unwrap_err();
        assert!(error.contains("`times`"), "{error}");
        assert!(parse("verdicts: { never: [{ path: /etc/passwd, verdict: deny }] }").is_ok());
    }
}
