//! Placeholder of the module filter.
