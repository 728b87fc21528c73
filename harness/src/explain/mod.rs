//! What a scenario comes to, before it is run: its filter, whom each call asks, its Landlock rules, what each expectation makes
//! visible and at what cost, its controls. Runs nothing.
#![forbid(unsafe_code)]

mod expected;
mod outside;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;

use assize_core::outcome::ControlState;
use assize_core::plan::{Explained, Granted, PlanError, Step, Way, granted};
use assize_core::{Plan, Policy, Syscall};

use crate::attempt::{self, AttemptError};
use crate::runner::scratch::Scratch;
use crate::scenario::{Action, Scenario};

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The policy can't be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An attempt can't be made.
    #[error(transparent)]
    Attempt(#[from] AttemptError),
    /// A temporary folder could not be made.
    #[error("a temporary folder could not be made: {0}")]
    Scratch(io::Error),
}

/// A scenario as text; with its program in BPF, if that is wanted.
///
/// # Errors
/// [`ExplainError`].
pub fn explain(scenario: &Scenario, bpf: bool) -> Result<String, ExplainError> {
    // A stand-in for the work folder: paths of the policy are looked at when a plan is made.
    let work = Scratch::make("explain").map_err(ExplainError::Scratch)?;
    let mut policy = scenario.policy(work.path());
    policy.observe = observe(scenario, work.path())?;
    let plan = Plan::of(&policy)?;
    let bare = Plan::of(&Policy { observe: Default::default(), ..policy.clone() })?;
    let mut text = format!("{}\n", scenario.test);
    if let Some(about) = &scenario.about {
        text.push_str(&format!("  {about}\n"));
    }
    // Writing to a string can't fail.
    let _ = outside::write(&mut text, scenario);
    let _ = files(&mut text, &policy);
    let _ = calls(&mut text, &plan);
    let _ = expected::write(&mut text, scenario, &plan, &bare);
    let _ = costs(&mut text, &plan);
    let _ = controls(&mut text, &plan);
    if bpf {
        let program = plan.program();
        let _ = write!(text, "\nthe filter in BPF: {} instructions\n{program}", program.instructions().len());
    }
    Ok(match work.path().to_str() {
        Some(path) => text.replace(path, "$WORK"),
        None => text,
    })
}

/// What a run of it makes visible.
fn observe(scenario: &Scenario, work: &Path) -> Result<assize_core::policy::Observe, ExplainError> {
    let mut observe = scenario.expect.observe();
    if let Action::Attempt(attempts) = &scenario.action {
        let compiled = attempt::compile(attempts, work)?;
        let calls: Vec<_> = compiled.verdicts().into_iter().map(|wanted| wanted.call).collect();
        observe.in_passing &= calls.is_empty();
        observe.calls.extend(calls);
    }
    Ok(observe)
}

fn files(text: &mut String, policy: &Policy) -> std::fmt::Result {
    writeln!(text, "\nfiles (Landlock grants these and what lies beneath them, and nothing else)")?;
    let mut by_right: BTreeMap<(&str, Vec<String>), Vec<String>> = BTreeMap::new();
    for Granted { path, grant, rights } in granted(&policy.fs) {
        by_right.entry((grant, rights)).or_default().push(path.display().to_string());
    }
    for ((grant, rights), paths) in by_right {
        writeln!(text, "  {grant:6} {}\n         {}", paths.join(" "), rights.join("|"))?;
    }
    for path in &policy.fs.deny {
        writeln!(text, "  deny   {}, by whatever name it is reached", path.display())?;
    }
    Ok(())
}

/// Calls of which the same is said, together.
fn calls(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let all = plan.explain();
    let mut groups: Vec<(Vec<Syscall>, &Explained)> = Vec::new();
    for this in &all {
        let alike = |(_, other): &&mut (Vec<Syscall>, &Explained)| {
            (other.way, &other.filter, &other.asked) == (this.way, &this.filter, &this.asked)
        };
        match groups.iter_mut().find(alike) {
            Some((calls, _)) => calls.push(this.call),
            None => groups.push((vec![this.call], this)),
        }
    }
    writeln!(text, "\ncalls (in the filter conditions come first, and the strictest of them)")?;
    for (calls, this) in groups {
        writeln!(text, "  {}: {}", names(&calls), this.way.words())?;
        for step in &this.filter {
            // What is asked is told by whom.
            if step.then != "asked" && !(step.when.is_empty() && step.then == "runs") || !step.when.is_empty()
            {
                writeln!(text, "    filter: {}", told(step))?;
            }
        }
        for (nth, step) in gathered(&this.asked).iter().enumerate() {
            writeln!(text, "    {}. {step}", nth + 1)?;
        }
    }
    let others = Syscall::all().count() - all.len();
    writeln!(text, "  the other {others} calls: {}; numbers that are not known: ENOSYS", Way::Runs.words())
}

fn names(calls: &[Syscall]) -> String {
    calls.iter().map(|call| call.name()).collect::<Vec<_>>().join(", ")
}

/// Steps in their order; the files that one capability answers for are one.
fn gathered(steps: &[Step]) -> Vec<String> {
    let is_file = |step: &Step| step.doc.starts_with('/');
    let mut lines: Vec<String> = Vec::new();
    let mut last: Option<&Step> = None;
    for step in steps {
        let more =
            last.is_some_and(|last| is_file(last) && is_file(step) && last.capability == step.capability);
        match lines.last_mut() {
            Some(line) if more => line.push_str(&format!(", {}", step.doc)),
            _ => lines.push(told(step)),
        }
        last = Some(step);
    }
    lines
}

fn told(step: &Step) -> String {
    let stage = step.stage.map(|stage| format!("{stage:?} ")).unwrap_or_default();
    let when =
        if step.when.is_empty() { String::new() } else { format!(" where {}", step.when.join(" and ")) };
    match step.capability {
        Some(capability) => format!("{}{when}   {stage}{capability}: {}", step.then, step.doc),
        None => format!("{}{when}", step.then),
    }
}

fn costs(text: &mut String, plan: &Plan) -> std::fmt::Result {
    writeln!(text, "\ncost of a call, besides the call itself (kernel calls of the supervisor)")?;
    for way in Way::ALL {
        let calls = Syscall::all().filter(|call| plan.way(*call) == *way).count();
        if calls > 0 {
            writeln!(text, "  {:24} {calls:3} calls   {}", way.words(), way.cost())?;
        }
    }
    Ok(())
}

fn controls(text: &mut String, plan: &Plan) -> std::fmt::Result {
    writeln!(
        text,
        "\ncontrols that are asked for (whether this host gives them, `assize doctor` says, and each run)"
    )?;
    let all = plan.planned_controls().iter().filter(|control| control.state != ControlState::NotAsked);
    for control in all {
        let says = match &control.state {
            ControlState::Proven(saw) => format!("must be seen by a probe: {saw}"),
            ControlState::LeftOut => "left out by `without`".to_owned(),
            ControlState::Unavailable(why) => format!("not available here: {why}"),
            ControlState::InForce(_) | ControlState::NotAsked => "no probe can show it".to_owned(),
        };
        writeln!(text, "  {:12} {says}", control.name)?;
    }
    Ok(())
}
