//! Families: every spelling of one operation.
#![forbid(unsafe_code)]

/// Every spelling of one operation.
#[derive(Debug)]
pub struct Family {
    /// Its name, as in `family(open)`.
    pub name: &'static str,
}
