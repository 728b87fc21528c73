//! Where it is remembered what failed, and kept what it left, outside of Cargo's projects: among the user's own state, as the XDG
//! base directories have it, a folder for each project.
//!
//! Nothing is put beside the scenarios, where a repository would show it.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::bazel;

/// Holds the path of the project that a folder is for.
///
/// The folder of no test is called so: those have no dots.
const OF: &str = "project.path";
/// Of a project that can't be found nothing is forgotten before. It may lie on a disk that isn't there for the moment.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

/// The folder of the project around `start`: that of the nearest `.git` from there upwards, or else `start` itself. `None` where
/// there is no place for it, or Bazel has one of its own for what is only there for a while.
pub(super) fn folder(start: &Path) -> Option<PathBuf> {
    if bazel::temporary().is_some() {
        return None;
    }
    let all = beneath(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))?;
    let start = start.canonicalize().ok()?;
    let project = start.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&start);
    let folder = all.join(name(project));
    if !folder.is_dir() {
        forget_what_is_gone(&all);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
        fs::write(folder.join(OF), project.as_os_str().as_bytes()).ok()?;
    }
    Some(folder)
}

/// Where the folders of all projects lie. What is relative is no path, as XDG says.
fn beneath(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let whole = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = state.and_then(whole).or_else(|| Some(home.and_then(whole)?.join(".local/state")));
    Some(state?.join("assize"))
}

/// The project's last name, for people, and what tells it from others.
fn name(project: &Path) -> String {
    let digest: [u8; 32] = Sha256::digest(project.as_os_str().as_bytes()).into();
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let last = project.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '-' };
    format!("{}-{digits}", last.chars().map(plain).take(60).collect::<String>())
}

/// Removes the folders whose projects are no longer there, and which nobody has used for long.
fn forget_what_is_gone(all: &Path) {
    for folder in fs::read_dir(all).into_iter().flatten().flatten() {
        // What doesn't say whose it is may be another's, or in the making.
        let Ok(project) = fs::read(folder.path().join(OF)) else { continue };
        let project = Path::new(std::ffi::OsStr::from_bytes(&project));
        let gone = fs::symlink_metadata(project).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let used = fs::metadata(folder.path()).and_then(|found| found.modified());
        let old = used.is_ok_and(|used| used.elapsed().is_ok_and(|since| since > REMEMBERED));
        if project.is_absolute() && gone && old {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lies_where_xdg_says() {
        let of = |state: &str, home: &str| beneath(Some(state.into()), Some(home.into()));
        assert_eq!(of("/s", "/h"), Some("/s/assize".into()));
        assert_eq!(of("relative", "/h"), Some("/h/.local/state/assize".into()));
        assert_eq!(of("", ""), None);
        assert_ne!(name(Path::new("/a/x")), name(Path::new("/b/x")));
        assert!(name(Path::new("/a/x y")).starts_with("x-y-"));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let all = tempfile::tempdir().unwrap();
        let gone = Path::new("/no/such/folder");
        for (name, project, used) in
            [("here", all.path(), 31), ("gone", gone, 31), ("gone of late", gone, 29)]
        {
            let folder = all.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(OF), project.as_os_str().as_bytes()).unwrap();
            let used = std::time::SystemTime::now() - Duration::from_secs(used * 24 * 3600);
            fs::File::open(&folder).unwrap().set_modified(used).unwrap();
        }
        fs::create_dir(all.path().join("unsaid")).unwrap();
        forget_what_is_gone(all.path());
        let left = |name: &str| all.path().join(name).is_dir();
        let all_left = ["here", "gone", "gone of late", "unsaid"].map(left);
        assert_eq!(all_left, [true, false, true, true]);
    }
}
