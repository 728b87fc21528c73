//! From the paths that a command used to the grants of a policy: no more than it needs, and no list of a thousand files.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::writable::Writable;
use crate::scenario::policy::SYSTEM;

/// As many files of one folder are granted by the folder.
const MANY: usize = 4;
/// No folder nearer to the root is granted whole unless it was read itself: `/home/ann` is somebody's all, `/home/ann/project` is
/// not.
const SHALLOWEST: usize = 2;

/// What `read` must list.
pub(super) fn read(paths: &BTreeSet<PathBuf>, writable: &Writable, home: Option<&Path>) -> Vec<String> {
    let mut system = false;
    let mut others = BTreeSet::new();
    for path in paths {
        let path = writable.lasting(path);
        if SYSTEM.iter().any(|of| path.starts_with(of)) {
            system = true;
        } else if let Some(path) = grantable(path) {
            others.insert(path);
        }
    }
    let others = gathered(others, home);
    let system = system.then(|| "$SYSTEM".to_owned());
    system.into_iter().chain(others.iter().filter_map(|path| shown(path))).collect()
}

/// What `write` must list besides the work folder. What else may be written to, as `/dev/null`, may be wherever `$SYSTEM` is
/// read.
pub(super) fn write(paths: &BTreeSet<PathBuf>, writable: &Writable, home: Option<&Path>) -> Vec<String> {
    let lasting = paths.iter().filter(|path| writable.holds(path)).map(|path| writable.lasting(path));
    let others = lasting.filter_map(grantable).collect();
    gathered(others, home).iter().filter_map(|path| shown(path)).collect()
}

/// What lies so many folders up from the work folder, wherever that is.
pub(super) fn above(up: usize) -> String {
    format!("$WORK{}", "/..".repeat(up))
}

/// A path as a policy writes it; `None`: it is no text.
pub(super) fn shown(path: &Path) -> Option<String> {
    path.to_str().map(|text| text.replace('$', "$$"))
}

/// What a policy can name of it, before the run: a process's own part of `/proc` is not there yet. `None`: no file (a pipe,
/// a socket).
fn grantable(path: &Path) -> Option<PathBuf> {
    if let Ok(rest) = path.strip_prefix("/proc") {
        let first = rest.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let of_process = first.as_deref().is_some_and(|name| {
            name == "self" || name == "thread-self" || name.bytes().all(|byte| byte.is_ascii_digit())
        });
        return Some(if of_process { "/proc".into() } else { path.to_owned() });
    }
    // A control group is called as this host calls it.
    const GROUPS: &str = "/sys/fs/cgroup";
    let path = if path.starts_with(GROUPS) { Path::new(GROUPS) } else { path };
    path.exists().then(|| path.to_owned())
}

/// Puts the files of a folder together where there are many, from the deepest folders up.
fn gathered(mut paths: BTreeSet<PathBuf>, home: Option<&Path>) -> BTreeSet<PathBuf> {
    let depth = |path: &Path| path.components().filter(|part| matches!(part, Component::Normal(_))).count();
    let deepest = paths.iter().map(|path| depth(path)).max().unwrap_or(0);
    for level in (SHALLOWEST..deepest).rev() {
        let folders: BTreeSet<PathBuf> = paths
            .iter()
            .filter(|path| depth(path) > level)
            .filter_map(|path| path.ancestors().find(|folder| depth(folder) == level))
            .map(Path::to_owned)
            .collect();
        for folder in folders {
            // Home, and whatever lies above it, holds more than any command needs.
            let is_home = home.is_some_and(|home| home.starts_with(&folder));
            let below = paths.iter().filter(|path| path.starts_with(&folder)).count();
            if below >= MANY && !is_home && !folder.starts_with("/proc") && !folder.starts_with("/dev") {
                paths.retain(|path| !path.starts_with(&folder));
                paths.insert(folder);
            }
        }
    }
    // What lies beneath a folder that is granted is granted. One that holds nearly all may turn out not to be needed: then
    // what lies beneath it still is.
    let all: Vec<PathBuf> = paths.iter().filter(|path| depth(path) >= SHALLOWEST).cloned().collect();
    paths.retain(|path| !all.iter().any(|above| above != path && path.starts_with(above)));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(paths: &[&str]) -> Vec<String> {
        let paths = paths.iter().map(PathBuf::from).collect();
        let all = gathered(paths, Some(Path::new("/home/ann")));
        all.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn many_of_a_folder_are_the_folder() {
        assert_eq!(gather(&["/srv/a/1", "/srv/a/2"]), ["/srv/a/1", "/srv/a/2"]);
        assert_eq!(gather(&["/srv/a/1", "/srv/a/2", "/srv/a/3", "/srv/a/4"]), ["/srv/a"]);
        assert_eq!(
            gather(&["/srv/a/b/1", "/srv/a/b/2", "/srv/a/c/1", "/srv/a/d"]),
            ["/srv/a"],
            "folders of a folder"
        );
        // Never `/`, a folder right beneath it, or somebody's home.
        assert_eq!(gather(&["/1", "/2", "/3", "/4", "/5"]).len(), 5);
        assert_eq!(gather(&["/srv/1", "/srv/2", "/srv/3", "/srv/4"]).len(), 4);
        let home = ["/home/ann/1", "/home/ann/2", "/home/ann/3", "/home/ann/4"];
        assert_eq!(gather(&home), home);
        assert_eq!(
            gather(&["/home/ann/p/1", "/home/ann/p/2", "/home/ann/p/3", "/home/ann/p/4"]),
            ["/home/ann/p"]
        );
    }

    #[test]
    fn beneath_what_holds_nearly_all_each_is_granted_itself() {
        assert_eq!(gather(&["/", "/srv", "/srv/a", "/srv/a/1"]), ["/", "/srv", "/srv/a"]);
    }

    #[test]
    fn the_system_is_one_grant() {
        let paths = ["/usr/bin/cat", "/etc/passwd", "/proc/self/maps", "/proc/12/stat", "/nowhere/x"];
        let paths = paths.iter().map(PathBuf::from).collect();
        assert_eq!(read(&paths, &Writable::default(), None), ["$SYSTEM", "/proc"]);
        assert_eq!(write(&["/dev/null".into()].into(), &Writable::default(), None), Vec::<String>::new());
    }
}
