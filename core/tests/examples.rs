//! Every example runs, and what it asserts holds.
#![forbid(unsafe_code)]
// Each has a `main` too, for whoever runs it as a program.
#![allow(dead_code)]

#[path = "../examples/another_user.rs"]
mod another_user;
#[path = "../examples/defer.rs"]
mod defer;
#[path = "../examples/deny_by_handler.rs"]
mod deny_by_handler;
#[path = "../examples/deny_path.rs"]
mod deny_path;
#[path = "../examples/hold.rs"]
mod hold;
#[path = "../examples/inject_content.rs"]
mod inject_content;
#[path = "../examples/inject_tracked.rs"]
mod inject_tracked;
#[path = "../examples/interactive.rs"]
mod interactive;
#[path = "../examples/kill.rs"]
mod kill;
#[path = "../examples/probe.rs"]
mod probe;
#[path = "../examples/redirect_output.rs"]
mod redirect_output;
#[path = "../examples/refused_handler.rs"]
mod refused_handler;
#[path = "../examples/return_value.rs"]
mod return_value;
#[path = "../examples/run_command.rs"]
mod run_command;
#[path = "../examples/seed.rs"]
mod seed;
#[path = "../examples/several_handlers.rs"]
mod several_handlers;
#[path = "../examples/time_limit.rs"]
mod time_limit;
#[path = "../examples/trace.rs"]
mod trace;
#[path = "../examples/write_memory.rs"]
mod write_memory;

macro_rules! run {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() -> Result<(), Box<dyn std::error::Error>> {
                crate::$name::run()
            }
        )*

        #[test]
        fn none_is_left_out() -> std::io::Result<()> {
            let known = ["another_user.rs", $(concat!(stringify!($name), ".rs")),*];
            for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"))? {
                let name = entry?.file_name();
                assert!(known.iter().any(|known| name == **known), "{name:?} is run by no test");
            }
            Ok(())
        }
    };
}

mod each {
    /// The one that the README shows is a `main` and nothing else.
    #[test]
    fn another_user() -> Result<(), Box<dyn std::error::Error>> {
        crate::another_user::main()
    }

    run! { defer deny_by_handler deny_path hold inject_content inject_tracked interactive kill probe redirect_output refused_handler return_value run_command seed several_handlers time_limit trace write_memory }
}
