//! Declarative scenarios for sandboxes, run as ordinary tests.
#![forbid(unsafe_code)]
