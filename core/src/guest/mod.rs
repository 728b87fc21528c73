//! Placeholder of the module guest.
