//! Globs over paths and texts.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use schemars::JsonSchema;

use super::form::{FormError, from_scalar};

/// A glob: `*` and `**` match anything, slashes too; `?` one character; `[a-c]` one of these; `{a,b}` either.
///
/// In a path, a leading `$WORK` is the run's work folder.
#[derive(Clone, JsonSchema)]
#[schemars(with = "String")]
pub struct Glob(globset::GlobMatcher);

/// Longer ones are a mistake, or an attack on the one who runs the scenario.
const LONGEST: usize = 4096;

impl FromStr for Glob {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let wrong =
            |why: String| FormError::Pattern { word: text.chars().take(60).collect(), what: "glob", why };
        if text.len() > LONGEST {
            return Err(wrong(format!("it is longer than {LONGEST} bytes")));
        }
        let mut builder = globset::GlobBuilder::new(text);
        builder.literal_separator(false).backslash_escape(true).empty_alternates(true);
        let glob = builder.build().map_err(|error| wrong(error.kind().to_string()))?;
        Ok(Self(glob.compile_matcher()))
    }
}

from_scalar!(Glob, "a glob");

impl Glob {
    /// Whether it matches the whole of these bytes.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.0.is_match(OsStr::from_bytes(bytes))
    }

    /// Whether it matches this path, under its own name or as `$WORK/...` where it lies in `work`.
    #[must_use]
    pub fn matches_path(&self, path: &[u8], work: &[u8]) -> bool {
        if self.matches(path) {
            return true;
        }
        match path.strip_prefix(work) {
            Some(rest) if !work.is_empty() && (rest.is_empty() || rest.starts_with(b"/")) => {
                self.matches(&[b"$WORK", rest].concat())
            }
            _ => false,
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.glob().glob()
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_crosses_slashes_and_bytes_need_not_be_text() {
        let glob: Glob = "*/config.json".parse().unwrap();
        assert!(glob.matches(b"/etc/app/config.json") && glob.matches(b"/\xff/config.json"));
        assert!(!glob.matches(b"/etc/config.jsonx"));
        assert!("[".parse::<Glob>().is_err() && "x".repeat(5000).parse::<Glob>().is_err());
    }

    #[test]
    fn the_work_folder_has_a_name() {
        let glob: Glob = "$WORK/out/*".parse().unwrap();
        assert!(glob.matches_path(b"/tmp/a1/out/x", b"/tmp/a1"));
        assert!(!glob.matches_path(b"/tmp/a1/out/x", b"/tmp/a"));
        assert!(!glob.matches_path(b"/tmp/a1/out/x", b""));
        assert!("$WORK".parse::<Glob>().unwrap().matches_path(b"/tmp/a1", b"/tmp/a1"));
    }
}
