//! The command `assize`.
#![forbid(unsafe_code)]
fn main() {}
