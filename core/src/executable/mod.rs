//! Programs as files: which instructions by which they ask the processor itself they and their libraries have.
//!
//! Reads files and executes nothing. What was found is kept as long as this process lives.
#![forbid(unsafe_code)]

mod elf;
mod sweep;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use elf::Elf;
use rustix::fs::FileType;
pub(crate) use sweep::Asks;
use sweep::{LEAD, LONGEST, PATIENCE, Sweep};

use crate::guest::pinned::Version;

/// Of a file's code so much is looked at.
const MOST: u64 = 256 << 20;
/// So much at once.
const PIECE: usize = 1 << 20;
/// How many libraries of a program are looked at.
const LIBRARIES: usize = 256;
/// The effort that a program and its libraries are worth together, in bytes of code: the guest stands still meanwhile, and a
/// run that is out of time does not end before.
const EFFORT: u64 = 4 * MOST;
/// What decoding a place that looks like an instruction comes to, and what asking for a file does.
const EFFORT_OF_PLACE: u64 = MOST / PATIENCE as u64;
const EFFORT_OF_NAME: u64 = 4096;
/// Where the loader looks for libraries in the end, on all common distributions.
const FOLDERS: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
];

/// What a file has: where the first of each instruction lies, from the program's base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Has {
    pub(crate) first: BTreeMap<Asks, u64>,
    /// There is more code than was looked at.
    pub(crate) more: bool,
}

/// A file, and whether it is looked at as a library.
type Key = (Version, bool);

/// What is kept of a file.
struct Looked {
    has: Has,
    libraries: Vec<PathBuf>,
    /// What that has taken.
    effort: u64,
}

static LOOKED: Mutex<Option<HashMap<Key, Arc<Looked>>>> = Mutex::new(None);
/// How many files are kept: then all are forgotten.
const KEPT: usize = 4096;

/// What a program has of `own`, and what its libraries have of `loaded`, file by file; those that have none are left out.
///
/// `path` opens the program, `name` is what it is called.
///
/// # Errors
/// What the kernel gives for the program itself. A library that isn't found where libraries are usually looked for, or can't
/// be read, is passed over.
pub(crate) fn instructions(
    path: &Path,
    name: &Path,
    own: &'static [Asks],
    loaded: &'static [Asks],
) -> io::Result<Vec<(PathBuf, Has)>> {
    let mut all = Vec::new();
    let mut note = |name: PathBuf, has: &Has| {
        if *has != Has::default() {
            all.push((name, has.clone()));
        }
    };
    let program = looked_at(path, name, own, false)?;
    let mut own = program.has.clone();
    let mut effort = program.effort;
    let mut seen = BTreeSet::new();
    let mut left = program.libraries.clone();
    while let Some(library) = left.pop() {
        if seen.contains(&library) {
            continue;
        }
        if seen.len() >= LIBRARIES || effort >= EFFORT {
            own.more = true;
            break;
        }
        seen.insert(library.clone());
        if let Ok(looked) = looked_at(&library, &library, loaded, true) {
            note(library, &looked.has);
            left.extend(looked.libraries.iter().cloned());
            effort = effort.saturating_add(looked.effort);
        }
    }
    note(name.to_owned(), &own);
    all.sort_by(|one, two| one.0.cmp(&two.0));
    Ok(all)
}

fn looked_at(path: &Path, name: &Path, wanted: &[Asks], library: bool) -> io::Result<Arc<Looked>> {
    let kept = || LOOKED.lock().unwrap_or_else(PoisonError::into_inner);
    // Most programs were looked at before, and each of a run's programs waits for this.
    let key = (Version::of(&rustix::fs::stat(path)?), library);
    if let Some(looked) = kept().as_ref().and_then(|kept| kept.get(&key)) {
        return Ok(Arc::clone(looked));
    }
    // A guest may put something else there meanwhile: opening it must not keep anybody waiting, and reading it must not take
    // anything away, as it would from files that the kernel makes up. These have no length.
    let pin = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    let stat = rustix::fs::fstat(&pin)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || stat.st_size < Elf::HEADER as i64 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let key = (Version::of(&stat), library);
    let how = libc::O_NONBLOCK | libc::O_NOCTTY;
    let pinned = format!("/proc/self/fd/{}", pin.as_raw_fd());
    let file = OpenOptions::new().read(true).custom_flags(how).open(pinned)?;
    let mut looked = Looked { has: Has::default(), libraries: Vec::new(), effort: 0 };
    if let Some(elf) = Elf::of(file)? {
        look(&elf, wanted, &mut looked)?;
        libraries(&elf, name, &mut looked)?;
    }
    let looked = Arc::new(looked);
    let mut kept = kept();
    let kept = kept.get_or_insert_with(HashMap::new);
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.insert(key, Arc::clone(&looked));
    Ok(looked)
}

fn look(elf: &Elf, wanted: &[Asks], looked: &mut Looked) -> io::Result<()> {
    let has = &mut looked.has;
    let mut sweep = Sweep::new(wanted);
    let mut budget = MOST;
    let mut buffer = vec![0; PIECE];
    for segment in elf.code() {
        let mut begin = 0;
        while begin < segment.size && sweep.patience > 0 && budget > 0 {
            // What lies before is read again, to find where instructions begin; and so is what was cut off.
            let lead = begin.min((LEAD + LONGEST) as u64);
            let want = usize::try_from(segment.size - begin + lead).unwrap_or(PIECE).min(PIECE);
            let Some(offset) = segment.offset.checked_add(begin - lead) else { break };
            let got = elf.read(&mut buffer[..want], offset)?;
            let fresh = (got as u64).saturating_sub(lead);
            let from = (lead as usize).saturating_sub(if begin == 0 { 0 } else { LONGEST });
            for (asks, at) in sweep.find(&buffer[..got], from) {
                let address = segment.address.wrapping_add(begin - lead + at as u64);
                let first = has.first.entry(asks).or_insert(address);
                *first = address.min(*first);
            }
            if fresh == 0 {
                break;
            }
            begin += fresh;
            budget = budget.saturating_sub(fresh);
        }
    }
    has.more = sweep.patience == 0 || budget == 0;
    looked.effort = MOST - budget + (PATIENCE - sweep.patience) as u64 * EFFORT_OF_PLACE;
    Ok(())
}

/// Where the libraries of a file lie, as far as they are found.
fn libraries(elf: &Elf, name: &Path, looked: &mut Looked) -> io::Result<()> {
    let needed = elf.needed()?;
    let origin = name.parent().unwrap_or(Path::new("/"));
    let folders: Vec<PathBuf> = needed
        .folders
        .into_iter()
        .map(|folder| placed(folder, origin))
        .filter(|folder| folder.is_absolute())
        .chain(FOLDERS.iter().map(PathBuf::from))
        .collect();
    looked.has.more |= needed.more;
    looked.effort += (needed.names.len() * folders.len()) as u64 * EFFORT_OF_NAME;
    let find = |name: Vec<u8>| {
        let name = PathBuf::from(OsString::from_vec(name));
        folders.iter().map(|folder| folder.join(&name)).find(|path| path.is_file())
    };
    looked.libraries = needed.names.into_iter().filter_map(find).collect();
    Ok(())
}

/// A folder of which it may be said that it lies beside the file.
fn placed(folder: Vec<u8>, origin: &Path) -> PathBuf {
    for spelling in [b"$ORIGIN".as_slice(), b"${ORIGIN}"] {
        if let Some(rest) = folder.strip_prefix(spelling) {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest).to_vec();
            return origin.join(PathBuf::from(OsString::from_vec(rest)));
        }
    }
    PathBuf::from(OsString::from_vec(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_the_kernel_makes_up_and_what_is_none_are_not_read() {
        for path in ["/proc/self/status", "/dev/zero", "/"] {
            let error = looked_at(Path::new(path), Path::new(path), &[], true).err();
            assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::InvalidInput), "{path}");
        }
    }

    #[test]
    fn effort_is_counted() {
        let own = std::env::current_exe().unwrap();
        let looked = looked_at(&own, &own, &[Asks::Cpuid], true).unwrap();
        assert!(looked.effort > 1 << 16 && !looked.libraries.is_empty());
    }
}
