//! Signatures: what the arguments of a call mean.
