//! What a host claims to have: a skip for the lack of it is then a failure.
#![forbid(unsafe_code)]

use super::{Need, NeedError, Order};

/// The environment variable that says it, as in `ASSIZE_REQUIRE=landlock=6,userns`.
pub const VARIABLE: &str = "ASSIZE_REQUIRE";

/// What a host claims to have. A version is the least that it claims: `landlock=6` is Landlock 6 or later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Required(Vec<Need>);

impl Required {
    /// From the environment variable [`VARIABLE`]; nothing is claimed where it is not set.
    ///
    /// # Errors
    /// It is not a list of needs.
    pub fn from_env() -> Result<Self, NeedError> {
        match std::env::var_os(VARIABLE) {
            Some(text) => text.to_string_lossy().parse(),
            None => Ok(Self::default()),
        }
    }

    /// Whether the host claims to meet this need.
    #[must_use]
    pub fn demands(&self, need: &Need) -> bool {
        self.0.iter().any(|claim| claim.fact == need.fact && claim.implies(need))
    }
}

impl std::str::FromStr for Required {
    type Err = NeedError;

    fn from_str(text: &str) -> Result<Self, NeedError> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Need {
    /// Whether a host that claims this, of the same fact, claims to meet `need` too.
    fn implies(&self, need: &Self) -> bool {
        match (self.version, need.version) {
            (None, None) => self.negated == need.negated,
            (Some(_), None) => !need.negated,
            (Some((_, claimed)), Some((order @ (Order::AtLeast | Order::MoreThan), wanted))) => {
                order.holds(claimed, wanted)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_covers_what_it_implies() {
        let required: Required = "landlock=6, userns,python3,not root,kernel=6.13,".parse().unwrap();
        let demands = |need: &str| required.demands(&need.parse().unwrap());
        for claimed in [
            "landlock >= 6",
            "landlock >= 4",
            "landlock",
            "landlock > 5",
            "userns",
            "not root",
            "python3",
            "kernel >= 6.2",
        ] {
            assert!(demands(claimed), "{claimed}");
        }
        for open in
            ["landlock >= 7", "landlock < 6", "not landlock", "root", "perl", "kernel >= 7", "not userns"]
        {
            assert!(!demands(open), "{open}");
        }
        assert!("landlok=6".parse::<Required>().is_err());
        assert_eq!("".parse(), Ok(Required::default()));
    }
}
