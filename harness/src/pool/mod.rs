//! When a scenario may begin: as many at once as there are jobs, those that cost more taking more of them, and one of a
//! group at a time.
//!
//! It knows no scenario and runs nothing: workers ask for the next one, and hold a [`Turn`] while they run it. Nobody's
//! time limit has begun while it waits here. Nobody overtakes one that waits for jobs, or it might wait for ever; whoever
//! waits for his group is overtaken.
//!
//! Groups hold between all processes of a user, by locked files (see [`place`]). Jobs are those of one test run: of this
//! process, or, where nextest starts a process for each test, of all that it starts.
#![forbid(unsafe_code)]

mod group;
mod place;
mod slots;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::place::Lock;
pub(crate) use self::place::PlaceError;
use self::slots::Slots;
use crate::scenario::turn::{Cost, GroupName};

/// How often a lock of another process is tried: nobody can be told of several at once.
const AGAIN: Duration = Duration::from_millis(10);

/// Something that waits for its turn.
#[derive(Debug)]
pub(crate) struct Task<T> {
    pub(crate) cost: Cost,
    pub(crate) group: Option<GroupName>,
    pub(crate) load: T,
}

/// What waits, and what may begin.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    jobs: usize,
    slots: Option<Slots>,
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<Task<T>>,
    free: usize,
    busy: BTreeSet<GroupName>,
}

/// The right to run one: until it is dropped, it holds its jobs and its group.
#[derive(Debug)]
pub(crate) struct Turn<'a, T> {
    pool: &'a Pool<T>,
    cost: usize,
    group: Option<GroupName>,
    /// Let go before the group is free here.
    locks: Vec<Lock>,
}

/// The next one, and its turn; or why it can't have one, and must not be run.
pub(crate) type Next<'a, T> = (T, Result<Turn<'a, T>, PlaceError>);

impl<T> Pool<T> {
    /// So many jobs, of this process alone.
    pub(crate) fn new(tasks: impl IntoIterator<Item = Task<T>>, jobs: usize) -> Self {
        let state = State { waiting: tasks.into_iter().collect(), free: jobs, busy: BTreeSet::new() };
        Self { jobs, slots: None, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// As many jobs as nextest has for all of its processes, if it has started this one.
    pub(crate) fn among_others(mut self) -> Self {
        self.slots = Slots::of_nextest();
        self
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another one may begin. `None`: none is left.
    pub(crate) fn next(&self) -> Option<Next<'_, T>> {
        let mut state = self.state();
        let (task, lock) = loop {
            let found = self.choose(&mut state);
            state = match found {
                Choice::None => return None,
                Choice::One(task, lock) => break (task, lock),
                Choice::Later => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Choice::Elsewhere => {
                    let waited = self.changed.wait_timeout(state, AGAIN);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        let cost = self.cost(&task);
        state.free -= cost;
        state.busy.extend(task.group.clone());
        drop(state);
        let mut turn = Turn { pool: self, cost, group: task.group, locks: Vec::new() };
        let taken = lock.and_then(|lock| {
            turn.locks.extend(lock);
            if let Some(slots) = &self.slots {
                turn.locks.extend(slots.take(task.cost)?);
            }
            Ok(turn)
        });
        Some((task.load, taken))
    }

    fn choose(&self, state: &mut State<T>) -> Choice<T> {
        let mut elsewhere = BTreeSet::new();
        let mut chosen = None;
        for (at, task) in state.waiting.iter().enumerate() {
            if let Some(group) = &task.group
                && (state.busy.contains(group) || elsewhere.contains(group))
            {
                continue;
            }
            if self.cost(task) > state.free {
                break;
            }
            match task.group.as_ref().map(group::take).transpose() {
                Ok(Some(None)) => elsewhere.extend(task.group.clone()),
                Ok(lock) => {
                    chosen = Some((at, Ok(lock.flatten())));
                    break;
                }
                Err(error) => {
                    chosen = Some((at, Err(error)));
                    break;
                }
            }
        }
        let chosen = chosen.and_then(|(at, lock)| Some((state.waiting.remove(at)?, lock)));
        match chosen {
            Some((task, lock)) => Choice::One(task, lock),
            None if state.waiting.is_empty() => Choice::None,
            None if elsewhere.is_empty() => Choice::Later,
            None => Choice::Elsewhere,
        }
    }

    fn cost(&self, task: &Task<T>) -> usize {
        task.cost.0.get().min(self.jobs)
    }

    /// Nothing more begins. Returns what has not begun.
    pub(crate) fn stop(&self) -> Vec<T> {
        let rest = self.state().waiting.drain(..).map(|task| task.load).collect();
        self.changed.notify_all();
        rest
    }
}

/// What can be done about what waits.
enum Choice<T> {
    /// Nothing waits.
    None,
    /// This one may begin.
    One(Task<T>, Result<Option<Lock>, PlaceError>),
    /// Somebody here must end before another may.
    Later,
    /// Or somebody of another process.
    Elsewhere,
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.locks.clear();
        if let Some(slots) = &self.pool.slots {
            slots.leave();
        }
        let mut state = self.pool.state();
        state.free += self.cost;
        if let Some(group) = &self.group {
            state.busy.remove(group);
        }
        drop(state);
        self.pool.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
