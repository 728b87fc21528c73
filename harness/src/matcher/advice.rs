//! Which line of a policy would allow what was denied.
#![forbid(unsafe_code)]

use assize_core::Verdict;
use assize_core::trace::{Action, Arg, BytesText, Origin};

use super::granted::List;
use super::lacking::Lacking;
use super::{Observation, why};

/// Why it was denied, and the line that would allow it, as notes; nothing for what was not denied.
pub(super) fn on(verdict: &Verdict, seen: &Observation) -> impl Iterator<Item = String> + use<> {
    why::denied(verdict, seen).into_iter().chain(to_allow([verdict], seen))
}

/// The one line that would allow all of these, as a note; `None` where nothing was denied, or no line would.
pub(super) fn to_allow<'a>(
    verdicts: impl IntoIterator<Item = &'a Verdict>,
    seen: &Observation,
) -> Option<String> {
    let mut lacking = Lacking::default();
    verdicts.into_iter().for_each(|verdict| add(verdict, seen, &mut lacking));
    lacking.note(&seen.granted, &seen.work)
}

/// Adds what the policy lacks for a verdict to be no denial.
fn add(verdict: &Verdict, seen: &Observation, lacking: &mut Lacking) {
    if !matches!(verdict.action, Action::Deny(_)) {
        return;
    }
    let call = verdict.call.name();
    match &verdict.by {
        Origin::Landlock => {
            let Some((list, path)) = wanted(verdict, seen) else { return };
            let path = not_yet_granted(list, path, verdict, seen).to_string();
            // It may be read: something else decided, such as whose process a file of /proc is.
            if list == List::Read
                && seen.granted.covers(&seen.work.join(&path), seen.granted.granting(list)).is_some()
            {
                return;
            }
            let place = if list == List::Write { place_of_change(&path, verdict) } else { &path };
            let place = if is_in(&path, seen) { "$WORK" } else { place };
            lacking.grant(list, &self_of_all(place), &seen.granted);
            // An attempt names its path itself; a program asks the environment.
            if place == "/tmp" && seen.attempts.is_empty() {
                lacking.or_else(temporary(seen));
            }
        }
        Origin::Rule { capability, .. } if capability == "fs" => {
            lacking.take_out(why::to_take_out(verdict, seen))
        }
        Origin::Rule { capability, .. } if capability == "deny" => {
            lacking.take_out(format!("take `{call}` out of `policy.syscalls.deny`"));
        }
        Origin::Rule { capability, .. } if capability == "guard" => lacking.allow(call),
        _ => {}
    }
}

/// The path; or, if that is granted, what it leads to.
fn not_yet_granted<'a>(
    list: List,
    path: &'a BytesText,
    verdict: &'a Verdict,
    seen: &Observation,
) -> &'a BytesText {
    let granting = seen.granted.granting(list);
    let granted = |path: &BytesText| {
        let path = seen.work.join(path.to_string());
        seen.granted.covers(&path, granting).is_some()
    };
    if granted(path) {
        verdict.target.as_ref().filter(|target| !granted(target)).unwrap_or(path)
    } else {
        path
    }
}

/// `/proc/self` is another process's to whoever opens the grant.
fn self_of_all(place: &str) -> String {
    let process = place.strip_prefix("/proc/").and_then(|rest| rest.split('/').next()).is_some_and(|first| {
        matches!(first, "self" | "thread-self")
            || !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit())
    });
    if process { "/proc".to_owned() } else { place.to_owned() }
}

/// What helps who wants to write among the temporary files.
fn temporary(seen: &Observation) -> String {
    match &seen.granted.temporary {
        Some(at) => format!("or have temporary files made in the work folder: `$WORK` as {at}"),
        None => "TMPDIR is the work folder, and the program doesn't ask for it".to_owned(),
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

    use super::super::granted::GrantedPath;
    use super::super::sample::{open, quiet, verdict};
    use super::*;

    fn advice(body: Body) -> String {
        let Body::Verdict(verdict) = body else { panic!("a verdict") };
        to_allow([&*verdict], &quiet()).unwrap_or_default()
    }

    #[test]
    fn what_is_advised_can_be_granted() {
        let denied = Action::Deny(Errno::EACCES);
        let opened = |path, flags| advice(open(path, flags, denied, Origin::Landlock));
        let fs = |read: &str, write: &str| {
            format!("to allow it: `policy: {{ fs: {{ read: [$SYSTEM{read}], write: [$WORK{write}] }} }}`")
        };
        assert_eq!(opened("/etc/x", "O_RDONLY|O_CLOEXEC"), fs(", /etc/x", ""));
        assert_eq!(opened("/opt/a/x", "O_WRONLY|O_CREAT|O_TRUNC"), fs("", ", /opt/a"));
        // Who grants everything need grant nothing else.
        assert_eq!(opened("/x", "O_WRONLY|O_CREAT"), "to allow it: `policy: { fs: { write: [/] } }`");
        assert_eq!(opened("/opt/a/x", "O_RDWR"), fs("", ", /opt/a/x"));
        assert_eq!(opened("/dev/tty", "O_WRONLY|O_CREAT|O_TRUNC"), fs("", ", /dev/tty"));
        assert_eq!(opened("/tmp/w1/a/x", "O_WRONLY|O_CREAT"), fs("", ""));
        assert_eq!(opened("/tmp/w1/a/x", "O_RDONLY"), fs(", $WORK", ""));
        assert_eq!(opened("/tmp/w12/x", "O_RDWR|O_CREAT"), fs("", ", /tmp/w12"));
        assert_eq!(opened("/proc/self/maps", "O_RDONLY"), fs(", /proc", ""));
        assert_eq!(opened("/a b", "O_RDONLY"), fs(", \"/a b\"", ""));
        assert_eq!(opened("/a$b", "O_RDONLY"), fs(", /a$$b", ""));
        // What it is relative to is not known.
        assert_eq!(opened("x", "O_RDONLY"), "");
        let path = |name, path: &str| (name, Arg::Path(BytesText(path.as_bytes().to_vec())));
        let gone = Args(vec![path("path", "/opt/a/x/")]);
        assert_eq!(advice(verdict("mkdir", gone, denied, Origin::Landlock, -13)), fs("", ", /opt/a"));
        let moved = Args(vec![path("oldpath", "/tmp/w1/x"), path("newpath", "/opt/x")]);
        assert_eq!(advice(verdict("rename", moved, denied, Origin::Landlock, -13)), fs("", ", /opt"));
    }

    #[test]
    fn what_may_be_read_already_is_not_advised() {
        let mut seen = quiet();
        let granted = |path: &str| GrantedPath {
            list: List::Read,
            path: path.into(),
            real: path.into(),
            item: Some(0),
            line: Some(2),
        };
        seen.granted.paths = vec![granted("/proc")];
        let told = |path, seen: &Observation| {
            let Body::Verdict(verdict) =
                open(path, "O_RDONLY", Action::Deny(Errno::EACCES), Origin::Landlock)
            else {
                panic!("a verdict")
            };
            to_allow([&*verdict], seen)
        };
        // Whose process it is has decided.
        assert_eq!(told("/proc/1/environ", &seen), None);
        assert!(told("/etc/x", &seen).is_some());
    }

    #[test]
    fn what_is_said_already_is_added_to() {
        let mut seen = quiet();
        let mut told = |path: &str, flags: &str, said: &[&'static str]| {
            seen.granted.said = said.iter().map(|key| (*key, "line 2".to_owned())).collect();
            let Body::Verdict(verdict) = open(path, flags, Action::Deny(Errno::EACCES), Origin::Landlock)
            else {
                panic!("a verdict")
            };
            to_allow([&*verdict], &seen).unwrap_or_default()
        };
        let lists = ["policy", "policy.fs", "policy.fs.read"];
        assert_eq!(told("/x", "O_RDONLY", &lists), "to allow it: add `/x` to `policy.fs.read`, at line 2");
        assert_eq!(
            told("/var/x", "O_WRONLY|O_CREAT", &lists),
            "to allow it: add `write: [/var]` to `policy.fs`, at line 2"
        );
        assert_eq!(
            told("/x", "O_RDONLY", &lists[..1]),
            "to allow it: add `fs: { read: [$SYSTEM, /x], write: [$WORK] }` to `policy`, at line 2"
        );
        assert!(told("/tmp/x", "O_WRONLY|O_CREAT", &[]).ends_with(
            "write: [$WORK, /tmp] } }`; TMPDIR is the work folder, and the program doesn't ask for it"
        ));
        seen.granted.temporary = Some("`env.TMPDIR`, at line 3".to_owned());
        let Body::Verdict(verdict) =
            open("/tmp/x", "O_WRONLY|O_CREAT", Action::Deny(Errno::EACCES), Origin::Landlock)
        else {
            panic!("a verdict")
        };
        assert!(to_allow([&*verdict], &seen).unwrap().ends_with("`$WORK` as `env.TMPDIR`, at line 3"));
    }
}
