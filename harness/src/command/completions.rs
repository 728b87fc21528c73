//! `assize completions` and `assize man`: what shells and `man` read, made from the command line's one definition.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap_complete::Shell;
use clap_mangen::Man;

/// A file could not be written.
const FAILED: u8 = 1;

/// Prints the completions of a shell.
pub(super) fn completions(mut line: clap::Command, shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut line, "assize", &mut text);
    print(&text)
}

/// Prints the main page, or writes all pages into a folder, which is made if it isn't there.
pub(super) fn man(line: clap::Command, folder: Option<&Path>) -> ExitCode {
    let written = match folder {
        None => page(line).map(|(_, text)| print(&text)),
        Some(folder) => write_all(line, folder).map(|()| ExitCode::SUCCESS),
    };
    written.unwrap_or_else(|error| {
        eprintln!("assize: {}: {error}", folder.unwrap_or(Path::new("the manual page")).display());
        ExitCode::from(FAILED)
    })
}

fn print(text: &[u8]) -> ExitCode {
    // Whoever closed stdout has seen enough.
    let _ = io::stdout().write_all(text);
    ExitCode::SUCCESS
}

/// The page of a command, and its file's name.
fn page(command: clap::Command) -> io::Result<(PathBuf, Vec<u8>)> {
    let man = Man::new(command);
    let mut text = Vec::new();
    man.render(&mut text)?;
    Ok((man.get_filename().into(), text))
}

fn write_all(mut line: clap::Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    // So that `assize-run.1` is called so, and says `assize run`.
    line.build();
    let parts: Vec<_> = line.get_subcommands().cloned().collect();
    for command in [line].into_iter().chain(parts) {
        if command.get_name() == "help" {
            continue;
        }
        let (name, text) = page(command)?;
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory;

    use super::super::Line;

    #[test]
    fn every_subcommand_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("man1");
        super::write_all(Line::command(), &at).unwrap();
        let mut names: Vec<String> = Line::command()
            .get_subcommands()
            .map(|command| format!("assize-{}.1", command.get_name()))
            .chain(["assize.1".to_owned()])
            .collect();
        names.sort();
        let mut found: Vec<String> = std::fs::read_dir(&at)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, names);
        for name in &names {
            let text = std::fs::read_to_string(at.join(name)).unwrap();
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}: {text}");
        }
        let trace = std::fs::read_to_string(at.join("assize-trace.1")).unwrap();
        assert!(trace.contains("filter") && trace.contains("assize trace"), "{trace}");
    }

    #[test]
    fn every_shell_completes_every_subcommand() {
        use clap::ValueEnum;
        for shell in clap_complete::Shell::value_variants() {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Line::command(), "assize", &mut text);
            let text = String::from_utf8(text).unwrap();
            for command in Line::command().get_subcommands() {
                assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
