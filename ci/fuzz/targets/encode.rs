//! Whatever arguments a person writes, they become registers that decode to what was written, or are refused in words.
#![no_main]
#![forbid(unsafe_code)]

use arbitrary::Arbitrary;
use assize_core::Syscall;
use assize_core::syscall::encode::{Given, Register, encode, names};
use assize_core::syscall::flags;
use assize_core::syscall::signature::{self, Kind};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    call: u16,
    args: Vec<(Name, Value)>,
    flags: String,
}

#[derive(Debug, Arbitrary)]
enum Name {
    Known(u8),
    Any(String),
}

#[derive(Debug, Arbitrary)]
enum Value {
    Number(i128),
    Small(i8),
    Text(Vec<u8>),
    Flag(u8, u8),
    Address(u8),
}

fn sizes(register: &Register) -> usize {
    match register {
        Register::Number(_) => 0,
        Register::Bytes(bytes) => bytes.len(),
        Register::Buffer(size) => *size,
        Register::Struct { bytes, pointers } => {
            for (at, _) in pointers {
                assert!(at + 8 <= bytes.len());
            }
            bytes.len() + pointers.iter().map(|(_, target)| sizes(target)).sum::<usize>()
        }
    }
}

fuzz_target!(|input: Input| {
    let count = Syscall::all().count();
    let call = Syscall::all().nth(usize::from(input.call) % count).expect("within the table");
    let known = names(call);
    let sets: Vec<_> = signature::params(call)
        .iter()
        .filter_map(|param| match param.kind {
            Kind::Flags(set) | Kind::Flags64(set) => Some(set),
            _ => None,
        })
        .chain([&flags::OPEN, &flags::RESOLVE])
        .collect();
    let texts: Vec<(String, Option<Vec<u8>>, i128)> = input
        .args
        .into_iter()
        .map(|(name, value)| {
            let name = match name {
                Name::Known(place) => {
                    known.get(usize::from(place) % known.len().max(1)).map_or("path", |name| *name).to_owned()
                }
                Name::Any(name) => name,
            };
            let (text, number) = match value {
                Value::Number(number) => (None, number),
                Value::Small(number) => (None, number.into()),
                Value::Text(text) => (Some(text), 0),
                Value::Flag(one, other) => {
                    let set = sets[usize::from(one) % sets.len()];
                    let names: Vec<_> = set.names().collect();
                    let word =
                        |nth: u8| names.get(usize::from(nth) % names.len().max(1)).copied().unwrap_or("0");
                    (Some(format!("{}|{}", word(one), word(other)).into_bytes()), 0)
                }
                Value::Address(kind) => {
                    let known = ["127.0.0.1:80", "[::1]:0", "unix:/run/x", "unix:@a", "unix:"];
                    (Some(known[usize::from(kind) % known.len()].as_bytes().to_vec()), 0)
                }
            };
            (name, text, number)
        })
        .collect();
    let args: Vec<(&str, Given<'_>)> = texts
        .iter()
        .map(|(name, text, number)| {
            (name.as_str(), text.as_deref().map_or(Given::Number(*number), Given::Text))
        })
        .collect();
    let written: usize = texts.iter().map(|(_, text, _)| text.as_ref().map_or(0, Vec::len)).sum();
    match encode(call, &args) {
        Ok(encoded) => {
            // Six rooms of a megabyte at most, and what was written.
            let sum: usize = encoded.registers.iter().map(sizes).sum();
            assert!(sum <= written * 2 + (6 << 20) + 4096, "{sum} bytes");
        }
        Err(error) => {
            // An argument's name is quoted whole: its place in a file is found by it.
            let names: usize = texts.iter().map(|(name, ..)| name.len()).sum();
            let said = error.to_string();
            assert!(said.len() < (1 << 13) + names, "{} bytes: {said:.200}", said.len());
        }
    }
    for set in sets {
        if let Ok(value) = set.parse(&input.flags) {
            assert_eq!(set.parse(&set.render(value)).ok(), Some(value));
        }
    }
});
