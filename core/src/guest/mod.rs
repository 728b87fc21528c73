//! What may be read from a guest or done on its behalf: its process, its paths, its files.
//!
//! A path is resolved once, to a [`Pinned`] object, and judged by that object's identity. The call is then performed
//! through the pin. Nothing here decides by a path that is read again, and nothing here decides whether a guest may:
//! that is the caller's, before it performs, and the kernel's, when it does.
//!
//! A guest is known by the number of a thread, which may be used again when that thread is gone. So the caller asks the
//! kernel whether the notification still stands (`SECCOMP_IOCTL_NOTIF_ID_VALID`) after a pin, and before it performs.
//!
//! All functions are for the thread that stands in its guests' own Landlock domain and has their credentials; what
//! the kernel refuses a guest it then refuses here. None of them leads a guest to a file of the supervisor's own
//! process under `/proc`.
#![forbid(unsafe_code)]

pub mod attribute;
pub mod change;
pub mod denied;
pub(crate) mod listing;
pub(crate) mod mounts;
pub mod open;
pub mod pinned;
pub mod process;
mod procfs;
pub mod resolve;
pub(crate) mod stat;
pub(crate) mod view;
mod walk;

pub use attribute::{Attribute, AttributeRequest, Attributed, Empty, Told};
pub use change::{At, Change, ChangeRequest, Changed, Entry, New, Prepared};
pub use denied::{Denied, DeniedError};
pub use open::{Blocking, OpenRequest, Opened, Refusal};
pub use pinned::{FileKind, Identity, Pinned};
pub(crate) use pinned::{identity, is_on_procfs};
pub use process::{Guest, ProcessInfo};
pub(crate) use procfs::guard_listing;
pub use resolve::{Found, Lookup, ParentOf, ResolveFlags, resolve, resolve_parent};

#[cfg(test)]
mod tests;
