//! Notices which bytes an output can no longer read, and estimates how long the rest will last.
//!
//! Each detector returns a [`gap::Gap`] and changes nothing in the reader, which carries it out. Only `altered.rs`
//! reads files. `time_to_loss.rs` is an estimate, not a detector.

pub(super) mod altered;
pub(super) mod gap;
pub(super) mod gone;
pub(super) mod hold_budget;
pub(super) mod missed_rotation;
pub(super) mod time_to_loss;
