//! Notices what an output can no longer read, and how long the rest will last.
//!
//! Each detector decides from values and returns a [`gap::Gap`]; the reader carries it out.

pub(super) mod altered;
pub(super) mod gap;
pub(super) mod gone;
pub(super) mod hold_budget;
pub(super) mod missed_rotation;
pub(super) mod time_to_loss;
