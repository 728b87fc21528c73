//! Reading values that are written as words: errors that name the word that was meant.
#![forbid(unsafe_code)]

/// A word or a number that means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// Not one of the words that are known here.
    #[error("{what} `{word}` is not known{}", meant(.near))]
    Unknown {
        /// What kind of word was looked for.
        what: &'static str,
        /// What stands there.
        word: String,
        /// The known word that is most like it.
        near: Option<String>,
    },
    /// Not of the form that is wanted.
    #[error("`{word}` is not {wanted}")]
    Shape {
        /// What stands there.
        word: String,
        /// What should: with its article, and an example.
        wanted: &'static str,
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

fn meant(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!(": did you mean `{near}`?")).unwrap_or_default()
}

impl FormError {
    /// `word` is none of `known`.
    pub(super) fn unknown<'a>(
        what: &'static str,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self::Unknown { what, word: word.to_owned(), near: nearest(word, known).map(str::to_owned) }
    }

    /// `word` does not look like `wanted`.
    pub(super) fn shape(word: &str, wanted: &'static str) -> Self {
        Self::Shape { word: word.to_owned(), wanted }
    }
}

/// The known word most like `word`, if one is like it at all.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let scored = known.into_iter().map(|candidate| {
        let lower = candidate.to_lowercase();
        // A word that was cut short, or written too long, counts as near: `denied` for `deny` shares its beginning.
        let shared = word.chars().zip(lower.chars()).take_while(|(a, b)| a == b).count();
        let distance = strsim::damerau_levenshtein(&word, &lower);
        let near = distance <= 1 + word.chars().count() / 4 || (shared >= 3 && distance <= 3);
        (distance, near, candidate)
    });
    scored
        .filter(|(_, near, _)| *near)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

/// `Deserialize` from a scalar through `FromStr`, with the error at the scalar's own place in the file. (Through
/// `try_from`, serde would report it at the place of the whole mapping.)
macro_rules! from_scalar {
    ($type:ty, $expecting:literal) => {
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
                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Scalar)
            }
        }
    };
}
pub(super) use from_scalar;
