//! The capabilities as a page for people: generated from the rules, so that it is true.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Write;

use super::envelope::ENVELOPE;
use super::{ALL, Stage};

/// `core/CAPABILITIES.md`.
#[must_use]
pub fn document() -> String {
    let mut page = String::from(
        "<!-- Generated from the rules by `cargo test -p assize-core --test tidy`; set ASSIZE_GENERATE=1 to write it. -->\n\
         # Capabilities\n\n\
         What Assize promises to do to a guest's system calls. (Not the POSIX capabilities(7): of those a guest has \
         none.) Rules are asked by stage; the first answer that is not a pass ends it. A rule that says an errno is \
         carried out inside the kernel's filter, or by the supervisor with the same answer where an observer wants to \
         see it.\n\n",
    );
    let stages: BTreeSet<Stage> =
        ALL.iter().map(|capability| capability.stage).chain([Stage::User]).collect();
    let stages: Vec<String> = stages.iter().map(|stage| format!("{stage:?}")).collect();
    let _ =
        writeln!(page, "The stages, in their order: {} (User: the run's own handlers).", stages.join(", "));
    page.push_str(
        "*Asked*: the supervisor decides. *Performed*: it makes the call for the guest. *Stopped*: the tracker stops the thread \
         where the call begins and where it ends. The grounds say why the answer is sound: see `Grounds` in \
         `core/src/trace/verdict.rs`.\n",
    );
    for capability in ALL {
        // Writing to a string can't fail.
        let _ = write!(
            page,
            "\n## {}\n\nStage: {:?}. {}\n",
            capability.name, capability.stage, capability.promise
        );
        let rules = (capability.rules)();
        if !rules.is_empty() {
            page.push_str(
                "\n| calls | when | answer | grounds | what for |\n| --- | --- | --- | --- | --- |\n",
            );
        }
        for rule in rules {
            let spellings = rule.spellings.join(", ");
            let calls = if spellings.is_empty() {
                rule.calls.to_owned()
            } else {
                format!("**{}**: {spellings}", rule.calls)
            };
            let when = rule.when.join(" and ").replace('|', "\\|");
            let grounds = rule.grounds.map_or(String::new(), |grounds| format!("{grounds:?}"));
            let _ = writeln!(page, "| {calls} | {when} | {} | {grounds} | {} |", rule.then, rule.doc);
        }
        let files = (capability.files)();
        if !files.is_empty() {
            page.push_str("\n| file | what it is for the guest |\n| --- | --- |\n");
        }
        for (path, doc) in files {
            let _ = writeln!(page, "| `{path}` | {doc} |");
        }
    }
    page.push_str(ENVELOPE_HEAD);
    for source in ENVELOPE {
        let by = source.by.map_or_else(String::new, |by| format!("`{by}`"));
        let shown = source.shown_by.map_or_else(String::new, |path| format!("[{path}](../scenarios/{path})"));
        let _ = writeln!(page, "| {} | {} | {by} | {} | {shown} |", source.what, source.hold, source.how);
    }
    page
}

const ENVELOPE_HEAD: &str = "\n## The envelope of determinism\n\n\
    Every known source of nondeterminism, and what `deterministic: true` does about it. *Controlled*: the kernel is told to do \
    it in one way. *Emulated*: the answer is made up. *Named*: it is not controlled, and the report names who has to do with \
    it. *Not controlled*: nothing is done. A source that isn't listed is not known, and so not controlled.\n\n\
    | source | what is done | control | how | shown by |\n| --- | --- | --- | --- | --- |\n";
