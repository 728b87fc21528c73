//! Annotations of GitHub Actions: `::error file=…,line=…,title=…::…`.
//!
//! GitHub reads what it calls workflow commands from a step's output, so what guests wrote must not pass for one.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use super::text::readable;
use super::{Run, Tested};
use crate::diagnostic::Diagnostic;

/// GitHub shows so many errors of a step, and drops the others.
const MOST: usize = 10;

/// Whether this runs on GitHub Actions.
#[must_use]
pub fn is_here() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// What guests wrote between its two lines is not obeyed.
#[derive(Debug)]
pub struct Fence(String);

impl Fence {
    /// One that nobody can guess.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Self {
        let half = || RandomState::new().hash_one(std::process::id());
        Self(format!("assize-{:016x}{:016x}", half(), half()))
    }

    /// The line before.
    #[must_use]
    pub fn begin(&self) -> String {
        format!("::stop-commands::{}\n", self.0)
    }

    /// The line after.
    #[must_use]
    pub fn end(&self) -> String {
        format!("::{}::\n", self.0)
    }
}

/// The annotations of a run: of each failure the first finding, and then the others, as far as GitHub shows them.
#[must_use]
pub fn annotations(run: &Run) -> String {
    let root = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
    let failures = || run.tested.iter().filter(|tested| tested.outcome.is_failure());
    let first = failures().filter_map(|tested| Some((tested, tested.findings.first()?)));
    let others =
        failures().flat_map(|tested| tested.findings.iter().skip(1).map(move |other| (tested, other)));
    let all: Vec<_> = first.chain(others).collect();
    let mut text = String::new();
    for (tested, finding) in all.iter().take(MOST) {
        text.push_str(&annotation(tested, finding, root.as_deref()));
    }
    if all.len() > MOST {
        // Writing to a string does not fail.
        let _ = writeln!(text, "::notice title=assize::{} more findings are in the log", all.len() - MOST);
    }
    text
}

fn annotation(tested: &Tested, finding: &Diagnostic, root: Option<&Path>) -> String {
    let file = property(&beneath(&finding.file, root).to_string_lossy());
    let (line, column) = finding.span.map_or((tested.origin.line, 1), |span| (span.line, span.column));
    let mut message = finding.title.clone();
    for more in finding.notes.iter().chain(&finding.help) {
        message.push('\n');
        message.push_str(more);
    }
    if let Some(repeated) = tested.repeated {
        // Writing to a string does not fail.
        let _ = write!(message, "\n{repeated}");
    }
    let (title, message) = (property(&tested.name), data(&message));
    format!("::error file={file},line={line},col={column},title={title}::{message}\n")
}

/// A path from the root of the repository, which need not be that of the workspace.
fn beneath(path: &Path, root: Option<&Path>) -> PathBuf {
    let inside = || {
        let root = root?.canonicalize().ok()?;
        let here = std::env::current_dir().ok()?;
        let mut found = here.ancestors().map(|folder| folder.join(path)).filter(|path| path.exists());
        Some(found.next()?.canonicalize().ok()?.strip_prefix(root).ok()?.to_owned())
    };
    inside().unwrap_or_else(|| path.to_owned())
}

/// Escaped as GitHub's toolkit does it.
fn data(text: &str) -> String {
    readable(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, sample};

    #[test]
    fn each_annotation_is_one_line_that_says_what_it_should() {
        let mut run = sample::run();
        run.tested[0].findings[0].title = "100%, a: b\r\n::error::fake".into();
        run.tested[0].findings[0].notes.clear();
        let text = annotations(&run);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let start = "::error file=scenarios/a.yaml,line=2,col=1,title=a.yaml%3A%3Aa";
        assert!(
            annotations(&Run { tested: vec![sample::tested("a.yaml::a", Outcome::Passed)], ..sample::run() })
                .is_empty()
        );
        assert!(lines[0].starts_with(&start[..start.len() - 1]), "{text}");
        assert!(
            lines[0].ends_with("::100%25, a: b\\r%0A::error::fake%0Aa help%0A2 of 5 runs failed"),
            "{text}"
        );
        assert!(
            lines[1]
                .starts_with("::error file=scenarios/b.yaml,line=1,col=1,title=b.yaml%3A%3A(load)::unknown")
        );
    }

    #[test]
    fn what_github_would_drop_is_counted() {
        let mut run = sample::run();
        let finding = run.tested[0].findings[0].clone();
        run.tested[0].findings.extend(vec![finding; 20]);
        let text = annotations(&run);
        assert_eq!(text.lines().filter(|line| line.starts_with("::error")).count(), MOST);
        // Of each failure at least the first.
        assert!(text.contains("b.yaml"));
        assert!(text.ends_with("::notice title=assize::12 more findings are in the log\n"), "{text}");
        assert_ne!(Fence::new().begin(), Fence::new().begin());
    }
}
