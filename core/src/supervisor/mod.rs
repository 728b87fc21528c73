//! Placeholder of the module supervisor.
