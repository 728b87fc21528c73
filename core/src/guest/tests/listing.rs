//! Listings: their order, their form, and what a hostile size makes of it.
#![forbid(unsafe_code)]

use rustix::fs::{CWD, Mode, OFlags, SeekFrom, openat, seek};

use crate::Errno;
use crate::guest::listing::{Layout, Listing, ask_for_nothing, whole};
use crate::policy::Order;

const FILE: u8 = libc::DT_REG;

fn listing(names: &[&str]) -> Listing {
    let entries: Vec<_> = (1..).zip(names).map(|(ino, name)| (name.as_bytes(), ino, FILE)).collect();
    Listing::made_up(&entries, Order::Sorted)
}

/// The names in encoded entries.
fn names(layout: Layout, mut bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(u16::from_ne_bytes([bytes[16], bytes[17]]));
        assert_eq!(length % 8, 0);
        let (entry, rest) = bytes.split_at(length);
        let name = &entry[if layout == Layout::New { 19 } else { 18 }..];
        let end = name.iter().position(|byte| *byte == 0).unwrap();
        assert_eq!(entry[if layout == Layout::New { 18 } else { length - 1 }], FILE);
        names.push(String::from_utf8(name[..end].to_vec()).unwrap());
        bytes = rest;
    }
    names
}

#[test]
fn names_are_in_the_order_of_their_bytes() {
    let longest = "x".repeat(255);
    let given = ["b", "..", "abcdefghi", &longest, "abcdefgh", ".a", ".", "B", "abcdefgha", "é", "-"];
    let mut wanted = given.to_vec();
    wanted.sort_unstable();
    let dots = ["-", ".", ".."].map(|name| wanted.iter().position(|known| *known == name).unwrap());
    wanted.remove(dots[2]);
    wanted.remove(dots[1]);
    wanted.splice(..0, [".", ".."]);
    let listing = listing(&given);
    for layout in [Layout::Old, Layout::New] {
        let bytes = listing.encode(layout, 0, usize::MAX, |index| index as u64, |ino| ino);
        assert_eq!(names(layout, &bytes), wanted);
    }
}

#[test]
fn an_entry_is_given_whole_or_not_at_all() {
    let names_given: Vec<String> = (0..40).map(|len| "n".repeat(1 + len * 6)).collect();
    let listing = listing(&names_given.iter().map(String::as_str).collect::<Vec<_>>());
    for layout in [Layout::Old, Layout::New] {
        let all = listing.encode(layout, 0, usize::MAX, |index| index as u64, |ino| ino);
        assert_eq!(whole(&all, all.len()), (40, all.len()));
        for room in 0..all.len() {
            let some = listing.encode(layout, 0, room, |index| index as u64, |ino| ino);
            assert!(some.len() <= room && all.starts_with(&some));
            // As much as was written of all is as much as there was room for.
            let (entries, length) = whole(&all, room);
            assert_eq!(length, some.len());
            assert_eq!(names(layout, &some).len(), entries);
            let rest = listing.encode(layout, entries, usize::MAX, |index| index as u64, |ino| ino);
            assert_eq!([some, rest].concat(), all);
        }
        assert!(listing.encode(layout, 41, usize::MAX, |_| 0, |ino| ino).is_empty());
        assert!(listing.encode(layout, usize::MAX, 100, |_| 0, |ino| ino).is_empty());
    }
}

#[test]
fn one_goes_on_after_a_name_that_is_gone() {
    let listing = listing(&[".", "..", "b", "d"]);
    let after = ["", ".", "..", "a", "b", "c", "d", "e"].map(|name| listing.after(name.as_bytes()));
    assert_eq!(after, [2, 1, 2, 2, 3, 3, 4, 4]);
}

#[test]
fn foreign_bytes_have_no_entries() {
    assert_eq!(whole(&[], 100), (0, 0));
    assert_eq!(whole(&[0; 64], 64), (0, 0));
    assert_eq!(whole(&[0xff; 64], usize::MAX), (1, 0xffff));
}

#[test]
fn a_real_folder_is_read_whole_from_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..2000 {
        std::fs::write(folder.path().join(number.to_string()), "").unwrap();
    }
    let open = || openat(CWD, folder.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let fd = open();
    let first = Listing::of(&fd, Order::Sorted).unwrap();
    assert_eq!(first.len(), 2002);
    seek(&fd, SeekFrom::Start(1234)).unwrap();
    assert_eq!(Listing::of(&fd, Order::Sorted).unwrap(), first);
    assert_eq!(ask_for_nothing(open()), Err(Errno::EINVAL));
    assert_eq!(ask_for_nothing(std::fs::File::open("/dev/null").unwrap()), Err(Errno::ENOTDIR));
    let path = openat(CWD, folder.path(), OFlags::PATH, Mode::empty()).unwrap();
    assert_eq!(ask_for_nothing(path), Err(Errno::EBADF));
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(ask_for_nothing(fd), Err(Errno::ENOENT));
}

#[test]
fn the_other_way_round_whoever_reads_goes_on_as_well() {
    let entries: Vec<_> =
        ["b", "..", "c", "a", "."].iter().zip(1..).map(|(name, ino)| (name.as_bytes(), ino, FILE)).collect();
    let reversed = Listing::made_up(&entries, Order::Reversed);
    let bytes = reversed.encode(Layout::New, 0, usize::MAX, |index| index as u64, |ino| ino);
    assert_eq!(names(Layout::New, &bytes), [".", "..", "c", "b", "a"]);
    assert_eq!(["..", "c", "bb", "a"].map(|name| reversed.after(name.as_bytes())), [2, 3, 3, 5]);
}
