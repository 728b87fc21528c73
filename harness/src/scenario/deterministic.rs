//! `deterministic`: what is made the same in every run.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use assize_core::Policy;
use assize_core::policy::{Clock, ClockMode, Kernel, Machine, Order, Schedule, Timestamp, Tsc};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, Visitor};

use super::fault::Fault;
use super::policy::{Hostname, PolicySpec};
use super::quantity::{Size, Time};
use super::tree::Node;
use crate::schema::shape::{self, Shape, Shaped};

/// What is made the same in every run. What is not named is as `true` has it; what is named is required of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a map such as `{ seed: 42 }`")]
pub struct Deterministic {
    /// Seeds everything random.
    pub seed: Option<u64>,
    /// The host's name. The policy may state it too, but no other.
    pub hostname: Option<Hostname>,
    /// The time.
    pub clock: Option<ClockSpec>,
    /// Whether folders are listed in order.
    pub dirs: Option<bool>,
    /// Whether what `stat` tells is the same.
    pub metadata: Option<bool>,
    /// Whether processes are numbered from 1, and `/proc` shows no others.
    pub pids: Option<bool>,
    /// Whether programs lie at the same addresses.
    pub addresses: Option<bool>,
    /// How many processors there are; `real` leaves the machine as it is, but for what else is named.
    pub cpus: Option<Cpus>,
    /// How much memory there is.
    pub memory: Option<Size>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// What `rdtsc` gives.
    pub tsc: Option<TscSpec>,
    /// In which order guests run.
    pub schedule: Option<ScheduleSpec>,
}

/// `1`, or `real`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum Cpus {
    /// So many.
    Number(u32),
    /// As many as there are.
    Real,
}

/// What `rdtsc` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TscSpec {
    /// The processor's counter.
    Real,
    /// The supervisor's.
    Emulate,
}

/// In which order guests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleSpec {
    /// As the kernel pleases.
    Any,
    /// One at a time.
    Serial,
}

/// `2000-01-01T00:00:00Z`, `real`, or `{ start: …, mode: …, step: … }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub enum ClockSpec {
    /// The host's own.
    Real,
    /// A virtual one.
    Virtual(Clock),
}

/// A date and a time with an offset, as in RFC 3339, or seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "ClockStart", with = "Shaped<Self>")]
struct Start(Timestamp);

/// A virtual clock.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a map of `start`, `mode` and `step`")]
#[schemars(rename = "Clock")]
struct ClockMap {
    /// What it shows first. Without it: 2000-01-01T00:00:00Z.
    start: Option<Start>,
    /// How it goes on. Without it: `logical`.
    mode: Mode,
    /// What each reading of a `logical` clock takes. Without it: a microsecond.
    step: Option<Time>,
}

/// How a virtual clock goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ClockMode")]
enum Mode {
    /// Not at all.
    Frozen,
    /// By a step with each reading, and by what guests sleep.
    #[default]
    Logical,
    /// As the host's.
    Offset,
}

/// 2000-01-01T00:00:00Z.
const START: Timestamp = Timestamp { seconds: 946_684_800, nanoseconds: 0 };
/// What a reading of a logical clock takes.
const STEP: Duration = Duration::from_micros(1);
const MEMORY: u64 = 4 << 30;
const RELEASE: &str = "6.1.0-assize";
const VERSION: &str = "#1 SMP Sat Jan 1 00:00:00 UTC 2000";

/// Refuses two names for one host: what is named here must be in force, and so must what the policy states. `tree`: the
/// document of both.
pub(super) fn one_hostname(
    tree: &Node,
    policy: &PolicySpec,
    deterministic: Option<&Deterministic>,
) -> Result<(), Fault> {
    let other = deterministic.and_then(|all| all.hostname.as_ref());
    let (Some(one), Some(other)) = (&policy.hostname, other) else { return Ok(()) };
    if one == other {
        return Ok(());
    }
    let places = ["policy", "deterministic"].map(|map| {
        tree.get(map).and_then(|map| map.entry("hostname")).map_or(tree.span, |entry| entry.value.span)
    });
    // The file itself says more than those that it extends, whose numbers are higher.
    let [mut first, mut second] = places;
    if (Reverse(first.file), first.start) > (Reverse(second.file), second.start) {
        (first, second) = (second, first);
    }
    Err(Fault::new(format!("the host has one name, and is called {} and {} here", one.0, other.0))
        .at(second)
        .other(first, "the other name"))
}

impl Deterministic {
    /// What it makes of a policy.
    pub fn apply(&self, policy: &mut Policy) {
        policy.seed = Some(self.seed.unwrap_or(0));
        let hostname = self.hostname.as_ref().map_or("assize", |name| &name.0);
        policy.hostname.get_or_insert_with(|| hostname.to_owned());
        let logical = Clock { start: START, mode: ClockMode::Logical { step: STEP } };
        policy.clock = match self.clock.unwrap_or(ClockSpec::Virtual(logical)) {
            ClockSpec::Real => None,
            ClockSpec::Virtual(clock) => Some(clock),
        };
        policy.directories = self.dirs.unwrap_or(true).then_some(Order::Sorted);
        policy.metadata = self.metadata.unwrap_or(true);
        policy.own_proc |= self.pids.unwrap_or(true);
        policy.fixed_environment = true;
        policy.named_instructions = true;
        for (name, value) in [("LC_ALL", "C.UTF-8"), ("TZ", "UTC")] {
            policy.env.entry(name.into()).or_insert_with(|| value.into());
        }
        policy.fixed_addresses = self.addresses.unwrap_or(true);
        policy.machine = match (self.cpus, self.memory, &self.kernel) {
            // Nothing is named but what is to stay.
            (Some(Cpus::Real), None, None) => None,
            (Some(Cpus::Real), memory, kernel) => Some(Machine {
                cpus: None,
                memory: memory.map(|size| size.0),
                kernel: kernel.as_ref().map(|release| named(release)),
            }),
            (cpus, memory, kernel) => Some(Machine {
                cpus: Some(match cpus {
                    Some(Cpus::Number(cpus)) => cpus,
                    _ => 1,
                }),
                memory: Some(memory.map_or(MEMORY, |size| size.0)),
                kernel: Some(named(kernel.as_deref().unwrap_or(RELEASE))),
            }),
        };
        policy.tsc = match self.tsc.unwrap_or(TscSpec::Real) {
            TscSpec::Real => Tsc::Real,
            TscSpec::Emulate => Tsc::Emulate,
        };
        policy.schedule = match self.schedule.unwrap_or(ScheduleSpec::Serial) {
            ScheduleSpec::Any => Schedule::Any,
            ScheduleSpec::Serial => Schedule::Serial,
        };
        // What is asked for by name must be in force; of what `true` asks for, the report says what is not.
        let asked = REQUIRED.iter().filter(|(_, _, asked)| asked(self));
        policy.required.extend(asked.map(|(control, ..)| (*control).to_owned()));
    }
}

/// Asks whether a key names something that must then be in force.
type Asked = fn(&Deterministic) -> bool;

/// Controls, the keys that ask for each, and whether they do.
const REQUIRED: &[(&str, &str, Asked)] = &[
    ("random", "seed", |all| all.seed.is_some()),
    ("hostname", "hostname", |all| all.hostname.is_some()),
    ("clock", "clock", |all| all.clock.is_some_and(|clock| clock != ClockSpec::Real)),
    ("directories", "dirs", |all| all.dirs == Some(true)),
    ("metadata", "metadata", |all| all.metadata == Some(true)),
    ("pids", "pids", |all| all.pids == Some(true)),
    ("addresses", "addresses", |all| all.addresses == Some(true)),
    ("machine", "cpus", |all| matches!(all.cpus, Some(Cpus::Number(_)))),
    ("machine", "memory", |all| all.memory.is_some()),
    ("machine", "kernel", |all| all.kernel.is_some()),
    ("tsc", "tsc", |all| all.tsc == Some(TscSpec::Emulate)),
    ("schedule", "schedule", |all| all.schedule == Some(ScheduleSpec::Serial)),
];

/// The key that asks for a control; the first, if there are several.
pub(crate) fn key_of(control: &str) -> Option<&'static str> {
    REQUIRED.iter().find(|(this, ..)| *this == control).map(|(_, key, _)| *key)
}

/// A kernel of this release.
fn named(release: &str) -> Kernel {
    Kernel { release: release.to_owned(), version: VERSION.to_owned() }
}

/// A scalar or a map.
struct Forms<T>(&'static str, PhantomData<T>);

impl<'de> Visitor<'de> for Forms<ClockSpec> {
    type Value = ClockSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ClockSpec, E> {
        if text == "real" {
            return Ok(ClockSpec::Real);
        }
        let start = start(text).map_err(|wrong| {
            let mode: Result<Mode, E> = Mode::deserialize(text.into_deserializer());
            let help = mode.map(|_| format!("\nwrite `{{ mode: {text} }}`")).unwrap_or_default();
            E::custom(wrong + &help)
        })?;
        Ok(ClockSpec::Virtual(Clock { start, mode: ClockMode::Logical { step: STEP } }))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<ClockSpec, E> {
        self.visit_str(&seconds.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ClockSpec, A::Error> {
        let ClockMap { start, mode, step } = ClockMap::deserialize(MapAccessDeserializer::new(map))?;
        let mode = match mode {
            Mode::Logical => ClockMode::Logical { step: step.map_or(STEP, |step| step.0) },
            _ if step.is_some() => return Err(A::Error::custom("only a `logical` clock has a `step`")),
            Mode::Frozen => ClockMode::Frozen,
            Mode::Offset => ClockMode::Offset,
        };
        Ok(ClockSpec::Virtual(Clock { start: start.map_or(START, |start| start.0), mode }))
    }
}

impl<'de> Deserialize<'de> for ClockSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let forms = "a time such as `2000-01-01T00:00:00Z`, `real`, or a map of `start`, `mode` and `step`";
        deserializer.deserialize_any(Forms::<Self>(forms, PhantomData))
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        start(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl Shape for ClockSpec {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        let (start, map) = (Start::shape(generator), generator.subschema_for::<ClockMap>());
        shape::any_of([shape::words(["real"]), start, map])
    }
}

impl Shape for Start {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        let text = r"^([0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}.*)$";
        shape::any_of([shape::whole(0, LATEST - 1), shape::text_like(text)])
    }
}

impl Shape for Cpus {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::any_of([shape::words(["real"]), shape::whole(1, MOST_CPUS.into())])
    }
}

impl Shape for DeterministicSpec {
    fn shape(generator: &mut SchemaGenerator) -> Schema {
        shape::any_of([generator.subschema_for::<bool>(), generator.subschema_for::<Deterministic>()])
    }
}

/// 2400-01-01.
const LATEST: i64 = 13_569_465_600;
const MOST_CPUS: u32 = 1024;

/// The kernel's clock takes no time before 1970, and files none after 2446 (`ext4`).
fn start(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        let shown: String = text.chars().take(40).collect();
        format!(
            "{shown:?} is not a time from 1970 to 2400: write `2000-01-01T00:00:00Z`, or seconds since 1970"
        )
    };
    let parsed = match text.parse::<i64>() {
        Ok(seconds) => jiff::Timestamp::from_second(seconds),
        Err(_) => text.parse::<jiff::Timestamp>(),
    };
    let time = parsed.map_err(|_| wrong())?;
    let nanoseconds = u32::try_from(time.subsec_nanosecond()).map_err(|_| wrong())?;
    let timestamp = Timestamp { seconds: time.as_second(), nanoseconds };
    if (0..LATEST).contains(&timestamp.seconds) { Ok(timestamp) } else { Err(wrong()) }
}

impl<'de> Deserialize<'de> for Cpus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<u32>() {
            Ok(number @ 1..=MOST_CPUS) => Ok(Self::Number(number)),
            _ if text == "real" => Ok(Self::Real),
            _ => Err(D::Error::custom("a number of processors from 1 to 1024, or `real`")),
        }
    }
}

/// `deterministic: true`, `false`, or a map.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct DeterministicSpec(pub Option<Deterministic>);

impl<'de> Visitor<'de> for Forms<DeterministicSpec> {
    type Value = DeterministicSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_bool<E>(self, wanted: bool) -> Result<DeterministicSpec, E> {
        Ok(DeterministicSpec(wanted.then(Deterministic::default)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DeterministicSpec, A::Error> {
        Deterministic::deserialize(MapAccessDeserializer::new(map)).map(|map| DeterministicSpec(Some(map)))
    }
}

impl<'de> Deserialize<'de> for DeterministicSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let forms = "`true`, `false` or a map such as `{ seed: 42 }`";
        deserializer.deserialize_any(Forms::<Self>(forms, PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_named_must_be_in_force_whatever_it_is() {
        let schema = serde_json::to_value(schemars::schema_for!(Deterministic)).unwrap();
        let keys: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let required: BTreeSet<_> = REQUIRED.iter().map(|(_, key, _)| (*key).to_owned()).collect();
        assert_eq!(keys, required);

        let mut policy = Policy::default();
        Deterministic { seed: Some(7), ..Deterministic::default() }.apply(&mut policy);
        assert_eq!(policy.required, BTreeSet::from(["random".to_owned()]));
        let hostname = Some(Hostname("guest".to_owned()));
        Deterministic { hostname, ..Deterministic::default() }.apply(&mut policy);
        assert!(policy.required.contains("hostname"));
    }
}
