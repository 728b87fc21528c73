//! What lies in a folder: all of its entries at once, in the order of their names' bytes, and in the form in which a
//! guest wants to have them. It keeps no folder open and knows nothing of positions.
#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{RawDir, SeekFrom, seek};

use crate::Errno;
use crate::policy::Order;

/// The entries of a folder, sorted: `.` and `..`, then the others by the bytes of their names, one way or the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    names: Vec<u8>,
    entries: Vec<Item>,
    order: Order,
}

#[derive(Debug, PartialEq, Eq)]
struct Item {
    /// What decides the order of most names, so that few are compared.
    rank: Rank,
    ino: u64,
    start: usize,
    len: usize,
    kind: u8,
}

/// `.`, `..` or another; and the first bytes of the name.
type Rank = (u8, u64);

/// The form of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `struct linux_dirent` of `getdents`: the type is its last byte.
    Old,
    /// `struct linux_dirent64` of `getdents64`.
    New,
}

/// What the kernel fills in one go.
const BUFFER: usize = 32 << 10;
/// What is asked of the kernel in one go, however much room a guest has.
const MOST: usize = 1 << 20;
/// Number and position, before the length.
const LENGTH_AT: usize = 16;

impl Layout {
    /// Where the name begins.
    const fn name_at(self) -> usize {
        match self {
            Self::Old => LENGTH_AT + 2,
            Self::New => LENGTH_AT + 3,
        }
    }

    /// The length of an entry whose name has so many bytes: with its zero, and in `getdents` the type.
    const fn length(self, name: usize) -> usize {
        let end = match self {
            Self::Old => self.name_at() + name + 2,
            Self::New => self.name_at() + name + 1,
        };
        end.next_multiple_of(8)
    }
}

impl Listing {
    /// All that an open folder has. Moves its position.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn of(folder: impl AsFd, order: Order) -> Result<Self, Errno> {
        seek(&folder, SeekFrom::Start(0))?;
        let mut listing = Self { names: Vec::new(), entries: Vec::new(), order };
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut raw = RawDir::new(folder, &mut buffer);
        while let Some(entry) = raw.next() {
            let entry = entry?;
            listing.push(entry.file_name().to_bytes(), entry.ino(), kind(entry.file_type()));
        }
        listing.sort();
        Ok(listing)
    }

    /// Entries that lie in no folder, each with its number and its type (`DT_DIR`).
    pub(crate) fn made_up(entries: &[(&[u8], u64, u8)], order: Order) -> Self {
        let mut listing = Self { names: Vec::new(), entries: Vec::new(), order };
        for (name, ino, kind) in entries {
            listing.push(name, *ino, *kind);
        }
        listing.sort();
        listing
    }

    /// What the kernel gives next, in its own order, as much as there is room for; with the position after each entry.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn next(folder: impl AsFd, room: usize) -> Result<(Self, Vec<u64>), Errno> {
        let mut listing = Self { names: Vec::new(), entries: Vec::new(), order: Order::default() };
        let mut positions = Vec::new();
        let mut buffer = vec![MaybeUninit::uninit(); room.min(MOST)];
        let mut raw = RawDir::new(folder, &mut buffer);
        while let Some(entry) = raw.next() {
            let entry = entry?;
            listing.push(entry.file_name().to_bytes(), entry.ino(), kind(entry.file_type()));
            positions.push(entry.next_entry_cookie());
            if raw.is_buffer_empty() {
                break;
            }
        }
        Ok((listing, positions))
    }

    /// What `number` says of the number of each entry, asked in the order of their names.
    pub(crate) fn in_order(&self, mut number: impl FnMut(u64) -> u64) -> HashMap<u64, u64> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_unstable_by_key(|entry| (entry.rank, named(&self.names, entry)));
        entries.into_iter().map(|entry| (entry.ino, number(entry.ino))).collect()
    }

    fn push(&mut self, name: &[u8], ino: u64, kind: u8) {
        let mut first = [0; 8];
        let known = name.len().min(first.len());
        first[..known].copy_from_slice(&name[..known]);
        let class = match name {
            b"." => 0,
            b".." => 1,
            _ => 2,
        };
        let rank = (class, u64::from_be_bytes(first));
        self.entries.push(Item { rank, ino, start: self.names.len(), len: name.len(), kind });
        self.names.extend_from_slice(name);
    }

    fn sort(&mut self) {
        let names = &self.names;
        let order = self.order;
        self.entries.sort_unstable_by(|one, other| {
            compare(order, one.rank, other.rank, || named(names, one).cmp(named(names, other)))
        });
        // Equal listings are then equal in their bytes.
        let mut sorted = Vec::with_capacity(self.names.len());
        for entry in &mut self.entries {
            let start = sorted.len();
            sorted.extend_from_slice(named(&self.names, entry));
            entry.start = start;
        }
        self.names = sorted;
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The memory that it takes, roughly.
    pub(crate) fn size(&self) -> usize {
        self.names.len() + self.entries.len() * size_of::<Item>()
    }

    /// The name of an entry.
    pub(crate) fn name(&self, index: usize) -> Option<&[u8]> {
        self.entries.get(index).map(|entry| named(&self.names, entry))
    }

    /// Where the entries begin that come after one of this name, whether it is there or not.
    pub(crate) fn after(&self, name: &[u8]) -> usize {
        let mut one = Self::made_up(&[(name, 0, 0)], self.order);
        let Some(sought) = one.entries.pop() else { return 0 };
        self.entries.partition_point(|entry| {
            let by_name = || named(&self.names, entry).cmp(name);
            compare(self.order, entry.rank, sought.rank, by_name) != Ordering::Greater
        })
    }

    /// The entries from `first` on, as many as there is room for. The position of each is what `position` says of the
    /// entry after it.
    pub(crate) fn encode(
        &self,
        layout: Layout,
        first: usize,
        room: usize,
        position: impl Fn(usize) -> u64,
        mut number: impl FnMut(u64) -> u64,
    ) -> Vec<u8> {
        let entries = self.entries.get(first..).unwrap_or_default();
        // Whoever says that there is room for gigabytes gets no more than there is.
        let least = layout.length(1);
        let mut bytes = Vec::with_capacity(room.min(entries.len().saturating_mul(least + 24)));
        for (index, entry) in entries.iter().enumerate() {
            let length = layout.length(entry.len);
            if bytes.len() + length > room {
                break;
            }
            let Ok(reclen) = u16::try_from(length) else { break };
            let end = bytes.len() + length;
            bytes.extend_from_slice(&number(entry.ino).to_ne_bytes());
            bytes.extend_from_slice(&position(first + index + 1).to_ne_bytes());
            bytes.extend_from_slice(&reclen.to_ne_bytes());
            if layout == Layout::New {
                bytes.push(entry.kind);
            }
            bytes.extend_from_slice(named(&self.names, entry));
            bytes.resize(end, 0);
            if layout == Layout::Old
                && let Some(last) = bytes.last_mut()
            {
                *last = entry.kind;
            }
        }
        bytes
    }
}

/// How many entries lie whole in the first `len` of these bytes, and how long those are.
pub(crate) fn whole(bytes: &[u8], len: usize) -> (usize, usize) {
    let (mut entries, mut end) = (0, 0);
    while let Some(reclen) = bytes.get(end + LENGTH_AT..).and_then(|rest| rest.first_chunk()) {
        let next = end + usize::from(u16::from_ne_bytes(*reclen));
        if next > len || next == end {
            break;
        }
        entries += 1;
        end = next;
    }
    (entries, end)
}

/// What the kernel says to whoever asks for nothing: why this can't be listed; `EINVAL` if it can, and there is something;
/// nothing if there is not.
pub(crate) fn ask_for_nothing(descriptor: impl AsFd) -> Result<(), Errno> {
    let mut nothing: [MaybeUninit<u8>; 0] = [];
    match RawDir::new(descriptor, &mut nothing).next() {
        Some(Err(errno)) => Err(errno.into()),
        _ => Ok(()),
    }
}

/// `.` and `..` come first whatever the order.
fn compare(order: Order, one: Rank, other: Rank, by_name: impl FnOnce() -> Ordering) -> Ordering {
    let by_bytes = || one.1.cmp(&other.1).then_with(by_name);
    one.0.cmp(&other.0).then_with(|| match order {
        Order::Sorted => by_bytes(),
        Order::Reversed => by_bytes().reverse(),
    })
}

fn named<'a>(names: &'a [u8], entry: &Item) -> &'a [u8] {
    names.get(entry.start..entry.start + entry.len).unwrap_or_default()
}

fn kind(kind: rustix::fs::FileType) -> u8 {
    use rustix::fs::FileType;
    match kind {
        FileType::RegularFile => libc::DT_REG,
        FileType::Directory => libc::DT_DIR,
        FileType::Symlink => libc::DT_LNK,
        FileType::Fifo => libc::DT_FIFO,
        FileType::Socket => libc::DT_SOCK,
        FileType::CharacterDevice => libc::DT_CHR,
        FileType::BlockDevice => libc::DT_BLK,
        FileType::Unknown => libc::DT_UNKNOWN,
    }
}
