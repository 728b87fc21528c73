//! Command lines, what a host claims to have, and calls by name: taken, or refused in words.
#![no_main]
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use arbitrary::Arbitrary;
use assize_harness::fuzzing;
use assize_harness::needs::{Need, Required};
use assize_harness::scenario::calls::Calls;
use assize_harness::scenario::quantity::{Size, Time};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    args: Vec<Word>,
    threads: Option<String>,
    text: String,
}

#[derive(Debug, Arbitrary)]
enum Word {
    Any(Vec<u8>),
    Option(u8),
}

const OPTIONS: &[&str] = &[
    "--",
    "--exact",
    "--list",
    "--skip",
    "--test-threads",
    "--test-threads=0",
    "--test-threads=",
    "--format=terse",
    "--nocapture",
    "--no-capture",
    "-Z",
    "--logfile",
    "--color",
    "-q",
    "--ignored",
    "--include-ignored",
];

fn said<T, E: std::fmt::Display>(result: Result<T, E>) {
    if let Err(error) = result {
        let text = error.to_string();
        assert!(!text.is_empty() && text.len() < 1 << 13, "{} bytes: {text:.200}", text.len());
    }
}

fuzz_target!(|input: Input| {
    let args = input.args.into_iter().map(|word| match word {
        Word::Any(bytes) => OsString::from_vec(bytes),
        Word::Option(place) => OPTIONS[usize::from(place) % OPTIONS.len()].into(),
    });
    said(fuzzing::arguments(args, input.threads.as_deref()));
    if let Ok(need) = input.text.parse::<Need>() {
        assert_eq!(need.to_string().parse::<Need>().ok().as_ref(), Some(&need), "{need}");
    }
    said(input.text.parse::<Need>());
    said(input.text.parse::<Required>());
    said(input.text.parse::<Calls>());
    said(input.text.parse::<Time>());
    said(input.text.parse::<Size>());
});
