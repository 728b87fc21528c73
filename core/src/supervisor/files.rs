//! The files that guests have seen, by the numbers that they are shown: device, inode and mount, in the order of first
//! sight. It opens nothing, and holds no file.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::touch::{Touch, Touched, Years};
use crate::guest::Identity;
use crate::guest::stat::Stat;
use crate::policy::Timestamp;

/// How a guest has looked at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// By a descriptor that it holds.
    Descriptor,
    /// By its name.
    Name,
    /// By its name, which is that of a module that shows the time that it had before the run.
    Module,
}

/// The files that guests have seen.
#[derive(Debug)]
pub struct Files {
    devices: HashMap<u64, u32>,
    mounts: HashMap<u64, u64>,
    by_identity: HashMap<Identity, Known>,
    files: u64,
    /// With a clock of the run's own, times are shown by it.
    years: Option<Years>,
}

#[derive(Debug)]
struct Known {
    /// Given when a guest sees it.
    number: Option<u64>,
    /// When it was made, once it was looked at: the host gives the number of a file that is gone to another.
    generation: Option<Timestamp>,
    /// Whether its last name was taken away. What is then found under a name is another file.
    gone: bool,
    /// Of one that was looked at, or touched: most are only listed, by the hundred.
    touched: Option<Box<Touched>>,
}

/// The first number: `/`, which the probe looks at, has it, as the root of many file systems does.
const FIRST: u64 = 2;

impl Known {
    fn new(generation: Option<Timestamp>) -> Self {
        Self { number: None, generation, gone: false, touched: None }
    }

    /// Its number, one that `files` has given or now gives.
    fn number(&mut self, files: &mut u64) -> u64 {
        *self.number.get_or_insert_with(|| {
            *files += 1;
            FIRST + *files - 1
        })
    }
}

impl Files {
    /// None was seen yet.
    pub(crate) fn new(years: Option<Years>) -> Self {
        Self { devices: HashMap::new(), mounts: HashMap::new(), by_identity: HashMap::new(), files: 0, years }
    }

    /// How a file is shown to whoever's clock says `now`, which is seldom asked.
    pub(crate) fn show(&mut self, stat: Stat, now: impl FnOnce() -> Timestamp, looked: Looked) -> Stat {
        let known = known(&mut self.by_identity, &stat);
        let ino = known.number(&mut self.files);
        let stat = match &mut self.years {
            Some(years) => {
                let touched = known.touched.get_or_insert_default();
                touched.keeps |= looked == Looked::Module;
                touched.show(stat, years, now, looked != Looked::Descriptor)
            }
            None => stat,
        };
        let seen = self.devices.len() as u32 + 1;
        let dev = rustix::fs::makedev(0, *self.devices.entry(stat.identity.dev).or_insert(seen));
        let seen = self.mounts.len() as u64 + 1;
        let mount = *self.mounts.entry(stat.mount).or_insert(seen);
        Stat { identity: Identity { dev, ino }, mount, ..stat }
    }

    /// The number of a file that is listed in a folder, and not looked at.
    pub(crate) fn number_of_listed(&mut self, file: Identity) -> u64 {
        let known = self.by_identity.entry(file).or_insert_with(|| Known::new(None));
        if known.gone {
            *known = Known::new(None);
        }
        known.number(&mut self.files)
    }

    /// Whether times are shown by a clock of the run's own.
    pub(crate) fn has_years(&self) -> bool {
        self.years.is_some()
    }

    /// The time of something that happens now: later than whatever happened before.
    pub(crate) fn stamp(&mut self, now: Timestamp) -> Timestamp {
        self.years.as_mut().map_or(now, |years| years.stamp(now))
    }

    /// This was done to a file, at a time from [`stamp`](Self::stamp).
    pub(crate) fn touch(&mut self, stat: &Stat, touch: Touch, at: Timestamp) {
        let known = known(&mut self.by_identity, stat);
        known.touched.get_or_insert_default().touch(touch, at);
        known.gone = stat.nlink == 0;
    }
}

fn known<'a>(by_identity: &'a mut HashMap<Identity, Known>, stat: &Stat) -> &'a mut Known {
    match by_identity.entry(stat.identity) {
        Entry::Vacant(place) => place.insert(Known::new(stat.generation)),
        Entry::Occupied(place) => {
            let known = place.into_mut();
            // One that was only listed so far is the one that is looked at now.
            let same = match (known.generation, stat.generation) {
                (Some(known), Some(now)) => known == now,
                _ => !known.gone || stat.nlink == 0,
            };
            if !same {
                *known = Known::new(stat.generation);
            }
            known.generation = stat.generation;
            known
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(ino: u64, born: i64) -> Stat {
        let born = Timestamp { seconds: born, nanoseconds: 0 };
        Stat {
            identity: Identity { dev: 77, ino },
            mount: 5,
            mode: 0o100_644,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: (0, 0),
            size: 0,
            blocks: 0,
            attributes: 0,
            accessed: born,
            modified: born,
            changed: born,
            born: Some(born),
            generation: Some(born),
        }
    }

    fn number(files: &mut Files, file: &Stat) -> u64 {
        files.show(file.clone(), || file.accessed, Looked::Name).identity.ino
    }

    #[test]
    fn numbers_are_given_in_the_order_of_sight() {
        let mut files = Files::new(None);
        let seen = [file(900, 1), file(5, 1), file(900, 1), file(70, 1)];
        assert_eq!(seen.each_ref().map(|file| number(&mut files, file)), [2, 3, 2, 4]);
        let shown = files.show(file(5, 1), || seen[0].accessed, Looked::Name);
        assert_eq!((shown.identity.dev, shown.mount), (1, 1));
        assert_eq!(files.number_of_listed(Identity { dev: 77, ino: 70 }), 4);
        assert_eq!(files.number_of_listed(Identity { dev: 77, ino: 71 }), 5);
        assert_eq!(number(&mut files, &file(71, 3)), 5);
    }

    #[test]
    fn a_number_that_is_used_again_is_another_file() {
        let mut files = Files::new(None);
        assert_eq!(number(&mut files, &file(7, 1)), 2);
        assert_eq!(number(&mut files, &file(7, 2)), 3);
        // Its last name goes, but somebody holds it: whoever lists the number sees another.
        let gone = Stat { nlink: 0, ..file(7, 2) };
        files.touch(&gone, Touch::Attributes, gone.accessed);
        assert_eq!(number(&mut files, &gone), 3);
        assert_eq!(files.number_of_listed(Identity { dev: 77, ino: 7 }), 4);
        assert_eq!(number(&mut files, &file(7, 3)), 4);
    }
}
