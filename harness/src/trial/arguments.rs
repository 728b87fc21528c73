//! What libtest takes on its command line and libtest-mimic does not: several filters, `--no-capture`,
//! `RUST_TEST_THREADS`; and `--test-threads 0`, on which libtest-mimic would wait for ever.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;

/// The arguments, with what libtest-mimic cannot take set apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shim {
    /// The filters: a test that any of them hits is run.
    pub(crate) filters: Vec<String>,
    rest: Vec<OsString>,
}

/// Arguments that nobody could act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("the number of test threads must not be 0")]
    NoThreads,
    #[error("RUST_TEST_THREADS is `{0}`: it should be a positive number")]
    Threads(String),
    #[error("a filter is not UTF-8, so no test has such a name")]
    NotText,
}

/// Options whose value is the next argument, unless it follows a `=`.
const WITH_VALUE: [&str; 6] = ["--skip", "--test-threads", "--format", "--color", "--logfile", "-Z"];

impl Shim {
    /// Takes arguments apart. `threads`: what `RUST_TEST_THREADS` says.
    pub(crate) fn parse(
        args: impl IntoIterator<Item = OsString>,
        threads: Option<&str>,
    ) -> Result<Self, ArgumentError> {
        let mut shim = Self { filters: Vec::new(), rest: Vec::new() };
        let mut args = args.into_iter();
        let mut chosen = false;
        while let Some(arg) = args.next() {
            let text = arg.to_str().unwrap_or_default();
            match text {
                "--" => {
                    for filter in args.by_ref() {
                        shim.filters.push(filter.into_string().map_err(|_| ArgumentError::NotText)?);
                    }
                }
                "--nocapture" | "--no-capture" => {}
                "--test-threads" => {
                    let value = args.next();
                    chosen = true;
                    check_threads(value.as_ref().and_then(|value| value.to_str()))?;
                    shim.rest.push(arg);
                    shim.rest.extend(value);
                }
                option if WITH_VALUE.contains(&option) => {
                    shim.rest.push(arg);
                    shim.rest.extend(args.next());
                }
                option if option.starts_with('-') => {
                    if let Some(value) = option.strip_prefix("--test-threads=") {
                        chosen = true;
                        check_threads(Some(value))?;
                    }
                    shim.rest.push(arg);
                }
                _ => shim.filters.push(arg.into_string().map_err(|_| ArgumentError::NotText)?),
            }
        }
        if let (Some(threads), false) = (threads, chosen) {
            match threads.parse::<usize>() {
                Ok(1..) => shim.rest.push(format!("--test-threads={threads}").into()),
                _ => return Err(ArgumentError::Threads(threads.to_owned())),
            }
        }
        Ok(shim)
    }

    /// What libtest-mimic is to parse.
    pub(crate) fn rest(&self, executable: &Path) -> Vec<OsString> {
        std::iter::once(executable.as_os_str().to_owned()).chain(self.rest.iter().cloned()).collect()
    }
}

fn check_threads(value: Option<&str>) -> Result<(), ArgumentError> {
    // Whatever else is wrong with it, libtest-mimic says.
    match value.map(str::parse::<usize>) {
        Some(Ok(0)) => Err(ArgumentError::NoThreads),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str], threads: Option<&str>) -> Result<(Vec<String>, Vec<String>), ArgumentError> {
        let shim = Shim::parse(args.iter().map(OsString::from), threads)?;
        Ok((shim.filters, shim.rest.into_iter().map(|arg| arg.into_string().unwrap()).collect()))
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn filters_are_set_apart_and_the_rest_is_left_alone() {
        let args = [
            "a",
            "--skip",
            "b",
            "c",
            "--exact",
            "--nocapture",
            "--no-capture",
            "--format=terse",
            "--",
            "--d",
        ];
        let (filters, rest) = parse(&args, None).unwrap();
        assert_eq!(filters, strings(&["a", "c", "--d"]));
        assert_eq!(rest, strings(&["--skip", "b", "--exact", "--format=terse"]));
    }

    #[test]
    fn threads_are_at_least_one() {
        for args in [&["--test-threads", "0"][..], &["--test-threads=0"]] {
            assert_eq!(parse(args, None), Err(ArgumentError::NoThreads));
        }
        assert_eq!(parse(&[], Some("0")), Err(ArgumentError::Threads("0".into())));
        assert_eq!(parse(&[], Some("many")), Err(ArgumentError::Threads("many".into())));
        assert_eq!(parse(&[], Some("3")).unwrap().1, strings(&["--test-threads=3"]));
        assert_eq!(parse(&["--test-threads", "2"], Some("3")).unwrap().1, strings(&["--test-threads", "2"]));
    }
}
