//! What came of attempts, and what of it was not wanted.
#![forbid(unsafe_code)]

use assize_core::prober::Run;
use assize_core::{Errno, Syscall};

use super::compile::{Compiled, Made};
use super::spec::Wanted;
use crate::scenario::place::YamlPath;

/// One call of an attempt, as it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// The call.
    pub call: Syscall,
    /// Which item of `attempt`, from 0.
    pub item: usize,
    /// What it returned: a value or a negated error number. `None`: it was never made.
    pub result: Option<i64>,
    /// What it needed and did not get: `the socket`, and the error.
    pub lacked: Option<(&'static str, Errno)>,
    /// What was read from the descriptor that it returned, or why nothing was.
    pub read: Option<Result<Vec<u8>, Errno>>,
}

/// An attempt that did not come out as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFinding {
    /// What is wrong, in one line.
    pub title: String,
    /// Where it was wanted: `attempt[2].expect`.
    pub path: YamlPath,
    /// What was wanted, for the label.
    pub label: String,
    /// What else explains it.
    pub notes: Vec<String>,
    /// The call that was made, by which its verdict is found.
    pub answered: Option<Answered>,
}

/// A call that was made, among others that came out alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The call.
    pub call: Syscall,
    /// What it returned.
    pub result: i64,
    /// How many attempts before it were this call and came out so.
    pub nth: usize,
    /// How many attempts were this call and came out so.
    pub of: usize,
    /// Whether a denial was wanted, if another one: then nothing is to be allowed.
    pub denial: bool,
    /// Whether what it returned is all there is to say: what it needed was made, and what was to be read could be.
    pub whole: bool,
}

/// A verdict that must stand in the log for an attempt to be what was wanted: one of its own for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedVerdict {
    /// The call.
    pub call: Syscall,
    /// One of these words of [`assize_core::trace::Action::word`].
    pub actions: &'static [&'static str],
    /// Where it was wanted: `attempt[2].expect`.
    pub path: YamlPath,
}

fn errno(result: i64) -> Option<Errno> {
    let negated = i32::try_from(result).ok()?.checked_neg()?;
    (1..=4095).contains(&negated).then(|| Errno::new(negated))
}

impl Made {
    fn path(&self, key: &str) -> YamlPath {
        YamlPath::from(["attempt"]).index(self.item).key(key)
    }
}

impl Compiled {
    /// What came of each call, after the run.
    ///
    /// # Errors
    /// What reading the script's memory gives.
    pub fn came(&self, run: &Run) -> std::io::Result<Vec<Came>> {
        let results = run.results()?;
        self.made.iter().map(|made| came(made, &results, |at, len| run.data(at, len))).collect()
    }

    /// What did not come out as wanted.
    #[must_use]
    pub fn judge(&self, came: &[Came]) -> Vec<AttemptFinding> {
        let judged = |(nth, (made, one)): (usize, (&Made, &Came))| {
            let finding = judged(made, one)?;
            Some(AttemptFinding { answered: answered(came, nth, made.wanted), ..finding })
        };
        let mut findings: Vec<_> = self.made.iter().zip(came).enumerate().filter_map(judged).collect();
        findings.extend(self.unlike(came));
        findings
    }

    /// Spellings of one operation that came out differently.
    fn unlike(&self, came: &[Came]) -> Vec<AttemptFinding> {
        let mut findings = Vec::new();
        let pairs: Vec<_> = self.made.iter().zip(came).filter(|(made, _)| made.same_for_all).collect();
        for (place, (made, other)) in pairs.iter().enumerate() {
            let first = pairs.iter().take(place).find(|(first, _)| first.item == made.item);
            let Some((_, first)) = first else { continue };
            if outcome(first) != outcome(other) {
                findings.push(AttemptFinding {
                    title: format!(
                        "{} {}, but {} {}",
                        first.call,
                        described(first),
                        other.call,
                        described(other)
                    ),
                    path: made.path("same-for-all"),
                    label: "every spelling was to come out alike".to_owned(),
                    notes: Vec::new(),
                    answered: None,
                });
            }
        }
        findings
    }

    /// What must also stand in the verdict log.
    #[must_use]
    pub fn verdicts(&self) -> Vec<WantedVerdict> {
        self.made
            .iter()
            .filter(|made| made.wanted == Wanted::Emulate)
            .map(|made| WantedVerdict {
                call: made.call,
                actions: &["emulate", "inject"],
                path: made.path("expect"),
            })
            .collect()
    }
}

fn came(
    made: &Made,
    results: &[Option<i64>],
    data: impl Fn(usize, usize) -> std::io::Result<Vec<u8>>,
) -> std::io::Result<Came> {
    let result = |place: usize| results.get(place).copied().flatten();
    let lacked = made.before.iter().find_map(|(what, place)| Some((*what, errno(result(*place)?)?)));
    let opened = result(made.place).is_some_and(|result| result >= 0);
    let read = match made.read {
        Some((place, offset, len)) if opened => match result(place) {
            Some(count) => Some(match errno(count) {
                Some(errno) => Err(errno),
                None => Ok(data(offset, usize::try_from(count).unwrap_or(0).min(len))?),
            }),
            None => None,
        },
        _ => None,
    };
    Ok(Came { call: made.call, item: made.item, result: result(made.place), lacked, read })
}

/// What two spellings of one operation must have in common. Descriptors and bytes may differ: a stream goes on.
fn outcome(came: &Came) -> (Option<Option<Errno>>, Option<Result<usize, Errno>>) {
    let read = came.read.as_ref().map(|read| read.as_ref().map(Vec::len).map_err(|errno| *errno));
    (came.result.map(errno), read)
}

fn described(came: &Came) -> String {
    let mut text = match came.result {
        None => "was never made".to_owned(),
        Some(result) => match errno(result) {
            Some(errno) => format!("failed with {errno}"),
            None => format!("returned {result}"),
        },
    };
    match &came.read {
        Some(Ok(bytes)) => text.push_str(&format!(", with {} bytes to read", bytes.len())),
        Some(Err(errno)) => text.push_str(&format!(", and reading failed with {errno}")),
        None => {}
    }
    text
}

fn judged(made: &Made, came: &Came) -> Option<AttemptFinding> {
    let read_failed = matches!(came.read, Some(Err(_)));
    if came.lacked.is_none()
        && !read_failed
        && came.result.is_some_and(|result| made.wanted.is_met_by(result))
    {
        return None;
    }
    let title = match came.lacked {
        Some((what, errno)) => format!("{} could not be tried: making {what} failed with {errno}", made.call),
        None => format!("{} {}", made.call, described(came)),
    };
    let of = if made.family { format!(", for every spelling: here {}", made.call) } else { String::new() };
    // Other errors have other reasons: a guard that refuses the call looks at no pointer.
    let minds = matches!(came.result.and_then(errno), Some(Errno::EFAULT | Errno::EINVAL));
    let notes = made.null.iter().filter(|_| minds).map(|name| format!("`{name}` was not given: NULL"));
    Some(AttemptFinding {
        title,
        path: made.path("expect"),
        label: format!("wanted: {}{of}", made.wanted),
        notes: notes.collect(),
        answered: None,
    })
}

fn answered(all: &[Came], nth: usize, wanted: Wanted) -> Option<Answered> {
    let one = all.get(nth)?;
    let alike = |other: &&Came| other.call == one.call && other.result == one.result;
    Some(Answered {
        call: one.call,
        result: one.result?,
        nth: all.iter().take(nth).filter(alike).count(),
        of: all.iter().filter(alike).count(),
        denial: matches!(wanted, Wanted::Deny(_)),
        whole: one.lacked.is_none() && !matches!(one.read, Some(Err(_))),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Attempt, compile};
    use super::*;

    fn compiled(yaml: &str) -> Compiled {
        compile(&crate::scenario::attempts(yaml).unwrap(), Path::new("/w")).unwrap()
    }

    fn outcomes(compiled: &Compiled, results: &[Option<i64>]) -> Vec<Came> {
        compiled.made.iter().map(|made| came(made, results, |_, len| Ok(vec![7; len])).unwrap()).collect()
    }

    fn titles(compiled: &Compiled, results: &[i64]) -> Vec<String> {
        let results: Vec<_> = results.iter().copied().map(Some).collect();
        compiled.judge(&outcomes(compiled, &results)).into_iter().map(|finding| finding.title).collect()
    }

    #[test]
    fn a_descriptor_is_read_and_closed() {
        let compiled =
            compiled("[{ call: openat, path: /dev/urandom, flags: O_RDONLY, read: 8, expect: emulate }]");
        // openat, read, close.
        assert_eq!(titles(&compiled, &[3, 8, 0]), [""; 0]);
        assert_eq!(titles(&compiled, &[-13, -9, -9]), ["openat failed with EACCES"]);
        assert_eq!(titles(&compiled, &[3, -5, 0]), ["openat returned 3, and reading failed with EIO"]);
        let came = outcomes(&compiled, &[Some(3), Some(4), Some(0)]);
        assert_eq!(came[0].read, Some(Ok(vec![7; 4])));
        assert_eq!(
            compiled.judge(&outcomes(&compiled, &[None, None, None]))[0].title,
            "openat was never made"
        );
        assert_eq!(compiled.verdicts()[0].actions, ["emulate", "inject"]);
    }

    #[test]
    fn a_family_is_an_attempt_per_spelling() {
        let compiled = compiled(
            "[{ call: family(open), path: /etc/shadow, flags: O_RDONLY, expect: deny EACCES, same-for-all: true }]",
        );
        let calls: Vec<_> = compiled.made.iter().map(|made| made.call.name()).collect();
        assert_eq!(calls, ["open", "creat", "openat", "openat2"]);
        assert_eq!(titles(&compiled, &[-13, -9, -13, -9, -13, -9, -13, -9]), [""; 0]);
        assert_eq!(
            titles(&compiled, &[-13, -9, 3, 0, -13, -9, -13, -9]),
            ["creat returned 3", "open failed with EACCES, but creat returned 3"]
        );
        let came = outcomes(&compiled, &[Some(-13), None, Some(3)]);
        let findings = compiled.judge(&came);
        assert_eq!(findings[0].path.to_string(), "attempt[0].expect");
        assert_eq!(findings[0].label, "wanted: deny EACCES, for every spelling: here creat");
    }

    #[test]
    fn only_spellings_that_open_to_read_are_read_from() {
        let compiled = compiled(
            "[{ call: family(open), path: /dev/urandom, flags: O_RDONLY, read: 8, expect: emulate, same-for-all: true }]",
        );
        let calls: Vec<_> = compiled.made.iter().map(|made| made.call.name()).collect();
        assert_eq!(calls, ["open", "openat", "openat2"]);
    }

    #[test]
    fn only_spellings_with_a_path_are_given_one() {
        let calls =
            |attempts: &str| compiled(attempts).made.iter().map(|made| made.call.name()).collect::<Vec<_>>();
        let by_path = "[{ call: family(chmod), path: /etc/passwd, mode: 0777, expect: deny }]";
        assert_eq!(calls(by_path), ["chmod", "fchmodat", "fchmodat2"]);
        let by_address = "[{ call: family(chmod), args: { path: 1 }, mode: 0777, expect: EFAULT }]";
        assert_eq!(calls(by_address), ["chmod", "fchmodat", "fchmodat2"]);
        let in_a_folder = "[{ call: family(chmod), dirfd: /etc, path: passwd, mode: 0777, expect: deny }]";
        assert_eq!(calls(in_a_folder), ["fchmodat", "fchmodat2"]);
    }

    #[test]
    fn what_was_not_given_is_said() {
        let compiled =
            compiled("[{ call: openat, flags: O_RDONLY, expect: deny }, { call: getpid, expect: '7' }]");
        let findings = compiled.judge(&outcomes(&compiled, &[Some(-14), Some(-9), Some(8)]));
        assert_eq!(findings[0].notes, ["`path` was not given: NULL"]);
        let openat = Syscall::named("openat").unwrap();
        assert_eq!(
            findings[0].answered,
            Some(Answered { call: openat, result: -14, nth: 0, of: 1, denial: true, whole: true })
        );
        assert!(findings[1].notes.is_empty());
    }

    #[test]
    fn a_socket_is_made_for_an_address() {
        let compiled = compiled("[{ call: connect, to: \"169.254.169.254:80\", expect: deny ECONNREFUSED }]");
        // socket, connect, close.
        assert_eq!(titles(&compiled, &[3, -111, 0]), [""; 0]);
        assert_eq!(titles(&compiled, &[3, 0, 0]), ["connect returned 0"]);
        assert_eq!(
            titles(&compiled, &[-1, -9, -9]),
            ["connect could not be tried: making the socket failed with EPERM"]
        );
    }

    #[test]
    fn a_folder_is_opened_for_dirfd() {
        let compiled =
            compiled("[{ call: openat, dirfd: /etc, path: shadow, flags: O_RDONLY, expect: deny }]");
        // openat of the folder, openat, close, close.
        assert_eq!(titles(&compiled, &[3, -13, -9, 0]), [""; 0]);
        assert_eq!(
            titles(&compiled, &[-2, -9, -9, -9]),
            ["openat could not be tried: making the folder of `dirfd` failed with ENOENT"]
        );
    }

    #[test]
    fn wants_are_met_by_results() {
        let met = |wanted: &str, result: i64| wanted.parse::<Wanted>().unwrap().is_met_by(result);
        assert!(met("deny", -1) && met("deny", -13) && !met("deny", -2) && !met("deny", 0));
        assert!(met("deny ENOENT", -2) && !met("deny ENOENT", -13));
        assert!(met("allow", 0) && met("ok", 7) && !met("allow", -14));
        assert!(met("EFAULT", -14) && !met("EFAULT", 14));
        assert!(met("42", 42) && !met("42", 41) && met("-1", -1));
        assert!(met("emulate", 8) && !met("emulate", -38));
    }

    #[test]
    fn unknown_wants_are_said() {
        let error = |text: &str| text.parse::<Wanted>().unwrap_err().to_string();
        assert_eq!(error("deny EACESS"), "\"EACESS\" is not an errno; did you mean `EACCES`?");
        assert!(error("forbid").starts_with("\"forbid\" is not a verdict"));
    }

    #[test]
    fn bad_attempts_point_at_their_key() {
        let error = |yaml: &str| {
            let attempts: Vec<Attempt> = crate::scenario::attempts(yaml).unwrap();
            let error = compile(&attempts, Path::new("/w")).unwrap_err();
            format!("{}: {}", error.path, error.message)
        };
        assert_eq!(
            error("[{ call: openat, path: /x, flags: O_RDONYL, expect: ok }]"),
            "attempt[0].flags: `flags`: \"O_RDONYL\" is not one of the open flags; did you mean `O_RDONLY`?"
        );
        assert_eq!(
            error("[{ call: getpid, expect: ok }, { call: getpid, args: { x: 1 }, expect: ok }]"),
            "attempt[1].args.x: getpid has no argument `x`; it has none"
        );
        assert_eq!(
            error("[{ call: connect, to: localhost, expect: ok }]"),
            "attempt[0].to: `addr` takes an address such as `127.0.0.1:80`, `[::1]:80`, `unix:/run/x` or `unix:@name`, not \"localhost\""
        );
        assert_eq!(
            error("[{ call: getpid, read: 8, expect: ok }]"),
            "attempt[0].read: getpid returns no descriptor to read from"
        );
        assert_eq!(
            error("[{ call: creat, path: /x, read: 8, expect: ok }]"),
            "attempt[0].read: creat returns no descriptor to read from"
        );
        assert_eq!(
            error("[{ call: family(mkdir), path: /x, read: 8, expect: ok }]"),
            "attempt[0].read: no spelling in family(mkdir) returns a descriptor to read from"
        );
        assert_eq!(
            error("[{ call: openat, path: /x, read: 1 GiB, expect: ok }]"),
            "attempt[0].read: `read` is a size from 1 to 1048576 bytes"
        );
    }
}
