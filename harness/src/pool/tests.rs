//! Who begins when.
#![forbid(unsafe_code)]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn group(name: &str) -> GroupName {
    serde_json::from_value(serde_json::Value::from(name)).unwrap()
}

fn task(cost: usize, name: Option<&str>, load: usize) -> Task<usize> {
    let cost = Cost(NonZeroUsize::new(cost).unwrap());
    // Other processes run these tests as well.
    let name = name.map(|name| group(&format!("pool-test-{}-{name}", std::process::id())));
    Task { cost, group: name, load }
}

#[test]
fn those_that_cost_more_take_more_jobs_and_no_group_runs_twice() {
    let costs = [1, 3, 1, 2, 9, 1, 1, 2, 4, 1, 1, 3];
    let groups = [None, Some("a"), Some("b"), Some("a")];
    let tasks = (0..60).map(|nth| task(costs[nth % costs.len()], groups[nth % groups.len()], nth));
    let pool = Pool::new(tasks, 4);
    let (jobs, of_a, runs) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((nth, turn)) = pool.next() {
                    let turn = turn.unwrap();
                    let cost = costs[nth % costs.len()].min(4);
                    let in_a = usize::from(groups[nth % groups.len()] == Some("a"));
                    assert!(jobs.fetch_add(cost, Ordering::SeqCst) + cost <= 4);
                    assert!(of_a.fetch_add(in_a, Ordering::SeqCst) + in_a <= 1);
                    std::thread::yield_now();
                    runs.fetch_add(1, Ordering::SeqCst);
                    jobs.fetch_sub(cost, Ordering::SeqCst);
                    of_a.fetch_sub(in_a, Ordering::SeqCst);
                    drop(turn);
                }
            });
        }
    });
    assert_eq!(runs.into_inner(), 60);
}

#[test]
fn who_waits_for_jobs_is_not_overtaken_and_who_waits_for_a_group_is() {
    let pool =
        Pool::new([task(1, Some("x"), 0), task(1, Some("x"), 1), task(1, None, 2), task(2, None, 3)], 3);
    let (first, one) = pool.next().unwrap();
    let (second, two) = pool.next().unwrap();
    assert_eq!((first, second), (0, 2));
    // The next one needs both of what is left, and what the second has.
    assert!(matches!(pool.choose(&mut pool.state()), Choice::Later));
    drop(two);
    let (third, three) = pool.next().unwrap();
    assert_eq!(third, 3);
    drop((one, three));
    assert_eq!(pool.next().unwrap().0, 1);
    assert!(pool.next().is_none());
}

#[test]
fn another_process_holds_a_group() {
    // As another process would: by another descriptor.
    let held = task(1, Some("held"), 0);
    let lock = group::take(held.group.as_ref().unwrap()).unwrap().unwrap();
    let pool = Pool::new([held, task(1, None, 1)], 2);
    let (nth, turn) = pool.next().unwrap();
    assert_eq!(nth, 1);
    assert!(matches!(pool.choose(&mut pool.state()), Choice::Elsewhere));
    drop((lock, turn));
    assert_eq!(pool.next().unwrap().0, 0);
}

#[test]
fn what_is_stopped_begins_no_more() {
    let pool = Pool::new((0..3).map(|nth| task(1, None, nth)), 1);
    let first = pool.next().unwrap();
    assert_eq!(pool.stop(), [1, 2]);
    drop(first);
    assert!(pool.next().is_none());
}
