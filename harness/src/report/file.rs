//! A report's file: there as a whole, or not at all.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::new_folder::one_level;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file could not be made or written.
    #[error("the report {} can't be written: {error}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Two reports are to be written to one file.
    #[error("two reports are to be written to {}", .0.display())]
    Twice(PathBuf),
}

/// Finds out whether a report could be written to `path`, and makes its folder, if what that lies in is there.
///
/// # Errors
/// [`ReportError`].
pub fn can_write(path: &Path) -> Result<(), ReportError> {
    let tried = match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => Ok(()),
        _ => {
            let path = real(path);
            let folder = folder(&path);
            // What is made here is gone at once.
            one_level(folder).and_then(|()| made(folder)).map(drop)
        }
    };
    tried.map_err(|error| ReportError::Write { path: path.to_owned(), error })
}

/// Writes a file by what `fill` gives. Whoever looks meanwhile sees the file that was there before; so does whoever
/// looks after a failure or an interruption. A FIFO or a device is written to as it is.
///
/// # Errors
/// [`ReportError`]: what making, writing or moving the file gives, and what `fill` gives.
pub fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ReportError> {
    let write = || match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            let mut out = BufWriter::new(File::options().write(true).open(path)?);
            fill(&mut out)?;
            out.flush()
        }
        _ => replace(&real(path), fill),
    };
    write().map_err(|error| ReportError::Write { path: path.to_owned(), error })
}

/// A report replaces the file that a link leads to, not the link.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The folder that a file lies in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    one_level(folder(path))?;
    let mut out = BufWriter::new(made(folder(path))?);
    fill(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.persist(path)?;
    Ok(())
}

/// A new file in this folder, which is gone unless it is moved to its place.
fn made(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    // As any new file: the umask takes away what it does.
    let mode = fs::Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(".assize-report-").permissions(mode).tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_report_is_there_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/report");
        write(&path, |out| out.write_all(b"one")).unwrap();
        let failed = write(&path, |out| {
            out.write_all(&[b'x'; 100_000])?;
            assert_eq!(fs::read(&path)?, b"one");
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(
            matches!(failed, Err(ReportError::Write { error, .. }) if error.kind() == io::ErrorKind::StorageFull)
        );
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        write(&link, |out| out.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(link.is_symlink());
        can_write(&link).unwrap();
        // Nothing else is left.
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
        assert!(write(folder.path(), |_| Ok(())).is_err() && can_write(folder.path()).is_err());
        assert!(can_write(&path.join("beneath a file")).is_err());
        // Of a path whose folders were misspelt nothing is made, and what is missing is named.
        let deep = folder.path().join("no/such/report");
        for failed in [can_write(&deep), write(&deep, |_| Ok(()))] {
            assert!(failed.unwrap_err().to_string().ends_with("/no is no folder"));
        }
        assert!(!folder.path().join("no").exists());
        write(Path::new("/dev/null"), |out| out.write_all(b"x")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
