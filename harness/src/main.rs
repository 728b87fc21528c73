//! The command `assize`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    assize_harness::command::main()
}
