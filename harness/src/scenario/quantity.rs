//! Quantities with a unit: `10s`, `200ms`, `256 MiB`.
#![forbid(unsafe_code)]
