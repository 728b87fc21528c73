//! Arguments of a call, decoded.
#![forbid(unsafe_code)]

use std::fmt;

use serde::{Serialize, Serializer};

/// Bytes that are nearly always text: a path. Shown and serialised as text, with `\xNN` for what is not UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BytesText(pub Vec<u8>);

impl BytesText {
    /// The bytes themselves.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for BytesText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || c == '\\' {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    write!(f, "{c}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for BytesText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for BytesText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One argument, as the kernel would read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arg {
    /// A number, cut to the width that the kernel looks at.
    Int(i64),
    /// A file descriptor, or `AT_FDCWD`.
    Fd(i32),
    /// A path, as the guest wrote it.
    Path(BytesText),
    /// A string that names no file, or none that the kernel follows: a symlink's target, an attribute's name.
    Text(BytesText),
    /// Flags: the number, and its bits by name (`O_RDONLY|O_CLOEXEC`).
    Flags(u64, String),
    /// Permission bits.
    Mode(u32),
    /// A socket address, printed as `127.0.0.1:80`, `[::1]:80`, `unix:/run/x`, `unix:@abstract`.
    Address(String),
    /// A pointer that was not followed.
    Pointer(u64),
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Fd(libc::AT_FDCWD) => f.write_str("AT_FDCWD"),
            Self::Fd(fd) => write!(f, "{fd}"),
            Self::Path(text) | Self::Text(text) => write!(f, "{text:?}"),
            Self::Flags(_, names) => f.write_str(names),
            Self::Mode(mode) => write!(f, "{mode:#o}"),
            Self::Address(address) => f.write_str(address),
            Self::Pointer(0) => f.write_str("NULL"),
            Self::Pointer(pointer) => write!(f, "{pointer:#x}"),
        }
    }
}

/// The arguments of a call in their order, each with its name from the manual page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Args(pub Vec<(&'static str, Arg)>);

impl Args {
    /// The argument of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arg> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, arg)| arg)
    }

    /// Every path among the arguments, in their order.
    pub fn paths(&self) -> impl Iterator<Item = &BytesText> {
        self.0.iter().filter_map(|(_, arg)| match arg {
            Arg::Path(path) => Some(path),
            _ => None,
        })
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (_, arg)) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{arg}")?;
        }
        Ok(())
    }
}

impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, arg)| (name, arg)))
    }
}
