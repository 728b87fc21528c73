//! What lay in the folders that a command may write to, before it was run: only that is there when a scenario begins.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// More is not listed: such a folder is granted whole.
const MOST: usize = 20_000;

/// Folders and files that may be written to, and what lay in them.
#[derive(Debug, Default)]
pub(super) struct Writable {
    roots: Vec<PathBuf>,
    known: BTreeSet<PathBuf>,
}

impl Writable {
    pub(super) fn list(granted: &[PathBuf]) -> Self {
        // The kernel names what a link leads to.
        let real = granted.iter().filter_map(|path| path.canonicalize().ok());
        let roots: Vec<PathBuf> = granted.iter().cloned().chain(real).collect();
        Self { known: names(&roots), roots }
    }

    /// Where names have come and gone since: that shows by no open.
    pub(super) fn changed(&self) -> BTreeSet<PathBuf> {
        let now = names(&self.roots);
        let other = now.symmetric_difference(&self.known).filter_map(|path| path.parent());
        other.filter(|folder| self.known.contains(*folder)).map(Path::to_owned).collect()
    }

    /// Whether it may be written to.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }

    /// What can be granted for a path: the path, or the folder in which the recording made it.
    pub(super) fn lasting<'a>(&self, path: &'a Path) -> &'a Path {
        if !self.holds(path) {
            return path;
        }
        path.ancestors().find(|above| self.known.contains(*above)).unwrap_or(path)
    }
}

/// All that lies there, or only the folders themselves if that is too much.
fn names(roots: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut known: BTreeSet<PathBuf> = roots.iter().cloned().collect();
    let mut open: Vec<PathBuf> = roots.to_vec();
    while let Some(folder) = open.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            if known.len() >= MOST {
                return roots.iter().cloned().collect();
            }
            let path = entry.path();
            let is_new = known.insert(path.clone());
            if is_new && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_since_is_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir(at("d")).unwrap();
        std::fs::write(at("d/old"), "").unwrap();
        let writable = Writable::list(&[folder.path().to_owned()]);
        std::fs::create_dir(at("new")).unwrap();
        assert_eq!(writable.changed(), [folder.path().to_owned()].into());
        for (path, lasting) in [("d/old", "d/old"), ("d/x", "d"), ("new/x/y", ""), ("d/old/x", "d/old")] {
            assert_eq!(writable.lasting(&at(path)), folder.path().join(lasting).components().as_path());
        }
        assert_eq!(writable.lasting(Path::new("/elsewhere/x")), Path::new("/elsewhere/x"));
    }
}
