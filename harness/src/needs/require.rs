//! What a host must have, as whoever runs tests on it says: else nothing is run, so that no skip goes unseen.
#![forbid(unsafe_code)]

use super::{Host, Judgement, Need, NeedError, Order};

/// The environment variable that says it, as in `ASSIZE_REQUIRE=landlock=6,userns`.
pub const VARIABLE: &str = "ASSIZE_REQUIRE";

/// What a host must have. A version is the least that will do: `landlock=6` is Landlock 6 or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required(Vec<Need>);

/// Why nothing is run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequireError {
    /// The variable is no list of needs.
    #[error("{VARIABLE}: {0}")]
    Unreadable(#[from] NeedError),
    /// The host lacks what it must have: what.
    #[error("{VARIABLE}: this host lacks what it must have: {0}")]
    Lacking(String),
}

/// Whether the host has what [`VARIABLE`] says; where that is not set, whatever it has will do.
///
/// # Errors
/// It has not, or the variable is no list of needs.
pub fn required(host: &Host) -> Result<(), RequireError> {
    let text = std::env::var_os(VARIABLE).unwrap_or_default();
    let required: Required = text.to_string_lossy().parse()?;
    required.had(host)
}

impl Required {
    fn had(&self, host: &Host) -> Result<(), RequireError> {
        let lacking: Vec<_> = self
            .0
            .iter()
            .filter_map(|need| match host.judge(need) {
                Judgement::Missing(why) => Some(why),
                Judgement::Satisfied => None,
            })
            .collect();
        if lacking.is_empty() { Ok(()) } else { Err(RequireError::Lacking(lacking.join("; "))) }
    }
}

impl std::str::FromStr for Required {
    type Err = NeedError;

    fn from_str(text: &str) -> Result<Self, NeedError> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let least = |need: Need| match need.version {
            Some((Order::Equal, version)) => Need { version: Some((Order::AtLeast, version)), ..need },
            _ => need,
        };
        items.map(|item| item.parse().map(least)).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_is_had_or_told() {
        let host = Host::probe();
        let had = |text: &str| text.parse::<Required>().map_err(RequireError::from)?.had(&host);
        for had_here in ["", "landlock=1, seccomp,kernel=6.1,", "landlock >= 1", "not aarch64"] {
            assert_eq!(had(had_here), Ok(()), "{had_here}");
        }
        let error = had("landlock=99,x86_64,not seccomp").unwrap_err().to_string();
        assert!(error.contains("landlock >= 99") && error.contains("not seccomp"), "{error}");
        assert!(!error.contains("x86_64"), "{error}");
        assert!(matches!(had("landlok=6"), Err(RequireError::Unreadable(_))));
    }
}
