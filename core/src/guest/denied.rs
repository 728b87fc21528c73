//! The files that no guest may touch, by whatever name.
//!
//! A denied file is known by its identity, so its hard links and new names are denied as well. A denied folder covers
//! what lies beneath it now, wherever it was moved to, and every file that lay in it at the start and had a further
//! hard link elsewhere. A denied path that doesn't exist covers what is created there later, and a denied name covers
//! what replaces its file. Every denied object is held open: its inode's number can't come to mean another file. (The
//! files with further hard links are not held; should all links of one be removed, its number may deny another file.)
//!
//! A folder is told by its name at the moment of asking. Whoever renames a folder above it between two questions could
//! confuse that; guests can't, if their renames are refused where [`covers_entry`](Denied::covers_entry) says so.
//!
//! What it costs, in kernel calls: none for a file that is known by its identity; otherwise one `readlink` for the
//! file, one for each folder that is denied, and one for each other place whose denied name stands in the file's path.
//! Nothing is remembered between calls.
//!
//! A folder that is mounted at several places at the start is denied at all of them that the supervisor can see in
//! its mount table. Guests can't mount.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat, statat};

use super::change::Entry;
use super::mounts;
use super::pinned::{FileKind, Identity, Pinned, identity};
use super::resolve::Found;
use crate::Errno;

/// How many entries of denied folders are looked through for hard links.
const ENTRIES: usize = 100_000;
/// How many links one denied path may lead through.
const LINKS: usize = 40;
const SYSFS_MAGIC: i64 = 0x6265_6572;

/// The files that no guest may touch.
#[derive(Debug, Default)]
pub struct Denied {
    places: Vec<Place>,
    held: Vec<Pinned>,
    known: HashSet<Identity>,
    unscanned: Vec<PathBuf>,
    entries: usize,
}

/// Paths that are denied, each with all beneath it.
#[derive(Debug)]
struct Place {
    /// A folder that exists.
    anchor: Pinned,
    /// What is denied in it; empty: the folder itself.
    rests: Vec<Vec<u8>>,
}

/// Why a path can't be denied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeniedError {
    /// It could not be looked at.
    #[error("the denied path {} can't be looked at: {errno}", path.display())]
    Unreachable {
        /// The path.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// `..` behind a component that doesn't exist: it is open what that will mean.
    #[error("the denied path {} has `..` behind a folder that doesn't exist", path.display())]
    Unclear {
        /// The path.
        path: PathBuf,
    },
    /// The denied folders hold too much to be looked through for hard links.
    #[error("the denied folder {} holds more than {limit} entries, too many to look for hard links", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// How many entries all denied folders may hold together.
        limit: usize,
    },
}

impl Denied {
    /// Denies these paths, as they are now. To be built before guests run, on a thread that Landlock doesn't confine,
    /// of the process and descriptor table that will ask.
    ///
    /// # Errors
    /// [`DeniedError`].
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, DeniedError> {
        let mut denied = Self::default();
        for path in paths {
            let path = path.as_ref();
            let path = std::path::absolute(path)
                .map_err(|error| DeniedError::Unreachable { path: path.into(), errno: Errno::of(&error) })?;
            denied.add(&path, LINKS)?;
        }
        denied.add_aliases()?;
        Ok(denied)
    }

    /// Whether nothing is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What could not be looked at for want of permission. It is denied by its name; files in it may have hard links
    /// elsewhere that are not known.
    #[must_use]
    pub fn unscanned(&self) -> &[PathBuf] {
        &self.unscanned
    }

    /// Whether this file is denied.
    ///
    /// # Errors
    /// What `readlink` gives. To be taken for a yes.
    pub fn covers(&self, file: &Pinned) -> Result<bool, Errno> {
        if self.known.contains(&file.identity()) {
            return Ok(true);
        }
        if self.places.is_empty() { Ok(false) } else { self.covers_path(&file.path()?) }
    }

    /// Whether a file is denied that a process has mapped, by what the kernel tells of the mapping.
    ///
    /// # Errors
    /// As [`covers`](Self::covers).
    pub fn covers_mapped(&self, file: Identity, path: &[u8]) -> Result<bool, Errno> {
        // Some file systems number files otherwise in a table of mappings than in `stat`.
        let stat = |path| statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| identity(&stat));
        let known = |file: &Identity| self.known.contains(file);
        Ok(known(&file) || self.covers_path(path)? || stat(path).is_ok_and(|file| known(&file)))
    }

    /// Whether this file is denied, or is a folder that holds something denied: for what moves or removes folders.
    ///
    /// # Errors
    /// As [`covers`](Self::covers).
    pub fn covers_or_contains(&self, file: &Pinned) -> Result<bool, Errno> {
        if self.covers(file)? {
            return Ok(true);
        }
        if file.kind() != FileKind::Folder {
            return Ok(false);
        }
        let folder = file.path()?;
        self.any(|denied| beneath(denied, &folder))
    }

    /// Whether a file of this name in this folder is or would be denied.
    ///
    /// # Errors
    /// As [`covers`](Self::covers).
    pub fn covers_name(&self, parent: &Pinned, name: &[u8]) -> Result<bool, Errno> {
        if self.places.is_empty() {
            return Ok(false);
        }
        if self.known.contains(&parent.identity()) {
            return Ok(true);
        }
        let name = name.split(|byte| *byte == b'/').next().unwrap_or_default();
        match name {
            b"" | b"." | b".." => self.covers(parent),
            name => self.covers_path(&joined(parent.path()?, name)),
        }
    }

    /// Whether what a path led to is denied.
    ///
    /// # Errors
    /// As [`covers`](Self::covers).
    pub fn covers_found(&self, found: &Found) -> Result<bool, Errno> {
        match found {
            Found::Existing(file) => self.covers(file),
            Found::Missing { parent, name } => self.covers_name(parent, name),
        }
    }

    /// Whether a name that is made or taken away is denied, or what it stands for is, or holds something denied.
    ///
    /// # Errors
    /// As [`covers`](Self::covers).
    pub fn covers_entry(&self, entry: &Entry) -> Result<bool, Errno> {
        if let Some(object) = &entry.object
            && self.covers_or_contains(object)?
        {
            return Ok(true);
        }
        self.covers_name(&entry.parent, &entry.name)
    }

    fn covers_path(&self, path: &[u8]) -> Result<bool, Errno> {
        for place in &self.places {
            // What has none of its names in its path does not lie there, wherever the folder is by now.
            let mut named = place.rests.iter().filter(|rest| has_names(path, rest)).peekable();
            if named.peek().is_none() {
                continue;
            }
            let folder = place.anchor.path()?;
            if named.any(|rest| beneath(path, &joined(folder.clone(), rest))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether `test` holds for the path, as it is now, of some denied place.
    fn any(&self, test: impl Fn(&[u8]) -> bool) -> Result<bool, Errno> {
        for place in &self.places {
            let folder = place.anchor.path()?;
            if place.rests.iter().any(|rest| test(&joined(folder.clone(), rest))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn place(&mut self, anchor: Pinned, rest: Vec<u8>) {
        // One folder that is mounted twice has one identity and two paths.
        let same = |place: &&mut Place| {
            place.anchor.identity() == anchor.identity()
                && matches!((place.anchor.path(), anchor.path()), (Ok(one), Ok(other)) if one == other)
        };
        match self.places.iter_mut().find(same) {
            Some(place) => place.rests.push(rest),
            None => self.places.push(Place { anchor, rests: vec![rest] }),
        }
    }

    fn add(&mut self, path: &Path, links: usize) -> Result<(), DeniedError> {
        let unreachable = |errno: Errno| DeniedError::Unreachable { path: path.into(), errno };
        let (anchor, rest) = anchor(path)?;
        let object = if rest.is_empty() {
            pin(path.as_os_str(), OFlags::empty())
        } else {
            pin(path.as_os_str(), OFlags::NOFOLLOW)
        };
        match object {
            Ok(object) if object.kind() == FileKind::Symlink => {
                let text = std::fs::read_link(path).map_err(|error| unreachable(Errno::of(&error)))?;
                self.hold(object);
                let links = links.checked_sub(1).ok_or_else(|| unreachable(Errno::ELOOP))?;
                let folder = path.parent().unwrap_or(Path::new("/"));
                self.add(&folder.join(text), links)?;
            }
            Ok(object) if object.kind() == FileKind::Folder => {
                let own = pin(path.as_os_str(), OFlags::NOFOLLOW).map_err(unreachable)?;
                self.hold(object);
                self.scan(path, &own)?;
                self.place(own, Vec::new());
            }
            Ok(object) => self.hold(object),
            Err(Errno::ENOENT) => {}
            Err(Errno::EACCES) => self.unscanned.push(path.into()),
            Err(errno) => return Err(unreachable(errno)),
        }
        if !rest.is_empty() {
            self.place(anchor, rest);
        }
        Ok(())
    }

    fn hold(&mut self, object: Pinned) {
        self.known.insert(object.identity());
        self.held.push(object);
    }

    /// Looks for files with further hard links. Kernel-made trees have none.
    fn scan(&mut self, path: &Path, folder: &Pinned) -> Result<(), DeniedError> {
        let kind = fstatfs(folder).map_or(0, |fs| fs.f_type);
        if kind == PROC_SUPER_MAGIC || kind == SYSFS_MAGIC {
            return Ok(());
        }
        let mut folders = vec![path.to_path_buf()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => {
                    self.unscanned.push(folder);
                    continue;
                }
            };
            for entry in entries {
                self.entries += 1;
                if self.entries > ENTRIES {
                    return Err(DeniedError::TooMany { path: path.into(), limit: ENTRIES });
                }
                let Ok((entry, metadata)) =
                    entry.and_then(|entry| entry.metadata().map(|data| (entry, data)))
                else {
                    self.unscanned.push(folder.clone());
                    continue;
                };
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else if metadata.nlink() > 1 {
                    self.known.insert(Identity { dev: metadata.dev(), ino: metadata.ino() });
                }
            }
        }
        Ok(())
    }

    /// Denies each place under its further names, where its file system is mounted more than once.
    fn add_aliases(&mut self) -> Result<(), DeniedError> {
        if self.places.is_empty() {
            return Ok(());
        }
        let unreachable = |path: &[u8], errno| DeniedError::Unreachable { path: to_path(path), errno };
        let table = mounts::table().map_err(|errno| unreachable(b"/proc/thread-self/mountinfo", errno))?;
        let mut aliases = Vec::new();
        for place in &self.places {
            let folder = place.anchor.path().map_err(|errno| unreachable(b"/", errno))?;
            for rest in &place.rests {
                aliases.extend(mounts::aliases(&table, &joined(folder.clone(), rest)));
            }
        }
        for alias in aliases {
            let (folder, rest) = anchor(&to_path(&alias))?;
            self.place(folder, rest);
        }
        Ok(())
    }
}

/// The nearest folder above `path` that exists, and the names from there to `path`. For the root, itself.
fn anchor(path: &Path) -> Result<(Pinned, Vec<u8>), DeniedError> {
    let mut rest: Vec<u8> = Vec::new();
    let mut at = path;
    loop {
        // A path that ends in `..` means a folder and has no name of its own.
        let above = match (at.file_name(), at.parent()) {
            (Some(name), Some(above)) => {
                rest = if rest.is_empty() {
                    name.as_bytes().to_vec()
                } else {
                    joined(name.as_bytes().to_vec(), &rest)
                };
                above
            }
            _ if rest.is_empty() => at,
            _ => return Err(DeniedError::Unclear { path: path.into() }),
        };
        match pin(above.as_os_str(), OFlags::DIRECTORY) {
            Ok(anchor) => return Ok((anchor, rest)),
            Err(Errno::ENOENT | Errno::EACCES)
                if above.components().next_back() == Some(Component::ParentDir) =>
            {
                return Err(DeniedError::Unclear { path: path.into() });
            }
            Err(Errno::ENOENT | Errno::EACCES) if above != at => at = above,
            Err(errno) => return Err(DeniedError::Unreachable { path: path.into(), errno }),
        }
    }
}

fn pin(path: &OsStr, flags: OFlags) -> Result<Pinned, Errno> {
    Pinned::new(openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty())?)
}

fn to_path(path: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()))
}

/// `name` in `folder`; without a name, the folder.
fn joined(mut folder: Vec<u8>, name: &[u8]) -> Vec<u8> {
    if !name.is_empty() {
        if !folder.ends_with(b"/") {
            folder.push(b'/');
        }
        folder.extend_from_slice(name);
    }
    folder
}

/// Whether these names stand one after the other in `path`.
fn has_names(path: &[u8], names: &[u8]) -> bool {
    names.is_empty()
        || path.windows(names.len() + 1).enumerate().any(|(at, window)| {
            let after = path.get(at + window.len());
            window.strip_prefix(b"/") == Some(names) && matches!(after, None | Some(b'/'))
        })
}

/// Whether `path` is `folder` or lies beneath it.
fn beneath(path: &[u8], folder: &[u8]) -> bool {
    match path.strip_prefix(folder) {
        Some(rest) => rest.is_empty() || rest.starts_with(b"/") || folder.ends_with(b"/"),
        None => false,
    }
}
