//! The mount table: under which further names a path can be reached. Read once, at the start.
#![forbid(unsafe_code)]

use crate::Errno;

/// One line of the table (`man 5 proc_pid_mountinfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// `major:minor` of the file system.
    device: Vec<u8>,
    /// What of the file system is mounted.
    root: Vec<u8>,
    /// Where.
    at: Vec<u8>,
}

/// The calling thread's mounts.
pub(super) fn table() -> Result<Vec<Mount>, Errno> {
    let text = std::fs::read("/proc/thread-self/mountinfo").map_err(|error| Errno::of(&error))?;
    Ok(parse(&text))
}

pub(crate) fn parse(text: &[u8]) -> Vec<Mount> {
    let line = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ').skip(2);
        Some(Mount {
            device: fields.next()?.to_vec(),
            root: plain(fields.next()?),
            at: plain(fields.next()?),
        })
    };
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// The other paths by which `path`, or something beneath it, can be reached.
pub(crate) fn aliases(table: &[Mount], path: &[u8]) -> Vec<Vec<u8>> {
    // Of several mounts at one place the last is the one that is seen.
    let own = table.iter().enumerate().filter(|(_, mount)| below(path, &mount.at).is_some());
    let Some((place, own)) = own.max_by_key(|(place, mount)| (mount.at.len(), *place)) else {
        return Vec::new();
    };
    let Some(inner) = below(path, &own.at) else { return Vec::new() };
    let inside = join(&own.root, inner);
    let others =
        table.iter().enumerate().filter(|(other, mount)| *other != place && mount.device == own.device);
    let alias = |mount: &Mount| match below(&inside, &mount.root) {
        Some(rest) => Some(join(&mount.at, rest)),
        None => below(&mount.root, &inside).map(|_| mount.at.clone()),
    };
    others.filter_map(|(_, mount)| alias(mount)).filter(|alias| below(alias, path).is_none()).collect()
}

/// What follows `folder` in `path`, without a leading slash; `None` if it doesn't lie there.
fn below<'a>(path: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

fn join(folder: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut path = folder.to_vec();
    if !rest.is_empty() {
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(rest);
    }
    path
}

/// Undoes the table's octal escapes for blanks and backslashes.
fn plain(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let code = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if *first == b'\\' => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        match code {
            Some(code) => {
                bytes.push(code);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
        2 1 8:1 /home/a\\040b /mnt/x rw shared:1 - ext4 /dev/sda1 rw\n\
        3 1 0:5 / /proc rw - proc proc rw\n\
        4 1 8:1 /home/a\\040b/c/d /mnt/deep rw - ext4 /dev/sda1 rw\n";

    #[test]
    fn a_path_is_known_by_all_its_names() {
        let table = parse(TABLE);
        let names = |path: &str| {
            let mut names: Vec<_> = aliases(&table, path.as_bytes())
                .into_iter()
                .map(|name| String::from_utf8(name).unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names("/home/a b/c"), ["/mnt/deep", "/mnt/x/c"]);
        assert_eq!(names("/mnt/x/c"), ["/home/a b/c", "/mnt/deep"]);
        assert_eq!(names("/home/a b/c/d/f"), ["/mnt/deep/f", "/mnt/x/c/d/f"]);
        assert_eq!(names("/home/a"), [""; 0]);
        assert_eq!(names("/proc/1"), [""; 0]);
    }
}
