//! Placeholder of the module landlock.
