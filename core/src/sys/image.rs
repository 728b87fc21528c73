//! Two programs of a few dozen instructions: the init of a pid namespace, and the prober.
//!
//! They are assembled into this library and written to a memfd with an ELF header in front. So they need no file
//! that a policy would have to grant, no loader and no library, and their memory is their own.

use std::arch::global_asm;

// init: argv[0] is the pid to wait for, in decimal. It reaps whatever is handed to it, and when that one pid is gone
// writes its raw wait status to descriptor 3 and exits, which ends a pid namespace. With a second argument it goes on
// reaping, for a host without pid namespaces, until nothing is left.
global_asm!(
    ".pushsection .rodata.assize_images, \"a\", @progbits",
    ".globl assize_init_start, assize_init_end",
    "assize_init_start:",
    "    mov rsi, [rsp + 8]",
    "    xor r12d, r12d",
    "20: movzx eax, byte ptr [rsi]",
    "    test al, al",
    "    jz 21f",
    "    sub eax, 48",
    "    imul r12d, r12d, 10",
    "    add r12d, eax",
    "    inc rsi",
    "    jmp 20b",
    "21: mov r13, [rsp]", // argc
    "    sub rsp, 16",
    "22: mov edi, -1", // wait4(-1, rsp, __WALL, NULL)
    "    mov rsi, rsp",
    "    mov edx, 0x40000000",
    "    xor r10d, r10d",
    "    mov eax, 61",
    "    syscall",
    "    cmp rax, -4", // EINTR
    "    je 22b",
    "    test rax, rax",
    "    js 24f",
    "    cmp eax, r12d",
    "    jne 22b",
    "    mov edi, 3", // write(3, rsp, 4)
    "    mov rsi, rsp",
    "    mov edx, 4",
    "    mov eax, 1",
    "    syscall",
    "    cmp r13, 1",
    "    jne 22b",
    "24: xor edi, edi", // exit_group(0)
    "    mov eax, 231",
    "    syscall",
    "assize_init_end:",
    // prober: maps descriptor 3 at MEMORY, closes it, and makes the calls that stand there (see `prober::Layout`).
    ".globl assize_prober_start, assize_prober_end",
    "assize_prober_start:",
    "    mov rdi, 0x100000000", // mmap(MEMORY, 64 MiB, READ|WRITE, SHARED|FIXED_NOREPLACE, 3, 0)
    "    mov esi, 0x4000000",
    "    mov edx, 3",
    "    mov r10d, 0x100001",
    "    mov r8d, 3",
    "    xor r9d, r9d",
    "    mov eax, 9",
    "    syscall",
    "    mov rbx, 0x100000000",
    "    cmp rax, rbx",
    "    jne 38f",
    "    mov edi, 3", // close(3)
    "    mov eax, 3",
    "    syscall",
    "    lea r12, [rbx + 64]", // the current call
    "    xor r13d, r13d",
    "30: cmp r13, [rbx]",
    "    jae 37f",
    "    xor r14d, r14d", // which argument
    "31: mov r15, r14",
    "    shl r15, 4",
    "    mov rdx, [r12 + r15 + 16]",
    "    cmp qword ptr [r12 + r15 + 8], 1",
    "    jne 32f",
    "    shl rdx, 7", // the result of call rdx
    "    mov rdx, [rbx + rdx + 64 + 104]",
    "32: push rdx",
    "    inc r14",
    "    cmp r14, 6",
    "    jb 31b",
    "    pop r9",
    "    pop r8",
    "    pop r10",
    "    pop rdx",
    "    pop rsi",
    "    pop rdi",
    "    mov qword ptr [r12 + 112], 1",
    "    mov rax, [r12]",
    "    mov r14, rax",
    "    syscall",
    "    test rax, rax",
    "    jnz 36f",
    "    cmp r14, 56", // the child of clone, fork, vfork or clone3 has nothing to do
    "    je 37f",
    "    cmp r14, 57",
    "    je 37f",
    "    cmp r14, 58",
    "    je 37f",
    "    cmp r14, 435",
    "    je 37f",
    "36: mov [r12 + 104], rax",
    "    mov qword ptr [r12 + 112], 2",
    "    add r12, 128",
    "    inc r13",
    "    jmp 30b",
    "37: xor edi, edi",
    "    jmp 39f",
    "38: mov edi, 126",
    "39: mov eax, 231",
    "    syscall",
    "assize_prober_end:",
    ".popsection",
);

unsafe extern "C" {
    static assize_init_start: u8;
    static assize_init_end: u8;
    static assize_prober_start: u8;
    static assize_prober_end: u8;
}

/// Where the prober maps its memory file.
pub(crate) const PROBER_MEMORY: u64 = 0x1_0000_0000;

/// The init of a pid namespace, as an executable file.
pub(crate) fn init() -> Vec<u8> {
    // SAFETY: both symbols bound one run of bytes in read-only data, placed there by the assembler above.
    let code = unsafe { between(&raw const assize_init_start, &raw const assize_init_end) };
    executable(code)
}

/// The prober, as an executable file.
pub(crate) fn prober() -> Vec<u8> {
    // SAFETY: as in `init`.
    let code = unsafe { between(&raw const assize_prober_start, &raw const assize_prober_end) };
    executable(code)
}

/// # Safety
/// `start` and `end` bound one static run of initialised bytes.
unsafe fn between(start: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: by the contract of this function.
    unsafe { std::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}

/// A static ELF file with one segment, readable and executable, that holds `code` (`man 5 elf`).
fn executable(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56 * 2;
    let size = HEADERS + code.len() as u64;
    let mut file = Vec::with_capacity(size as usize);
    file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend_from_slice(&2_u16.to_le_bytes()); // ET_EXEC
    file.extend_from_slice(&62_u16.to_le_bytes()); // EM_X86_64
    file.extend_from_slice(&1_u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        file.extend_from_slice(&u64::to_le_bytes(word)); // entry, program headers, no section headers
    }
    file.extend_from_slice(&0_u32.to_le_bytes());
    for half in [64, 56, 2, 0, 0, 0] {
        file.extend_from_slice(&u16::to_le_bytes(half));
    }
    // PT_LOAD, readable and executable
    file.extend_from_slice(&1_u32.to_le_bytes());
    file.extend_from_slice(&5_u32.to_le_bytes());
    for word in [0, BASE, BASE, size, size, 4096] {
        file.extend_from_slice(&u64::to_le_bytes(word));
    }
    // PT_GNU_STACK: a stack that can't be executed
    file.extend_from_slice(&0x6474_e551_u32.to_le_bytes());
    file.extend_from_slice(&6_u32.to_le_bytes());
    for word in [0, 0, 0, 0, 0, 16] {
        file.extend_from_slice(&u64::to_le_bytes(word));
    }
    file.extend_from_slice(code);
    file
}
