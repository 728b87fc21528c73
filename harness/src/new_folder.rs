//! A folder that a caller names, made where it is missing: itself, and none above it.
//!
//! Whoever misspelt the beginning of a path should read that, and not find a tree of new folders.
#![forbid(unsafe_code)]

use std::path::Path;
use std::{fs, io};

/// Makes a folder, unless it is there; what it lies in must be there.
///
/// # Errors
/// What making it gives. Of several that are missing the uppermost is named.
pub(crate) fn one_level(folder: &Path) -> io::Result<()> {
    // Also where a name of the path is `..`.
    if folder.is_dir() {
        return Ok(());
    }
    let missing = folder.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty() && !above.is_dir());
    if let Some(above) = missing.last() {
        let text = format!("{} is no folder", above.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    match fs::create_dir(folder) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}
