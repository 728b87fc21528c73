//! Needs that no host meets.
#![forbid(unsafe_code)]

use super::{Fact, Need, Order, Version};

/// The versions that there can be: from the oldest with which the supervisor runs to one that is years ahead.
const VERSIONS: &[(Fact, Range)] = &[(Fact::Landlock, ((6, 0), (30, 0))), (Fact::Kernel, ((6, 13), (30, 0)))];

/// From one version to another.
type Range = ((u32, u32), (u32, u32));

/// What every host has on which a scenario runs at all.
const ALWAYS: &[Fact] = &[Fact::Landlock, Fact::Seccomp, Fact::Machine("x86_64")];

/// The first of these needs that, with those before it, no host meets; and why.
#[must_use]
pub fn never_met(needs: &[Need]) -> Option<(usize, String)> {
    needs.iter().enumerate().find_map(|(nth, need)| {
        let before = needs.get(..nth).unwrap_or_default();
        why(need, before).map(|why| (nth, why))
    })
}

fn why(need: &Need, before: &[Need]) -> Option<String> {
    if need.negated && ALWAYS.contains(&need.fact) {
        return Some(format!("without {} no scenario runs", need.fact));
    }
    if need.fact == Fact::Machine("aarch64") && !need.negated {
        return Some("the sandbox runs on x86_64 alone".to_owned());
    }
    let opposite = |other: &&Need| other.fact == need.fact && other.negated != need.negated;
    if let Some(other) = before.iter().find(opposite) {
        return Some(format!("`{other}` and `{need}` exclude each other"));
    }
    let (_, (oldest, newest)) = VERSIONS.iter().find(|(fact, _)| *fact == need.fact)?;
    let (mut low, mut high) = (*oldest, *newest);
    let alike = before.iter().chain([need]).filter(|other| other.fact == need.fact);
    for (order, Version { major, minor }) in alike.filter_map(|other| other.version) {
        let here = (major, minor);
        let (least, most) = match order {
            Order::AtLeast => (here, *newest),
            Order::MoreThan => ((major, minor.saturating_add(1)), *newest),
            Order::AtMost => (*oldest, here),
            Order::LessThan if minor == 0 => (*oldest, (major.saturating_sub(1), u32::MAX)),
            Order::LessThan => (*oldest, (major, minor - 1)),
            Order::Equal => (here, here),
        };
        (low, high) = (low.max(least), high.min(most));
    }
    let shown = |(major, minor)| Version { major, minor };
    (low > high).then(|| match before.iter().any(|other| other.fact == need.fact) {
        true => format!("`{need}` excludes what stands before it"),
        false => {
            format!(
                "where scenarios run, {} is {} or later, and it is far from {}",
                need.fact,
                shown(*oldest),
                shown(*newest)
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_excludes_itself_is_never_met() {
        let never = |needs: &[&str]| {
            let needs: Vec<Need> = needs.iter().map(|need| need.parse().unwrap()).collect();
            never_met(&needs).map(|(nth, _)| nth)
        };
        for (needs, wanted) in [
            (&["landlock >= 99"][..], Some(0)),
            (&["root", "python3", "not root"], Some(2)),
            (&["kernel >= 6.15", "kernel < 6.15"], Some(1)),
            (&["kernel < 6.13"], Some(0)),
            (&["not x86_64"], Some(0)),
            (&["aarch64"], Some(0)),
            (&["landlock > 6", "landlock <= 7"], None),
            (&["landlock >= 1", "x86_64", "not root", "not aarch64"], None),
            (&["kernel >= 6.15", "kernel < 7"], None),
            (&["landlock == 7", "landlock < 7"], Some(1)),
        ] {
            assert_eq!(never(needs), wanted, "{needs:?}");
        }
    }
}
