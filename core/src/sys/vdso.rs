//! Where the vDSO keeps a function, and how much room that takes. It is the same image in every 64-bit process of a running kernel.

use std::ffi::CStr;
use std::ops::Range;
use std::sync::OnceLock;

use crate::syscall::Sysno;

/// How far into the vDSO `__vdso_getrandom` lies (Linux 6.11 and later), if there is one.
pub(crate) fn getrandom_offset() -> Option<u64> {
    static OFFSET: OnceLock<Option<u64>> = OnceLock::new();
    *OFFSET.get_or_init(|| offset(c"__vdso_getrandom"))
}

/// How far into the vDSO `__vdso_getcpu` lies, if there is one.
pub(crate) fn getcpu_offset() -> Option<u64> {
    static OFFSET: OnceLock<Option<u64>> = OnceLock::new();
    *OFFSET.get_or_init(|| offset(c"__vdso_getcpu"))
}

/// Code for one of its functions: `mov rax, -ENOSYS; ret`. libc then makes the system call.
pub(crate) const NOT_HERE: u64 = u64::from_le_bytes([0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff, 0xc3]);

/// The functions of the vDSO that read clocks, each as how far into the vDSO it lies, and code for it that makes the call
/// which does the same: `mov eax, NUMBER; syscall; ret`. `None`: one of them is not to be found.
pub(crate) fn clocks() -> Option<&'static [(u64, u64)]> {
    static CLOCKS: OnceLock<Option<Vec<(u64, u64)>>> = OnceLock::new();
    const ALL: [(&CStr, Sysno); 4] = [
        (c"__vdso_clock_gettime", Sysno::clock_gettime),
        (c"__vdso_gettimeofday", Sysno::gettimeofday),
        (c"__vdso_time", Sysno::time),
        (c"__vdso_clock_getres", Sysno::clock_getres),
    ];
    let code = |call: Sysno| {
        let [a, b, c, d] = call.id().to_le_bytes();
        u64::from_le_bytes([0xb8, a, b, c, d, 0x0f, 0x05, 0xc3])
    };
    let found = || ALL.into_iter().map(|(name, call)| Some((offset(name)?, code(call)))).collect();
    CLOCKS.get_or_init(found).as_deref()
}

/// A function of the vDSO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Function {
    /// How far into the vDSO it lies.
    pub(crate) offset: u64,
    /// How many bytes its code has.
    pub(crate) size: u64,
}

/// The functions that tell the time: `clock_gettime`, `gettimeofday`, `time`. `None`: one of them is not to be found.
pub(crate) fn readings() -> Option<[Function; 3]> {
    static READINGS: OnceLock<Option<[Function; 3]>> = OnceLock::new();
    let found =
        || Some([find(c"__vdso_clock_gettime")?, find(c"__vdso_gettimeofday")?, find(c"__vdso_time")?]);
    *READINGS.get_or_init(found)
}

/// A piece of the vDSO; `None`: there is none, or it is no code.
pub(crate) fn code(range: Range<u64>) -> Option<Vec<u8>> {
    let (base, header) = base()?;
    // SAFETY: the kernel maps a well-formed ELF image at `base`: its program headers lie where its header says.
    let segments = unsafe {
        let first = base.add(header.e_phoff as usize).cast::<libc::Elf64_Phdr>();
        std::slice::from_raw_parts(first, usize::from(header.e_phnum))
    };
    let holds = |segment: &&libc::Elf64_Phdr| {
        let end = segment.p_offset.saturating_add(segment.p_filesz);
        segment.p_type == libc::PT_LOAD && segment.p_offset <= range.start && range.end <= end
    };
    segments.iter().find(holds)?;
    let len = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
    // SAFETY: the range lies within a segment that is loaded, where its addresses are those of the file, and is never
    // written to in this process.
    Some(unsafe { std::slice::from_raw_parts(base.add(range.start as usize), len) }.to_vec())
}

/// Our own vDSO, and its header.
fn base() -> Option<(*const u8, &'static libc::Elf64_Ehdr)> {
    // SAFETY: reads the auxiliary vector.
    let base = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as *const u8;
    // SAFETY: the kernel maps a well-formed ELF image at `base`, and never unmaps it.
    (!base.is_null()).then(|| (base, unsafe { &*base.cast() }))
}

fn offset(name: &CStr) -> Option<u64> {
    find(name).map(|function| function.offset)
}

/// Looks a symbol up in our own vDSO (`man 7 vdso`).
fn find(name: &CStr) -> Option<Function> {
    let (base, header) = base()?;
    // SAFETY: the kernel maps a well-formed ELF image at `base`: the structures below lie within it, at the offsets
    // that its own headers give.
    unsafe {
        let segments = base.add(header.e_phoff as usize).cast::<libc::Elf64_Phdr>();
        let segments = std::slice::from_raw_parts(segments, usize::from(header.e_phnum));
        let dynamic = segments.iter().find(|segment| segment.p_type == libc::PT_DYNAMIC)?;
        let mut entry = base.add(dynamic.p_offset as usize).cast::<[u64; 2]>();
        let (mut symbols, mut strings, mut hash, mut gnu_hash) = (None, None, None, None);
        while (*entry)[0] != 0 {
            let [tag, value] = *entry;
            match tag {
                4 => hash = Some(base.add(value as usize).cast::<u32>()),
                5 => strings = Some(base.add(value as usize)),
                6 => symbols = Some(base.add(value as usize).cast::<libc::Elf64_Sym>()),
                0x6fff_fef5 => gnu_hash = Some(base.add(value as usize).cast::<u32>()),
                _ => {}
            }
            entry = entry.add(1);
        }
        let (symbols, strings) = (symbols?, strings?);
        let count = match (hash, gnu_hash) {
            (Some(hash), _) => *hash.add(1),
            (None, Some(hash)) => gnu_count(hash),
            (None, None) => return None,
        };
        (0..count as usize).find_map(|index| {
            let symbol = &*symbols.add(index);
            let this = CStr::from_ptr(strings.add(symbol.st_name as usize).cast());
            let function = Function { offset: symbol.st_value, size: symbol.st_size };
            (this == name && symbol.st_value != 0).then_some(function)
        })
    }
}

/// How many symbols a GNU hash table covers.
///
/// # Safety
/// `table` leads to a well-formed DT_GNU_HASH table.
unsafe fn gnu_count(table: *const u32) -> u32 {
    // SAFETY: by the contract of this function.
    unsafe {
        let (buckets, first, bloom) = (*table, *table.add(1), *table.add(2));
        let bucket = table.add(4 + 2 * bloom as usize);
        let chain = bucket.add(buckets as usize);
        let mut last = (0..buckets as usize).map(|index| *bucket.add(index)).max().unwrap_or(0);
        if last < first {
            return first;
        }
        while *chain.add((last - first) as usize) & 1 == 0 {
            last += 1;
        }
        last + 1
    }
}
