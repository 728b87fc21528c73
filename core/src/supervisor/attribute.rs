//! What a call on a file's attributes asks for, whatever its spelling: read from the guest once, in the kernel's order, so
//! that of two mistakes the kernel's own is told.
#![forbid(unsafe_code)]

use super::call::Call;
use super::request::{PAGE, Pin};
use crate::Errno;
use crate::guest::{At, Attribute, AttributeRequest, Attributed, Empty};
use crate::handler::memory_cstr;
use crate::syscall::{Family, family};

/// A pinned file, the work on it, and where the guest wants what is read.
#[derive(Debug)]
pub(crate) struct Attributing {
    pub(crate) work: Attributed,
    pub(crate) room: u64,
}

/// The longest name of an extended attribute, with its zero.
const NAME: usize = 256;
/// The longest value of one.
const VALUE: usize = 65536;
/// `struct xattr_args` of the spellings with a folder: value, size, flags.
const XATTR_ARGS: usize = 16;
/// The first `struct file_attr`.
const FILE_ATTR: usize = 24;
/// All that these calls take of the `AT_*` flags.
const AT_FLAGS: i32 = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;

/// The value of an extended attribute: where it lies or goes, how long it is, and the flags.
struct Value {
    address: u64,
    size: usize,
    flags: u32,
}

impl Call {
    /// The pin of a call on attributes.
    pub(super) fn attributing(&mut self) -> Result<Pin, Errno> {
        let call = self.syscall();
        let is = |family: Family| family.contains(call);
        let mut room = 0;
        let work = if is(family::CHMOD) {
            self.check_at_flags("flags")?;
            Attribute::Mode(self.number("mode"))
        } else if is(family::CHOWN) {
            self.check_at_flags("flags")?;
            Attribute::Owner { owner: self.number("owner"), group: self.number("group") }
        } else if is(family::UTIME) {
            let times = self.times()?;
            if times.iter().all(|(_, nanoseconds)| *nanoseconds == libc::UTIME_OMIT) {
                return Ok(Pin::Nothing);
            }
            if self.named("path") == Some(0) && self.dirfd() != libc::AT_FDCWD {
                return Ok(Pin::Descriptor);
            }
            self.check_at_flags("flags")?;
            Attribute::Times(times)
        } else if is(family::FILE_SETATTR) {
            self.check_at_flags("at_flags")?;
            Attribute::InodeFlags(self.sized("attr", "size", FILE_ATTR)?)
        } else if is(family::XATTR_LIST) {
            self.check_at_flags("at_flags")?;
            room = self.named("list").unwrap_or(0);
            Attribute::List { room: size(self.named("size").unwrap_or(0)) }
        } else if is(family::XATTR_REMOVE) {
            self.check_at_flags("at_flags")?;
            Attribute::Remove { name: self.attribute_name()? }
        } else if is(family::XATTR_SET) {
            let value = self.value()?;
            self.check_at_flags("at_flags")?;
            if value.flags & !((libc::XATTR_CREATE | libc::XATTR_REPLACE) as u32) != 0 {
                return Err(Errno::EINVAL);
            }
            let name = self.attribute_name()?;
            if value.size > VALUE {
                return Err(Errno::E2BIG);
            }
            let flags = value.flags;
            Attribute::Set { name, value: self.read(value.address, value.size)?, flags }
        } else {
            let value = self.value()?;
            if value.flags != 0 {
                return Err(Errno::EINVAL);
            }
            self.check_at_flags("at_flags")?;
            room = value.address;
            Attribute::Get { name: self.attribute_name()?, room: value.size }
        };
        self.pin_attributes(work, room)
    }

    fn pin_attributes(&mut self, work: Attribute, room: u64) -> Result<Pin, Errno> {
        let call = self.syscall();
        let path_flags = [family::CHMOD, family::CHOWN, family::UTIME].iter().any(|of| of.contains(call));
        let flags = self.number(if path_flags { "flags" } else { "at_flags" }) as i32;
        let empty = match flags & libc::AT_EMPTY_PATH {
            0 => Empty::Nothing,
            _ if path_flags => Empty::Descriptor,
            _ => Empty::Opened,
        };
        let file = if empty == Empty::Opened && self.named("path") == Some(0) {
            // No path at all is the empty path, or a descriptor alone.
            if self.dirfd() >= 0 {
                return Ok(Pin::Descriptor);
            }
            At { dirfd: self.dirfd(), path: Vec::new() }
        } else {
            self.at("dirfd", "path")?
        };
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0 && !call.is_of_links();
        let request = AttributeRequest { guest: self.guest()?, file, follow, empty, work };
        Ok(Pin::Attributes(Attributing { work: request.pin()?, room }))
    }

    fn number(&self, name: &str) -> u32 {
        self.named(name).unwrap_or(0) as u32
    }

    fn dirfd(&self) -> i32 {
        self.named("dirfd").map_or(libc::AT_FDCWD, |fd| fd as i32)
    }

    fn check_at_flags(&self, name: &str) -> Result<(), Errno> {
        if self.number(name) as i32 & !AT_FLAGS == 0 { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// A structure that may be longer than what is known of it.
    fn sized(&self, address: &str, size: &str, least: usize) -> Result<Vec<u8>, Errno> {
        let size = usize::try_from(self.named(size).unwrap_or(0)).unwrap_or(usize::MAX);
        if size > PAGE {
            return Err(Errno::E2BIG);
        }
        if size < least {
            return Err(Errno::EINVAL);
        }
        self.read(self.named(address).unwrap_or(0), size)
    }

    /// The value of an attribute, from registers or from a structure.
    fn value(&self) -> Result<Value, Errno> {
        if self.named("args").is_none() {
            let address = self.named("value").unwrap_or(0);
            let size = size(self.named("size").unwrap_or(0));
            // Those that read an attribute have no flags.
            return Ok(Value { address, size, flags: self.number("flags") });
        }
        let args = self.sized("args", "usize", XATTR_ARGS)?;
        let (known, unknown) = args.split_at(XATTR_ARGS);
        if unknown.iter().any(|byte| *byte != 0) {
            return Err(Errno::E2BIG);
        }
        let (address, rest) = (word(known, 0), word(known, 8));
        Ok(Value { address, size: size(rest & 0xffff_ffff), flags: (rest >> 32) as u32 })
    }

    /// The name of an extended attribute. One that is empty or too long is out of range.
    fn attribute_name(&self) -> Result<Vec<u8>, Errno> {
        use crate::handler::MemoryError;
        let address = self.named("name").unwrap_or(0);
        match memory_cstr(self.notif.pid, address, NAME) {
            Ok(name) if name.is_empty() => Err(Errno::ERANGE),
            Err(MemoryError::Unterminated { .. }) => Err(Errno::ERANGE),
            name => name.map_err(MemoryError::errno),
        }
    }

    /// The two times, as `utimensat` takes them. Without any, both are now.
    pub(crate) fn times(&self) -> Result<[(i64, i64); 2], Errno> {
        let address = self.named("times").unwrap_or(0);
        if address == 0 {
            return Ok([(0, libc::UTIME_NOW); 2]);
        }
        let signed = |bytes: &[u8], at| word(bytes, at).cast_signed();
        if self.syscall().name() == "utime" {
            let seconds = self.read(address, 16)?;
            return Ok([(signed(&seconds, 0), 0), (signed(&seconds, 8), 0)]);
        }
        let times = self.read(address, 32)?;
        let times = [0, 16].map(|at| (signed(&times, at), signed(&times, at + 8)));
        if self.syscall().name() == "utimensat" {
            return Ok(times);
        }
        // The others have microseconds, and know neither now nor never.
        if times.iter().any(|(_, micro)| !(0..1_000_000).contains(micro)) {
            return Err(Errno::EINVAL);
        }
        Ok(times.map(|(seconds, micro)| (seconds, micro * 1000)))
    }
}

fn size(register: u64) -> usize {
    usize::try_from(register).unwrap_or(usize::MAX)
}

/// The eight bytes at a place, as a number.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u64::from_ne_bytes(*word))
}
