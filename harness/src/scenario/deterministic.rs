//! `deterministic`: what is made the same in every run.
#![forbid(unsafe_code)]

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::policy::Hostname;

/// What is made the same in every run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map with `seed` or `hostname`")]
pub struct Deterministic {
    /// Seeds everything random.
    pub seed: u64,
    /// The host's name, unless the policy states one.
    #[serde(deserialize_with = "hostname")]
    pub hostname: String,
}

fn hostname<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Hostname::deserialize(deserializer).map(|name| name.0)
}

/// What `true` stands for.
impl Default for Deterministic {
    fn default() -> Self {
        Self { seed: 0, hostname: "assize".to_owned() }
    }
}

/// `deterministic: true`, `false`, or a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeterministicSpec(pub Option<Deterministic>);

impl<'de> Deserialize<'de> for DeterministicSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = DeterministicSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, `false` or a map such as `{ seed: 42 }`")
            }

            fn visit_bool<E>(self, wanted: bool) -> Result<DeterministicSpec, E> {
                Ok(DeterministicSpec(wanted.then(Deterministic::default)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DeterministicSpec, A::Error> {
                Deterministic::deserialize(MapAccessDeserializer::new(map))
                    .map(|map| DeterministicSpec(Some(map)))
            }
        }
        deserializer.deserialize_any(Forms)
    }
}
