//! Which guests there are, and where each stands in the tree: the one thing that capabilities share.
//!
//! It is written by the tracker, which sees every birth before the newborn runs, and read by the supervisor.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::descriptors::Threads;
use super::time::{OwnTime, Running, real};
use crate::trace::{BytesText, Place};

/// The guests that live.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    by_tgid: HashMap<u32, Process>,
    at: HashMap<Place, u32>,
    /// Threads that are not their process's first.
    threads: HashMap<u32, u32>,
    /// Until when, in reality, a descriptor may be a set timer that a guest set which is gone.
    left_set: u64,
}

/// One guest.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) place: Place,
    pub(crate) exe: Option<BytesText>,
    /// As the guests number it.
    pub(crate) number: u32,
    pub(crate) time: OwnTime,
    children: u32,
    threads: Vec<u32>,
}

impl Processes {
    /// The command itself.
    pub(crate) fn root(&mut self, tgid: u32) -> Place {
        self.insert(tgid, Place::root(), None, OwnTime::default());
        Place::root()
    }

    /// `tid`'s process made the process `child`. Its place, if the parent's is known.
    pub(crate) fn born(&mut self, tid: u32, child: u32) -> Option<Place> {
        let parent = self.by_tgid.get_mut(&self.threads.get(&tid).copied().unwrap_or(tid))?;
        let place = parent.place.child(parent.children);
        parent.children += 1;
        let exe = parent.exe.clone();
        let mut time = parent.time.newborn();
        time.is_born(child);
        self.insert(child, place.clone(), exe, time);
        Some(place)
    }

    /// The guests know `tgid` by this number.
    pub(crate) fn set_number(&mut self, tgid: u32, number: u32) {
        if let Some(process) = self.by_tgid.get_mut(&tgid) {
            process.number = number;
        }
    }

    /// `tid` is a thread of process `tgid`.
    pub(crate) fn thread(&mut self, tid: u32, tgid: u32) {
        if let Some(process) = self.by_tgid.get_mut(&tgid) {
            process.threads.push(tid);
            self.threads.insert(tid, tgid);
        }
    }

    /// The thread `tid`, or the process of this number, is gone. Its place, if that was a whole process.
    pub(crate) fn gone(&mut self, tid: u32) -> Option<Place> {
        if let Some(tgid) = self.threads.remove(&tid) {
            if let Some(process) = self.by_tgid.get_mut(&tgid) {
                process.threads.retain(|thread| *thread != tid);
            }
            return None;
        }
        let mut process = self.by_tgid.remove(&tid)?;
        for thread in std::mem::take(&mut process.threads) {
            self.threads.remove(&thread);
        }
        self.left_set = self.left_set.max(process.time.descriptors_run_until());
        // Whoever takes its end may know how far it came.
        let parent = process.place.parent().and_then(|parent| self.at.get(&parent));
        if let Some(parent) = parent.and_then(|parent| self.by_tgid.get_mut(parent)) {
            parent.time.child_ended(process.number, process.time.end());
        }
        self.at.remove(&process.place);
        Some(process.place)
    }

    /// The process of a thread, and its number.
    pub(crate) fn of(&self, tid: u32) -> Option<(u32, &Process)> {
        let tgid = self.threads.get(&tid).copied().unwrap_or(tid);
        self.by_tgid.get(&tgid).map(|process| (tgid, process))
    }

    /// Works with the time of a thread's process.
    pub(crate) fn with_time<T>(&mut self, tid: u32, work: impl FnOnce(&mut OwnTime) -> T) -> Option<T> {
        let tgid = self.threads.get(&tid).copied().unwrap_or(tid);
        self.by_tgid.get_mut(&tgid).map(|process| process.time.brought_up(tid, work))
    }

    /// The command's number, while it lives.
    pub(crate) fn command(&self) -> Option<u32> {
        self.at.get(&Place::root()).copied()
    }

    /// The process of this number.
    pub(crate) fn get_mut(&mut self, tgid: u32) -> Option<&mut Process> {
        self.by_tgid.get_mut(&tgid)
    }

    /// `tgid` executed a program: its other threads are gone, and nobody says so.
    pub(crate) fn executed(&mut self, tgid: u32) {
        if let Some(process) = self.by_tgid.get_mut(&tgid) {
            process.time.executed();
            for thread in std::mem::take(&mut process.threads) {
                self.threads.remove(&thread);
            }
        }
    }

    /// The threads' numbers, those of each process's first among them.
    pub(crate) fn threads(&self) -> impl Iterator<Item = u32> {
        self.by_tgid.keys().chain(self.threads.keys()).copied()
    }

    /// Which timers may be set, by all that is known of each process.
    pub(super) fn running(&mut self) -> Running {
        let left = if self.left_set > real() { Running::Descriptors } else { Running::Nothing };
        self.by_tgid.values_mut().map(|process| process.time.running()).fold(left, Running::max)
    }

    /// No descriptor is a timer any more that is set. What has expired just now is still told of.
    pub(super) fn forget_timer_descriptors(&mut self) {
        self.left_set = 0;
        self.by_tgid.values_mut().for_each(|process| process.time.forget_timer_descriptors());
    }

    /// All threads, by processes: first those that have set a descriptor.
    pub(super) fn all_threads(&self) -> Vec<Threads> {
        let has_set = |first: u32| self.by_tgid.get(&first).is_some_and(|of| of.time.has_timer_descriptors());
        let threads = |(first, of): (&u32, &Process)| Threads { first: *first, others: of.threads.clone() };
        let mut all: Vec<_> = self.by_tgid.iter().map(threads).collect();
        all.sort_by_key(|threads| (!has_set(threads.first), threads.first));
        all
    }

    /// The same, for a thread that has stood still since [`with_time`](Self::with_time) worked for it.
    pub(crate) fn with_time_again<T>(&mut self, tid: u32, work: impl FnOnce(&mut OwnTime) -> T) -> Option<T> {
        let tgid = self.threads.get(&tid).copied().unwrap_or(tid);
        self.by_tgid.get_mut(&tgid).map(|process| process.time.kept_up(tid, work))
    }

    /// Works with the time of the process of this number among the guests.
    pub(crate) fn with_time_by_number<T>(
        &mut self,
        number: u32,
        work: impl FnOnce(&mut OwnTime) -> T,
    ) -> Option<T> {
        let (tgid, process) = self.by_tgid.iter_mut().find(|(_, process)| process.number == number)?;
        Some(process.time.brought_up(*tgid, work))
    }

    /// The processes' numbers.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.by_tgid.keys().copied()
    }

    fn insert(&mut self, tgid: u32, place: Place, exe: Option<BytesText>, time: OwnTime) {
        // A number that is used again belongs to its new owner alone.
        self.gone(tgid);
        self.at.insert(place.clone(), tgid);
        self.by_tgid
            .insert(tgid, Process { place, exe, number: tgid, time, children: 0, threads: Vec::new() });
    }
}
