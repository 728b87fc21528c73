//! Folders, listed in the order of the names' bytes.
//!
//! A listing is read whole, through the guest's own descriptor, when its position is 0: so it is what the guest could
//! list. From then on the position of that descriptor counts entries, and the kernel keeps it, shared between whoever
//! shares the descriptor. A folder that was changed and listed anew goes on counting where the listing before it ended,
//! so that a position says to which listing it belongs, and each name that stays is listed once.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, SeekFrom, seek};

use super::{Answer, Calls, Capability, Proof, Rule, Stage, StartError, Then};
use crate::guest::Identity;
use crate::guest::listing::{Layout, Listing, ask_for_nothing, whole};
use crate::guest::stat::Stat;
use crate::policy::{Order, Timestamp};
use crate::supervisor::call::Call;
use crate::sys::probe::{Expect, ProbeArg};
use crate::syscall::{Sysno, family};
use crate::trace::{Grounds, Place};
use crate::{Errno, NotifAction, Policy, Syscall};

pub(super) struct Directories {
    order: Order,
    folders: Mutex<Folders>,
}

/// What is kept of the listings that were given: as many of the last ones as there is room for.
#[derive(Debug, Default)]
struct Folders {
    by_identity: HashMap<Identity, Folder>,
    /// What the listings take.
    size: usize,
    /// Counts uses.
    uses: u64,
}

#[derive(Debug)]
struct Folder {
    /// When it was made: a number may be given to another folder.
    born: Born,
    listings: Vec<Kept>,
    /// The first position that belongs to no listing.
    next: u64,
}

type Born = Option<Timestamp>;

/// A listing whose first entry has the position `base`.
#[derive(Debug)]
struct Kept {
    base: u64,
    len: usize,
    listing: Option<Arc<Listing>>,
    /// Where those that read it stand, the last ones: with the name that they had last, once the listing is gone.
    readers: Vec<(usize, Vec<u8>)>,
    used: u64,
}

/// What all listings may take together.
const ROOM: usize = 64 << 20;
/// The last position that every file system takes (`MAX_NON_LFS`).
const LAST: u64 = i32::MAX as u64;
/// How many readers of one listing, and listings of one folder, are remembered.
const MOST: usize = 64;

impl Folders {
    /// The listing that the position `at` belongs to, where it begins, and the entry that comes next.
    fn at(
        &mut self,
        folder: Identity,
        born: Born,
        at: u64,
        read: impl FnOnce() -> Result<Listing, Errno>,
    ) -> Result<(Arc<Listing>, u64, usize), Errno> {
        self.uses += 1;
        let uses = self.uses;
        let known = self.by_identity.get_mut(&folder).filter(|known| known.born == born);
        let mut index = usize::try_from(at).unwrap_or(usize::MAX);
        let mut last_name = None;
        if at > 0
            && let Some(known) = known
        {
            let kept =
                known.listings.iter_mut().find(|kept| at > kept.base && at - kept.base <= kept.len as u64);
            if let Some(kept) = kept {
                index = (at - kept.base) as usize;
                kept.used = uses;
                if let Some(listing) = &kept.listing {
                    return Ok((Arc::clone(listing), kept.base, index));
                }
                last_name = kept.readers.iter().find(|(reader, _)| *reader == index).cloned();
            }
        }
        let listing = read()?;
        if let Some((_, name)) = last_name {
            index = listing.after(&name);
        }
        let (listing, base) = self.keep(folder, born, listing);
        let index = index.min(listing.len());
        Ok((listing, base, index))
    }

    /// Keeps a listing: as the one that is already there, if nothing has changed.
    fn keep(&mut self, identity: Identity, born: Born, listing: Listing) -> (Arc<Listing>, u64) {
        let fresh = || Folder { born, listings: Vec::new(), next: 0 };
        let folder = self.by_identity.entry(identity).or_insert_with(fresh);
        if folder.born != born || folder.next + listing.len() as u64 >= LAST {
            self.size -= folder.size();
            *folder = fresh();
        }
        if let Some(kept) = folder.listings.last_mut()
            && let Some(known) = &kept.listing
            && **known == listing
        {
            kept.used = self.uses;
            return (Arc::clone(known), kept.base);
        }
        let (base, len) = (folder.next, listing.len());
        let listing = Arc::new(listing);
        folder.next += len as u64 + 1;
        if folder.listings.len() >= MOST {
            self.size -= folder.listings.remove(0).size();
        }
        self.size += listing.size();
        let kept = Some(Arc::clone(&listing));
        folder.listings.push(Kept { base, len, listing: kept, readers: Vec::new(), used: self.uses });
        self.make_room();
        (listing, base)
    }

    /// Whoever stood before `from` stands before `to` now.
    fn moved(&mut self, folder: Identity, base: u64, from: usize, to: usize) {
        let Some(folder) = self.by_identity.get_mut(&folder) else { return };
        let Some(kept) = folder.listings.iter_mut().find(|kept| kept.base == base) else { return };
        if let Some(place) = kept.readers.iter().position(|(reader, _)| *reader == from) {
            kept.readers.remove(place);
        }
        if to < kept.len {
            if kept.readers.len() >= MOST {
                kept.readers.remove(0);
            }
            kept.readers.push((to, Vec::new()));
        }
    }

    /// Gives up the listings that were used longest ago. Whoever is in the midst of one goes on after the name that he
    /// had last; a folder in whose midst nobody is, is forgotten.
    fn make_room(&mut self) {
        if self.size <= ROOM {
            return;
        }
        // Half of them at once, or each new listing would look for one to give up.
        let all = self.by_identity.values().flat_map(|folder| &folder.listings);
        let mut held: Vec<_> =
            all.filter_map(|kept| Some((kept.used, kept.listing.as_ref()?.size()))).collect();
        held.sort_unstable();
        let mut rest = self.size;
        let oldest = held.into_iter().find_map(|(used, size)| {
            rest -= size;
            (rest <= ROOM / 2).then_some(used)
        });
        // The one that is being used stays.
        let until = oldest.unwrap_or(self.uses).min(self.uses.saturating_sub(1));
        let size = &mut self.size;
        self.by_identity.retain(|_, folder| {
            for kept in folder.listings.iter_mut().filter(|kept| kept.used <= until) {
                *size -= kept.give_up();
            }
            folder.listings.iter().any(|kept| kept.listing.is_some() || !kept.readers.is_empty())
        });
    }
}

impl Folder {
    fn size(&self) -> usize {
        self.listings.iter().map(Kept::size).sum()
    }
}

impl Kept {
    /// How much memory that gave back.
    fn give_up(&mut self) -> usize {
        let Some(listing) = self.listing.take() else { return 0 };
        for (reader, name) in &mut self.readers {
            let last = reader.checked_sub(1).and_then(|last| listing.name(last));
            *name = last.unwrap_or_default().to_vec();
        }
        listing.size()
    }

    fn size(&self) -> usize {
        self.listing.as_ref().map_or(0, |listing| listing.size())
    }
}

impl Directories {
    fn list(&self, call: &mut Call) -> Answer {
        match self.listed(call) {
            Ok(length) => Answer::Done(NotifAction::ReturnValue(length)),
            Err(errno) => Answer::kernel(errno),
        }
    }

    fn listed(&self, call: &mut Call) -> Result<i64, Errno> {
        let layout = if call.syscall().name() == "getdents" { Layout::Old } else { Layout::New };
        // As the kernel, which takes the size for a signed number.
        let room = usize::try_from(call.arg(2) as i32).unwrap_or(0);
        if call.place() == Ok(Place::probe()) {
            let bytes = probed(self.order).encode(layout, 0, room, |index| index as u64, |ino| ino);
            return call.write_some(call.arg(1), &bytes).map(|written| written as i64);
        }
        let folder = call.listed_descriptor(call.arg(0) as i32)?;
        let stat = Stat::of(&folder, 0)?;
        if stat.kind() != FileType::Directory || stat.nlink == 0 {
            // Something else, or a folder that was removed.
            return ask_for_nothing(&folder).map(|()| 0);
        }
        let (identity, born) = (stat.identity, stat.generation);
        let at = seek(&folder, SeekFrom::Current(0))?;

        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let found = folders.at(identity, born, at, || Listing::of(&folder, self.order));
        let (listing, base, first) = found.inspect_err(|_| back(&folder, at))?;
        let bytes = call.with_numbers(identity.dev, |number| {
            listing.encode(layout, first, room, |index| base + index as u64, number)
        });
        if bytes.is_empty() && first < listing.len() {
            back(&folder, at);
            return Err(Errno::EINVAL);
        }
        let written = call.write_some(call.arg(1), &bytes).inspect_err(|_| back(&folder, at))?;
        let (entries, length) = whole(&bytes, written);
        if length < bytes.len() && entries == 0 {
            back(&folder, at);
            return Err(Errno::EFAULT);
        }
        folders.moved(identity, base, first, first + entries);
        seek(&folder, SeekFrom::Start(base + (first + entries) as u64))?;
        Ok(length as i64)
    }
}

/// The descriptor stands where it stood.
fn back(folder: &OwnedFd, at: u64) {
    let _ = seek(folder.as_fd(), SeekFrom::Start(at));
}

/// What the probe finds, whichever descriptor it names.
fn probed(order: Order) -> Listing {
    Listing::made_up(&[(b"b", 2, libc::DT_REG), (b"..", 1, libc::DT_DIR), (b"a", 3, libc::DT_LNK)], order)
}

impl Capability for Directories {
    const NAME: &'static str = "directories";
    const STAGE: Stage = Stage::Synthesize;
    const PROMISE: &'static str = "A folder is listed in the order of the names' bytes, whatever order the file system has, \
        with positions that count entries.";
    const RULES: &'static [Rule<Self>] = &[Rule {
        calls: Calls::Family(&family::GETDENTS),
        when: &[],
        then: Then::Ask { by: Self::list, grounds: Grounds::Emulated },
        doc: "lists in order what the guest's own descriptor leads to",
    }];

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        Ok(policy.directories.map(|order| Self { order, folders: Mutex::default() }))
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        let expected = probed(self.order).encode(Layout::New, 0, usize::MAX, |index| index as u64, |ino| ino);
        let number = |number: u64| ProbeArg::Number(number);
        let room = [0; 96];
        let args = [number(u64::MAX), ProbeArg::memory(&room), number(96), number(0), number(0), number(0)];
        let expect = Expect { result: expected.len() as i64, memory: Some((1, 0, expected)) };
        proof.expect(Syscall::of(Sysno::getdents64), args, expect, "getdents64", "three names in order");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: Identity = Identity { dev: 1, ino: 2 };
    const BORN: Born = born(1);

    const fn born(seconds: i64) -> Born {
        Some(Timestamp { seconds, nanoseconds: 0 })
    }

    fn listing(names: &[&str]) -> Listing {
        let entries: Vec<_> = names.iter().map(|name| (name.as_bytes(), 1, libc::DT_REG)).collect();
        Listing::made_up(&entries, Order::Sorted)
    }

    /// Reads `count` names on from `at`.
    fn read(folders: &mut Folders, at: &mut u64, count: usize, now: &[&str]) -> Vec<String> {
        let (listing, base, first) = folders.at(FOLDER, BORN, *at, || Ok(listing(now))).unwrap();
        let until = (first + count).min(listing.len());
        folders.moved(FOLDER, base, first, until);
        *at = base + until as u64;
        (first..until)
            .map(|index| String::from_utf8(listing.name(index).unwrap().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_listing_that_nothing_has_changed_counts_from_the_start() {
        let mut folders = Folders::default();
        for _ in 0..3 {
            let mut at = 0;
            assert_eq!(read(&mut folders, &mut at, 2, &["a", "b", "c"]), ["a", "b"]);
            assert_eq!(at, 2);
            assert_eq!(read(&mut folders, &mut at, 2, &["a", "b", "c"]), ["c"]);
            assert!(read(&mut folders, &mut at, 2, &["a", "b", "c"]).is_empty());
        }
    }

    #[test]
    fn whoever_reads_goes_on_in_what_he_began() {
        let mut folders = Folders::default();
        let (mut one, mut other) = (0, 0);
        assert_eq!(read(&mut folders, &mut one, 1, &["a", "b", "c"]), ["a"]);
        assert_eq!(read(&mut folders, &mut other, 1, &["c", "d"]), ["c"]);
        assert_eq!(read(&mut folders, &mut one, 5, &["c", "d"]), ["b", "c"]);
        assert_eq!(read(&mut folders, &mut other, 5, &["c", "d"]), ["d"]);
    }

    #[test]
    fn whose_listing_was_given_up_goes_on_after_the_name_that_he_had() {
        let mut folders = Folders::default();
        let mut at = 0;
        assert_eq!(read(&mut folders, &mut at, 2, &["a", "b", "c", "d"]), ["a", "b"]);
        folders.size += ROOM;
        folders.uses += 1;
        folders.make_room();
        assert_eq!(read(&mut folders, &mut at, 2, &["b", "c", "d"]), ["c", "d"]);
        // In whose midst nobody is, is forgotten.
        assert!(read(&mut folders, &mut at, 2, &["b", "c", "d"]).is_empty());
        for kept in folders.by_identity.values_mut().flat_map(|folder| &mut folder.listings) {
            kept.readers.clear();
        }
        folders.uses += 1;
        folders.make_room();
        assert!(folders.by_identity.is_empty());
    }

    #[test]
    fn a_folder_with_the_number_of_one_that_is_gone_counts_anew() {
        let mut folders = Folders::default();
        let mut at = 0;
        read(&mut folders, &mut at, 9, &["a", "b"]);
        let (_, base, first) = folders.at(FOLDER, born(2), 0, || Ok(listing(&["c"]))).unwrap();
        assert_eq!((base, first), (0, 0));
        // A position that no listing of it has is the end.
        let (listing, _, first) = folders.at(FOLDER, born(2), 77, || Ok(listing(&["c"]))).unwrap();
        assert_eq!(first, listing.len());
    }

    #[test]
    fn positions_stay_within_what_file_systems_take() {
        let mut folders = Folders::default();
        folders.at(FOLDER, BORN, 0, || Ok(listing(&["a"]))).unwrap();
        folders.by_identity.get_mut(&FOLDER).unwrap().next = LAST - 2;
        let (_, base, _) = folders.at(FOLDER, BORN, 0, || Ok(listing(&["a", "b"]))).unwrap();
        assert_eq!(base, 0);
    }
}
