//! Placeholder of the module capability.
