//! Whether a report is coloured.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// What the environment asks for, or else: on a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// Whether what is written to this stream is coloured.
    ///
    /// Where nothing was asked for: not if `NO_COLOR` is set to anything; if `CLICOLOR_FORCE` is set to anything but `0`;
    /// else on a terminal, but for one that `TERM` calls `dumb` and where `CLICOLOR` is `0`.
    #[must_use]
    pub fn applies(self, stream: &impl IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => by_convention(|name| std::env::var_os(name), stream.is_terminal()),
        }
    }
}

/// See <https://no-color.org> and <https://bixense.com/clicolors>.
fn by_convention(variable: impl Fn(&str) -> Option<OsString>, terminal: bool) -> bool {
    let is = |name, value: &str| variable(name).as_deref() == Some(OsStr::new(value));
    let set = |name| variable(name).is_some_and(|value| !value.is_empty());
    if set("NO_COLOR") {
        return false;
    }
    if set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") {
        return true;
    }
    terminal && !is("TERM", "dumb") && !is("CLICOLOR", "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_heard() {
        let colour = |variables: &[(&str, &str)], terminal| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
            by_convention(|name| value(name).map(|(_, value)| value.into()), terminal)
        };
        assert!(colour(&[], true) && !colour(&[], false));
        assert!(!colour(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(colour(&[("NO_COLOR", "")], true) && !colour(&[("NO_COLOR", "")], false));
        assert!(colour(&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], false));
        assert!(!colour(&[("CLICOLOR_FORCE", "0")], false));
        assert!(!colour(&[("TERM", "dumb")], true) && !colour(&[("CLICOLOR", "0")], true));
    }
}
