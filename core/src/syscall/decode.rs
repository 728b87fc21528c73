//! From registers and memory to arguments that a person can read.
//!
//! What is decoded here is shown, never decided on: a guest can change its memory after this has looked.
#![forbid(unsafe_code)]

use super::signature::{self, Kind};
use super::{Syscall, Sysno, address, flags};
use crate::trace::{Arg, Args, BytesText};

/// The largest socket address that the kernel takes: `sizeof(struct sockaddr_storage)`.
const ADDRESS_MAX: usize = 128;
/// The size of `struct open_how` in its first version.
const OPEN_HOW_SIZE: usize = 24;

/// A guest's memory.
pub trait Memory {
    /// The string at this address, without its terminating zero.
    fn cstr(&mut self, addr: u64) -> Option<Vec<u8>>;
    /// Exactly `len` bytes at this address.
    fn bytes(&mut self, addr: u64, len: usize) -> Option<Vec<u8>>;
}

/// No memory at all: every pointer stays a pointer.
impl Memory for () {
    fn cstr(&mut self, _addr: u64) -> Option<Vec<u8>> {
        None
    }

    fn bytes(&mut self, _addr: u64, _len: usize) -> Option<Vec<u8>> {
        None
    }
}

/// The arguments of a call.
///
/// Numbers are cut to what the kernel looks at; a pointer that can't be read stays one. An argument that the kernel
/// does not look at (the mode of an open that creates nothing) is left out: its register holds anything.
#[must_use]
pub fn decode(call: Syscall, registers: &[u64; 6], memory: &mut dyn Memory) -> Args {
    let params = signature::params(call);
    let mut args: Vec<(&'static str, Arg)> = Vec::with_capacity(params.len());
    for (param, &register) in params.iter().zip(registers) {
        let pointer = Arg::Pointer(register);
        let low = register as u32;
        let arg = match param.kind {
            Kind::Int | Kind::Pid => Arg::Int(i64::from(low as i32)),
            Kind::Uint => Arg::Int(i64::from(low)),
            Kind::Long | Kind::Ulong | Kind::Size | Kind::Offset => Arg::Int(register as i64),
            Kind::Fd | Kind::DirFd => Arg::Fd(low as i32),
            Kind::Mode if !mode_counts(call, registers) => continue,
            Kind::Mode => Arg::Mode(low & 0xffff),
            Kind::Flags(set) => Arg::Flags(u64::from(low), set.render(u64::from(low))),
            Kind::Flags64(set) => Arg::Flags(register, set.render(register)),
            Kind::Path => memory.cstr(register).map_or(pointer, |path| Arg::Path(BytesText(path))),
            Kind::Text => memory.cstr(register).map_or(pointer, |text| Arg::Text(BytesText(text))),
            Kind::Address { len } => {
                let len = registers.get(len).map_or(0, |len| *len as u32 as usize);
                address_at(memory, register, len).map_or(pointer, Arg::Address)
            }
            Kind::Message => {
                if let Some(address) = message_address(memory, register) {
                    args.push(("addr", Arg::Address(address)));
                }
                pointer
            }
            Kind::OpenHow { size } => {
                let size = registers.get(size).copied().unwrap_or(0);
                match open_how(memory, register, size) {
                    Some(fields) => {
                        args.extend(fields);
                        continue;
                    }
                    None => pointer,
                }
            }
            Kind::XattrArgs { .. }
            | Kind::Input { .. }
            | Kind::Output { .. }
            | Kind::Buffer(_)
            | Kind::Pointer => pointer,
        };
        args.push((param.name, arg));
    }
    Args(args)
}

/// `open` looks at its mode only when it creates.
fn mode_counts(call: Syscall, registers: &[u64; 6]) -> bool {
    match call.sysno() {
        Sysno::open | Sysno::mq_open => creates(registers[1]),
        Sysno::openat => creates(registers[2]),
        _ => true,
    }
}

/// Whether these open flags make a file: `O_CREAT`, or `O_TMPFILE` without the bit that it shares.
pub(super) fn creates(flags: u64) -> bool {
    const TMPFILE: u64 = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;
    flags & (libc::O_CREAT as u64 | TMPFILE) != 0
}

fn open_how(memory: &mut dyn Memory, addr: u64, size: u64) -> Option<Vec<(&'static str, Arg)>> {
    if size < OPEN_HOW_SIZE as u64 {
        return None;
    }
    let how = memory.bytes(addr, OPEN_HOW_SIZE)?;
    let field = |place: usize| Some(u64::from_ne_bytes(how.get(place * 8..place * 8 + 8)?.try_into().ok()?));
    let (flags, mode, resolve) = (field(0)?, field(1)?, field(2)?);
    let mut fields = vec![("flags", Arg::Flags(flags, flags::OPEN.render(flags)))];
    if mode != 0 || creates(flags) {
        fields.push(("mode", u32::try_from(mode).map_or(Arg::Int(mode as i64), Arg::Mode)));
    }
    if resolve != 0 {
        fields.push(("resolve", Arg::Flags(resolve, flags::RESOLVE.render(resolve))));
    }
    Some(fields)
}

fn address_at(memory: &mut dyn Memory, addr: u64, len: usize) -> Option<String> {
    (addr != 0 && (2..=ADDRESS_MAX).contains(&len))
        .then(|| memory.bytes(addr, len))?
        .map(|bytes| address::show(&bytes))
}

/// The address in a `struct msghdr`: a pointer and its length come first.
fn message_address(memory: &mut dyn Memory, addr: u64) -> Option<String> {
    let head = memory.bytes(addr, 12)?;
    let name = u64::from_ne_bytes(head.get(..8)?.try_into().ok()?);
    let len = u32::from_ne_bytes(head.get(8..12)?.try_into().ok()?);
    address_at(memory, name, len as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Ram(BTreeMap<u64, Vec<u8>>);

    impl Memory for Ram {
        fn cstr(&mut self, addr: u64) -> Option<Vec<u8>> {
            self.0.get(&addr).cloned()
        }

        fn bytes(&mut self, addr: u64, len: usize) -> Option<Vec<u8>> {
            self.0.get(&addr)?.get(..len).map(<[u8]>::to_vec)
        }
    }

    fn shown(name: &str, registers: [u64; 6], memory: &[(u64, &[u8])]) -> String {
        let mut ram = Ram(memory.iter().map(|(addr, bytes)| (*addr, bytes.to_vec())).collect());
        decode(Syscall::named(name).unwrap(), &registers, &mut ram).to_string()
    }

    const GARBAGE: u64 = 0xdead_beef_0000_0000;
    const CWD: u64 = GARBAGE | 0xffff_ff9c;

    #[test]
    fn numbers_are_cut_to_their_width() {
        assert_eq!(
            shown("openat", [CWD, 1, GARBAGE | 0o2_000_000, 0o777, 0, 0], &[(1, b"/etc/passwd")]),
            r#"AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC"#
        );
        assert_eq!(
            shown("openat", [5, 1, 0o101, GARBAGE | 0x5_0000 | 0o644, 0, 0], &[(1, b"x")]),
            r#"5, "x", O_WRONLY|O_CREAT, 0o644"#
        );
        assert_eq!(shown("ioctl", [0, GARBAGE | 0x5412, 7, 0, 0, 0], &[]), "0, TIOCSTI, 7");
        assert_eq!(shown("kill", [GARBAGE | 0xffff_ffff, 9, 0, 0, 0, 0], &[]), "-1, SIGKILL");
        assert_eq!(shown("setuid", [0xffff_ffff, 0, 0, 0, 0, 0], &[]), "4294967295");
        assert_eq!(shown("lseek", [3, u64::MAX, 1, 0, 0, 0], &[]), "3, -1, SEEK_CUR");
        assert_eq!(shown("clone", [GARBAGE | 17, 0, 0, 0, 0, 0], &[]), "SIGCHLD, NULL, NULL, NULL, 0");
    }

    #[test]
    fn what_cannot_be_read_stays_a_pointer() {
        assert_eq!(shown("unlink", [0x1000, 0, 0, 0, 0, 0], &[]), "0x1000");
        assert_eq!(shown("unlink", [0, 0, 0, 0, 0, 0], &[]), "NULL");
        assert_eq!(shown("connect", [3, 0x10, 16, 0, 0, 0], &[]), "3, 0x10, 16");
        assert_eq!(shown("tuxcall", [1, 2, 3, 4, 5, 6], &[]), "1, 2, 3, 4, 5, 6");
    }

    #[test]
    fn only_paths_that_are_followed_are_paths() {
        let registers = [1, 2, 0, 0, 0, 0];
        let mut ram = Ram([(1, b"to".to_vec()), (2, b"\xff".to_vec())].into());
        let args = decode(Syscall::of(Sysno::symlink), &registers, &mut ram);
        assert_eq!(args.get("target"), Some(&Arg::Text(BytesText(b"to".to_vec()))));
        assert_eq!(args.paths().map(BytesText::as_bytes).collect::<Vec<_>>(), [b"\xff"]);
    }

    #[test]
    fn open_how_is_taken_apart() {
        let mut how = Vec::new();
        for field in [0o101_u64, 0o600, 8] {
            how.extend(field.to_ne_bytes());
        }
        let memory: &[(u64, &[u8])] = &[(1, b"x"), (2, &how)];
        assert_eq!(
            shown("openat2", [CWD, 1, 2, 24, 0, 0], memory),
            r#"AT_FDCWD, "x", O_WRONLY|O_CREAT, 0o600, RESOLVE_BENEATH, 24"#
        );
        assert_eq!(shown("openat2", [CWD, 1, 2, 8, 0, 0], memory), r#"AT_FDCWD, "x", 0x2, 8"#);
    }

    #[test]
    fn an_address_is_as_long_as_its_argument_says() {
        assert_eq!(
            shown("connect", [3, 1, GARBAGE | 8, 0, 0, 0], &[(1, &[2, 0, 0, 80, 10, 0, 0, 1])]),
            "3, 10.0.0.1:80, 8"
        );
        assert_eq!(shown("connect", [3, 1, 1 << 32, 0, 0, 0], &[(1, &[2, 0])]), "3, 0x1, 0");
    }

    #[test]
    fn a_message_shows_its_address() {
        let mut head = 16_u64.to_ne_bytes().to_vec();
        head.extend(8_u32.to_ne_bytes());
        let memory: &[(u64, &[u8])] = &[(8, &head), (16, &[2, 0, 0, 80, 10, 0, 0, 1])];
        assert_eq!(shown("sendmsg", [3, 8, 0, 0, 0, 0], memory), "3, 10.0.0.1:80, 0x8, 0");
    }
}
