//! From attempts to the prober's script.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use assize_core::Syscall;
use assize_core::prober::{self, Script};
use assize_core::syscall::address;
use assize_core::syscall::encode::{EncodeError, Given, Register, encode};
use assize_core::syscall::family;
use assize_core::syscall::signature::{self, Kind};

use super::spec::{Attempt, Value, Wanted};
use crate::scenario::nearest;
use crate::scenario::place::YamlPath;

/// The most bytes that one attempt may read.
const MAX_READ: u64 = 1 << 20;
/// The most calls of one script.
const MAX_CALLS: usize = 10_000;

/// An attempt that can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AttemptError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub path: YamlPath,
}

/// Attempts that were made into a script.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The script.
    pub script: Script,
    pub(super) made: Vec<Made>,
}

/// One call of an attempt, and where it stands in the script.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// Which item of `attempt`.
    pub(super) item: usize,
    pub(super) call: Syscall,
    pub(super) family: bool,
    /// Its place in the script.
    pub(super) place: usize,
    /// Calls that it depends on: what each makes, and its place.
    pub(super) before: Vec<(&'static str, usize)>,
    /// The call that reads, the buffer that it reads to, and how much.
    pub(super) read: Option<(usize, usize, usize)>,
    pub(super) wanted: Wanted,
    pub(super) same_for_all: bool,
    /// Paths and pointers that were not given, so that the call gets NULL.
    pub(super) null: Vec<&'static str>,
}

/// Makes a script of attempts.
///
/// # Errors
/// An argument that the call doesn't have, or that can't be encoded.
pub fn compile(attempts: &[Attempt], work: &Path) -> Result<Compiled, AttemptError> {
    let mut compiler = Compiler { script: Script::default(), made: Vec::new(), calls: 0 };
    for (item, attempt) in attempts.iter().enumerate() {
        let path = YamlPath::from(["attempt"]).index(item);
        let written: Vec<Written> = arguments(attempt, work);
        for call in spellings(attempt, &written)
            .map_err(|(key, message)| AttemptError { message, path: path.key(key) })?
        {
            compiler.attempt(item, attempt, call, &written).map_err(|problem| problem.at(&path, &written))?;
        }
    }
    Ok(Compiled { script: compiler.script, made: compiler.made })
}

/// An argument by its name in the call, and the key that it was written as.
struct Written {
    name: String,
    key: Key,
    value: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Own(&'static str),
    Args,
}

#[derive(Clone)]
enum Bytes {
    Number(i128),
    Text(Vec<u8>),
}

impl Written {
    fn given(&self) -> (&str, Given<'_>) {
        let given = match &self.value {
            Bytes::Number(number) => Given::Number(*number),
            Bytes::Text(text) => Given::Text(text),
        };
        (&self.name, given)
    }

    /// Whether it is a path, or an address where one would lie.
    fn is_path(&self) -> bool {
        self.name.ends_with("path")
    }

    /// Whether it is a path that starts in the folder of `dirfd`.
    fn is_relative(&self) -> bool {
        self.name == "path" && matches!(&self.value, Bytes::Text(text) if !text.starts_with(b"/"))
    }
}

fn arguments(attempt: &Attempt, work: &Path) -> Vec<Written> {
    let bytes = |value: &Value| match value {
        Value::Number(number) => Bytes::Number(*number),
        Value::Text(text) => Bytes::Text(text.expand(work).into_vec()),
    };
    let own = |key: &'static str, value: Bytes| Written { name: key.to_owned(), key: Key::Own(key), value };
    let mut written = Vec::new();
    if let Some(path) = &attempt.path {
        written.push(own("path", Bytes::Text(path.expand(work).into_vec())));
    }
    if let Some(flags) = &attempt.flags {
        written.push(own("flags", bytes(flags)));
    }
    if let Some(mode) = &attempt.mode {
        written.push(own("mode", Bytes::Text(mode.0.clone().into_bytes())));
    }
    if let Some(dirfd) = &attempt.dirfd {
        written.push(own("dirfd", bytes(dirfd)));
    }
    if let Some(to) = &attempt.to {
        let to = Bytes::Text(to.expand(work).into_vec());
        written.push(Written { name: "addr".to_owned(), key: Key::Own("to"), value: to });
    }
    written.extend(attempt.args.iter().map(|(name, value)| Written {
        name: name.clone(),
        key: Key::Args,
        value: bytes(value),
    }));
    written
}

/// The calls of an attempt.
fn spellings(attempt: &Attempt, written: &[Written]) -> Result<Vec<Syscall>, (&'static str, String)> {
    let all = attempt.call.calls();
    if !attempt.call.is_family() {
        return Ok(all.to_vec());
    }
    let read = |call: &Syscall| attempt.read.is_none() || reads(*call);
    let all: Vec<_> = all.iter().copied().filter(read).collect();
    if all.is_empty() {
        return Err(("read", format!("no spelling in {} returns a descriptor to read from", attempt.call)));
    }
    if !written.iter().any(Written::is_path) {
        return Ok(all);
    }
    let in_a_folder = attempt.dirfd.is_some() && written.iter().any(Written::is_relative);
    let takes = |path: signature::PathArg| !in_a_folder || path.dirfd.is_some();
    let by_path: Vec<_> = all.iter().copied().filter(|call| signature::path_args(*call).any(takes)).collect();
    if by_path.is_empty() {
        let what = if in_a_folder { "a path in a folder" } else { "a path" };
        Err(("call", format!("no spelling in {} takes {what}", attempt.call)))
    } else {
        Ok(by_path)
    }
}

/// Why one call can't be made.
enum Problem {
    Encode(EncodeError),
    Said(&'static str, String),
}

impl Problem {
    fn at(self, path: &YamlPath, written: &[Written]) -> AttemptError {
        match self {
            Self::Said(key, message) => AttemptError { message, path: path.key(key) },
            Self::Encode(error) => {
                let named = match &error {
                    EncodeError::UnknownArgument { argument, .. }
                    | EncodeError::Repeated { argument }
                    | EncodeError::NotExpressible { argument, .. }
                    | EncodeError::Flag { argument, .. }
                    | EncodeError::NotANumber { argument, .. }
                    | EncodeError::TooWide { argument, .. }
                    | EncodeError::NotAnAddress { argument, .. }
                    | EncodeError::ZeroByte { argument } => written.iter().find(|one| one.name == *argument),
                    _ => None,
                };
                let path = match named {
                    Some(Written { key: Key::Own(key), .. }) => path.key(*key),
                    Some(Written { name, key: Key::Args, .. }) => path.key("args").key(name),
                    None => path.key("call"),
                };
                let meant = match &error {
                    EncodeError::Flag { error, .. } => nearest(&error.unknown, error.set.names()),
                    _ => None,
                };
                let meant = meant.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                AttemptError { message: format!("{error}{meant}"), path }
            }
        }
    }
}

struct Compiler {
    script: Script,
    made: Vec<Made>,
    calls: usize,
}

impl Compiler {
    fn attempt(
        &mut self,
        item: usize,
        attempt: &Attempt,
        call: Syscall,
        written: &[Written],
    ) -> Result<(), Problem> {
        let mut before = Vec::new();
        let mut args: Vec<(&str, Given<'_>)> = written.iter().map(Written::given).collect();
        // What stands for a descriptor that an earlier call of the script makes.
        let mut results: Vec<(&'static str, usize)> = Vec::new();
        if let Some(folder) = written.iter().find(|one| one.key == Key::Own("dirfd")).and_then(folder) {
            let place = self.open_folder(folder)?;
            before.push(("the folder of `dirfd`", place));
            results.push(("dirfd", place));
        }
        let has_fd = args.iter().any(|(name, _)| *name == "fd");
        if let Some(to) = written.iter().find(|one| one.key == Key::Own("to")) {
            let takes_fd = signature::params(call).first().is_some_and(|param| param.name == "fd");
            if !has_fd && takes_fd {
                let place = self.socket(call, to)?;
                before.push(("the socket", place));
                results.push(("fd", place));
            }
        }
        for (name, _) in &results {
            // A number that every spelling can judge: not `AT_FDCWD`, so that one that has no such argument and
            // would need it is refused.
            args.retain(|(known, _)| known != name);
            args.push((name, Given::Number(0)));
        }
        let encoded = encode(call, &args).map_err(Problem::Encode)?;
        let null = signature::params(call).iter().zip(&encoded.registers).filter_map(|(param, register)| {
            let pointer = matches!(param.kind, Kind::Path | Kind::Text | Kind::Pointer);
            let written = args.iter().any(|(name, _)| *name == param.name)
                || attempt.registers.keys().any(|name| name == param.name);
            (pointer && !written && *register == Register::Number(0)).then_some(param.name)
        });
        let null = null.collect();
        let mut registers = encoded.registers.map(|register| self.value(register));
        for (name, place) in &results {
            let at = signature::params(call).iter().position(|param| param.name == *name);
            if let Some(register) = at.and_then(|at| registers.get_mut(at)) {
                *register = prober::Value::Result(*place);
            }
        }
        for (name, whole) in &attempt.registers {
            let at = signature::params(call).iter().position(|param| param.name == name);
            let room = at
                .and_then(|at| registers.get_mut(at))
                .ok_or_else(|| Problem::Said("registers", format!("{call} has no argument `{name}`")))?;
            let wide = u64::try_from(*whole).or_else(|_| i64::try_from(*whole).map(i64::cast_unsigned));
            *room = prober::Value::Number(wide.map_err(|_| {
                Problem::Said("registers", format!("`{name}` is {whole}, and a register has 64 bits"))
            })?);
        }
        let place = self.call(call, registers)?;
        let read = match attempt.read {
            None => None,
            Some(_) if !reads(call) => {
                return Err(Problem::Said("read", format!("{call} returns no descriptor to read from")));
            }
            Some(size) => Some(self.read(place, size.0)?),
        };
        if opens(call) {
            self.close(place)?;
        }
        for (_, place) in &before {
            self.close(*place)?;
        }
        self.made.push(Made {
            item,
            call,
            family: attempt.call.is_family(),
            place,
            before,
            read,
            wanted: attempt.expect,
            same_for_all: attempt.same_for_all,
            null,
        });
        Ok(())
    }

    fn call(&mut self, call: Syscall, registers: [prober::Value; 6]) -> Result<usize, Problem> {
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Err(Problem::Said("call", format!("the attempts make more than {MAX_CALLS} calls")));
        }
        Ok(self.script.call(call, registers))
    }

    fn value(&mut self, register: Register) -> prober::Value {
        match register {
            Register::Number(number) => prober::Value::Number(number),
            Register::Bytes(bytes) => prober::Value::Data(self.script.bytes(&bytes)),
            Register::Buffer(len) => prober::Value::Data(self.script.buffer(len)),
            Register::Struct { mut bytes, pointers } => {
                for (at, target) in pointers {
                    let pointer = match self.value(target) {
                        prober::Value::Data(offset) => prober::Script::address(offset),
                        prober::Value::Number(number) => number,
                        // Nothing in a structure is made of an earlier call's result.
                        prober::Value::Result(_) => 0,
                    };
                    if let Some(room) = bytes.get_mut(at..at + size_of::<u64>()) {
                        room.copy_from_slice(&pointer.to_ne_bytes());
                    }
                }
                prober::Value::Data(self.script.bytes(&bytes))
            }
        }
    }

    fn simple(&mut self, name: &str, args: &[(&str, Given<'_>)]) -> Result<usize, Problem> {
        let call = Syscall::named(name).map_err(|error| Problem::Said("call", error.to_string()))?;
        let encoded = encode(call, args).map_err(Problem::Encode)?;
        let registers = encoded.registers.map(|register| self.value(register));
        self.call(call, registers)
    }

    fn open_folder(&mut self, path: &[u8]) -> Result<usize, Problem> {
        let flags = Given::Text(b"O_PATH|O_DIRECTORY|O_CLOEXEC");
        self.simple("openat", &[("path", Given::Text(path)), ("flags", flags)])
    }

    fn socket(&mut self, call: Syscall, to: &Written) -> Result<usize, Problem> {
        let bytes = match &to.value {
            Bytes::Text(text) => address::parse(text),
            Bytes::Number(_) => None,
        };
        let domain = bytes.as_deref().and_then(|bytes| bytes.first_chunk()).copied().map(u16::from_ne_bytes);
        // What is no address, encoding the call itself says best.
        let domain = Given::Number(domain.unwrap_or(0).into());
        let kind: &[u8] = if family::SEND.contains(call) { b"SOCK_DGRAM" } else { b"SOCK_STREAM" };
        self.simple("socket", &[("domain", domain), ("type", Given::Text(kind))])
    }

    fn read(&mut self, from: usize, size: u64) -> Result<(usize, usize, usize), Problem> {
        let len = usize::try_from(size.min(MAX_READ)).unwrap_or(0);
        if size == 0 || size > MAX_READ {
            return Err(Problem::Said("read", format!("`read` is a size from 1 to {MAX_READ} bytes")));
        }
        let offset = self.script.buffer(len);
        let buffer = prober::Value::Data(offset);
        let call = Syscall::named("read").map_err(|error| Problem::Said("read", error.to_string()))?;
        let zero = prober::Value::Number(0);
        let registers =
            [prober::Value::Result(from), buffer, prober::Value::Number(len as u64), zero, zero, zero];
        Ok((self.call(call, registers)?, offset, len))
    }

    /// Closes what a call returned. After a failure that is no descriptor, and closing it changes nothing.
    fn close(&mut self, place: usize) -> Result<(), Problem> {
        let call = Syscall::named("close").map_err(|error| Problem::Said("call", error.to_string()))?;
        let zero = prober::Value::Number(0);
        self.call(call, [prober::Value::Result(place), zero, zero, zero, zero, zero])?;
        Ok(())
    }
}

/// The path of `dirfd`, where it is one.
fn folder(written: &Written) -> Option<&[u8]> {
    match &written.value {
        Bytes::Text(text) if text.starts_with(b"/") => Some(text),
        _ => None,
    }
}

/// Whether a call returns a descriptor of its own.
fn opens(call: Syscall) -> bool {
    let one = [family::OPEN, family::MEMFD, family::DUP, family::ACCEPT];
    let pair = |param: &signature::Param| matches!(param.kind, Kind::Buffer(_));
    one.iter().any(|family| family.contains(call))
        || (family::SOCKET.contains(call) && !signature::params(call).iter().any(pair))
}

/// Whether that descriptor may be one to read from: `man 2 creat` is `open` with `O_WRONLY`.
fn reads(call: Syscall) -> bool {
    opens(call) && call.name() != "creat"
}
