//! Which line of a policy would allow what was denied.
#![forbid(unsafe_code)]

use assize_core::Verdict;
use assize_core::trace::{Action, Arg, BytesText, Origin};

use super::granted::List;
use super::{Observation, why};

/// Why it was denied, and the line that would allow it, as notes; nothing for what was not denied.
pub(super) fn on(verdict: &Verdict, seen: &Observation) -> impl Iterator<Item = String> + use<> {
    why::denied(verdict, seen).into_iter().chain(to_allow(verdict, seen))
}

/// The line that would allow it, as a note; `None` for what was not denied, or where no line would.
fn to_allow(verdict: &Verdict, seen: &Observation) -> Option<String> {
    if !matches!(verdict.action, Action::Deny(_)) {
        return None;
    }
    let call = verdict.call.name();
    match &verdict.by {
        Origin::Landlock => {
            let (list, path) = wanted(verdict, seen)?;
            let path = path.to_string();
            let place = if list == List::Write { place_of_change(&path, verdict) } else { &path };
            let place = if is_in(&path, seen) { "$WORK" } else { place };
            // An attempt names its path itself; a program asks the environment.
            Some(if place == "/tmp" && seen.attempts.is_empty() {
                "to allow it: `env: { TMPDIR: $WORK }` has temporary files made in the work folder".to_owned()
            } else {
                let list = list.name().trim_start_matches("fs.");
                format!("to allow it: `policy: {{ fs: {{ {list}: [{place}] }} }}`")
            })
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

/// Which path Landlock refused, and which list of `fs` grants what the call wanted of it.
pub(super) fn wanted<'a>(verdict: &'a Verdict, seen: &Observation) -> Option<(List, &'a BytesText)> {
    // As the guest wrote it, where that is enough: what `/proc/self` leads to is another in every run.
    let absolute = || verdict.args.paths().filter(|path| path.as_bytes().starts_with(b"/"));
    // Of two paths, as of a rename, one may lie in the work folder and be no obstacle.
    let outside = absolute().find(|path| !is_in(&path.to_string(), seen));
    let path = outside.or_else(|| absolute().next()).or(verdict.target.as_ref())?;
    Some((list(verdict), path))
}

/// Which list of `fs` grants what the call wanted.
fn list(verdict: &Verdict) -> List {
    if verdict.call.name().starts_with("exec") {
        return List::Exec;
    }
    let reads = flags(verdict).is_some_and(|flags| {
        let changes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"];
        !flags.split('|').any(|flag| changes.contains(&flag))
    });
    // Whatever is refused without open flags (mkdir, rename, unlink, ...) wanted to change something.
    if reads { List::Read } else { List::Write }
}

/// What a policy must grant for a change to go through. A grant names what is there before the run: of a file that may
/// be new it is the folder; so it is where a name comes or goes.
fn place_of_change<'a>(path: &'a str, verdict: &Verdict) -> &'a str {
    let flags = flags(verdict);
    let stays = flags.is_some_and(|flags| !flags.split('|').any(|flag| flag == "O_CREAT"))
        || verdict.call.name() == "truncate"
        // The kernel makes what lies there: nobody else can.
        || ["/dev/", "/proc/", "/sys/"].iter().any(|of| path.starts_with(of)) && !path.starts_with("/dev/shm/");
    match path.trim_end_matches('/').rsplit_once('/') {
        Some((folder, _)) if !stays => {
            if folder.is_empty() {
                "/"
            } else {
                folder
            }
        }
        _ => path,
    }
}

fn flags(verdict: &Verdict) -> Option<&str> {
    verdict.args.0.iter().find_map(|(_, arg)| match arg {
        Arg::Flags(_, names) => Some(names.as_str()),
        _ => None,
    })
}

/// Whether a path lies in the work folder.
fn is_in(path: &str, seen: &Observation) -> bool {
    let rest = seen.work.to_str().and_then(|work| path.strip_prefix(work));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use assize_core::Errno;
    use assize_core::trace::{Args, Body};

    use super::super::sample::{open, quiet, verdict};
    use super::*;

    fn advice(body: Body) -> String {
        let Body::Verdict(verdict) = body else { panic!("a verdict") };
        to_allow(&verdict, &quiet()).unwrap_or_default()
    }

    #[test]
    fn what_is_advised_can_be_granted() {
        let denied = Action::Deny(Errno::EACCES);
        let opened = |path, flags| advice(open(path, flags, denied, Origin::Landlock));
        let fs = |grant: &str| format!("to allow it: `policy: {{ fs: {{ {grant} }} }}`");
        assert_eq!(opened("/etc/x", "O_RDONLY|O_CLOEXEC"), fs("read: [/etc/x]"));
        assert_eq!(opened("/opt/a/x", "O_WRONLY|O_CREAT|O_TRUNC"), fs("write: [/opt/a]"));
        assert_eq!(opened("/x", "O_WRONLY|O_CREAT"), fs("write: [/]"));
        assert_eq!(opened("/opt/a/x", "O_RDWR"), fs("write: [/opt/a/x]"));
        assert_eq!(opened("/dev/tty", "O_WRONLY|O_CREAT|O_TRUNC"), fs("write: [/dev/tty]"));
        assert_eq!(opened("/tmp/w1/a/x", "O_WRONLY|O_CREAT"), fs("write: [$WORK]"));
        assert_eq!(opened("/tmp/w1/a/x", "O_RDONLY"), fs("read: [$WORK]"));
        assert_eq!(opened("/tmp/w12/x", "O_RDWR|O_CREAT"), fs("write: [/tmp/w12]"));
        assert!(opened("/tmp/ccX.s", "O_RDWR|O_CREAT|O_EXCL").contains("env: { TMPDIR: $WORK }"));
        // What it is relative to is not known.
        assert_eq!(opened("x", "O_RDONLY"), "");
        let path = |name, path: &str| (name, Arg::Path(BytesText(path.as_bytes().to_vec())));
        let gone = Args(vec![path("path", "/opt/a/x/")]);
        assert_eq!(advice(verdict("mkdir", gone, denied, Origin::Landlock, -13)), fs("write: [/opt/a]"));
        let moved = Args(vec![path("oldpath", "/tmp/w1/x"), path("newpath", "/opt/x")]);
        assert_eq!(advice(verdict("rename", moved, denied, Origin::Landlock, -13)), fs("write: [/opt]"));
    }
}
