//! Paths by their text alone. It asks no file system, and knows of no link.
#![forbid(unsafe_code)]

use std::path::{Component, Path, PathBuf};

/// Without `.` and, as far as something stands before them, `..`.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            // Above the root is the root.
            Component::ParentDir if out.has_root() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_plain() {
        for (path, wanted) in [
            ("/a/./b/../c", "/a/c"),
            ("/../a", "/a"),
            ("/a//b/", "/a/b"),
            ("a/../../b", "../b"),
            ("../../a", "../../a"),
            ("./a", "a"),
        ] {
            assert_eq!(plain(Path::new(path)), Path::new(wanted));
        }
    }
}
