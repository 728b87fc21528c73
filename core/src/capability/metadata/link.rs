//! The links of a procfs to what has no name: pipes, sockets, files of `O_TMPFILE`. They tell its inode's number.
//!
//! All other links are left to the kernel.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use crate::Errno;
use crate::guest::stat::Stat;
use crate::guest::{Found, Lookup, is_on_procfs, resolve};
use crate::supervisor::call::Call;
use crate::supervisor::files::Looked;

/// Reads the link of a procfs that a descriptor is; `None`: it is another, or tells no number.
pub(super) fn read(call: &mut Call) -> Result<Option<i64>, Errno> {
    let named = |name: &str| call.named(name);
    let (path, dirfd) = (named("path").unwrap_or(0), named("dirfd").map_or(libc::AT_FDCWD, |fd| fd as i32));
    let (room, size) = (named("buf").unwrap_or(0), named("bufsiz").unwrap_or(0) as i32);
    let path = call.cstr(path)?;
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    // Nearly no link is one of these.
    if !name.iter().all(u8::is_ascii_digit) || path.ends_with(b"/") {
        return Ok(None);
    }
    let lookup = Lookup::new(call.guest()?, dirfd, &path);
    // Without a path it is the link that a descriptor was opened on (`O_PATH | O_NOFOLLOW`).
    let link: OwnedFd = if path.is_empty() {
        call.descriptor(dirfd)?
    } else {
        let Found::Existing(link) = resolve(&Lookup { follow: false, ..lookup })? else { return Ok(None) };
        link.into_fd()
    };
    if !is_on_procfs(&link)? {
        return Ok(None);
    }
    let target = rustix::fs::readlinkat(&link, c"", Vec::new())?.into_bytes();
    let Some((kind, number)) = nameless(&target) else { return Ok(None) };
    let Some(ino) = std::str::from_utf8(&target[number.clone()]).ok().and_then(|digits| digits.parse().ok())
    else {
        return Ok(None);
    };
    let shown = match kind.file_system() {
        Some(dev) => call.with_numbers(dev, |number| number(ino)),
        // What can't be followed has the kernel's text.
        None if path.is_empty() => return Ok(None),
        None => {
            let Found::Existing(file) = resolve(&lookup)? else { return Ok(None) };
            let stat = Stat::of(&file, 0)?;
            // Any file may be called so.
            if stat.identity.ino != ino {
                return Ok(None);
            }
            call.show(stat, Looked::Descriptor).identity.ino
        }
    };
    let text = [&target[..number.start], shown.to_string().as_bytes(), &target[number.end..]].concat();
    let length = text.len().min(usize::try_from(size).unwrap_or(0));
    if length == 0 {
        return Ok(None);
    }
    call.write(room, &text[..length])?;
    Ok(Some(length as i64))
}

/// What has no name, and is called by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nameless {
    Pipe,
    Socket,
    /// Of `O_TMPFILE`, or what looks like one.
    File,
}

impl Nameless {
    /// The device of the kernel's own file system in which all of them lie.
    fn file_system(self) -> Option<u64> {
        static PIPES: OnceLock<Option<u64>> = OnceLock::new();
        static SOCKETS: OnceLock<Option<u64>> = OnceLock::new();
        fn lies(made: impl AsFd) -> Option<u64> {
            Some(Stat::of(made, 0).ok()?.identity.dev)
        }
        match self {
            Self::Pipe => *PIPES.get_or_init(|| lies(std::io::pipe().ok()?.0)),
            Self::Socket => *SOCKETS.get_or_init(|| lies(UnixStream::pair().ok()?.0)),
            Self::File => None,
        }
    }
}

/// Where the number stands in what a link says of something without a name: `pipe:[7]`, `socket:[7]`, `/folder/#7 (deleted)`.
fn nameless(target: &[u8]) -> Option<(Nameless, Range<usize>)> {
    let between = |start: usize, end: &[u8]| {
        let number = start..target.len().checked_sub(end.len())?;
        let digits = target.get(number.clone())?;
        let is_one = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && target.ends_with(end);
        is_one.then_some(number)
    };
    for (kind, begins) in [(Nameless::Pipe, &b"pipe:["[..]), (Nameless::Socket, b"socket:[")] {
        if target.starts_with(begins) {
            return Some((kind, between(begins.len(), b"]")?));
        }
    }
    let name = target.windows(2).rposition(|part| part == b"/#")? + 2;
    Some((Nameless::File, between(name, b" (deleted)")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_links_to_what_has_no_name() {
        for (target, number) in [
            ("pipe:[12]", Some("12")),
            ("socket:[7]", Some("7")),
            ("/a/#3/#45 (deleted)", Some("45")),
            ("/#1 (deleted)", Some("1")),
            ("pipe:[]", None),
            ("pipe:[1x]", None),
            ("pipe:[1", None),
            ("anon_inode:[eventfd]", None),
            ("/a/#45", None),
            ("/a/#4b (deleted)", None),
            ("/memfd:x (deleted)", None),
            ("/", None),
            ("", None),
        ] {
            let found = nameless(target.as_bytes()).map(|(_, range)| &target[range]);
            assert_eq!(found, number, "{target}");
        }
    }
}
