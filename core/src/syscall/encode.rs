//! From arguments that a person wrote to registers and memory, for a prober.
//!
//! The reverse of [`decode`](super::decode), over the same signatures. One set of arguments fits every spelling of an
//! operation: an argument that only other spellings have is accepted where leaving it out changes nothing.
#![forbid(unsafe_code)]

use super::decode::creates;
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
}

/// Why arguments don't make a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The call has no such argument.
    #[error("{call} has no argument `{argument}`; it has {}", known.join(", "))]
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
            Kind::OpenHow { .. } => names.extend(["flags", "mode", "resolve", param.name]),
            _ => names.push(param.name),
        }
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
        let register = match param.kind {
            Kind::OpenHow { size } => {
                let how = call_args.open_how(given)?;
                if let Register::Bytes(bytes) = &how {
                    sizes[size] = Some(bytes.len());
                }
                how
            }
            Kind::Address { len } => {
                let register = given.map_or(Ok(Register::Number(0)), |given| socket_address(param, given))?;
                if let Register::Bytes(bytes) = &register {
                    sizes[len] = Some(bytes.len());
                }
                register
            }
            Kind::Input { len } => {
                let register = given.map_or(Ok(Register::Number(0)), |given| pointer(param, given))?;
                if let Register::Bytes(bytes) = &register {
                    sizes[len] = Some(bytes.len());
                }
                register
            }
            Kind::Output { len } => match given {
                Some(given) => pointer(param, given)?,
                None => call_args.room(params.get(len))?,
            },
            Kind::Buffer(size) => match given {
                Some(given) => pointer(param, given)?,
                None => Register::Buffer(size),
            },
            Kind::Path | Kind::Text => given.map_or(Ok(Register::Number(0)), |given| string(param, given))?,
            Kind::Message | Kind::Pointer => {
                given.map_or(Ok(Register::Number(0)), |given| pointer(param, given))?
            }
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
            (has_how && name == "resolve").then_some((RESOLVE, None))
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

    fn open_how(&self, how: Option<Given<'_>>) -> Result<Register, EncodeError> {
        if let Some(how) = how {
            return pointer(&HOW, how);
        }
        let field = |param: &Param| self.given(param.name).map_or(Ok(0), |given| value(param, given));
        let (flags, mode, resolve) = (field(&FLAGS)?, field(&MODE)?, field(&RESOLVE)?);
        // `open` ignores the mode of what it doesn't create, `openat2` refuses it.
        let mode = if creates(flags) { mode } else { 0 };
        Ok(Register::Bytes([flags, mode, resolve].into_iter().flat_map(u64::to_ne_bytes).collect()))
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

const FLAGS: Param = Param { name: "flags", kind: Kind::Flags64(&flags::OPEN) };
const MODE: Param = Param { name: "mode", kind: Kind::Mode };
const RESOLVE: Param = Param { name: "resolve", kind: Kind::Flags64(&flags::RESOLVE) };
const HOW: Param = Param { name: "how", kind: Kind::Pointer };

const fn at_fdcwd() -> u64 {
    libc::AT_FDCWD as u32 as u64
}

fn text_of(text: &[u8]) -> String {
    crate::trace::BytesText(text.to_vec()).to_string()
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

fn socket_address(param: &Param, given: Given<'_>) -> Result<Register, EncodeError> {
    let Given::Text(text) = given else { return value(param, given).map(Register::Number) };
    address::parse(text)
        .map(Register::Bytes)
        .ok_or_else(|| EncodeError::NotAnAddress { argument: param.name.to_owned(), text: text_of(text) })
}

#[cfg(test)]
mod tests {
    use super::super::{decode, family};
    use super::*;

    fn call(name: &str) -> Syscall {
        Syscall::named(name).unwrap()
    }

    fn text(text: &str) -> Given<'_> {
        Given::Text(text.as_bytes())
    }

    /// Lays out what was encoded and decodes it again.
    fn round(name: &str, args: &[(&str, Given<'_>)]) -> String {
        struct Ram(Vec<Vec<u8>>);
        impl Ram {
            fn at(&self, addr: u64) -> Option<&Vec<u8>> {
                self.0.get(usize::try_from(addr).ok()?.checked_sub(0x1000)?)
            }
        }
        impl decode::Memory for Ram {
            fn cstr(&mut self, addr: u64) -> Option<Vec<u8>> {
                let bytes = self.at(addr)?;
                Some(bytes[..bytes.iter().position(|byte| *byte == 0)?].to_vec())
            }
            fn bytes(&mut self, addr: u64, len: usize) -> Option<Vec<u8>> {
                self.at(addr)?.get(..len).map(<[u8]>::to_vec)
            }
        }
        let encoded = encode(call(name), args).unwrap();
        let mut ram = Ram(Vec::new());
        let registers = encoded.registers.map(|register| match register {
            Register::Number(value) => value,
            Register::Bytes(bytes) => {
                ram.0.push(bytes);
                0x1000 + ram.0.len() as u64 - 1
            }
            Register::Buffer(_) => 0xb0f,
        });
        decode::decode(call(name), &registers, &mut ram).to_string()
    }

    #[test]
    fn one_set_of_arguments_fits_every_spelling_of_open() {
        let args = [
            ("path", text("/etc/passwd")),
            ("flags", text("O_RDWR|O_CREAT")),
            ("mode", text("0640")),
            ("dirfd", text("AT_FDCWD")),
        ];
        for (name, expected) in [
            ("open", r#""/etc/passwd", O_RDWR|O_CREAT, 0o640"#),
            ("creat", r#""/etc/passwd", 0o640"#),
            ("openat", r#"AT_FDCWD, "/etc/passwd", O_RDWR|O_CREAT, 0o640"#),
            ("openat2", r#"AT_FDCWD, "/etc/passwd", O_RDWR|O_CREAT, 0o640, 24"#),
        ] {
            assert_eq!(round(name, &args), expected);
        }
        for spelling in family::OPEN.syscalls() {
            encode(spelling, &args).unwrap();
            encode(
                spelling,
                &[("path", text("x")), ("flags", text("O_RDONLY")), ("mode", Given::Number(0o644))],
            )
            .unwrap();
        }
    }

    #[test]
    fn every_family_of_paths_takes_one_absolute_path_by_every_spelling() {
        for family in family::ALL {
            for spelling in family.by_path() {
                let args: Vec<_> = names(spelling)
                    .into_iter()
                    .filter(|name| name.ends_with("path"))
                    .map(|name| (name, text("/x")))
                    .collect();
                encode(spelling, &args).unwrap_or_else(|error| panic!("{spelling}: {error}"));
            }
        }
    }

    #[test]
    fn what_a_spelling_cannot_express_is_refused() {
        let relative = [("path", text("x")), ("dirfd", Given::Number(5))];
        assert_eq!(
            encode(call("open"), &relative),
            Err(EncodeError::NotExpressible { call: call("open"), argument: "dirfd".into() })
        );
        let absolute = [("path", text("/x")), ("dirfd", Given::Number(5))];
        assert!(encode(call("open"), &absolute).is_ok());
        let resolve = [("path", text("/x")), ("resolve", text("RESOLVE_BENEATH"))];
        assert!(matches!(encode(call("openat"), &resolve), Err(EncodeError::NotExpressible { .. })));
        assert!(encode(call("openat2"), &resolve).is_ok());
        let folder = [("path", text("/x")), ("flags", text("AT_REMOVEDIR"))];
        assert!(matches!(encode(call("unlink"), &folder), Err(EncodeError::NotExpressible { .. })));
        assert!(encode(call("unlinkat"), &folder).is_ok());
    }

    #[test]
    fn sizes_and_room_are_filled_in() {
        let encoded =
            encode(call("connect"), &[("fd", Given::Number(3)), ("addr", text("1.2.3.4:80"))]).unwrap();
        assert_eq!(
            encoded.registers[1],
            Register::Bytes(vec![2, 0, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0])
        );
        assert_eq!(encoded.registers[2], Register::Number(16));
        let encoded = encode(call("getrandom"), &[("count", Given::Number(8))]).unwrap();
        assert_eq!(encoded.registers[0], Register::Buffer(8));
        let encoded = encode(call("uname"), &[]).unwrap();
        assert_eq!(encoded.registers[0], Register::Buffer(390));
        let encoded = encode(call("write"), &[("fd", Given::Number(1)), ("buf", text("hello"))]).unwrap();
        assert_eq!(encoded.registers[2], Register::Number(5));
        let encoded = encode(call("write"), &[("buf", text("hello")), ("count", Given::Number(2))]).unwrap();
        assert_eq!(encoded.registers[2], Register::Number(2));
        let encoded = encode(call("uname"), &[("buf", Given::Number(0))]).unwrap();
        assert_eq!(encoded.registers[0], Register::Number(0));
    }

    #[test]
    fn a_mode_is_for_what_is_created() {
        let mut args = [("path", text("/x")), ("flags", text("O_RDONLY")), ("mode", text("600"))];
        for (flags, mode) in
            [("O_RDONLY", 0), ("O_WRONLY|O_CREAT", 0o600), ("O_RDWR|O_TMPFILE", 0o600), ("O_DIRECTORY", 0)]
        {
            args[1].1 = text(flags);
            let Register::Bytes(how) = &encode(call("openat2"), &args).unwrap().registers[2] else {
                panic!()
            };
            assert_eq!(how[8..16], u64::to_ne_bytes(mode), "{flags}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("644"), Some(0o644));
        assert_eq!(mode("0644"), Some(0o644));
        assert_eq!(mode("0o644"), Some(0o644));
        assert_eq!(mode("S_IFCHR|0600"), Some(0o20600));
        assert_eq!(mode("888"), None);
        assert_eq!(mode("rw"), None);
        assert_eq!(mode(""), None);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |name: &str, args: &[(&str, Given<'_>)]| encode(call(name), args).unwrap_err();
        assert_eq!(
            error("openat", &[("paht", text("x"))]).to_string(),
            "openat has no argument `paht`; it has dirfd, path, flags, mode"
        );
        assert_eq!(
            error("openat", &[("flags", text("O_RDONYL"))]).to_string(),
            "`flags`: \"O_RDONYL\" is not one of the open flags"
        );
        assert_eq!(
            error("kill", &[("pid", text("x")), ("sig", text("SIGKILL"))]),
            EncodeError::NotANumber { argument: "pid".into(), text: "x".into() }
        );
        assert_eq!(
            error("ioctl", &[("request", Given::Number(1 << 32))]),
            EncodeError::TooWide { argument: "request".into(), value: 1 << 32, width: Width::W32 }
        );
        assert!(matches!(error("unlink", &[("path", text("a\0b"))]), EncodeError::ZeroByte { .. }));
        assert!(matches!(error("connect", &[("addr", text("x"))]), EncodeError::NotAnAddress { .. }));
        assert!(matches!(
            error("kill", &[("sig", Given::Number(1)), ("sig", Given::Number(1))]),
            EncodeError::Repeated { .. }
        ));
        assert_eq!(round("kill", &[("pid", Given::Number(-1)), ("sig", text("SIGTERM"))]), "-1, SIGTERM");
        assert_eq!(round("personality", &[("persona", text("0xffffffff"))]), "0xffffffff");
        assert_eq!(round("getrusage", &[("who", text("RUSAGE_CHILDREN"))]), "0xffffffff, 0xb0f");
    }
}
