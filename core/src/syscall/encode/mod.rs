//! From arguments that a person wrote to registers and memory, for a prober.
//!
//! The reverse of [`decode`](super::decode), over the same signatures. One set of arguments fits every spelling of an
//! operation: an argument that only other spellings have is accepted where leaving it out changes nothing.
#![forbid(unsafe_code)]

mod structs;
#[cfg(test)]
mod tests;

use super::flags::{self, FlagError, FlagSet, number};
use super::signature::{self, Kind, Param, Width};
use super::{Family, Syscall, address};

/// An argument as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given<'a> {
    /// A number.
    Number(i128),
    /// Anything else: flags by name, a path, an address, the bytes to write.
    Text(&'a [u8]),
}

/// The six registers of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// In their order.
    pub registers: [Register; 6],
}

/// What a register holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Register {
    /// This number.
    Number(u64),
    /// The address of these bytes.
    Bytes(Vec<u8>),
    /// The address of as many zeroed bytes, for the kernel to write to.
    Buffer(usize),
    /// The address of a structure that points to more.
    Struct {
        /// Its bytes, with zeros where pointers belong.
        bytes: Vec<u8>,
        /// Where pointers belong, eight bytes each, and what they point to.
        pointers: Vec<(usize, Register)>,
    },
}

impl Register {
    /// How many bytes it points to, where they were given.
    fn len(&self) -> Option<usize> {
        match self {
            Self::Bytes(bytes) | Self::Struct { bytes, .. } => Some(bytes.len()),
            Self::Number(_) | Self::Buffer(_) => None,
        }
    }
}

/// Why arguments don't make a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The call has no such argument.
    #[error("{call} has no argument `{argument}`; it has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    UnknownArgument {
        /// The call.
        call: Syscall,
        /// The name that was written.
        argument: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// The argument was written twice.
    #[error("the argument `{argument}` stands twice")]
    Repeated {
        /// Its name.
        argument: String,
    },
    /// Other spellings of the operation have such an argument; with this value, this one can't do without it.
    #[error("{call} can't express this `{argument}`: other spellings can")]
    NotExpressible {
        /// The call.
        call: Syscall,
        /// Its name.
        argument: String,
    },
    /// A name is not one of the argument's flags.
    #[error("`{argument}`: {error}")]
    Flag {
        /// The argument.
        argument: String,
        /// Which name.
        error: FlagError,
    },
    /// Text where a number belongs.
    #[error("`{argument}` takes a number, not {text:?}")]
    NotANumber {
        /// The argument.
        argument: String,
        /// The text.
        text: String,
    },
    /// The kernel would look at only some of the number's bits.
    #[error("`{argument}` is {value}, which does not fit its {width:?} bits", width = width.mask().count_ones())]
    TooWide {
        /// The argument.
        argument: String,
        /// The number.
        value: i128,
        /// What fits.
        width: Width,
    },
    /// Not a socket address.
    #[error(
        "`{argument}` takes an address such as `127.0.0.1:80`, `[::1]:80`, `unix:/run/x` or `unix:@name`, not {text:?}"
    )]
    NotAnAddress {
        /// The argument.
        argument: String,
        /// The text.
        text: String,
    },
    /// A path or string with a zero byte in it, where it would end.
    #[error("`{argument}` has a zero byte in it")]
    ZeroByte {
        /// The argument.
        argument: String,
    },
}

/// The names that the arguments of a call are given by.
#[must_use]
pub fn names(call: Syscall) -> Vec<&'static str> {
    let mut names = Vec::new();
    for param in signature::params(call) {
        match param.kind {
            Kind::OpenHow { .. } => names.extend(["flags", "mode", "resolve"]),
            Kind::Message => names.extend(["addr", "buf"]),
            Kind::XattrArgs { .. } => names.extend(["value", "size", "flags"]),
            _ => {}
        }
        names.push(param.name);
    }
    names
}

/// Makes a call's registers from named arguments.
///
/// What is omitted is 0, but: a folder's descriptor is `AT_FDCWD`, a size is that of its bytes, and room that the
/// kernel writes to is made.
///
/// # Errors
/// [`EncodeError`].
pub fn encode(call: Syscall, args: &[(&str, Given<'_>)]) -> Result<Encoded, EncodeError> {
    let params = signature::params(call);
    let call_args = Arguments { call, args };
    call_args.check()?;
    let mut registers = [const { Register::Number(0) }; 6];
    let mut sizes = [None; 6];
    for (place, param) in params.iter().enumerate() {
        let given = call_args.given(param.name);
        let mut sized = |at: usize, register: Register| {
            sizes[at] = register.len();
            register
        };
        let register = match param.kind {
            Kind::OpenHow { size } => sized(size, call_args.open_how(given)?),
            Kind::XattrArgs { size } => sized(size, call_args.xattr_args(given)?),
            Kind::Message => call_args.message(given)?,
            Kind::Address { len } => {
                sized(len, given.map_or(Ok(NULL), |given| socket_address(param.name, given))?)
            }
            Kind::Input { len } => sized(len, given.map_or(Ok(NULL), |given| pointer(param, given))?),
            Kind::Output { len } => match given {
                Some(given) => pointer(param, given)?,
                None => call_args.room(params.get(len))?,
            },
            Kind::Buffer(size) => match given {
                Some(given) => pointer(param, given)?,
                None => Register::Buffer(size),
            },
            Kind::Path | Kind::Text => given.map_or(Ok(NULL), |given| string(param, given))?,
            Kind::Pointer => given.map_or(Ok(NULL), |given| pointer(param, given))?,
            Kind::DirFd if given.is_none() => Register::Number(at_fdcwd()),
            _ => Register::Number(given.map_or(Ok(0), |given| value(param, given))?),
        };
        registers[place] = register;
    }
    for (place, size) in sizes.into_iter().enumerate() {
        let (Some(size), Some(param)) = (size, params.get(place)) else { continue };
        // A size that was written is meant, however wrong.
        if call_args.given(param.name).is_none() {
            registers[place] = Register::Number(size as u64);
        }
    }
    Ok(Encoded { registers })
}

/// The arguments of one call.
struct Arguments<'a> {
    call: Syscall,
    args: &'a [(&'a str, Given<'a>)],
}

impl<'a> Arguments<'a> {
    fn given(&self, name: &str) -> Option<Given<'a>> {
        self.args.iter().find(|(known, _)| *known == name).map(|(_, given)| *given)
    }

    /// Every argument has a place in this call, or does not need one.
    fn check(&self) -> Result<(), EncodeError> {
        let known = names(self.call);
        for (place, (name, given)) in self.args.iter().enumerate() {
            if self.args[..place].iter().any(|(other, _)| other == name) {
                return Err(EncodeError::Repeated { argument: (*name).to_owned() });
            }
            if known.contains(name) {
                continue;
            }
            let Some((param, path)) = self.elsewhere(name) else {
                return Err(EncodeError::UnknownArgument {
                    call: self.call,
                    argument: (*name).to_owned(),
                    known: known.clone(),
                });
            };
            if !self.can_do_without(param, path, *given)? {
                return Err(EncodeError::NotExpressible { call: self.call, argument: (*name).to_owned() });
            }
        }
        Ok(())
    }

    /// The argument of this name in another spelling of the operation, and the path that follows it there.
    fn elsewhere(&self, name: &str) -> Option<(Param, Option<&'static str>)> {
        Family::of(self.call).flat_map(|family| family.syscalls()).find_map(|other| {
            let params = signature::params(other);
            if let Some(place) = params.iter().position(|param| param.name == name) {
                return Some((params[place], params.get(place + 1).map(|next| next.name)));
            }
            let has_how = params.iter().any(|param| matches!(param.kind, Kind::OpenHow { .. }));
            (has_how && name == "resolve").then_some((structs::RESOLVE, None))
        })
    }

    /// Whether leaving this argument out leaves the operation the same.
    fn can_do_without(
        &self,
        param: Param,
        path: Option<&str>,
        given: Given<'_>,
    ) -> Result<bool, EncodeError> {
        let absolute = || matches!(path.and_then(|path| self.given(path)), Some(Given::Text([b'/', ..])));
        match param.kind {
            Kind::DirFd => Ok(value(&param, given)? == at_fdcwd() || absolute()),
            // `creat` always opens the same way.
            Kind::Flags(set) if *set == flags::OPEN => value(&param, given).map(|_| true),
            Kind::Flags(_) | Kind::Flags64(_) => Ok(value(&param, given)? == 0),
            _ => Ok(given == Given::Number(0)),
        }
    }

    /// Room of the size that the argument `len` says.
    fn room(&self, len: Option<&Param>) -> Result<Register, EncodeError> {
        let Some(len) = len else { return Ok(Register::Number(0)) };
        let size = self.given(len.name).map_or(Ok(0), |given| value(len, given))?;
        // More room than this is not wanted, but a lie about the size is: a test of what the kernel checks.
        const ROOM_MAX: u64 = 1 << 20;
        Ok(match usize::try_from(size.min(ROOM_MAX)) {
            Ok(0) | Err(_) => Register::Number(0),
            Ok(size) => Register::Buffer(size),
        })
    }
}

const NULL: Register = Register::Number(0);

const fn at_fdcwd() -> u64 {
    libc::AT_FDCWD as u32 as u64
}

/// A text for a message: as much of it as a person reads.
fn text_of(text: &[u8]) -> String {
    const MOST: usize = 60;
    let (shown, end) = match text.get(..MOST) {
        Some(shown) if shown.len() < text.len() => (shown, "..."),
        _ => (text, ""),
    };
    format!("{}{end}", crate::trace::BytesText(shown.to_vec()))
}

/// A number, by name or as a number, cut to its width.
fn value(param: &Param, given: Given<'_>) -> Result<u64, EncodeError> {
    let width = param.kind.width();
    let argument = || param.name.to_owned();
    let value = match given {
        Given::Number(value) => value,
        Given::Text(bytes) => {
            let not_a_number = || EncodeError::NotANumber { argument: argument(), text: text_of(bytes) };
            let text = std::str::from_utf8(bytes).map_err(|_| not_a_number())?;
            match param.kind {
                Kind::Flags(set) | Kind::Flags64(set) => flag(param, set, text)?,
                Kind::Mode => mode(text).ok_or_else(not_a_number)?,
                Kind::Fd | Kind::DirFd if text == "AT_FDCWD" => i128::from(libc::AT_FDCWD),
                _ => signed(text).ok_or_else(not_a_number)?,
            }
        }
    };
    let mask = i128::from(width.mask());
    // Both readings of the bits are accepted: -1 and 0xffffffff.
    if value > mask || value < -(mask / 2) - 1 {
        return Err(EncodeError::TooWide { argument: argument(), value, width });
    }
    Ok((value & mask) as u64)
}

fn flag(param: &Param, set: &'static FlagSet, text: &str) -> Result<i128, EncodeError> {
    match signed(text) {
        Some(value) => Ok(value),
        None => match set.parse(text) {
            Ok(value) => Ok(i128::from(value)),
            Err(error) => Err(EncodeError::Flag { argument: param.name.to_owned(), error }),
        },
    }
}

fn signed(text: &str) -> Option<i128> {
    match text.strip_prefix('-') {
        Some(digits) => number(digits).map(|value| -i128::from(value)),
        None => number(text).map(i128::from),
    }
}

/// Permission bits are octal however they are written, `644` or `0644`, with a file's type by name before them.
fn mode(text: &str) -> Option<i128> {
    text.split('|').map(str::trim).try_fold(0, |mode, word| {
        let bits = if word.starts_with(|first: char| first.is_ascii_digit()) {
            i128::from_str_radix(word.strip_prefix("0o").unwrap_or(word), 8).ok()
        } else {
            flags::FILE_MODE.parse(word).ok().map(i128::from)
        };
        bits.map(|bits| mode | bits)
    })
}

fn string(param: &Param, given: Given<'_>) -> Result<Register, EncodeError> {
    match given {
        Given::Text(text) if text.contains(&0) => {
            Err(EncodeError::ZeroByte { argument: param.name.to_owned() })
        }
        Given::Text(text) => Ok(Register::Bytes([text, b"\0"].concat())),
        Given::Number(_) => value(param, given).map(Register::Number),
    }
}

fn pointer(param: &Param, given: Given<'_>) -> Result<Register, EncodeError> {
    match given {
        Given::Text(bytes) => Ok(Register::Bytes(bytes.to_vec())),
        Given::Number(_) => value(param, given).map(Register::Number),
    }
}

fn socket_address(name: &'static str, given: Given<'_>) -> Result<Register, EncodeError> {
    let Given::Text(text) = given else { return pointer(&Param { name, kind: Kind::Pointer }, given) };
    address::parse(text)
        .map(Register::Bytes)
        .ok_or_else(|| EncodeError::NotAnAddress { argument: name.to_owned(), text: text_of(text) })
}
