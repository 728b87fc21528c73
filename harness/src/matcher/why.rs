//! Why a call was denied: which line of the policy decided, or which line is missing.
#![forbid(unsafe_code)]

use std::path::{Component, Path, PathBuf};

use assize_core::Verdict;
use assize_core::trace::{Action, BytesText, Origin};

use super::granted::{Granted, GrantedPath, List};
use super::lacking::Lacking;
use super::{Observation, advice};
use crate::scenario::policy::SYSTEM;

/// What decided, as a note; `None` for what was not denied, or where that is not known.
pub(super) fn denied(verdict: &Verdict, seen: &Observation) -> Option<String> {
    if !matches!(verdict.action, Action::Deny(_)) {
        return None;
    }
    let why = match &verdict.by {
        Origin::Landlock => not_granted(verdict, seen)?,
        Origin::Rule { capability, .. } if capability == "fs" => named(verdict, seen),
        Origin::Rule { capability, .. } if capability == "deny" => {
            let by = seen.granted.denied.iter().find(|denied| denied.calls.contains(&verdict.call))?;
            format!("`policy.syscalls.deny` names it{}", on(by.line))
        }
        Origin::Rule { capability, .. } if capability == "guard" => {
            "no guest may make this call, unless `policy.syscalls.allow` names it".to_owned()
        }
        _ => return None,
    };
    Some(format!("why: {why}"))
}

fn on(line: Option<usize>) -> String {
    line.map(|line| format!(", on line {line}")).unwrap_or_default()
}

/// Which name in `fs.deny` a call came under.
fn named(verdict: &Verdict, seen: &Observation) -> String {
    match denying(verdict, seen) {
        Some((path, by)) if path == by.path || path == by.real => {
            format!("`policy.fs.deny` names `{}`{}", shown(&by.path, seen), on(by.line))
        }
        Some((path, by)) => format!(
            "`{}` lies beneath `{}`, which `policy.fs.deny` names{}",
            shown(&path, seen),
            shown(&by.path, seen),
            on(by.line)
        ),
        None => "it is a file that `policy.fs.deny` names, reached in another way".to_owned(),
    }
}

/// The path of a call that `fs.deny` covers, and the name there that covers it.
fn denying<'a>(verdict: &Verdict, seen: &'a Observation) -> Option<(PathBuf, &'a GrantedPath)> {
    let paths = verdict.target.iter().chain(verdict.args.paths());
    paths.filter_map(|path| absolute(path, seen)).find_map(|path| {
        let by = seen.granted.covers(&path, &[List::Deny])?;
        Some((path, by))
    })
}

/// What is to be taken out of `fs.deny`, as a phrase.
pub(super) fn to_take_out(verdict: &Verdict, seen: &Observation) -> String {
    match denying(verdict, seen) {
        Some((_, by)) => taken_out(&by.path, &seen.work),
        None => "take the path, or the folder above it, out of `policy.fs.deny`".to_owned(),
    }
}

fn taken_out(path: &Path, work: &Path) -> String {
    format!("take `{}` out of `policy.fs.deny`", spelt(path, work))
}

/// What no list covers.
fn not_granted(verdict: &Verdict, seen: &Observation) -> Option<String> {
    let (list, wanted) = advice::wanted(verdict, seen)?;
    let granting = seen.granted.granting(list);
    let path = absolute(wanted, seen)?;
    let granted = |path: &Path| seen.granted.covers(path, granting).is_some();
    let target = verdict.target.as_ref().and_then(|target| absolute(target, seen));
    let (led, path) = match target {
        // A link in what is granted may lead out of it.
        Some(target) if granted(&path) && !granted(&target) => {
            (format!("`{}` leads to `{}`, and ", shown(&path, seen), shown(&target, seen)), target)
        }
        // It is granted, so something else decided: what, is not known.
        _ if granted(&path) => return None,
        _ => (String::new(), path),
    };
    Some(format!("{led}{}", uncovered(list, &path, &seen.granted, &seen.work)))
}

/// Which list covers a path not, and what above it is granted.
fn uncovered(list: List, path: &Path, of: &Granted, work: &Path) -> String {
    // Whatever may be read may be executed, unless something else is said.
    let name = if list == List::Exec && !of.limits_exec { List::Read.name() } else { list.name() };
    let above = match of.covers(path, &[List::Read, List::Write, List::Exec]) {
        Some(above) => format!(
            ": the deepest part of it that is granted at all is `{}`, by `{}`{}",
            spelt(&above.path, work),
            above.list.name(),
            on(above.line)
        ),
        None if of.replaces_by_nothing() => {
            ": `policy.fs` grants nothing, and replaces what is granted where it doesn't stand".to_owned()
        }
        None => ", nor is anything above it granted".to_owned(),
    };
    format!("nothing in `policy.{name}` covers `{}`{above}", spelt(path, work))
}

/// Why the policy keeps a file from being executed, and what would let it run; `None`: it doesn't. `real`: where it lies.
pub(crate) fn to_execute(of: &Granted, path: &Path, real: &Path, work: &Path) -> Option<[String; 2]> {
    if let Some(by) = of.covers(path, &[List::Deny]).or_else(|| of.covers(real, &[List::Deny])) {
        let why = format!("`policy.fs.deny` names `{}`{}", spelt(&by.path, work), on(by.line));
        return Some([why, format!("to allow it: {}", taken_out(&by.path, work))]);
    }
    let granting = of.granting(List::Exec);
    if of.covers(path, granting).is_some() || of.covers(real, granting).is_some() {
        return None;
    }
    let system = SYSTEM.iter().any(|known| path.starts_with(known));
    let place = if system { "$SYSTEM".to_owned() } else { spelt(path, work) };
    let mut lacking = Lacking::default();
    lacking.grant(List::Exec, &place, of);
    Some([uncovered(List::Exec, path, of, work), lacking.note(of, work)?])
}

/// A path from the root. What goes back by `..` is not followed: links could lead elsewhere.
fn absolute(path: &BytesText, seen: &Observation) -> Option<PathBuf> {
    let path = std::str::from_utf8(path.as_bytes()).ok().map(|path| seen.work.join(path))?;
    path.components().all(|part| part != Component::ParentDir).then_some(path)
}

/// A path as the file would say it.
fn shown(path: &Path, seen: &Observation) -> String {
    spelt(path, &seen.work)
}

pub(super) fn spelt(path: &Path, work: &Path) -> String {
    let within =
        Some(work).filter(|work| !work.as_os_str().is_empty()).and_then(|work| path.strip_prefix(work).ok());
    match within {
        Some(rest) => Path::new("$WORK").join(rest).display().to_string(),
        None => path.display().to_string(),
    }
    .trim_end_matches('/')
    .to_owned()
}

#[cfg(test)]
mod tests {
    use assize_core::Errno;
    use assize_core::trace::{Arg, Args, Body};

    use super::super::granted::DeniedCalls;
    use super::super::sample::{open, quiet, verdict};
    use super::*;

    const DENIED: Action = Action::Deny(Errno::EACCES);

    fn why(body: Body) -> String {
        let path = |list, path: &str, real: &str, line| GrantedPath {
            list,
            path: path.into(),
            real: real.into(),
            item: None,
            line,
        };
        let mut seen = quiet();
        seen.granted = Granted {
            paths: vec![
                path(List::Read, "/usr", "/usr", Some(2)),
                path(List::Read, "/lib", "/usr/lib", None),
                path(List::Write, "/tmp/w1", "/tmp/w1", None),
                path(List::Deny, "/usr/secret", "/usr/secret", Some(4)),
            ],
            denied: vec![],
            limits_exec: false,
            ..Granted::default()
        };
        let Body::Verdict(verdict) = body else { panic!("a verdict") };
        seen.granted.denied.push(DeniedCalls { calls: [verdict.call].into(), line: Some(7) });
        denied(&verdict, &seen).unwrap_or_default()
    }

    fn rule(capability: &'static str) -> Origin {
        Origin::Rule { capability: capability.into(), rule: "a rule".into() }
    }

    #[test]
    fn the_deciding_line_is_named() {
        let by_fs = |path| why(open(path, "O_RDONLY", DENIED, rule("fs")));
        assert_eq!(by_fs("/usr/secret"), "why: `policy.fs.deny` names `/usr/secret`, on line 4");
        assert_eq!(
            by_fs("/usr/secret/a"),
            "why: `/usr/secret/a` lies beneath `/usr/secret`, which `policy.fs.deny` names, on line 4"
        );
        assert_eq!(by_fs("/x"), "why: it is a file that `policy.fs.deny` names, reached in another way");
        let call = |by| why(verdict("mount", Args::default(), DENIED, by, -13));
        assert_eq!(call(rule("deny")), "why: `policy.syscalls.deny` names it, on line 7");
        assert!(call(rule("guard")).contains("`policy.syscalls.allow`"));
        assert_eq!(call(rule("random")), "");
    }

    #[test]
    fn what_no_line_grants_is_named() {
        let opened = |path, flags| why(open(path, flags, DENIED, Origin::Landlock));
        assert_eq!(
            opened("/opt/x", "O_RDONLY"),
            "why: nothing in `policy.fs.read` covers `/opt/x`, nor is anything above it granted"
        );
        assert_eq!(
            opened("/usr/share/x", "O_RDWR"),
            "why: nothing in `policy.fs.write` covers `/usr/share/x`: the deepest part of it that is granted at all is \
             `/usr`, by `fs.read`, on line 2"
        );
        // A neighbour whose name begins alike grants nothing.
        assert!(opened("/usrlocal", "O_RDONLY").ends_with("nor is anything above it granted"));
        // It is granted: nothing is claimed.
        assert_eq!(opened("/usr/lib/x", "O_RDONLY"), "");
        assert_eq!(opened("/usr/../opt", "O_RDONLY"), "");
        let Body::Verdict(mut led) = open("/usr/link", "O_RDONLY", DENIED, Origin::Landlock) else {
            panic!()
        };
        led.target = Some(BytesText(b"/root/x".to_vec()));
        assert_eq!(
            why(Body::Verdict(led)),
            "why: `/usr/link` leads to `/root/x`, and nothing in `policy.fs.read` covers `/root/x`, nor is anything \
             above it granted"
        );
        let path = |path: &str| Args(vec![("path", Arg::Path(BytesText(path.as_bytes().to_vec())))]);
        assert!(
            why(verdict("execve", path("/opt/x"), DENIED, Origin::Landlock, -13))
                .contains("`policy.fs.read` covers")
        );
    }
}
