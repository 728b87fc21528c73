//! Arguments laid out, and decoded again.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::super::{address, decode, family};
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
    impl Ram {
        fn place(&mut self, register: Register) -> u64 {
            let bytes = match register {
                Register::Number(value) => return value,
                Register::Buffer(_) => return 0xb0f,
                Register::Bytes(bytes) => bytes,
                Register::Struct { mut bytes, pointers } => {
                    for (at, target) in pointers {
                        bytes[at..at + 8].copy_from_slice(&self.place(target).to_ne_bytes());
                    }
                    bytes
                }
            };
            self.0.push(bytes);
            0x1000 + self.0.len() as u64 - 1
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
    let registers = encoded.registers.map(|register| ram.place(register));
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
        encode(spelling, &[("path", text("x")), ("flags", text("O_RDONLY")), ("mode", Given::Number(0o644))])
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
    let encoded = encode(call("connect"), &[("fd", Given::Number(3)), ("addr", text("1.2.3.4:80"))]).unwrap();
    assert_eq!(encoded.registers[1], Register::Bytes(vec![2, 0, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]));
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
        let Register::Bytes(how) = &encode(call("openat2"), &args).unwrap().registers[2] else { panic!() };
        assert_eq!(how[8..16], u64::to_ne_bytes(mode), "{flags}");
    }
}

#[test]
fn structures_point_to_what_they_hold() {
    let args = [("fd", Given::Number(3)), ("addr", text("1.2.3.4:80")), ("buf", text("hello"))];
    for spelling in ["sendto", "sendmsg"] {
        assert!(round(spelling, &args).contains("1.2.3.4:80"), "{}", round(spelling, &args));
    }
    let message = encode(call("sendmsg"), &args).unwrap();
    let Register::Struct { bytes, pointers } = &message.registers[1] else { panic!("{message:?}") };
    assert_eq!((bytes.len(), bytes[8], bytes[24]), (56, 16, 1));
    let (16, Register::Struct { bytes, pointers }) = &pointers[1] else { panic!("{pointers:?}") };
    assert_eq!((bytes.len(), bytes[8]), (16, 5));
    assert_eq!(pointers[..], [(0, Register::Bytes(b"hello".to_vec()))]);

    let args = [
        ("path", text("/x")),
        ("name", text("user.a")),
        ("value", text("abc")),
        ("flags", text("XATTR_CREATE")),
    ];
    for spelling in family::XATTR_SET.by_path() {
        encode(spelling, &args).unwrap();
    }
    let encoded = encode(call("setxattrat"), &args).unwrap();
    let expected = [0_u64.to_ne_bytes(), (1_u64 << 32 | 3).to_ne_bytes()].concat();
    assert_eq!(
        encoded.registers[4],
        Register::Struct { bytes: expected, pointers: vec![(0, Register::Bytes(b"abc".to_vec()))] }
    );
    assert_eq!(encoded.registers[5], Register::Number(16));
    let args = [("path", text("/x")), ("name", text("user.a")), ("size", Given::Number(9))];
    for spelling in family::XATTR_GET.by_path() {
        encode(spelling, &args).unwrap();
    }
    let encoded = encode(call("getxattrat"), &args).unwrap();
    let Register::Struct { bytes, pointers } = &encoded.registers[4] else { panic!("{encoded:?}") };
    assert_eq!((bytes[8], &pointers[..]), (9, &[(0, Register::Buffer(9))][..]));
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

/// Memory that answers anything.
struct Noise(Vec<u8>);

impl decode::Memory for Noise {
    fn cstr(&mut self, addr: u64) -> Option<Vec<u8>> {
        addr.is_multiple_of(2).then(|| self.0.clone())
    }

    fn bytes(&mut self, addr: u64, len: usize) -> Option<Vec<u8>> {
        (!addr.is_multiple_of(3)).then(|| self.0.iter().copied().cycle().take(len).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_written_or_seen_is_too_odd(
        number in 0..480_i64,
        registers in any::<[u64; 6]>(),
        bytes in prop::collection::vec(any::<u8>(), 1..40),
        words in "[A-Z_|0ox1-9é\\-:@.]{0,12}",
        value in any::<i128>(),
    ) {
        let Ok(call) = Syscall::checked(number) else { return Ok(()) };
        let _ = decode::decode(call, &registers, &mut Noise(bytes.clone())).to_string();
        for name in names(call) {
            for given in [Given::Number(value), Given::Text(words.as_bytes()), Given::Text(&bytes)] {
                if let Err(error) = encode(call, &[(name, given)]) {
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
        let _ = address::show(&bytes);
    }
}

#[test]
fn what_is_wrong_is_said_in_few_words() {
    let (long, odd) = ("x".repeat(100_000), vec![0x8d; 100_000]);
    for (name, argument, given) in [
        ("openat", "flags", text(&long)),
        ("openat", "flags", Given::Text(&odd)),
        ("openat", "mode", text(&long)),
        ("openat", "dirfd", text(&long)),
        ("connect", "addr", text(&long)),
        ("read", "count", Given::Text(&odd)),
    ] {
        let said = encode(call(name), &[(argument, given)]).unwrap_err().to_string();
        assert!(said.len() < 500, "{} bytes: {said:.200}", said.len());
    }
}
