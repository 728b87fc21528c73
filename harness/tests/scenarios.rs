//! Every scenario of the project, as a test each.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    assize_harness::main("../scenarios")
}
