//! Which line of a policy would allow what was denied.
#![forbid(unsafe_code)]

use assize_core::Verdict;
use assize_core::trace::{Action, Arg, Origin};

use super::Observation;

/// The line that would allow it, as a note; `None` for what was not denied, or where no line would.
pub(super) fn to_allow(verdict: &Verdict, seen: &Observation) -> Option<String> {
    if !matches!(verdict.action, Action::Deny(_)) {
        return None;
    }
    let call = verdict.call.name();
    match &verdict.by {
        Origin::Landlock => {
            // As the guest wrote it, where that is enough: what `/proc/self` leads to is another in every run.
            let mut written = verdict.args.paths();
            let path = written.find(|path| path.as_bytes().starts_with(b"/")).or(verdict.target.as_ref());
            let path = path.or_else(|| verdict.args.paths().next())?;
            let path = in_policy(&path.to_string(), seen);
            Some(format!("to allow it: `policy: {{ fs: {{ {}: [{path}] }} }}`", grant(verdict)))
        }
        Origin::Rule { capability, .. } if capability == "fs" => {
            Some("to allow it: take the path, or the folder above it, out of `policy.fs.deny`".to_owned())
        }
        Origin::Rule { capability, .. } if capability == "deny" => {
            Some(format!("to allow it: take `{call}` out of `policy.syscalls.deny`"))
        }
        Origin::Rule { capability, .. } if capability == "guard" => {
            Some(format!("to allow it: `policy: {{ syscalls: {{ allow: [{call}] }} }}`"))
        }
        _ => None,
    }
}

/// Which list of `fs` grants what the call wanted.
fn grant(verdict: &Verdict) -> &'static str {
    if verdict.call.name().starts_with("exec") {
        return "exec";
    }
    let flags = verdict.args.0.iter().find_map(|(_, arg)| match arg {
        Arg::Flags(_, names) => Some(names.as_str()),
        _ => None,
    });
    let reads = flags.is_some_and(|flags| {
        let changes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"];
        !flags.split('|').any(|flag| changes.contains(&flag))
    });
    // Whatever is refused without open flags (mkdir, rename, unlink, ...) wanted to change something.
    if reads { "read" } else { "write" }
}

fn in_policy(path: &str, seen: &Observation) -> String {
    match seen.work.to_str().and_then(|work| path.strip_prefix(work)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("$WORK{rest}"),
        _ => path.to_owned(),
    }
}
