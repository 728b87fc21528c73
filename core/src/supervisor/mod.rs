//! Receives the guests' calls, has them decided, answers them.
//!
//! One plain blocking thread per sandbox, the worker, receives, decides, performs and answers. It stands in the
//! Landlock domain above the guests', so it must never start a thread that others will use: what needs more than the guests
//! may (handlers, devices) runs on the runtime's threads, which were there before.
#![forbid(unsafe_code)]

pub(crate) mod answer;
mod attribute;
pub(crate) mod call;
pub(crate) mod descriptors;
pub(crate) mod device;
mod errands;
pub(crate) mod exec;
pub(crate) mod files;
pub(crate) mod handlers;
mod interval;
mod overdue;
pub(crate) mod peak;
pub(crate) mod perform;
mod placement;
pub(crate) mod process_file;
pub(crate) mod process_stat;
pub(crate) mod process_status;
pub(crate) mod processes;
mod quiet;
pub(crate) mod recorder;
pub(crate) mod request;
mod resident;
mod restart;
pub(crate) mod run;
mod stand_in;
pub(crate) mod stop;
pub(crate) mod time;
pub(crate) mod touch;
pub(crate) mod tracker;
pub(crate) mod utsname;
pub(crate) mod worker;

pub(crate) use run::Run;
