//! Flags by name: sets of bits and enumerations, as the manual pages write them.
//!
//! Only names and values. What a flag means for a decision is for the rules that name it.
#![forbid(unsafe_code)]

/// The entries of a set: names that `libc` knows, or a name with its value.
macro_rules! names {
    ($($name:ident $(= $value:expr)?),* $(,)?) => {
        &[$((stringify!($name), names!(@ $name $(, $value)?))),*]
    };
    (@ $name:ident) => { libc::$name as u32 as u64 };
    (@ $name:ident, $value:expr) => { $value };
}

/// A set of which every value is one name.
macro_rules! enumeration {
    ($($names:tt)*) => { &[Part { mask: ALL, values: names! { $($names)* } }] };
}

const ALL: u64 = u64::MAX;

mod file;
mod memory;
mod process;
mod socket;
mod system;

pub use file::*;
pub use memory::*;
pub use process::*;
pub use socket::*;
pub use system::*;

/// Names for the values of one argument.
#[derive(Debug, PartialEq, Eq)]
pub struct FlagSet {
    /// What the values are, for messages: "open flags".
    pub name: &'static str,
    /// The name of 0, where it has one and no part below names it.
    pub zero: Option<&'static str>,
    /// Groups of bits that hold one value out of several, such as `O_ACCMODE`.
    pub parts: &'static [Part],
    /// Bits of their own. A name of several bits stands before the names of its bits.
    pub bits: &'static [(&'static str, u64)],
}

/// A group of bits that holds one value out of several.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// The bits of the group.
    pub mask: u64,
    /// Its values.
    pub values: &'static [(&'static str, u64)],
}

/// A name that is not one of a set, and not a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{unknown:?} is not one of the {}", set.name)]
pub struct FlagError {
    /// The name; of a long one its beginning.
    pub unknown: String,
    /// The set it was looked for in: [`FlagSet::names`] are what could have been meant.
    pub set: &'static FlagSet,
}

impl FlagSet {
    /// The value as names, `O_WRONLY|O_CREAT`; bits without a name follow in hexadecimal.
    #[must_use]
    pub fn render(&self, value: u64) -> String {
        // All bits set is never a combination: it is -1, which some calls take for a question.
        if value == u64::from(u32::MAX) || value == u64::MAX {
            return format!("{value:#x}");
        }
        let mut words: Vec<&str> = Vec::new();
        let mut rest = value;
        for part in self.parts {
            if let Some((name, found)) = part.values.iter().find(|(_, known)| *known == value & part.mask) {
                words.push(name);
                rest &= !found;
            }
        }
        for (name, bits) in self.bits {
            if rest & bits == *bits {
                words.push(name);
                rest &= !bits;
            }
        }
        match (words.is_empty(), rest) {
            (true, 0) => self.zero.unwrap_or("0").to_owned(),
            (true, _) => format!("{rest:#x}"),
            (false, 0) => words.join("|"),
            (false, _) => format!("{}|{rest:#x}", words.join("|")),
        }
    }

    /// The value of names and numbers joined with `|`.
    ///
    /// # Errors
    /// [`FlagError`] for the first word that is neither.
    pub fn parse(&'static self, text: &str) -> Result<u64, FlagError> {
        text.split('|').map(str::trim).try_fold(0, |value, word| {
            self.value(word)
                .or_else(|| number(word))
                .map(|bits| value | bits)
                .ok_or_else(|| FlagError { unknown: word.chars().take(60).collect(), set: self })
        })
    }

    /// Every name of the set.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries().map(|(name, _)| name)
    }

    fn value(&self, name: &str) -> Option<u64> {
        self.entries().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let parts = self.parts.iter().flat_map(|part| part.values);
        self.zero.map(|name| (name, 0)).into_iter().chain(parts.chain(self.bits).copied())
    }
}

/// A number as C writes it (`10`, `0x1f`, `0644`), or with Rust's `0o644`.
pub(super) fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', b'o', ..] => (&text[2..], 8),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // `from_str_radix` takes a sign, which has no place in the middle of a number.
    digits
        .bytes()
        .all(|digit| digit.is_ascii_alphanumeric())
        .then(|| u64::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::super::signature::{self, Kind};
    use super::*;

    #[test]
    fn bits_and_parts_are_shown_by_name() {
        assert_eq!(OPEN.render(0), "O_RDONLY");
        assert_eq!(OPEN.render(0o2_000_000), "O_RDONLY|O_CLOEXEC");
        assert_eq!(OPEN.render(1 | 0o100 | 0o1000), "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(OPEN.render(0o20_200_000 | 2), "O_RDWR|O_TMPFILE");
        assert_eq!(OPEN.render(0o200_000), "O_RDONLY|O_DIRECTORY");
        assert_eq!(OPEN.render(3), "0x3");
        assert_eq!(OPEN.render(1 << 40), "O_RDONLY|0x10000000000");
        assert_eq!(PROTECTION.render(0), "PROT_NONE");
        assert_eq!(AT.render(0), "0");
        assert_eq!(CLONE.render(0x0100_0011), "SIGCHLD|CLONE_CHILD_SETTID");
        assert_eq!(PERSONALITY.render(0xffff_ffff), "0xffffffff");
        assert_eq!(ADDRESS_FAMILY.render(2), "AF_INET");
        assert_eq!(ADDRESS_FAMILY.render(0x7777), "0x7777");
    }

    /// Every set that a signature mentions, and those that arguments are made of.
    fn sets() -> Vec<&'static FlagSet> {
        let params = signature::all().iter().flat_map(|signature| signature.params);
        let mentioned = params.filter_map(|param| match param.kind {
            Kind::Flags(set) | Kind::Flags64(set) => Some(set),
            _ => None,
        });
        mentioned.chain([&RESOLVE, &FILE_MODE]).collect()
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for set in sets() {
            for name in set.names() {
                let value = set.parse(name).unwrap();
                assert_eq!(set.parse(&set.render(value)), Ok(value), "{name} of the {}", set.name);
            }
        }
        for value in [0, 1, 2, 3, 0o100, 0o2_000_101, 1 << 40] {
            assert_eq!(OPEN.parse(&OPEN.render(value)), Ok(value));
        }
    }

    #[test]
    fn sets_are_consistent() {
        for set in sets() {
            let names: Vec<_> = set.names().collect();
            for (place, name) in names.iter().enumerate() {
                assert!(!names[..place].contains(name), "{name} stands twice in the {}", set.name);
            }
            for part in set.parts {
                for (name, value) in part.values {
                    assert_eq!(value & !part.mask, 0, "{name} is outside of its part of the {}", set.name);
                }
                for (name, bits) in set.bits {
                    assert_eq!(bits & part.mask, 0, "{name} is inside of a part of the {}", set.name);
                }
            }
            // A name of several bits would never be shown behind the names of them all.
            for (name, bits) in set.bits {
                let shown = set.render(*bits);
                assert!(
                    shown.split('|').any(|word| set.value(word) == Some(*bits)),
                    "{name} shows as {shown}"
                );
            }
        }
    }

    #[test]
    fn a_misspelt_flag_is_named() {
        let error = OPEN.parse("O_RDONLY | O_CLOXEC").unwrap_err();
        assert_eq!(error.unknown, "O_CLOXEC");
        assert!(error.set.names().any(|name| name == "O_CLOEXEC"));
        assert_eq!(error.to_string(), "\"O_CLOXEC\" is not one of the open flags");
        assert!(OPEN.parse("").is_err());
        assert!(OPEN.parse("+1").is_err());
        assert!(OPEN.parse("-1").is_err());
    }

    #[test]
    fn numbers_are_read_as_c_writes_them() {
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("10"), Some(10));
        assert_eq!(number("0x1F"), Some(31));
        assert_eq!(number("0644"), Some(0o644));
        assert_eq!(number("0o644"), Some(0o644));
        for bad in ["", "0x", "0o", "x", "08", "0x+1", "é", "0é"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
