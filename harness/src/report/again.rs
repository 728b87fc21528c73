//! How to run one test again.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use crate::runner::outside;

/// How the scenarios were started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// By `cargo test`, as this test target.
    Cargo(String),
    /// By `cargo nextest`, as this test target.
    Nextest(String),
    /// By `assize run`, with this folder or file.
    Command(PathBuf),
    /// By `cargo run -- run`, with this folder or file.
    CargoRun(PathBuf),
}

impl Started {
    /// From the test executable's own name: Cargo adds a hash to the target's.
    #[must_use]
    pub fn by_cargo(executable: &Path) -> Self {
        let stem = executable.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let target = match stem.rsplit_once('-') {
            Some((target, hash)) if hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()) => {
                target.to_owned()
            }
            _ => stem,
        };
        if std::env::var_os("NEXTEST").is_some() { Self::Nextest(target) } else { Self::Cargo(target) }
    }

    /// From the executable's own path, and whether `CARGO` is set: what Cargo has built and runs is rarely in `PATH`.
    #[must_use]
    pub fn by_command(executable: &Path, cargo: bool, scenarios: PathBuf) -> Self {
        let built = executable.ancestors().skip(1).any(|folder| folder.ends_with("target"));
        if built && cargo { Self::CargoRun(scenarios) } else { Self::Command(scenarios) }
    }

    /// The command that takes what was seen of this test as what is expected of it.
    #[must_use]
    pub fn accept(&self, test: &str) -> String {
        let again = self.again(test);
        match self {
            Self::Cargo(_) | Self::Nextest(_) => format!("ASSIZE_BLESS=1 {again}"),
            Self::Command(_) => again.replacen("assize run ", "assize bless ", 1),
            Self::CargoRun(_) => again.replacen("-- run ", "-- bless ", 1),
        }
    }

    /// One of these commands, so that it allows steps outside of the sandbox: as this run does, or where this one did not.
    #[must_use]
    pub fn allowing_outside(&self, command: String, allowed: bool) -> String {
        match self {
            Self::Command(_) | Self::CargoRun(_) => format!("{command} --allow-outside"),
            Self::Cargo(_) | Self::Nextest(_) if !allowed || outside::allowed_by_environment() => {
                format!("{}=1 {command}", outside::VARIABLE)
            }
            // The target itself allows it.
            Self::Cargo(_) | Self::Nextest(_) => command,
        }
    }

    /// The command that runs this test alone.
    #[must_use]
    pub fn again(&self, test: &str) -> String {
        let quoted = format!("'{}'", test.replace('\'', r"'\''"));
        match self {
            Self::Cargo(target) => format!("cargo test --test {target} -- --exact {quoted}"),
            Self::Nextest(target) => format!("cargo nextest run --test {target} -- --exact {quoted}"),
            Self::Command(path) => format!("assize run {} --exact {quoted}", path.display()),
            Self::CargoRun(path) => format!("cargo run -q -- run {} --exact {quoted}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_fits_how_it_was_started() {
        let by_cargo = Started::by_cargo(Path::new("/t/debug/deps/scenarios-0123456789abcdef"));
        let target = "scenarios".to_owned();
        assert!(by_cargo == Started::Cargo(target.clone()) || by_cargo == Started::Nextest(target.clone()));
        assert_eq!(
            Started::Cargo(target).again("a.yaml::a"),
            "cargo test --test scenarios -- --exact 'a.yaml::a'"
        );
        let by_command = |path: &str, cargo| Started::by_command(Path::new(path), cargo, "scenarios".into());
        let plain = Started::Command("scenarios".into());
        assert_eq!(by_command("/usr/bin/assize", true), plain);
        assert_eq!(by_command("/x/target/debug/assize", false), plain);
        assert_eq!(
            by_command("/x/target/debug/assize", true).again("a.yaml::a"),
            "cargo run -q -- run scenarios --exact 'a.yaml::a'"
        );
        assert_eq!(plain.accept("a.yaml::a"), "assize bless scenarios --exact 'a.yaml::a'");
        assert_eq!(
            by_command("/x/target/debug/assize", true).accept("a.yaml::a"),
            "cargo run -q -- bless scenarios --exact 'a.yaml::a'"
        );
        let command = Started::Command("scenarios".into());
        assert_eq!(command.again("a.yaml::it's"), r"assize run scenarios --exact 'a.yaml::it'\''s'");
    }
}
