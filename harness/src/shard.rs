//! Which part of the scenarios is run here, where several machines share them: `K/N`, the K-th of N.
//!
//! A test's part is told by its name alone: the SHA-256 of the name, its first eight bytes as a big-endian number,
//! modulo N, is K - 1. So a new scenario moves no other, and no list has to be agreed on.
#![forbid(unsafe_code)]

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The part of a test run that is run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    nth: u64,
    of: NonZeroU64,
}

/// The variable by which a test target, which has no option of its own for it, is told its part.
pub const VARIABLE: &str = "ASSIZE_SHARD";

/// A text that names no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no shard: write K/N, as in `1/3` for the first of three; K is from 1 to N")]
pub struct ShardError(String);

impl Shard {
    /// The part of this number, from 0, as other programs count.
    #[must_use]
    pub fn from_zero(index: u64, of: u64) -> Option<Self> {
        let of = NonZeroU64::new(of)?;
        (index < of.get()).then_some(Self { nth: index + 1, of })
    }

    /// Whether the test of this name belongs to it.
    #[must_use]
    pub fn holds(self, name: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(name).into();
        let number = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        number % self.of == self.nth - 1
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let error = || ShardError(text.chars().take(40).collect());
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse::<u64>().ok() } else { None }
        };
        let (nth, of) = text.split_once('/').ok_or_else(error)?;
        let (nth, of) = (number(nth).ok_or_else(error)?, number(of).ok_or_else(error)?);
        nth.checked_sub(1).and_then(|index| Self::from_zero(index, of)).ok_or_else(error)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.nth, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_one_of_several() {
        for (text, nth, of) in [("1/1", 1, 1), ("3/7", 3, 7), ("7/7", 7, 7)] {
            let shard: Shard = text.parse().unwrap();
            assert_eq!((shard.nth, shard.of.get(), shard.to_string().as_str()), (nth, of, text));
        }
        for bad in
            ["", "1", "/", "1/", "/2", "0/2", "3/2", "1/0", "-1/2", "+1/2", "1/2/3", "1 /2", "a/b", "0x1/2"]
        {
            assert_eq!(bad.parse::<Shard>(), Err(ShardError(bad.to_owned())), "{bad}");
        }
    }

    /// What is written down here may not change: a shard that was run on one machine must fit that of another.
    #[test]
    fn the_part_of_a_name_is_the_same_everywhere() {
        // As `printf %s NAME | sha256sum` has it.
        let part =
            |name: &str, of| (1..=of).find(|nth| format!("{nth}/{of}").parse::<Shard>().unwrap().holds(name));
        assert_eq!(part("good.yaml::good", 1), Some(1));
        assert_eq!(part("good.yaml::good", 7), Some(5));
        assert_eq!(part("cells.yaml::cells[word=one]", 7), Some(7));
        assert_eq!(part("", 5), Some(3));
    }
}
