//! What a file says of itself, and the forms in which a guest wants to know it: `struct stat`, `struct statx`,
//! `struct statfs`. It looks no file up by a path.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, StatFs, Statx, StatxFlags, StatxTimestamp, fstatfs, makedev, statx};

use super::pinned::Identity;
use crate::Errno;
use crate::policy::Timestamp;

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) identity: Identity,
    /// The mount that it was reached through, by a number that is not used again.
    pub(crate) mount: u64,
    pub(crate) mode: u16,
    pub(crate) nlink: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) rdev: (u32, u32),
    pub(crate) size: u64,
    pub(crate) blocks: u64,
    pub(crate) attributes: u64,
    pub(crate) accessed: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) changed: Timestamp,
    /// When it was made, where the file system knows.
    pub(crate) born: Option<Timestamp>,
    /// The same, if it tells the file from one that has its number later.
    pub(crate) generation: Option<Timestamp>,
}

/// `STATX_MNT_ID_UNIQUE`, of Linux 6.8.
pub(crate) const MOUNT_ID: u32 = 0x4000;
/// `OVERLAYFS_SUPER_MAGIC`.
const OVERLAYFS: i64 = 0x794c_7630;
/// The size of a page, of a block, and of a folder.
const BLOCK: u64 = 4096;
/// The attributes that are the file's and not its file system's: those that `chattr` sets, and whether it is mounted on.
const ATTRIBUTES: u64 =
    (libc::STATX_ATTR_IMMUTABLE | libc::STATX_ATTR_APPEND | libc::STATX_ATTR_NODUMP | MOUNT_ROOT) as u64;
const MOUNT_ROOT: i32 = 0x2000;

impl Stat {
    /// What this open file says. `sync` are the `AT_STATX_*` flags.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(crate) fn of(file: impl AsFd, sync: u32) -> Result<Self, Errno> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::from_bits_retain(sync);
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::from_bits_retain(MOUNT_ID);
        let stat = Self::from(&statx(&file, c"", flags, wanted)?);
        Ok(if is_overlay(file, stat.identity.dev) { Self { generation: None, ..stat } } else { stat })
    }

    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode.into())
    }

    /// The same, but for what a file system decides: how many blocks a file takes, how large a folder is.
    pub(crate) fn of_no_file_system(self) -> Self {
        let (size, nlink) = match self.kind() {
            // Also the number of a folder's links is not counted by all of them: 1 says so.
            FileType::Directory => (BLOCK, 1),
            _ => (self.size, self.nlink),
        };
        let blocks = match self.kind() {
            FileType::Directory | FileType::RegularFile => size.div_ceil(BLOCK).saturating_mul(BLOCK / 512),
            _ => 0,
        };
        Self { size, nlink, blocks, attributes: self.attributes & ATTRIBUTES, ..self }
    }

    /// `struct stat`.
    pub(crate) fn encode(&self) -> [u8; 144] {
        let mut form = Form([0; 144]);
        form.u64(0, self.identity.dev);
        form.u64(8, self.identity.ino);
        form.u64(16, self.nlink.into());
        form.u32(24, self.mode.into());
        form.u32(28, self.uid);
        form.u32(32, self.gid);
        form.u64(40, makedev(self.rdev.0, self.rdev.1));
        form.u64(48, self.size);
        form.u64(56, BLOCK);
        form.u64(64, self.blocks);
        for (at, time) in [(72, self.accessed), (88, self.modified), (104, self.changed)] {
            form.u64(at, time.seconds.cast_unsigned());
            form.u64(at + 8, time.nanoseconds.into());
        }
        form.0
    }

    /// `struct statx`, as much of it as `mask` asks for.
    pub(crate) fn encode_x(&self, mask: u32) -> [u8; 256] {
        let mut form = Form([0; 256]);
        let born = self.born.filter(|_| mask & libc::STATX_BTIME != 0);
        let mount = if mask & MOUNT_ID != 0 { MOUNT_ID } else { libc::STATX_MNT_ID };
        let told = libc::STATX_BASIC_STATS | mount | if born.is_some() { libc::STATX_BTIME } else { 0 };
        form.u32(0, told);
        form.u32(4, BLOCK as u32);
        form.u64(8, self.attributes);
        form.u32(16, self.nlink);
        form.u32(20, self.uid);
        form.u32(24, self.gid);
        form.u32(28, self.mode.into());
        form.u64(32, self.identity.ino);
        form.u64(40, self.size);
        form.u64(48, self.blocks);
        form.u64(56, ATTRIBUTES);
        let times =
            [(64, Some(self.accessed)), (80, born), (96, Some(self.changed)), (112, Some(self.modified))];
        for (at, time) in times {
            let Some(time) = time else { continue };
            form.u64(at, time.seconds.cast_unsigned());
            form.u32(at + 8, time.nanoseconds);
        }
        form.u32(128, self.rdev.0);
        form.u32(132, self.rdev.1);
        form.u32(136, rustix::fs::major(self.identity.dev));
        form.u32(140, rustix::fs::minor(self.identity.dev));
        form.u64(144, self.mount);
        form.0
    }
}

/// Whether a file lies on an overlay, where it is made anew when it is written to for the first time, and stays the same.
fn is_overlay(file: impl AsFd, dev: u64) -> bool {
    thread_local! {
        static KNOWN: RefCell<HashMap<u64, bool>> = RefCell::default();
    }
    // It is no block device's.
    rustix::fs::major(dev) == 0
        && KNOWN.with_borrow_mut(|known| {
            *known.entry(dev).or_insert_with(|| fstatfs(file).is_ok_and(|of| of.f_type == OVERLAYFS))
        })
}

impl From<&Statx> for Stat {
    fn from(stat: &Statx) -> Self {
        let has_born = stat.stx_mask & libc::STATX_BTIME != 0;
        let time = |time: StatxTimestamp| Timestamp { seconds: time.tv_sec, nanoseconds: time.tv_nsec };
        Self {
            identity: Identity { dev: makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino },
            mount: stat.stx_mnt_id,
            mode: stat.stx_mode,
            nlink: stat.stx_nlink,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            rdev: (stat.stx_rdev_major, stat.stx_rdev_minor),
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            attributes: stat.stx_attributes.bits(),
            accessed: time(stat.stx_atime),
            modified: time(stat.stx_mtime),
            changed: time(stat.stx_ctime),
            born: has_born.then(|| time(stat.stx_btime)),
            generation: has_born.then(|| time(stat.stx_btime)),
        }
    }
}

/// `struct statfs` of a file system with half of its room free, always the same.
pub(crate) fn encode_file_system(real: &StatFs) -> [u8; 120] {
    const BLOCKS: u64 = 1 << 28;
    const FILES: u64 = 1 << 26;
    let mut form = Form([0; 120]);
    form.u64(0, real.f_type.cast_unsigned());
    form.u64(8, BLOCK);
    // One without blocks, such as procfs, has none.
    if real.f_blocks > 0 {
        for (at, number) in [(16, BLOCKS), (24, BLOCKS / 2), (32, BLOCKS / 2), (40, FILES), (48, FILES / 2)] {
            form.u64(at, number);
        }
    }
    form.u64(64, real.f_namelen.cast_unsigned());
    form.u64(72, BLOCK);
    form.u64(80, real.f_flags.cast_unsigned());
    form.0
}

struct Form<const SIZE: usize>([u8; SIZE]);

impl<const SIZE: usize> Form<SIZE> {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn u32(&mut self, at: usize, number: u32) {
        self.put(at, &number.to_ne_bytes());
    }

    fn u64(&mut self, at: usize, number: u64) {
        self.put(at, &number.to_ne_bytes());
    }
}
