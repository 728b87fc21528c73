//! Code by which a guest reads a clock without a call, and the words in its memory that this code works on.
//!
//! The code stands where the vDSO's functions stood (`core/src/sys/vdso.rs`). It only ever counts: what the clock has
//! gained otherwise is written by the supervisor, beside the count. Where it can't tell, it makes the call.

use std::arch::global_asm;
use std::mem::offset_of;
use std::sync::OnceLock;

use super::vdso;
use crate::syscall::Sysno;

/// The words, in a guest's memory. A reading is of the time `counter + offset`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// What the guest's own readings have taken, in nanoseconds. The guest alone writes it.
    pub(crate) counter: u64,
    /// What its time has gained otherwise. The supervisor alone writes it.
    pub(crate) offset: u64,
    /// The same again. Where the two differ, a reading is to be a call.
    pub(crate) mirror: u64,
    /// What never changes.
    pub(crate) fixed: Fixed,
}

/// The words that never change.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// By how many nanoseconds a reading moves the clock on.
    pub(crate) step: u64,
    /// When it began, by each of the two bases.
    pub(crate) origins: [Origin; 2],
}

/// What the clocks of one base show when the time is 0.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) seconds: i64,
    /// Less than a second.
    pub(crate) nanoseconds: u64,
}

/// From here up, neither word is counted with inside of the guest: the sum of both can't overflow beneath.
pub(crate) const LIMIT: u64 = 1 << LIMIT_BIT;
const LIMIT_BIT: u32 = 62;

const LEN: usize = size_of::<Words>() / 8;
const _: () = assert!(LEN == 8);

impl Words {
    /// How many bytes they take: a line of the processor's cache.
    pub(crate) const SIZE: usize = size_of::<Self>();
    /// Where those two stand that the supervisor writes.
    pub(crate) const WRITTEN: u64 = offset_of!(Self, offset) as u64;

    /// As they lie in memory.
    pub(crate) fn to_bytes(self) -> [u8; Self::SIZE] {
        let Self { counter, offset, mirror, fixed: Fixed { step, origins: [epoch, boot] } } = self;
        let origin = |of: Origin| [of.seconds.cast_unsigned(), of.nanoseconds];
        let ([a, b], [c, d]) = (origin(epoch), origin(boot));
        let mut bytes = [0; Self::SIZE];
        for (place, word) in bytes.chunks_exact_mut(8).zip([counter, offset, mirror, step, a, b, c, d]) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// From memory.
    pub(crate) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let mut words = [0; LEN];
        for (word, place) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = place.try_into().map_or(0, u64::from_ne_bytes);
        }
        let [counter, offset, mirror, step, a, b, c, d] = words;
        let origin = |seconds: u64, nanoseconds| Origin { seconds: seconds.cast_signed(), nanoseconds };
        Self { counter, offset, mirror, fixed: Fixed { step, origins: [origin(a, b), origin(c, d)] } }
    }
}

// All of it is called as the functions of the vDSO are (`man 7 vdso`), and may change what the ABI leaves to a callee.
// Division by 1,000,000,000 and by 1,000 is a multiplication, as compilers have it.
global_asm!(
    ".pushsection .rodata.assize_reader, \"a\", @progbits",
    ".globl assize_reader_start, assize_reader_day, assize_reader_time, assize_reader_slots, assize_reader_end",
    ".balign 8",
    // clock_gettime(edi: clock, rsi: where to)
    "assize_reader_start:",
    "    cmp edi, 31",
    "    ja 41f",
    "    test rsi, rsi",
    "    jz 41f",
    "    mov ecx, edi",
    "    mov eax, [rip + assize_reader_slots]", // the clocks that show time
    "    shr eax, cl",
    "    test al, 1",
    "    jz 41f",
    "    mov r9d, [rip + assize_reader_slots + 4]", // those that count from the machine's start
    "    shr r9d, cl",
    "    and r9d, 1",
    "    shl r9d, 4",
    "    call 45f",
    "    jc 41f",
    "    mov [rsi], rdx",
    "    mov [rsi + 8], rcx",
    "    xor eax, eax",
    "    ret",
    "41: mov eax, {clock_gettime}",
    "    syscall",
    "    ret",
    // gettimeofday(rdi: where to, rsi: where the time zone is to be written)
    "assize_reader_day:",
    "    test rdi, rdi",
    "    jz 42f",
    "    test rsi, rsi",
    "    jnz 42f",
    "    xor r9d, r9d",
    "    call 45f",
    "    jc 42f",
    "    mov [rdi], rdx",
    "    imul rax, rcx, 0x10624dd3",
    "    shr rax, 38",
    "    mov [rdi + 8], rax",
    "    xor eax, eax",
    "    ret",
    "42: mov eax, {gettimeofday}",
    "    syscall",
    "    ret",
    // time(rdi: where to, or 0)
    "assize_reader_time:",
    "    xor r9d, r9d",
    "    call 45f",
    "    jc 44f",
    "    test rdi, rdi",
    "    jz 43f",
    "    mov [rdi], rdx",
    "43: mov rax, rdx",
    "    ret",
    "44: mov eax, {time}",
    "    syscall",
    "    ret",
    // A reading by the base at r9: seconds in rdx, nanoseconds in rcx. With the carry flag: there must be a call.
    "45: mov r8, [rip + assize_reader_slots + 8]",
    "    mov rdx, [r8 + {offset}]",
    "    cmp rdx, [r8 + {mirror}]",
    "    jne 46f",
    "    mov rax, [r8 + {counter}]",
    "    shr rax, {limit}",
    "    jnz 46f",
    "    mov rax, [r8 + {step}]",
    "    lock xadd [r8 + {counter}], rax",
    "    add rax, rdx",
    "    add rax, [r8 + r9 + {origins} + 8]",
    "    mov rcx, rax",
    "    shr rax, 9",
    "    movabs rdx, 0x44b82fa09b5a53",
    "    mul rdx",
    "    shr rdx, 11",
    "    imul rax, rdx, 1000000000",
    "    sub rcx, rax",
    "    add rdx, [r8 + r9 + {origins}]",
    "    clc",
    "    ret",
    "46: stc",
    "    ret",
    ".balign 8",
    "assize_reader_slots:",
    "    .long 0",
    "    .long 0",
    "    .quad 0",
    "assize_reader_end:",
    ".popsection",
    clock_gettime = const Sysno::clock_gettime as u32,
    gettimeofday = const Sysno::gettimeofday as u32,
    time = const Sysno::time as u32,
    counter = const offset_of!(Words, counter),
    offset = const offset_of!(Words, offset),
    mirror = const offset_of!(Words, mirror),
    step = const offset_of!(Words, fixed) + offset_of!(Fixed, step),
    origins = const offset_of!(Words, fixed) + offset_of!(Fixed, origins),
    limit = const LIMIT_BIT,
);

unsafe extern "C" {
    static assize_reader_start: u8;
    static assize_reader_day: u8;
    static assize_reader_time: u8;
    static assize_reader_slots: u8;
    static assize_reader_end: u8;
}

/// Clocks as bits, by their numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// Those that show time.
    pub(crate) known: u32,
    /// Those of them that count from the machine's start, and not from 1970.
    pub(crate) boot: u32,
}

/// Whether this kernel's vDSO has room for a reader.
pub(crate) fn has_room() -> bool {
    static HAS_ROOM: OnceLock<bool> = OnceLock::new();
    *HAS_ROOM.get_or_init(|| code(Clocks::default(), 0).is_some())
}

/// A reader that works on the words at this address, as what is to be written where in the vDSO, eight bytes each. `None`:
/// this kernel's vDSO has no room for it.
pub(crate) fn code(clocks: Clocks, words: u64) -> Option<Vec<(u64, u64)>> {
    const JUMP: u64 = 8;
    // SAFETY: the symbols bound one run of bytes in read-only data, placed there by the assembler above, or lie within.
    let (code, entries, slots) = unsafe {
        let start = &raw const assize_reader_start;
        let within = |symbol: *const u8| symbol.offset_from_unsigned(start);
        let len = within(&raw const assize_reader_end);
        let entries = [0, within(&raw const assize_reader_day), within(&raw const assize_reader_time)];
        (std::slice::from_raw_parts(start, len), entries, within(&raw const assize_reader_slots))
    };
    let functions = vdso::readings()?;
    // Its functions begin with a jump to here: the code itself takes the place of one of them.
    let room = |function: &&vdso::Function| function.size >= JUMP + code.len() as u64;
    let place = functions.iter().find(room)?.offset + JUMP;
    let mut code = code.to_vec();
    let filled = [&clocks.known.to_le_bytes()[..], &clocks.boot.to_le_bytes(), &words.to_le_bytes()].concat();
    code.get_mut(slots..)?.copy_from_slice(&filled);
    let mut written = Vec::with_capacity(functions.len() + code.len() / 8);
    for (function, entry) in functions.iter().zip(entries) {
        let distance = (place + entry as u64).wrapping_sub(function.offset + 5);
        let [a, b, c, d] = (distance as u32).to_le_bytes();
        // jmp; int3 three times
        written.push((function.offset, u64::from_le_bytes([0xe9, a, b, c, d, 0xcc, 0xcc, 0xcc])));
    }
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    written.extend((place..).step_by(8).zip(code.chunks_exact(8).map(word)));
    Some(written)
}
