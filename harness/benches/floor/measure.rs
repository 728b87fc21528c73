//! Interleaved rounds, medians, and the table that they make.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

pub(crate) const ON_ONE_CORE: &str = "--on-one-core";

/// On which cores everything runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    Unpinned,
    OneCore,
}

impl Placement {
    /// Confines this thread, and all that it will start, to the first core that it may use.
    pub(crate) fn one_core() -> Self {
        let all = sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)).unwrap();
        let mut one = CpuSet::new();
        one.set(first);
        sched_setaffinity(None, &one).unwrap();
        Self::OneCore
    }
}

/// What a row's figures are compared by.
pub(crate) enum Target {
    /// Ours is at most so many times the other.
    Times(f64),
    /// Ours is at most so much more, in the figures' own unit.
    More(f64),
    /// Ours is at most this.
    Most(f64),
    /// Nothing is promised.
    None,
}

/// One way to do the work: gives its figure.
pub(crate) type Way<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// One row: the same work in several ways, and what is compared with what.
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) rounds: usize,
    /// By name. The last one is ours; the one before is what the target compares with.
    pub(crate) ways: Vec<(&'a str, Way<'a>)>,
    pub(crate) target: Target,
}

/// The table, printed as it grows.
pub(crate) struct Table {
    words: Vec<String>,
}

impl Table {
    pub(crate) fn new(placement: Placement, words: Vec<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let on = match placement {
            Placement::Unpinned => format!("on {cores} cores"),
            Placement::OneCore => "on one core".to_owned(),
        };
        println!("\n| {on} | figures | compared | target | met |\n| --- | --- | --- | --- | --- |");
        Self { words }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }

    /// Says why a row isn't there.
    pub(crate) fn leave_out(&self, name: &str, why: &str) {
        if self.wants(name) {
            println!("| {name} | left out: {why} | | | |");
        }
    }

    /// Measures a row: one turn of each way a round, so that whatever else the machine does hits all alike, and every other
    /// round in the other order, so that what one leaves to be cleared away doesn't always hit the same other.
    pub(crate) fn row(&self, mut row: Row<'_>) {
        if !self.wants(row.name) {
            return;
        }
        let mut figures: Vec<Vec<f64>> = vec![Vec::new(); row.ways.len()];
        for round in 0..=row.rounds {
            let mut order: Vec<usize> = (0..row.ways.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for way in order {
                let figure = (row.ways[way].1)();
                // The first round warms up.
                if round > 0 {
                    figures[way].push(figure);
                }
            }
        }
        let medians: Vec<f64> = figures.iter().map(|figures| median(figures.clone())).collect();
        let named = row.ways.iter().zip(&medians);
        let shown: Vec<_> = named.map(|((name, _), figure)| format!("{name} {figure:.3}")).collect();
        let ours = medians.len() - 1;
        let others = medians.len().checked_sub(2);
        let pairs = |with: fn(f64, f64) -> f64| {
            let other = others.map(|other| figures[other].clone()).unwrap_or_default();
            median(figures[ours].iter().zip(other).map(|(ours, other)| with(*ours, other)).collect())
        };
        let (compared, target, met) = match row.target {
            Target::Times(most) => {
                let times = pairs(|ours, other| ours / other);
                (format!("{times:.2}×"), format!("≤ {most}×"), Some(times <= most))
            }
            Target::More(most) => {
                let more = pairs(|ours, other| ours - other);
                (format!("{more:+.3}"), format!("≤ +{most}"), Some(more <= most))
            }
            Target::Most(most) => {
                (format!("{:.3}", medians[ours]), format!("≤ {most}"), Some(medians[ours] <= most))
            }
            Target::None => {
                let times =
                    if others.is_some() { format!("{:.2}×", pairs(|a, b| a / b)) } else { String::new() };
                (times, String::new(), None)
            }
        };
        let met = met.map_or("", |met| if met { "yes" } else { "**no**" });
        println!("| {} | {} {} | {compared} | {target} | {met} |", row.name, shown.join(", "), row.unit);
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How long it takes.
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let since = Instant::now();
    work();
    since.elapsed()
}

pub(crate) fn milliseconds(work: impl FnOnce()) -> f64 {
    timed(work).as_secs_f64() * 1e3
}
