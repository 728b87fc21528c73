//! What was decided, as data: events, verdicts and the sinks they go to.
//!
//! Nothing here decides; nothing here knows a file format but the JSON lines of [`JsonLines`].
#![forbid(unsafe_code)]

mod arg;
mod event;
mod sink;
mod verdict;

pub use arg::{Arg, Args, BytesText};
pub use event::{Body, Event, Exit, Place, SCHEMA_VERSION};
pub use sink::{JsonLines, Memory, Sink};
pub use verdict::{Action, Grounds, Known, Origin, Verdict};
