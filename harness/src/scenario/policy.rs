//! `policy`, and how it becomes the policy of the sandbox.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use assize_core::capability;
use assize_core::policy::{FsPolicy, Isolation, Limits, SyscallPolicy};
use assize_core::{Policy, Syscall};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::calls::{Calls, deniable};
use super::fault::{nearest, shown};
use super::quantity::Time;
use super::template::Template;
use crate::schema::shape::{self, Shape, Shaped};

/// What the guest may do, as the scenario says it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a map of what the guest may do")]
pub struct PolicySpec {
    /// Files. Without it: `$SYSTEM` can be read, `$WORK` written.
    pub fs: Option<FsSpec>,
    /// System calls by name.
    pub syscalls: SyscallSpec,
    /// Limits of the whole tree of guests.
    pub limits: LimitSpec,
    /// The guest's environment, on top of [`default_env`].
    pub env: BTreeMap<EnvName, Template>,
    /// The host's name as the guest sees it.
    pub hostname: Option<Hostname>,
    /// Whether the guests get namespaces.
    pub isolation: IsolationSpec,
}

/// Which files the guest may use.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a map of `read`, `write`, `exec`, `deny` and `proc`")]
pub struct FsSpec {
    /// May be read.
    pub read: Vec<PolicyPath>,
    /// May be read, written, created and removed.
    pub write: Vec<PolicyPath>,
    /// May be executed. Without it: whatever may be read.
    pub exec: Option<Vec<PolicyPath>>,
    /// May not be used although a grant covers it.
    pub deny: Vec<PolicyPath>,
    /// Whose `/proc` it is.
    pub proc: ProcSpec,
}

/// `proc`: `host` or `own`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProcSpec {
    /// The host's: it shows all processes, by the host's numbers.
    #[default]
    Host,
    /// The guests' own, or the run fails: it shows them alone, by the numbers that they have among themselves.
    Own,
}

/// System calls denied or allowed by name.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a map of `deny` and `allow`")]
pub struct SyscallSpec {
    /// Answered `EPERM`.
    #[serde(deserialize_with = "deniable")]
    pub deny: Vec<Calls>,
    /// Lifts the denial that every guest has.
    pub allow: Vec<Calls>,
}

/// Limits of the whole tree of guests.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a map of limits")]
pub struct LimitSpec {
    /// Wall-clock time; then every guest is killed.
    pub timeout: Option<Time>,
}

/// `isolation`: `auto`, `require` or `off`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IsolationSpec {
    /// Namespaces where the host allows.
    #[default]
    Auto,
    /// Or the run fails.
    Require,
    /// None.
    Off,
}

/// A path of the policy: absolute, beneath `$WORK` (the work folder), or `$SYSTEM` (what the programs of a distribution need:
/// [`SYSTEM`]).
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum PolicyPath {
    /// Whatever of [`SYSTEM`] exists.
    System,
    /// This path.
    Path(Template),
}

impl Shape for PolicyPath {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        let beneath = r"^(/|\$WORK\b|\$\{WORK\})(?!.*\$\{?SYSTEM)";
        shape::any_of([shape::words(["$SYSTEM", "${SYSTEM}", "$WORK"]), shape::text_like(beneath)])
    }
}

/// What `$SYSTEM` stands for, as far as it exists: enough for the programs of a distribution. Ordinary permissions hold
/// besides: as root, all of `/etc` can be read.
pub const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// What may also be written to wherever `$SYSTEM` may be read: a script that says `2> /dev/null` changes nothing.
pub const SINKS: &[&str] = &["/dev/null", "/dev/zero", "/dev/full"];

impl<'de> Deserialize<'de> for PolicyPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "$SYSTEM" || text == "${SYSTEM}" {
            return Ok(Self::System);
        }
        if text.contains("$SYSTEM") || text.contains("${SYSTEM}") {
            return Err(D::Error::custom("`$SYSTEM` stands for many paths, so nothing can be added to it"));
        }
        if text.starts_with('/') || text.starts_with("$WORK") || text.starts_with("${WORK}") {
            return Ok(Self::Path(Template(text)));
        }
        let inside = text.strip_prefix("./").unwrap_or(&text);
        Err(D::Error::custom(match inside {
            "SYSTEM" | "WORK" => format!("the path {text:?} is relative\ndid you mean `${text}`?"),
            "" | "." => format!("the path {text:?} is relative\nthe work folder is `$WORK`"),
            _ if text.starts_with('~') => format!(
                "`~` in {text:?} is for shells\nwrite the folder itself, such as `/root`; inside, HOME is the work folder"
            ),
            _ => {
                format!("the path {text:?} is relative\nfor a path in the work folder write `$WORK/{inside}`")
            }
        }))
    }
}

impl PolicyPath {
    fn expand(&self, work: &Path) -> Vec<PathBuf> {
        match self {
            Self::System => SYSTEM.iter().map(PathBuf::from).filter(|path| path.exists()).collect(),
            Self::Path(path) => vec![path.expand(work).into()],
        }
    }
}

fn expand(paths: &[PolicyPath], work: &Path) -> Vec<PathBuf> {
    paths.iter().flat_map(|path| path.expand(work)).collect()
}

/// A name of the environment: not empty, without `=`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct EnvName(pub String);

impl Shape for EnvName {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like("^[^=]+$")
    }
}

impl<'de> Deserialize<'de> for EnvName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(D::Error::custom(format!("{name:?} can't be the name of a variable")));
        }
        Ok(Self(name))
    }
}

/// A host's name: what `sethostname` takes, 1 to 64 letters, digits, `-` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct Hostname(pub String);

impl Shape for Hostname {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::scalar_like(r"^[A-Za-z0-9._-]{1,64}$")
    }
}

impl<'de> Deserialize<'de> for Hostname {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
            return Err(D::Error::custom("a hostname has 1 to 64 letters, digits, `-`, `_` and `.`"));
        }
        Ok(Self(name))
    }
}

/// The name of a capability, as `without` takes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub(super) struct CapabilityName(pub(super) &'static str);

impl Shape for CapabilityName {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::words(capability::ALL.iter().map(|capability| capability.name))
    }
}

impl<'de> Deserialize<'de> for CapabilityName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let names = || capability::ALL.iter().map(|capability| capability.name);
        names().find(|name| *name == text).map(Self).ok_or_else(|| {
            let meant =
                nearest(&text, names()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let known = names().collect::<Vec<_>>().join(", ");
            D::Error::custom(format!("{} is not a capability{meant}\ncapabilities: {known}", shown(&text)))
        })
    }
}

/// Where a guest looks for programs, unless the scenario says otherwise.
pub const GUEST_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What every guest finds in its environment, unless the scenario says otherwise. Nothing is inherited.
///
/// `WORK` is there for scripts, whose text is left as it is.
pub fn default_env() -> impl Iterator<Item = (&'static str, Template)> {
    [
        ("PATH", GUEST_PATH),
        ("HOME", "$WORK"),
        ("WORK", "$WORK"),
        // A compiler that finds no place for its temporary files is of no use.
        ("TMPDIR", "$WORK"),
        ("LANG", "C.UTF-8"),
    ]
    .into_iter()
    .map(|(name, value)| (name, Template(value.to_owned())))
}

fn calls(named: &[Calls]) -> BTreeSet<Syscall> {
    named.iter().flat_map(|named| named.calls().iter().copied()).collect()
}

impl PolicySpec {
    /// The time limit.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.limits.timeout.map(|timeout| timeout.0)
    }

    /// Every path that the policy names, with the list of `fs` and the place in it; without a place where nothing is said.
    #[must_use]
    pub fn paths(&self, work: &Path) -> Vec<(&'static str, Option<usize>, PathBuf)> {
        let Some(fs) = &self.fs else {
            let read = PolicyPath::System.expand(work).into_iter().map(|path| ("read", None, path));
            return read.chain([("write", None, work.to_owned())]).collect();
        };
        let none = Vec::new();
        let lists = [
            ("read", &fs.read),
            ("write", &fs.write),
            ("exec", fs.exec.as_ref().unwrap_or(&none)),
            ("deny", &fs.deny),
        ];
        let items = lists
            .into_iter()
            .flat_map(|(list, paths)| paths.iter().enumerate().map(move |(nth, path)| (list, nth, path)));
        items
            .flat_map(|(list, nth, path)| {
                path.expand(work).into_iter().map(move |path| (list, Some(nth), path))
            })
            .collect()
    }

    /// The sandbox's policy for a run in this work folder.
    #[must_use]
    pub fn compile(&self, work: &Path) -> Policy {
        let mut fs = match &self.fs {
            None => FsPolicy {
                read: PolicyPath::System.expand(work),
                write: vec![work.to_owned()],
                ..FsPolicy::default()
            },
            Some(fs) => FsPolicy {
                read: expand(&fs.read, work),
                write: expand(&fs.write, work),
                exec: fs.exec.as_ref().map(|paths| expand(paths, work)),
                deny: expand(&fs.deny, work),
            },
        };
        if self.fs.as_ref().is_none_or(|fs| fs.read.contains(&PolicyPath::System)) {
            fs.write.extend(SINKS.iter().map(PathBuf::from).filter(|path| path.exists()));
        }
        let own_proc = self.fs.as_ref().is_some_and(|fs| fs.proc == ProcSpec::Own);
        let mut env: BTreeMap<_, _> =
            default_env().map(|(name, value)| (name.into(), value.expand(work))).collect();
        env.extend(self.env.iter().map(|(name, value)| (name.0.clone().into(), value.expand(work))));
        Policy {
            fs,
            syscalls: SyscallPolicy { deny: calls(&self.syscalls.deny), allow: calls(&self.syscalls.allow) },
            limits: Limits { timeout: self.timeout() },
            env,
            hostname: self.hostname.as_ref().map(|name| name.0.clone()),
            isolation: match self.isolation {
                IsolationSpec::Auto => Isolation::Auto,
                IsolationSpec::Require => Isolation::Require,
                IsolationSpec::Off => Isolation::Off,
            },
            own_proc,
            required: own_proc.then(|| "pids".to_owned()).into_iter().collect(),
            ..Policy::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_system_to_read_and_the_work_folder_to_write() {
        let policy = PolicySpec::default().compile(Path::new("/w"));
        assert!(policy.fs.read.contains(&PathBuf::from("/usr")));
        assert!(policy.fs.read.iter().all(|path| path.exists()));
        assert_eq!(policy.fs.write[0], PathBuf::from("/w"));
        assert!(policy.fs.write[1..].iter().all(|path| SINKS.iter().any(|sink| path == Path::new(sink))));
        assert_eq!(policy.fs.exec, None);
        let env: Vec<_> =
            policy.env.iter().map(|(k, v)| format!("{}={}", k.display(), v.display())).collect();
        assert_eq!(
            env,
            ["HOME=/w", "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin", "TMPDIR=/w", "WORK=/w"]
        );
    }
}
