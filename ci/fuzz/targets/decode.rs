//! Whatever a guest puts in its registers and its memory, it is decoded, shown and serialised.
#![no_main]
#![forbid(unsafe_code)]

use arbitrary::Arbitrary;
use assize_core::Syscall;
use assize_core::syscall::{address, decode, signature};
use assize_core::{Errno, fuzzing, trace};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    call: u16,
    registers: [Register; 6],
    pieces: Vec<Vec<u8>>,
    address: Vec<u8>,
    place: String,
    table: Vec<u8>,
    path: Vec<u8>,
    real: (u64, u16),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Register {
    Any(u64),
    Small(u8),
    Piece(u8),
}

/// Memory in which each piece lies at an address of its own, with nothing between them.
struct Ram<'a>(&'a [Vec<u8>]);

const FIRST: u64 = 0x7000_0000_0000;
const STEP: u64 = 1 << 16;
/// As much as the kernel takes for a path.
const PATH: usize = 4096;

impl Ram<'_> {
    fn at(&self, address: u64) -> Option<&[u8]> {
        let from = address.checked_sub(FIRST)?;
        let piece = self.0.get(usize::try_from(from / STEP).ok()?)?;
        piece.get(usize::try_from(from % STEP).ok()?..)
    }
}

impl decode::Memory for Ram<'_> {
    fn cstr(&mut self, address: u64) -> Option<Vec<u8>> {
        let bytes = self.at(address)?;
        let bytes = &bytes[..bytes.len().min(PATH)];
        Some(bytes[..bytes.iter().position(|byte| *byte == 0)?].to_vec())
    }

    fn bytes(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
        // Whoever decodes asks for no more than a structure's size, whatever the guest says.
        assert!(len <= PATH, "{len} bytes at once");
        self.at(address)?.get(..len).map(<[u8]>::to_vec)
    }
}

fuzz_target!(|input: Input| {
    let count = Syscall::all().count();
    let call = Syscall::all().nth(usize::from(input.call) % count).expect("within the table");
    let registers = input.registers.map(|register| match register {
        Register::Any(value) => value,
        Register::Small(value) => value.into(),
        Register::Piece(piece) => FIRST + u64::from(piece) * STEP,
    });
    let args = decode::decode(call, &registers, &mut Ram(&input.pieces));
    // A structure may show three of its fields in its place.
    assert!(args.0.len() <= signature::params(call).len() + 2, "{args:?}");
    let shown = args.to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert_eq!(decode::decode(call, &registers, &mut ()).0.is_empty(), signature::params(call).is_empty());

    let shown = address::show(&input.address);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    if let Some(bytes) = address::parse(&input.address) {
        assert!(bytes.len() <= 128);
        let again = address::show(&bytes);
        assert!(address::parse(again.as_bytes()).is_none_or(|same| address::show(&same) == again));
    }
    if let Ok(place) = input.place.parse::<trace::Place>() {
        assert_eq!(place.to_string().parse::<trace::Place>().ok(), Some(place));
    }
    let _ = Errno::named(&input.place);

    let _ = (fuzzing::mapped(&input.table), fuzzing::aliases(&input.table, &input.path));
    // This process's own memory stands for a guest's.
    let (at, limit) = (input.real.0, usize::from(input.real.1));
    if let Ok(text) = fuzzing::cstr(std::process::id(), at, limit) {
        assert!(text.len() < limit.max(1) && !text.contains(&0));
    }
    let own = &input.path;
    let end = own.iter().position(|byte| *byte == 0);
    let read = fuzzing::cstr(std::process::id(), own.as_ptr() as u64, own.len());
    match end {
        Some(end) => assert_eq!(read.ok().as_deref(), own.get(..end)),
        None => assert!(read.is_err()),
    }
});
