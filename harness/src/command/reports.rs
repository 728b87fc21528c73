//! The files that `assize run` writes besides what it prints.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::bazel;
use crate::report::{self, ReportError, Room, Run};

/// Which reports are wanted, and where.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Reports {
    /// Write JUnit XML, for CI systems (Bazel's `XML_OUTPUT_FILE` asks for it too).
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    junit: Option<PathBuf>,
    /// Write JSON lines, for programs: `harness/REPORTS.md` describes them.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    json: Option<PathBuf>,
    /// Write one HTML page, for people.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    html: Option<PathBuf>,
    /// Write the verdict logs as a trace that ui.perfetto.dev shows.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    perfetto: Option<PathBuf>,
    /// Print annotations for GitHub Actions; there it is so without being asked.
    #[arg(long, help_heading = "Reports")]
    github: bool,
}

type Writer = fn(&Run, &mut dyn Write) -> io::Result<()>;

impl Reports {
    /// Every file that is wanted, and what writes it.
    fn files(&self) -> Vec<(PathBuf, Writer)> {
        // Whoever says it twice means it once.
        let bazel = bazel::report().filter(|path| self.junit.as_ref() != Some(path));
        let all: [(Option<&Path>, Writer); 5] = [
            (self.junit.as_deref(), report::junit::write),
            (bazel.as_deref(), report::junit::write),
            (self.json.as_deref(), report::lines::write),
            (self.html.as_deref(), report::html::write),
            (self.perfetto.as_deref(), report::perfetto::write),
        ];
        all.into_iter().filter_map(|(path, write)| Some((path?.to_owned(), write))).collect()
    }

    /// Room for verdict logs, if a report shows them.
    pub(super) fn logs(&self) -> Option<Room> {
        (self.html.is_some() || self.perfetto.is_some()).then(Room::default)
    }

    /// Whether GitHub's annotations are wanted.
    pub(super) fn github(&self) -> bool {
        self.github || report::github::is_here()
    }

    /// Finds out before the run what would keep a report from being written after it.
    pub(super) fn check(&self) -> Result<(), ReportError> {
        let files = self.files();
        for (nth, (path, _)) in files.iter().enumerate() {
            if files.iter().take(nth).any(|(other, _)| other == path) {
                return Err(ReportError::Twice(path.clone()));
            }
            report::can_write(path)?;
        }
        Ok(())
    }

    /// Writes them all, whatever becomes of one. The errors are told on stderr; whether there were none.
    pub(super) fn write(&self, run: &Run) -> bool {
        let written =
            self.files().into_iter().map(|(path, write)| report::write(&path, |out| write(run, out)));
        let errors: Vec<ReportError> = written.filter_map(Result::err).collect();
        errors.iter().for_each(|error| eprintln!("error: {error}"));
        errors.is_empty()
    }
}
