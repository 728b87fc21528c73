//! Tests of what is told of a plan.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use crate::plan::explained::Way;
use crate::plan::{Plan, granted};
use crate::{Policy, Syscall};

fn call(name: &str) -> Syscall {
    Syscall::named(name).unwrap()
}

#[test]
fn each_way_is_told() {
    let mut policy = Policy { seed: Some(1), ..Policy::default() };
    policy.fs.deny.push("/etc/shadow".into());
    policy.observe.calls.extend([call("getppid"), call("mkdir")]);
    let plan = Plan::of(&policy).unwrap();
    for (name, way) in [
        ("getpid", Way::Runs),
        ("ptrace", Way::Fails),
        ("getppid", Way::Seen),
        ("getrandom", Way::Asked),
        ("openat", Way::Performed),
        ("mkdir", Way::Performed),
    ] {
        assert_eq!(plan.way(call(name)), way, "{name}");
    }
    policy.observe.denials = true;
    let seen = Plan::of(&policy).unwrap();
    assert_eq!((seen.way(call("ptrace")), seen.way(call("clone3"))), (Way::Refused, Way::Fails));
    let all = plan.explain();
    let of = |name: &str| all.iter().find(|of| of.call == call(name)).unwrap().clone();
    let (denied, opened) = (of("ptrace"), of("openat"));
    assert_eq!((denied.filter[0].then.as_str(), denied.filter[0].capability), ("EPERM", Some("guard")));
    let order: Vec<_> = opened.asked.iter().filter_map(|step| step.stage).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert!(opened.asked.iter().any(|step| step.capability == Some("fs")), "{opened:?}");
    assert_eq!(opened.asked.last().unwrap().then, "performed");
    let socket = of("socket");
    assert!(socket.filter.iter().any(|step| step.when == ["domain is AF_UNIX"]), "{socket:?}");
    assert!(all.iter().all(|of| of.call != call("getpid")));
}

#[test]
fn what_a_call_costs_stands_in_the_page_too() {
    let page = include_str!("../../../ARCHITECTURE.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for way in Way::ALL {
        let counted = !matches!(way, Way::Runs | Way::Fails);
        assert!(!counted || page.contains(way.cost()), "{way:?}: {}", way.cost());
    }
}

#[test]
fn what_landlock_grants_is_told() {
    let mut policy = Policy::default();
    policy.fs.read = vec!["/usr".into(), "/dev/null".into()];
    policy.fs.exec = Some(vec!["/usr/bin".into()]);
    let all = granted(&policy.fs);
    let told: Vec<_> = all.iter().map(|of| (of.grant, of.rights.join("|"))).collect();
    assert_eq!(told[0], ("read", "ReadFile|ReadDir".to_owned()));
    assert_eq!(told[1], ("read", "ReadFile".to_owned()));
    assert_eq!(told[2], ("exec", "Execute".to_owned()));
}
