//! What several runs have in common, and what any of them used.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;

use super::seen::Facts;
use super::take::Take;

/// All that was seen of some runs, or of all.
pub(super) struct Together {
    /// What any of them used; denials, opens and connections are those of each.
    pub(super) facts: Facts,
    /// Whether what was denied was denied in each.
    pub(super) denied_alike: bool,
    /// Whether any of them connected to anything.
    pub(super) connects: bool,
    /// Servers that none of the guests is.
    pub(super) servers: BTreeSet<String>,
}

impl Together {
    pub(super) fn of(takes: &[Take]) -> Self {
        let mut facts = Facts::default();
        takes.iter().for_each(|take| facts.add_all(&take.facts));
        let denials = in_each(takes, |facts| &facts.denials);
        let all_denials = takes.iter().flat_map(|take| &take.facts.denials).collect::<BTreeSet<_>>();
        let denied_alike = all_denials.len() == denials.len();
        facts.denials = denials;
        facts.opened = in_each(takes, |facts| &facts.opened);
        let shared = in_each(takes, |facts| &facts.connects);
        let servers = servers(&facts, &shared);
        let connects = !facts.connects.is_empty();
        facts.connects = shared;
        Self { facts, denied_alike, connects, servers }
    }
}

fn in_each<T: Ord + Clone>(takes: &[Take], of: fn(&Facts) -> &BTreeSet<T>) -> BTreeSet<T> {
    let sets = takes.iter().map(|take| of(&take.facts).clone());
    sets.reduce(|one, two| one.intersection(&two).cloned().collect()).unwrap_or_default()
}

/// Whom guests talked to that none of them is. `shared`: whom they talked to in each run.
fn servers(facts: &Facts, shared: &BTreeSet<String>) -> BTreeSet<String> {
    let port = |address: &str| address.rsplit_once(':').map(|(_, port)| port.to_owned());
    let everywhere = ["0.0.0.0:", "[::]:"];
    // Who asked for any port got another in each run.
    let any = facts.bound.iter().any(|bound| bound.ends_with(":0"));
    let is_own = |to: &String| {
        facts.bound.contains(to)
            || any && !shared.contains(to)
            || facts.bound.iter().any(|bound| {
                everywhere.iter().any(|prefix| bound.starts_with(prefix)) && port(bound) == port(to)
            })
    };
    let is_server = |to: &&String| match to.strip_prefix("unix:") {
        // A name that is no path may be anybody's.
        Some(path) => !path.starts_with('/') || Path::new(path).exists(),
        None => !to.starts_with("netlink"),
    };
    facts.connects.iter().filter(is_server).filter(|to| !is_own(to)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_among_the_guests_is_no_server() {
        let of = |connects: &[&str], bound: &[&str], shared: &[&str]| {
            let set = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
            let facts = Facts { connects: set(connects), bound: set(bound), ..Facts::default() };
            servers(&facts, &set(shared)).into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(&["127.0.0.1:80"], &[], &["127.0.0.1:80"]), "127.0.0.1:80");
        assert_eq!(of(&["127.0.0.1:80"], &["127.0.0.1:80"], &["127.0.0.1:80"]), "");
        assert_eq!(of(&["127.0.0.1:80", "[::1]:81"], &["0.0.0.0:80"], &["127.0.0.1:80"]), "[::1]:81");
        assert_eq!(
            of(&["127.0.0.1:4711", "127.0.0.1:80"], &["127.0.0.1:0"], &["127.0.0.1:80"]),
            "127.0.0.1:80"
        );
        assert_eq!(of(&["unix:/no/such", "netlink:0"], &[], &[]), "");
    }
}
