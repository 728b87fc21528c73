//! Why the program of a scenario could not be executed, where the kernel says no more than `EACCES` or `ENOENT`: which file it was
//! about, and what would let it run.
#![forbid(unsafe_code)]

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assize_core::Policy;
use rustix::fs::{Mode, OFlags, open};

use crate::matcher::{Granted, to_execute};
use crate::scenario::Scenario;

/// A file, the interpreter that it names, and that one's: the kernel follows no more.
const DEEPEST: usize = 5;
/// What names an interpreter stands here.
const BEGINNING: u64 = 4096;

/// What is known of it, as notes; nothing where neither a mode nor a grant is to blame.
pub(super) fn refused(
    scenario: &Scenario,
    policy: &Policy,
    granted: &Granted,
    program: &str,
    work: &Path,
) -> Vec<String> {
    let Some(mut file) = find(policy, program, work) else { return Vec::new() };
    let mut led = String::new();
    for _ in 0..DEEPEST {
        let Ok(found) = fs::metadata(&file) else { return Vec::new() };
        let within = file.strip_prefix(work).ok();
        let shown = within.map_or_else(|| file.clone(), |rest| Path::new("$WORK").join(rest));
        let shown = shown.display();
        if !found.is_file() {
            return vec![format!("why: {led}`{shown}` is no regular file, and only such are executed")];
        }
        let mode = found.permissions().mode() & 0o7777;
        if mode & 0o111 == 0 {
            let own = within.filter(|rest| scenario.files.keys().any(|path| path.as_path() == *rest));
            let mend = match own {
                Some(rest) => format!("to allow it: `mode: 0755` in `files`, at `{}`", rest.display()),
                None => format!("to allow it: `chmod +x {shown}`"),
            };
            return vec![format!("why: {led}`{shown}` has mode {mode:04o}: nobody may execute it"), mend];
        }
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        if let Some([why, mend]) = to_execute(granted, &file, &real, work) {
            return vec![format!("why: {led}{why}"), mend];
        }
        let Some(next) = interpreter(&file) else { return Vec::new() };
        led = format!("`{shown}` names the interpreter `{}`, and ", next.display());
        file = work.join(next);
    }
    Vec::new()
}

/// Where a program was looked for that isn't there, or what it needs that isn't, as notes.
pub(super) fn missing(policy: &Policy, program: &str, work: &Path) -> Vec<String> {
    let as_said = |path: &Path| {
        let within = path.strip_prefix(work).ok();
        within.map_or_else(|| path.to_owned(), |rest| Path::new("$WORK").join(rest)).display().to_string()
    };
    if let Some(file) = find(policy, program, work).filter(|file| file.exists()) {
        let Some(next) = interpreter(&file).filter(|next| !work.join(next).exists()) else {
            return Vec::new();
        };
        return vec![format!(
            "`{}` names the interpreter `{}`, which isn't there",
            as_said(&file),
            next.display()
        )];
    }
    if program.contains('/') {
        return vec![format!("there is no file `{}`", as_said(&work.join(program)))];
    }
    let path = policy.env.get(std::ffi::OsStr::new("PATH")).map(std::env::split_paths);
    let folders: Vec<String> = path.into_iter().flatten().map(|folder| as_said(&folder)).collect();
    vec![format!("looked for in the guest's PATH: {}", folders.join(":"))]
}

/// The file that a name means, as the guest would find it.
fn find(policy: &Policy, program: &str, work: &Path) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(work.join(program));
    }
    let path = policy.env.get(std::ffi::OsStr::new("PATH"))?;
    std::env::split_paths(path).map(|folder| work.join(folder).join(program)).find(|file| file.is_file())
}

/// What a script's first line, or a program's header, names as what is to run it.
fn interpreter(file: &Path) -> Option<PathBuf> {
    let mut beginning = Vec::new();
    // Nothing waits for whoever may have put a FIFO there meanwhile.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::File::from(open(file, OFlags::RDONLY | flags, Mode::empty()).ok()?);
    file.take(BEGINNING).read_to_end(&mut beginning).ok()?;
    let named = match beginning.strip_prefix(b"#!") {
        Some(rest) => {
            let line = rest.split(|byte| *byte == b'\n').next()?.trim_ascii_start();
            line.split(|byte| matches!(byte, b' ' | b'\t')).next()?
        }
        None => loader(&beginning)?,
    };
    (!named.is_empty()).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(named)))
}

/// The `PT_INTERP` of a 64-bit ELF file.
fn loader(file: &[u8]) -> Option<&[u8]> {
    const INTERPRETER: u64 = 3;
    let number = |at: u64, bytes: usize| {
        let at = usize::try_from(at).ok()?;
        let part = file.get(at..at.checked_add(bytes)?)?;
        Some(part.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    file.starts_with(b"\x7fELF\x02").then_some(())?;
    let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let headers = (0..count).map_while(|nth| first.checked_add(nth * size));
    let header = headers.into_iter().find(|at| number(*at, 4) == Some(INTERPRETER))?;
    let (at, length) = (number(header.checked_add(8)?, 8)?, number(header.checked_add(32)?, 8)?);
    let at = usize::try_from(at).ok()?;
    let text = file.get(at..at.checked_add(usize::try_from(length).ok()?)?)?;
    text.split(|byte| *byte == 0).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let of = |content: &[u8]| {
            let file = folder.path().join("x");
            fs::write(&file, content).unwrap();
            interpreter(&file)
        };
        assert_eq!(of(b"#! /bin/sh -e\n"), Some("/bin/sh".into()));
        assert_eq!(of(b"#!/bin/sh"), Some("/bin/sh".into()));
        assert_eq!(of(b"#!\n"), None);
        assert_eq!(of(b"\x7fELF\x02"), None);
        let own = interpreter(Path::new("/bin/sh")).unwrap();
        assert!(own.to_string_lossy().contains("ld-"), "{own:?}");
    }
}
