//! What a verdict, a start and a scenario cost, as ratios: against the bare command, and against the floor, a raw
//! supervisor of a few dozen lines (`core/src/sys/floor.rs`), all interleaved in one run.
//!
//! `cargo bench -p assize-harness` prints every row twice, on all cores and on one; words after `--` choose rows.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calls;
mod deterministic;
mod guest;
mod harness;
mod measure;
mod memory;
mod programs;
mod start;

use std::process::Command;

use measure::{Placement, Table};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|word| word == "guest") {
        return guest::work(&args[1..]);
    }
    let on_one_core = args.iter().any(|word| word == measure::ON_ONE_CORE);
    let words = args.iter().filter(|word| !word.starts_with("--")).cloned().collect();
    if cfg!(debug_assertions) {
        println!("This is a debug build: its figures mean nothing.");
    }
    let placement = if on_one_core { Placement::one_core() } else { Placement::Unpinned };
    let mut table = Table::new(placement, words);
    calls::rows(&mut table);
    start::rows(&mut table);
    programs::rows(&mut table);
    deterministic::rows(&mut table);
    harness::rows(&mut table);
    memory::rows(&mut table);
    if !on_one_core {
        // Threads that live for the whole process can't be moved any more: the other placement is another process.
        let mut again = Command::new(std::env::current_exe().unwrap());
        let status = again.args(&args).arg(measure::ON_ONE_CORE).status().unwrap();
        assert!(status.success(), "the second half failed");
    }
}
