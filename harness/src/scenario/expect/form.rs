//! Reading values that are written as words: errors that name the word that was meant.
#![forbid(unsafe_code)]

use crate::scenario::fault::{listed, nearest};

/// A word or a number that means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// Not one of the words that are known here.
    #[error("{what} `{word}` is not known{}", meant(.near, .known))]
    Unknown {
        /// What kind of word was looked for.
        what: &'static str,
        /// What stands there.
        word: String,
        /// The known word that is most like it.
        near: Option<String>,
        /// All that are known, where they are few.
        known: Vec<String>,
    },
    /// Not of the form that is wanted.
    #[error("`{word}` is not {wanted}")]
    Shape {
        /// What stands there.
        word: String,
        /// What should: with its article, and an example.
        wanted: &'static str,
    },
    /// A part that no call of these has.
    #[error("`{calls}` has no {what}, so nothing could be like this\n{help}")]
    Lacking {
        /// The calls.
        calls: String,
        /// The part.
        what: &'static str,
        /// What else may be meant.
        help: &'static str,
    },
    /// A glob or a regular expression that can't be read.
    #[error("`{word}` is not a {what}: {why}")]
    Pattern {
        /// What stands there.
        word: String,
        /// `glob` or `regular expression`.
        what: &'static str,
        /// Why not.
        why: String,
    },
}

fn meant(near: &Option<String>, known: &[String]) -> String {
    match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        // A line of its own becomes the help.
        None => format!("\nknown: {}", listed(known.iter().map(String::as_str))),
    }
}

/// The most words that are all shown: of flags and errors there are hundreds.
const MOST_SHOWN: usize = 40;

impl FormError {
    /// `word` is none of `known`.
    pub(super) fn unknown<'a>(
        what: &'static str,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let near = nearest(word, known.iter().copied()).map(str::to_owned);
        let few = known.len() <= MOST_SHOWN;
        let known = known.into_iter().filter(|_| few).map(str::to_owned).collect();
        Self::Unknown { what, word: word.to_owned(), near, known }
    }

    /// `word` does not look like `wanted`.
    pub(crate) fn shape(word: &str, wanted: &'static str) -> Self {
        Self::Shape { word: word.to_owned(), wanted }
    }
}

/// `Deserialize` from a scalar through `FromStr`, with the error at the scalar's own place in the file. (Through
/// `try_from`, serde would report it at the place of the whole mapping.) It is read as it was written: `0644` is not 644.
macro_rules! from_scalar {
    ($type:ty, $expecting:expr) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Scalar;
                impl serde::de::Visitor<'_> for Scalar {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Scalar)
            }
        }
    };
}
pub(crate) use from_scalar;

/// Reads one document as scenarios are read. An error is its title and whatever it says besides.
#[cfg(test)]
pub(crate) fn read<T: serde::de::DeserializeOwned>(yaml: &str) -> Result<T, String> {
    use crate::scenario::{deserialize, tree};
    let said = |fault: crate::scenario::fault::Fault| {
        let place = fault.span.map(|span| format!("{}:{}", span.line, span.column)).unwrap_or_default();
        format!("{place}: {} {} {}", fault.title, fault.label, fault.help.join(" "))
    };
    let map = tree::parse(yaml).map_err(said)?;
    deserialize::typed(&map.documents[0]).map_err(said)
}
