//! Arguments that are structures, made from the names that other spellings have for their fields.
#![forbid(unsafe_code)]

use super::{Arguments, EncodeError, Given, NULL, Register, pointer, socket_address, value};
use crate::syscall::decode::creates;
use crate::syscall::flags;
use crate::syscall::signature::{Kind, Param};

const FLAGS: Param = Param { name: "flags", kind: Kind::Flags64(&flags::OPEN) };
const MODE: Param = Param { name: "mode", kind: Kind::Mode };
pub(super) const RESOLVE: Param = Param { name: "resolve", kind: Kind::Flags64(&flags::RESOLVE) };
const HOW: Param = Param { name: "how", kind: Kind::Pointer };
const ARGS: Param = Param { name: "args", kind: Kind::Pointer };
const VALUE: Param = Param { name: "value", kind: Kind::Pointer };
const SIZE: Param = Param { name: "size", kind: Kind::Uint };
const XATTR_FLAGS: Param = Param { name: "flags", kind: Kind::Flags(&flags::XATTR) };
const MSG: Param = Param { name: "msg", kind: Kind::Pointer };
const BUF: Param = Param { name: "buf", kind: Kind::Pointer };

impl Arguments<'_> {
    /// A number by its name; 0 if it isn't given.
    fn field(&self, param: &Param) -> Result<u64, EncodeError> {
        self.given(param.name).map_or(Ok(0), |given| value(param, given))
    }

    /// `struct open_how`.
    pub(super) fn open_how(&self, how: Option<Given<'_>>) -> Result<Register, EncodeError> {
        if let Some(how) = how {
            return pointer(&HOW, how);
        }
        let (flags, mode, resolve) = (self.field(&FLAGS)?, self.field(&MODE)?, self.field(&RESOLVE)?);
        // `open` ignores the mode of what it doesn't create, `openat2` refuses it.
        let mode = if creates(flags) { mode } else { 0 };
        Ok(Register::Bytes([flags, mode, resolve].into_iter().flat_map(u64::to_ne_bytes).collect()))
    }

    /// `struct xattr_args`.
    pub(super) fn xattr_args(&self, args: Option<Given<'_>>) -> Result<Register, EncodeError> {
        if let Some(args) = args {
            return pointer(&ARGS, args);
        }
        let content = match self.given("value") {
            Some(given) => pointer(&VALUE, given)?,
            None => self.room(Some(&SIZE))?,
        };
        let size = match (self.given("size"), content.len()) {
            (None, Some(len)) => len as u64,
            _ => self.field(&SIZE)?,
        };
        let mut args = Fields::default();
        args.pointer(content);
        args.number(size & 0xffff_ffff | self.field(&XATTR_FLAGS)? << 32);
        Ok(args.into())
    }

    /// `struct msghdr`, with the address and one piece of data.
    pub(super) fn message(&self, msg: Option<Given<'_>>) -> Result<Register, EncodeError> {
        if let Some(msg) = msg {
            return pointer(&MSG, msg);
        }
        let (addr, buf) = (self.given("addr"), self.given("buf"));
        if addr.is_none() && buf.is_none() {
            return Ok(NULL);
        }
        let name = addr.map_or(Ok(NULL), |given| socket_address("addr", given))?;
        let data = buf.map_or(Ok(NULL), |given| pointer(&BUF, given))?;
        let (name_len, data_len) = (name.len().unwrap_or(0) as u64, data.len().unwrap_or(0) as u64);
        let mut iov = Fields::default();
        iov.pointer(data);
        iov.number(data_len);
        let mut message = Fields::default();
        message.pointer(name);
        message.number(name_len);
        message.pointer(iov.into());
        message.number(1);
        // No control data, no flags.
        (0..3).for_each(|_| message.number(0));
        Ok(message.into())
    }
}

/// A structure of eight-byte fields.
#[derive(Default)]
struct Fields {
    bytes: Vec<u8>,
    pointers: Vec<(usize, Register)>,
}

impl Fields {
    fn number(&mut self, value: u64) {
        self.bytes.extend(value.to_ne_bytes());
    }

    fn pointer(&mut self, target: Register) {
        match target {
            Register::Number(value) => self.number(value),
            target => {
                self.pointers.push((self.bytes.len(), target));
                self.number(0);
            }
        }
    }
}

impl From<Fields> for Register {
    fn from(Fields { bytes, pointers }: Fields) -> Self {
        Self::Struct { bytes, pointers }
    }
}
