//! Expectations that no run could meet, because what they want is never seen; and controls that are left out to no effect.
//!
//! Both follow from the plan of the run.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assize_core::outcome::ControlState;
use assize_core::plan::{Explained, Step, Way};
use assize_core::syscall::signature;
use assize_core::trace::Known;
use assize_core::{Plan, Policy, Syscall};

use super::{Lint, Warning};
use crate::scenario::expect::{ByPattern, VerdictPattern, VerdictWord};
use crate::scenario::place::YamlPath;
use crate::scenario::{Action, Scenario};

/// `work`: a folder like the run's. Paths of the policy are looked at when a plan is made.
pub(super) fn look(scenario: &Scenario, work: &Path, found: &mut Vec<Warning>) {
    if scenario.without.is_empty() && scenario.expect.verdicts.patterns().next().is_none() {
        return;
    }
    let mut policy = scenario.policy(work);
    policy.observe = scenario.expect.observe();
    let whole = Policy { without: BTreeSet::new(), ..policy.clone() };
    if let Ok(plan) = Plan::of(&whole) {
        left_out(scenario, &plan, found);
    }
    let bare = Policy { observe: Default::default(), ..policy.clone() };
    if let (Ok(plan), Ok(bare)) = (Plan::of(&policy), Plan::of(&bare)) {
        let seen = Seen::new(scenario, &plan, &bare);
        let at = YamlPath::from(["expect", "verdicts"]);
        for (list, nth, pattern) in scenario.expect.verdicts.listed() {
            if pattern.times.is_some_and(|times| times.least <= 0) {
                continue;
            }
            let before = found.len();
            seen.judge(pattern, &at.key(list).index(nth), found);
            // One reason is enough.
            if found.len() == before {
                found.extend(seen.never_known(pattern, &at.key(list).index(nth), false));
            }
        }
        for (nth, pattern) in scenario.expect.verdicts.never.iter().enumerate() {
            let at = at.key("never").index(nth);
            found.extend(seen.never_by(pattern, &at));
            found.extend(seen.never_known(pattern, &at, true));
        }
    }
}

fn left_out(scenario: &Scenario, plan: &Plan, found: &mut Vec<Warning>) {
    for control in plan.planned_controls() {
        if control.state == ControlState::NotAsked && scenario.without.contains(&control.name) {
            let at = YamlPath::from(["without"]);
            let place = scenario.source.texts(scenario.document).into_iter();
            let item = place.filter(|(path, text)| path.0.len() == 2 && *text == control.name);
            let at = item.map(|(path, _)| path).find(|path| path.0.first() == at.0.first()).unwrap_or(at);
            let title = format!("`{}` is left out, and nothing asks for it", control.name);
            found.push(
                Warning::new(Lint::NotAsked, at, title)
                    .help("a twin shows something only of a defence that is there without `without`"),
            );
        }
    }
}

/// What a run can show.
struct Seen<'a> {
    scenario: &'a Scenario,
    /// The capabilities that a plan has, and whether they were left out.
    controls: BTreeMap<&'a str, &'a ControlState>,
    calls: BTreeMap<Syscall, Explained>,
    /// The calls of which something is said even if nobody looks.
    judged: BTreeSet<Syscall>,
}

impl<'a> Seen<'a> {
    fn new(scenario: &'a Scenario, plan: &'a Plan, bare: &Plan) -> Self {
        let controls = plan.planned_controls().iter().map(|control| (control.name.as_str(), &control.state));
        let calls = plan.explain().into_iter().map(|explained| (explained.call, explained));
        let judged = bare.explain().into_iter().map(|explained| explained.call).collect();
        Self { scenario, controls: controls.collect(), calls: calls.collect(), judged }
    }

    /// Whether the scenario has a handler of this name; of any, where none is said.
    fn has_handler(&self, name: Option<&str>) -> bool {
        let mut known = self.scenario.handlers.0.keys();
        known.any(|known| name.is_none_or(|name| known.as_str() == name))
    }

    /// Nobody answers in the policy's place here, and a line of `never` says that nobody does.
    fn never_by(&self, pattern: &VerdictPattern, at: &YamlPath) -> Option<Warning> {
        let title = match &pattern.by {
            Some(ByPattern::Inject) if !self.injects() => "nothing is injected, so no verdict is by `inject`",
            Some(ByPattern::Handler(name)) if !self.has_handler(name.as_deref()) => {
                "no such handler is asked about anything"
            }
            _ => return None,
        };
        let help = "so it holds of every run, and proves nothing";
        Some(Warning::new(Lint::NeverSeen, at.key("by"), title).help(help))
    }

    fn injects(&self) -> bool {
        !self.scenario.inject.is_empty() || self.scenario.sweep.is_some()
    }

    fn judge(&self, pattern: &VerdictPattern, at: &YamlPath, found: &mut Vec<Warning>) {
        let never = |key: &str, title: String, help: String| {
            Warning::new(Lint::NeverSeen, at.key(key), title).help(help)
        };
        match &pattern.by {
            Some(ByPattern::Inject) if !self.injects() => {
                let title = "nothing is injected, so no verdict is by `inject`".to_owned();
                found.push(never("by", title, "what is answered stands under `inject:`".to_owned()));
            }
            Some(ByPattern::Handler(name)) if !self.has_handler(name.as_deref()) => {
                let title = "no such handler is asked about anything".to_owned();
                let help = "`handlers:` names them; what a scenario answers itself is by `inject`".to_owned();
                found.push(never("by", title, help));
            }
            Some(ByPattern::Capability(name)) => match self.controls.get(name.as_str()) {
                Some(ControlState::NotAsked) => {
                    let title = format!("nothing asks for `{name}`, so no verdict is by it");
                    found.push(never("by", title, "`assize explain` shows what is asked for".to_owned()));
                }
                Some(ControlState::LeftOut) => {
                    let title = format!("`{name}` is left out, so no verdict is by it");
                    found.push(never("by", title, "`without:` leaves it out".to_owned()));
                }
                // On another host it may be had.
                Some(ControlState::Unavailable(_)) => {}
                _ => self.judge_calls(name, pattern, at, found),
            },
            _ => {}
        }
        let emulated = pattern.verdict == Some(VerdictWord::Emulate) && pattern.by.is_none();
        let plain = self.scenario.deterministic.is_none()
            && self.scenario.inject.is_empty()
            && self.scenario.handlers.0.is_empty();
        if let (true, true, Some(call)) = (emulated, plain, &pattern.call)
            && !call.calls().iter().any(|call| self.judged.contains(call))
        {
            let title = format!("nothing answers {call} in the kernel's place");
            found.push(never(
                "verdict",
                title,
                "`deterministic:` and `inject:` ask for such answers".to_owned(),
            ));
        }
        if pattern.call.is_none() && pattern.by.is_none() && !self.shows(pattern) {
            let title = "no call is asked about of which this could be seen".to_owned();
            found.push(never("verdict", title, "name a `call`: it is then made visible".to_owned()));
        }
    }

    /// A pattern over what came of calls that the kernel answers by itself: of these it is not known.
    fn never_known(&self, pattern: &VerdictPattern, at: &YamlPath, never: bool) -> Option<Warning> {
        let call =
            pattern.call.as_ref().filter(|call| !call.calls().iter().any(|call| self.settles(*call)))?;
        let performed = pattern.known.is_some_and(|known| known.0 == Known::Performed);
        let looks_at = [
            ("verdict", pattern.verdict == Some(VerdictWord::Deny)),
            ("errno", pattern.errno.is_some()),
            ("result", pattern.result.is_some()),
            ("known", performed),
        ];
        let (key, _) = looks_at.into_iter().find(|(_, looks)| *looks)?;
        let title = match key {
            "verdict" => {
                format!("nothing here denies {call}, and what the kernel itself refuses is not seen")
            }
            _ => format!("the kernel alone answers {call}, and what it answers is not seen"),
        };
        let so = match (never, key) {
            (false, _) => "no run could meet this",
            (true, "verdict" | "known") => "so it holds of every run, and proves nothing",
            (true, _) => "a run in which the call is made can't tell, and fails",
        };
        let help = format!("{so}: expect what the program itself says of it");
        Some(Warning::new(Lint::NeverSeen, at.key(key), title).help(help))
    }

    /// Whether anybody but the kernel has a say in what comes of a call, so that it may be known.
    fn settles(&self, call: Syscall) -> bool {
        let runs = |explained: &Explained| matches!(explained.way, Way::Runs | Way::Seen | Way::Stopped);
        let injections = self.scenario.inject.iter().filter_map(|injection| injection.pattern.call.as_ref());
        let handlers = self.scenario.handlers.0.values().flatten();
        let swept = self.scenario.sweep.iter().flat_map(|sweep| &sweep.calls);
        self.calls.get(&call).is_some_and(|explained| !runs(explained))
            || injections.chain(handlers).chain(swept).any(|calls| calls.calls().contains(&call))
    }

    /// Whether a pattern without a call can be like a call that is asked about anyway. Denials are shown, whatever the call.
    fn shows(&self, pattern: &VerdictPattern) -> bool {
        let allow = match pattern.verdict {
            Some(VerdictWord::Allow) => true,
            Some(VerdictWord::Emulate) => false,
            _ => return true,
        };
        let injected = !self.scenario.inject.is_empty() || self.scenario.sweep.is_some();
        let attempts = matches!(self.scenario.action, Action::Attempt(_));
        injected
            || attempts
            || self.calls.values().any(|explained| {
                let asked = matches!(explained.way, Way::Seen | Way::Asked | Way::Performed | Way::Stopped);
                let judged = allow || self.judged.contains(&explained.call);
                let path = pattern.path.is_none() || signature::path_args(explained.call).next().is_some();
                asked && judged && path
            })
    }

    /// A capability that is there, but has no rule about any of these calls.
    fn judge_calls(&self, name: &str, pattern: &VerdictPattern, at: &YamlPath, found: &mut Vec<Warning>) {
        let Some(call) = &pattern.call else { return };
        // The clock's readings need no call, and are shown as the one that they stand for.
        if name != "clock" && !call.calls().iter().any(|call| self.answers(*call, name)) {
            let title = format!("`{name}` has no rule about {call}");
            found.push(
                Warning::new(Lint::NeverSeen, at.key("by"), title)
                    .help("`assize explain` shows who is asked about each call"),
            );
        }
    }

    /// Whether this capability is asked about a call.
    fn answers(&self, call: Syscall, name: &str) -> bool {
        let by = |step: &Step| step.capability == Some(name);
        self.calls.get(&call).is_some_and(|call| call.filter.iter().chain(&call.asked).any(by))
    }
}
