//! What a run left in its work folder, to be compared with what another run left there.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

/// More files are not looked at: nobody compares that many.
const MOST: usize = 100_000;
/// More content is not read: of files past it lengths are compared.
const MOST_BYTES: u64 = 4 << 30;
/// Of a longer file nobody reads where it differs.
const LONGEST_TEXT: u64 = 1 << 20;

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Folder,
    File { len: u64, digest: [u8; 32] },
    Large { len: u64 },
    Link(PathBuf),
    Special(&'static str),
    Unreadable,
}

/// What has become of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Modified,
    Deleted,
}

/// Everything in a folder, by its path there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Left(BTreeMap<PathBuf, (Thing, u32)>);

impl Left {
    /// What lies beneath this folder now. No link is followed.
    pub(super) fn beneath(work: &Path) -> Self {
        let mut found = BTreeMap::new();
        let mut folders = vec![PathBuf::new()];
        let mut room = MOST_BYTES;
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(work.join(&folder)) else {
                found.insert(folder, (Thing::Unreadable, 0));
                continue;
            };
            // In one order, so that what is left out past the limits is the same in each run.
            let mut entries: Vec<_> = entries.flatten().take(MOST).collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                if found.len() >= MOST {
                    return Self(found);
                }
                let path = folder.join(entry.file_name());
                let at = work.join(&path);
                let Ok(metadata) = fs::symlink_metadata(&at) else { continue };
                let thing = look(&at, &metadata, &mut room).unwrap_or(Thing::Unreadable);
                if thing == Thing::Folder {
                    folders.push(path.clone());
                }
                found.insert(path, (thing, metadata.permissions().mode() & 0o7777));
            }
        }
        Self(found)
    }

    /// Whether there was more than is looked at.
    pub(super) fn is_cut(&self) -> bool {
        self.0.len() >= MOST
    }

    /// At which paths this is other than what was there before, and how.
    pub(super) fn changes<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a Path, Change)> {
        let now = self.0.iter().filter_map(|(path, thing)| match before.0.get(path) {
            None => Some((&**path, Change::Added)),
            Some(before) if before != thing => Some((&**path, Change::Modified)),
            Some(_) => None,
        });
        let gone = before.0.keys().filter(|path| !self.0.contains_key(*path));
        now.chain(gone.map(|path| (&**path, Change::Deleted)))
    }

    /// The text of a file that lies there still, if it is one that people read.
    pub(super) fn text(&self, work: &Path, path: &Path) -> Option<String> {
        match self.0.get(path) {
            Some((Thing::File { len, .. }, _)) if *len <= LONGEST_TEXT => {
                let text = String::from_utf8(fs::read(work.join(path)).ok()?).ok()?;
                Some(text).filter(|text| !text.contains('\0'))
            }
            _ => None,
        }
    }

    /// The first path at which another run left something else, and what each left.
    pub(super) fn difference<'a>(&'a self, other: &'a Self) -> Option<(&'a Path, String, String)> {
        let paths = self.0.keys().chain(other.0.keys().filter(|path| !self.0.contains_key(*path)));
        let first = paths.filter(|path| self.0.get(*path) != other.0.get(*path)).min()?;
        let words = |left: &Self| match left.0.get(first) {
            None => "nothing".to_owned(),
            Some((thing, mode)) => format!("{}, mode {mode:04o}", thing.words()),
        };
        Some((first, words(self), words(other)))
    }
}

impl Thing {
    fn words(&self) -> String {
        match self {
            Self::Folder => "a folder".to_owned(),
            Self::File { len, digest } => {
                let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                format!("a file of {len} bytes (SHA-256 {digest}…)")
            }
            Self::Large { len } => format!("a file of {len} bytes, which is too much to read"),
            Self::Link(target) => format!("a symbolic link to {}", target.display()),
            Self::Special(kind) => (*kind).to_owned(),
            Self::Unreadable => "something that can't be read".to_owned(),
        }
    }
}

fn look(at: &Path, metadata: &fs::Metadata, room: &mut u64) -> io::Result<Thing> {
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Ok(Thing::Folder);
    }
    if kind.is_symlink() {
        return Ok(Thing::Link(fs::read_link(at)?));
    }
    if !kind.is_file() {
        // Opening it could wait, or do something.
        return Ok(Thing::Special(if kind.is_fifo() { "a FIFO" } else { "a special file" }));
    }
    let len = metadata.size();
    match room.checked_sub(len) {
        Some(rest) => *room = rest,
        None => return Ok(Thing::Large { len }),
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(flags).open(at)?.take(len);
    let mut hash = Sha256::new();
    let mut buffer = [0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Thing::File { len, digest: hash.finalize().into() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &two] {
            fs::create_dir(folder.path().join("b")).unwrap();
            fs::write(folder.path().join("b/same"), "same").unwrap();
            symlink("nowhere", folder.path().join("link")).unwrap();
        }
        let left = |folder: &tempfile::TempDir| Left::beneath(folder.path());
        assert_eq!(left(&one).difference(&left(&two)), None);
        fs::write(one.path().join("b/x"), "1").unwrap();
        fs::write(two.path().join("b/x"), "2").unwrap();
        fs::write(two.path().join("c"), "more").unwrap();
        let (one, two) = (left(&one), left(&two));
        let (path, first, second) = one.difference(&two).unwrap();
        assert_eq!(path, Path::new("b/x"));
        assert!(first.starts_with("a file of 1 bytes (SHA-256 6b86b273"), "{first}");
        assert!(second.starts_with("a file of 1 bytes (SHA-256 d4735e3a"), "{second}");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("text"), "text\n").unwrap();
        fs::write(folder.path().join("bytes"), "a\0b").unwrap();
        symlink("text", folder.path().join("link")).unwrap();
        let left = Left::beneath(folder.path());
        let texts = ["text", "bytes", "link", "none"].map(|path| left.text(folder.path(), Path::new(path)));
        assert_eq!(texts, [Some("text\n".to_owned()), None, None, None]);
    }
}
